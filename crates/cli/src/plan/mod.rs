//! `trellis plan`: what does an event need, and what does it cost? Servers and bandwidth, who has to wait, the bill beside
//! that of a pure CDN, and what if it comes otherwise. The arithmetic is `trellis_model::plan`; here it is asked, priced
//! and told, with every assumption.

mod told;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use trellis_model::bounds::Losses;
use trellis_model::plan::{Course, Event, Plan};
use trellis_model::{Bps, Seconds, Share};

use crate::model::input::{Edges, Mix, any_text, price, seconds, share, some_bps, some_seconds};

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = any_text)]
pub struct Args {
    /// How many watch at once, at the peak
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    viewers: u64,
    /// The stream's rate: 800k, 3M
    #[arg(long, value_name = "RATE", value_parser = some_bps)]
    bitrate: Bps,
    /// What viewers can send, by shares, of those who can reach others: 30%:0,50%:4M,20%:20M; or one rate for all
    #[arg(long, value_name = "MIX", default_value = "30%:0,50%:4M,20%:20M")]
    upload_mix: Mix,
    /// Who cannot reach any other viewer (UDP blocked): takes everything from the edges
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    blocked: Share,
    /// How long one stays, on average: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = some_seconds)]
    stay: Seconds,
    /// How long it takes until the audience is there; 0 for all at once
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    arrive_within: Seconds,
    /// How long the event lasts
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = some_seconds)]
    duration: Seconds,
    /// How long a viewer takes before it gives to others
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = seconds)]
    warm_up: Seconds,
    /// The edges there are and what each can send: 4x1G, or 1G,1G,500M, or 4 of --edge-size; by default as many as it takes
    #[arg(long, value_name = "EDGES")]
    edges: Option<Edges>,
    /// What an edge can send when --edges does not say
    #[arg(long, value_name = "RATE", default_value = "1G", value_parser = some_bps)]
    edge_size: Bps,
    /// How many edges more than it takes, for those that fail
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    spare: u32,
    /// Which share of viewers' uploads can be put to use
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = share)]
    utilization: Share,
    /// What is sent beside the media, as a share of it
    #[arg(long, value_name = "SHARE", default_value = "3%", value_parser = share)]
    overhead: Share,
    /// What edges send at least, of what those who can reach others take, however much these could give
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = share)]
    floor: Share,
    /// How many may find no room because more than usual come by chance
    #[arg(long, value_name = "SHARE", default_value = "0.1%", value_parser = share)]
    refused: Share,
    /// What a CDN takes per GB (10^9 bytes)
    #[arg(long, value_name = "PRICE", default_value_t = 0.03, value_parser = price)]
    price_cdn: f64,
    /// What the edges' traffic costs per GB
    #[arg(long, value_name = "PRICE", default_value_t = 0.01, value_parser = price)]
    price_traffic: f64,
    /// What an edge costs per hour
    #[arg(long, value_name = "PRICE", default_value_t = 0.2, value_parser = price)]
    price_edge: f64,
    /// Of all prices
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// One JSON object, its keys as in docs/model.md
    #[arg(long)]
    json: bool,
}

/// The answer, as in docs/model.md: bit/s, s, bytes; `null` is never.
#[derive(Debug, Serialize)]
struct Answer {
    viewers: u64,
    demand: f64,
    upload_mean: f64,
    uploads_to_demand: f64,
    headroom: f64,
    edges_needed: u64,
    edge_size: f64,
    edges: Vec<f64>,
    #[serde(flatten)]
    case: Case,
    cost: Cost,
    what_if: Vec<WhatIf>,
    assumptions: Vec<String>,
}

/// What one course of things comes to.
#[derive(Debug, Clone, Serialize)]
struct Case {
    server_needed: f64,
    server_steady: f64,
    server_bandwidth: f64,
    enough: bool,
    viewers_max: f64,
    guaranteed_after_seconds: Option<f64>,
    reject_peak: f64,
    rejected_total: f64,
    rejected_per_minute_peak: f64,
    waiting_peak: f64,
    delivered_bytes: f64,
    server_bytes: f64,
    server_share: f64,
    cost_total: f64,
}

#[derive(Debug, Serialize)]
struct Cost {
    currency: String,
    edges: f64,
    traffic: f64,
    total: f64,
    cdn: f64,
    saved: f64,
}

#[derive(Debug, Serialize)]
struct WhatIf {
    name: &'static str,
    #[serde(flatten)]
    case: Case,
}

/// Plans.
pub fn run(args: &Args) -> Result<()> {
    let answer = answer(args)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer).context("the answer")?);
    } else {
        print!("{}", told::text(args, &answer));
    }
    Ok(())
}

fn answer(args: &Args) -> Result<Answer> {
    ensure!(
        args.arrive_within < args.duration,
        "--arrive-within must be less than --duration ({})",
        crate::model::output::duration(args.duration.get())
    );
    let event = event(args)?;
    let plan = plan(event)?;
    // A CDN serves all, and without the mesh's overhead.
    let watched = plan.course(f64::INFINITY).demand_bits / 8.0 / (1.0 + args.overhead.get());
    let needed = needed(&plan);
    let edges_needed = (needed / args.edge_size.get()).ceil() + f64::from(args.spare);
    ensure!(
        edges_needed <= EDGES_MAX,
        "--edge-size {} would take {edges_needed} edges: take larger ones",
        args.edge_size.get()
    );
    let edges_needed = edges_needed as u64;
    let edges = match &args.edges {
        Some(given) => given.0.iter().map(|edge| edge.unwrap_or(args.edge_size).get()).collect(),
        None => vec![args.edge_size.get(); edges_needed as usize],
    };
    let case = case(args, &plan, &edges);
    let (edge_cost, traffic) = (edge_cost(args, &edges), gigabytes(case.server_bytes) * args.price_traffic);
    let cdn = gigabytes(watched) * args.price_cdn;
    Ok(Answer {
        viewers: args.viewers,
        demand: plan.each_bps() * args.viewers as f64,
        upload_mean: event.upload.get(),
        uploads_to_demand: event.upload.get() * (1.0 - args.blocked.get()) / args.bitrate.get(),
        headroom: plan.headroom(),
        edges_needed,
        edge_size: args.edge_size.get(),
        cost: Cost {
            currency: args.currency.clone(),
            edges: edge_cost,
            traffic,
            total: edge_cost + traffic,
            cdn,
            saved: cdn - edge_cost - traffic,
        },
        what_if: what_if(args, event, &edges)?,
        assumptions: told::assumptions(args),
        edges,
        case,
    })
}

fn plan(event: Event) -> Result<Plan> {
    Plan::new(event)
        .context("--viewers, --bitrate, --upload-mix, --stay, --arrive-within, --duration, --warm-up or --refused")
}

/// More edges than this are a mistake.
const EDGES_MAX: f64 = 100_000.0;

fn event(args: &Args) -> Result<Event> {
    Ok(Event {
        viewers: args.viewers as f64,
        arrival: args.arrive_within,
        stay: args.stay,
        length: args.duration,
        rate: args.bitrate,
        upload: args.upload_mix.mean().context("--upload-mix")?,
        blocked: args.blocked,
        warm_up: args.warm_up,
        losses: Losses { utilization: args.utilization, overhead: args.overhead },
        floor: args.floor,
        refused: args.refused,
    })
}

/// So that nobody ever waits, also when chance brings more. (A warm-up shorter than a step of the course is none there.)
fn needed(plan: &Plan) -> f64 {
    plan.course(f64::INFINITY).server_bps_max.max(plan.steady_bps(plan.viewers())) * plan.headroom()
}

fn case(args: &Args, plan: &Plan, edges: &[f64]) -> Case {
    let (server, needed) = (edges.iter().sum::<f64>(), needed(plan));
    // What is kept for chance is not counted on.
    let usual = server / plan.headroom();
    let course = plan.course(usual);
    let Course { server_bits, demand_bits, .. } = course;
    let server_bytes = server_bits / 8.0;
    Case {
        server_needed: needed,
        server_steady: plan.steady_bps(plan.viewers()) * plan.headroom(),
        server_bandwidth: server,
        enough: server >= needed,
        viewers_max: plan.viewers_max(usual),
        guaranteed_after_seconds: course.guaranteed_s,
        reject_peak: course.waiting_share_max,
        rejected_total: course.refused,
        rejected_per_minute_peak: course.refused_per_minute_max,
        waiting_peak: course.waiting_max,
        delivered_bytes: demand_bits / 8.0,
        server_bytes,
        server_share: if demand_bits > 0.0 { server_bits / demand_bits } else { 0.0 },
        cost_total: edge_cost(args, edges) + gigabytes(server_bytes) * args.price_traffic,
    }
}

/// The same edges, when it comes otherwise.
fn what_if(args: &Args, event: Event, edges: &[f64]) -> Result<Vec<WhatIf>> {
    let time = |time: Seconds, by: f64| Seconds::new(time.get() * by);
    let upload = |by: f64| Bps::new(event.upload.get() * by);
    let largest = edges.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at);
    let others: Vec<f64> =
        edges.iter().enumerate().filter(|(at, _)| Some(*at) != largest).map(|(_, edge)| *edge).collect();
    let cases = [
        ("as planned", event, edges),
        ("uploads halved", Event { upload: upload(0.5)?, ..event }, edges),
        ("nobody gives", Event { upload: upload(0.0)?, ..event }, edges),
        ("arrivals twice as fast", Event { arrival: time(event.arrival, 0.5)?, ..event }, edges),
        ("twice the viewers", Event { viewers: event.viewers * 2.0, ..event }, edges),
        ("stays half as long", Event { stay: time(event.stay, 0.5)?, ..event }, edges),
        ("an edge lost", event, others.as_slice()),
    ];
    let case = |(name, event, edges): (&'static str, Event, &[f64])| {
        Ok(WhatIf { name, case: case(args, &plan(event).with_context(|| format!("what if: {name}"))?, edges) })
    };
    cases.into_iter().map(case).collect()
}

fn gigabytes(bytes: f64) -> f64 {
    bytes / 1e9
}

fn edge_cost(args: &Args, edges: &[f64]) -> f64 {
    edges.len() as f64 * args.duration.get() / 3_600.0 * args.price_edge
}

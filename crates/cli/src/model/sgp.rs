//! `trellis model sgp`: when is service guaranteed? t_0, t_g, K and what happens in each interval.

use std::num::NonZeroU64;

use anyhow::{Context, Result};
use serde::Serialize;
use trellis_model::{Fluid, Growth, WholeSessions};

use super::charts;
use super::input::{self, Assignment, Cluster};
use super::landmarks::{Landmarks, TOLD_INTERVALS_MAX, told_intervals};
use super::output::{Column, Form, Sheet, duration, grouped, number, percent, rate};

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = input::any_text)]
pub struct Args {
    #[command(flatten)]
    cluster: Cluster,
    /// Count in whole sessions: who may serve one? The server or peers (strict), both together (mixed), or the server or
    /// peers that serve nobody else (integral)
    #[arg(long)]
    assignment: Option<Assignment>,
    /// How many intervals to list; by default until two after everybody is served
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    intervals: Option<u32>,
    #[command(flatten)]
    form: Form,
}

/// The answer, as in docs/model.md: bit/s, s, intervals of one session length; `null` is never.
#[derive(Debug, Serialize)]
struct Answer {
    server_bandwidth: f64,
    rate: f64,
    contribution: f64,
    arrivals: f64,
    length: f64,
    offered: f64,
    demand: f64,
    growth: f64,
    #[serde(flatten)]
    landmarks: Landmarks,
    t_cap: f64,
    t_cap_seconds: f64,
    k_handoff: Option<u32>,
    supporting_at_tg: f64,
    peers_at_tg: f64,
    assignment: Option<Assignment>,
    reject_by_interval: Vec<f64>,
    supporting_by_interval: Vec<serde_json::Number>,
    capacity_by_interval: Vec<f64>,
}

/// Answers.
pub fn run(args: &Args) -> Result<()> {
    let growth = args.cluster.growth()?;
    let answer = answer(args, growth)?;
    args.form.print(&answer, &sheet(&answer), || charts::bandwidth(&args.cluster, growth))
}

fn answer(args: &Args, growth: Growth) -> Result<Answer> {
    let cluster = &args.cluster;
    let seconds = |intervals: f64| intervals * cluster.length.get();
    let mut answer = Answer {
        server_bandwidth: cluster.server_bandwidth.get(),
        rate: cluster.rate.get(),
        contribution: cluster.contribution.get(),
        arrivals: cluster.arrivals.get(),
        length: cluster.length.get(),
        offered: growth.offered_sessions(),
        demand: growth.demand_bps(),
        growth: growth.factor(),
        landmarks: Landmarks::new(growth, cluster),
        t_cap: growth.capacity_reached_intervals(),
        t_cap_seconds: seconds(growth.capacity_reached_intervals()),
        k_handoff: growth.handoff_interval(),
        supporting_at_tg: growth.supporters_at_guarantee(),
        peers_at_tg: growth.peers_at_guarantee(),
        assignment: args.assignment,
        reject_by_interval: Vec::new(),
        supporting_by_interval: Vec::new(),
        capacity_by_interval: Vec::new(),
    };
    match args.assignment {
        None => fluid(&mut answer, growth, args.intervals),
        Some(assignment) => whole(&mut answer, assignment, growth, args.intervals)?,
    }
    Ok(answer)
}

/// The fluid recursion, until two intervals after K.
fn fluid(answer: &mut Answer, growth: Growth, intervals: Option<u32>) {
    for interval in Fluid::new(growth).take(told_intervals(growth, intervals) as usize) {
        answer.reject_by_interval.push(interval.rejected);
        answer.supporting_by_interval.extend(serde_json::Number::from_f64(interval.supporters));
        answer.capacity_by_interval.push(interval.capacity_bps);
    }
}

/// The recursion in whole sessions, which holds as long as requests are refused: the list ends there.
fn whole(answer: &mut Answer, assignment: Assignment, growth: Growth, intervals: Option<u32>) -> Result<()> {
    let bits = |rate: f64| rate.round() as u64;
    let session = NonZeroU64::new(bits(answer.rate)).context("--rate must be at least 1 bit/s with --assignment")?;
    let recursion =
        WholeSessions::new(bits(answer.server_bandwidth), session, bits(answer.contribution), assignment.into());
    // Whole sessions grow slower than flows: K comes later, if at all.
    let until = growth.first_full_interval().map_or_else(|| told_intervals(growth, None), |_| TOLD_INTERVALS_MAX);
    let mut peers = recursion.take(intervals.unwrap_or(until) as usize + 1).peekable();
    while let Some(supporters) = peers.next() {
        let served = peers.peek().map_or(f64::INFINITY, |next| (next - supporters) as f64) / answer.offered;
        if served >= 1.0 {
            break;
        }
        answer.reject_by_interval.push(1.0 - served);
        answer.supporting_by_interval.push(supporters.into());
        answer.capacity_by_interval.push(answer.server_bandwidth + answer.contribution * supporters as f64);
    }
    Ok(())
}

const COLUMNS: [Column; 4] = [
    Column { key: "interval", heading: "interval", tell: grouped },
    Column { key: "supporting", heading: "supporting peers", tell: number },
    Column { key: "capacity", heading: "capacity", tell: rate },
    Column { key: "reject", heading: "refused", tell: percent },
];

fn sheet(answer: &Answer) -> Sheet {
    let mut sheet = Sheet::new(&COLUMNS);
    let at = |intervals: f64, seconds: f64| match intervals {
        never if never.is_infinite() => "never".into(),
        _ => format!("{intervals:.4} intervals, {}", duration(seconds)),
    };
    sheet.fact("offered sessions, a", number(answer.offered));
    sheet.fact("demand, D", rate(answer.demand));
    sheet.fact("growth per interval, g", format!("{:.4}", answer.growth));
    let it = &answer.landmarks;
    sheet.fact("server is full, t_0", at(it.t0, it.t0_seconds));
    sheet.fact("capacity meets demand, t_g", at(it.tg, it.tg_seconds));
    let full = |(k, seconds): (u32, f64)| format!("{k} intervals, {}", duration(seconds));
    sheet.fact("nobody refused from, K", it.k.zip(it.k_seconds).map_or("never".into(), full));
    sheet.fact("capacity there by the clock, T_cap", at(answer.t_cap, answer.t_cap_seconds));
    let handoff = |k: u32| format!("{k} intervals, {}", duration(f64::from(k) * answer.length));
    sheet.fact("peers alone suffice, K_h", answer.k_handoff.map_or("never".into(), handoff));
    sheet.fact("supporting peers at t_g", number(answer.supporting_at_tg));
    sheet.fact("peers at t_g", number(answer.peers_at_tg));
    sheet.fact("refused in all", number(it.rejected_total));
    let rows = answer.reject_by_interval.iter().zip(&answer.supporting_by_interval).zip(&answer.capacity_by_interval);
    for (k, ((reject, supporting), capacity)) in rows.enumerate() {
        sheet.row(&[Some(k as f64), supporting.as_f64(), Some(*capacity), Some(*reject)]);
    }
    if it.t0.is_finite() && it.tg < it.t0 {
        sheet.note("t_g is before t_0, and yet the server is full from t_0 until K: nobody has seen all before.");
    }
    if answer.assignment.is_some() {
        sheet.note("In whole sessions, as long as requests are refused. The lines above are for flows.");
    }
    sheet
}

//! `trellis model bounds`: what can nobody do better? The highest rate for all, the least a server sends, the shortest
//! delay, and how probable it is that a varying audience is served.

use std::num::{NonZeroU32, NonZeroU64};

use anyhow::{Context, Result};
use serde::Serialize;
use trellis_model::bounds::{Losses, rate_bps_max, server_bps_min};
use trellis_model::delay::{self, Givers, Spreading};
use trellis_model::universal::{Audience, Universal};
use trellis_model::{Bits, Bps, InputError, Seconds, Share};
use trellis_plot::{Chart, Ink, Mark};

use super::charts::{self, Load};
use super::input::{self, Mix, seconds, share, some_bps, some_seconds};
use super::output::{Form, Sheet, duration, grouped, number, percent, rate, rate_in_text};

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = input::any_text)]
pub struct Args {
    /// u_s: what the server can send, bit/s
    #[arg(long, value_name = "RATE", value_parser = some_bps)]
    server_bandwidth: Bps,
    /// r: the stream's, bit/s
    #[arg(long, value_name = "RATE", value_parser = some_bps)]
    rate: Bps,
    /// n: how many watch
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    peers: u32,
    /// u_i: what they can send, by shares, such as 40%:0,60%:5M; or one rate for all
    #[arg(long, value_name = "MIX")]
    upload_mix: Mix,
    /// η: which share of uploads can be put to use
    #[arg(long, value_name = "SHARE", default_value = "100%", value_parser = share)]
    utilization: Share,
    /// h: what is sent beside the media, as a share of it
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    overhead: Share,
    /// How long a chunk plays: it is passed on only when it is whole
    #[arg(long, value_name = "TIME", default_value = "333ms", value_parser = some_seconds)]
    chunk: Seconds,
    /// From one peer to the next
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = seconds)]
    latency: Seconds,
    /// To how many a peer passes a chunk at most
    #[arg(long, value_name = "COUNT", default_value_t = FAN_OUT)]
    fan_out: NonZeroU32,
    #[command(flatten)]
    form: Form,
}

const FAN_OUT: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The answer, as in docs/model.md.
#[derive(Debug, Serialize)]
struct Answer {
    server_bandwidth: f64,
    rate: f64,
    peers: u32,
    upload_mean: f64,
    r_max: f64,
    feasible: bool,
    server_min: f64,
    server_min_ideal: f64,
    server_share: f64,
    delay_slots: u32,
    delay_slots_file: u32,
    delay_slots_fan_out: u64,
    delay_rounds_random: f64,
    slot_seconds: Option<f64>,
    delay_seconds: Option<f64>,
    universal: Option<f64>,
    universal_gauss: Option<f64>,
    critical_ratio: Option<f64>,
}

/// Answers.
pub fn run(args: &Args) -> Result<()> {
    let answer = answer(args)?;
    args.form.print(&answer, &sheet(&answer), || chart(args, &answer))
}

fn answer(args: &Args) -> Result<Answer> {
    let (server, rate, peers) = (args.server_bandwidth, args.rate, args.peers);
    let upload = args.upload_mix.mean()?;
    let all = Bps::new(upload.get() * f64::from(peers))?;
    let server_min = server_bps_min(rate, peers, all, losses(args));
    let chunk = Bits::new(rate.get() * args.chunk.get()).context("--rate times --chunk")?;
    let fastest = args.upload_mix.0.iter().filter(|part| part.0 > 0.0).map(|part| part.1.get()).fold(0.0, f64::max);
    let universal = universal(args)?;
    // Every new bit leaves the server once, however much peers give.
    let new_fits = server.get() >= each_bps(args);
    Ok(Answer {
        server_bandwidth: server.get(),
        rate: rate.get(),
        peers,
        upload_mean: upload.get(),
        r_max: rate_bps_max(server, &vec![upload; peers as usize]),
        feasible: server.get() >= server_min,
        server_min,
        server_min_ideal: server_bps_min(rate, peers, all, Losses::none()),
        server_share: server_min / (rate.get() * f64::from(peers)),
        delay_slots: delay::stream_slots(peers.into()),
        delay_slots_file: delay::file_slots(peers.into(), 1),
        delay_slots_fan_out: delay::fan_out_slots(peers.into(), args.fan_out),
        delay_rounds_random: delay::random_push_rounds(peers.into()),
        slot_seconds: (fastest > 0.0).then(|| chunk.get() / fastest),
        delay_seconds: delay_s(args, chunk).context("--latency, --chunk or --rate")?,
        universal: universal.map(|it| if new_fits { it.probability() } else { 0.0 }),
        universal_gauss: universal.map(|it| if new_fits { it.probability_gauss() } else { 0.0 }),
        critical_ratio: universal.map(|it| it.critical_ratio()),
    })
}

fn losses(args: &Args) -> Losses {
    Losses { utilization: args.utilization, overhead: args.overhead }
}

/// A source sends as many copies of each chunk as it has room for, one at least.
fn delay_s(args: &Args, chunk: Bits) -> Result<Option<f64>, InputError> {
    let count = |share: f64| (share * f64::from(args.peers)).ceil() as u64;
    let giver = |(share, upload): &(f64, Bps)| Givers { upload: *upload, count: count(*share) };
    let givers: Vec<_> = args.upload_mix.0.iter().map(giver).collect();
    let (server, latency, peers) = (args.server_bandwidth, args.latency, args.peers.into());
    let copies = NonZeroU64::new((server.get() / args.rate.get()) as u64).unwrap_or(NonZeroU64::MIN);
    Spreading { chunk, server, givers: &givers, latency, peers, copies }.floor_s()
}

/// Two kinds, those who give more than they take and those who give less, with what is lost of both, each with the mean of
/// its kind; None when there is only one.
fn universal(args: &Args) -> Result<Option<Universal>> {
    let rate = Bps::new(each_bps(args)).context("--rate with --overhead")?;
    let mix = args.upload_mix.used(args.utilization);
    let [strong, weak] = [true, false].map(|strong| mix.of(rate, strong));
    let Some(((strong_share, strong), (weak_share, weak))) = strong.zip(weak) else { return Ok(None) };
    let n = f64::from(args.peers);
    let audience = Audience {
        server: args.server_bandwidth,
        rate,
        strong,
        weak,
        strong_mean: strong_share * n,
        weak_mean: weak_share * n,
    };
    Ok(Some(Universal::new(audience).context("--upload-mix")?))
}

/// r(1 + h).
fn each_bps(args: &Args) -> f64 {
    args.rate.get() * (1.0 + args.overhead.get())
}

/// The server's load over audiences of that mix, and up to which one this server has enough.
fn chart(args: &Args, answer: &Answer) -> Chart {
    let least = |losses: Losses| {
        move |n: u64| {
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            let all = Bps::new(answer.upload_mean * f64::from(n)).unwrap_or_default();
            server_bps_min(args.rate, n, all, losses)
        }
    };
    let (alone, ideal, real) = (|n: u64| n as f64 * each_bps(args), least(Losses::none()), least(losses(args)));
    let mut lines: Vec<Load<'_>> =
        vec![("the server sends all", Ink::Gray, &alone), ("the least, without losses", Ink::Green, &ideal)];
    if losses(args) != Losses::none() {
        lines.push(("the least, with losses", Ink::Blue, &real));
    }
    let subtitle = format!(
        "r = {}, u = {} on average, η = {}, h = {}",
        rate_in_text(answer.rate),
        rate_in_text(answer.upload_mean),
        percent(args.utilization.get()),
        percent(args.overhead.get())
    );
    let mut chart =
        charts::over_audience("The least a server sends for a live stream", subtitle, answer.peers.into(), &lines);
    let (scale, _) = charts::scale(alone(2 * u64::from(answer.peers)));
    let this = format!("this server, {}", rate_in_text(answer.server_bandwidth));
    chart.marks.push(Mark::Across(this, answer.server_bandwidth / scale));
    chart
}

fn sheet(answer: &Answer) -> Sheet {
    let mut sheet = Sheet::new(&[]);
    sheet.fact("highest rate for all, r_max", rate(answer.r_max));
    sheet.fact(
        "least the server sends",
        format!("{} ({} of demand)", rate(answer.server_min), percent(answer.server_share)),
    );
    sheet.fact("  without losses", rate(answer.server_min_ideal));
    sheet.fact("does this server suffice?", if answer.feasible { "yes" } else { "no" });
    sheet.fact("shortest delay to the last peer", answer.delay_seconds.map_or("–".into(), duration));
    sheet.fact("  a slot: a chunk through the fastest uplink", answer.slot_seconds.map_or("–".into(), duration));
    sheet.fact("  slots among equals, each chunk from the source once", grouped(answer.delay_slots.into()));
    sheet.fact("  slots when the source repeats", grouped(answer.delay_slots_file.into()));
    sheet.fact("  slots with that fan-out", grouped(answer.delay_slots_fan_out as f64));
    sheet.fact("  rounds of random pushing", number(answer.delay_rounds_random));
    if let (Some(exact), Some(gauss), Some(ratio)) = (answer.universal, answer.universal_gauss, answer.critical_ratio) {
        sheet.fact("all served, when numbers vary", format!("{} ({} by a bell curve)", percent(exact), percent(gauss)));
        sheet.fact("  strong per weak viewer needed", number(ratio));
    }
    sheet
}

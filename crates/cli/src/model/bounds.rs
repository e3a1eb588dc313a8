//! `trellis model bounds`: what can nobody do better? The highest rate for all, the least a server sends, the shortest
//! delay, and how probable it is that a varying audience is served.

use std::num::NonZeroU32;

use anyhow::{Context, Result};
use serde::Serialize;
use trellis_model::bounds::{Losses, rate_bps_max, server_bps_min};
use trellis_model::universal::{Audience, Universal};
use trellis_model::{Bits, Bps, Seconds, Share, delay};

use super::input::{Mix, seconds, share, some_bps, some_seconds};
use super::output::{Form, Sheet, duration, grouped, number, percent, rate};

/// Options.
#[derive(Debug, clap::Args)]
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
    args.form.print(&answer, &sheet(&answer))
}

fn answer(args: &Args) -> Result<Answer> {
    let (server, rate, peers) = (args.server_bandwidth, args.rate, args.peers);
    let upload = args.upload_mix.mean()?;
    let all = Bps::new(upload.get() * f64::from(peers))?;
    let losses = Losses { utilization: args.utilization, overhead: args.overhead };
    let server_min = server_bps_min(rate, peers, all, losses);
    let chunk = Bits::new(rate.get() * args.chunk.get())?;
    let gives = upload.get() > 0.0;
    let floor = || delay::floor_with_latency_s(chunk, server, upload, args.latency, peers.into());
    let universal = universal(args)?;
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
        slot_seconds: gives.then(|| chunk.get() / upload.get()),
        delay_seconds: if gives { Some(floor().context("--latency, --chunk or --rate")?) } else { None },
        universal: universal.map(|it| it.probability()),
        universal_gauss: universal.map(|it| it.probability_gauss()),
        critical_ratio: universal.map(|it| it.critical_ratio()),
    })
}

/// Two kinds, those who give more than they take and those who give less, each with the mean of its kind; None when there
/// is only one.
fn universal(args: &Args) -> Result<Option<Universal>> {
    let [strong, weak] = [true, false].map(|strong| args.upload_mix.of(args.rate, strong));
    let Some(((strong_share, strong), (weak_share, weak))) = strong.zip(weak) else { return Ok(None) };
    let n = f64::from(args.peers);
    let audience = Audience {
        server: args.server_bandwidth,
        rate: args.rate,
        strong,
        weak,
        strong_mean: strong_share * n,
        weak_mean: weak_share * n,
    };
    Ok(Some(Universal::new(audience).context("--upload-mix")?))
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
    let seconds = answer.delay_seconds.map_or("–".into(), duration);
    sheet.fact("shortest delay to the last peer", format!("{seconds} ({} slots)", grouped(answer.delay_slots.into())));
    sheet.fact("  a slot: a chunk through an uplink", answer.slot_seconds.map_or("–".into(), duration));
    sheet.fact("  slots when the source repeats", grouped(answer.delay_slots_file.into()));
    sheet.fact("  slots with that fan-out", grouped(answer.delay_slots_fan_out as f64));
    sheet.fact("  rounds of random pushing", number(answer.delay_rounds_random));
    if let (Some(exact), Some(gauss), Some(ratio)) = (answer.universal, answer.universal_gauss, answer.critical_ratio) {
        sheet.fact("all served, when numbers vary", format!("{} ({} by a bell curve)", percent(exact), percent(gauss)));
        sheet.fact("  strong per weak viewer needed", number(ratio));
    }
    sheet
}

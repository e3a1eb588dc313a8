//! `trellis model figures`: how do the paper's Figures 2 and 3 look for these parameters?

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use trellis_model::event::{Summary, TallySummary};
use trellis_model::{Fluid, Growth, Interval, Sharing};
use trellis_plot::{Chart, Ink, Mark, Points};

use super::input::Cluster;
use super::output::{duration, rate_in_text as rate, trimmed};
use super::simulation::Series;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: Cluster,
    /// Folder for figure2.svg, figure2.png, figure3.svg and figure3.png; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many runs of the event simulation are drawn over Figure 3; 0 for none; 20 by default, fewer if that takes long
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    runs: Option<u32>,
    /// Of the first run; the others have the numbers after it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Intervals shown when everybody is never served.
const ENDLESS_INTERVALS: u32 = 12;
/// Intervals shown at most.
const SHOWN_INTERVALS_MAX: u32 = 200;
/// Runs drawn when not said.
const RUNS: u32 = 20;
/// Steps of a curve.
const FINE: u32 = 200;

/// Draws them.
pub fn run(args: &Args) -> Result<()> {
    let growth = args.cluster.growth()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("--out {}", args.out.display()))?;
    let simulated = simulated(args, growth)?;
    for (name, chart) in [("figure2", bandwidth(args, growth)), ("figure3", rejection(args, growth, simulated))] {
        let svg = args.out.join(name).with_extension("svg");
        std::fs::write(&svg, chart.svg()?).with_context(|| svg.display().to_string())?;
        let png = svg.with_extension("png");
        std::fs::write(&png, chart.png()?).with_context(|| png.display().to_string())?;
        println!("{}\n{}", svg.display(), png.display());
    }
    Ok(())
}

/// Figure 2: bandwidth against time, in three stages.
fn bandwidth(args: &Args, growth: Growth) -> Chart {
    let end = shown(growth, 3);
    let (t0, tg) = (growth.saturation_intervals().min(end), growth.guarantee_intervals().min(end));
    let (scale, unit) = scale(growth.capacity_bps(end).max(growth.demand_bps()));
    let curve = |from: f64, to: f64| sampled(from, to, |t| growth.capacity_bps(t) / scale);
    let server = growth.capacity_bps(0.0) / scale;
    let mut marks = Vec::new();
    if t0 < tg {
        marks.push(Mark::Shades("no guarantee".into(), Ink::Gray, vec![(t0, tg)]));
        marks.push(Mark::Line("server only".into(), Ink::Green, vec![(0.0, server), (t0, server)]));
        marks.push(Mark::Line("server and peers".into(), Ink::Blue, curve(t0, tg)));
    }
    if tg == 0.0 {
        marks.push(Mark::Line("server and peers".into(), Ink::Blue, curve(0.0, end)));
    } else if tg < end {
        marks.push(Mark::Line("mostly peers".into(), Ink::Orange, curve(tg, end)));
    }
    marks.push(Mark::Across(format!("demand {}", rate(growth.demand_bps())), growth.demand_bps() / scale));
    marks.extend(guides(args, growth, end));
    Chart {
        title: "Bandwidth of the cluster against time".into(),
        subtitle: subtitle(args),
        x_name: x_name(args),
        y_name: format!("bandwidth, {unit}"),
        marks,
        ..Chart::default()
    }
}

/// Figure 3: which share of requests is refused, at each time and on average.
fn rejection(args: &Args, growth: Growth, simulated: Option<Summary>) -> Chart {
    let end = shown(growth, 1);
    let intervals: Vec<_> = Fluid::new(growth).take(end as usize).collect();
    let refused = |it: &Interval| (f64::from(it.number) + it.served, f64::from(it.number) + 1.0);
    let saw_tooth = intervals.iter().filter(|it| it.rejected > 0.0).map(refused).collect();
    let step = |it: &Interval| [0.0, 1.0].map(|side| (f64::from(it.number) + side, it.rejected * 100.0));
    let mut marks = vec![
        Mark::Shades("all refused".into(), Ink::Gray, saw_tooth),
        Mark::Line("of each interval, R_k".into(), Ink::Green, intervals.iter().flat_map(step).collect()),
    ];
    let (t0, tg) = (growth.saturation_intervals().min(end), growth.guarantee_intervals().min(end));
    let mut average = vec![(0.0, 0.0), (t0, 0.0)];
    average.extend(sampled(t0, tg, |t| (1.0 - growth.capacity_bps(t) / growth.demand_bps()).max(0.0) * 100.0));
    average.extend([(tg, 0.0), (end, 0.0)]);
    marks.push(Mark::Line("at each time, R(t)".into(), Ink::Blue, average));
    marks.extend(simulated.iter().flat_map(counted));
    marks.extend(guides(args, growth, end));
    Chart {
        title: "Requests refused against time".into(),
        subtitle: subtitle(args),
        x_name: x_name(args),
        y_name: "refused, %".into(),
        y_max: Some(105.0),
        marks,
    }
}

/// The event simulation over Figure 3's intervals.
fn simulated(args: &Args, growth: Growth) -> Result<Option<Summary>> {
    let intervals = shown(growth, 1) as u32;
    let affordable = || Series::affordable(&args.cluster, intervals, RUNS);
    let runs = args.runs.unwrap_or_else(affordable);
    ensure!(args.runs != Some(1), "--runs 1 tells nothing of how runs scatter: take 0 for none, or at least 2");
    if args.runs.is_none() && runs < 2 {
        eprintln!(
            "too many requests to simulate in passing: Figure 3 is drawn without; --runs 2 simulates all the same"
        );
    }
    let series = Series { runs, seed: args.seed, sharing: Sharing::Strict, intervals };
    if runs < 2 { Ok(None) } else { series.run(&args.cluster).map(Some) }
}

/// What share of each interval's requests was refused: on average, and where 95 in 100 runs are.
fn counted(summary: &Summary) -> [Mark; 2] {
    let percent = |share: f64| (share * 100.0).clamp(0.0, 100.0);
    let band = |it: &TallySummary| {
        let (low, high) = it.rejected.band_95();
        [it.from, it.until].map(|side| (side, percent(low), percent(high)))
    };
    let middle = |it: &TallySummary| ((it.from + it.until) / 2.0, percent(it.rejected.mean));
    let intervals = || summary.intervals.iter().filter(|it| it.rejected.runs > 1);
    [
        Mark::Band(
            format!("simulated: 95 % of {} runs", summary.runs),
            Ink::Orange,
            intervals().flat_map(band).collect(),
        ),
        Mark::Dots("their mean".into(), Ink::Orange, intervals().map(middle).collect()),
    ]
}

/// t_0, t_g and K, as far as they are shown.
fn guides(args: &Args, growth: Growth, end: f64) -> Vec<Mark> {
    let length = args.cluster.length.get();
    let k = growth.first_full_interval().map_or(f64::INFINITY, f64::from);
    let all = [("t₀", growth.saturation_intervals()), ("t_g", growth.guarantee_intervals()), ("K", k)];
    let shown = all.into_iter().filter(|(_, at)| (0.0..=end).contains(at) && *at > 0.0);
    shown.map(|(name, at)| Mark::Upwards(format!("{name} = {}", duration(at * length)), at)).collect()
}

/// How many intervals are shown: so many beyond K.
fn shown(growth: Growth, beyond: u32) -> f64 {
    growth.first_full_interval().map_or(ENDLESS_INTERVALS, |k| k.saturating_add(beyond)).min(SHOWN_INTERVALS_MAX).into()
}

fn sampled(from: f64, to: f64, value: impl Fn(f64) -> f64) -> Points {
    let at = |step: u32| from + (to - from) * f64::from(step) / f64::from(FINE);
    (0..=FINE).map(|step| (at(step), value(at(step)))).collect()
}

/// In which unit a bandwidth is best told.
fn scale(most: f64) -> (f64, &'static str) {
    match most {
        2e12.. => (1e12, "Tbit/s"),
        2e9.. => (1e9, "Gbit/s"),
        2e6.. => (1e6, "Mbit/s"),
        _ => (1e3, "kbit/s"),
    }
}

fn subtitle(args: &Args) -> String {
    let it = &args.cluster;
    format!(
        "B = {}, β = {}, α = {}, λ = {}/s, L = {}",
        rate(it.server_bandwidth.get()),
        rate(it.rate.get()),
        rate(it.contribution.get()),
        trimmed(it.arrivals.get(), 4),
        duration(it.length.get())
    )
}

fn x_name(args: &Args) -> String {
    format!("time, intervals of {}", duration(args.cluster.length.get()))
}

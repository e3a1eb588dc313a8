//! `trellis model reject`: who is refused, and when? R_k of each interval, the saw-tooth inside it, R(t) on average, and
//! beside them what the event simulation counts.

use anyhow::Result;
use serde::Serialize;
use trellis_model::event::Summary;
use trellis_model::{Fluid, Growth};

use super::charts;
use super::input::{self, Assignment, Cluster};
use super::landmarks::{Landmarks, told_intervals};
use super::output::{Column, Form, Sheet, duration, grouped, number, percent};
use super::simulation::{Measured, Series};

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = input::any_text)]
pub struct Args {
    #[command(flatten)]
    cluster: Cluster,
    /// Simulate the process itself so many times, request by request, and tell what came of it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    runs: Option<u32>,
    /// Of the first run; the others have the numbers after it
    #[arg(long, default_value_t = 1, requires = "runs")]
    seed: u64,
    /// Who may serve one session in these runs
    #[arg(long, default_value = "strict", requires = "runs")]
    assignment: Assignment,
    /// How many intervals; by default until two after everybody is served
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    intervals: Option<u32>,
    /// Points of R(t) in each interval, in the JSON
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    steps: u32,
    #[command(flatten)]
    form: Form,
}

/// The answer, as in docs/model.md.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    landmarks: Landmarks,
    reject_by_interval: Vec<f64>,
    full_at: Vec<f64>,
    curve: Vec<Point>,
    simulated: Option<Simulated>,
}

#[derive(Debug, Serialize)]
struct Point {
    t: f64,
    average: f64,
    refused: bool,
}

#[derive(Debug, Serialize)]
struct Simulated {
    runs: u64,
    seed: u64,
    assignment: Assignment,
    confidence: f64,
    first_refusal: Measured,
    last_refusal: Measured,
    t_cap: Measured,
    rejected_total: Measured,
    reject_by_interval: Vec<Measured>,
}

/// Answers.
pub fn run(args: &Args) -> Result<()> {
    let growth = args.cluster.growth()?;
    let intervals = told_intervals(growth, args.intervals);
    let summary = args.runs.map(|runs| series(args, runs, intervals).run(&args.cluster)).transpose()?;
    let answer = answer(args, growth, intervals, summary.as_ref());
    let chart = || charts::rejection(&args.cluster, growth, intervals, summary.as_ref());
    args.form.print(&answer, &sheet(args, &answer), chart)
}

fn answer(args: &Args, growth: Growth, intervals: u32, summary: Option<&Summary>) -> Answer {
    let fluid: Vec<_> = Fluid::new(growth).take(intervals as usize).collect();
    let at = |step: u32| f64::from(step) / f64::from(args.steps);
    let point = |t: f64| Point { t, average: growth.rejection(t), refused: growth.is_refused(t) };
    Answer {
        landmarks: Landmarks::new(growth, &args.cluster),
        reject_by_interval: fluid.iter().map(|it| it.rejected).collect(),
        full_at: fluid.iter().map(|it| f64::from(it.number) + it.served).collect(),
        curve: (0..=intervals * args.steps).map(|step| point(at(step))).collect(),
        simulated: summary.map(|summary| simulated(args, summary)),
    }
}

fn series(args: &Args, runs: u32, intervals: u32) -> Series {
    Series { runs, seed: args.seed, sharing: args.assignment.into(), intervals }
}

fn simulated(args: &Args, summary: &Summary) -> Simulated {
    let Summary { runs, first_refusal, last_refusal, capacity_reached, refused, intervals, .. } = summary;
    Simulated {
        runs: *runs,
        seed: args.seed,
        assignment: args.assignment,
        confidence: 0.95,
        first_refusal: (*first_refusal).into(),
        last_refusal: (*last_refusal).into(),
        t_cap: (*capacity_reached).into(),
        rejected_total: (*refused).into(),
        reject_by_interval: intervals.iter().map(|it| it.rejected.into()).collect(),
    }
}

const COLUMNS: [Column; 7] = [
    Column { key: "interval", heading: "interval", tell: grouped },
    Column { key: "reject", heading: "refused", tell: percent },
    Column { key: "full_at", heading: "all refused from", tell: intervals },
    Column { key: "simulated", heading: "simulated", tell: percent },
    Column { key: "low", heading: "95 % from", tell: percent },
    Column { key: "high", heading: "to", tell: percent },
    Column { key: "sd", heading: "sd of a run", tell: percent },
];

fn intervals(number: f64) -> String {
    format!("{number:.4}")
}

fn sheet(args: &Args, answer: &Answer) -> Sheet {
    let simulated = answer.simulated.as_ref();
    let mut sheet = Sheet::new(&COLUMNS[..if simulated.is_some() { 7 } else { 3 }]);
    let length = args.cluster.length.get();
    let it = &answer.landmarks;
    sheet.fact("server is full, t_0", duration(it.t0_seconds));
    sheet.fact("last refusal about, K", it.k_seconds.map_or("never".into(), duration));
    sheet.fact("refused in all", number(it.rejected_total));
    if let Some(it) = simulated {
        let runs = it.runs;
        let told = |it: Measured| {
            if it.mean.is_nan() {
                return "never".into();
            }
            let [mean, low, high] = [it.mean, it.low, it.high].map(|at| duration(at * length));
            let of = if it.runs == runs { String::new() } else { format!(", of the {} runs that had one", it.runs) };
            format!("{mean} ({low} to {high}){of}")
        };
        sheet.fact("first refusal, simulated", told(it.first_refusal));
        sheet.fact("last refusal, simulated", told(it.last_refusal));
        let Measured { mean, low, high, .. } = it.rejected_total;
        sheet.fact("refused in all, simulated", format!("{} ({} to {})", number(mean), number(low), number(high)));
    }
    for (k, (reject, full_at)) in answer.reject_by_interval.iter().zip(&answer.full_at).enumerate() {
        let full_at = Some(*full_at).filter(|_| *reject > 0.0);
        let counted = simulated.and_then(|it| it.reject_by_interval.get(k));
        let counted = counted.map_or([None; 4], |it| [it.mean, it.low, it.high, it.sd].map(Some));
        sheet.row(&[[Some(k as f64), Some(*reject), full_at].as_slice(), &counted].concat()[..sheet.width()]);
    }
    if let Some(it) = simulated {
        sheet.note(format!(
            "{} runs from seed {}; in 95 of 100 such series the true mean lies between the bounds.",
            it.runs, it.seed
        ));
    }
    sheet
}

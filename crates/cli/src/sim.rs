//! `trellis sim`: what would a swarm do? Scenarios in virtual time, and what is different between two results.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use trellis_proto::frame::ChunkId;
use trellis_sim::{MeshKind, Options, Outcome, Report, Scenario, trace};

/// Options.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The scenarios, such as scenarios/reference.toml
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Run them cut down, as each says under `quick`
    #[arg(long)]
    quick: bool,
    /// How chunks travel between peers: hybrid, pull or trees; the scenario's by default
    #[arg(long)]
    mesh: Option<MeshKind>,
    /// From which all chance comes; the scenario's by default
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run with each of these seeds, such as 1..8 (8 is left out)
    #[arg(long, value_parser = parse_seeds)]
    seeds: Option<std::ops::Range<u64>>,
    /// Write the report as JSON, its keys as in the documentation of trellis_sim::Report; an array when there are several
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plots as SVG
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Tell everything about one chunk: part/rendition.layer/index, such as 120/0.0/5
    #[arg(long, value_parser = trace::parse_chunk)]
    trace_chunk: Option<ChunkId>,
    /// Tell everything about one viewer, numbered from 0
    #[arg(long, value_name = "VIEWER")]
    trace_peer: Option<u32>,
    /// Tell who stood still, when, for how long and for what
    #[arg(long)]
    trace_stalls: bool,
    /// Tell nothing of what happened before this second
    #[arg(long, value_name = "SECOND", default_value_t = 0)]
    trace_from: u64,
    /// Fail when a goal of the scenario is missed
    #[arg(long)]
    check: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell the difference between two results written with --json
    Compare {
        /// The one before
        base: PathBuf,
        /// The one after
        new: PathBuf,
    },
    /// Live through a tape again that a page or a peer recorded: the same inputs must lead to the same wishes
    Replay {
        /// The tape
        tape: PathBuf,
        /// Tell everything about one chunk: part/rendition.layer/index; every rescue and miss by default
        #[arg(long, value_parser = trace::parse_chunk)]
        chunk: Option<ChunkId>,
    },
}

/// Runs a scenario, or compares two results.
pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        Some(Command::Compare { base, new }) => return compare(base, new),
        Some(Command::Replay { tape, chunk }) => return replay(tape, *chunk),
        None => {}
    }
    let load = if args.quick { Scenario::load_quick } else { Scenario::load };
    let scenarios = args.scenarios.iter().map(|path| load(path).with_context(|| path.display().to_string()));
    let mut reports = Vec::new();
    for mut scenario in scenarios.collect::<Result<Vec<_>>>()? {
        scenario.mesh = args.mesh.unwrap_or(scenario.mesh);
        simulate(args, &scenario, &mut reports)?;
    }
    finish(args, &reports)
}

fn compare(base: &Path, new: &Path) -> Result<()> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    print!("{}", trellis_sim::compare(&read(base)?, &read(new)?).map_err(anyhow::Error::msg)?);
    Ok(())
}

fn replay(tape: &Path, chunk: Option<ChunkId>) -> Result<()> {
    let bytes = std::fs::read(tape).with_context(|| format!("cannot read {}", tape.display()))?;
    let (replayed, account) = trellis_sim::replay(&bytes, chunk, |line| println!("{line}"))?;
    println!(
        "the same: {} inputs led to {} wishes in {:.1} s; {} parts whole, {} chunks given, {} rescued, {} asked of others, {} parts \
         not whole when due",
        replayed.inputs,
        replayed.outputs,
        replayed.lasted.as_secs_f64(),
        account.parts,
        account.given,
        account.rescues,
        account.pulls,
        account.missed
    );
    Ok(())
}

/// Runs a scenario with each seed asked for.
fn simulate(args: &Args, scenario: &Scenario, reports: &mut Vec<Report>) -> Result<()> {
    let seeds = match (&args.seeds, args.seed) {
        (Some(seeds), _) => seeds.clone(),
        (None, seed) => seed.map_or(scenario.seed..scenario.seed + 1, |seed| seed..seed + 1),
    };
    for seed in seeds {
        let (report, outcome) = one(args, scenario, seed)?;
        outcome.lines.iter().for_each(|line| println!("{line}"));
        print!("{}", report.table());
        if let Some(folder) = &args.plots {
            report.plot(&outcome, folder)?;
        }
        reports.push(report);
    }
    Ok(())
}

/// Writes what is to be written, and says whether all is well.
fn finish(args: &Args, reports: &[Report]) -> Result<()> {
    if let Some(path) = &args.json {
        let text = match reports {
            [one] => one.json(),
            all => serde_json::to_string_pretty(all).context("reports serialise")?,
        };
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let broken = reports.iter().filter(|it| !it.violations.is_empty()).count();
    let regressed = reports.iter().filter(|it| !it.regressed.is_empty()).count();
    let missed = reports.iter().filter(|it| !it.failed.is_empty()).count();
    let said = format!(
        "of {} runs, {broken} broke a rule, {regressed} no longer held what held, {missed} missed a goal",
        reports.len()
    );
    if broken + regressed > 0 || args.check && missed > 0 {
        bail!(said);
    }
    println!("{said}");
    Ok(())
}

fn one(args: &Args, scenario: &Scenario, seed: u64) -> Result<(Report, Outcome)> {
    let filter = trace::Filter {
        chunk: args.trace_chunk,
        viewer: args.trace_peer,
        stalls: args.trace_stalls,
        from_s: args.trace_from,
    };
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(scenario.duration_s as u64)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} s, {msg} viewers, {eta} to go")?);
    bar.set_prefix(format!("{}, seed {seed}", scenario.name));
    bar.enable_steady_tick(Duration::from_millis(200));
    let result = trellis_sim::run(scenario, seed, Options { filter }, |sample| {
        bar.set_position(sample.at_s as u64);
        bar.set_message(sample.viewers.to_string());
    });
    bar.finish_and_clear();
    Ok(result?)
}

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    parsed.filter(|seeds| !seeds.is_empty()).ok_or_else(|| format!("`{text}` is not a range such as 1..8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_that_is_not_empty() {
        assert_eq!(parse_seeds("1..8"), Ok(1..8));
        assert!(["", "3", "5..5", "8..1", "a..b"].iter().all(|bad| parse_seeds(bad).is_err()));
    }
}

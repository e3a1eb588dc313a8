//! `trellis model report`: do closed form, event simulation and full protocol agree? Sets beside what `trellis sim` measured
//! in a scenario what the other two say, prints it or writes it into a document, and draws it.
//!
//! Invariant: the same scenario, measurements and code write the same bytes. In a document only what stands between the two
//! marks of that scenario is replaced.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use trellis_model::{Growth, Sharing};
use trellis_sim::{Report, Scenario, against};

use super::input::{self, Cluster};
use super::plot::File;
use super::simulation::Series;
use super::three_ways::ThreeWays;

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = input::any_text)]
pub struct Args {
    /// With a `[model]`, such as scenarios/growth.toml
    scenario: PathBuf,
    /// What `trellis sim SCENARIO --json FILE` wrote of it, with one seed or several
    #[arg(long, value_name = "FILE.json")]
    measured: PathBuf,
    /// Runs of the event simulation, from seed 1 on
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    runs: u32,
    /// Write it there, between the marks `<!-- three ways: NAME -->` and `<!-- end: NAME -->`, NAME being the scenario's
    #[arg(long, value_name = "FILE.md")]
    into: Option<PathBuf>,
    /// Folder for NAME-refused.svg and NAME-residual.svg; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs, tells, draws.
pub fn run(args: &Args) -> Result<()> {
    let scenario = Scenario::load(&args.scenario).with_context(|| args.scenario.display().to_string())?;
    let ways = three_ways(args, &scenario)?;
    if let Some(folder) = &args.out {
        draw(&ways, &scenario.name, folder)?;
    }
    match &args.into {
        None => print!("{}", ways.tables()),
        Some(path) => write_between(path, &scenario.name, &ways.tables())?,
    }
    Ok(())
}

fn three_ways(args: &Args, scenario: &Scenario) -> Result<ThreeWays> {
    let model = scenario.model.context("the scenario has no `[model]`")?;
    let offer = against::offer(scenario, &model)?;
    let cluster = Cluster {
        server_bandwidth: offer.server,
        rate: offer.session,
        contribution: offer.support,
        arrivals: offer.arrivals,
        length: offer.length,
    };
    let intervals = (scenario.duration_s / model.interval_s) as u32;
    let events = Series { runs: args.runs, seed: 1, sharing: Sharing::Strict, intervals }.run(&cluster)?;
    Ok(ThreeWays {
        growth: Growth::new(offer)?,
        cluster,
        intervals,
        events,
        protocol: measured(&args.measured, scenario)?,
        goal: scenario.goal.reject_residual_max,
    })
}

/// What was measured of this scenario.
fn measured(path: &Path, scenario: &Scenario) -> Result<Vec<Report>> {
    let told = || format!("--measured {}", path.display());
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).with_context(told)?).with_context(told)?;
    let all = if json.is_array() { json } else { Value::Array(vec![json]) };
    let all: Vec<Report> = serde_json::from_value(all).with_context(told)?;
    let of_it = |report: &Report| report.scenario == scenario.name && report.model.is_some();
    ensure!(!all.is_empty() && all.iter().all(of_it), "{} is not of {}", told(), scenario.name);
    Ok(all)
}

fn draw(ways: &ThreeWays, name: &str, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("--out {}", folder.display()))?;
    for (what, chart) in [("refused", ways.refused()), ("residual", ways.residual())] {
        File::new(&folder.join(format!("{name}-{what}.svg"))).map_err(anyhow::Error::msg)?.write(&chart)?;
    }
    Ok(())
}

fn write_between(path: &Path, name: &str, text: &str) -> Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| format!("--into {}", path.display()))?;
    let document = between(&document, name, text)
        .with_context(|| format!("--into {} has no two marks for {name}", path.display()))?;
    std::fs::write(path, document).with_context(|| format!("--into {}", path.display()))
}

/// The document with this text between the marks; None: they are not there.
fn between(document: &str, name: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(&format!("<!-- three ways: {name} -->\n"))?;
    let (_, after) = rest.split_once(&format!("<!-- end: {name} -->\n"))?;
    Some(format!("{before}<!-- three ways: {name} -->\n{text}<!-- end: {name} -->\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let document = "a\n<!-- three ways: g -->\nold\n<!-- end: g -->\nb\n";
        let new = between(document, "g", "new\n").unwrap();
        assert_eq!(new, document.replace("old", "new"));
        assert_eq!(between(&new, "g", "new\n"), Some(new.clone()));
        assert_eq!(between(document, "h", "new\n"), None);
    }
}

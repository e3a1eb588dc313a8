//! `trellis model figures`: how do the paper's Figures 2 and 3 look for these parameters?

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use trellis_model::Sharing;
use trellis_model::event::Summary;

use super::input::Cluster;
use super::plot::File;
use super::simulation::Series;
use super::{charts, input};

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = input::any_text)]
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

/// Runs drawn when not said.
const RUNS: u32 = 20;

/// Draws them.
pub fn run(args: &Args) -> Result<()> {
    let growth = args.cluster.growth()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("--out {}", args.out.display()))?;
    let intervals = charts::shown(growth, 1);
    let simulated = simulated(args, intervals)?;
    let figures = [
        ("figure2", charts::bandwidth(&args.cluster, growth)),
        ("figure3", charts::rejection(&args.cluster, growth, intervals, simulated.as_ref())),
    ];
    for (name, chart) in figures {
        for extension in ["svg", "png"] {
            let path = args.out.join(name).with_extension(extension);
            File::new(&path).map_err(anyhow::Error::msg)?.write(&chart)?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// The event simulation over Figure 3's intervals. None, with a word on why, where it cannot run: the figures need it not.
fn simulated(args: &Args, intervals: u32) -> Result<Option<Summary>> {
    ensure!(args.runs != Some(1), "--runs 1 tells nothing of how runs scatter: take 0 for none, or at least 2");
    let runs = args.runs.unwrap_or_else(|| Series::affordable(&args.cluster, intervals, RUNS));
    let series = Series { runs, seed: args.seed, sharing: Sharing::Strict, intervals };
    let simulated = match series.process(&args.cluster) {
        _ if args.runs == Some(0) => return Ok(None),
        Err(why) => Err(why),
        Ok(_) if runs < 2 => Err(anyhow!("too many requests to simulate in passing; --runs 2 simulates all the same")),
        Ok(_) => series.run(&args.cluster),
    };
    if let Err(why) = &simulated {
        eprintln!("Figure 3 is drawn without the event simulation: {why:#}");
    }
    Ok(simulated.ok())
}

//! Runs a scenario without building the servers: `cargo run --release -p trellis-sim --example scenario -- FILE [SEED]
//! [--quick] [--mesh KIND] [--json FILE] [--trace-chunk PART/RENDITION.LAYER/INDEX] [--trace-peer N] [--trace-stalls]
//! [--trace-from S]`. The command `trellis sim` does more.

use std::path::Path;

use mimalloc::MiMalloc;
use trellis_sim::{Options, Scenario, trace};

/// A simulation holds millions of small things far apart: this allocator lays them in huge pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("which scenario?")?;
    let mut scenario = Scenario::load(Path::new(&file))?;
    let (mut seed, mut json, mut options) = (scenario.seed, None, Options::default());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => scenario = Scenario::load_quick(Path::new(&file))?,
            "--mesh" => scenario.mesh = args.next().ok_or("which mesh?")?.parse()?,
            "--json" => json = args.next(),
            "--trace-chunk" => options.filter.chunk = args.next().map(|it| trace::parse_chunk(&it)).transpose()?,
            "--trace-stalls" => options.filter.stalls = true,
            "--trace-from" => options.filter.from_s = args.next().ok_or("from which second?")?.parse()?,
            "--trace-peer" => options.filter.viewer = args.next().map(|it| it.parse()).transpose()?,
            other => seed = other.parse()?,
        }
    }
    let (report, outcome) = trellis_sim::run(&scenario, seed, options, |_| {})?;
    outcome.lines.iter().for_each(|line| println!("{line}"));
    print!("{}", report.table());
    if let Some(file) = json {
        std::fs::write(file, report.json())?;
    }
    Ok(())
}

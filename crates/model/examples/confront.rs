//! Do formula and process agree? The clusters of the golden numbers, simulated request by request, beside the fluid:
//! `cargo run --release -p trellis-model --example confront`.

use std::error::Error;
use std::time::Instant;

use trellis_model::event::{Process, Setup, Spread, Summary};
use trellis_model::{Bps, Growth, Offer, PerSecond, Seconds};

/// Name, B, β, α (kbit/s), λ, L, runs.
const CLUSTERS: [(&str, f64, f64, f64, f64, f64, u32); 4] = [
    ("P1", 100e3, 500.0, 250.0, 1.0, 3600.0, 20),
    ("P2", 10e3, 1000.0, 1000.0, 0.5, 2000.0, 40),
    ("P4", 5e3, 1000.0, 2000.0, 1.0, 2000.0, 40),
    ("P6", 125e3, 1000.0, 1000.0, 0.5, 2000.0, 40),
];

fn main() -> Result<(), Box<dyn Error>> {
    for (name, server, session, support, arrivals, length, runs) in CLUSTERS {
        let offer = Offer {
            server: Bps::new(server * 1e3)?,
            session: Bps::new(session * 1e3)?,
            support: Bps::new(support * 1e3)?,
            arrivals: PerSecond::new(arrivals)?,
            length: Seconds::new(length)?,
        };
        let growth = Growth::new(offer)?;
        let full = growth.first_full_interval().ok_or("no K")?;
        let began = Instant::now();
        let process = Process::new(Setup::new(offer, full + 3))?;
        let summary = Summary::of(&process.runs(1, runs, std::thread::available_parallelism()?, |_| ())?);
        println!("{name}: {runs} runs in {:.2} s", began.elapsed().as_secs_f64());
        line("t_0", growth.saturation_intervals(), summary.first_refusal);
        line("last refusal (K)", full.into(), summary.last_refusal);
        line("T_cap", growth.capacity_reached_intervals(), summary.capacity_reached);
        line("refused", growth.rejected_total(), summary.refused);
        for (fluid, found) in growth.intervals().zip(&summary.intervals) {
            line(&format!("R_{}", fluid.number), fluid.rejected, found.rejected);
        }
        line(&format!("S_{full}"), growth.supporters(full.into()), summary.intervals[full as usize].supporters);
    }
    Ok(())
}

fn line(what: &str, fluid: f64, found: Spread) {
    let (low, high) = found.mean_95();
    println!("  {what:18} {fluid:12.5}   {:12.5} ± {:9.5}   mean in [{low:.5}, {high:.5}]", found.mean, found.sd);
}

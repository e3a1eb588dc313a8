//! How is a scenario run? With the payload and the brain it names.

use std::time::Instant;

use crate::crypto::{Crypto, Real, Simulated};
use crate::machine::{Brain, Trellis};
use crate::plain::ServerOnly;
use crate::report::{Cost, Report};
use crate::scenario::{BrainKind, Invalid, Scenario};
use crate::world::{Options, Outcome, Sample, World};

/// Runs a scenario with a seed; `progress` hears of each simulated second.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    options: Options,
    progress: impl FnMut(&Sample),
) -> Result<(Report, Outcome), Invalid> {
    match scenario.is_real() {
        true => with_payload::<Real>(scenario, seed, options, progress),
        false => with_payload::<Simulated>(scenario, seed, options, progress),
    }
}

fn with_payload<C: Crypto>(
    scenario: &Scenario,
    seed: u64,
    options: Options,
    progress: impl FnMut(&Sample),
) -> Result<(Report, Outcome), Invalid> {
    match scenario.brain {
        BrainKind::Trellis => with_brain::<C, Trellis>(scenario, seed, options, progress),
        BrainKind::ServerOnly => with_brain::<C, ServerOnly>(scenario, seed, options, progress),
    }
}

fn with_brain<C: Crypto, B: Brain<C>>(
    scenario: &Scenario,
    seed: u64,
    options: Options,
    progress: impl FnMut(&Sample),
) -> Result<(Report, Outcome), Invalid> {
    forget_peak();
    let (start, busy) = (Instant::now(), busy_s());
    let outcome = World::<C, B>::new(scenario, seed, options)?.run(progress);
    let wall_s = start.elapsed().as_secs_f64();
    let took_s = busy.zip(busy_s()).map_or(wall_s, |(before, after)| after - before);
    let cost = Cost { wall_s, core_s: took_s, memory_bytes: peak_bytes() };
    Ok((Report::new(scenario, seed, &outcome, cost), outcome))
}

/// The most memory this process had since [`forget_peak`]. None: not on Linux.
fn peak_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kib: u64| kib * 1024)
}

/// Of several runs in one process, each has its own peak. Where that cannot be, the highest so far stands.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// For how long this thread has had a core, s. On a busy machine the wall's clock says little. None: not on Linux.
fn busy_s() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|ns| ns / 1e9)
}

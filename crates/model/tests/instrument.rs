//! The live instrument beside the process: counters of a young cluster, what they say of its future, and what came.

mod common;

use common::json;
use trellis_model::estimate::{Counters, Estimate, Ledger};
use trellis_model::event::{Process, Run, Setup};
use trellis_model::forecast::Forecast;
use trellis_model::{Bps, Growth, Offer, PerSecond, Seconds};

const LENGTH_S: f64 = 2000.0;
const BINS: u32 = 50;

#[test]
fn a_young_cluster_tells_its_future() {
    let v = &json()["growth"]["P2"];
    let rate = |key: &str| Bps::new(v[key].as_f64().unwrap() * 1e3).unwrap();
    let offer = Offer {
        server: rate("B"),
        session: rate("beta"),
        support: rate("alpha"),
        arrivals: PerSecond::new(0.5).unwrap(),
        length: Seconds::new(LENGTH_S).unwrap(),
    };
    let process = Process::new(Setup { bins: BINS, ..Setup::new(offer, 8) }).unwrap();
    let full = Growth::new(offer).unwrap().first_full_interval().unwrap();
    let (mut within, mut asked) = (0, 0);
    for run in process.runs(1, 60, 2.try_into().unwrap(), |_| ()).unwrap() {
        // How long films are is known; the rest is counted in the first two of them.
        let mut estimates = ledger(&run, 2 * BINS as usize).estimates();
        estimates.length_s = Some(Estimate::known(LENGTH_S));
        let forecast = Forecast::new(Estimate::known(10e6), &estimates).unwrap();
        for (k, interval) in run.total.intervals().enumerate().take(full as usize).skip(2) {
            let told = forecast.rejection(Seconds::new((k as f64 + 0.5) * LENGTH_S).unwrap());
            asked += 1;
            within += u32::from(told.residual(interval.rejection().unwrap()).within);
        }
        let last_s = run.total.last_refusal.unwrap() * LENGTH_S;
        let told = forecast.full_s();
        assert!(told.low <= last_s && last_s <= told.high + 0.1 * LENGTH_S, "{last_s} {told:?}");
    }
    let share = f64::from(within) / f64::from(asked);
    assert!((0.9..=0.99).contains(&share), "{within} of {asked}");
}

/// What an edge would have counted in the first bins.
fn ledger(run: &Run, bins: usize) -> Ledger {
    let (mut ledger, mut counters, mut accepted) = (Ledger::default(), Counters::default(), 0);
    let bin_ms = (LENGTH_S * 1e3) as u64 / u64::from(BINS);
    for bin in &run.total.bins[..bins] {
        accepted += bin.requests - bin.refused;
        counters.ms += bin_ms;
        counters.requests += bin.requests;
        counters.refused += bin.refused;
        counters.session_ms += bin.watching * bin_ms;
        counters.session_bytes += bin.watching * bin_ms * 125;
        counters.sessions_ended = accepted - bin.watching;
        counters.support_ms += bin.supporters * bin_ms;
        counters.support_bytes += bin.supporters * bin_ms * 125;
        ledger.note(counters);
    }
    ledger
}

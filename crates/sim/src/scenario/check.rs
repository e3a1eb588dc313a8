//! Can it be simulated? What is wrong is named by its key.

use super::{Arrivals, Fault, Invalid, Scenario};

impl Scenario {
    /// The first value that makes no sense.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let viewers = &self.viewers;
        let wrong = |key, why: &str| Err(Invalid::Value { key, why: why.into() });
        let share = |it: f64| (0.0..=1.0).contains(&it);
        if !(self.duration_s > 0.0 && self.duration_s <= 86_400.0) {
            return wrong("duration_s", "must lie between 0 and 86400");
        }
        if !(0.0..self.duration_s).contains(&self.measure_from_s) {
            return wrong("measure_from_s", "must lie between 0 and duration_s");
        }
        if !(1..=1_000_000).contains(&viewers.count) {
            return wrong("viewers.count", "must lie between 1 and 1000000");
        }
        if !(50_000..=2_000_000).contains(&self.stream.part_us) {
            return wrong("stream.part_us", "must lie between 50000 and 2000000");
        }
        if self.stream.rendition.is_empty() || self.stream.rendition.len() > 16 {
            return wrong("stream.rendition", "must be 1 to 16");
        }
        if self.stream.rendition[0].is_sound() {
            return wrong("stream.rendition", "video comes before sound");
        }
        for rendition in &self.stream.rendition {
            let sum: f64 = rendition.layers.iter().sum();
            if rendition.layers.is_empty() || rendition.layers.len() > 4 || (sum - 1.0).abs() > 1e-6 {
                return wrong("stream.rendition.layers", "must be 1 to 4 shares that sum to 1");
            }
            if !(8_000..=100_000_000).contains(&rendition.bps) {
                return wrong("stream.rendition.bps", "must lie between 8000 and 100000000");
            }
        }
        if !(1..=64).contains(&self.edge.count) {
            return wrong("edge.count", "must lie between 1 and 64");
        }
        let edge = &self.edge;
        if ![edge.start_up_share, edge.rescue_share, edge.start_up_share + edge.rescue_share]
            .iter()
            .all(|it| share(*it))
        {
            return wrong("edge.start_up_share", "and rescue_share must be shares that sum to at most 1");
        }
        if viewers.upload.is_empty() || viewers.upload.iter().map(|it| it.share).sum::<f64>() <= 0.0 {
            return wrong("viewers.upload", "needs at least one entry with a share");
        }
        let nat = viewers.nat;
        if [nat.open, nat.cone, nat.symmetric, nat.blocked].iter().sum::<f64>() <= 0.0 {
            return wrong("viewers.nat", "needs at least one share");
        }
        let behaviours = [viewers.free_rider_share, viewers.polluter_share, viewers.liar_share];
        if !behaviours.iter().all(|it| share(*it)) || !share(behaviours.iter().sum()) {
            return wrong("viewers.free_rider_share", "and the other two must be shares that sum to at most 1");
        }
        if ![viewers.vanish_share, viewers.known_uplink_share].iter().all(|it| share(*it)) {
            return wrong("viewers.vanish_share", "and known_uplink_share must lie between 0 and 1");
        }
        if self.net.rtt_ms[0] < 0.0 || self.net.rtt_ms[1] < self.net.rtt_ms[0] {
            return wrong("net.rtt_ms", "must be two numbers, the lesser first");
        }
        if self.net.window < 1_000 || self.net.tcp_window < 1_000 {
            return wrong("net.window", "and tcp_window must be at least 1000");
        }
        if !(0.0..0.5).contains(&self.net.loss) {
            return wrong("net.loss", "must be a share below 0.5");
        }
        if let Some(model) = self.model {
            if !matches!(viewers.arrivals, Arrivals::Poisson { .. }) {
                return wrong("model", "needs arrivals of kind poisson");
            }
            if let Err(why) = crate::against::growth(self, &model) {
                return wrong("model", &why.to_string());
            }
        }
        let edges = self.fault.iter().filter_map(|fault| match fault {
            Fault::EdgeDies { edge, .. } | Fault::SlowEdge { edge, .. } => Some(*edge),
            _ => None,
        });
        if edges.max().is_some_and(|edge| edge >= self.edge.count) {
            return wrong("fault.edge", "there is no such edge");
        }
        Ok(())
    }
}

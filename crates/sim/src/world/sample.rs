//! A look at everything, once a second: what the figures over time are made of, and what must hold.

use serde::Serialize;
use trellis_core::cluster::Stats;
use trellis_core::limits::{AHEAD_PARTS_MAX, KEEP_PARTS, LINKS_MAX};

use super::viewer::Stage;
use super::*;

use crate::machine::{ClusterMachine, PeerMachine};
use crate::measure::bound_bps;

/// One second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When, simulated seconds.
    pub at_s: f64,
    /// Viewers let in.
    pub viewers: u32,
    /// Of those, without a link to an edge.
    pub homeless: u32,
    /// Of those, standing still or not started yet.
    pub waiting: u32,
    /// What edges sent of chunks, bit/s.
    pub edge_bps: f64,
    /// Of that, asked for in haste.
    pub rescue_bps: f64,
    /// What peers sent of chunks, bit/s.
    pub peer_bps: f64,
    /// The least that edges must send, bit/s.
    pub bound_bps: f64,
    /// B of all edges, bit/s.
    pub budget_bps: f64,
    /// Of those let in, who has everything (on demand).
    pub supporters: u32,
    /// Times anyone asked to be let in, within this second.
    pub asked: u32,
    /// Times anyone was sent away, within this second.
    pub refused: u32,
    /// What peers may promise, bit/s.
    pub may_bps: u64,
    /// What of it they have promised, bit/s.
    pub held_bps: u64,
    /// What edges have promised, bit/s.
    pub edge_held_bps: u64,
    /// Substreams that nobody gives to somebody who wants them.
    pub orphans: u32,
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    pub(super) fn second(&mut self) {
        let arrivals = (!self.scenario.stream.on_demand).then_some(&self.arrivals[..]);
        let (mut viewers, mut homeless, mut waiting, mut supporters) = (0, 0, 0, 0);
        let (mut usable, mut all) = (0.0, 0.0);
        for viewer in self.viewers.iter().filter(|it| it.stage == Stage::In) {
            let up_bps = viewer.person.up_bps as f64;
            viewers += 1;
            supporters += u32::from(viewer.ended.is_some());
            homeless += u32::from(viewer.edge_flow.is_none());
            all += up_bps;
            usable += if viewer.person.can_give() { up_bps } else { 0.0 };
            let overdue = viewer.player.waits_for(arrivals).is_none_or(|(_, at)| at < self.now.0);
            waiting += u32::from(!viewer.player.has_started() || overdue && arrivals.is_some());
            let (parts, links) = viewer.machine.as_ref().map_or((0, 0), PeerMachine::load);
            let most = &mut self.figures.load_max;
            *most = (most.0.max(parts), most.1.max(links));
        }
        let (parts, links) = self.figures.load_max;
        let keeps = if self.scenario.stream.on_demand { self.arrivals.len() } else { KEEP_PARTS };
        if parts > keeps + AHEAD_PARTS_MAX + 1 || links > LINKS_MAX {
            self.violated(&format!("a peer keeps {parts} parts and {links} links"));
        }
        self.figures.on_the_way_max = self.figures.on_the_way_max.max(self.net.on_the_way());
        let bound = bound_bps(viewers, self.rate_bps, usable);
        self.tally.bound_bytes += bound / 8.0;
        self.tally.bound_all_bytes += bound_bps(viewers, self.rate_bps, all) / 8.0;
        self.tally.homeless_us += u64::from(homeless) * 1_000_000;
        if homeless > 0 {
            self.figures.settled_us = Some(self.now.0);
        }
        let books = self.look_at_edges();
        let (asked, refused) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.sent_away));
        self.take_sample(Sample {
            at_s: self.now.0 as f64 / 1e6,
            viewers,
            homeless,
            waiting,
            edge_bps: 0.0,
            rescue_bps: 0.0,
            peer_bps: 0.0,
            bound_bps: bound,
            budget_bps: self.scenario.budget_bps() as f64 * f64::from(self.scenario.edge.count),
            supporters,
            asked,
            refused,
            may_bps: books.peers_bps,
            held_bps: books.peers_held_bps,
            edge_held_bps: books.edge_held_bps,
            orphans: books.orphans,
        });
        self.queue.push(Instant(self.now.0 + 1_000_000), Event::Second);
    }

    /// What stands in the books of all edges together.
    fn look_at_edges(&mut self) -> Stats {
        let mut books = Stats::default();
        let budget = self.scenario.budget_bps() as f64;
        let measured = self.now.0 > (self.scenario.measure_from_s * 1e6) as u64;
        for edge in 0..self.edges_count() {
            let bytes = std::mem::take(&mut self.edges[edge as usize].second_bytes);
            if measured {
                self.figures.edge_peak = self.figures.edge_peak.max(bytes as f64 * 8.0 / budget);
            }
            if self.edges[edge as usize].alive {
                let machine = &self.edges[edge as usize].machine;
                let stats = machine.stats();
                self.figures.depth_max = self.figures.depth_max.max(stats.depth);
                books.peers_bps += stats.peers_bps;
                books.peers_held_bps += stats.peers_held_bps;
                books.edge_held_bps += stats.edge_held_bps;
                books.orphans += stats.orphans;
                if let Err(what) = machine.check() {
                    self.violated(&format!("cluster {edge}: {what}"));
                }
                self.beat(edge);
            }
        }
        self.manager.expire(self.now);
        books
    }

    fn take_sample(&mut self, mut sample: Sample) {
        let last = self.tally_at_second;
        let rate = |now: u64, before: u64| (now - before) as f64 * 8.0;
        sample.edge_bps = rate(self.tally.edge_media_bytes(), last.edge_media_bytes());
        sample.rescue_bps = rate(self.tally.edge_rescue_bytes, last.edge_rescue_bytes);
        sample.peer_bps = rate(self.tally.peer_media_bytes, last.peer_media_bytes);
        self.samples.push(sample);
        self.tally_at_second = self.tally;
        if self.now.0 <= (self.scenario.measure_from_s * 1e6) as u64 {
            self.tally_at_start = self.tally;
        }
    }
}

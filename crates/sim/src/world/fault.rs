//! What breaks, and what that does to hosts and links.

use super::viewer::{End, Stage};
use super::*;

use crate::scenario::Fault;

/// A dead edge's WebSockets break at the other end after so long: the machine is gone, its address answers resets.
const EDGE_NOTICED_US: u64 = 200_000;

/// When.
pub(super) fn at(fault: &Fault) -> Instant {
    let seconds = match fault {
        Fault::Crash { at_s, .. }
        | Fault::Vanish { at_s, .. }
        | Fault::EdgeDies { at_s, .. }
        | Fault::ControlLoss { at_s, .. }
        | Fault::UplinkFalls { at_s, .. }
        | Fault::PublisherPauses { at_s, .. }
        | Fault::SlowEdge { at_s, .. } => *at_s,
    };
    Instant((seconds * 1e6) as u64)
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    pub(super) fn fault(&mut self, number: u32) {
        let fault = self.scenario.fault[number as usize].clone();
        self.trace.note(self.now, 107, u64::from(number), 0);
        match fault {
            Fault::Crash { share, .. } => self.end_some(share, End::Crashes),
            Fault::Vanish { share, .. } => self.end_some(share, End::Vanishes),
            Fault::EdgeDies { edge, .. } => self.edge_dies(edge),
            Fault::ControlLoss { share, .. } => {
                for viewer in self.some_of_those_present(share) {
                    let back = self.viewers[viewer as usize].edge_flow.and_then(|flow| self.net.flow(flow)?.back);
                    let both = [back, self.viewers[viewer as usize].edge_flow];
                    // The viewer notices first, for it cuts both; so the edge is told by hand.
                    if let [Some(down), Some(up)] = both {
                        let link = self.net.flow(up).map(|flow| (flow.to, LinkId(flow.names[1].into())));
                        self.broken(down);
                        if let Some((edge, link)) = link {
                            self.edge_loses(edge, link);
                        }
                    }
                }
            }
            Fault::UplinkFalls { share, to, .. } => {
                for viewer in self.some_of_those_present(share) {
                    let host = viewer + self.edges_count();
                    let bps = self.net.host(host).up_bps;
                    self.net.set_up_bps(host, (bps as f64 * to) as u64);
                }
            }
            Fault::PublisherPauses { for_s, .. } => self.later_us += (for_s * 1e6) as u64,
            Fault::SlowEdge { edge, link_bps, .. } => self.net.set_up_bps(edge, link_bps),
        }
    }

    fn end_some(&mut self, share: f64, end: End) {
        for viewer in self.some_of_those_present(share) {
            self.remove(viewer, end);
        }
    }

    fn some_of_those_present(&mut self, share: f64) -> Vec<ViewerIx> {
        let present = (0..self.viewers.len() as u32).filter(|it| self.viewers[*it as usize].stage == Stage::In);
        let present: Vec<_> = present.collect();
        present.into_iter().filter(|_| self.chance.happens(share)).collect()
    }

    fn edge_dies(&mut self, edge: u32) {
        self.net.kill(edge);
        let host = &mut self.edges[edge as usize];
        host.alive = false;
        let flows: Vec<_> = host.links.drain(..).flatten().map(|link| link.flow).collect();
        flows.into_iter().for_each(|flow| self.queue.push(Instant(self.now.0 + EDGE_NOTICED_US), Event::Broken(flow)));
    }
}

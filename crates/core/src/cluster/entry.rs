//! How does a link become a viewer? Its greeting is looked at, admission decides, and who is let in hears at once who it
//! is, what there is to watch and who will serve it.

use core::time::Duration;

use trellis_proto::frame::{Bye, Frame, Hello, LINK_VERSION, LayerId, Welcome};

use super::admission::{self, Numbers, Verdict};
use super::event::{Event, LinkId, Output};
use super::lanes::LayerMask;
use super::roster::{EDGE, Peer};
use super::start::{self, Situation};
use super::{Cluster, RETRY_EMPTY_S, Waiting, micros};
use crate::trust::Payload;

impl<P: Payload> Cluster<P> {
    pub(super) fn handle_hello(&mut self, link: LinkId, waiting: Waiting, hello: Hello) {
        if hello.version != LINK_VERSION {
            return self.refuse(link, Bye::Protocol);
        }
        if let Some(before) = self.overlay.roster.by_session(waiting.session) {
            let old = self.overlay.roster.get(before).map(|peer| peer.link);
            self.gone(before);
            self.out.extend(old.map(|old| Output::Close(old, Bye::Replaced)));
        }
        let Some((_, message)) = self.catalogue.clone() else {
            return self.refuse(link, Bye::NoRoom(RETRY_EMPTY_S));
        };
        let layers = self.allowed(&hello.layers, waiting.max_rate_bps);
        if layers == 0 {
            return self.refuse(link, Bye::Ticket);
        }
        let wanted: alloc::vec::Vec<_> = self.overlay.lanes.layers(layers).collect();
        let behind = Duration::from_micros(hello.behind_us);
        let (past_bits, tables) = match self.is_recorded() {
            // It asks for the descriptors where it plays, and pulls everything at the pace of playback; what it needs before
            // those can be linked to who are to bring it stands for its past.
            true if self.overlay.is_planned() => {
                (self.overlay.lanes.rate_bps(layers) / LINKED_PER_S, Default::default())
            }
            true => Default::default(),
            false => self.feed.start(self.now - behind, &wanted),
        };
        // Who plays already has what is past, or misses no more of it than it can pull.
        let past_bits = if waiting.rejoins { 0 } else { past_bits };
        let credit_bps = self.credit(&hello, layers);
        self.feed.set_spare(self.overlay.ledger.free_bps(EDGE));
        let saved_bits = self.feed.fill_bits();
        let viewers = self.overlay.roster.len() as u64;
        let start = start::start(Situation { past_bits, saved_bits, viewers });
        let now = self.now;
        let numbers = Numbers {
            newcomers: if waiting.rejoins { 0 } else { self.crowd.newcomers(now) },
            newcomers_max: self.newcomers_max(layers, past_bits),
            ahead: self.crowd.ahead(waiting.session),
            ..self.numbers(layers, credit_bps, hello.nat, start.edge_bits)
        };
        match admission::decide(numbers) {
            _ if self.draining => return self.refuse(link, Bye::Moved),
            Verdict::Elsewhere(retry) => {
                if !waiting.rejoins {
                    self.crowd.refuse(now, waiting.session);
                }
                return self.refuse(link, Bye::NoRoom(retry));
            }
            // Who plays already gives already.
            Verdict::Peers | Verdict::Edge if waiting.rejoins => {}
            Verdict::Peers | Verdict::Edge => self.crowd.admit(now, waiting.session),
        }
        let make = |id| Peer {
            nat: hello.nat,
            receive_only: hello.receive_only,
            max_rate_bps: waiting.max_rate_bps,
            ..Peer::new(id, link, waiting.session, waiting.locality, now)
        };
        let slot = self.overlay.join(make, layers, credit_bps, credit_bps);
        self.feed.promise_fill(start.edge_bits);
        self.load.promise(self.overlay.lanes.rate_bps(layers));
        let you = self.overlay.roster.id(slot);
        let hold_back_us = micros(self.hold.hold_back());
        self.send(
            link,
            Frame::Welcome(Welcome {
                version: LINK_VERSION,
                you,
                hold_back_us,
                now_us: now.0,
                credit_bps,
                start_us: micros(start.after),
            }),
        );
        self.send(link, Frame::Table(message));
        self.end.clone().into_iter().for_each(|end| self.send(link, Frame::Table(end)));
        if let Some(assign) = self.overlay.plan(slot, hold_back_us) {
            self.send(link, Frame::Assign(assign));
        }
        tables.into_iter().for_each(|table| self.send(link, Frame::Table(table)));
        self.out.push_back(Output::Event(Event::Admitted(link, you, waiting.session)));
    }

    /// Those of the wanted layers that exist and that the ticket pays for, in the order they are wanted.
    pub(super) fn allowed(&self, layers: &[LayerId], max_rate_bps: u64) -> LayerMask {
        let lanes = &self.overlay.lanes;
        layers.iter().fold(0, |mask, of| {
            let more = mask | lanes.mask([*of]);
            if lanes.rate_bps(more) <= max_rate_bps { more } else { mask }
        })
    }
}

/// Links to those who are to bring a recording stand, and bring, after half a second.
const LINKED_PER_S: u64 = 2;

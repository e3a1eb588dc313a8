//! How do two peers come to talk? By offers and answers that their edge relays, then a few round-trips of their own, or
//! not at all when their networks do not let them.

use std::time::Duration;

use super::viewer::Stage;
use super::*;
use trellis_core::peer::Input;

use crate::nat;

/// Bytes of an offer and of an answer with three candidates each, as `spec/wire.md` §11.5 writes what browsers say.
const SIGNAL_BYTES: [usize; 2] = [190, 190];
const OFFER: u8 = 0;
const ANSWER: u8 = 1;

/// One try to link two peers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial {
    from: ViewerIx,
    /// As the caller names the called.
    called: PeerId,
    /// Who that is and how it names the caller; known when the offer arrived.
    to: Option<(ViewerIx, PeerId)>,
    over: bool,
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    /// A peer wants a link.
    pub(super) fn dial(&mut self, viewer: ViewerIx, peer: PeerId) {
        let it = &mut self.viewers[viewer as usize];
        if it.flow_to(peer).is_some() || it.dialling.iter().any(|(other, _)| *other == peer.0) {
            return;
        }
        let number = self.dials.len() as u32;
        it.dialling.push((peer.0, number));
        self.dials.push(Dial { from: viewer, called: peer, to: None, over: false });
        self.tally.dials += 1;
        let patience = Duration::from_micros((self.scenario.net.set_up_fails_ms * 1e3) as u64);
        self.queue.push(self.now + patience, Event::DialFails(number));
        self.signal(viewer, peer, OFFER, number);
    }

    fn signal(&mut self, viewer: ViewerIx, peer: PeerId, kind: u8, dial: u32) {
        let Some(flow) = self.viewers[viewer as usize].edge_flow else { return };
        let mut body = vec![0; SIGNAL_BYTES[usize::from(kind)]];
        body[0] = kind;
        body[1..5].copy_from_slice(&dial.to_le_bytes());
        let frame = Frame::Signal { peer, body: body.into() };
        let bytes = frame_bytes(&frame);
        self.tally.peer_control_bytes += u64::from(bytes);
        self.net.send(self.now, flow, frame, bytes, &mut self.queue);
    }

    /// An offer or an answer came.
    pub(super) fn signalled(&mut self, viewer: ViewerIx, from: PeerId, body: &[u8]) {
        let Some((&[kind, a, b, c, d], _)) = body.split_first_chunk::<5>() else { return };
        let number = u32::from_le_bytes([a, b, c, d]);
        let Some(dial) = self.dials.get_mut(number as usize).filter(|dial| !dial.over) else { return };
        match kind {
            OFFER => {
                dial.to = Some((viewer, from));
                self.viewers[viewer as usize].dialling.push((from.0, number));
                self.signal(viewer, from, ANSWER, number);
            }
            _ => {
                let (caller, Some((called, _))) = (dial.from, dial.to) else { return };
                let nat = |viewer: ViewerIx| (viewer, self.viewers[viewer as usize].person.nat);
                if nat::links(self.seed, nat(caller), nat(called)) {
                    let edges = self.edges_count();
                    let round_trip = self.net.round_trip(caller + edges, called + edges);
                    let takes = round_trip.mul_f64(self.scenario.net.set_up_round_trips);
                    self.queue.push(self.now + takes, Event::Linked(number));
                }
            }
        }
    }

    /// The handshakes are through.
    pub(super) fn linked(&mut self, number: u32) {
        let dial = self.dials[number as usize];
        let Some((called, caller_name)) = dial.to.filter(|_| !dial.over) else { return };
        self.end_dial(number);
        let gone = |viewer: ViewerIx| self.viewers[viewer as usize].stage == Stage::Gone;
        let (caller, known) = (dial.from, self.viewers[dial.from as usize].flow_to(dial.called).is_some());
        if gone(caller) || gone(called) || known {
            return;
        }
        let edges = self.edges_count();
        let hosts = [(caller + edges, caller_name.0), (called + edges, dial.called.0)];
        let [there, back] = self.net.link(hosts[0], hosts[1], false);
        for (viewer, peer, flow) in [(caller, dial.called, there), (called, caller_name, back)] {
            if let Some(former) = self.viewers[viewer as usize].keep_flow(peer, flow) {
                self.net.hang_up(former);
            }
        }
        self.trace.note(self.now, 106, u64::from(caller), u64::from(called));
        self.tell_peer(caller, Input::Connected(dial.called));
        self.tell_peer(called, Input::Connected(caller_name));
    }

    /// Time is up.
    pub(super) fn dial_fails(&mut self, number: u32) {
        let dial = self.dials[number as usize];
        if dial.over {
            return;
        }
        self.end_dial(number);
        self.tally.dials_failed += 1;
        self.tell_peer(dial.from, Input::Lost(dial.called));
        if let Some((called, caller_name)) = dial.to {
            self.tell_peer(called, Input::Lost(caller_name));
        }
    }

    fn end_dial(&mut self, number: u32) {
        let dial = &mut self.dials[number as usize];
        dial.over = true;
        for viewer in [Some(dial.from), dial.to.map(|(called, _)| called)].into_iter().flatten() {
            self.viewers[viewer as usize].dialling.retain(|(_, other)| *other != number);
        }
    }
}

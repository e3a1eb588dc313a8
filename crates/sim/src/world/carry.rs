//! What does a viewer hear, and what becomes of what its machine wants? Sent, or what its owner makes of it; told; counted.

use std::time::Duration;

use super::*;
use trellis_core::peer::{self, Input, Output};
use trellis_proto::frame::Bye;

use super::viewer::{End, Stage};
use crate::machine::{PeerMachine, WAKE_GAP};
use crate::trace::Named;

impl<C: Crypto, B: Brain<C>> World<C, B> {
    pub(super) fn wake_peer(&mut self, viewer: ViewerIx) {
        let it = &mut self.viewers[viewer as usize];
        if it.wake == self.now.0 {
            it.wake = u64::MAX;
            self.tell_peer(viewer, Input::Wake);
        }
    }

    /// Hands something to a peer and does what it wants.
    pub(super) fn tell_peer(&mut self, viewer: ViewerIx, input: Input<C::Payload>) {
        let Some(machine) = &mut self.viewers[viewer as usize].machine else { return };
        machine.handle(self.now, input);
        while let Some(output) = self.viewers[viewer as usize].machine.as_mut().and_then(PeerMachine::poll) {
            self.on_peer_output(viewer, output);
        }
        let it = &mut self.viewers[viewer as usize];
        if let Some(at) = it.machine.as_ref().and_then(PeerMachine::wake_at) {
            let at = at.max(self.now + WAKE_GAP);
            if at.0 < it.wake {
                it.wake = at.0;
                self.queue.push(at, Event::PeerWake(viewer));
            }
        }
    }

    fn on_peer_output(&mut self, viewer: ViewerIx, output: Output<C::Payload>) {
        match output {
            Output::Send(to, frame) => self.viewer_sends(viewer, to, frame),
            // The peer knows when it is its turn to look for an edge.
            Output::Connect(PeerId::EDGE) => self.rejoins(viewer),
            Output::Connect(peer) => self.dial(viewer, peer),
            Output::Disconnect(peer) => self.hang_up(viewer, peer),
            Output::Part(part) => self.on_part(viewer, &part),
            Output::Event(event) => self.on_peer_event(viewer, event),
            Output::Closed(bye) => self.on_closed(viewer, bye),
        }
    }

    fn viewer_sends(&mut self, viewer: ViewerIx, to: PeerId, mut frame: Frame<C::Payload>) {
        let it = &mut self.viewers[viewer as usize];
        let Some(flow) = (if to.is_edge() { it.edge_flow } else { it.flow_to(to) }) else { return };
        match (&mut frame, it.person.behaviour) {
            (Frame::Chunk(_), Behaviour::FreeRider) if !to.is_edge() => {
                // It says it was sent.
                let unsent = self.net.unsent(flow);
                if let Some(machine) = &mut it.machine {
                    machine.handle(self.now, Input::Unsent(to, unsent));
                }
                return;
            }
            (Frame::Chunk(chunk), Behaviour::Polluter) if !to.is_edge() => {
                chunk.payload = C::spoiled(&chunk.payload);
                self.tally.polluted_chunks += 1;
            }
            (Frame::Hello(hello), Behaviour::Liar) => hello.declared_bps = it.person.up_bps * 10,
            (Frame::Report(report), Behaviour::Liar) => report.alpha_bps = it.person.up_bps * 10,
            _ => {}
        }
        let bytes = frame_bytes(&frame);
        if let Frame::Chunk(chunk) = &frame {
            let size = chunk.payload.size() as u64;
            it.given_bytes += size;
            self.tally.peer_media_bytes += size;
            self.tally.peer_control_bytes += u64::from(bytes) - size;
        } else {
            self.tally.peer_control_bytes += u64::from(bytes);
        }
        if let Some(other) = self.net.flow(flow).map(|flow| flow.to) {
            self.tell_frame("sends", viewer + self.edges_count(), other, &frame);
        }
        self.net.send(self.now, flow, frame, bytes, &mut self.queue);
    }

    fn on_peer_event(&mut self, viewer: ViewerIx, event: peer::Event) {
        use peer::Event as E;
        let chunk = match event {
            E::Admitted(_) | E::Completed => None,
            E::Due(_, whole) => {
                self.tally.missed += u64::from(!whole);
                None
            }
            E::Rescue(id, _) => {
                self.tally.rescues += 1;
                Some(id)
            }
            E::Pull(id, _) => {
                self.tally.pulls += 1;
                Some(id)
            }
            E::Switched { .. } => {
                self.tally.switches += 1;
                None
            }
            E::Duplicate(id, _) => {
                self.tally.duplicate_bytes += self.origin.chunk(id).map_or(0, Payload::size) as u64;
                Some(id)
            }
            E::CutOff(_) => {
                self.tally.cut_off += 1;
                None
            }
        };
        if self.trace.wants(chunk, [Some(viewer), None]) {
            let what = chunk.map_or(String::new(), |id| format!(" ({})", Named(id)));
            self.trace.tell(self.now, &format!("viewer {viewer}: {event:?}{what}"));
        }
    }

    fn on_closed(&mut self, viewer: ViewerIx, bye: Bye) {
        self.trace.note(self.now, 104, u64::from(viewer), 0);
        if let (Bye::NoRoom(seconds), Stage::Joining) = (bye, self.viewers[viewer as usize].stage) {
            return self.searches_on(viewer, Duration::from_secs(u64::from(seconds.max(1))));
        }
        if bye != Bye::Leaving && bye != Bye::Ended {
            self.figures.thrown_out += 1;
            self.trace.tell_if(self.now, [Some(viewer), None], &format!("viewer {viewer}: thrown out: {bye:?}"));
        }
        self.remove(viewer, End::Leaves);
    }

    /// Ends a link from this side; the other notices when the last has arrived.
    pub(super) fn hang_up(&mut self, viewer: ViewerIx, peer: PeerId) {
        let it = &mut self.viewers[viewer as usize];
        let flow = if peer.is_edge() { it.edge_flow.take() } else { it.take_flow(peer) };
        if let Some(flow) = flow {
            self.net.hang_up(flow);
            let after = self.net.drain_us(self.now, flow);
            self.queue.push(Instant(self.now.0 + after), Event::Broken(flow));
        }
    }
}

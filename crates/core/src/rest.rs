//! Which links are kept although nothing needs them now? Plans come back: a link that its peer gave up rests for some
//! minutes, and when a plan names the other end again it is taken up at once, without signals and without another
//! connection (a browser gives a tab five hundred in its lifetime).
//!
//! Stands between a [`Peer`](crate::peer::Peer) and its host: what the host would tell the peer goes through
//! [`Rest::hear`], what the peer wants of the host through [`Rest::say`]. Who lets a link rest says so by a bye *of no use
//! any more*; who takes it up again greets, as on a new one; any other bye, and every fault, ends it for good. Invariant: a
//! link that rests is lost to both peers, after each wake at most [`RESTING_MAX`] of them are left, and none is taken up more than
//! [`REUSES_MAX`] times.

use alloc::collections::VecDeque;
use core::time::Duration;

use trellis_proto::frame::{Bye, Frame, PeerId};

use crate::few::Few;
use crate::peer::{Event, Input, Output};
use crate::time::Instant;

/// The links that stand, but for the edge's.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    links: Few<PeerId, Link>,
    me: Option<PeerId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    /// It rests until then at most.
    until: Option<Instant>,
    /// The other end was last told so.
    told: Instant,
    reuses: u8,
}

impl Rest {
    /// Something happened. `now_do` takes what the host is to do for it; the answer is what the peer has to hear, in order.
    pub fn hear<P>(&mut self, now: Instant, input: Input<P>, now_do: &mut VecDeque<Output<P>>) -> VecDeque<Input<P>> {
        match input {
            Input::Wake => {
                while let Some(peer) = self.over(now) {
                    now_do.push_back(Output::Disconnect(peer));
                }
                [input].into()
            }
            Input::Connected(peer) if !peer.is_edge() => {
                self.links.insert(peer, Link::default());
                [input].into()
            }
            Input::Lost(peer) => {
                let rested = self.links.remove(peer).is_some_and(|link| link.until.is_some());
                (!rested).then_some(input).into_iter().collect()
            }
            Input::Unsent(peer, _) if self.rests(peer) => VecDeque::new(),
            Input::Frame(peer, frame) if self.rests(peer) => self.on_frame_while_resting(now, peer, frame, now_do),
            Input::Frame(peer, Frame::Bye(Bye::Idle)) if self.links.contains_key(peer) => {
                if !self.lay(now, peer) {
                    now_do.push_back(Output::Disconnect(peer));
                }
                [Input::Lost(peer)].into()
            }
            Input::Frame(peer, Frame::Bye(_)) => {
                // The peer will want it ended, and means it.
                self.links.remove(peer);
                [input].into()
            }
            input => [input].into(),
        }
    }

    fn on_frame_while_resting<P>(
        &mut self,
        now: Instant,
        peer: PeerId,
        frame: Frame<P>,
        now_do: &mut VecDeque<Output<P>>,
    ) -> VecDeque<Input<P>> {
        match frame {
            Frame::Greet { .. } => {
                self.wake(peer);
                [Input::Connected(peer), Input::Frame(peer, frame)].into()
            }
            Frame::Bye(_) => VecDeque::new(),
            // Frames cross on their way, but not for so long: our bye was lost, or overtook their greeting.
            _ => {
                let late = self.links.get_mut(peer).filter(|link| now.since(link.told) > CROSSING);
                if let Some(link) = late {
                    link.told = now;
                    now_do.push_back(Output::Send(peer, Frame::Bye(Bye::Idle)));
                }
                VecDeque::new()
            }
        }
    }

    /// The peer wants something. The answer is what the host is to do; `hears` takes what the peer has to be told for it,
    /// after all it wanted.
    pub fn say<P>(&mut self, now: Instant, output: Output<P>, hears: &mut VecDeque<Input<P>>) -> Option<Output<P>> {
        match &output {
            Output::Connect(peer) if self.rests(*peer) => {
                self.wake(*peer);
                hears.push_back(Input::Connected(*peer));
                return None;
            }
            Output::Disconnect(peer) if self.lay(now, *peer) => {
                return Some(Output::Send(*peer, Frame::Bye(Bye::Idle)));
            }
            // What it wants of this peer next is to be rid of it.
            Output::Event(Event::CutOff(peer)) => drop(self.links.remove(*peer)),
            Output::Event(Event::Admitted(me)) if self.me != Some(*me) => {
                // Plans name us by another number now, and the others, so nobody would come back to what rests.
                self.me = Some(*me);
                self.links.iter_mut().filter_map(|(_, link)| link.until.as_mut()).for_each(|until| *until = Instant(0));
            }
            _ => {}
        }
        Some(output)
    }

    /// Does the link to this peer rest?
    pub fn rests(&self, peer: PeerId) -> bool {
        self.links.get(peer).is_some_and(|link| link.until.is_some())
    }

    /// How many rest.
    pub fn resting(&self) -> usize {
        self.links.values().filter(|link| link.until.is_some()).count()
    }

    /// When the first rest is over: [`Self::hear`] wants a wake then.
    pub fn wake_at(&self) -> Option<Instant> {
        self.links.values().filter_map(|link| link.until).min()
    }

    /// Lets a link rest, if it stands and may. The end that would take it up again ends it first: else it could take up
    /// what the other end is just giving up.
    fn lay(&mut self, now: Instant, peer: PeerId) -> bool {
        let dials = self.me.is_some_and(|me| me < peer);
        let Some(link) = self.links.get_mut(peer) else { return false };
        if link.reuses >= REUSES_MAX {
            self.links.remove(peer);
            return false;
        }
        let until = now + REST + if dials { Duration::ZERO } else { LONGER };
        *link = Link { until: Some(until), told: now, ..*link };
        true
    }

    fn wake(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            (link.until, link.reuses) = (None, link.reuses + 1);
        }
    }

    /// One that is to be ended: it rested long enough, or there are too many, and it has the least time left.
    fn over(&mut self, now: Instant) -> Option<PeerId> {
        let many = self.resting() > RESTING_MAX;
        let rest = self.links.iter().filter_map(|(peer, link)| Some((link.until?, peer)));
        let (_, peer) = rest.min().filter(|(until, _)| many || now >= *until)?;
        self.links.remove(peer);
        Some(peer)
    }
}

/// So many rest at once: each costs a keep-alive every few seconds and some ten kilobytes.
pub const RESTING_MAX: usize = 24;
/// So often a link is taken up again; then it is made anew, which its edge relays and bounds.
pub const REUSES_MAX: u8 = 16;
/// So long a link rests.
const REST: Duration = Duration::from_secs(180);
/// And so much longer at the end that is called.
const LONGER: Duration = Duration::from_secs(10);
/// What was sent before the other end knew has come by then.
const CROSSING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const ME: PeerId = PeerId(5);
    /// Whom we call, and who calls us.
    const CALLED: PeerId = PeerId(7);
    const CALLER: PeerId = PeerId(3);
    const IDLE: Frame<()> = Frame::Bye(Bye::Idle);
    const GREET: Frame<()> = Frame::Greet { version: 1, from: CALLED };

    #[derive(Clone)]
    enum Step {
        /// The host tells.
        Hear(Input<()>),
        /// The peer wants.
        Say(Output<()>),
        /// Seconds pass.
        Pass(u64),
    }
    use Step::*;

    /// A step, and what comes of it: to the peer, to the host.
    type Then = (Step, &'static str, &'static str);

    fn run(rest: &mut Rest, now: &mut Instant, step: Step) -> (String, String) {
        let (mut heard, mut done) = (VecDeque::new(), VecDeque::new());
        match step {
            Hear(input) => heard = rest.hear(*now, input, &mut done),
            Say(output) => done.extend(rest.say(*now, output, &mut heard)),
            Pass(seconds) => {
                *now = *now + Duration::from_secs(seconds);
                heard = rest.hear(*now, Input::Wake, &mut done);
                heard.pop_back();
            }
        }
        let text = |all: Vec<String>| all.join(" ").replace("PeerId(", "").replace(')', "").replace('(', " ");
        let inputs = heard.iter().map(|input| format!("{input:?}")).collect();
        (text(inputs), text(done.iter().map(|output| format!("{output:?}")).collect()))
    }

    fn standing() -> (Rest, Instant) {
        let (mut rest, mut now) = (Rest::default(), Instant(1_000_000));
        run(&mut rest, &mut now, Say(Output::Event(Event::Admitted(ME))));
        for peer in [CALLED, CALLER] {
            run(&mut rest, &mut now, Hear(Input::Connected(peer)));
        }
        (rest, now)
    }

    #[test]
    fn what_is_given_up_rests_and_is_taken_up_again_and_what_did_wrong_is_not() {
        let give_up = || Say(Output::Disconnect(CALLED));
        let want = || Say(Output::Connect(CALLED));
        let frame = |frame| Hear(Input::Frame(CALLED, frame));
        let cases: [(&str, Vec<Then>); 11] = [
            (
                "taken up here",
                vec![(give_up(), "", "Send 7, Bye Idle"), (want(), "Connected 7", ""), (want(), "", "Connect 7")],
            ),
            (
                "taken up there",
                vec![
                    (frame(IDLE), "Lost 7", ""),
                    (frame(GREET), "Connected 7 Frame 7, Greet { version: 1, from: 7 }", ""),
                    (give_up(), "", "Send 7, Bye Idle"),
                ],
            ),
            (
                "both at once",
                vec![(give_up(), "", "Send 7, Bye Idle"), (frame(IDLE), "", ""), (want(), "Connected 7", "")],
            ),
            (
                "a wrong chunk",
                vec![
                    (Say(Output::Event(Event::CutOff(CALLED))), "", "Event CutOff 7"),
                    (give_up(), "", "Disconnect 7"),
                    (want(), "", "Connect 7"),
                ],
            ),
            (
                "another bye",
                vec![(frame(Frame::Bye(Bye::Protocol)), "Frame 7, Bye Protocol", ""), (give_up(), "", "Disconnect 7")],
            ),
            ("never stood", vec![(Say(Output::Disconnect(PeerId(9))), "", "Disconnect 9")]),
            (
                "breaks",
                vec![
                    (give_up(), "", "Send 7, Bye Idle"),
                    (Hear(Input::Lost(CALLED)), "", ""),
                    (want(), "", "Connect 7"),
                ],
            ),
            ("breaks in use", vec![(Hear(Input::Lost(CALLED)), "Lost 7", "")]),
            (
                "crosses, and does not know",
                vec![
                    (give_up(), "", "Send 7, Bye Idle"),
                    (frame(Frame::Ping { sent_us: 1 }), "", ""),
                    (Pass(3), "", ""),
                    (frame(Frame::Ping { sent_us: 1 }), "", "Send 7, Bye Idle"),
                    (frame(Frame::Ping { sent_us: 1 }), "", ""),
                ],
            ),
            (
                "who calls ends it first",
                vec![
                    (give_up(), "", "Send 7, Bye Idle"),
                    (Say(Output::Disconnect(CALLER)), "", "Send 3, Bye Idle"),
                    (Pass(179), "", ""),
                    (Pass(2), "", "Disconnect 7"),
                    (Pass(10), "", "Disconnect 3"),
                    (want(), "", "Connect 7"),
                ],
            ),
            (
                "another number",
                vec![
                    (give_up(), "", "Send 7, Bye Idle"),
                    (Say(Output::Event(Event::Admitted(PeerId(6)))), "", "Event Admitted 6"),
                    (Pass(0), "", "Disconnect 7"),
                ],
            ),
        ];
        for (name, steps) in cases {
            let (mut rest, mut now) = standing();
            for (number, (step, to_peer, to_host)) in steps.into_iter().enumerate() {
                let got = run(&mut rest, &mut now, step);
                assert_eq!((got.0.as_str(), got.1.as_str()), (to_peer, to_host), "{name}, step {number}");
            }
        }
    }

    #[test]
    fn what_rests_is_bounded_and_so_is_how_often_it_is_taken_up() {
        let (mut rest, mut now) = standing();
        for peer in 100..100 + RESTING_MAX as u32 + 10 {
            run(&mut rest, &mut now, Hear(Input::Connected(PeerId(peer))));
            run(&mut rest, &mut now, Say(Output::Disconnect(PeerId(peer))));
            now = now + Duration::from_millis(1);
        }
        let (_, ended) = run(&mut rest, &mut now, Pass(0));
        let longest: Vec<_> = (100..110).map(|peer| format!("Disconnect {peer}")).collect();
        assert_eq!((rest.resting(), ended), (RESTING_MAX, longest.join(" ")));
        assert!(rest.wake_at().is_some_and(|at| at > now));
        for _ in 0..REUSES_MAX {
            assert_eq!(run(&mut rest, &mut now, Hear(Input::Frame(CALLED, IDLE))).0, "Lost 7");
            assert!(run(&mut rest, &mut now, Hear(Input::Frame(CALLED, GREET))).0.starts_with("Connected 7"));
        }
        let last = run(&mut rest, &mut now, Hear(Input::Frame(CALLED, IDLE)));
        assert_eq!((last.0.as_str(), last.1.as_str()), ("Lost 7", "Disconnect 7"));
    }
}

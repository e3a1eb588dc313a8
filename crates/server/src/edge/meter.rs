//! What stands between an answer and the socket: the session's pace, the edge's gate, and the account.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::budget::Booked;
use super::gate::{Gate, Grant, STEP_MAX, TIMER_MIN, Verdict};
use super::session::Visit;
use crate::http::body::Meter;

/// Counters of what left, by kind.
pub struct Sent {
    media: Count,
    other: Count,
}

/// Of one kind; of media also by purpose.
#[derive(Clone)]
pub struct Count {
    sent: Counter,
    plain: Counter,
}

impl Count {
    /// Counts nothing.
    #[cfg(test)]
    pub fn noop() -> Self {
        Self { sent: Counter::noop(), plain: Counter::noop() }
    }

    fn increment(&self, bytes: u64) {
        self.sent.increment(bytes);
        self.plain.increment(bytes);
    }
}

impl Sent {
    /// Finds the counters once: looking them up for every answer would cost more than counting.
    pub fn new() -> Self {
        let sent = |kind: &'static str| metrics::counter!("trellis_edge_sent_bytes_total", "kind" => kind);
        let plain = metrics::counter!("trellis_edge_media_bytes_total", "purpose" => "plain");
        Self {
            media: Count { sent: sent("media"), plain },
            other: Count { sent: sent("other"), plain: Counter::noop() },
        }
    }

    /// The counter for media or for playlists and the like.
    pub fn of(&self, media: bool) -> Count {
        if media { self.media.clone() } else { self.other.clone() }
    }
}

/// Media that leaves at once, in one piece, or not at all: booked and counted as [`Out`] would. Says whether it leaves.
pub fn pass(visit: &Visit, gate: &Gate, sent: &Sent, len: usize) -> bool {
    let (now, session) = (Instant::now(), visit.session());
    if len > STEP_MAX || session.pace(true).try_take(now, len).is_err() {
        return false;
    }
    if !gate.pass(now, session.share(), len) {
        session.pace(true).refund(len);
        return false;
    }
    sent.media.increment(len as u64);
    visit.passed(len as u64);
    true
}

/// The meter of one answer.
///
/// A piece first waits for its session's pace and only then asks at the edge's gate: bytes that may not leave yet take
/// nothing from other viewers. What was booked and did not leave is given back, by whichever way the answer ends.
pub struct Out {
    visit: Visit,
    gate: Arc<Gate>,
    sent: Count,
    media: bool,
    brief: bool,
    stage: Stage,
}

type Timer = Pin<Box<Sleep>>;

/// How far the piece at the front is.
enum Stage {
    /// Nothing is booked.
    New,
    /// These bytes are booked with the session's pace, which lets them go when the timer says so.
    Paced { len: usize, until: Option<Timer> },
    /// And with its share, which is due by then; surplus may be granted before.
    Waiting { len: usize, due: Timer, booked: Booked, granted: oneshot::Receiver<Grant> },
    /// They may leave, as share or as surplus.
    Granted { len: usize, grant: Grant, share: Option<Booked> },
}

impl Out {
    /// For one answer to one visit.
    pub fn new(visit: Visit, gate: Arc<Gate>, sent: Count, media: bool) -> Self {
        Self { visit, gate, sent, media, brief: !media, stage: Stage::New }
    }

    /// Of media, but no more than a page has to read before it can play any.
    pub fn briefly(mut self, brief: bool) -> Self {
        self.brief |= brief;
        self
    }

    /// A debt below [`TIMER_MIN`] carries over to the next piece.
    fn paced(&self, now: Instant, len: usize) -> Stage {
        let delay = self.visit.session().pace(self.media).take(now, len);
        Stage::Paced { len, until: (delay >= TIMER_MIN).then(|| timer(delay)) }
    }

    fn asked(&self, now: Instant, len: usize) -> Stage {
        let brief = self.visit.session().brief().filter(|_| self.brief);
        if let Some(grant) = brief.and_then(|brief| self.gate.briefly(now, brief, len)) {
            return Stage::Granted { len, grant, share: None };
        }
        // Playlists must not wait behind the session's own segments, so they may run ahead; but not for ever.
        let ahead = if self.media { Duration::ZERO } else { AHEAD };
        match self.gate.ask(now, self.visit.session().share(), len, ahead) {
            Verdict::Surplus(grant) => Stage::Granted { len, grant, share: None },
            Verdict::Share(grant, booked) => Stage::Granted { len, grant, share: Some(booked) },
            Verdict::Wait { due, booked, granted, first } => {
                if first {
                    tokio::spawn(serve(self.gate.clone()));
                }
                Stage::Waiting { len, due: timer(due), booked, granted }
            }
        }
    }
}

/// Serves the gate's queue until nobody waits. A task of its own: a viewer's may sleep while others wait behind it.
async fn serve(gate: Arc<Gate>) {
    while let Some(wait) = gate.serve(Instant::now()) {
        tokio::time::sleep(wait).await;
    }
}

fn timer(delay: Duration) -> Timer {
    Box::pin(tokio::time::sleep(delay))
}

impl Meter for Out {
    fn poll_allow(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<()> {
        let now = Instant::now();
        loop {
            self.stage = match &mut self.stage {
                Stage::New => self.paced(now, len),
                Stage::Paced { until, .. } => {
                    if let Some(until) = until {
                        ready!(until.as_mut().poll(cx));
                    }
                    self.asked(now, len)
                }
                Stage::Waiting { due, booked, granted, .. } => match Pin::new(granted).poll(cx) {
                    Poll::Ready(Ok(grant)) => {
                        self.visit.session().share().unbook(*booked, len);
                        Stage::Granted { len, grant, share: None }
                    }
                    // The queue drops nobody who waits.
                    Poll::Ready(Err(_)) | Poll::Pending => {
                        ready!(due.as_mut().poll(cx));
                        Stage::Granted { len, grant: self.gate.book(now, len), share: Some(*booked) }
                    }
                },
                Stage::Granted { .. } => return Poll::Ready(()),
            };
        }
    }

    fn count(&mut self, len: usize) {
        if let Stage::Granted { grant, .. } = std::mem::replace(&mut self.stage, Stage::New) {
            grant.leave();
        }
        self.sent.increment(len as u64);
        self.visit.sent(len as u64, self.media);
    }

    fn step(&self) -> usize {
        match self.stage {
            Stage::New if self.gate.is_calm(Instant::now()) => STEP_MAX,
            Stage::New => self.visit.session().step(),
            Stage::Paced { len, .. } | Stage::Waiting { len, .. } | Stage::Granted { len, .. } => len,
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let (len, share) = match self.stage {
            Stage::New => return,
            Stage::Paced { len, .. } => (len, None),
            Stage::Waiting { len, booked, .. } => (len, Some(booked)),
            Stage::Granted { len, share, .. } => (len, share),
        };
        let session = self.visit.session();
        session.pace(self.media).refund(len);
        if let Some(booked) = share {
            session.share().unbook(booked, len);
        }
    }
}

/// How much sooner than its session's share what is not media may leave.
const AHEAD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::session::tests::one_visit;
    use super::*;

    const MBIT: usize = 1_000_000 / 8;

    fn out(visit: &Visit, gate: &Arc<Gate>) -> Out {
        Out::new(visit.session().clone().visit(true), gate.clone(), Count::noop(), true)
    }

    fn leaves(visit: &Visit, gate: &Arc<Gate>, len: usize) -> bool {
        let mut out = out(visit, gate);
        let ready = out.poll_allow(&mut Context::from_waker(Waker::noop()), len).is_ready();
        if ready {
            out.count(len);
        }
        ready
    }

    #[tokio::test]
    async fn many_answers_given_up_by_one_viewer_take_nothing_from_the_others() {
        // 1 Mbit/s, at twice its rate and 10 s ahead: 20 Mbit leave at once.
        let (_sessions, visit) = one_visit(1_000_000);
        let gate = Gate::new(400 * MBIT as u64);
        assert!(leaves(&visit, &gate, 20 * MBIT));
        // A hundred that must wait for the session's pace book nothing.
        for _ in 0..100 {
            assert!(!leaves(&visit, &gate, 10 * MBIT));
        }
        let nothing = Gate::share(1);
        nothing.take(Instant::now(), MBIT);
        assert!(gate.pass(Instant::now(), &nothing, 80 * MBIT), "80 Mbit of the burst are left");
        // And with the session they leave no debt either: 1 Mbit is half a second.
        assert!(visit.session().pace(true).take(Instant::now(), MBIT) <= Duration::from_millis(501));
    }

    #[tokio::test]
    async fn what_leaves_at_once_is_booked_and_counted_and_what_does_not_is_neither() {
        let (sessions, visit) = one_visit(1_000_000);
        let (gate, sent) = (Gate::new(400 * MBIT as u64), Sent::new());
        assert!(!pass(&visit, &gate, &sent, STEP_MAX + 1));
        // 20 Mbit may leave, in pieces of 1/8.
        let left = (0..1_000).take_while(|_| pass(&visit, &gate, &sent, MBIT / 8)).count();
        assert!((160..165).contains(&left), "{left}");
        assert_eq!(sessions.changes(Duration::ZERO, 1)[0].media_bytes, (left * MBIT / 8) as u64);
        let (_sessions, fast) = one_visit(1_000_000_000);
        fast.session().share().take(Instant::now(), 1_000 * MBIT);
        assert!(gate.pass(Instant::now(), fast.session().share(), 79 * MBIT), "what was refused booked nothing");
        gate.book(Instant::now(), 400 * MBIT).leave();
        assert!(!pass(&fast, &gate, &sent, 2 * MBIT), "neither the edge has more nor its share");
        assert!(fast.session().pace(true).try_take(Instant::now(), 20_000 * MBIT - 1).is_ok());
    }

    #[tokio::test]
    async fn what_waited_at_the_gate_and_was_given_up_is_given_back() {
        let (_sessions, visit) = one_visit(100_000_000);
        let gate = Gate::new(MBIT as u64);
        let (_others, other) = one_visit(1_000_000);
        assert!(leaves(&other, &gate, MBIT));
        visit.session().share().take(Instant::now(), 100 * MBIT);
        for _ in 0..100 {
            assert!(!leaves(&visit, &gate, MBIT / 4));
        }
        let due = visit.session().share().take(Instant::now(), MBIT);
        assert!(due <= Duration::from_millis(761), "a second's share was taken before, a quarter is burst: {due:?}");
        let (wait, served) = (gate.serve(Instant::now()), tokio::time::timeout(TIMER_MIN, serve(gate.clone())).await);
        assert_eq!((wait, served.is_ok()), (None, true), "nobody waits");
    }

    #[tokio::test]
    async fn what_others_wait_for_stands_behind_a_viewers_own_share_on_both_ways_out() {
        let gate = Gate::new(12 * MBIT as u64);
        let greedy: Vec<_> = (0..5).map(|_| one_visit(1_000_000)).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let mut outs: Vec<_> = greedy.iter().flat_map(|(_, visit)| (0..20).map(|_| out(visit, &gate))).collect();
        // Each has a quarter of a second's share; most of them wait for surplus.
        let left = outs.iter_mut().map(|out| out.poll_allow(&mut cx, MBIT / 4)).filter(Poll::is_ready).count();
        assert!(left < 60, "{left}");
        let (_sessions, good) = one_visit(1_000_000);
        assert!(pass(&good, &gate, &Sent::new(), MBIT / 8));
        assert!(leaves(&good, &gate, MBIT / 8));
        assert!(!leaves(&good, &gate, MBIT / 8), "that was its share for now");
    }

    #[tokio::test]
    async fn what_an_engine_has_to_read_first_waits_for_no_debt_and_its_media_do() {
        let gate = Gate::new(MBIT as u64);
        gate.book(Instant::now(), 10 * MBIT).leave();
        // How many answers of 1 kB leave at once: of init segments, and then of playlists.
        let leave = || {
            let (sessions, visit) = one_visit(1_000_000);
            sessions.link(visit.session());
            assert!(!leaves(&visit, &gate, 1_000), "media");
            let mut cx = Context::from_waker(Waker::noop());
            let mut answers = |media: bool| {
                let new = || Out::new(visit.session().clone().visit(true), gate.clone(), Count::noop(), media);
                let mut leaves = |mut out: Out| {
                    let left = out.poll_allow(&mut cx, 1_000).is_ready();
                    left.then(|| out.count(1_000)).is_some()
                };
                (0..10).filter(|_| leaves(new().briefly(true))).count()
            };
            (answers(true), answers(false))
        };
        assert_eq!(leave(), (10, 6), "16 KiB of both together");
        let all: usize = (0..200).map(|_| leave()).map(|(inits, playlists)| inits + playlists).sum();
        assert!((46..60).contains(&all), "half a second of the edge's budget, however many sessions there are: {all}");
    }

    #[tokio::test]
    async fn surplus_leaves_when_the_edge_has_room_for_it() {
        let gate = Gate::new(100 * MBIT as u64);
        let ((_sessions, visit), len) = (one_visit(1_000_000), MBIT / 4);
        let nothing = Gate::share(1);
        nothing.take(Instant::now(), MBIT);
        assert!(gate.pass(Instant::now(), &nothing, 25 * MBIT), "the edge's burst");
        assert!(leaves(&visit, &gate, len), "the share");
        // By its share alone the last would leave in five seconds.
        let all = async {
            for _ in 0..20 {
                let mut out = out(&visit, &gate);
                std::future::poll_fn(|cx| out.poll_allow(cx, len)).await;
                out.count(len);
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(2), all).await.is_ok());
        assert!(visit.session().share().take(Instant::now(), len) <= Duration::from_millis(251), "it was not used");
    }

    #[tokio::test]
    async fn playlists_are_not_paced_as_media_is_and_yet_bounded() {
        // The playlist of six hours, at 257 kbit/s.
        let (_sessions, visit) = one_visit(257_000);
        let gate = Gate::new(1_000 * MBIT as u64);
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = Out::new(visit.session().clone().visit(true), gate.clone(), Count::noop(), false);
        let mut most = 0;
        while out.poll_allow(&mut cx, 16_000).is_ready() && most < 100_000_000 {
            out.count(16_000);
            most += 16_000;
        }
        assert!((4_000_000..6_000_000).contains(&most), "{most}");
        assert!(leaves(&visit, &gate, 500_000), "and its media has lost nothing");
    }
}

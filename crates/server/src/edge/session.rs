//! Who is being served? A session is a ticket's place: it opens with the first request, lasts as long as the player
//! keeps asking, and gives its place back when it stops.
//!
//! Invariant: the rates of open sessions without a link never add up to more than the edge's capacity leaves to them
//! (`promises`); who has a link is served by its cluster, and takes the rest as surplus. A place is for a viewer to whom
//! bytes move: neither looking at the stream's state nor a response that nobody reads keeps one.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trellis_core::manager::redirect::PENDING_LIFE;
use trellis_core::trust::table::Authority;
use trellis_proto::{SessionId, StreamId, Ticket, limits};

use super::budget::Budget;
use super::gate::{Gate, STEP_MAX};
use super::promises::Promises;
use crate::clock::unix_ms;
use crate::cluster_api::{BEAT_INTERVAL_MS, Usage, UsageEnd};
use crate::shelf::BLOCKED_MAX;

/// Hashes the front of a ticket, which is its session id: that tells tickets apart, and is a ninth of the text. Only
/// tickets that were signed become keys, so nobody chooses ids that collide.
#[derive(Default)]
struct ByFront(RandomState);

struct FrontHasher(DefaultHasher);

/// All sessions of an edge.
pub struct Sessions {
    edge: String,
    promises: Arc<Promises>,
    idle: Duration,
    remembered_max: usize,
    /// By ticket, as it stands in the URL: the path every request takes.
    by_ticket: RwLock<HashMap<Box<str>, Arc<Session>, ByFront>>,
    tally: Mutex<Tally>,
}

/// What the manager is told about all sessions together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Sum of the rates of open sessions that have no link, bit/s.
    pub committed_bps: u64,
    /// Open sessions.
    pub open: u32,
    /// Sum of the rates of all sessions ever opened, bit/s. Each counts when it opens for the first time and its join is
    /// fresh: what the manager strikes out for it among its grants must be its own.
    pub admitted_bps_total: u64,
}

/// One viewer's place.
pub struct Session {
    ticket: Ticket,
    pace: Budget,
    words: Budget,
    share: Budget,
    /// The share of who has a link: none.
    no_share: Budget,
    /// What it has to read before it can play what its cluster brings.
    brief: Budget,
    /// Links that are let in; changed while `life` is held.
    links: AtomicU32,
    started_ms: u64,
    updated_ms: AtomicU64,
    media_bytes: AtomicU64,
    other_bytes: AtomicU64,
    /// Requests being answered; at most [`IN_FLIGHT_MAX`].
    busy: AtomicU32,
    life: Mutex<Life>,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    ended: Option<UsageEnd>,
    ended_ms: u64,
    /// What the manager has acknowledged: bytes and end.
    told: (u64, Option<UsageEnd>),
    told_ms: u64,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not a ticket of our manager for this edge and stream.
    Ticket,
    /// It was one.
    Expired,
    /// The budget is promised to others.
    NoRoom,
    /// Its viewer has [`IN_FLIGHT_MAX`] of them being answered.
    TooMany,
    /// The manager's key is not known yet.
    Starting,
}

/// A request being answered; while one is, its session is not forgotten.
pub struct Visit {
    session: Arc<Session>,
    /// A look at the stream's state needs no place and keeps none.
    keeps: bool,
}

impl Visit {
    /// Whose.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Media that leaves the moment its request has come in.
    pub fn passed(&self, bytes: u64) {
        self.session.media_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that left.
    pub fn sent(&self, bytes: u64, media: bool) {
        let counter = if media { &self.session.media_bytes } else { &self.session.other_bytes };
        counter.fetch_add(bytes, Ordering::Relaxed);
        if self.keeps || self.session.has_link() {
            self.session.updated_ms.store(unix_ms(), Ordering::Relaxed);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.session.busy.fetch_sub(1, Ordering::Release);
    }
}

impl Session {
    /// What it watches.
    pub fn stream(&self) -> &StreamId {
        &self.ticket.stream
    }

    /// What the manager signed.
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// How fast media may leave for it at best, or what is not media.
    pub fn pace(&self, media: bool) -> &Budget {
        if media { &self.pace } else { &self.words }
    }

    /// What it was promised: at this rate its bytes wait for nobody.
    pub fn share(&self) -> &Budget {
        if self.has_link() { &self.no_share } else { &self.share }
    }

    /// Of who has a link: for playlists, init segments and the like, beside its share.
    pub fn brief(&self) -> Option<&Budget> {
        self.has_link().then_some(&self.brief)
    }

    /// The most bytes to let out at once while others want to: what its share lets out at once.
    pub fn step(&self) -> usize {
        self.share.burst_len().clamp(STEP_MIN, STEP_MAX)
    }

    /// Is it a member of a cluster?
    pub fn has_link(&self) -> bool {
        self.links.load(Ordering::Relaxed) > 0
    }

    /// Counted first and looked at afterwards, so that no sweep comes between.
    pub(super) fn visit(self: Arc<Self>, keeps: bool) -> Visit {
        self.busy.fetch_add(1, Ordering::Acquire);
        Visit { session: self, keeps }
    }

    fn bytes(&self) -> u64 {
        self.media_bytes.load(Ordering::Relaxed) + self.other_bytes.load(Ordering::Relaxed)
    }

    fn life(&self) -> std::sync::MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// None yet.
    pub fn new(edge: String, promises: Arc<Promises>, idle: Duration) -> Self {
        let (by_ticket, tally) = Default::default();
        Self { edge, promises, idle, remembered_max: REMEMBERED_MAX, by_ticket, tally }
    }

    /// Lets a request in: at once when its session is open, else after checking the ticket and the room. One that does
    /// not keep a place needs none either.
    pub fn enter(&self, text: &str, stream: &str, keeps: bool, authority: &Authority) -> Result<Visit, Refusal> {
        self.enter_at(unix_ms(), text, stream, keeps, authority)
    }

    /// The same, by a clock the caller has just read.
    pub fn enter_at(
        &self,
        now: u64,
        text: &str,
        stream: &str,
        keeps: bool,
        authority: &Authority,
    ) -> Result<Visit, Refusal> {
        let visit = match self.known(text, keeps) {
            Some(visit) => visit,
            None => self.check(text, keeps, authority)?,
        };
        let session = &visit.session;
        if session.ticket.stream.as_str() != stream {
            return Err(Refusal::Ticket);
        }
        if now / 1000 >= session.ticket.expires_s {
            return Err(Refusal::Expired);
        }
        if session.busy.load(Ordering::Relaxed) > IN_FLIGHT_MAX {
            return Err(Refusal::TooMany);
        }
        if keeps {
            session.updated_ms.store(now, Ordering::Relaxed);
            self.open(session)?;
        }
        Ok(visit)
    }

    /// The visit begins while the map is locked: the sweep, which wants it for itself, sees the session busy.
    fn known(&self, text: &str, keeps: bool) -> Option<Visit> {
        self.map().get(text).map(|session| session.clone().visit(keeps))
    }

    /// A ticket seen for the first time.
    fn check(&self, text: &str, keeps: bool, authority: &Authority) -> Result<Visit, Refusal> {
        if text.len() > limits::TICKET_BYTES_MAX * 4 / 3 + 4 {
            return Err(Refusal::Ticket);
        }
        let message = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Ticket)?;
        let ticket = authority.ticket(&message).map_err(|_| Refusal::Ticket)?;
        if ticket.edge != self.edge {
            return Err(Refusal::Ticket);
        }
        if unix_ms() / 1000 >= ticket.expires_s {
            return Err(Refusal::Expired);
        }
        let session = Arc::new(new_session(ticket));
        let mut map = self.by_ticket.write().unwrap_or_else(PoisonError::into_inner);
        Ok(map.entry(text.into()).or_insert(session).clone().visit(keeps))
    }

    /// Takes the session's place, if it has none and there is room.
    fn open(&self, session: &Session) -> Result<(), Refusal> {
        let mut life = session.life();
        if life.ended.is_none() {
            return Ok(());
        }
        let rate = session.ticket.max_rate;
        if !session.has_link() {
            if !self.promises.take(rate) {
                return Err(Refusal::NoRoom);
            }
            self.tally().committed_bps += rate;
        }
        self.begin(session, &mut life);
        Ok(())
    }

    fn begin(&self, session: &Session, life: &mut Life) {
        let mut tally = self.tally();
        tally.open += 1;
        if life.ended == Some(NEVER_OPENED) && session.is_fresh(unix_ms()) {
            tally.admitted_bps_total += session.ticket.max_rate;
        }
        life.ended = None;
    }

    /// A cluster has let it in: the place it may have had is free.
    pub fn link(&self, session: &Session) {
        let mut life = session.life();
        let first = session.links.fetch_add(1, Ordering::Relaxed) == 0;
        match life.ended {
            None if first => self.vacate(session),
            None => {}
            Some(_) => self.begin(session, &mut life),
        }
    }

    /// And has let it go. Whoever goes on without a link needs a place again.
    pub fn unlink(&self, session: &Session) {
        let mut life = session.life();
        if session.links.fetch_sub(1, Ordering::Relaxed) == 1 && life.ended.is_none() {
            self.finish(&mut life, UsageEnd::Idle);
        }
    }

    fn vacate(&self, session: &Session) {
        self.promises.give_back(session.ticket.max_rate);
        self.tally().committed_bps -= session.ticket.max_rate;
    }

    fn finish(&self, life: &mut Life, why: UsageEnd) {
        life.ended = Some(why);
        life.ended_ms = unix_ms();
        self.tally().open -= 1;
    }

    fn end(&self, session: &Session, why: UsageEnd) {
        let mut life = session.life();
        if life.ended.is_some() {
            return;
        }
        if !session.has_link() {
            self.vacate(session);
        }
        self.finish(&mut life, why);
    }

    /// Ends sessions that are over and forgets those whose ticket is void and whose account is settled.
    pub fn sweep(&self, ended_streams: impl Fn(&StreamId) -> bool) {
        let now = unix_ms();
        for session in self.map().values() {
            let quiet = Duration::from_millis(now.saturating_sub(session.updated_ms.load(Ordering::Relaxed)));
            // A request that waits for the publisher or for its pace is answered within this time, or nobody reads it.
            let held = session.has_link() || session.busy.load(Ordering::Acquire) > 0 && quiet < STUCK;
            if now / 1000 >= session.ticket.expires_s {
                self.end(session, UsageEnd::Expired);
            } else if !held && quiet > ENDED_IDLE && ended_streams(session.stream()) {
                self.end(session, UsageEnd::StreamEnded);
            } else if !held && quiet > self.idle {
                self.end(session, UsageEnd::Idle);
            }
        }
        let mut map = self.by_ticket.write().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, session| session.is_busy() || !session.is_settled(now));
        if map.len() > self.remembered_max {
            // Too many that came and went: those that are over and told need not be remembered until their ticket ends.
            map.retain(|_, session| session.is_busy() || session.life().ended.is_none() || !session.is_told());
        }
    }

    /// The server stops.
    pub fn end_all(&self) {
        self.map().values().for_each(|session| self.end(session, UsageEnd::Shutdown));
    }

    /// Totals.
    pub fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that ended within the last minute.
    pub fn departures_per_minute(&self) -> u32 {
        let since = unix_ms().saturating_sub(60_000);
        let departed =
            |s: &&Arc<Session>| matches!(*s.life(), Life { ended: Some(_), ended_ms, .. } if ended_ms >= since);
        self.map().values().filter(departed).count() as u32
    }

    /// What has changed since the manager last acknowledged, at most `max` records: of sessions that ended or came back at
    /// once, of others after `every`; ends first in line.
    pub fn changes(&self, every: Duration, max: usize) -> Vec<Usage> {
        let now = unix_ms();
        let due = |session: &&Arc<Session>| {
            let life = *session.life();
            let opened = life.ended != Some(NEVER_OPENED);
            let changed = life.told != (session.bytes(), life.ended);
            let turned = life.ended.is_some() || life.told.1.is_some();
            opened && changed && (turned || now.saturating_sub(life.told_ms) >= every.as_millis() as u64)
        };
        let mut sessions: Vec<_> = self.map().values().filter(due).cloned().collect();
        sessions.sort_by_cached_key(|session| session.life().ended.is_none());
        sessions.iter().take(max).map(|session| session.usage()).collect()
    }

    /// The manager has these.
    pub fn acknowledge(&self, usage: &[Usage]) {
        // One that goes on with another ticket is here twice, and began twice.
        let by_id: HashMap<(SessionId, u64), &Usage> =
            usage.iter().filter_map(|usage| Some(((usage.session.parse().ok()?, usage.started_ms), usage))).collect();
        if by_id.is_empty() {
            return;
        }
        for session in self.map().values() {
            if let Some(usage) = by_id.get(&(session.ticket.session, session.started_ms)) {
                let mut life = session.life();
                life.told = (usage.media_bytes + usage.other_bytes, usage.ended);
                life.told_ms = unix_ms();
            }
        }
    }

    fn map(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Arc<Session>, ByFront>> {
        self.by_ticket.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BuildHasher for ByFront {
    type Hasher = FrontHasher;

    fn build_hasher(&self) -> FrontHasher {
        FrontHasher(self.0.build_hasher())
    }
}

impl Hasher for FrontHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(&bytes[..bytes.len().min(TICKET_FRONT)]);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl Session {
    fn usage(&self) -> Usage {
        Usage {
            session: self.ticket.session.to_string(),
            stream: self.ticket.stream.to_string(),
            started_ms: self.started_ms,
            updated_ms: self.updated_ms.load(Ordering::Relaxed),
            ended: self.life().ended,
            media_bytes: self.media_bytes.load(Ordering::Relaxed),
            other_bytes: self.other_bytes.load(Ordering::Relaxed),
        }
    }

    fn is_told(&self) -> bool {
        let life = *self.life();
        life.ended == Some(NEVER_OPENED) || life.told == (self.bytes(), life.ended)
    }

    fn is_settled(&self, now_ms: u64) -> bool {
        let life = *self.life();
        let void = now_ms / 1000 >= self.ticket.expires_s || life.ended == Some(NEVER_OPENED);
        void && life.ended.is_some() && self.is_told()
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Was it joined so lately that the manager still counts its grant as on its way when the next beat arrives? The id
    /// begins with the time of the join. When in doubt no: the grant then counts for its whole life, and no other's is
    /// struck out instead.
    fn is_fresh(&self, now_ms: u64) -> bool {
        let joined_ms = self.ticket.session.0[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte));
        now_ms.abs_diff(joined_ms) <= FRESH_MS
    }
}

fn new_session(ticket: Ticket) -> Session {
    let now = unix_ms();
    Session {
        // Twice the promised rate, after a burst that fills a player's buffer: enough to catch up and for a player's
        // estimate of its line to allow the best rendition, not enough to take the line from others.
        pace: Budget::new(ticket.max_rate / 8 * 2, Duration::from_secs(10)),
        // However slow its media, a player begins with the playlists of a long recording; and who asks for nothing but
        // playlists takes no more than a slow viewer.
        words: Budget::new(WORDS_RATE, Duration::from_secs(WORDS_BURST / WORDS_RATE)),
        share: Gate::share(ticket.max_rate / 8),
        no_share: Budget::new(1, Duration::ZERO),
        brief: Budget::new(BRIEF_RATE, Duration::from_secs(BRIEF_BURST / BRIEF_RATE)),
        links: AtomicU32::new(0),
        ticket,
        started_ms: now,
        updated_ms: AtomicU64::new(now),
        media_bytes: AtomicU64::new(0),
        other_bytes: AtomicU64::new(0),
        busy: AtomicU32::new(0),
        life: Mutex::new(Life { ended: Some(NEVER_OPENED), ended_ms: 0, told: (0, None), told_ms: 0 }),
    }
}

/// Pieces are no smaller, as at rates below half a megabit.
const STEP_MIN: usize = 16 * 1024;
/// Playlists of one session, bytes per second; a live player's are a tenth of it.
const WORDS_RATE: u64 = 128 * 1024;
/// Those of a day's recording, not compressed.
const WORDS_BURST: u64 = 4 * 1024 * 1024;
/// What an engine's page reads of a live stream until its picture stands takes half of this; behind what its cluster sends
/// on a small edge it would wait for seconds. Bytes, ...
const BRIEF_BURST: u64 = 16 * 1024;
/// ... and bytes per second: another page load a minute.
const BRIEF_RATE: u64 = 256;
/// Version, kind and session id, in base64.
const TICKET_FRONT: usize = 24;
/// Marks a session that has not had its place yet; no edge says this of itself.
const NEVER_OPENED: UsageEnd = UsageEnd::EdgeLost;
/// Most requests of one session at a time: five players' worth over HTTP/1.1, a preloading one's over HTTP/2.
const IN_FLIGHT_MAX: u32 = 32;
/// A request for which nothing has moved this long waits for its reader, not for us: what is blocked is answered sooner,
/// and the slowest pace lets a piece out sooner.
const STUCK: Duration = Duration::from_secs(30);
const _: () = assert!(BLOCKED_MAX.as_secs() < STUCK.as_secs());
/// Whoever still watches what has ended asks for the next segment by then.
const ENDED_IDLE: Duration = Duration::from_secs(10);
/// A grant's life, less the time to the next beat and the second the manager rounds by.
const FRESH_MS: u64 = PENDING_LIFE.as_millis() as u64 - BEAT_INTERVAL_MS - 1_000;
/// Sessions remembered after their end, so that a player that comes back continues its account.
const REMEMBERED_MAX: usize = 100_000;

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use trellis_core::trust::table::sealed;
    use trellis_proto::{Class, P2p};

    use super::*;

    /// A ticket for the edge of this name.
    pub fn ticket(pair: &Ed25519KeyPair, id: u8, change: impl FnOnce(&mut Ticket)) -> String {
        let mut ticket = Ticket {
            session: SessionId([id; 16]),
            stream: "demo".parse().unwrap(),
            edge: "edge".into(),
            expires_s: unix_ms() / 1000 + 60,
            max_rate: 1_000_000,
            class: Class::Standard,
            rejoins: false,
            p2p: P2p::On,
            viewers_min: 0,
        };
        change(&mut ticket);
        let body = ticket.encode();
        let signature = pair.sign(&body);
        URL_SAFE_NO_PAD.encode(sealed(body, signature.as_ref().try_into().unwrap()))
    }

    fn keys(seed: u8) -> (Ed25519KeyPair, Authority) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let authority = Authority::new(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        (pair, authority)
    }

    /// A session of this rate, alone at its edge.
    pub fn one_visit(rate: u64) -> (Sessions, Visit) {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(rate), Duration::from_secs(30));
        let visit = sessions.enter(&ticket(&pair, 1, |t| t.max_rate = rate), "demo", true, &authority);
        (sessions, visit.ok().unwrap())
    }

    /// Nothing has moved for this long.
    fn age(sessions: &Sessions, by: Duration) {
        let then = unix_ms() - by.as_millis() as u64;
        sessions.map().values().for_each(|session| session.updated_ms.store(then, Ordering::Relaxed));
    }

    #[test]
    fn only_a_valid_ticket_for_this_edge_and_stream_enters() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(10_000_000), Duration::from_secs(30));
        let enter = |text: &str| sessions.enter(text, "demo", true, &authority).map(drop);
        assert_eq!(enter(&ticket(&pair, 1, |_| ())), Ok(()));
        assert_eq!(enter(&ticket(&keys(2).0, 1, |_| ())), Err(Refusal::Ticket));
        assert_eq!(enter(&ticket(&pair, 1, |t| t.edge = "other".into())), Err(Refusal::Ticket));
        assert_eq!(enter(&ticket(&pair, 1, |t| t.stream = "other".parse().unwrap())), Err(Refusal::Ticket));
        assert_eq!(enter(&ticket(&pair, 1, |t| t.expires_s = 1)), Err(Refusal::Expired));
        assert_eq!(enter(&format!("{}A", ticket(&pair, 1, |_| ()))), Err(Refusal::Ticket));
        assert_eq!(enter("../../etc/passwd"), Err(Refusal::Ticket));
        assert_eq!(enter(&"A".repeat(100_000)), Err(Refusal::Ticket));
    }

    #[test]
    fn places_are_promised_once_and_come_back() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(2_000_000), Duration::ZERO);
        let tickets: Vec<_> = (1..=3).map(|id| ticket(&pair, id, |_| ())).collect();
        let first = sessions.enter(&tickets[0], "demo", true, &authority).ok().unwrap();
        assert!(sessions.enter(&tickets[1], "demo", true, &authority).is_ok());
        assert_eq!(sessions.enter(&tickets[2], "demo", true, &authority).map(drop), Err(Refusal::NoRoom));
        first.sent(70, true);
        age(&sessions, STUCK / 2);
        sessions.sweep(|_| false);
        // The second was idle, the first is being answered.
        let tally = *sessions.tally();
        assert_eq!((tally.open, tally.committed_bps), (1, 1_000_000));
        assert!(sessions.enter(&tickets[2], "demo", true, &authority).is_ok());
        let told = sessions.changes(Duration::ZERO, 10);
        let of = |id: u8| told.iter().find(|u| u.session == SessionId([id; 16]).to_string()).unwrap();
        assert_eq!((of(1).media_bytes, of(1).ended), (70, None));
        assert_eq!(of(2).ended, Some(UsageEnd::Idle));
        sessions.acknowledge(&told);
        assert_eq!(sessions.changes(Duration::ZERO, 10), []);
    }

    #[test]
    fn a_request_that_nobody_reads_keeps_no_place() {
        let (sessions, visit) = one_visit(1_000_000);
        age(&sessions, STUCK + Duration::from_secs(1));
        sessions.sweep(|_| false);
        assert_eq!(sessions.tally().open, 0);
        drop(visit);
    }

    #[test]
    fn who_comes_back_is_reported_at_once() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(1_000_000), Duration::ZERO);
        let ticket = ticket(&pair, 1, |_| ());
        let report = || sessions.changes(Duration::from_secs(60), 10);
        for ended in [None, Some(UsageEnd::Shutdown), None] {
            match ended {
                Some(_) => sessions.end_all(),
                None => sessions.enter(&ticket, "demo", true, &authority).ok().unwrap().sent(9, true),
            }
            assert_eq!(report().first().map(|usage| usage.ended), Some(ended));
            sessions.acknowledge(&report());
            assert_eq!(report(), []);
        }
    }

    #[test]
    fn looking_at_the_state_neither_takes_nor_keeps_a_place() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(1_000_000), Duration::from_secs(5));
        let (one, two) = (ticket(&pair, 1, |_| ()), ticket(&pair, 2, |_| ()));
        drop(sessions.enter(&one, "demo", true, &authority).ok().unwrap());
        age(&sessions, Duration::from_secs(6));
        let look = sessions.enter(&one, "demo", false, &authority).ok().unwrap();
        look.sent(60, false);
        drop(look);
        sessions.sweep(|_| false);
        assert_eq!(sessions.tally().open, 0);
        assert!(sessions.enter(&two, "demo", true, &authority).is_ok());
        assert!(sessions.enter(&one, "demo", false, &authority).is_ok(), "the edge is full, but a look needs no room");
        assert_eq!(sessions.changes(Duration::ZERO, 10).iter().map(|usage| usage.other_bytes).sum::<u64>(), 60);
    }

    #[test]
    fn a_stream_that_ended_is_left_sooner() {
        let (sessions, visit) = one_visit(1_000_000);
        drop(visit);
        age(&sessions, ENDED_IDLE + Duration::from_secs(1));
        sessions.sweep(|_| false);
        assert_eq!(sessions.tally().open, 1);
        sessions.sweep(|_| true);
        assert_eq!(sessions.changes(Duration::ZERO, 10)[0].ended, Some(UsageEnd::StreamEnded));
    }

    #[test]
    fn one_viewer_has_so_many_requests_at_a_time() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(1_000_000), Duration::ZERO);
        let ticket = ticket(&pair, 1, |_| ());
        let enter = || sessions.enter(&ticket, "demo", true, &authority);
        let mut visits: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| enter().ok().unwrap()).collect();
        assert_eq!(enter().map(drop), Err(Refusal::TooMany));
        visits.pop();
        assert!(enter().is_ok());
    }

    #[test]
    fn a_session_being_answered_is_not_forgotten_however_many_there_are() {
        let (mut sessions, visit) = one_visit(1_000_000);
        sessions.remembered_max = 0;
        sessions.end_all();
        sessions.acknowledge(&sessions.changes(Duration::ZERO, 10));
        sessions.sweep(|_| false);
        visit.sent(70, true);
        drop(visit);
        assert_eq!(sessions.changes(Duration::ZERO, 10)[0].media_bytes, 70);
        sessions.acknowledge(&sessions.changes(Duration::ZERO, 10));
        sessions.sweep(|_| false);
        assert_eq!(sessions.map().len(), 0);
    }

    #[test]
    fn only_a_first_opening_soon_after_the_join_counts_as_an_arrival() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), Promises::new(10_000_000), Duration::ZERO);
        let joined = |ms: u64| ticket(&pair, 1, |t| t.session.0[..6].copy_from_slice(&ms.to_be_bytes()[2..]));
        let enter = |ticket: &str| drop(sessions.enter(ticket, "demo", true, &authority).ok().unwrap());
        let fresh = joined(unix_ms());
        enter(&fresh);
        assert_eq!(sessions.tally().admitted_bps_total, 1_000_000);
        sessions.end_all();
        enter(&fresh);
        // One from before the edge was restarted: the manager struck its grant out long ago.
        enter(&joined(unix_ms() - 60_000));
        let tally = *sessions.tally();
        assert_eq!((tally.open, tally.admitted_bps_total), (2, 1_000_000));
    }
}

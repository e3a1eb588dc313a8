//! Who is being served? A session is a ticket's place: it opens with the first request, lasts as long as the player
//! keeps asking, and gives its place back when it stops.
//!
//! Invariant: the rates of open sessions never add up to more than the edge's capacity.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trellis_core::trust::table::Authority;
use trellis_proto::{StreamId, Ticket, limits};

use super::budget::Budget;
use crate::clock::unix_ms;
use crate::cluster_api::{Usage, UsageEnd};

/// Hashes the front of a ticket, which is its session id: that tells tickets apart, and is a ninth of the text. Only
/// tickets that were signed become keys, so nobody chooses ids that collide.
#[derive(Default)]
struct ByFront(RandomState);

struct FrontHasher(DefaultHasher);

/// All sessions of an edge.
pub struct Sessions {
    edge: String,
    capacity_bps: u64,
    idle: Duration,
    /// By ticket, as it stands in the URL: the path every request takes.
    by_ticket: RwLock<HashMap<Box<str>, Arc<Session>, ByFront>>,
    tally: Mutex<Tally>,
}

/// What the manager is told about all sessions together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Sum of the rates of open sessions, bit/s.
    pub committed_bps: u64,
    /// Open sessions.
    pub open: u32,
    /// Sum of the rates of all sessions ever opened, bit/s.
    pub admitted_bps_total: u64,
}

/// One viewer's place.
pub struct Session {
    ticket: Ticket,
    pace: Budget,
    started_ms: u64,
    updated_ms: AtomicU64,
    media_bytes: AtomicU64,
    other_bytes: AtomicU64,
    /// Requests being answered.
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
    /// The manager's key is not known yet.
    Starting,
}

/// A request being answered; while one is, its session is not idle.
pub struct Visit(Arc<Session>);

impl Visit {
    /// Whose.
    pub fn session(&self) -> &Session {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.updated_ms.store(unix_ms(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Release);
    }
}

impl Session {
    /// What it watches.
    pub fn stream(&self) -> &StreamId {
        &self.ticket.stream
    }

    /// How long these bytes have to wait for the session's own rate.
    pub fn pace(&self, now: Instant, len: usize) -> Duration {
        self.pace.take(now, len)
    }

    /// Bytes that left for it.
    pub fn sent(&self, bytes: u64, media: bool) {
        let counter = if media { &self.media_bytes } else { &self.other_bytes };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    fn visit(self: &Arc<Self>) -> Visit {
        self.busy.fetch_add(1, Ordering::Acquire);
        Visit(self.clone())
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
    pub fn new(edge: String, capacity_bps: u64, idle: Duration) -> Self {
        Self { edge, capacity_bps, idle, by_ticket: RwLock::default(), tally: Mutex::default() }
    }

    /// Lets a request in: at once when its session is open, else after checking the ticket and the room.
    pub fn enter(&self, text: &str, stream: &str, authority: &Authority) -> Result<Visit, Refusal> {
        let known = self.by_ticket.read().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        let session = match known {
            Some(session) => session,
            None => self.check(text, authority)?,
        };
        if session.ticket.stream.as_str() != stream {
            return Err(Refusal::Ticket);
        }
        if unix_ms() / 1000 >= session.ticket.expires_s {
            return Err(Refusal::Expired);
        }
        // Counted first, so that the sweep cannot end it between the look and the visit.
        let visit = session.visit();
        self.open(&session)?;
        Ok(visit)
    }

    /// A ticket seen for the first time.
    fn check(&self, text: &str, authority: &Authority) -> Result<Arc<Session>, Refusal> {
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
        Ok(map.entry(text.into()).or_insert(session).clone())
    }

    /// Takes the session's place, if it has none and there is room.
    fn open(&self, session: &Session) -> Result<(), Refusal> {
        let mut life = session.life();
        if life.ended.is_none() {
            return Ok(());
        }
        let rate = session.ticket.max_rate;
        let mut tally = self.tally();
        if tally.committed_bps.saturating_add(rate) > self.capacity_bps {
            return Err(Refusal::NoRoom);
        }
        tally.committed_bps += rate;
        tally.admitted_bps_total += rate;
        tally.open += 1;
        life.ended = None;
        Ok(())
    }

    fn end(&self, session: &Session, why: UsageEnd) {
        let mut life = session.life();
        if life.ended.is_some() {
            return;
        }
        life.ended = Some(why);
        life.ended_ms = unix_ms();
        let mut tally = self.tally();
        tally.committed_bps -= session.ticket.max_rate;
        tally.open -= 1;
    }

    /// Ends sessions that are over and forgets those whose ticket is void and whose account is settled.
    pub fn sweep(&self, ended_streams: impl Fn(&StreamId) -> bool) {
        let now = unix_ms();
        for session in self.all() {
            let busy = session.busy.load(Ordering::Acquire) > 0;
            let quiet = now.saturating_sub(session.updated_ms.load(Ordering::Relaxed));
            if now / 1000 >= session.ticket.expires_s {
                self.end(&session, UsageEnd::Expired);
            } else if !busy && quiet > self.idle.as_millis() as u64 {
                let over = ended_streams(session.stream());
                self.end(&session, if over { UsageEnd::StreamEnded } else { UsageEnd::Idle });
            }
        }
        let mut map = self.by_ticket.write().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, session| !session.is_settled(now));
        if map.len() > REMEMBERED_MAX {
            // Too many that came and went: those that are over and told need not be remembered until their ticket ends.
            map.retain(|_, session| session.life().ended.is_none() || !session.is_told());
        }
    }

    /// The server stops.
    pub fn end_all(&self) {
        self.all().iter().for_each(|session| self.end(session, UsageEnd::Shutdown));
    }

    /// Totals.
    pub fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that ended within the last minute.
    pub fn departures_per_minute(&self) -> u32 {
        let since = unix_ms().saturating_sub(60_000);
        self.all()
            .iter()
            .filter(|s| matches!(*s.life(), Life { ended: Some(_), ended_ms, .. } if ended_ms >= since))
            .count() as u32
    }

    /// What has changed since the manager last acknowledged, at most [`USAGE_MAX`] records; ends first in line.
    pub fn changes(&self, every: Duration) -> Vec<Usage> {
        let now = unix_ms();
        let due = |session: &Arc<Session>| {
            let life = *session.life();
            let opened = life.ended != Some(NEVER_OPENED);
            let changed = life.told != (session.bytes(), life.ended);
            opened && changed && (life.ended.is_some() || now.saturating_sub(life.told_ms) >= every.as_millis() as u64)
        };
        let mut sessions = self.all();
        sessions.retain(due);
        sessions.sort_by_cached_key(|session| session.life().ended.is_none());
        sessions.iter().take(USAGE_MAX).map(|session| session.usage()).collect()
    }

    /// The manager has these.
    pub fn acknowledge(&self, usage: &[Usage]) {
        let by_id: HashMap<&str, &Usage> = usage.iter().map(|u| (u.session.as_str(), u)).collect();
        for session in self.all() {
            if let Some(usage) = by_id.get(session.ticket.session.to_string().as_str()) {
                let mut life = session.life();
                life.told = (usage.media_bytes + usage.other_bytes, usage.ended);
                life.told_ms = unix_ms();
            }
        }
    }

    fn all(&self) -> Vec<Arc<Session>> {
        self.by_ticket.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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
        void && life.ended.is_some() && self.busy.load(Ordering::Acquire) == 0 && self.is_told()
    }
}

fn new_session(ticket: Ticket) -> Session {
    let now = unix_ms();
    Session {
        // Twice the promised rate, after a burst that fills a player's buffer: enough to catch up and for a player's
        // estimate of its line to allow the best rendition, not enough to take the line from others.
        pace: Budget::new(ticket.max_rate / 8 * 2, Duration::from_secs(10)),
        ticket,
        started_ms: now,
        updated_ms: AtomicU64::new(now),
        media_bytes: AtomicU64::new(0),
        other_bytes: AtomicU64::new(0),
        busy: AtomicU32::new(0),
        life: Mutex::new(Life { ended: Some(NEVER_OPENED), ended_ms: 0, told: (0, None), told_ms: 0 }),
    }
}

/// Version, kind and session id, in base64.
const TICKET_FRONT: usize = 24;
/// Marks a session that has not had its place yet; no edge says this of itself.
const NEVER_OPENED: UsageEnd = UsageEnd::EdgeLost;
/// Most usage records in one report.
const USAGE_MAX: usize = 2_000;
/// Sessions remembered after their end, so that a player that comes back continues its account.
const REMEMBERED_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use trellis_core::trust::table::sealed;
    use trellis_proto::{Class, SessionId};

    use super::*;

    fn ticket(pair: &Ed25519KeyPair, id: u8, change: impl FnOnce(&mut Ticket)) -> String {
        let mut ticket = Ticket {
            session: SessionId([id; 16]),
            stream: "demo".parse().unwrap(),
            edge: "edge".into(),
            expires_s: unix_ms() / 1000 + 60,
            max_rate: 1_000_000,
            class: Class::Standard,
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

    #[test]
    fn only_a_valid_ticket_for_this_edge_and_stream_enters() {
        let (pair, authority) = keys(1);
        let sessions = Sessions::new("edge".into(), 10_000_000, Duration::from_secs(30));
        let enter = |text: &str| sessions.enter(text, "demo", &authority).map(drop);
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
        let sessions = Sessions::new("edge".into(), 2_000_000, Duration::ZERO);
        let tickets: Vec<_> = (1..=3).map(|id| ticket(&pair, id, |_| ())).collect();
        let first = sessions.enter(&tickets[0], "demo", &authority).ok().unwrap();
        assert!(sessions.enter(&tickets[1], "demo", &authority).is_ok());
        assert_eq!(sessions.enter(&tickets[2], "demo", &authority).map(drop), Err(Refusal::NoRoom));
        first.session().sent(70, true);
        sessions.all().iter().for_each(|s| s.updated_ms.store(0, Ordering::Relaxed));
        sessions.sweep(|_| false);
        // The second was idle, the first is being answered.
        let tally = *sessions.tally();
        assert_eq!((tally.open, tally.committed_bps), (1, 1_000_000));
        assert!(sessions.enter(&tickets[2], "demo", &authority).is_ok());
        let told = sessions.changes(Duration::ZERO);
        let of = |id: u8| told.iter().find(|u| u.session == SessionId([id; 16]).to_string()).unwrap();
        assert_eq!((of(1).media_bytes, of(1).ended), (70, None));
        assert_eq!(of(2).ended, Some(UsageEnd::Idle));
        sessions.acknowledge(&told);
        assert_eq!(sessions.changes(Duration::ZERO), []);
    }
}

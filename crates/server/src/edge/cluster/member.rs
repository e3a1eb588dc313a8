//! What does the host know of one link? The way to it, whose it is, and why what goes out goes out.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::Counter;
use trellis_core::locality::Locality;
use trellis_proto::Ticket;
use trellis_proto::frame::{ChunkId, Frame, PartId, PeerId, Row};

use super::super::Edge;
use super::super::session::{Session, Visit};
use super::link::Line;

/// A link's place in its host.
pub struct Member {
    /// The way to it.
    pub line: Line,
    /// Where it comes from.
    pub locality: Locality,
    visit: Visit,
    /// When its ticket is void, s since the Unix epoch.
    expires_s: u64,
    place: Option<Place>,
    /// Chunks it asked for that were neither sent nor denied; urgently or not.
    wants: HashMap<ChunkId, bool>,
}

/// Held while the cluster has it in; also when the host breaks off, it is given back.
struct Place {
    edge: Arc<Edge>,
    session: Arc<Session>,
    peer: PeerId,
    /// What had come when it came: who asks for that fills a buffer.
    newest: Option<PartId>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.edge.sessions.unlink(&self.session);
    }
}

/// Why media goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// By plan, to be passed on.
    Push,
    /// Asked for: older than the one who asks.
    StartUp,
    /// Asked for: it came in no other way, and its deadline is near.
    Rescue,
    /// Asked for: there is time.
    Pull,
}

impl Member {
    /// A link that is not let in yet.
    pub fn new(line: Line, visit: Visit, locality: Locality) -> Self {
        let expires_s = visit.session().ticket().expires_s;
        Self { line, locality, visit, expires_s, place: None, wants: HashMap::new() }
    }

    /// What it showed.
    pub fn ticket(&self) -> &Ticket {
        self.visit.session().ticket()
    }

    /// Is its ticket void?
    pub fn is_expired(&self, now_s: u64) -> bool {
        now_s >= self.expires_s
    }

    /// Shows a newer ticket for the same place. Any other is not looked at.
    pub fn renew(&mut self, ticket: &Ticket) {
        let own = self.ticket();
        if (ticket.session, &ticket.stream, &ticket.edge) == (own.session, &own.stream, &own.edge) {
            self.expires_s = self.expires_s.max(ticket.expires_s);
        }
    }

    /// Its number; none while it is not in.
    pub fn peer(&self) -> Option<PeerId> {
        self.place.as_ref().map(|place| place.peer)
    }

    /// The cluster has let it in under this number, when this part was the newest.
    pub fn admit(&mut self, edge: &Arc<Edge>, peer: PeerId, newest: Option<PartId>) {
        let session = self.visit.session().clone();
        edge.sessions.link(&session);
        self.place = Some(Place { edge: edge.clone(), session, peer, newest });
    }

    /// What the cluster promised it at most, bit/s.
    pub fn rate_bps(&self) -> u64 {
        if self.place.is_some() { self.ticket().max_rate } else { 0 }
    }

    /// It says this.
    pub fn hears(&mut self, frame: &Frame) {
        match frame {
            Frame::Want { rows, urgent } => {
                let room = WANTS_MAX.saturating_sub(self.wants.len());
                self.wants.extend(ids(rows).take(room).map(|id| (id, *urgent)));
            }
            Frame::Cancel(rows) => self.forget(rows),
            _ => {}
        }
    }

    /// This goes to it, of so many bytes. What of them is media, and why.
    pub fn books(&mut self, frame: &Frame, bytes: u64) -> Option<(Purpose, u64)> {
        let media = match frame {
            Frame::Chunk(chunk) => Some((self.purpose(chunk.id), chunk.payload.len() as u64)),
            Frame::Deny(rows) => {
                self.forget(rows);
                None
            }
            _ => None,
        };
        let payload = media.map_or(0, |(_, bytes)| bytes);
        self.visit.sent(payload, true);
        self.visit.sent(bytes - payload, false);
        media
    }

    fn purpose(&mut self, id: ChunkId) -> Purpose {
        let newest = self.place.as_ref().and_then(|place| place.newest);
        match self.wants.remove(&id) {
            None => Purpose::Push,
            Some(_) if newest.is_some_and(|newest| id.part <= newest) => Purpose::StartUp,
            Some(true) => Purpose::Rescue,
            Some(false) => Purpose::Pull,
        }
    }

    fn forget(&mut self, rows: &[Row]) {
        ids(rows).for_each(|id| {
            self.wants.remove(&id);
        });
    }
}

/// Counters of what goes out over links.
pub struct Purposes([Counter; 4], Counter, Counter);

impl Purposes {
    /// Finds them once.
    pub fn new() -> Self {
        let by = |purpose: &'static str| metrics::counter!("trellis_edge_media_bytes_total", "purpose" => purpose);
        let sent = |kind: &'static str| metrics::counter!("trellis_edge_sent_bytes_total", "kind" => kind);
        Self(["push", "start_up", "rescue", "pull"].map(by), sent("media"), sent("other"))
    }

    /// So many bytes, and what of them is media.
    pub fn count(&self, bytes: u64, media: Option<(Purpose, u64)>) {
        let payload = media.map_or(0, |(_, bytes)| bytes);
        if let Some((purpose, bytes)) = media {
            self.0[purpose as usize].increment(bytes);
            self.1.increment(bytes);
        }
        self.2.increment(bytes - payload);
    }
}

fn ids(rows: &[Row]) -> impl Iterator<Item = ChunkId> + '_ {
    let of_row = |row: &Row| {
        let (part, of) = (row.part, row.of);
        row.chunks.iter().map(move |index| ChunkId { part, of, index: index as u16 }).collect::<Vec<_>>()
    };
    rows.iter().flat_map(of_row)
}

/// Remembered of one link: what is more counts as pushed.
const WANTS_MAX: usize = 4_096;

//! What does a joining viewer say of itself? That it has an engine; and of a place it had, or asked for, a moment ago:
//! tickets of ours, which say from which edges, and whose session goes on.
//!
//! Invariant: nothing is believed but what the manager itself signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use trellis_core::trust::table::Authority;
use trellis_proto::limits::TICKET_BYTES_MAX;
use trellis_proto::{SessionId, StreamId, Ticket};
use utoipa::ToSchema;

use super::store::first_id;
use super::{Manager, Now};

/// The body of a join. Engines send one, be it `{}`: they bring something. Plain players send none.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct JoinAsk {
    /// Tickets of edges that were lost just now, while they served: the session goes on elsewhere, or there when there is
    /// no other. With `refused` at most 8; what is not a ticket of this manager says nothing.
    lost: Vec<String>,
    /// Tickets of edges that had no room just now: it is looked for elsewhere.
    refused: Vec<String>,
    #[serde(skip)]
    is_engine: bool,
}

/// What they say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The session that goes on.
    pub session: Option<SessionId>,
    /// The edge that lost it, if it is old enough to have been let in there.
    pub lost_by: Option<String>,
    /// Edges that are not to be asked again.
    pub edges: Vec<String>,
    /// No engine.
    pub is_plain: bool,
    /// An edge that was lost may be asked again if there is no other: only its link was lost, perhaps.
    pub may_return: bool,
}

/// Why a join is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAsk {
    /// Not JSON.
    #[error("the body must be empty, or JSON like {{\"lost\":[\"<ticket>\"]}}")]
    Json,
    /// Nobody loses so many edges in a moment.
    #[error("at most 8 tickets can be shown")]
    TooMany,
}

impl JoinAsk {
    /// Most bytes of a body.
    pub const BYTES_MAX: usize = 8 * 1024;

    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Self, BadAsk> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let ask: Self = serde_json::from_slice(body).map_err(|_| BadAsk::Json)?;
        let ask = Self { is_engine: true, ..ask };
        if ask.lost.len() + ask.refused.len() <= TICKETS_MAX { Ok(ask) } else { Err(BadAsk::TooMany) }
    }
}

impl Manager {
    /// What of it is true.
    pub(super) fn past(&self, ask: &JoinAsk, stream: &StreamId, now: Now) -> Past {
        let nothing = Past { is_plain: !ask.is_engine, ..Past::default() };
        if ask.lost.is_empty() && ask.refused.is_empty() {
            return nothing;
        }
        let Some(authority) = Authority::new(&self.ticket_key()) else { return nothing };
        let read = |texts: &[String]| -> Vec<Ticket> {
            let ours = |text: &String| {
                let message = URL_SAFE_NO_PAD.decode(text).ok().filter(|message| message.len() <= TICKET_BYTES_MAX)?;
                authority.ticket(&message).ok().filter(|ticket| ticket.stream == *stream)
            };
            texts.iter().filter_map(ours).collect()
        };
        let (lost, refused) = (read(&ask.lost), read(&ask.refused));
        let goes_on = lost.iter().find(|ticket| now.unix_s() < ticket.expires_s);
        let mut edges: Vec<_> = lost.iter().chain(&refused).map(|ticket| ticket.edge.clone()).collect();
        edges.sort();
        let all = edges.len();
        edges.dedup();
        // Whoever was sent back once, and comes again, is not sent back twice.
        Past {
            session: goes_on.map(|ticket| ticket.session),
            lost_by: goes_on.filter(|it| is_settled(it.session, now)).map(|it| it.edge.clone()),
            may_return: !lost.is_empty() && edges.len() == all,
            edges,
            ..nothing
        }
    }
}

/// Whoever rejoins is spared the wait of newcomers, so a place that was asked for just now, and perhaps never taken up, does
/// not count: to hold one back for so long is to have waited.
fn is_settled(session: SessionId, now: Now) -> bool {
    session < SessionId(first_id(now.unix_ms.saturating_sub(SETTLED_MS)))
}

const TICKETS_MAX: usize = 8;
/// Most newcomers are in after less.
const SETTLED_MS: u64 = 10_000;

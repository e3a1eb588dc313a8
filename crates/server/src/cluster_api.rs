//! What origins, edges and the manager say to each other: JSON over HTTP under `/v1/cluster/`.
//!
//! Everything here is repeated: a beat carries the sender's whole state, so a manager that restarts knows all
//! again within one interval, and a beat that is lost does no harm. Requests carry the server key as bearer.

use serde::{Deserialize, Serialize};

/// How often edges and origins report.
pub const BEAT_INTERVAL_MS: u64 = 1_000;
/// After this long without a beat an edge or origin counts as dead.
pub const BEAT_TIMEOUT_MS: u64 = 3_500;

/// `POST /v1/cluster/edges`: an edge registers and reports, every [`BEAT_INTERVAL_MS`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EdgeBeat {
    /// The edge's name, as it stands in tickets.
    pub edge: String,
    /// Where players reach it; none when it shares the manager's own listener.
    pub public_url: Option<String>,
    /// Upload budget for media, bit/s.
    pub capacity_bps: u64,
    /// Sum of the rates of the sessions it holds, bit/s.
    pub committed_bps: u64,
    /// Sum of the rates of all sessions it took up since it started, bit/s, those that left included; one that comes
    /// back counts once. Tells the manager which of its grants `committed_bps` contains. Left out: a grant counts
    /// against the room for 5 s.
    #[serde(default)]
    pub admitted_bps_total: u64,
    /// Sessions it holds.
    pub sessions: u32,
    /// Sessions that ended within the last minute: tells when there will be room again.
    pub departures_per_minute: u32,
    /// It is shutting down: no new viewers.
    pub draining: bool,
    /// Sessions that changed since the last acknowledged beat.
    pub usage: Vec<Usage>,
}

/// The manager's answer to an [`EdgeBeat`]; receiving it acknowledges the beat's usage, which is then on disk. On
/// `503` the beat counted as a sign of life but its usage must be sent again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EdgeBeatReply {
    /// The Ed25519 public key tickets are signed with, 64 hex digits.
    pub ticket_key: String,
}

/// What one session has used so far. Totals since `started_ms`, not increments: a repeated record changes nothing.
/// An edge that forgot a session (it idled out, the edge was restarted) and meets it again begins at zero with a
/// later `started_ms`; the manager adds the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Session id, 32 hex digits.
    pub session: String,
    /// Stream name.
    pub stream: String,
    /// First request, ms since the Unix epoch.
    pub started_ms: u64,
    /// Last byte, ms since the Unix epoch.
    pub updated_ms: u64,
    /// Why it ended, when it has.
    pub ended: Option<UsageEnd>,
    /// Body bytes of segments, parts and init segments sent by the edge.
    pub media_bytes: u64,
    /// Other body bytes sent by the edge: playlists, state.
    pub other_bytes: u64,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageEnd {
    /// No request for a while: the player is gone.
    Idle,
    /// The ticket ran out.
    Expired,
    /// The stream ended.
    StreamEnded,
    /// The edge was shut down.
    Shutdown,
    /// The edge stopped reporting (set by the manager).
    EdgeLost,
}

/// `POST /v1/cluster/origins`: an origin registers and reports its streams, every [`BEAT_INTERVAL_MS`] and at
/// each change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OriginBeat {
    /// The origin's name.
    pub origin: String,
    /// Base URL of its media for edges; `/s/{stream}/…` follows.
    pub media_url: String,
    /// The Ed25519 public key it signs tables with, 64 hex digits.
    pub public_key: String,
    /// All streams it holds.
    pub streams: Vec<OriginStream>,
}

/// One stream of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginStream {
    /// Stream name.
    pub stream: String,
    /// What a viewer would find.
    pub state: StreamState,
    /// Bit/s of the best video and audio together; 0 while unknown.
    pub rate_bps: u64,
}

/// What a viewer finds when opening a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// Nobody publishes.
    Waiting,
    /// Live now.
    Live,
    /// Live, but the publisher is gone for a moment.
    Paused,
    /// Was live, is over; the window can still be watched.
    Ended,
    /// On demand.
    Vod,
}

/// `POST /v1/cluster/publish`: may this publisher publish? `200` [`PublishGrant`], `401` wrong key,
/// `403` key is for another stream, `409` another origin has a publisher for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishRequest {
    /// Stream name; created on the fly when the key may.
    pub stream: String,
    /// The publisher's stream key.
    pub key: String,
    /// The asking origin's name.
    pub origin: String,
    /// For a stream that does not exist yet: watchable without a token? None: the manager's default.
    pub open: Option<bool>,
}

/// Leave to publish.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishGrant {
    /// Watchable without a viewer token.
    pub open: bool,
}

/// `GET /v1/cluster/streams/{stream}`: where an edge finds a stream. `404` when no living origin has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSource {
    /// Base URL; `/s/{stream}/…` follows.
    pub media_url: String,
    /// The key its tables are signed with, 64 hex digits.
    pub public_key: String,
}

/// The error body of every role: `{"error", "message", "retry_after"}`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// Stable, for programs.
    pub error: String,
    /// For people: what is wrong and what to do next.
    pub message: String,
    /// Seconds after which trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

//! What origins, edges and the manager say to each other: JSON over HTTP under `/v1/cluster/`.
//!
//! Everything here is repeated: a beat carries the sender's whole state, so a manager that restarts knows all
//! again within one interval, and a beat that is lost does no harm. Requests carry the server key as bearer.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use trellis_proto::limits::EDGE_NAME_BYTES_MAX;

/// What follows `/v/{ticket}/s/{stream}/` where viewers' engines open their WebSockets.
pub const LINK: &str = "link";
/// Longest base URL of an edge or origin.
const URL_BYTES_MAX: usize = 256;
/// How often edges and origins report.
pub const BEAT_INTERVAL_MS: u64 = 1_000;
/// After this long without a beat an edge or origin counts as dead.
pub const BEAT_TIMEOUT_MS: u64 = 3_500;
/// Most streams that an edge tells what the model says of.
pub const MODELS_MAX: usize = 64;
/// Most streams of one origin: what one beat can carry.
pub const ORIGIN_STREAMS_MAX: usize = 10_000;

/// Is this a name a server may report under? 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first: it
/// stands in tickets, logs, accounts and file names.
pub fn is_server_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    name.len() <= EDGE_NAME_BYTES_MAX
        && name.bytes().all(plain)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Is this an address servers and players can be given? It goes into JSON and logs as it stands.
pub fn is_server_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.starts_with(['/', ':'])) && is_plain(text, URL_BYTES_MAX) && rest != Some("")
}

/// Does this address lead to the machine it is used on?
pub fn is_loopback_url(text: &str) -> bool {
    let uri = text.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).map(|host| host.trim_matches(['[', ']']));
    host.is_some_and(|host| host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()))
}

/// Printable ASCII that needs no quoting anywhere.
pub fn is_plain(text: &str, bytes_max: usize) -> bool {
    let quotes = |b: u8| matches!(b, b'"' | b'\\' | b'\'' | b'<' | b'>');
    !text.is_empty() && text.len() <= bytes_max && text.bytes().all(|b| b.is_ascii_graphic() && !quotes(b))
}

/// Which process reports. Names are given by people, who give one twice; this tells the two apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Random, at most 64 bytes; kept in the data directory, so the same after a restart.
    pub id: String,
    /// When the process started, ms since the Unix epoch: of two that show the same id, the later is the one.
    pub started_ms: u64,
}

/// `POST /v1/cluster/edges`: an edge registers and reports, every [`BEAT_INTERVAL_MS`]. `409` while another living
/// process reports under its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EdgeBeat {
    /// The edge's name, as it stands in tickets.
    pub edge: String,
    /// Which process this is.
    pub instance: Instance,
    /// Where players reach it; none when it shares the manager's own listener.
    pub public_url: Option<String>,
    /// UDP port on the host of `public_url` that answers STUN; none when nothing does.
    #[serde(default)]
    pub stun_port: Option<u16>,
    /// Upload budget for media and what viewers may promise to each other, bit/s.
    pub capacity_bps: u64,
    /// What of it is promised: to sessions without a link by their rates, to clusters as they hold it, bit/s.
    pub committed_bps: u64,
    /// What of the rest viewers without an engine do not get, bit/s: it is kept for those whom the mesh fails.
    #[serde(default)]
    pub reserved_bps: u64,
    /// Sum of the rates of all sessions it took up since it started, bit/s, those that left included; one that comes
    /// back counts once. Tells the manager which of its grants `committed_bps` contains. Left out: a grant counts
    /// against the room for 5 s.
    #[serde(default)]
    pub admitted_bps_total: u64,
    /// What one more viewer with an engine is expected to give, bit/s; 0 without a mesh.
    #[serde(default)]
    pub brings_bps: u64,
    /// By how much what viewers give has grown lately, bit/s per second.
    #[serde(default)]
    pub growth_bps2: u64,
    /// Sessions it holds.
    pub sessions: u32,
    /// Sessions that ended within the last minute: tells when there will be room again.
    pub departures_per_minute: u32,
    /// How fast leaving viewers with an engine are expected to give room back, bit/s per second; 0: not known.
    #[serde(default)]
    pub relief_bps2: u64,
    /// What the model says of its clusters; of the first [`MODELS_MAX`] streams.
    #[serde(default)]
    pub models: Vec<StreamModel>,
    /// It is shutting down: no new viewers.
    pub draining: bool,
    /// Sessions that changed since the last acknowledged beat.
    pub usage: Vec<Usage>,
}

/// A number, and from where to where it lies with a chance of 95 in 100 (see docs/model.md for when it is less); null: without end, or never.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Guess {
    /// The likeliest.
    #[schema(required)]
    value: Option<f64>,
    /// 2.5 % are below.
    #[schema(required)]
    low: Option<f64>,
    /// 2.5 % are above.
    #[schema(required)]
    high: Option<f64>,
}

impl Guess {
    /// Each may be ∞.
    pub fn new(value: f64, low: f64, high: f64) -> Self {
        let [value, low, high] = [value, low, high].map(|number| Some(number).filter(|number| number.is_finite()));
        Self { value, low, high }
    }

    /// The likeliest, or ∞.
    pub fn value(&self) -> f64 {
        self.value.unwrap_or(f64::INFINITY)
    }

    /// The lowest, or ∞.
    pub fn low(&self) -> f64 {
        self.low.unwrap_or(f64::INFINITY)
    }

    /// The highest, or ∞.
    pub fn high(&self) -> f64 {
        self.high.unwrap_or(f64::INFINITY)
    }
}

/// What was said, beside what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Review {
    /// What was predicted.
    pub said: Guess,
    /// What was measured.
    pub measured: f64,
    /// Measured − predicted; null when what was said never to come came.
    #[schema(required)]
    pub residual: Option<f64>,
    /// Whether it is within what was said.
    pub within: bool,
}

/// What the analytical model says of a stream's viewers at an edge, those with an engine: what was counted in the last
/// minutes, and what will come of it. What is not known yet is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StreamModel {
    /// The stream.
    pub stream: String,
    /// Viewers with an engine, now.
    pub viewers: u32,
    /// B: what the edge may promise these viewers, bit/s.
    pub server_bps: u64,
    /// C: that, and what they may promise each other, bit/s, now.
    pub capacity_bps: u64,
    /// λ: viewers that come, those refused included, per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals_per_second: Option<Guess>,
    /// β: what a viewer takes, bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_bps: Option<Guess>,
    /// α: what a viewer that gives can give, bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_bps: Option<Guess>,
    /// αf: the same, over all viewers, bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_bps: Option<Guess>,
    /// L: how long a viewer stays, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_s: Option<Guess>,
    /// 1/L: which share of the viewers leaves in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn_per_second: Option<Guess>,
    /// How many viewers there can be for good; null: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewers_max: Option<Guess>,
    /// t_0: how long until there is no more room, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_in_s: Option<Guess>,
    /// t_g: how long until nobody need be refused any more, s: 0 or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guaranteed_in_s: Option<Guess>,
    /// C in half a minute, bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_capacity_bps: Option<Guess>,
    /// R: which share of those who come within the next half minute is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rejected_share: Option<Guess>,
    /// Which share of those who came within the last half minute was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_share: Option<f64>,
    /// C as it was predicted half a minute ago, bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Review>,
    /// R as it was predicted half a minute ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Review>,
    /// t_0 as it was predicted half a minute before it came, s since the first viewer of this growth, which is over after an
    /// hour without a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Review>,
    /// When the first viewer was refused, s since the first of this growth came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_refusal_s: Option<f64>,
    /// When the last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal_s: Option<f64>,
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
/// each change. `409` while another living process reports under its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OriginBeat {
    /// The origin's name.
    pub origin: String,
    /// Which process this is.
    pub instance: Instance,
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
    /// It has a publisher, from whom nothing may have come yet.
    #[serde(default)]
    pub publishing: bool,
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

/// Service class of a viewer, as tokens and streams name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewerClass {
    /// What a viewer is who is nothing else.
    #[default]
    Standard,
    /// What the operator grants to some.
    Premium,
}

impl fmt::Display for ViewerClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Premium => "premium",
        })
    }
}

impl FromStr for ViewerClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Standard, Self::Premium]
            .into_iter()
            .find(|class| class.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no class: there are standard and premium"))
    }
}

impl From<ViewerClass> for trellis_proto::Class {
    fn from(class: ViewerClass) -> Self {
        match class {
            ViewerClass::Standard => Self::Standard,
            ViewerClass::Premium => Self::Premium,
        }
    }
}

/// `POST /v1/cluster/publish`: may this publisher publish? `200` [`PublishGrant`], `401` wrong key,
/// `403` key is for another stream, `409` another origin has a publisher for it, or the asking origin's name, or who may
/// watch it is not what the publisher says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishRequest {
    /// Stream name; created on the fly when the key may.
    pub stream: String,
    /// The publisher's stream key.
    pub key: String,
    /// The asking origin's name.
    pub origin: String,
    /// Which process asks.
    pub instance: Instance,
    /// Watchable without a token? Decided when the stream is made; one that exists must be as said. None: as it is; for
    /// a new one the manager's default, or no when there are `classes`.
    pub open: Option<bool>,
    /// The viewer classes it admits. Decided like `open`; none: all, or as it is.
    #[serde(default)]
    pub classes: BTreeSet<ViewerClass>,
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

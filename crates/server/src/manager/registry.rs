//! Which edges and origins are there, and where is a stream? Known from beats alone, so a restarted manager knows
//! all again within a second; who falls silent for [`BEAT_TIMEOUT_MS`] is forgotten.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trellis_core::locality::Locality;
use trellis_core::manager::redirect::{self, Ask, Redirect, Refusal};
use trellis_core::time::Instant;
use trellis_proto::StreamId;

use super::names::Names;
use super::returns::Returns;
use crate::cluster_api::{
    BEAT_TIMEOUT_MS, EdgeBeat, Instance, MODELS_MAX, ORIGIN_STREAMS_MAX, OriginBeat, OriginStream, StreamModel,
    StreamSource, StreamState, is_loopback_url, is_plain, is_server_name, is_server_url,
};
use crate::units::Rate;

/// Most origins one manager keeps.
pub const ORIGINS_MAX: usize = 64;
const INSTANCE_BYTES_MAX: usize = 64;
/// Who is silent for this long is dead.
pub const DEAD_AFTER: Duration = Duration::from_millis(BEAT_TIMEOUT_MS);
/// How often the operator is told of the same shortage.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Why no edge takes a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// None is alive and takes viewers.
    NoEdge,
    /// None could carry the stream even if it were empty.
    TooMuch {
        /// What the viewer takes, bit/s.
        rate_bps: u64,
        /// What the largest edge has, bit/s.
        largest_bps: u64,
    },
    /// Others have the places.
    Full,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEdge => f.write_str("no edge is there to serve viewers; try again after the given time"),
            Self::TooMuch { rate_bps, largest_bps } => write!(
                f,
                "this stream takes {} a viewer, and the largest edge has {} in all: its operator must raise an edge's \
                 upload_budget, or publish at a lower rate",
                Rate(*rate_bps),
                Rate(*largest_bps)
            ),
            Self::Full => f.write_str("every edge is full: try again after the given time"),
        }
    }
}

/// What beats told.
pub struct Registry {
    /// What was short when the operator was told last.
    warned: Option<(Shortage, Instant)>,
    redirect: Redirect,
    edges: HashMap<String, Place>,
    /// What edges last said of their streams' viewers.
    models: HashMap<String, Vec<StreamModel>>,
    edge_names: Names,
    origins: BTreeMap<String, Origin>,
    origin_names: Names,
    /// Leave to publish that no beat shows yet.
    grants: HashMap<StreamId, Grant>,
    /// Who comes back from which edge.
    pub returns: Returns,
}

/// Where a viewer is sent.
#[derive(Debug, Clone)]
pub struct Place {
    /// The edge's name, as it stands in tickets.
    pub edge: Arc<str>,
    /// What comes before `/v/{ticket}/…`: empty, or a URL without a slash at its end that is safe inside JSON.
    pub base: Arc<str>,
    /// Where it answers STUN.
    pub stun_port: Option<u16>,
}

/// An origin.
pub struct Origin {
    /// Base URL of its media.
    pub media_url: String,
    /// 64 hex digits.
    pub public_key: String,
    /// Its last beat.
    pub last_beat: Instant,
    streams: HashMap<StreamId, Held>,
}

/// A stream at an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What a viewer would find.
    pub state: StreamState,
    /// Bit/s; 0 while unknown.
    pub rate_bps: u64,
    /// It has a publisher.
    pub publishing: bool,
    /// Since when it is in this state.
    pub since: Instant,
}

/// Edges that report no more.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Their last beat said so.
    pub left: Vec<String>,
    /// Without a word.
    pub silent: Vec<String>,
}

struct Grant {
    origin: String,
    at: Instant,
}

/// Why a beat is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBeat {
    /// Names are made for logs, tickets and JSON.
    #[error("a name must have 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first")]
    Name,
    /// Another process has it.
    #[error(
        "another living {0} reports under this name: give each its own (`name` in [{0}] of its configuration), or stop the other one"
    )]
    NameTaken(&'static str),
    /// An id is a short text.
    #[error("`instance.id` must have 1 to 64 printable ASCII characters, without quotes and backslashes")]
    Instance,
    /// Not a URL a player or edge can use.
    #[error("a URL must start with http:// or https:// and have at most 256 characters, without spaces and quotes")]
    Url,
    /// Keys are 32 bytes.
    #[error("`public_key` must be 64 hexadecimal digits")]
    PublicKey,
    /// A stream's name.
    #[error("{0}")]
    Stream(#[from] trellis_proto::IdError),
    /// No more of them.
    #[error("there are too many edges, origins or streams for one manager")]
    TooMany,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            warned: None,
            redirect: Redirect::new(DEAD_AFTER),
            edges: HashMap::new(),
            models: HashMap::new(),
            edge_names: Names::default(),
            origins: BTreeMap::new(),
            origin_names: Names::default(),
            grants: HashMap::new(),
            returns: Returns::default(),
        }
    }
}

impl Registry {
    /// An edge that is there reports.
    pub fn on_edge_beat(&mut self, now: Instant, beat: &EdgeBeat, at: Locality) -> Result<(), BadBeat> {
        check_identity(&beat.edge, &beat.instance)?;
        if !self.edge_names.is_free(now, &beat.edge, &beat.instance) {
            return Err(BadBeat::NameTaken("edge"));
        }
        if beat.models.len() > MODELS_MAX {
            return Err(BadBeat::TooMany);
        }
        beat.models.iter().try_for_each(|model| model.stream.parse::<StreamId>().map(drop))?;
        let base = beat.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
        if beat.public_url.is_some() && !is_server_url(base) {
            return Err(BadBeat::Url);
        }
        let report = redirect::Beat {
            capacity_bps: beat.capacity_bps,
            committed_bps: beat.committed_bps,
            reserved_bps: beat.reserved_bps,
            admitted_bps_total: beat.admitted_bps_total,
            sessions: beat.sessions,
            departures_per_minute: beat.departures_per_minute,
            draining: beat.draining,
            brings_bps: beat.brings_bps,
            growth_bps2: beat.growth_bps2,
            relief_bps2: beat.relief_bps2,
            at,
        };
        self.redirect.on_beat(now, &beat.edge, report).map_err(|_| BadBeat::TooMany)?;
        self.edge_names.hold(now, &beat.edge, &beat.instance, beat.draining);
        self.returns.on_beat(now, &beat.edge, beat.sessions);
        self.models.insert(beat.edge.clone(), beat.models.clone());
        let new = !self.edges.contains_key(&beat.edge);
        let stun_port = beat.stun_port;
        let is = |place: &Place| &*place.base == base && place.stun_port == stun_port;
        if !self.edges.get(&beat.edge).is_some_and(is) {
            let place = Place { edge: beat.edge.as_str().into(), base: base.into(), stun_port };
            self.edges.insert(beat.edge.clone(), place);
        }
        if new {
            self.warn_of_distance();
        }
        Ok(())
    }

    /// An origin reports.
    pub fn on_origin_beat(&mut self, now: Instant, beat: &OriginBeat) -> Result<(), BadBeat> {
        check_identity(&beat.origin, &beat.instance)?;
        if !self.is_origin_free(now, &beat.origin, &beat.instance) {
            return Err(BadBeat::NameTaken("origin"));
        }
        if !is_server_url(&beat.media_url) {
            return Err(BadBeat::Url);
        }
        if beat.public_key.len() != 64 || hex::decode(&beat.public_key).is_err() {
            return Err(BadBeat::PublicKey);
        }
        let known = self.origins.get(&beat.origin);
        if beat.streams.len() > ORIGIN_STREAMS_MAX || (known.is_none() && self.origins.len() == ORIGINS_MAX) {
            return Err(BadBeat::TooMany);
        }
        let hold = |stream: &OriginStream| -> Result<(StreamId, Held), BadBeat> {
            let name: StreamId = stream.stream.parse()?;
            let before = known.and_then(|origin| origin.streams.get(&name)).filter(|held| held.state == stream.state);
            let since = before.map_or(now, |held| held.since);
            Ok((name, Held { state: stream.state, rate_bps: stream.rate_bps, publishing: stream.publishing, since }))
        };
        let origin = Origin {
            media_url: beat.media_url.trim_end_matches('/').to_owned(),
            public_key: beat.public_key.to_ascii_lowercase(),
            last_beat: now,
            streams: beat.streams.iter().map(hold).collect::<Result<_, _>>()?,
        };
        let new = self.origins.insert(beat.origin.clone(), origin).is_none();
        self.origin_names.hold(now, &beat.origin, &beat.instance, false);
        if new {
            self.warn_of_distance();
        }
        Ok(())
    }

    /// Edges of other machines, and an origin whose media has an address of this machine only.
    pub fn too_far(&self) -> Option<(Vec<&str>, &str)> {
        let elsewhere = |place: &&Place| !place.base.is_empty() && !is_loopback_url(&place.base);
        let edges: Vec<_> = self.edges.values().filter(elsewhere).map(|place| &*place.edge).collect();
        let mut origins = self.origins.iter().filter(|(_, origin)| is_loopback_url(&origin.media_url));
        origins.next().filter(|_| !edges.is_empty()).map(|(origin, _)| (edges, origin.as_str()))
    }

    fn warn_of_distance(&self) {
        if let Some((edges, origin)) = self.too_far() {
            tracing::warn!(
                ?edges,
                origin,
                "these edges cannot fetch from an origin whose address is a loopback one: set `media_url` in [origin] to \
                 where they reach it, e.g. \"http://10.0.0.1:8080/origin\" (an edge with a `parent` needs it not)"
            );
        }
    }

    /// May this process speak as `origin`?
    pub fn is_origin_free(&self, now: Instant, origin: &str, instance: &Instance) -> bool {
        self.origin_names.is_free(now, origin, instance)
    }

    /// What a viewer of `stream` would find now.
    pub fn held(&self, now: Instant, stream: &StreamId) -> Option<Held> {
        self.best(now, stream).map(|(_, held)| held)
    }

    /// Where an edge finds `stream`.
    pub fn source(&self, now: Instant, stream: &StreamId) -> Option<StreamSource> {
        let (origin, _) = self.best(now, stream)?;
        Some(StreamSource { media_url: origin.media_url.clone(), public_key: origin.public_key.clone() })
    }

    /// Sets aside at an edge with room what is asked for.
    pub fn pick(&mut self, now: Instant, ask: &Ask<'_>) -> Result<Place, (Shortage, Refusal)> {
        let place = |name| self.edges.get(name).expect("every edge that beats has a place").clone();
        let picked = self.redirect.pick(now, ask).map(place);
        picked.map_err(|refusal| {
            let shortage = self.shortage(now, ask);
            self.warn_of(now, shortage);
            (shortage, refusal)
        })
    }

    /// What waiting does not mend, the operator is told; not for each viewer that is sent away.
    fn warn_of(&mut self, now: Instant, shortage: Shortage) {
        let lately = self.warned.is_some_and(|(what, at)| what == shortage && now.since(at) < WARN_EVERY);
        if shortage != Shortage::Full && !lately {
            self.warned = Some((shortage, now));
            tracing::warn!("a viewer was sent away: {shortage}");
        }
    }

    /// What would be short, should no edge take a viewer of this rate.
    fn shortage(&self, now: Instant, ask: &Ask<'_>) -> Shortage {
        let rate_bps = ask.rate_bps;
        let living = self.redirect.edges().iter().filter(|edge| now.since(edge.last_beat()) <= DEAD_AFTER);
        let beats = living.map(|edge| edge.beat()).filter(|beat| !beat.draining);
        match beats.map(|beat| beat.capacity_bps.saturating_add(beat.brings(ask))).max() {
            None => Shortage::NoEdge,
            Some(largest_bps) if largest_bps < rate_bps => Shortage::TooMuch { rate_bps, largest_bps },
            Some(_) => Shortage::Full,
        }
    }

    /// Notes that `origin` may publish `stream`. False: another origin has a publisher, or leave for one.
    pub fn grant(&mut self, now: Instant, stream: &StreamId, origin: &str) -> bool {
        // A publisher that paused has the grace time to return in.
        let publishing = |held: &Held| held.publishing || matches!(held.state, StreamState::Live | StreamState::Paused);
        let elsewhere =
            |(name, other): (&str, &Origin)| name != origin && other.streams.get(stream).is_some_and(publishing);
        if self.living(now).any(elsewhere) {
            return false;
        }
        if self.grants.get(stream).is_some_and(|grant| grant.origin != origin && now.since(grant.at) <= DEAD_AFTER) {
            return false;
        }
        self.grants.insert(stream.clone(), Grant { origin: origin.to_owned(), at: now });
        true
    }

    /// Forgets who reports no more; names the edges among them.
    pub fn expire(&mut self, now: Instant) -> Gone {
        self.origins.retain(|_, origin| now.since(origin.last_beat) <= DEAD_AFTER);
        self.edge_names.expire(now);
        self.origin_names.expire(now);
        self.grants.retain(|_, grant| now.since(grant.at) <= DEAD_AFTER);
        let draining = self.redirect.edges().iter().filter(|edge| edge.beat().draining);
        let draining: HashSet<String> = draining.map(|edge| edge.name().to_owned()).collect();
        let dead = self.redirect.expire(now);
        for name in &dead {
            self.edges.remove(name);
            self.models.remove(name);
        }
        let (left, silent) = dead.into_iter().partition(|name| draining.contains(name));
        Gone { left, silent }
    }

    /// All edges with their base URLs, by name.
    pub fn edges(&self) -> impl Iterator<Item = (&redirect::Edge, &Place)> {
        self.redirect.edges().iter().filter_map(|edge| Some((edge, self.edges.get(edge.name())?)))
    }

    /// What an edge said last of its streams' viewers.
    pub fn models(&self, edge: &str) -> &[StreamModel] {
        self.models.get(edge).map_or(&[], Vec::as_slice)
    }

    /// All origins, by name.
    pub fn origins(&self) -> impl Iterator<Item = (&String, &Origin)> {
        self.origins.iter()
    }

    fn living(&self, now: Instant) -> impl Iterator<Item = (&str, &Origin)> {
        let alive = move |origin: &Origin| now.since(origin.last_beat) <= DEAD_AFTER;
        self.origins.iter().filter(move |(_, origin)| alive(origin)).map(|(name, origin)| (name.as_str(), origin))
    }

    /// Of several origins that hold the stream: the livelier, then the one whose state is newer.
    fn best(&self, now: Instant, stream: &StreamId) -> Option<(&Origin, Held)> {
        let holders = self.living(now).filter_map(|(_, origin)| Some((origin, *origin.streams.get(stream)?)));
        // Where nothing has come yet there is nothing to send a viewer to.
        let holders = holders.filter(|(_, held)| held.state != StreamState::Waiting);
        holders.max_by_key(|(_, held)| (liveliness(held.state), held.since))
    }
}

impl Origin {
    /// Its streams, by name.
    pub fn streams(&self) -> Vec<(&StreamId, &Held)> {
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_by_key(|(name, _)| *name);
        streams
    }
}

fn liveliness(state: StreamState) -> u8 {
    match state {
        StreamState::Waiting => 0,
        StreamState::Ended => 1,
        StreamState::Vod => 2,
        StreamState::Paused => 3,
        StreamState::Live => 4,
    }
}

fn check_identity(name: &str, instance: &Instance) -> Result<(), BadBeat> {
    match () {
        () if !is_server_name(name) => Err(BadBeat::Name),
        () if !is_plain(&instance.id, INSTANCE_BYTES_MAX) => Err(BadBeat::Instance),
        () => Ok(()),
    }
}

//! May this viewer watch this stream, and where? The whole of a join: token, stream, room, ticket. It waits for
//! nothing and nobody; what must be written down goes into a queue.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use trellis_core::locality::Locality;
use trellis_core::manager::redirect::{Ask, RETRY_AFTER_MAX};
use trellis_proto::{SessionId, StreamId, Ticket};

use super::accounts::JoinRow;
use super::api::Address;
use super::auth::{self, Denied, Viewer};
use super::config::P2p;
use super::directory::Stream;
use super::registry::{Held, Place, Shortage};
use super::rejoin::{JoinAsk, Past};
use super::store::fresh_id;
use super::{Manager, Now};
use crate::cluster_api::{LINK, StreamState, ViewerClass};
use crate::http::{Reply, empty, error, json};
use crate::keyfile;
use crate::secret::{NotBearer, bearer};

/// Bits of a ticket's expiry and rate; the wire ends at 2^40.
const TICKET_NUMBER_MAX: u64 = 1 << 40;
const PLAYLIST: &str = "index.m3u8";
const NOT_LIVE_RETRY: Duration = Duration::from_secs(2);

/// A place granted.
#[derive(Debug, Clone)]
pub struct Admission {
    stream: StreamId,
    state: StreamState,
    place: Place,
    session: SessionId,
    ticket: String,
    max_rate: u64,
    expires_s: u64,
    origin_key: String,
    p2p: P2p,
    viewers_min: u16,
}

/// What a stream is and who carries it for one more viewer.
struct Room {
    held: Held,
    origin_key: String,
    place: Place,
    max_rate: u64,
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The stream wants a token.
    TokenMissing,
    /// The token is none of ours.
    TokenInvalid(Cow<'static, str>),
    /// It was.
    TokenExpired,
    /// It is for something else, and what.
    NotAllowed(Cow<'static, str>),
    /// Never heard of.
    NoSuchStream,
    /// Nobody publishes it.
    NotLive,
    /// No edge takes the viewer, and why; when to ask again.
    NoCapacity(Shortage, Duration),
}

/// The answer to a granted join.
#[derive(Serialize, utoipa::ToSchema)]
pub struct JoinReply<'a> {
    /// The stream.
    stream: &'a str,
    /// What the viewer finds: `live`, `paused`, `ended` or `vod`.
    state: StreamState,
    /// The multivariant playlist: a URL, or a path on the manager's own host.
    hls: &'a str,
    /// Where an engine opens its WebSocket, like `hls`: http for ws, https for wss.
    link: &'a str,
    /// The Ed25519 key the stream's tables are signed with, 64 hex digits.
    origin_key: &'a str,
    /// The UDP port on the host of `link` that answers STUN; none when there is no such.
    stun_port: Option<u16>,
    /// What viewers of this stream may be to each other.
    p2p: P2p,
    /// Viewers of an edge see each other only when there are so many.
    viewers_min: u16,
    /// The capability inside `hls` and `link`, for engines that make their own URLs.
    ticket: &'a str,
    /// Session id, 32 hex digits, as in the accounts.
    session: &'a str,
    /// Most bit/s of media this place gets.
    max_rate: u64,
    /// Seconds since the Unix epoch after which the ticket is void.
    expires_at: u64,
    /// The manager's clock, ms since the Unix epoch.
    server_time_ms: u64,
}

impl Manager {
    /// Answers `POST /v1/streams/{stream}/join` with these headers and this body, come from there.
    pub fn join(&self, stream: &str, headers: &HeaderMap, body: &[u8], from: Address, now: Now) -> Reply {
        let ask = match JoinAsk::read(body) {
            Ok(ask) => ask,
            Err(why) => return error(StatusCode::BAD_REQUEST, "bad_request", why.to_string(), None),
        };
        let admitted = bearer(headers)
            .map_err(Refused::from)
            .and_then(|token| self.admit(stream, token, &ask, self.locality_of(from), now));
        match admitted {
            Ok(admission) => admission.reply(now),
            Err(refused) => refused.reply(),
        }
    }

    /// Answers `GET /v1/streams/{stream}/play.m3u8` with this `token` in its query.
    pub fn play(&self, stream: &str, token: Option<&str>, from: Option<Address>, now: Now) -> Reply {
        let at = from.map_or_else(Locality::default, |from| self.locality_of(from));
        match self.admit(stream, token, &JoinAsk::default(), at, now) {
            Ok(admission) => admission.redirect(),
            Err(refused) => refused.reply(),
        }
    }

    fn admit(
        &self,
        stream: &str,
        token: Option<&str>,
        ask: &JoinAsk,
        at: Locality,
        now: Now,
    ) -> Result<Admission, Refused> {
        let result = self.decide(stream, token, ask, at, now);
        self.metrics.joined(result.as_ref().map_or_else(Refused::word, |_| "granted"));
        result
    }

    fn decide(
        &self,
        name: &str,
        token: Option<&str>,
        ask: &JoinAsk,
        at: Locality,
        now: Now,
    ) -> Result<Admission, Refused> {
        let (stream, viewer) = self.authorize(name, token, now)?;
        let past = self.past(ask, &stream.name, now);
        let p2p = stream.p2p.unwrap_or(self.config.p2p);
        let viewers_min = stream.viewers_min.unwrap_or(self.config.viewers_min);
        // To whom no link is opened is no peer, whatever it has.
        let past = Past { is_plain: past.is_plain || p2p == P2p::Off, ..past };
        let peer = Ask {
            from: at,
            plain: past.is_plain,
            receives: p2p != P2p::On,
            viewers_min: viewers_min.into(),
            ..Ask::default()
        };
        let Room { held, origin_key, place, max_rate } = self.find_room(&stream, viewer.max_rate, &past, peer, now)?;
        let rejoins = past.lost_by.is_some_and(|edge| self.registry().returns.admits(now.mono, &edge));
        let session = past.session.unwrap_or_else(|| fresh_id(now.unix_ms));
        let expires_s = viewer.expires_s.min(TICKET_NUMBER_MAX);
        let ticket = Ticket {
            session,
            stream: stream.name.clone(),
            edge: place.edge.as_ref().to_owned(),
            expires_s,
            max_rate,
            class: viewer.class.into(),
            rejoins,
            p2p: p2p.into(),
            viewers_min,
        };
        let ticket = self.keys.ticket.sign(&ticket);
        self.accounts.on_join(JoinRow {
            session,
            viewer: viewer.id,
            stream: stream.name.clone(),
            edge: place.edge.clone(),
            joined_ms: now.unix_ms,
            expires_ms: expires_s.saturating_mul(1000),
        });
        Ok(Admission {
            stream: stream.name.clone(),
            state: held.state,
            place,
            session,
            ticket,
            max_rate,
            expires_s,
            origin_key,
            p2p,
            viewers_min,
        })
    }

    /// Authentication, then authorization. A token that is shown must be good, also where none is needed.
    fn authorize(&self, name: &str, token: Option<&str>, now: Now) -> Result<(Arc<Stream>, Viewer), Refused> {
        let known = |kid: &str| self.directory().key(kid);
        let viewer = token.map(|token| auth::authenticate(token, now.unix_s(), known)).transpose()?;
        let stream = self.stream(name).ok_or(Refused::NoSuchStream)?;
        match viewer {
            Some((key, viewer)) if !key.allows(&viewer, name) => {
                Err(Refused::NotAllowed("the viewer token is for another stream".into()))
            }
            Some((_, viewer)) if !stream.admits(viewer.class) => Err(wrong_class(&stream, viewer.class)),
            Some((_, viewer)) => Ok((stream, viewer)),
            None if stream.open => Ok((stream, self.anonymous(now))),
            None => Err(Refused::TokenMissing),
        }
    }

    /// Whoever watches an open stream without a token.
    fn anonymous(&self, now: Now) -> Viewer {
        let expires_s = now.unix_s().saturating_add(self.config.open_session_s);
        Viewer { id: String::new(), stream: String::new(), expires_s, class: ViewerClass::Standard, max_rate: None }
    }

    /// A viewer is given the rate of the best rendition and some headroom, unless token or stream say less.
    fn find_room(
        &self,
        stream: &Stream,
        most: Option<u64>,
        past: &Past,
        peer: Ask<'_>,
        now: Now,
    ) -> Result<Room, Refused> {
        let mut registry = self.registry();
        let held = registry.held(now.mono, &stream.name).filter(|held| held.state != StreamState::Waiting);
        let held = held.ok_or(Refused::NotLive)?;
        let origin_key = registry.source(now.mono, &stream.name).ok_or(Refused::NotLive)?.public_key;
        let rate = match held.rate_bps {
            0 => self.config.unknown_rate_bps,
            rate => rate.saturating_add(rate.saturating_mul(u64::from(self.config.rate_headroom_percent)) / 100),
        };
        let limits = [most, stream.max_rate, Some(TICKET_NUMBER_MAX)];
        let max_rate = limits.into_iter().flatten().fold(rate, u64::min).max(1);
        let refused_by: Vec<_> = past.edges.iter().map(String::as_str).collect();
        let ask = Ask { rate_bps: max_rate, refused_by: &refused_by, ..peer };
        let mut place = registry.pick(now.mono, &ask);
        if place.is_err() && past.may_return {
            place = registry.pick(now.mono, &Ask { refused_by: &[], ..ask });
        }
        let place = place.map_err(|(shortage, refusal)| Refused::NoCapacity(shortage, refusal.retry_after))?;
        Ok(Room { held, origin_key, place, max_rate })
    }
}

fn wrong_class(stream: &Stream, class: ViewerClass) -> Refused {
    let classes: Vec<_> = stream.classes.iter().map(ToString::to_string).collect();
    let admitted = classes.join(" or ");
    Refused::NotAllowed(
        format!("this stream is for viewers of class {admitted}, the viewer token says {class}: ask the stream's site")
            .into(),
    )
}

impl Admission {
    fn url(&self, name: &str) -> String {
        format!("{}/v/{}/s/{}/{name}", self.place.base, self.ticket, self.stream)
    }

    fn reply(&self, now: Now) -> Reply {
        let reply = JoinReply {
            stream: self.stream.as_str(),
            state: self.state,
            hls: &self.url(PLAYLIST),
            link: &self.url(LINK),
            origin_key: &self.origin_key,
            stun_port: self.place.stun_port,
            p2p: self.p2p,
            viewers_min: self.viewers_min,
            ticket: &self.ticket,
            session: &hex::encode(self.session.0),
            max_rate: self.max_rate,
            expires_at: self.expires_s,
            server_time_ms: now.unix_ms,
        };
        json(StatusCode::OK, &reply)
    }

    fn redirect(&self) -> Reply {
        let mut response = empty(StatusCode::FOUND);
        let url = HeaderValue::try_from(self.url(PLAYLIST))
            .expect("base URLs are checked to be printable, tickets are base64url");
        response.headers_mut().insert(LOCATION, url);
        response
    }
}

impl Refused {
    /// For programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::TokenInvalid(_) => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::NotAllowed(_) => "not_allowed",
            Self::NoSuchStream => "no_such_stream",
            Self::NotLive => "not_live",
            Self::NoCapacity(..) => "no_capacity",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TokenMissing | Self::TokenInvalid(_) | Self::TokenExpired => StatusCode::UNAUTHORIZED,
            Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::NoSuchStream | Self::NotLive => StatusCode::NOT_FOUND,
            Self::NoCapacity(..) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For people: what to do next.
    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::TokenMissing => {
                "this stream is not open to all: ask its site for a viewer token and send it as bearer".into()
            }
            Self::TokenInvalid(why) => format!("{why}; ask the stream's site for a new token").into(),
            Self::TokenExpired => "the viewer token has expired: ask the stream's site for a new one".into(),
            Self::NotAllowed(why) => why.clone(),
            Self::NoSuchStream => "there is no stream of this name: check the spelling, or create it".into(),
            Self::NotLive => "nobody publishes this stream now: try again when it starts".into(),
            Self::NoCapacity(shortage, _) => shortage.to_string().into(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotLive => Some(NOT_LIVE_RETRY),
            Self::NoCapacity(_, after) => Some(spread(*after, keyfile::random::<1>()[0])),
            _ => None,
        }
    }

    fn reply(&self) -> Reply {
        let retry_after = self.retry_after().map(|after| after.as_secs() as u32);
        let mut response = error(self.status(), self.word(), self.message(), retry_after);
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Invalid(why) => Self::TokenInvalid(why),
            Denied::Expired => Self::TokenExpired,
        }
    }
}

impl From<NotBearer> for Refused {
    /// Another scheme is a mistake to be told about.
    fn from(_: NotBearer) -> Self {
        Self::TokenInvalid("the Authorization header must read `Bearer <viewer token>`".into())
    }
}

/// Up to half as much again, and no less than two seconds: a crowd refused at once must not come back at once, and what
/// it is told is whole seconds.
fn spread(after: Duration, random: u8) -> Duration {
    let least_s = after.as_secs();
    let extent_s = (least_s / 2).max(SPREAD_MIN_S);
    Duration::from_secs(least_s + (extent_s + 1) * u64::from(random) / 256).min(RETRY_AFTER_MAX)
}

const SPREAD_MIN_S: u64 = 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trellis_core::manager::redirect::{RETRY_AFTER_MIN, RETRY_AFTER_SAID_MAX};

    use super::*;

    #[test]
    fn a_crowd_refused_at_once_comes_back_spread_over_seconds() {
        for (after, told) in [(RETRY_AFTER_MIN, 2..=4), (RETRY_AFTER_SAID_MAX, 20..=30)] {
            let mut crowd = BTreeMap::<u64, usize>::new();
            (0..=u8::MAX).for_each(|roll| *crowd.entry(spread(after, roll).as_secs()).or_default() += 1);
            let even = 256 / told.clone().count();
            assert!(crowd.keys().copied().eq(told), "{crowd:?}");
            assert!(crowd.values().all(|count| count.abs_diff(even) <= 1), "{crowd:?}");
        }
    }
}

//! May I watch, and where? Asks the manager for a place, as any viewer does.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use trellis_core::trust::table::Authority;
use url::Url;

use crate::address::Address;

/// A place at an edge.
#[derive(Debug, Clone)]
pub struct Place {
    /// The ticket as the hello carries it.
    pub ticket: Bytes,
    /// As URLs and the manager have it.
    pub ticket_text: String,
    /// What media names are relative to.
    pub media: Url,
    /// Where the link is opened.
    pub link: Url,
    /// Who signs the stream's tables.
    pub authority: Authority,
    /// Who tells where the outside sees us.
    pub stun: Option<SocketAddr>,
    /// The edge's address.
    pub edge: Option<IpAddr>,
    /// May this viewer give? The operator's word.
    pub may_give: bool,
    /// It is a recording.
    pub recorded: bool,
    /// Most bit/s of media.
    pub max_rate_bps: u64,
    /// The manager's clock less ours, ms.
    pub clock_ahead_ms: i64,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Asking again later may help.
    #[error("{0}")]
    Later(String, Duration),
    /// It will not.
    #[error("{0}")]
    Never(String),
}

/// What a manager is told of places had or asked for a moment ago: their tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Past {
    /// Lost while they served.
    lost: Vec<String>,
    /// Had no room.
    refused: Vec<String>,
}

impl Past {
    /// This place was lost.
    pub fn lose(&mut self, place: &Place) {
        Self::note(&mut self.lost, place);
    }

    /// This one was not granted.
    pub fn refuse(&mut self, place: &Place) {
        Self::note(&mut self.refused, place);
    }

    fn note(list: &mut Vec<String>, place: &Place) {
        list.retain(|ticket| *ticket != place.ticket_text);
        list.push(place.ticket_text.clone());
        // The newest tell most.
        let more = list.len().saturating_sub(TICKETS_MAX);
        list.drain(..more);
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    state: String,
    hls: String,
    ticket: String,
    max_rate: u64,
    server_time_ms: u64,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    origin_key: Option<String>,
    #[serde(default)]
    stun_port: Option<u16>,
    #[serde(default)]
    p2p: Option<String>,
}

#[derive(Deserialize)]
struct ErrorReply {
    message: String,
    retry_after: Option<u64>,
}

/// Asks for a place.
pub async fn join(http: &Client, address: &Address, token: Option<&str>, past: &Past) -> Result<Place, Refused> {
    let url = address.at(&format!("v1/streams/{}/join", address.stream));
    let mut request = http.post(url).timeout(PATIENCE).json(past);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let unreachable = |error: reqwest::Error| {
        let why = format!("{} cannot be reached ({}): is the server running?", address.manager, error.without_url());
        Refused::Later(why, AGAIN)
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let body = response.bytes().await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    let reply: Reply = serde_json::from_slice(&body).map_err(|_| {
        Refused::Never(format!("{} is no Trellis manager: it answers a join otherwise", address.manager))
    })?;
    place(address, reply).await
}

/// What an answer that is no success means; also of an edge.
pub fn refused(status: StatusCode, body: &[u8]) -> Refused {
    let said = serde_json::from_slice::<ErrorReply>(body).ok();
    let after = said.as_ref().and_then(|said| said.retry_after).map(Duration::from_secs);
    let message = said.map_or_else(|| format!("the server answers {status}"), |said| said.message);
    match (status.as_u16(), after) {
        (400 | 401 | 403, _) | (404, None) => Refused::Never(message),
        (_, after) => Refused::Later(message, after.unwrap_or(AGAIN)),
    }
}

async fn place(address: &Address, reply: Reply) -> Result<Place, Refused> {
    let never = |why: &str| Refused::Never(why.to_owned());
    let absolute =
        |text: &str| address.manager.join(text).map_err(|_| never("the manager names an edge that is no URL"));
    let hls = absolute(&reply.hls)?;
    let may_give = match reply.p2p.as_deref() {
        Some("off") => {
            return Err(Refused::Never(format!(
                "the operator wants no peers for this stream: play {} without one",
                address.at(&format!("v1/streams/{}/play.m3u8", address.stream))
            )));
        }
        policy => policy != Some("receive_only"),
    };
    let (Some(link), Some(key)) = (&reply.link, &reply.origin_key) else {
        return Err(never("this server is too old for peers: it names no link"));
    };
    let mut link = absolute(link)?;
    let edge = resolve(&link).await;
    // The upgrade is a plain HTTP request.
    let scheme = if matches!(link.scheme(), "https" | "wss") { "https" } else { "http" };
    link = Url::parse(&link.as_str().replacen(link.scheme(), scheme, 1)).map_err(|_| never("no URL"))?;
    let key = hex::decode(key).ok().and_then(|key| key.try_into().ok());
    let authority = key.and_then(|key| Authority::new(&key)).ok_or_else(|| never("the origin's key is none"))?;
    let ticket = URL_SAFE_NO_PAD.decode(&reply.ticket).map_err(|_| never("the ticket cannot be read"))?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Ok(Place {
        ticket: ticket.into(),
        ticket_text: reply.ticket,
        media: hls.join(".").map_err(|_| never("no URL"))?,
        link,
        authority,
        stun: edge.zip(reply.stun_port).map(SocketAddr::from),
        edge,
        may_give,
        recorded: reply.state == "vod",
        max_rate_bps: reply.max_rate,
        clock_ahead_ms: reply.server_time_ms as i64 - now_ms,
    })
}

async fn resolve(url: &Url) -> Option<IpAddr> {
    let found = tokio::net::lookup_host((url.host_str()?.trim_matches(['[', ']']), url.port_or_known_default()?)).await;
    found.ok()?.map(|address| address.ip()).next()
}

/// Of each kind; a join takes eight in all.
const TICKETS_MAX: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
/// When nobody says when.
const AGAIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(link: &str, p2p: &str) -> Reply {
        serde_json::from_value(serde_json::json!({
            "hls": "/v/AQID/s/demo/index.m3u8", "ticket": "AQID", "max_rate": 7, "server_time_ms": 1, "link": link,
            "origin_key": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "stun_port": 9, "p2p": p2p,
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_place_is_read_wherever_its_edge_is() {
        let address = Address::parse("http://127.0.0.1:8080/watch/demo", None).unwrap();
        let here = place(&address, reply("/v/AQID/s/demo/link", "on")).await.unwrap();
        assert_eq!(here.media.as_str(), "http://127.0.0.1:8080/v/AQID/s/demo/");
        assert_eq!(here.link.as_str(), "http://127.0.0.1:8080/v/AQID/s/demo/link");
        assert_eq!((here.stun, &here.ticket[..]), (Some("127.0.0.1:9".parse().unwrap()), &[1, 2, 3][..]));
        let away = place(&address, reply("wss://[::1]/v/AQID/s/demo/link", "receive_only")).await.unwrap();
        assert_eq!((away.link.as_str(), away.may_give), ("https://[::1]/v/AQID/s/demo/link", false));
        let off = place(&address, reply("/l", "off")).await.unwrap_err();
        assert!(matches!(off, Refused::Never(why) if why.contains("/v1/streams/demo/play.m3u8")));
    }

    #[test]
    fn who_is_full_is_asked_again_and_who_says_no_is_not() {
        let body = |retry| format!(r#"{{"error":"x","message":"do this"{retry}}}"#);
        let later = |seconds| Refused::Later("do this".into(), Duration::from_secs(seconds));
        let of = |status, retry| refused(StatusCode::from_u16(status).unwrap(), body(retry).as_bytes());
        assert_eq!(of(503, r#","retry_after":7"#), later(7));
        assert_eq!(of(404, r#","retry_after":2"#), later(2));
        assert_eq!(of(404, ""), Refused::Never("do this".into()));
        assert_eq!(of(401, ""), Refused::Never("do this".into()));
    }
}

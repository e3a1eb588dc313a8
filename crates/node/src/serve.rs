//! How does a local player get the stream? As from any edge: the same playlists, the same names, on a listener of our own.
//!
//! No web page may read it (there are no CORS headers): what a viewer may watch is not every site's to take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode};
use tokio::sync::{mpsc, watch};
use trellis_proto::Mode;
use trellis_server::http::{Body, Caller, Handle, Incoming, Limits, Listener, Plain, Reply, Stop, empty, error, json};
use trellis_server::shelf::{Ask, Shelf, parts, serve};

use crate::reader::Asked;
use crate::stats::Stats;

/// What is answered from.
pub struct Local {
    pub shelf: Arc<Shelf>,
    pub stats: watch::Receiver<Stats>,
    pub stop: Stop,
    /// Who hears where a player reads in a recording.
    pub asked: mpsc::Sender<Asked>,
}

impl Handle for Local {
    type Guard = ();

    async fn handle(&self, request: Request<Incoming>, _: Caller) -> Reply {
        let (method, path) = (request.method(), request.uri().path());
        // A page that made a name of its own lead here would be the same origin to a browser.
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        if host.is_some_and(|host| !is_address(host)) {
            let why = "ask for this server by its address, not by a name";
            return error(StatusCode::MISDIRECTED_REQUEST, "wrong_host", why, None);
        }
        let media = path.strip_prefix("/s/").and_then(|rest| rest.split_once('/'));
        match (path, media) {
            ("/", _) => self.page(host, method),
            ("/stats.json", _) => {
                let stats = self.stats.borrow().clone();
                json(StatusCode::OK, &stats)
            }
            (_, Some((stream, name))) if stream == self.shelf.stream().as_str() && name != "feed" => {
                if *method == Method::GET {
                    self.tell_read(name);
                }
                let ask = Ask { method, name, query: request.uri().query(), headers: request.headers() };
                serve(&self.shelf, ask, &self.stop).await.reply
            }
            _ => error(StatusCode::NOT_FOUND, "not_found", "there is nothing here; / says how to play", None),
        }
    }

    fn at_once(&self, _: &Plain<'_>, _: u64, _: &mut Vec<u8>) -> Option<(Bytes, ())> {
        None
    }
}

impl Local {
    fn tell_read(&self, name: &str) {
        if let Some((run, rendition, parts)) = parts(&self.shelf, name)
            && self.shelf.look(|timeline| timeline.catalogue(run).map(|it| it.mode)) == Some(Mode::Vod)
        {
            let _ = self.asked.try_send(Asked::Parts(run, rendition, parts));
        }
    }

    fn page(&self, host: Option<&str>, method: &Method) -> Reply {
        let url = format!("http://{}{}", host.unwrap_or("localhost"), playlist(&self.shelf));
        let text = format!("Play it:  {url}\nfor instance:  mpv {url}\nFigures:  /stats.json\n");
        let body = if *method == Method::HEAD { Body::empty() } else { Body::full(text.into()) };
        let mut reply = empty(StatusCode::OK).map(|_| body);
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply
    }
}

/// The path of the multivariant playlist.
pub fn playlist(shelf: &Shelf) -> String {
    format!("/s/{}/index.m3u8", shelf.stream())
}

/// A listener for players of this machine or this network.
pub async fn listen(address: SocketAddr) -> std::io::Result<Listener> {
    let limits = Limits { connections: CONNECTIONS_MAX, idle: Duration::from_secs(75), ..Limits::default() };
    Listener::bind(address, None, limits).await
}

fn is_address(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// Some players, and what they open at once.
const CONNECTIONS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_this_server() {
        for good in ["127.0.0.1:8090", "127.0.0.1", "[::1]:8090", "[::1]", "localhost:1", "localhost"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", ""] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}

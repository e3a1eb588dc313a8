//! How do tests ask? Plain HTTP as any client would, and a viewer that counts the body bytes it got.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::PATIENCE;
use crate::playlist::{Media, Multivariant};
use crate::server::Server;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// A header as text; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `error` word of a refusal, after checking that it is one a person can use.
    pub fn refusal(&self) -> String {
        assert!(self.status >= 400, "{} is no refusal: {}", self.status, self.text());
        let body = self.json();
        let sentence = body["message"].as_str().unwrap_or_default();
        assert!(sentence.len() > 10, "no message for people: {body}");
        body["error"].as_str().unwrap_or_else(|| panic!("no word for programs: {body}")).to_owned()
    }
}

/// One client per process would share connections between runtimes, which end with their tests.
pub fn client() -> Client {
    builder().build().expect("a client can be made")
}

/// What every client has: no redirects, no proxy, patience.
pub fn builder() -> reqwest::ClientBuilder {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE)
}

/// Sends it and reads the answer.
pub async fn send(request: RequestBuilder) -> Reply {
    try_send(request).await.unwrap_or_else(|error| panic!("{error:?}"))
}

/// The same; an error when there is no whole answer.
pub async fn try_send(request: RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, body: response.bytes().await? })
}

/// GET.
pub async fn get(url: &str) -> Reply {
    send(client().get(url)).await
}

/// GET, if somebody answers, whatever their certificate.
pub async fn try_get(url: &str) -> Option<Reply> {
    let client = builder().tls_danger_accept_invalid_certs(true).build().expect("a client can be made");
    try_send(client.get(url)).await.ok()
}

/// Asks the manager for a place.
pub async fn join(manager: &Server, stream: &str, token: Option<&str>) -> Reply {
    let request = client().post(format!("{}/v1/streams/{stream}/join", manager.base()));
    send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

/// Somebody who was admitted and counts what comes.
pub struct Viewer {
    http: Client,
    root: String,
    /// Session id, as in the accounts.
    pub session: String,
    /// The capability in its URLs.
    pub ticket: String,
    /// Body bytes of media.
    pub media_bytes: AtomicU64,
    /// Body bytes of the rest.
    pub other_bytes: AtomicU64,
}

impl Viewer {
    /// Joins.
    ///
    /// # Panics
    /// When refused.
    pub async fn join(manager: &Server, stream: &str, token: Option<&str>) -> Self {
        let reply = join(manager, stream, token).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = reply.json();
        let text = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {body}")).to_owned();
        let hls = text("hls");
        let url = if hls.starts_with("http") { hls } else { format!("{}{hls}", manager.base()) };
        let root = url.strip_suffix("index.m3u8").expect("`hls` is the multivariant playlist").to_owned();
        let (media_bytes, other_bytes) = Default::default();
        Self { http: client(), root, session: text("session"), ticket: text("ticket"), media_bytes, other_bytes }
    }

    /// Where its stream lies; names follow.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The URL of a name.
    pub fn url(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// A request that is yet to be sent, and will not be counted.
    pub fn request(&self, method: Method, name: &str) -> RequestBuilder {
        self.http.request(method, self.url(name))
    }

    /// GET of a name, counted.
    pub async fn get(&self, name: &str) -> Reply {
        let reply = send(self.request(Method::GET, name)).await;
        self.count(name, reply.body.len() as u64);
        reply
    }

    /// Counts what came by another way.
    pub fn count(&self, name: &str, bytes: u64) {
        let media = name.split('?').next().is_some_and(|path| path.contains('/'));
        let counter = if media { &self.media_bytes } else { &self.other_bytes };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What it counted: media, rest.
    pub fn counted(&self) -> (u64, u64) {
        (self.media_bytes.load(Ordering::Relaxed), self.other_bytes.load(Ordering::Relaxed))
    }

    /// The multivariant playlist.
    pub async fn multivariant(&self) -> Multivariant {
        Multivariant::read(&self.good("index.m3u8").await.text())
    }

    /// A media playlist; `name` may have a query.
    pub async fn playlist(&self, name: &str) -> Media {
        Media::read(&self.good(name).await.text())
    }

    /// GET that must succeed.
    pub async fn good(&self, name: &str) -> Reply {
        let reply = self.get(name).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        reply
    }
}

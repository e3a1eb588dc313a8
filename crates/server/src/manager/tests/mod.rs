//! The manager as its callers see it: real router, real database file, a clock that is set by hand.

mod accounts;
mod admin;
mod cluster;
mod documents;
mod join;
mod tokens;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use trellis_core::time::Instant;

use super::api::Address;
use super::api::viewer::join;
use super::{ApiKeyFile, Clock, Manager, ManagerConfig, Now, ViewerClaims, mint};

/// The tests begin here: 2026-07-01.
const START_S: u64 = 1_782_864_000;

/// Shows the time it was set to.
struct HandClock(Mutex<Now>);

impl Clock for HandClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

/// A manager in a directory of its own.
struct House {
    dir: tempfile::TempDir,
    clock: Arc<HandClock>,
    manager: Arc<Manager>,
}

/// What came back.
#[derive(Debug)]
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Got {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Self { status: parts.status, headers: parts.headers, body }
    }
}

impl House {
    async fn new() -> Self {
        Self::with(ManagerConfig::default()).await
    }

    async fn with(config: ManagerConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock(Mutex::new(Now { unix_ms: START_S * 1000, mono: Instant(5_000_000) })));
        let manager = Manager::open_with(&config, &dir.path().join("data"), clock.clone()).await.unwrap();
        Self { dir, clock, manager }
    }

    /// Stops and starts the manager, as an operator would.
    async fn restarted(self) -> Self {
        self.manager.close().await;
        let manager = Manager::open_with(&ManagerConfig::default(), &self.data(), self.clock.clone()).await.unwrap();
        Self { manager, ..self }
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn pass(&self, time: Duration) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.after(time);
    }

    async fn call(&self, request: Request<Body>) -> Got {
        Got::read(self.manager.router().oneshot(request).await.unwrap()).await
    }

    async fn send(&self, method: &str, path: &str, key: &str, body: &Value) -> Got {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.call(request.body(body).unwrap()).await
    }

    async fn admin(&self, method: &str, path: &str, body: Value) -> Got {
        self.send(method, path, self.manager.admin_key(), &body).await
    }

    async fn cluster(&self, method: &str, path: &str, body: Value) -> Got {
        self.send(method, path, self.manager.server_key(), &body).await
    }

    async fn join(&self, stream: &str, token: Option<&str>) -> Got {
        self.join_saying(stream, token, b"").await
    }

    async fn join_saying(&self, stream: &str, token: Option<&str>, body: &[u8]) -> Got {
        let bearer = token.map(|token| (AUTHORIZATION, format!("Bearer {token}").parse().unwrap()));
        let from = Address([192, 0, 2, 1].into());
        let reply = join(&self.manager, stream, &HeaderMap::from_iter(bearer), body, from);
        Got::read(reply.map(Body::new)).await
    }

    /// A token of the first API key.
    fn token(&self, viewer: &str, stream: &str) -> String {
        self.mint(&ViewerClaims { max_rate: None, ..claims(viewer, stream) })
    }

    fn mint(&self, claims: &ViewerClaims) -> String {
        let key = api_key(&self.data());
        mint(&key.kid, &key.secret, claims)
    }

    /// An origin with streams `live` (private) and `open`, and an edge with room.
    async fn on_air(&self) {
        for (stream, open) in [("live", false), ("open", true), ("dark", false)] {
            let made = self.admin("POST", "/v1/admin/streams", json!({"stream": stream, "open": open})).await;
            assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        }
        self.beats(&[("live", "live"), ("open", "live"), ("dark", "waiting")]).await;
    }

    /// What an origin and an edge send every second.
    async fn beats(&self, streams: &[(&str, &str)]) {
        let streams: Vec<_> = streams
            .iter()
            .map(|(name, state)| json!({"stream": name, "state": state, "rate_bps": 2_000_000}))
            .collect();
        let got = self.cluster("POST", "/v1/cluster/origins", origin_beat("o", json!(streams))).await;
        assert_eq!(got.status, StatusCode::OK, "{got:?}");
        let got = self.cluster("POST", "/v1/cluster/edges", edge_beat("e", json!({}))).await;
        assert_eq!(got.status, StatusCode::OK, "{got:?}");
    }
}

fn claims(viewer: &str, stream: &str) -> ViewerClaims {
    ViewerClaims {
        sub: viewer.into(),
        stream: stream.into(),
        exp: START_S + 3600,
        nbf: None,
        class: None,
        max_rate: None,
    }
}

fn api_key(dir: &Path) -> ApiKeyFile {
    ApiKeyFile::read(&dir.join(ApiKeyFile::NAME)).unwrap()
}

/// Of the one process that goes by this name.
fn instance(name: &str) -> Value {
    json!({"id": format!("of-{name}"), "started_ms": 1})
}

fn origin_beat(origin: &str, streams: Value) -> Value {
    json!({"origin": origin, "instance": instance(origin), "media_url": "http://10.0.0.2/origin/", "public_key": "ab".repeat(32), "streams": streams})
}

/// An edge with 100 Mbit/s; `changes` lays other fields over it.
fn edge_beat(edge: &str, changes: Value) -> Value {
    let mut beat = json!({"edge": edge, "instance": instance(edge), "public_url": null, "stun_port": 3478, "capacity_bps": 100_000_000, "committed_bps": 0,
        "sessions": 0, "departures_per_minute": 0, "draining": false, "usage": []});
    for (key, value) in changes.as_object().unwrap() {
        beat[key] = value.clone();
    }
    beat
}

/// A JWT with this header and these claims, as they are, under an HMAC of `secret`.
pub(super) fn signed_with(secret: &[u8], header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

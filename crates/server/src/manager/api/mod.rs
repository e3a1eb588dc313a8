//! Which request is answered by what? The manager's HTTP routes; every error is JSON that says what to do.

pub mod accounts;
pub mod api_keys;
pub mod cluster;
pub mod servers;
pub mod streams;
pub mod viewer;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response as Reply};
use axum::routing::{any, delete, get, patch, post};
use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Manager;
use crate::http::{error, json};

type Answer<T> = Result<Json<T>, Fault>;
type Here = State<Arc<Manager>>;

/// Where a request came from, as the listener saw it; it stands in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Address(pub IpAddr);

/// Largest body of an ordinary request.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest beat: the usage of some 16 000 sessions.
const BEAT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// All routes of the manager.
pub fn router(manager: &Arc<Manager>) -> Router {
    let viewer = Router::new()
        // POST never comes here: the listener hands it to `viewer::join`.
        .route("/v1/streams/{stream}/join", any(|| viewer::only("POST")))
        .route("/v1/streams/{stream}/play.m3u8", get(viewer::play).head(|| viewer::only("GET")))
        .route("/v1/openapi.json", get(viewer::openapi))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    viewer.merge(cluster(manager)).merge(admin(manager)).with_state(manager.clone())
}

fn cluster(manager: &Arc<Manager>) -> Router<Arc<Manager>> {
    let beats = Router::new()
        .route("/v1/cluster/edges", post(cluster::edge_beat))
        .route("/v1/cluster/origins", post(cluster::origin_beat))
        .layer(DefaultBodyLimit::max(BEAT_BYTES_MAX));
    Router::new()
        .route("/v1/cluster/publish", post(cluster::publish))
        .route("/v1/cluster/streams/{stream}", get(cluster::source))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(beats)
        .route_layer(axum::middleware::from_fn_with_state(manager.clone(), require_server_key))
}

fn admin(manager: &Arc<Manager>) -> Router<Arc<Manager>> {
    Router::new()
        .route("/v1/admin/streams", get(streams::list_streams).post(streams::create_stream))
        .route("/v1/admin/streams/{stream}", patch(streams::update_stream).delete(streams::delete_stream))
        .route("/v1/admin/keys", get(api_keys::list_keys).post(api_keys::create_key))
        .route("/v1/admin/keys/{kid}", delete(api_keys::revoke_key))
        .route("/v1/admin/accounts", get(accounts::accounts))
        .route("/v1/admin/edges", get(servers::edges))
        .route("/v1/admin/model", get(servers::model))
        .route("/v1/admin/origins", get(servers::origins))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route_layer(axum::middleware::from_fn_with_state(manager.clone(), require_admin_key))
}

async fn require_server_key(State(manager): State<Arc<Manager>>, request: Request, next: Next) -> Reply {
    if manager.keys.server.admits(request.headers()) {
        return next.run(request).await;
    }
    stranger(
        "server_key_invalid",
        "send the server key as bearer: it is in `server.key` of the manager's data directory",
    )
}

async fn require_admin_key(State(manager): State<Arc<Manager>>, request: Request, next: Next) -> Reply {
    if manager.keys.admin.admits(request.headers()) {
        return next.run(request).await;
    }
    stranger("admin_key_invalid", "send the admin key as bearer: it is in `admin.key` of the manager's data directory")
}

fn stranger(word: &'static str, message: &'static str) -> Reply {
    let mut reply = error(StatusCode::UNAUTHORIZED, word, message, None);
    reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    reply.map(Body::new)
}

/// An answer that is an error.
pub struct Fault {
    status: StatusCode,
    word: &'static str,
    message: Cow<'static, str>,
}

impl Fault {
    /// A status, a word for programs, a sentence for people.
    pub fn new(status: StatusCode, word: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, word, message: message.into() }
    }

    /// The request makes no sense, and why.
    pub fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Reply {
        error(self.status, self.word, self.message, None).map(Body::new)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the manager's database failed");
        let message = "the manager's database failed: see its log, and whether the disk is full";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "database_failed", message)
    }
}

/// JSON that goes out with a status.
pub struct Json<T>(pub StatusCode, pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Reply {
        json(self.0, &self.1).map(Body::new)
    }
}

/// JSON that comes in, whatever its content type says.
pub struct Input<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "send a smaller body")
            }
            _ => Fault::bad("the body broke off: send it again"),
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Fault::bad(format!("the body is not what is expected: {error}")))
    }
}

/// A query string that comes in.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let query = Query::try_from_uri(&parts.uri);
        query
            .map(|Query(value)| Self(value))
            .map_err(|error| Fault::bad(format!("the query is not what is expected: {error}")))
    }
}

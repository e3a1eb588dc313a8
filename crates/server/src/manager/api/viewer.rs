//! What viewers and players ask.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response as Reply};
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Address, Asked, Here, Json};
use crate::cluster_api::ErrorBody;
use crate::http::empty;
use crate::manager::JoinAsk;
use crate::manager::Manager;
use crate::manager::admit::JoinReply;
use crate::manager::openapi;

/// The query of a plain player's URL.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlayQuery {
    /// Viewer token; not needed for an open stream.
    token: Option<String>,
}

/// Join a stream.
///
/// Admits the viewer whom the bearer token names, or anybody on an open stream, and tells where to play.
#[utoipa::path(
    post, path = "/v1/streams/{stream}/join", tag = "viewer", operation_id = "join",
    params(("stream" = String, Path, description = "Stream name")),
    security((), ("viewer_token" = [])),
    request_body(content = Option<JoinAsk>, description = "Of those that come back: what they had"),
    responses(
        (status = 200, description = "A place", body = JoinReply),
        (status = 400, description = "`bad_request`: the body is not what is expected", body = ErrorBody),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`", body = ErrorBody),
        (status = 403, description = "`not_allowed`: the token is for another stream or class", body = ErrorBody),
        (status = 404, description = "`no_such_stream`; `not_live`, with Retry-After", body = ErrorBody),
        (status = 503, description = "`no_capacity`, with Retry-After", body = ErrorBody),
    )
)]
pub fn join(manager: &Manager, stream: &str, headers: &HeaderMap, body: &[u8], from: Address) -> crate::http::Reply {
    manager.join(stream, headers, body, from, manager.now())
}

/// Play a stream in a plain player.
///
/// As join, for players that know nothing of it: the one URL to open. Redirects to the edge's playlist. Every GET
/// takes a place, so HEAD is answered with 405.
#[utoipa::path(
    get, path = "/v1/streams/{stream}/play.m3u8", tag = "viewer", operation_id = "play",
    params(("stream" = String, Path, description = "Stream name"), PlayQuery),
    responses(
        (status = 302, description = "To the multivariant playlist at an edge"),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`", body = ErrorBody),
        (status = 403, description = "`not_allowed`: the token is for another stream or class", body = ErrorBody),
        (status = 404, description = "`no_such_stream`; `not_live`, with Retry-After", body = ErrorBody),
        (status = 503, description = "`no_capacity`, with Retry-After", body = ErrorBody),
    )
)]
pub async fn play(
    State(manager): Here,
    Path(stream): Path<String>,
    from: Option<Extension<Address>>,
    Asked(query): Asked<PlayQuery>,
) -> Reply {
    manager.play(&stream, query.token.as_deref(), from.map(|from| from.0), manager.now()).map(Body::new)
}

/// Another method than the one that takes a place. Without this HEAD would run as GET: a place and an account for
/// whoever only looks.
pub async fn only(method: &'static str) -> Reply {
    let mut reply = empty(StatusCode::METHOD_NOT_ALLOWED);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    reply.map(Body::new)
}

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "viewer", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub async fn openapi() -> Reply {
    Json(StatusCode::OK, openapi::document()).into_response()
}

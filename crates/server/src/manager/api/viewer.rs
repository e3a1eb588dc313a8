//! What viewers and players ask.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response as Reply};
use http::header::{ALLOW, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Asked, Here, Json, empty};
use crate::cluster_api::ErrorBody;
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
    responses(
        (status = 200, description = "A place", body = JoinReply),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`", body = ErrorBody),
        (status = 403, description = "`not_allowed`: the token is for another stream or class", body = ErrorBody),
        (status = 404, description = "`no_such_stream`; `not_live`, with Retry-After", body = ErrorBody),
        (status = 503, description = "`no_capacity`, with Retry-After", body = ErrorBody),
    )
)]
pub async fn join(State(manager): Here, Path(stream): Path<String>, headers: HeaderMap) -> Reply {
    // A header that is no text is no token either.
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    manager.join(&stream, authorization, manager.now()).map(Into::into)
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
pub async fn play(State(manager): Here, Path(stream): Path<String>, Asked(query): Asked<PlayQuery>) -> Reply {
    manager.play(&stream, query.token.as_deref(), manager.now()).map(Into::into)
}

/// HEAD on the same URL. Without this it would run as GET: a place and an account for whoever only looks.
pub async fn no_head() -> Reply {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response.map(Into::into)
}

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "viewer", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub async fn openapi() -> Reply {
    Json(StatusCode::OK, openapi::document()).into_response()
}

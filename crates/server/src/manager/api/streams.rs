//! Which streams are there, and who may publish them? For operators, under the admin key.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use trellis_proto::StreamId;
use utoipa::ToSchema;

use super::{Answer, Fault, Here, Input, Json};
use crate::cluster_api::{ErrorBody, StreamState, ViewerClass};
use crate::http::empty;
use crate::manager::Manager;
use crate::manager::config::P2p;
use crate::manager::directory::{KeyHash, Stream};
use crate::manager::keys::random_text;

const TITLE_CHARS_MAX: usize = 200;

/// A stream.
#[derive(Serialize, ToSchema)]
pub struct StreamInfo {
    /// Its name.
    stream: String,
    /// For people.
    title: String,
    /// Watchable without a viewer token.
    open: bool,
    /// Viewer classes it admits; empty: all.
    classes: BTreeSet<ViewerClass>,
    /// Most bit/s one viewer gets; none: what the stream has.
    max_rate: Option<u64>,
    /// What its viewers may be to each other: `on`, `receive_only` or `off`; none: the manager's `p2p`.
    p2p: Option<P2p>,
    /// Viewers of an edge see each other only when there are so many; none: the manager's `viewers_min`.
    viewers_min: Option<u16>,
    /// ms since the Unix epoch.
    created_ms: u64,
    /// What a viewer would find now.
    state: StreamState,
    /// The stream key, told once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// All streams.
#[derive(Serialize, ToSchema)]
pub struct StreamList {
    /// By name.
    streams: Vec<StreamInfo>,
}

/// A stream to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStream {
    /// Its name, `[a-z0-9][a-z0-9._-]{0,63}`.
    stream: String,
    /// For people, at most 200 characters.
    #[serde(default)]
    title: String,
    /// Watchable without a viewer token. Left out: the manager's `default_open`, or no when there are `classes`.
    open: Option<bool>,
    /// Viewer classes it admits: tokens of others are refused. Left out or empty: all.
    #[serde(default)]
    classes: BTreeSet<ViewerClass>,
    /// Most bit/s one viewer gets.
    max_rate: Option<u64>,
    /// What its viewers may be to each other: `on`, `receive_only` or `off`. Left out: the manager's `p2p`.
    p2p: Option<P2p>,
    /// Viewers of an edge see each other only when there are so many. Left out: the manager's `viewers_min`.
    viewers_min: Option<u16>,
}

/// Changes to a stream; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamChange {
    /// For people.
    title: Option<String>,
    /// Watchable without a viewer token.
    open: Option<bool>,
    /// Viewer classes it admits; empty: all.
    classes: Option<BTreeSet<ViewerClass>>,
    /// Most bit/s one viewer gets; 0: no such limit.
    max_rate: Option<u64>,
    /// What its viewers may be to each other. Viewers who are in keep what their tickets say.
    p2p: Option<P2p>,
    /// Viewers of an edge see each other only when there are so many.
    viewers_min: Option<u16>,
    /// True: make a new stream key; the old one ends.
    #[serde(default)]
    new_key: bool,
}

/// List streams.
#[utoipa::path(get, path = "/v1/admin/streams", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = StreamList), (status = 401, body = ErrorBody)))]
pub async fn list_streams(State(manager): Here) -> Json<StreamList> {
    let streams = manager.directory().streams();
    Json(StatusCode::OK, StreamList { streams: streams.iter().map(|stream| info(&manager, stream, None)).collect() })
}

/// Create a stream and its stream key.
#[utoipa::path(post, path = "/v1/admin/streams", tag = "admin", security(("admin_key" = [])), request_body = NewStream,
    responses((status = 201, body = StreamInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 409, description = "`stream_exists`", body = ErrorBody)))]
pub async fn create_stream(State(manager): Here, Input(new): Input<NewStream>) -> Answer<StreamInfo> {
    let name: StreamId = new.stream.parse().map_err(|error| Fault::bad(format!("`stream`: {error}")))?;
    let _changing = manager.changes.lock().await;
    if manager.stream(&new.stream).is_some() {
        let message = "a stream of this name exists: change it with PATCH, or choose another name";
        return Err(Fault::new(StatusCode::CONFLICT, "stream_exists", message));
    }
    let key = random_text();
    let stream = Stream {
        name,
        title: title(new.title)?,
        open: open(&manager, new.open, &new.classes)?,
        classes: new.classes,
        key_hash: Some(KeyHash::of(&key)),
        max_rate: new.max_rate.filter(|rate| *rate > 0),
        p2p: new.p2p,
        viewers_min: new.viewers_min,
        created_ms: manager.now().unix_ms,
    };
    manager.put_stream(stream.clone()).await?;
    Ok(Json(StatusCode::CREATED, info(&manager, &stream, Some(key))))
}

/// Change a stream.
#[utoipa::path(patch, path = "/v1/admin/streams/{stream}", tag = "admin", security(("admin_key" = [])),
    params(("stream" = String, Path)), request_body = StreamChange,
    responses((status = 200, body = StreamInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, description = "`no_such_stream`", body = ErrorBody)))]
pub async fn update_stream(
    State(manager): Here,
    Path(name): Path<String>,
    Input(change): Input<StreamChange>,
) -> Answer<StreamInfo> {
    let _changing = manager.changes.lock().await;
    let mut stream = named(&manager, &name)?.as_ref().clone();
    if let Some(text) = change.title {
        stream.title = title(text)?;
    }
    if let Some(rate) = change.max_rate {
        stream.max_rate = Some(rate).filter(|rate| *rate > 0);
    }
    stream.p2p = change.p2p.or(stream.p2p);
    stream.viewers_min = change.viewers_min.or(stream.viewers_min);
    stream.classes = change.classes.unwrap_or(stream.classes);
    stream.open = open(&manager, Some(change.open.unwrap_or(stream.open)), &stream.classes)?;
    let key = change.new_key.then(random_text);
    if let Some(key) = &key {
        stream.key_hash = Some(KeyHash::of(key));
    }
    manager.put_stream(stream.clone()).await?;
    Ok(Json(StatusCode::OK, info(&manager, &stream, key)))
}

/// Delete a stream.
///
/// Nobody joins it from now on and its key ends. A publisher who is in stays until it leaves, viewers who are in until
/// their tickets end.
#[utoipa::path(delete, path = "/v1/admin/streams/{stream}", tag = "admin", security(("admin_key" = [])),
    params(("stream" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn delete_stream(State(manager): Here, Path(name): Path<String>) -> Result<impl IntoResponse, Fault> {
    let _changing = manager.changes.lock().await;
    let stream = named(&manager, &name)?;
    manager.store.delete_stream(stream.name.as_str()).await?;
    manager.directory_mut().remove_stream(&stream.name);
    Ok(empty(StatusCode::NO_CONTENT).map(axum::body::Body::new))
}

fn named(manager: &Manager, name: &str) -> Result<Arc<Stream>, Fault> {
    let missing = "there is no stream of this name: see the list of streams";
    manager.stream(name).ok_or_else(|| Fault::new(StatusCode::NOT_FOUND, "no_such_stream", missing))
}

/// Is a stream open of which this was said?
pub(super) fn open(manager: &Manager, asked: Option<bool>, classes: &BTreeSet<ViewerClass>) -> Result<bool, Fault> {
    match asked {
        Some(true) if !classes.is_empty() => Err(Fault::bad(
            "an open stream admits everyone, without a token that names a class: leave `classes` empty or `open` false",
        )),
        Some(open) => Ok(open),
        None => Ok(manager.config.default_open && classes.is_empty()),
    }
}

fn title(text: String) -> Result<String, Fault> {
    if text.chars().count() > TITLE_CHARS_MAX {
        Err(Fault::bad("`title` must have at most 200 characters"))
    } else {
        Ok(text)
    }
}

fn info(manager: &Manager, stream: &Stream, key: Option<String>) -> StreamInfo {
    let held = manager.registry().held(manager.now().mono, &stream.name);
    StreamInfo {
        stream: stream.name.to_string(),
        title: stream.title.clone(),
        open: stream.open,
        classes: stream.classes.clone(),
        max_rate: stream.max_rate,
        p2p: stream.p2p,
        viewers_min: stream.viewers_min,
        created_ms: stream.created_ms,
        state: held.map_or(StreamState::Waiting, |held| held.state),
        key,
    }
}

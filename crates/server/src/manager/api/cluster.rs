//! What origins and edges ask, under the server key. See [`crate::cluster_api`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use http::StatusCode;
use trellis_proto::StreamId;

use super::{Answer, Fault, Here, Input, Json};
use crate::cluster_api::{EdgeBeat, EdgeBeatReply, OriginBeat, PublishGrant, PublishRequest, StreamSource};
use crate::manager::Manager;
use crate::manager::directory::{KeyHash, Stream};
use crate::manager::registry::BadBeat;

/// Most streams; whoever holds the publish key can make new ones.
const STREAMS_MAX: usize = 100_000;
/// How long a beat waits for its usage to be on disk: less than the edge waits for the answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// `POST /v1/cluster/edges`.
pub async fn edge_beat(State(manager): Here, Input(beat): Input<EdgeBeat>) -> Answer<EdgeBeatReply> {
    manager.registry().on_edge_beat(manager.now().mono, &beat)?;
    let recorded = beat.usage.is_empty() || {
        let write = manager.accounts.on_usage(beat.edge, beat.usage);
        tokio::time::timeout(WRITE_PATIENCE, write).await.unwrap_or(false)
    };
    if !recorded {
        let message = "usage could not be written: send it again with the next beat";
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "usage_not_recorded", message));
    }
    Ok(Json(StatusCode::OK, EdgeBeatReply { ticket_key: hex::encode(manager.ticket_key()) }))
}

/// `POST /v1/cluster/origins`.
pub async fn origin_beat(State(manager): Here, Input(beat): Input<OriginBeat>) -> Answer<()> {
    manager.registry().on_origin_beat(manager.now().mono, &beat)?;
    Ok(Json(StatusCode::OK, ()))
}

/// `POST /v1/cluster/publish`.
pub async fn publish(State(manager): Here, Input(request): Input<PublishRequest>) -> Answer<PublishGrant> {
    let name: StreamId = request.stream.parse().map_err(|error| Fault::bad(format!("`stream`: {error}")))?;
    authorize(&manager, &name, &request.key)?;
    let open = match manager.stream(&request.stream) {
        Some(stream) => stream.open,
        None => create(&manager, &name, request.open).await?.open,
    };
    // Who may watch is the administrator's to change: a publisher that expects otherwise must know.
    if request.open.is_some_and(|wanted| wanted != open) {
        let (is, change) = if open { ("needs no viewer token", false) } else { ("needs a viewer token", true) };
        let message = format!(
            "this stream exists and {is}: publish without saying otherwise (--open), or have it changed with PATCH \
             /v1/admin/streams/{name} {{\"open\":{change}}}"
        );
        return Err(Fault::new(StatusCode::CONFLICT, "access_differs", message));
    }
    if !manager.registry().grant(manager.now().mono, &name, &request.origin) {
        let message = "another origin has a publisher for this stream: stop that one first, or wait until it is gone";
        return Err(Fault::new(StatusCode::CONFLICT, "already_publishing", message));
    }
    Ok(Json(StatusCode::OK, PublishGrant { open }))
}

/// `GET /v1/cluster/streams/{stream}`.
pub async fn source(State(manager): Here, Path(stream): Path<String>) -> Answer<StreamSource> {
    let name: Option<StreamId> = stream.parse().ok();
    let source = name.and_then(|name| manager.registry().source(manager.now().mono, &name));
    let missing =
        || Fault::new(StatusCode::NOT_FOUND, "not_live", "no living origin has this stream: ask again in a second");
    Ok(Json(StatusCode::OK, source.ok_or_else(missing)?))
}

/// The publish key may publish any stream, a stream key its own.
fn authorize(manager: &Manager, name: &StreamId, key: &str) -> Result<(), Fault> {
    let hash = KeyHash::of(key);
    // Hashes are compared, so how long it takes says nothing about the key.
    if hash == manager.publish_key {
        return Ok(());
    }
    match manager.directory().stream_of_key(&hash) {
        Some(own) if own == name => Ok(()),
        Some(_) => Err(Fault::new(StatusCode::FORBIDDEN, "not_allowed", "this stream key is for another stream")),
        None => {
            let message = "the stream key is not known: use the stream's own, or the one in `publish.key` of the manager's data directory";
            Err(Fault::new(StatusCode::UNAUTHORIZED, "stream_key_invalid", message))
        }
    }
}

/// A stream that comes to be by being published.
async fn create(manager: &Manager, name: &StreamId, open: Option<bool>) -> Result<Arc<Stream>, Fault> {
    let _changing = manager.changes.lock().await;
    if let Some(stream) = manager.stream(name.as_str()) {
        return Ok(stream);
    }
    if manager.directory().stream_count() >= STREAMS_MAX {
        return Err(Fault::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "too_many_streams",
            "delete streams that are no longer needed",
        ));
    }
    let stream = Stream {
        name: name.clone(),
        title: String::new(),
        open: open.unwrap_or(manager.config.default_open),
        key_hash: None,
        max_rate: None,
        created_ms: manager.now().unix_ms,
    };
    manager.put_stream(stream.clone()).await?;
    Ok(Arc::new(stream))
}

impl From<BadBeat> for Fault {
    fn from(error: BadBeat) -> Self {
        match error {
            BadBeat::TooMany => Self::new(StatusCode::INSUFFICIENT_STORAGE, "too_many", error.to_string()),
            error => Self::bad(error.to_string()),
        }
    }
}

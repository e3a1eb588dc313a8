//! What origins and edges ask, under the server key. See [`crate::cluster_api`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, State};
use http::StatusCode;
use trellis_proto::StreamId;

use super::streams::open;
use super::{Address, Answer, Fault, Here, Input, Json};
use crate::cluster_api::{EdgeBeat, EdgeBeatReply, OriginBeat, PublishGrant, PublishRequest, StreamSource};
use crate::manager::Manager;
use crate::manager::directory::{KeyHash, Stream};
use crate::manager::registry::BadBeat;

/// Most streams; whoever holds the publish key can make new ones.
const STREAMS_MAX: usize = 100_000;
/// How long a beat waits for its usage to be on disk: less than the edge waits for the answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// `POST /v1/cluster/edges`.
pub async fn edge_beat(
    State(manager): Here,
    from: Option<Extension<Address>>,
    Input(beat): Input<EdgeBeat>,
) -> Answer<EdgeBeatReply> {
    let at = manager.locality_of_edge(beat.public_url.as_deref(), from.map(|from| from.0));
    match manager.registry().on_edge_beat(manager.now().mono, &beat, at) {
        // Its successor was faster. What its sessions used counts all the same.
        Err(BadBeat::NameTaken(_)) if beat.draining => {}
        heard => heard?,
    }
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
    if !manager.registry().is_origin_free(manager.now().mono, &request.origin, &request.instance) {
        return Err(BadBeat::NameTaken("origin").into());
    }
    let stream = match manager.stream(&request.stream) {
        Some(stream) => stream,
        None => create(&manager, &name, &request).await?,
    };
    check_access(&stream, &request)?;
    if !manager.registry().grant(manager.now().mono, &name, &request.origin) {
        let message = "another origin has a publisher for this stream: stop that one first, or wait until it is gone";
        return Err(Fault::new(StatusCode::CONFLICT, "already_publishing", message));
    }
    Ok(Json(StatusCode::OK, PublishGrant { open: stream.open }))
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

/// Who may watch is the administrator's to change: a publisher that expects otherwise must know.
fn check_access(stream: &Stream, request: &PublishRequest) -> Result<(), Fault> {
    let name = &stream.name;
    let differs = |is: &str, option: &str, change: String| {
        let message = format!(
            "this stream exists and {is}: publish without saying otherwise ({option}), or have it changed with PATCH \
             /v1/admin/streams/{name} {change}"
        );
        Err(Fault::new(StatusCode::CONFLICT, "access_differs", message))
    };
    if let Some(open) = request.open.filter(|open| *open != stream.open) {
        let is = if stream.open { "needs no viewer token" } else { "needs a viewer token" };
        return differs(is, "--open", format!("{{\"open\":{open}}}"));
    }
    if !request.classes.is_empty() && request.classes != stream.classes {
        let wanted: Vec<_> = request.classes.iter().map(|class| format!("\"{class}\"")).collect();
        let change = format!("{{\"open\":false,\"classes\":[{}]}}", wanted.join(","));
        return differs("admits other viewer classes", "--classes", change);
    }
    Ok(())
}

/// A stream that comes to be by being published.
async fn create(manager: &Manager, name: &StreamId, request: &PublishRequest) -> Result<Arc<Stream>, Fault> {
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
        open: open(manager, request.open, &request.classes)?,
        classes: request.classes.clone(),
        key_hash: None,
        max_rate: None,
        p2p: None,
        viewers_min: None,
        created_ms: manager.now().unix_ms,
    };
    manager.put_stream(stream.clone()).await?;
    Ok(Arc::new(stream))
}

impl From<BadBeat> for Fault {
    fn from(error: BadBeat) -> Self {
        match error {
            BadBeat::NameTaken(_) => Self::new(StatusCode::CONFLICT, "name_taken", error.to_string()),
            BadBeat::TooMany => Self::new(StatusCode::INSUFFICIENT_STORAGE, "too_many", error.to_string()),
            error => Self::bad(error.to_string()),
        }
    }
}

//! Which edges and origins are there, and how loaded? For operators, under the admin key.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Here, Json};
use crate::cluster_api::{ErrorBody, StreamModel, StreamState};

/// An edge.
#[derive(Serialize, ToSchema)]
pub struct EdgeInfo {
    /// Its name.
    edge: String,
    /// Where players reach it; none: at the manager's own address.
    public_url: Option<String>,
    /// Upload budget, bit/s.
    capacity_bps: u64,
    /// Rates of the sessions it holds, bit/s.
    committed_bps: u64,
    /// What of the rest viewers without an engine do not get, bit/s.
    reserved_bps: u64,
    /// Rates granted that have not arrived, bit/s.
    pending_bps: u64,
    /// Sessions it holds.
    sessions: u32,
    /// It takes no new viewers.
    draining: bool,
    /// Age of its last beat, ms.
    beat_age_ms: u64,
}

/// All edges.
#[derive(Serialize, ToSchema)]
pub struct EdgeList {
    /// By name.
    edges: Vec<EdgeInfo>,
}

/// An origin.
#[derive(Serialize, ToSchema)]
pub struct OriginInfo {
    /// Its name.
    origin: String,
    /// Base URL of its media.
    media_url: String,
    /// The key it signs with, 64 hex digits.
    public_key: String,
    /// Age of its last beat, ms.
    beat_age_ms: u64,
    /// Its streams.
    streams: Vec<OriginStreamInfo>,
}

/// A stream at an origin.
#[derive(Serialize, ToSchema)]
pub struct OriginStreamInfo {
    /// Its name.
    stream: String,
    /// What a viewer would find.
    state: StreamState,
    /// Bit/s of the best video and audio; 0 while unknown.
    rate_bps: u64,
}

/// All origins.
#[derive(Serialize, ToSchema)]
pub struct OriginList {
    /// By name.
    origins: Vec<OriginInfo>,
}

/// What an edge told of its streams' viewers.
#[derive(Serialize, ToSchema)]
pub struct EdgeModels {
    /// Its name.
    edge: String,
    /// The streams that viewers with an engine watch there; at most 64.
    streams: Vec<StreamModel>,
}

/// What all edges told.
#[derive(Serialize, ToSchema)]
pub struct ModelList {
    /// By name.
    edges: Vec<EdgeModels>,
}

/// Tell what the analytical model says of each stream's viewers at each edge, beside what happened
///
/// Numbers are estimated from the last five minutes; what is not known yet is left out. Of a range, null is without end.
#[utoipa::path(get, path = "/v1/admin/model", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = ModelList), (status = 401, body = ErrorBody)))]
pub async fn model(State(manager): Here) -> Json<ModelList> {
    let registry = manager.registry();
    let edges = registry
        .edges()
        .map(|(edge, _)| EdgeModels { edge: edge.name().to_owned(), streams: registry.models(edge.name()).to_vec() });
    Json(StatusCode::OK, ModelList { edges: edges.collect() })
}

/// List edges and their load.
#[utoipa::path(get, path = "/v1/admin/edges", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = EdgeList), (status = 401, body = ErrorBody)))]
pub async fn edges(State(manager): Here) -> Json<EdgeList> {
    let now = manager.now().mono;
    let registry = manager.registry();
    let edges = registry.edges().map(|(edge, place)| EdgeInfo {
        edge: edge.name().to_owned(),
        public_url: Some(place.base.as_ref().to_owned()).filter(|base| !base.is_empty()),
        capacity_bps: edge.beat().capacity_bps,
        committed_bps: edge.beat().committed_bps,
        reserved_bps: edge.beat().reserved_bps,
        pending_bps: edge.pending_bps(),
        sessions: edge.beat().sessions,
        draining: edge.beat().draining,
        beat_age_ms: now.since(edge.last_beat()).as_millis() as u64,
    });
    Json(StatusCode::OK, EdgeList { edges: edges.collect() })
}

/// List origins and their streams.
#[utoipa::path(get, path = "/v1/admin/origins", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = OriginList), (status = 401, body = ErrorBody)))]
pub async fn origins(State(manager): Here) -> Json<OriginList> {
    let now = manager.now().mono;
    let registry = manager.registry();
    let origins = registry.origins().map(|(name, origin)| OriginInfo {
        origin: name.clone(),
        media_url: origin.media_url.clone(),
        public_key: origin.public_key.clone(),
        beat_age_ms: now.since(origin.last_beat).as_millis() as u64,
        streams: origin
            .streams()
            .into_iter()
            .map(|(stream, held)| OriginStreamInfo {
                stream: stream.to_string(),
                state: held.state,
                rate_bps: held.rate_bps,
            })
            .collect(),
    });
    Json(StatusCode::OK, OriginList { origins: origins.collect() })
}

//! Whose viewer tokens count? For operators, under the admin key.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use trellis_proto::StreamId;
use utoipa::ToSchema;

use super::{Answer, Fault, Here, Input, Json};
use crate::cluster_api::ErrorBody;
use crate::http::empty;
use crate::manager::auth::read_public_key;
use crate::manager::keys::{random_kid, random_text};
use crate::manager::store::{ApiKeyRow, signed};

/// An API key: what viewer tokens are signed with.
#[derive(Serialize, ToSchema)]
pub struct KeyInfo {
    /// Goes into a token's header.
    kid: String,
    /// `hs256` or `eddsa`.
    kind: String,
    /// Streams it may speak for; none: all.
    streams: Option<Vec<String>>,
    /// ms since the Unix epoch.
    created_ms: u64,
    /// ms since the Unix epoch.
    revoked_ms: Option<u64>,
    /// The MAC secret, told once: when it is made. Its characters are the key; do not decode them.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// All API keys.
#[derive(Serialize, ToSchema)]
pub struct KeyList {
    /// Oldest first.
    keys: Vec<KeyInfo>,
}

/// An API key to be made or taken in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// `hs256`: a secret is made and returned. `eddsa`: bring a public key.
    kind: KeyKind,
    /// Key id, at most 64 characters. Left out: one is made.
    kid: Option<String>,
    /// Ed25519 public key as PEM (`BEGIN PUBLIC KEY`) or its 32 bytes in base64url.
    public_key: Option<String>,
    /// Streams it may speak for. Left out: all.
    streams: Option<Vec<String>>,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// HMAC with SHA-256.
    Hs256,
    /// Ed25519.
    Eddsa,
}

/// List API keys.
#[utoipa::path(get, path = "/v1/admin/keys", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = KeyList), (status = 401, body = ErrorBody)))]
pub async fn list_keys(State(manager): Here) -> Answer<KeyList> {
    let rows = manager.store.api_keys().await?;
    Ok(Json(StatusCode::OK, KeyList { keys: rows.into_iter().map(|row| key_info(row, None)).collect() }))
}

/// Create an API key, or take in a public key.
#[utoipa::path(post, path = "/v1/admin/keys", tag = "admin", security(("admin_key" = [])), request_body = NewKey,
    responses((status = 201, body = KeyInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 409, description = "`key_exists`", body = ErrorBody)))]
pub async fn create_key(State(manager): Here, Input(new): Input<NewKey>) -> Answer<KeyInfo> {
    let kid = new.kid.unwrap_or_else(random_kid);
    if kid.is_empty()
        || kid.len() > 64
        || !kid.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        return Err(Fault::bad("`kid` must have 1 to 64 letters, digits, '-', '_' or '.'"));
    }
    for stream in new.streams.iter().flatten() {
        stream.parse::<StreamId>().map_err(|error| Fault::bad(format!("`streams`: {error}")))?;
    }
    let (kind, key, secret) = match (new.kind, new.public_key) {
        (KeyKind::Hs256, None) => {
            let secret = random_text();
            ("hs256", secret.clone().into_bytes(), Some(secret))
        }
        (KeyKind::Hs256, Some(_)) => {
            return Err(Fault::bad("`public_key` goes with kind eddsa; for hs256 a secret is made"));
        }
        (KeyKind::Eddsa, text) => {
            ("eddsa", text.as_deref().and_then(read_public_key).ok_or_else(no_key)?.to_vec(), None)
        }
    };
    let streams = new.streams.map(|names| serde_json::to_string(&names).expect("names serialise"));
    let created_ms = signed(manager.now().unix_ms);
    let row = ApiKeyRow { kid, kind: kind.into(), key, streams, created_ms, revoked_ms: None };
    let key = row.living().ok_or_else(no_key)?;
    let _changing = manager.changes.lock().await;
    if !manager.store.add_api_key(&row).await? {
        return Err(Fault::new(
            StatusCode::CONFLICT,
            "key_exists",
            "a key of this id exists, perhaps revoked: choose another",
        ));
    }
    manager.directory_mut().put_key(key);
    Ok(Json(StatusCode::CREATED, key_info(row, secret)))
}

/// Revoke an API key.
///
/// Its tokens admit nobody from now on. Viewers who are in stay until their tickets end: at the `exp` of the token
/// they joined with.
#[utoipa::path(delete, path = "/v1/admin/keys/{kid}", tag = "admin", security(("admin_key" = [])),
    params(("kid" = String, Path)),
    responses((status = 204, description = "Revoked"), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn revoke_key(State(manager): Here, Path(kid): Path<String>) -> Result<impl IntoResponse, Fault> {
    let _changing = manager.changes.lock().await;
    if !manager.store.revoke_api_key(&kid, manager.now().unix_ms).await? {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "no_such_key",
            "no living key has this id: see the list of keys",
        ));
    }
    manager.directory_mut().remove_key(&kid);
    Ok(empty(StatusCode::NO_CONTENT).map(axum::body::Body::new))
}

fn no_key() -> Fault {
    Fault::bad("`public_key` must be an Ed25519 public key: PEM (`BEGIN PUBLIC KEY`), or 32 bytes in base64url")
}

fn key_info(row: ApiKeyRow, secret: Option<String>) -> KeyInfo {
    KeyInfo {
        streams: row.stream_names().unwrap_or_default(),
        kid: row.kid,
        kind: row.kind,
        created_ms: row.created_ms.unsigned_abs(),
        revoked_ms: row.revoked_ms.map(i64::unsigned_abs),
        secret,
    }
}

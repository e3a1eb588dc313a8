//! Who watched what, and how much was it? For operators, under the admin key.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Asked, Fault, Here, Json};
use crate::cluster_api::ErrorBody;
use crate::manager::store::{AccountFilter, AccountRow};

const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AccountQuery {
    /// Of this stream.
    stream: Option<String>,
    /// Of this viewer.
    viewer: Option<String>,
    /// Joined at or after, ms since the Unix epoch.
    since_ms: Option<u64>,
    /// `next` of the page before.
    before: Option<String>,
    /// At most so many, up to 1000; 100 when left out.
    limit: Option<u32>,
}

/// One session's account.
#[derive(Serialize, ToSchema)]
pub struct Account {
    /// Session id, 32 hex digits.
    session: String,
    /// Viewer id; empty: nobody said.
    viewer: String,
    /// Stream name.
    stream: String,
    /// Edge name.
    edge: String,
    /// When the place was granted, ms since the Unix epoch.
    joined_ms: Option<u64>,
    /// First request at the edge, ms since the Unix epoch; none: it never came.
    started_ms: Option<u64>,
    /// End, ms since the Unix epoch.
    ended_ms: Option<u64>,
    /// `idle`, `expired`, `stream_ended`, `shutdown` or `edge_lost`; none: it goes on.
    ended: Option<String>,
    /// Body bytes of segments, parts and init segments, by source.
    edge_media_bytes: u64,
    /// Body bytes of playlists and state.
    edge_other_bytes: u64,
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
pub struct AccountPage {
    /// Newest first.
    accounts: Vec<Account>,
    /// Give it as `before` to get the next page; none: this was the last.
    next: Option<String>,
}

/// Read accounts.
#[utoipa::path(get, path = "/v1/admin/accounts", tag = "admin", security(("admin_key" = [])), params(AccountQuery),
    responses((status = 200, body = AccountPage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub async fn accounts(State(manager): Here, Asked(query): Asked<AccountQuery>) -> Answer<AccountPage> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let before =
        query.before.map(|id| id.parse().map_err(|error| Fault::bad(format!("`before`: {error}")))).transpose()?;
    let filter = AccountFilter { stream: query.stream, viewer: query.viewer, since_ms: query.since_ms, before, limit };
    let rows = manager.store.accounts(&filter).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| hex::encode(&row.id));
    Ok(Json(StatusCode::OK, AccountPage { accounts: rows.into_iter().map(Account::from).collect(), next }))
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        let unsigned = |value: Option<i64>| value.map(i64::unsigned_abs);
        Self {
            session: hex::encode(row.id),
            viewer: row.viewer,
            stream: row.stream,
            edge: row.edge,
            joined_ms: unsigned(row.joined_ms),
            started_ms: unsigned(row.started_ms),
            ended_ms: unsigned(row.ended_ms),
            ended: row.why,
            edge_media_bytes: row.media_bytes.unsigned_abs(),
            edge_other_bytes: row.other_bytes.unsigned_abs(),
        }
    }
}

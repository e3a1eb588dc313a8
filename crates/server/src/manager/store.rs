//! What outlives the process? SQLite in the data directory, one file, write-ahead logged. Reads and writes here
//! belong to the admin API, to publishing and to the accounts writer; a join never comes this way.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{FromRow, QueryBuilder, Sqlite};
use trellis_proto::SessionId;

use super::Error;
use super::auth::{ApiKey, Verifier};
use super::config::P2p;
use super::directory::{KeyHash, Stream};
use crate::keyfile::random;

/// The manager's database.
#[derive(Clone)]
pub struct Store {
    pub(super) pool: SqlitePool,
}

/// A row of `api_keys`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ApiKeyRow {
    /// Key id.
    pub kid: String,
    /// `hs256` or `eddsa`.
    pub kind: String,
    /// The MAC secret or the public key.
    pub key: Vec<u8>,
    /// JSON array of stream names; none: all.
    pub streams: Option<String>,
    /// ms since the Unix epoch.
    pub created_ms: i64,
    /// ms since the Unix epoch.
    pub revoked_ms: Option<i64>,
}

/// Which accounts are asked for.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Of this stream.
    pub stream: Option<String>,
    /// Of this viewer.
    pub viewer: Option<String>,
    /// Joined at or after, ms since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Older than this session.
    pub before: Option<SessionId>,
    /// At most so many.
    pub limit: u32,
}

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AccountRow {
    /// Session id, 16 bytes.
    pub id: Vec<u8>,
    /// Viewer id; empty: unknown or none.
    pub viewer: String,
    /// Stream name.
    pub stream: String,
    /// Edge name.
    pub edge: String,
    /// When the place was granted.
    pub joined_ms: Option<i64>,
    /// First request.
    pub started_ms: Option<i64>,
    /// Last byte.
    pub updated_ms: i64,
    /// End.
    pub ended_ms: Option<i64>,
    /// Why it ended.
    pub why: Option<String>,
    /// Media body bytes.
    pub media_bytes: i64,
    /// Other body bytes.
    pub other_bytes: i64,
}

#[derive(FromRow)]
struct StreamRow {
    name: String,
    title: String,
    open: bool,
    classes: Option<String>,
    key_hash: Option<Vec<u8>>,
    max_rate: Option<i64>,
    p2p: Option<String>,
    viewers_min: Option<i64>,
    created_ms: i64,
}

impl Store {
    /// Opens the database, making it (mode 0600) and bringing its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        // SQLite would make it readable for all; the log files beside it take the mode of the database.
        let touched = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        touched.map_err(|source| Error::File { path: path.into(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may cost the last moments of accounts, never the file: the edges' totals come again.
            .synchronous(SqliteSynchronous::Normal)
            // KiB (the minus says so) per connection, taken as needed: what a batch of accounts touches, inner pages of
            // the indexes included. With SQLite's 2 MB it wrote pages and read them back within one transaction.
            .pragma("cache_size", "-16384")
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::migrate!().run(&pool).await.map_err(sqlx::Error::from)?;
        Ok(Self { pool })
    }

    /// All streams. A row that is no stream (edited by hand) is left out and logged.
    pub async fn streams(&self) -> sqlx::Result<Vec<Stream>> {
        let rows: Vec<StreamRow> = sqlx::query_as("SELECT * FROM streams").fetch_all(&self.pool).await?;
        let read = |row: StreamRow| {
            let name = row.name.clone();
            let stream = row.parse();
            if stream.is_none() {
                tracing::warn!(stream = name, "left out: this row of `streams` is not valid");
            }
            stream
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Adds a stream, or overwrites the one of this name.
    pub async fn put_stream(&self, stream: &Stream) -> sqlx::Result<()> {
        let sql = "INSERT INTO streams (name, title, open, classes, key_hash, max_rate, p2p, viewers_min, created_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET title = excluded.title, open = excluded.open,
                classes = excluded.classes, key_hash = excluded.key_hash, max_rate = excluded.max_rate,
                p2p = excluded.p2p, viewers_min = excluded.viewers_min";
        let listed = Some(&stream.classes).filter(|classes| !classes.is_empty());
        let classes = listed.map(|classes| serde_json::to_string(classes).expect("names of classes serialise"));
        sqlx::query(sql)
            .bind(stream.name.as_str())
            .bind(&stream.title)
            .bind(stream.open)
            .bind(classes)
            .bind(stream.key_hash.map(|hash| hash.0.to_vec()))
            .bind(stream.max_rate.map(signed))
            .bind(stream.p2p.map(P2p::word))
            .bind(stream.viewers_min.map(i64::from))
            .bind(signed(stream.created_ms))
            .execute(&self.pool)
            .await
            .map(drop)
    }

    /// Removes a stream. Its accounts stay.
    pub async fn delete_stream(&self, name: &str) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM streams WHERE name = ?").bind(name).execute(&self.pool).await.map(drop)
    }

    /// All API keys, revoked ones too, oldest first.
    pub async fn api_keys(&self) -> sqlx::Result<Vec<ApiKeyRow>> {
        sqlx::query_as("SELECT * FROM api_keys ORDER BY created_ms, kid").fetch_all(&self.pool).await
    }

    /// Adds an API key. False: there is one of this id.
    pub async fn add_api_key(&self, row: &ApiKeyRow) -> sqlx::Result<bool> {
        let sql =
            "INSERT INTO api_keys (kid, kind, key, streams, created_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query =
            sqlx::query(sql).bind(&row.kid).bind(&row.kind).bind(&row.key).bind(&row.streams).bind(row.created_ms);
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Revokes an API key. False: there is none, or it was revoked before.
    pub async fn revoke_api_key(&self, kid: &str, now_ms: u64) -> sqlx::Result<bool> {
        let sql = "UPDATE api_keys SET revoked_ms = ? WHERE kid = ? AND revoked_ms IS NULL";
        Ok(sqlx::query(sql).bind(signed(now_ms)).bind(kid).execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Accounts, newest first.
    pub async fn accounts(&self, filter: &AccountFilter) -> sqlx::Result<Vec<AccountRow>> {
        let columns = "SELECT id, viewer, stream, edge, joined_ms, started_ms, updated_ms, ended_ms, why,
            media_bytes, other_bytes FROM sessions WHERE 1";
        let mut query = QueryBuilder::<Sqlite>::new(columns);
        if let Some(stream) = &filter.stream {
            query.push(" AND stream = ").push_bind(stream);
        }
        if let Some(viewer) = &filter.viewer {
            // The second condition lets the partial index serve.
            query.push(" AND viewer = ").push_bind(viewer).push(" AND viewer <> ''");
        }
        if let Some(since) = filter.since_ms {
            query.push(" AND id >= ").push_bind(first_id(since).to_vec());
        }
        if let Some(before) = filter.before {
            query.push(" AND id < ").push_bind(before.0.to_vec());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.limit));
        query.build_query_as().fetch_all(&self.pool).await
    }

    /// Edges with sessions that have not ended.
    pub async fn edges_with_open_sessions(&self) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar("SELECT DISTINCT edge FROM sessions WHERE why IS NULL").fetch_all(&self.pool).await
    }
}

impl ApiKeyRow {
    /// Of an HS256 secret that may speak for all streams.
    pub fn hs256(kid: String, secret: &str, now_ms: u64) -> Self {
        let key = secret.as_bytes().to_vec();
        Self { kid, kind: "hs256".into(), key, streams: None, created_ms: signed(now_ms), revoked_ms: None }
    }

    /// The streams it may speak for; none: all. Err: not the JSON it should be.
    pub fn stream_names(&self) -> serde_json::Result<Option<Vec<String>>> {
        self.streams.as_deref().map(serde_json::from_str).transpose()
    }

    /// Ready to check tokens. None: revoked, or not valid.
    pub fn living(&self) -> Option<ApiKey> {
        let verifier = match self.kind.as_str() {
            _ if self.revoked_ms.is_some() => return None,
            "hs256" => Verifier::hs256(&self.key),
            "eddsa" => Verifier::eddsa(&self.key)?,
            _ => return None,
        };
        Some(ApiKey::new(self.kid.clone(), verifier, self.stream_names().ok()?))
    }
}

impl StreamRow {
    fn parse(self) -> Option<Stream> {
        let key_hash = match self.key_hash {
            Some(hash) => Some(KeyHash(hash.try_into().ok()?)),
            None => None,
        };
        Some(Stream {
            name: self.name.parse().ok()?,
            title: self.title,
            open: self.open,
            classes: self.classes.map(|text| serde_json::from_str(&text)).transpose().ok()?.unwrap_or_default(),
            key_hash,
            max_rate: self.max_rate.map(i64::unsigned_abs),
            p2p: self.p2p.map(|word| P2p::read(&word).ok_or(())).transpose().ok()?,
            viewers_min: self.viewers_min.map(u16::try_from).transpose().ok()?,
            created_ms: self.created_ms.unsigned_abs(),
        })
    }
}

/// A fresh session id: the time in 6 bytes, then 80 random bits. The time keeps new rows together in the database;
/// what a session may is said by its ticket, not by knowing its id.
pub fn fresh_id(unix_ms: u64) -> SessionId {
    let mut id = first_id(unix_ms);
    id[6..].copy_from_slice(&random::<10>());
    SessionId(id)
}

/// No id of that moment or later is smaller.
pub fn first_id(unix_ms: u64) -> [u8; 16] {
    // 48 bits of ms last until the year 10889.
    (u128::from(unix_ms & ((1 << 48) - 1)) << 80).to_be_bytes()
}

/// SQLite's integers have a sign; nothing we count comes near the difference.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

//! Who used what? One task writes the accounting records, in batches; nobody who joins waits for it.
//!
//! A join leaves its row in a bounded queue that the task empties twice a second: no wake-up per join, few statements
//! for many rows, and a page that many rows change is written once for all of them. What a crash of the process takes
//! with it is that half second. Should the queue be full (the disk hangs), the *newest* row is dropped and counted:
//! older rows are nearer to their first usage report, and a session whose row is missing still gets its bytes from
//! the edge's reports, only without the viewer's name. Usage is never dropped: its edge hears of success when the
//! batch is on disk, and repeats itself otherwise.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Sqlite, Transaction};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use trellis_proto::{SessionId, StreamId};

use super::metrics::Metrics;
use super::store::{Store, first_id, signed};
use crate::cluster_api::{Usage, UsageEnd};

/// Most rows of joins waiting for the disk: 6 s of a crowd of 10 000 a second, 10 MB.
pub const JOINS_QUEUED_MAX: usize = 65_536;
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
/// As many rows as go into one statement, most first: few statements to prepare, and few for any number of rows.
const ROWS_PER_STATEMENT: [usize; 3] = [64, 8, 1];
const JOBS_QUEUED_MAX: usize = 256;

/// A place that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRow {
    /// Its id.
    pub session: SessionId,
    /// Who; empty: nobody said.
    pub viewer: String,
    /// What.
    pub stream: StreamId,
    /// Where.
    pub edge: Arc<str>,
    /// When, ms since the Unix epoch.
    pub joined_ms: u64,
    /// Until when, ms since the Unix epoch.
    pub expires_ms: u64,
}

/// The way to the accounts.
pub struct Accounts {
    joins: Arc<Mutex<Vec<JoinRow>>>,
    jobs: mpsc::Sender<Job>,
    metrics: Arc<Metrics>,
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Job {
    Usage { edge: String, usage: Vec<Usage>, done: oneshot::Sender<()> },
    EdgesLost { edges: Vec<String>, now_ms: u64 },
    Sweep { now_ms: u64, forget_before_ms: Option<u64> },
    Close,
}

impl Accounts {
    /// Starts the writer.
    pub fn start(store: Store, metrics: Arc<Metrics>) -> Self {
        let joins = Arc::<Mutex<Vec<JoinRow>>>::default();
        let (jobs, queue) = mpsc::channel(JOBS_QUEUED_MAX);
        let writer = Writer { store, joins: joins.clone(), metrics: metrics.clone(), failing: false };
        let task = Mutex::new(Some(tokio::spawn(writer.run(queue))));
        Self { joins, jobs, metrics, task }
    }

    /// Queues a join's row.
    pub fn on_join(&self, row: JoinRow) {
        let mut joins = self.joins.lock().unwrap_or_else(PoisonError::into_inner);
        if joins.len() < JOINS_QUEUED_MAX {
            joins.push(row);
        } else {
            drop(joins);
            self.metrics.writes_dropped.increment(1);
        }
    }

    /// Records what an edge's sessions used. True: it is on disk.
    pub async fn on_usage(&self, edge: String, usage: Vec<Usage>) -> bool {
        let (done, written) = oneshot::channel();
        self.jobs.send(Job::Usage { edge, usage, done }).await.is_ok() && written.await.is_ok()
    }

    /// Closes the open sessions of edges that fell silent.
    pub async fn on_edges_lost(&self, edges: Vec<String>, now_ms: u64) {
        // Fails only when the writer is gone, and then at the end of the process.
        let _ = self.jobs.send(Job::EdgesLost { edges, now_ms }).await;
    }

    /// Closes the places that ran out unseen, and forgets records that ended before `forget_before_ms`.
    pub async fn sweep(&self, now_ms: u64, forget_before_ms: Option<u64>) {
        let _ = self.jobs.send(Job::Sweep { now_ms, forget_before_ms }).await;
    }

    /// Writes out everything queued so far and ends the writer.
    pub async fn close(&self) {
        let _ = self.jobs.send(Job::Close).await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

struct Writer {
    store: Store,
    joins: Arc<Mutex<Vec<JoinRow>>>,
    metrics: Arc<Metrics>,
    /// The last batch failed: said once, not ten times a second.
    failing: bool,
}

/// What one transaction writes.
#[derive(Default)]
struct Batch {
    joins: Vec<JoinRow>,
    jobs: Vec<Job>,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut tick = tokio::time::interval(BATCH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Batch::default();
        let mut closing = false;
        while !closing {
            tokio::select! {
                job = queue.recv() => closing = batch.take(job),
                _ = tick.tick() => {}
            }
            while let Ok(job) = queue.try_recv() {
                closing |= batch.take(Some(job));
            }
            // Joins after jobs were taken: a usage report finds the row of its join already there.
            if batch.joins.is_empty() {
                std::mem::swap(&mut batch.joins, &mut self.joins.lock().unwrap_or_else(PoisonError::into_inner));
            }
            self.write(&mut batch).await;
        }
    }

    /// After a failure joins and ends of edges stay for the next try; usage is its edge's to repeat.
    async fn write(&mut self, batch: &mut Batch) {
        if batch.joins.is_empty() && batch.jobs.is_empty() {
            return;
        }
        let started = Instant::now();
        match self.store.commit(batch).await {
            Ok(()) => {
                self.metrics.sessions_recorded.increment(batch.joins.len() as u64);
                self.metrics.write_seconds.record(started.elapsed());
                self.failing = false;
                batch.joins.clear();
                batch.jobs.drain(..).for_each(Job::acknowledge);
            }
            Err(error) => {
                self.metrics.write_errors.increment(1);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "cannot write accounts; trying again until it works: is the disk full?");
                }
                batch.jobs.retain(|job| matches!(job, Job::EdgesLost { .. }));
                batch.jobs.truncate(JOBS_QUEUED_MAX);
            }
        }
    }
}

impl Job {
    fn acknowledge(self) {
        if let Self::Usage { done, .. } = self {
            // The edge may have given up waiting; it will then repeat itself, which does no harm.
            let _ = done.send(());
        }
    }
}

impl Batch {
    /// True: this was the last.
    fn take(&mut self, job: Option<Job>) -> bool {
        match job {
            None | Some(Job::Close) => true,
            Some(job) => {
                self.jobs.push(job);
                false
            }
        }
    }
}

impl Store {
    async fn commit(&self, batch: &Batch) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        for rows in chunks(&batch.joins) {
            insert_joins(&mut transaction, rows).await?;
        }
        for job in &batch.jobs {
            match job {
                Job::Usage { edge, usage, .. } => upsert_usage(&mut transaction, edge, usage).await?,
                Job::EdgesLost { edges, now_ms } => close_sessions_of(&mut transaction, edges, *now_ms).await?,
                Job::Sweep { now_ms, forget_before_ms } => sweep(&mut transaction, *now_ms, *forget_before_ms).await?,
                Job::Close => {}
            }
        }
        transaction.commit().await
    }
}

/// Runs of [`ROWS_PER_STATEMENT`].
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let len = ROWS_PER_STATEMENT.into_iter().find(|len| *len <= rows.len())?;
        let (chunk, rest) = rows.split_at(len);
        rows = rest;
        Some(chunk)
    })
}

type Write<'a> = Transaction<'a, Sqlite>;

/// A statement for each number of rows.
type Statements = LazyLock<[String; ROWS_PER_STATEMENT.len()]>;

fn for_rows(statements: &'static Statements, rows: usize) -> AssertSqlSafe<&'static str> {
    let at = ROWS_PER_STATEMENT.iter().position(|len| *len == rows).expect("`chunks` makes no others");
    AssertSqlSafe(statements[at].as_str())
}

/// The usage may have come first, when joins had to wait; or the session goes on at another edge, which speaks for it from
/// now on. Then the row is filled in, by a second statement,
/// because one that might fail half-way makes SQLite copy every page of it beforehand, into a file when they are many.
/// That was a third of the cost of a row. `OR FAIL` says that the transaction ends such a case, and nothing need be undone.
async fn insert_joins(transaction: &mut Write<'_>, rows: &[JoinRow]) -> sqlx::Result<()> {
    static INSERT: Statements = LazyLock::new(|| ROWS_PER_STATEMENT.map(|rows| joins_sql("OR FAIL", rows, "NOTHING")));
    static FILL_IN: Statements = LazyLock::new(|| {
        let change = "UPDATE SET viewer = excluded.viewer, edge = excluded.edge, expires_ms = excluded.expires_ms,
            joined_ms = min(coalesce(joined_ms, excluded.joined_ms), excluded.joined_ms)";
        ROWS_PER_STATEMENT.map(|rows| joins_sql("", rows, change))
    });
    let inserted = write_joins(transaction, &INSERT, rows).await?;
    if inserted < rows.len() as u64 {
        write_joins(transaction, &FILL_IN, rows).await?;
    }
    Ok(())
}

async fn write_joins(
    transaction: &mut Write<'_>,
    statements: &'static Statements,
    rows: &[JoinRow],
) -> sqlx::Result<u64> {
    let mut query = sqlx::query(for_rows(statements, rows.len()));
    for row in rows {
        query = query
            .bind(row.session.0.to_vec())
            .bind(&row.viewer)
            .bind(row.stream.as_str())
            .bind(&*row.edge)
            .bind(signed(row.joined_ms))
            .bind(signed(row.expires_ms));
    }
    Ok(query.execute(&mut **transaction).await?.rows_affected())
}

fn joins_sql(or: &str, rows: usize, change: &str) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT {or} INTO sessions (id, viewer, stream, edge, joined_ms, expires_ms) VALUES {values}
         ON CONFLICT (id) DO {change}"
    )
}

async fn upsert_usage(transaction: &mut Write<'_>, edge: &str, usage: &[Usage]) -> sqlx::Result<()> {
    // A statement must not meet a session twice; of two records the later one in the list counts.
    let mut seen = HashSet::new();
    let rows: Vec<_> = usage.iter().rev().filter_map(|record| valid(record, &mut seen)).collect();
    for rows in chunks(&rows) {
        insert_usage(transaction, edge, rows).await?;
    }
    Ok(())
}

/// Records with names that are none are left out: one bad record must not cost the others.
fn valid<'a>(record: &'a Usage, seen: &mut HashSet<SessionId>) -> Option<(SessionId, StreamId, &'a Usage)> {
    let (session, stream) = (record.session.parse().ok()?, record.stream.parse().ok()?);
    seen.insert(session).then_some((session, stream, record))
}

async fn insert_usage(
    transaction: &mut Write<'_>,
    edge: &str,
    rows: &[(SessionId, StreamId, &Usage)],
) -> sqlx::Result<()> {
    static UPSERT: Statements = LazyLock::new(|| ROWS_PER_STATEMENT.map(insert_usage_sql));
    let mut query = sqlx::query(for_rows(&UPSERT, rows.len()));
    for (session, stream, record) in rows {
        let (media, other) = (signed(record.media_bytes), signed(record.other_bytes));
        let (started, updated) = (signed(record.started_ms), signed(record.updated_ms));
        query = query
            .bind(session.0.to_vec())
            .bind(stream.as_str())
            .bind(edge)
            .bind(started)
            .bind(updated)
            .bind(record.ended.map(|_| updated))
            .bind(record.ended.map(why))
            .bind(media)
            .bind(other)
            .bind(started)
            .bind(media)
            .bind(other);
    }
    query.execute(&mut **transaction).await.map(drop)
}

/// An upsert that repeating does not change, and only the edge of a session's ticket speaks for it. A record older than
/// what is known is passed over. One of a later incarnation (`since_ms`) begins at zero, so all of it is added; one of
/// the same incarnation adds what it has more. At the same `updated_ms` an end stays an end, except one the manager had
/// only concluded from silence.
fn insert_usage_sql(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    let stands = "excluded.why IS NULL AND excluded.since_ms = since_ms AND excluded.updated_ms = updated_ms
        AND coalesce(why, 'edge_lost') <> 'edge_lost'";
    format!(
        "INSERT INTO sessions (id, stream, edge, started_ms, updated_ms, ended_ms, why, media_bytes, other_bytes,
            since_ms, media_since, other_since) VALUES {values}
         ON CONFLICT (id) DO UPDATE SET
            media_bytes = media_bytes + max(0, excluded.media_since - iif(excluded.since_ms > since_ms, 0, media_since)),
            other_bytes = other_bytes + max(0, excluded.other_since - iif(excluded.since_ms > since_ms, 0, other_since)),
            media_since = excluded.media_since, other_since = excluded.other_since, since_ms = excluded.since_ms,
            started_ms = coalesce(started_ms, excluded.started_ms), updated_ms = excluded.updated_ms,
            ended_ms = iif({stands}, ended_ms, excluded.ended_ms), why = iif({stands}, why, excluded.why)
         WHERE sessions.edge = excluded.edge AND (excluded.since_ms > since_ms
            OR (excluded.since_ms = since_ms AND excluded.updated_ms >= updated_ms))"
    )
}

/// A session of a silent edge ended with its last reported byte; one that never came ends now.
async fn close_sessions_of(transaction: &mut Write<'_>, edges: &[String], now_ms: u64) -> sqlx::Result<()> {
    let sql =
        "UPDATE sessions SET why = ?, ended_ms = iif(updated_ms > 0, updated_ms, ?) WHERE edge = ? AND why IS NULL";
    for edge in edges {
        let query = sqlx::query(sql).bind(why(UsageEnd::EdgeLost)).bind(signed(now_ms)).bind(edge);
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

async fn sweep(transaction: &mut Write<'_>, now_ms: u64, forget_before_ms: Option<u64>) -> sqlx::Result<()> {
    // A minute's grace: the edge knows better when it ended, and says so by then.
    let sql = "UPDATE sessions SET why = ?, ended_ms = expires_ms WHERE why IS NULL AND expires_ms < ?";
    let until = signed(now_ms.saturating_sub(60_000));
    sqlx::query(sql).bind(why(UsageEnd::Expired)).bind(until).execute(&mut **transaction).await?;
    if let Some(before) = forget_before_ms {
        // Ids begin with the time of the join: only the old end of the table is looked at.
        let query = sqlx::query("DELETE FROM sessions WHERE id < ? AND ended_ms < ?");
        query.bind(first_id(before).to_vec()).bind(signed(before)).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// The word in records and JSON.
pub fn why(end: UsageEnd) -> &'static str {
    match end {
        UsageEnd::Idle => "idle",
        UsageEnd::Expired => "expired",
        UsageEnd::StreamEnded => "stream_ended",
        UsageEnd::Shutdown => "shutdown",
        UsageEnd::EdgeLost => "edge_lost",
    }
}

//! What does the manager count? Handles to the recorder, looked up once: a join must not search for its counter.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// The manager's series.
pub struct Metrics {
    joins: [Counter; JOIN_RESULTS.len()],
    /// Joins that are on disk.
    pub sessions_recorded: Counter,
    /// Rows of joins that found the queue full.
    pub writes_dropped: Counter,
    /// Batches the database refused.
    pub write_errors: Counter,
    /// How long a batch took.
    pub write_seconds: Seconds,
}

/// A histogram of times.
pub struct Seconds(Histogram);

impl Seconds {
    /// Adds one.
    pub fn record(&self, time: Duration) {
        self.0.record(time.as_secs_f64());
    }
}

/// How a join ended; the words of the API's errors.
pub const JOIN_RESULTS: [&str; 8] = [
    "granted",
    "token_missing",
    "token_invalid",
    "token_expired",
    "not_allowed",
    "no_such_stream",
    "not_live",
    "no_capacity",
];

impl Metrics {
    /// Handles to the recorder that is installed by now.
    pub fn new() -> Self {
        describe_counter!("trellis_joins_total", "Requests to join a stream, by result");
        describe_gauge!("trellis_edges", "Edges that report to this manager");
        describe_gauge!("trellis_origins", "Origins that report to this manager");
        describe_counter!("trellis_sessions_recorded_total", "Joins written to the accounts");
        describe_counter!(
            "trellis_account_writes_dropped_total",
            "Joins whose row was dropped because the database hangs"
        );
        describe_counter!("trellis_account_write_errors_total", "Batches of accounts the database refused");
        describe_histogram!("trellis_account_write_seconds", "Time to write one batch of accounts");
        Self {
            joins: JOIN_RESULTS.map(|result| counter!("trellis_joins_total", "result" => result)),
            sessions_recorded: counter!("trellis_sessions_recorded_total"),
            writes_dropped: counter!("trellis_account_writes_dropped_total"),
            write_errors: counter!("trellis_account_write_errors_total"),
            write_seconds: Seconds(histogram!("trellis_account_write_seconds")),
        }
    }

    /// So many edges and origins are alive. Looked up each time: a gauge that was not set for a while is forgotten, and a
    /// handle to it would lead nowhere.
    pub fn alive(&self, edges: usize, origins: usize) {
        gauge!("trellis_edges").set(edges as f64);
        gauge!("trellis_origins").set(origins as f64);
    }

    /// Counts a join by its result, one of [`JOIN_RESULTS`].
    pub fn joined(&self, result: &str) {
        if let Some(at) = JOIN_RESULTS.iter().position(|word| *word == result) {
            self.joins[at].increment(1);
        }
    }
}

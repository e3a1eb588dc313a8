//! Who may watch, where is room, and who used what? The manager authenticates, authorizes, redirects and keeps
//! accounts; it never touches media.

mod clock;
mod config;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use trellis_proto::PublicKey;

pub use clock::{Clock, Now, SystemClock};
pub use config::ManagerConfig;

/// The manager role. Cheap to share; one per process.
pub struct Manager {
    clock: Arc<dyn Clock>,
    created: Vec<Created>,
}

/// A file the first run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What it is, for people: "admin key".
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Why the manager cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory or a file in it.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Manager {
    /// Opens the data directory, making it and its keys and database when they are missing, and starts the
    /// background tasks (needs a tokio runtime). Metrics go to the recorder that is installed by then.
    pub async fn open(config: &ManagerConfig, data_dir: &Path) -> Result<Arc<Self>, Error> {
        Self::open_with(config, data_dir, Arc::new(SystemClock::default())).await
    }

    /// As [`Self::open`], with another clock.
    pub async fn open_with(_config: &ManagerConfig, _data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self { clock, created: Vec::new() }))
    }

    /// What this run had to make.
    pub fn created(&self) -> &[Created] {
        &self.created
    }

    /// The present moment by the manager's clock.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Bearer of origins and edges.
    pub fn server_key(&self) -> &str {
        ""
    }

    /// Bearer of the admin API.
    pub fn admin_key(&self) -> &str {
        ""
    }

    /// The stream key that may publish any stream.
    pub fn publish_key(&self) -> &str {
        ""
    }

    /// The key edges check tickets with.
    pub fn ticket_key(&self) -> PublicKey {
        [0; 32]
    }

    /// Answers `POST /v1/streams/{stream}/join`. Waits for nothing: no lock held across work, no database.
    pub fn join(&self, _stream: &str, _authorization: Option<&str>, _now: Now) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }

    /// All HTTP routes of the manager.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
    }

    /// Stops the background tasks and writes out what is still queued.
    pub async fn close(&self) {}
}

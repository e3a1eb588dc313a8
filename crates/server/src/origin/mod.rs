//! The origin role: takes a publisher's media, packages, signs, keeps the window.
//!
//! Invariant: at most one publisher per stream; every run has a fresh id; nothing leaves that is not signed.

mod beat;
mod ingest;
mod run;
mod signer;
mod vault;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;
use trellis_media::timeline::{State, Timeline};
use trellis_proto::{EndReason, RunEnd, StreamId};

use crate::client::ManagerClient;
use crate::config::OriginConfig;
use crate::http::{Reply, Stop, error};
use crate::instance::Lease;
use crate::shelf::{Ask, Shelf, serve};

use signer::Signer;
use vault::Vault;

/// The origin of one process.
pub struct Origin {
    config: OriginConfig,
    lease: Lease,
    media_url: String,
    /// The manager has taken a report of it.
    registered: AtomicBool,
    signer: Signer,
    vault: Vault,
    manager: ManagerClient,
    channels: Mutex<HashMap<StreamId, Arc<Channel>>>,
    /// Something changed that the manager should hear of now.
    news: Notify,
    stop: Stop,
}

/// One stream at its origin.
struct Channel {
    shelf: Arc<Shelf>,
    publisher: tokio::sync::Mutex<()>,
    /// Counts runs, so that a grace time knows whether its run is still the last.
    runs: AtomicU64,
}

/// Why an origin cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct OriginError {
    what: String,
    source: std::io::Error,
}

/// How long a live stream that has ended can still be watched.
const KEPT_AFTER_END: Duration = Duration::from_secs(3600);

impl OriginError {
    fn new(what: impl Into<String>, source: std::io::Error) -> Self {
        Self { what: what.into(), source }
    }
}

impl Origin {
    /// Opens its signing key and its recordings, and begins to report to the manager.
    pub async fn start(
        config: &OriginConfig,
        lease: Lease,
        media_url: String,
        data_dir: &Path,
        manager: ManagerClient,
        stop: Stop,
    ) -> Result<Arc<Self>, OriginError> {
        let signer = Signer::open(&data_dir.join("origin.key"))?;
        let vault = Vault::open(&data_dir.join("vod"))?;
        let origin = Arc::new(Self {
            config: config.clone(),
            lease,
            media_url,
            registered: AtomicBool::new(false),
            signer,
            vault,
            manager,
            channels: Mutex::default(),
            news: Notify::new(),
            stop,
        });
        origin.load_vods()?;
        tokio::spawn(beat::report(origin.clone()));
        Ok(origin)
    }

    /// Can it take publishers? Only once the manager knows it.
    pub fn is_ready(&self) -> bool {
        self.registered.load(Ordering::Relaxed)
    }

    /// What this origin signs with, for people.
    pub fn public_key_hex(&self) -> String {
        hex::encode(self.signer.public_key())
    }

    /// Routes for publishers.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        ingest::router(self.clone())
    }

    /// Answers `/origin/s/{stream}/…` for a server that shows the server key.
    pub async fn serve(&self, stream: &str, ask: Ask<'_>, headers: &HeaderMap) -> Reply {
        if !self.manager.key().admits(headers) {
            return error(
                StatusCode::UNAUTHORIZED,
                "server_key",
                "this path is for edges: send the server key as bearer",
                None,
            );
        }
        let channel = stream.parse().ok().and_then(|id: StreamId| self.lock().get(&id).cloned());
        match channel {
            Some(channel) => serve(&channel.shelf, ask, &self.stop).await.reply,
            None => error(StatusCode::NOT_FOUND, "no_such_stream", "this origin has no such stream", None),
        }
    }

    /// All streams at hand.
    pub fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.lock().values().map(|channel| channel.shelf.clone()).collect()
    }

    fn load_vods(&self) -> Result<(), OriginError> {
        for (stream, tables) in self.vault.load()? {
            let channel = self.channel(&stream);
            for signed in tables {
                match self.signer.authority().table(&signed) {
                    Ok(table) => {
                        if let Err(error) = channel.shelf.apply(table, signed) {
                            tracing::error!(%stream, %error, "a recording's table does not fit; it is left out");
                        }
                    }
                    Err(error) => {
                        tracing::error!(%stream, %error, "a recording was not signed by this origin's key; it is left out")
                    }
                }
            }
        }
        Ok(())
    }

    fn channel(&self, stream: &StreamId) -> Arc<Channel> {
        self.lock().entry(stream.clone()).or_insert_with(|| self.new_channel(stream)).clone()
    }

    fn new_channel(&self, stream: &StreamId) -> Arc<Channel> {
        let timeline = Timeline::new(stream.clone());
        let shelf = Shelf::new(timeline, stream.clone(), Box::new(self.vault.reader()));
        shelf.set_complete();
        Arc::new(Channel { shelf, publisher: tokio::sync::Mutex::default(), runs: Default::default() })
    }

    /// Ends a run; for good when nobody returns within the grace time. What has ended is kept for latecomers, then
    /// forgotten.
    fn end_run(self: &Arc<Self>, channel: &Arc<Channel>, end: RunEnd) {
        self.say(channel, end);
        let (origin, channel) = (self.clone(), channel.clone());
        let runs = channel.runs.load(Ordering::SeqCst);
        let vod = channel.shelf.look(Timeline::state) == State::Vod;
        tokio::spawn(async move {
            let untouched = || channel.runs.load(Ordering::SeqCst) == runs;
            if end.reason == EndReason::Paused {
                if !origin.pause(Duration::from_secs(origin.config.grace_s.into())).await || !untouched() {
                    return;
                }
                origin.say(&channel, RunEnd { reason: EndReason::Ended, ..end });
            }
            if !vod && origin.pause(KEPT_AFTER_END).await && untouched() {
                origin.lock().remove(channel.shelf.stream());
            }
        });
    }

    /// Sleeps; false when the server stops meanwhile.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.stop.wait() => false,
        }
    }

    fn say(&self, channel: &Channel, end: RunEnd) {
        let signed = self.signer.seal(end.encode());
        if let Err(error) = channel.shelf.apply(trellis_proto::Table::RunEnd(end), signed) {
            tracing::debug!(stream = %channel.shelf.stream(), %error, "the run's end had been said before");
        }
        self.news.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<StreamId, Arc<Channel>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The origin role: takes a publisher's media, packages, signs, keeps the window.
//!
//! Invariant: at most one publisher per stream; every run has a fresh id; nothing leaves that is not signed.

mod beat;
mod channels;
mod ingest;
mod numbers;
mod run;
mod run_ids;
mod signer;
#[cfg(test)]
mod tests;
mod vault;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;
use trellis_media::timeline::Timeline;
use trellis_proto::{EndReason, RunEnd, RunId, StreamId, Table};

use crate::client::ManagerClient;
use crate::clock::unix_ms;
use crate::config::OriginConfig;
use crate::http::{Reply, Stop, error};
use crate::instance::Lease;
use crate::shelf::{Ask, Shelf, serve};

use channels::{Channel, Channels, Place, Refused};
use run_ids::RunIds;
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
    /// Folder of [`numbers`].
    numbers: PathBuf,
    manager: ManagerClient,
    channels: Arc<Channels>,
    run_ids: RunIds,
    /// Something changed that the manager should hear of now.
    news: Notify,
    stop: Stop,
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
/// A recording's tables are kept this long after the last request and the last follower.
const LINGER: Duration = Duration::from_secs(60);
/// It is looked this often whose time is over.
const LOOK: Duration = Duration::from_secs(10);

impl OriginError {
    fn new(what: impl Into<String>, source: std::io::Error) -> Self {
        Self { what: what.into(), source }
    }
}

impl Origin {
    /// Opens its signing key, begins to look through its recordings and to report to the manager.
    pub async fn start(
        config: &OriginConfig,
        lease: Lease,
        media_url: String,
        data_dir: &Path,
        manager: ManagerClient,
        stop: Stop,
    ) -> Result<Arc<Self>, OriginError> {
        let origin = Arc::new(Self {
            config: config.clone(),
            lease,
            media_url,
            registered: AtomicBool::new(false),
            signer: Signer::open(&data_dir.join("origin.key"))?,
            vault: Vault::open(&data_dir.join("vod")),
            numbers: data_dir.join("live"),
            manager,
            channels: Arc::default(),
            run_ids: RunIds::new(),
            news: Notify::new(),
            stop,
        });
        let (finding, recorded) = (origin.clone(), origin.vault.streams()?);
        tokio::task::spawn_blocking(move || {
            recorded.iter().for_each(|stream| finding.find(stream));
            finding.news.notify_one();
        });
        tokio::spawn(beat::report(origin.clone()));
        tokio::spawn(origin.clone().keep_slim());
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
    pub async fn serve(self: &Arc<Self>, stream: &str, ask: Ask<'_>, headers: &HeaderMap) -> Reply {
        if !self.manager.key().admits(headers) {
            return error(
                StatusCode::UNAUTHORIZED,
                "server_key",
                "this path is for edges: send the server key as bearer",
                None,
            );
        }
        let channel = match stream.parse() {
            Ok(id) => self.channel(&id).await,
            Err(_) => None,
        };
        let Some(channel) = channel else {
            return error(StatusCode::NOT_FOUND, "no_such_stream", "this origin has no such stream", None);
        };
        channel.touch(unix_ms());
        self.read(&channel);
        serve(channel.shelf(), ask, &self.stop).await.reply
    }

    /// A stream that is kept, or whose recording has not been come across yet.
    async fn channel(self: &Arc<Self>, stream: &StreamId) -> Option<Arc<Channel>> {
        if let Some(channel) = self.channels.get(stream) {
            return Some(channel);
        }
        let (origin, wanted) = (self.clone(), stream.clone());
        let _ = tokio::task::spawn_blocking(move || origin.find(&wanted)).await;
        self.channels.get(stream)
    }

    /// Gives a publisher the stream's place, and tells the manager before anything comes from it.
    async fn claim(self: &Arc<Self>, stream: &StreamId) -> Result<Place, Refused> {
        self.channel(stream).await;
        let place = self.channels.claim(stream, || {
            let shelf = self.shelf(stream);
            shelf.set_complete();
            shelf
        })?;
        self.news.notify_one();
        Ok(place)
    }

    /// Keeps a stream's recording, if it has one.
    fn find(&self, stream: &StreamId) {
        if self.recorded(stream).is_some_and(|shelf| !self.channels.keep(shelf)) {
            tracing::debug!(%stream, "a recording is not taken up: the stream is there, or there is no room");
        }
    }

    /// A stream's recording at first sight: its catalogue says what the manager needs to know, the rest is read when
    /// somebody asks. There may be thousands, and a film has tens of thousands of tables to check.
    fn recorded(&self, stream: &StreamId) -> Option<Arc<Shelf>> {
        let found = match self.vault.find(stream, self.run_ids.first()) {
            Ok(found) => found?,
            Err(error) => {
                tracing::error!(%stream, %error, "a recording cannot be read; it is left out");
                return None;
            }
        };
        self.run_ids.pass(found.run);
        let shelf = self.shelf(stream);
        let catalogue = self.signer.authority().table(&found.catalogue).ok();
        let known = catalogue.and_then(|table| shelf.apply(table, found.catalogue).ok());
        if known.is_none() {
            tracing::error!(%stream, "a recording was not signed by this origin's key; it is left out");
        }
        known.map(|()| shelf)
    }

    /// Has the tables of a recording read, unless they were or are being. Who follows gets them as they are checked.
    fn read(self: &Arc<Self>, channel: &Arc<Channel>) {
        let shelf = channel.shelf();
        let run = shelf.look(|timeline| timeline.newest().map(|catalogue| catalogue.run));
        if let Some(run) = run.filter(|_| !shelf.is_complete() && channel.begin_reading()) {
            let (origin, channel) = (self.clone(), channel.clone());
            tokio::task::spawn_blocking(move || origin.read_tables(&channel, run));
        }
    }

    fn read_tables(&self, channel: &Channel, run: RunId) {
        let shelf = channel.shelf();
        let tables = match self.vault.tables(shelf.stream(), run) {
            // Not of the recording's making: whoever asks next has it read again.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(stream = %shelf.stream(), %run, %error, "a recording cannot be read now");
                return channel.put_reading_off();
            }
            tables => tables,
        };
        let apply = || -> Result<(), Box<dyn std::error::Error>> {
            for signed in tables? {
                shelf.apply(self.signer.authority().table(&signed)?, signed)?;
            }
            Ok(())
        };
        match apply() {
            Ok(()) => shelf.set_complete(),
            Err(error) => {
                tracing::error!(stream = %shelf.stream(), %run, %error, "a recording is damaged; it is left out");
                self.channels.forget(channel);
            }
        }
        self.news.notify_one();
    }

    async fn keep_slim(self: Arc<Self>) {
        while self.pause(LOOK).await {
            let origin = self.clone();
            let _ = tokio::task::spawn_blocking(move || origin.let_go(LINGER)).await;
        }
    }

    /// Forgets the tables of recordings that nobody has asked for in this time, but for the catalogue: they can be read
    /// again.
    fn let_go(&self, linger: Duration) {
        let now = unix_ms();
        for channel in self.channels.all().iter().filter(|channel| channel.is_idle(now, linger)) {
            if let Some(shelf) = self.recorded(channel.shelf().stream()) {
                self.channels.renew(channel, shelf);
            }
        }
    }

    fn shelf(&self, stream: &StreamId) -> Arc<Shelf> {
        Shelf::new(Timeline::new(stream.clone()), stream.clone(), Box::new(self.vault.reader()))
    }

    /// Ends a live run; for good when nobody returns within the grace time. What has ended is kept for latecomers, then
    /// forgotten.
    fn end_run(self: &Arc<Self>, channel: &Arc<Channel>, end: RunEnd) {
        self.say(channel, end);
        let (origin, channel) = (self.clone(), channel.clone());
        let runs = channel.runs();
        tokio::spawn(async move {
            let untouched = || channel.runs() == runs;
            if end.reason == EndReason::Paused {
                if !origin.pause(Duration::from_secs(origin.config.grace_s.into())).await || !untouched() {
                    return;
                }
                origin.say(&channel, RunEnd { reason: EndReason::Ended, ..end });
            }
            while origin.pause(KEPT_AFTER_END).await && untouched() {
                if origin.channels.forget(&channel) {
                    // Under the live run there may have been a recording.
                    origin.channel(channel.shelf().stream()).await;
                    return;
                }
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
        if let Err(error) = channel.shelf().apply(Table::RunEnd(end), signed) {
            tracing::debug!(stream = %channel.shelf().stream(), %error, "the run's end had been said before");
        }
        self.news.notify_one();
    }
}

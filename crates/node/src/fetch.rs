//! What the mesh does not bring: init segments, older parts, other renditions, and what was missing when it was due. Asked
//! of the edge over HTTP when a player asks for it, and checked chunk by chunk like everything else. Of a recording the mesh
//! is asked first, and hears what it did not bring.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use reqwest::Client;
use tokio::sync::{Semaphore, mpsc, oneshot};
use trellis_proto::Mode;
use trellis_server::shelf::{Arrival, Item, Key, Object, Shelf, Source};
use url::Url;

use crate::reader::Asked;

/// The edge as plain HLS has it.
pub struct Edge {
    http: Client,
    /// What names are relative to: it changes with the ticket.
    media: RwLock<Option<Url>>,
    bytes: AtomicU64,
    wasted: AtomicU64,
    turns: Semaphore,
    /// Who decides which rendition the mesh brings hears what else is asked for.
    asked: mpsc::Sender<Asked>,
}

/// The [`Source`] of the local shelf.
pub struct FromEdge(pub Arc<Edge>);

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("there is no edge now")]
    NoEdge,
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the edge answered {0}")]
    Status(StatusCode),
    #[error("the edge stopped short")]
    Short,
    #[error("bytes do not match what the origin signed")]
    Forged,
}

impl Edge {
    /// No edge yet. What is fetched is told to `asked`, as far as it listens.
    pub fn new(http: Client, asked: mpsc::Sender<Asked>) -> Arc<Self> {
        Arc::new(Self {
            http,
            media: RwLock::default(),
            bytes: AtomicU64::new(0),
            wasted: AtomicU64::new(0),
            turns: Semaphore::new(AT_ONCE),
            asked,
        })
    }

    /// From now on here.
    pub fn set(&self, media: Url) {
        *self.media.write().unwrap_or_else(PoisonError::into_inner) = Some(media);
    }

    /// Bytes that came and were verified.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that came and were not.
    pub fn wasted_bytes(&self) -> u64 {
        self.wasted.load(Ordering::Relaxed)
    }

    async fn fill(&self, path: &str, arrival: &mut Arrival, object: &Object) {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(RETRY * attempt).await;
            }
            let Ok(_turn) = self.turns.acquire().await else { break };
            match self.attempt(path, arrival, object).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%path, attempt, %error, "fetching from the edge failed"),
            }
        }
        object.fail();
    }

    async fn attempt(&self, path: &str, arrival: &mut Arrival, object: &Object) -> Result<(), FetchError> {
        let media = self.media.read().unwrap_or_else(PoisonError::into_inner).clone();
        let url = media.and_then(|media| media.join(path).ok()).ok_or(FetchError::NoEdge)?;
        let (mut request, mut expected) = (self.http.get(url).timeout(PATIENCE), StatusCode::OK);
        if arrival.bytes() > 0 {
            request = request.header(http::header::RANGE, format!("bytes={}-", arrival.bytes()));
            expected = StatusCode::PARTIAL_CONTENT;
        }
        let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
        if response.status() != expected {
            return Err(FetchError::Status(response.status()));
        }
        let (before, mut came) = (arrival.bytes(), 0);
        let result = Self::read(&mut response, arrival, object, &mut came).await;
        let good = arrival.bytes() - before;
        self.bytes.fetch_add(good as u64, Ordering::Relaxed);
        self.wasted.fetch_add(came.saturating_sub(good) as u64, Ordering::Relaxed);
        result
    }

    /// Reads what comes of a response; how much that was.
    async fn read(
        response: &mut reqwest::Response,
        arrival: &mut Arrival,
        object: &Object,
        came: &mut usize,
    ) -> Result<(), FetchError> {
        let mut pending = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            *came += piece.len();
            pending.extend_from_slice(&piece);
            if !arrival.take(&mut pending, object) {
                return Err(FetchError::Forged);
            }
        }
        if arrival.bytes() == object.size() { Ok(()) } else { Err(FetchError::Short) }
    }
}

impl Source for FromEdge {
    fn get(&self, shelf: &Arc<Shelf>, key: Key, size: usize) -> Option<Arc<Object>> {
        let mut arrival = Arrival::of(shelf, key)?;
        let path = shelf.path(key)?;
        if size == 0 {
            return Some(Object::ready(Bytes::new()));
        }
        let object = Arc::new(Object::filling(size));
        let (edge, filled) = (self.0.clone(), object.clone());
        if !is_recorded(shelf, key) {
            let _ = self.0.asked.try_send(Asked::Missing(key));
            tokio::spawn(async move { edge.fill(&path, &mut arrival, &filled).await });
            return Some(object);
        }
        let (answer, answered) = oneshot::channel();
        let _ = self.0.asked.try_send(Asked::Wanted(key, answer));
        tokio::spawn(async move {
            if let Ok(bytes) = answered.await {
                return filled.finish(bytes);
            }
            edge.fill(&path, &mut arrival, &filled).await;
            if let Some(whole) = filled.whole() {
                let _ = edge.asked.try_send(Asked::Came(key, whole.clone()));
            }
        });
        Some(object)
    }
}

/// Is it a part of a recording?
fn is_recorded(shelf: &Shelf, key: Key) -> bool {
    let recorded = || shelf.look(|timeline| timeline.catalogue(key.run).map(|it| it.mode)) == Some(Mode::Vod);
    matches!(key.item, Item::Part(_)) && recorded()
}

/// What browsers do at one host.
const AT_ONCE: usize = 6;
const ATTEMPTS: u32 = 4;
const RETRY: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(10);

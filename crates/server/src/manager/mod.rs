//! Who may watch, where is room, and who used what? The manager authenticates, authorizes, redirects and keeps
//! accounts; it never touches media.
//!
//! A join reads memory only: [`directory`] holds what the operator set up, [`registry`] what beats told. What must
//! outlive the process goes to [`store`] behind the join's back, through [`accounts`].

pub mod accounts;
mod admit;
pub mod api;
pub mod auth;
mod clock;
mod config;
pub mod directory;
#[cfg(test)]
pub mod fuzz;
mod keys;
mod metrics;
mod names;
pub mod openapi;
pub mod registry;
mod rejoin;
mod returns;
pub mod store;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use trellis_core::locality::Locality;
use trellis_proto::PublicKey;

use accounts::Accounts;
use api::Address;
use directory::{Directory, KeyHash, Stream};
use keys::Keys;
use metrics::Metrics;
use registry::{Gone, Registry};
use store::{ApiKeyRow, Store};

use crate::locality::{BadPrefixes, Prefixes};

pub use admit::{Admission, JoinReply, Refused};
pub use auth::{ViewerClaims, mint};
pub use clock::{Clock, Now, SystemClock};
pub use config::ManagerConfig;
pub use keys::{ApiKeyFile, Created};
pub use rejoin::JoinAsk;

/// The manager role. Cheap to share; one per data directory.
pub struct Manager {
    config: ManagerConfig,
    clock: Arc<dyn Clock>,
    keys: Keys,
    publish_key: KeyHash,
    created: Vec<Created>,
    directory: RwLock<Directory>,
    /// Held while the database and then the directory are changed, so that both see changes in one order.
    changes: tokio::sync::Mutex<()>,
    registry: Mutex<Registry>,
    store: Store,
    accounts: Accounts,
    metrics: Arc<Metrics>,
    housekeeping: Mutex<Option<AbortHandle>>,
    prefixes: Prefixes,
}

/// Why the manager cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory or a file in it.
    #[error("{}: {source}: is the data directory writable?", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key file with something else in it.
    #[error("{} {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A key in the configuration that could be guessed.
    #[error("`{0}` must have at least 16 characters: leave it out to have one made")]
    WeakKey(&'static str),
    /// The database.
    #[error("manager.db in the data directory: {0}")]
    Database(#[from] sqlx::Error),
    /// The operator's file of prefixes.
    #[error(transparent)]
    Prefixes(#[from] BadPrefixes),
}

impl Manager {
    /// Opens the data directory, making it and its keys and database when they are missing, and starts the
    /// background tasks (needs a tokio runtime). Metrics go to the recorder that is installed by then.
    pub async fn open(config: &ManagerConfig, data_dir: &Path) -> Result<Arc<Self>, Error> {
        Self::open_with(config, data_dir, Arc::new(SystemClock::default())).await
    }

    /// As [`Self::open`], with another clock.
    pub async fn open_with(config: &ManagerConfig, data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        let mut created = Vec::new();
        let keys = Keys::open(config, data_dir, &mut created)?;
        let store = Store::open(&data_dir.join("manager.db")).await?;
        first_api_key(&store, data_dir, clock.now(), &mut created).await?;
        let directory = read_directory(&store).await?;
        let metrics = Arc::new(Metrics::new());
        let manager = Arc::new(Self {
            config: config.clone(),
            publish_key: KeyHash::of(keys.publish.expose()),
            keys,
            created,
            directory: RwLock::new(directory),
            changes: tokio::sync::Mutex::default(),
            registry: Mutex::default(),
            accounts: Accounts::start(store.clone(), metrics.clone()),
            store,
            metrics,
            housekeeping: Mutex::default(),
            prefixes: config.prefixes.as_deref().map(Prefixes::load).transpose()?.unwrap_or_default(),
            clock,
        });
        let task = tokio::spawn(keep_house(Arc::downgrade(&manager))).abort_handle();
        *manager.housekeeping.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(manager)
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
        self.keys.server.expose()
    }

    /// Bearer of the admin API.
    pub fn admin_key(&self) -> &str {
        self.keys.admin.expose()
    }

    /// The stream key that may publish any stream.
    pub fn publish_key(&self) -> &str {
        self.keys.publish.expose()
    }

    /// The key edges check tickets with.
    pub fn ticket_key(&self) -> PublicKey {
        self.keys.ticket.public()
    }

    /// All HTTP routes of the manager.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        api::router(self)
    }

    /// Stops the background tasks and writes out what is still queued.
    pub async fn close(&self) {
        if let Some(task) = self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
        self.accounts.close().await;
        self.store.pool.close().await;
    }

    /// Notices who left or fell silent, and closes the open sessions of edges among them. Called twice a second.
    pub async fn expire(&self, now: Now) {
        let (gone, edges, origins) = {
            let mut registry = self.registry();
            (registry.expire(now.mono), registry.edges().count(), registry.origins().count())
        };
        self.metrics.alive(edges, origins);
        let Gone { left, silent } = gone;
        if !left.is_empty() {
            tracing::info!(edges = ?left, "edges left");
        }
        if !silent.is_empty() {
            tracing::warn!(edges = ?silent, "edges fell silent; their sessions count as ended");
        }
        let gone = [left, silent].concat();
        if !gone.is_empty() {
            self.accounts.on_edges_lost(gone, now.unix_ms).await;
        }
    }

    /// Where a viewer is, as far as its address tells.
    fn locality_of(&self, Address(from): Address) -> Locality {
        self.prefixes.locality(from)
    }

    /// Where an edge is: at the address in its public URL, else where its beats come from.
    fn locality_of_edge(&self, public_url: Option<&str>, from: Option<Address>) -> Locality {
        let host = |url: &str| Some(url.split("://").nth(1)?.split('/').next()?.to_owned());
        let literal = |host: String| {
            host.parse::<SocketAddr>().map(|at| at.ip()).or_else(|_| host.trim_matches(['[', ']']).parse::<IpAddr>())
        };
        let public = public_url.and_then(host).and_then(|host| literal(host).ok());
        let address = public.or(from.map(|from| from.0));
        address.map_or_else(Locality::default, |address| self.prefixes.locality(address))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream the operator or a publisher made.
    fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.directory().stream(&name.parse().ok()?).cloned()
    }

    /// Call with `changes` held.
    async fn put_stream(&self, stream: Stream) -> sqlx::Result<()> {
        self.store.put_stream(&stream).await?;
        self.directory_mut().put_stream(stream);
        Ok(())
    }

    /// Edges that had sessions when the manager last stopped and have not come back since.
    async fn close_orphans(&self, suspects: &HashSet<String>) {
        let alive: HashSet<String> = self.registry().edges().map(|(edge, _)| edge.name().to_owned()).collect();
        let lost: Vec<_> = suspects.difference(&alive).cloned().collect();
        if !lost.is_empty() {
            self.accounts.on_edges_lost(lost, self.now().unix_ms).await;
        }
    }

    async fn sweep(&self) {
        let now_ms = self.now().unix_ms;
        let keep_ms = u64::from(self.config.keep_accounts_days) * 86_400_000;
        self.accounts.sweep(now_ms, (keep_ms > 0).then(|| now_ms.saturating_sub(keep_ms))).await;
    }
}

/// The first run makes an API key; its file lets `trellis token` mint by hand. A key that was revoked stays so.
async fn first_api_key(store: &Store, dir: &Path, now: Now, created: &mut Vec<Created>) -> Result<(), Error> {
    let path = dir.join(ApiKeyFile::NAME);
    let file = if path.exists() {
        ApiKeyFile::read(&path)?
    } else if store.api_keys().await?.is_empty() {
        ApiKeyFile::generate().save(dir, created)?
    } else {
        // Taken away on purpose, perhaps: other keys do the work.
        return Ok(());
    };
    store.add_api_key(&ApiKeyRow::hs256(file.kid, &file.secret, now.unix_ms)).await?;
    Ok(())
}

async fn read_directory(store: &Store) -> sqlx::Result<Directory> {
    let mut directory = Directory::default();
    store.streams().await?.into_iter().for_each(|stream| directory.put_stream(stream));
    store.api_keys().await?.iter().filter_map(ApiKeyRow::living).for_each(|key| directory.put_key(key));
    Ok(directory)
}

/// Ends when the manager is dropped.
async fn keep_house(manager: Weak<Manager>) {
    let mut tick = tokio::time::interval(EXPIRE_INTERVAL);
    let mut suspects: HashSet<String> = match manager.upgrade() {
        Some(manager) => manager.store.edges_with_open_sessions().await.unwrap_or_default().into_iter().collect(),
        None => return,
    };
    for round in 0u64.. {
        tick.tick().await;
        let Some(manager) = manager.upgrade() else { return };
        manager.expire(manager.now()).await;
        if round == ORPHANS_ROUND {
            manager.close_orphans(&std::mem::take(&mut suspects)).await;
        }
        if round % SWEEP_ROUNDS == SWEEP_ROUNDS - 1 {
            manager.sweep().await;
        }
    }
}

const EXPIRE_INTERVAL: Duration = Duration::from_millis(500);
/// After 10 s every edge that lives has reported again.
const ORPHANS_ROUND: u64 = 20;
/// Every minute.
const SWEEP_ROUNDS: u64 = 120;

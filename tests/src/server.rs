//! How does a server run for a test? The release binary, on loopback ports nobody uses, in a directory of its own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Reply, get};
use crate::process::{Process, trellis};
use crate::{PATIENCE, eventually};

/// What to start.
#[derive(Clone)]
pub struct Setup {
    role: String,
    env: HashMap<String, String>,
    data: Option<PathBuf>,
    scheme: &'static str,
    host: Ipv4Addr,
}

/// A server under test.
pub struct Server {
    setup: Setup,
    process: Process,
    data: Arc<TempDir>,
    port: u16,
    metrics: u16,
}

impl Setup {
    /// A process that plays `role`.
    pub fn new(role: &str) -> Self {
        Self { role: role.into(), env: HashMap::new(), data: None, scheme: "http", host: Ipv4Addr::LOCALHOST }
    }

    /// Sets a configuration key by its environment variable. `{port}` in the value becomes the server's own port.
    pub fn env(mut self, key: &str, value: impl ToString) -> Self {
        self.env.insert(key.into(), value.to_string());
        self
    }

    /// Listens on this address instead of loopback.
    pub fn at(self, host: Ipv4Addr) -> Self {
        Self { host, ..self }
    }

    /// Serves HTTPS.
    pub fn tls(self, cert: &Path, key: &Path) -> Self {
        let setup = self.env("TRELLIS_TLS_CERT", cert.display()).env("TRELLIS_TLS_KEY", key.display());
        Self { scheme: "https", ..setup }
    }

    /// Starts it and waits until it can serve.
    pub async fn start(self) -> Server {
        self.start_until("/ready").await
    }

    /// Starts it and waits until it lives.
    pub async fn start_unready(self) -> Server {
        self.start_until("/health").await
    }

    async fn start_until(self, good: &'static str) -> Server {
        let data = Arc::new(TempDir::new().expect("a temporary directory can be made"));
        for _ in 0..PORT_TRIES {
            if let Some(server) = self.try_start(data.clone(), free_port(), free_port(), good).await {
                return server;
            }
        }
        panic!("no free ports found in {PORT_TRIES} tries");
    }

    /// None: somebody took the port meanwhile.
    async fn try_start(&self, data: Arc<TempDir>, port: u16, metrics: u16, good: &str) -> Option<Server> {
        let mut command = trellis();
        command.args(["serve", "--role", &self.role, "--listen", &format!("{}:{port}", self.host)]);
        command.arg("--data-dir").arg(self.data.as_deref().unwrap_or(&data_folder(&data)));
        command.env("TRELLIS_METRICS_LISTEN", format!("127.0.0.1:{metrics}"));
        command.envs(self.env.iter().map(|(key, value)| (key, value.replace("{port}", &port.to_string()))));
        let process = Process::start(&format!("{} on port {port}", self.role), &mut command);
        let mut server = Server { setup: self.clone(), process, data, port, metrics };
        if server.comes_up(good).await { Some(server) } else { None }
    }
}

impl Server {
    /// Its base URL.
    pub fn base(&self) -> String {
        format!("{}://{}:{}", self.setup.scheme, self.setup.host, self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        data_folder(&self.data)
    }

    /// The content of a key file in it.
    pub fn key(&self, file: &str) -> String {
        let path = self.data().join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        self.process.said()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// GET of a path.
    pub async fn get(&self, path: &str) -> Reply {
        get(&format!("{}{path}", self.base())).await
    }

    /// The sum of a metric over its labels; 0 when it has not been counted yet.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let of = |line: &str| -> Option<f64> {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit(' ').next()?.parse().ok()
        };
        text.lines().filter_map(of).sum()
    }

    /// All metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> String {
        get(&format!("http://127.0.0.1:{}/metrics", self.metrics)).await.text()
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again: same address, same data.
    pub async fn start_again(&mut self) {
        self.process.kill();
        let again = self.setup.try_start(self.data.clone(), self.port, self.metrics, "/ready").await;
        *self = again.expect("the ports are still ours");
    }

    /// False: it could not have its ports.
    async fn comes_up(&mut self, good: &str) -> bool {
        let what = format!("{} comes up", self.setup.role);
        let ready = format!("{}{good}", self.base());
        eventually(&what, PATIENCE, async || {
            if self.process.ended().is_some() {
                // What it said last may still be on its way here.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let said = self.process.said();
                assert!(said.contains("choose another"), "{} ended at once:\n{said}", self.setup.role);
                return Some(false);
            }
            crate::client::try_get(&ready).await.filter(|reply| reply.status == 200).map(|_| true)
        })
        .await
    }
}

/// Manager, origin and edges, each a process of its own.
pub struct Cluster {
    /// The manager.
    pub manager: Server,
    /// The origin.
    pub origin: Server,
    /// The edges.
    pub edges: Vec<Server>,
}

impl Cluster {
    /// Starts a manager, an origin and no edge yet.
    pub async fn start() -> Self {
        let manager = Setup::new("manager").start().await;
        let origin = Setup::new("origin")
            .env("TRELLIS_MANAGER_URL", manager.base())
            .env("TRELLIS_SERVER_KEY", manager.key("server.key"))
            .env("TRELLIS_ORIGIN_NAME", "origin")
            .env("TRELLIS_ORIGIN_MEDIA_URL", "http://127.0.0.1:{port}/origin")
            .start()
            .await;
        Self { manager, origin, edges: Vec::new() }
    }

    /// What every edge needs.
    pub fn edge(&self, name: &str) -> Setup {
        Setup::new("edge")
            .env("TRELLIS_MANAGER_URL", self.manager.base())
            .env("TRELLIS_SERVER_KEY", self.manager.key("server.key"))
            .env("TRELLIS_EDGE_NAME", name)
            .env("TRELLIS_EDGE_PUBLIC_URL", "http://127.0.0.1:{port}")
    }

    /// Adds an edge.
    pub async fn add(&mut self, edge: Setup) {
        self.edges.push(edge.start().await);
    }
}

/// The first run makes it: it is not there yet.
fn data_folder(parent: &TempDir) -> PathBuf {
    parent.path().join("data")
}

/// A port nobody listens on. Below those the system gives to clients, so that none of them is in the way; each test
/// process begins elsewhere.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = (std::process::id() % 97) as u16 * 120;
        let port = PORTS_FROM + (start + step) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

const PORT_TRIES: usize = 10;
const PORTS_FROM: u16 = 20_000;
const PORTS: u16 = 12_000;

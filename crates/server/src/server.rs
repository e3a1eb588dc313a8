//! How do the roles of one process come up, share a listener, and go down?

#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::client::ManagerClient;
use crate::cluster_api::LINK;
use crate::config::{Config, ConfigError, Role};
use crate::edge::{self, Edge};
use crate::http::cors::Cors;
use crate::http::listen::open_files_max;
use crate::http::{Body, Caller, Handle, Limits, Listener, Plain, Reply, Stop, error, tls};
use crate::instance::{Lease, Taken};
use crate::manager::api::Address;
use crate::manager::api::viewer::join;
use crate::manager::{self, Created, Manager};
use crate::origin::{Origin, OriginError};
use crate::secret::Secret;
use crate::shelf::Ask;
use crate::{telemetry, web};

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The manager.
    #[error("manager: {0}")]
    Manager(#[from] manager::Error),
    /// The origin.
    #[error("origin: {0}")]
    Origin(#[from] OriginError),
    /// The data directory.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// What the operator knows of addresses.
    #[error(transparent)]
    Prefixes(#[from] edge::BadPrefixes),
    /// Certificates.
    #[error("TLS: {0}")]
    Tls(#[from] tls::TlsError),
    /// An address.
    #[error("cannot listen on {0}: {1}; is another server running there? choose another with --listen")]
    Listen(SocketAddr, std::io::Error),
    /// The HTTP client.
    #[error("cannot set up the HTTP client: {0}")]
    Client(reqwest::Error),
    /// Metrics.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    inner_url: String,
    roles: Arc<Roles>,
    stop: watch::Sender<bool>,
    inner_stop: watch::Sender<bool>,
    public: JoinHandle<()>,
    inner: JoinHandle<()>,
}

struct Roles {
    manager: Option<Arc<Manager>>,
    origin: Option<Arc<Origin>>,
    edge: Option<Arc<Edge>>,
    client: ManagerClient,
    router: axum::Router,
    cors: Cors,
}

impl Server {
    /// Brings up the configured roles and returns once the listener accepts.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let certificate = config.tls.as_ref().map(tls::Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(|certificate| certificate.server_config()).transpose()?;
        let scheme_is_tls = tls.is_some();
        // The rest is for files, for the loopback listener and for what this server fetches itself.
        let limits = Limits { connections: open_files_max() / 4 * 3, ..Limits::default() };
        let listener = bind(config.listen, tls, limits).await?;
        let address = listener.address().map_err(|e| StartError::Listen(config.listen, e))?;
        // After the listener: where two servers collide, that one says most.
        if let Some(address) = config.metrics_listen {
            telemetry::serve(address).map_err(StartError::Metrics)?;
        }
        // Roles of one process reach each other here, whatever certificate and address the public listener has.
        let inner_listener = bind(([127, 0, 0, 1], 0).into(), None, Limits::default()).await?;
        let inner_address = inner_listener.address().map_err(|e| StartError::Listen(config.listen, e))?;
        let inner_url = format!("http://{inner_address}");
        let (stop, stopped) = Stop::new();
        let (inner_stop, inner_stopped) = Stop::new();
        let roles = Arc::new(Roles::start(config, address, &inner_url, &stopped).await?);
        let inner = tokio::spawn(inner_listener.serve(roles.clone(), inner_stopped));
        if let Some(certificate) = certificate {
            let stopped = stopped.clone();
            tokio::spawn(async move { tokio::select!(() = stopped.wait() => {}, () = certificate.keep_fresh() => {}) });
        }
        let public = tokio::spawn(listener.serve(roles.clone(), stopped));
        tracing::info!(%address, tls = scheme_is_tls, role = ?config.role, "listening");
        Ok(Self { address, inner_url, roles, stop, inner_stop, public, inner })
    }

    /// The public address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where this process reaches its own roles, plain HTTP on loopback.
    pub fn inner_url(&self) -> &str {
        &self.inner_url
    }

    /// The manager, when it is one of the roles.
    pub fn manager(&self) -> Option<&Arc<Manager>> {
        self.roles.manager.as_ref()
    }

    /// Files the first run made.
    pub fn created(&self) -> &[Created] {
        self.roles.manager.as_ref().map_or(&[], |manager| manager.created())
    }

    /// Can it serve all its roles?
    pub fn is_ready(&self) -> bool {
        self.roles.is_ready()
    }

    /// Would an edge find this stream? True from its first segment on.
    pub async fn finds(&self, stream: &str) -> bool {
        self.roles.client.source(stream).await.is_ok()
    }

    /// Stops accepting, lets answers in flight finish, settles the accounts.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.public.await;
        if let Some(edge) = &self.roles.edge {
            edge.close().await;
        }
        self.inner_stop.send_replace(true);
        let _ = self.inner.await;
        if let Some(manager) = &self.roles.manager {
            manager.close().await;
        }
    }
}

async fn bind(
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
) -> Result<Listener, StartError> {
    Listener::bind(address, tls, limits).await.map_err(|error| StartError::Listen(address, error))
}

impl Roles {
    /// `address` is the listener's.
    async fn start(config: &Config, address: SocketAddr, inner_url: &str, stop: &Stop) -> Result<Self, StartError> {
        let mut router = axum::Router::new();
        let manager = match config.role.includes(Role::Manager) {
            true => Some(open_manager(config).await?),
            false => None,
        };
        if let Some(manager) = &manager {
            router = router.merge(manager.router()).merge(web::router());
        }
        if let (None, Some(manager_url)) = (&manager, &config.manager_url) {
            router = router.merge(web::elsewhere(manager_url));
        }
        let http = client()?;
        let manager_url = config.manager_url.as_deref().unwrap_or(inner_url);
        let server_key =
            config.server_key.clone().or_else(|| Some(manager.as_ref()?.server_key().to_owned())).unwrap_or_default();
        let client = ManagerClient::new(http.clone(), manager_url, Secret::new(server_key));
        let origin = match config.role.includes(Role::Origin) {
            true => {
                let media_url = config.origin.media_url.clone().unwrap_or_else(|| format!("{inner_url}/origin"));
                let lease = Lease::open(&config.data_dir, "origin", config.origin.name())?;
                let origin =
                    Origin::start(&config.origin, lease, media_url, &config.data_dir, client.clone(), stop.clone());
                Some(origin.await?)
            }
            false => None,
        };
        if let Some(origin) = &origin {
            router = router.merge(origin.router());
        }
        let edge = match config.role.includes(Role::Edge) {
            true => {
                let lease = Lease::open(&config.data_dir, "edge", config.edge.name())?;
                let beside = edge::Beside::open(&config.edge, address).await?;
                Some(Edge::start(&config.edge, lease, client.clone(), http, beside, stop.clone()))
            }
            false => None,
        };
        Ok(Self { manager, origin, edge, client, router, cors: Cors::new(&config.cors_origins) })
    }

    fn is_ready(&self) -> bool {
        self.edge.as_ref().is_none_or(|edge| edge.is_ready())
            && self.origin.as_ref().is_none_or(|origin| origin.is_ready())
    }

    /// The busy paths by hand, the rest through the router. What is rare is boxed: this future is moved for every
    /// request, and would otherwise be as large as its largest branch.
    async fn route(&self, request: Request<Incoming>, caller: Caller) -> Reply {
        let path = request.uri().path();
        let ask =
            |name| Ask { method: request.method(), name, query: request.uri().query(), headers: request.headers() };
        if let (Some(edge), Some(rest)) = (&self.edge, path.strip_prefix("/v/")) {
            return match viewer_path(rest) {
                Some((ticket, stream, LINK)) => {
                    let (ticket, stream) = (ticket.to_owned(), stream.to_owned());
                    Box::pin(edge.open_link(&ticket, &stream, request, caller)).await
                }
                Some((ticket, stream, name)) => edge.serve_viewer(ticket, stream, ask(name)).await,
                None => nothing_here(),
            };
        }
        if let (Some(origin), Some((stream, name))) =
            (&self.origin, path.strip_prefix("/origin/s/").and_then(|r| r.split_once('/')))
        {
            return Box::pin(origin.serve(stream, ask(name), request.headers())).await;
        }
        if let (Some(edge), Some((stream, name))) =
            (&self.edge, path.strip_prefix("/s/").and_then(|r| r.split_once('/')))
        {
            return Box::pin(edge.serve_edge(stream, ask(name), request.headers())).await;
        }
        if let (Some(manager), Some(stream)) = (&self.manager, join_path(path))
            && request.method() == Method::POST
        {
            return Box::pin(join_with_body(manager, stream.to_owned(), request, Address(caller.address()))).await;
        }
        match path {
            "/health" => text(StatusCode::OK, "ok\n"),
            "/ready" if self.is_ready() => text(StatusCode::OK, "ready\n"),
            "/ready" => {
                text(StatusCode::SERVICE_UNAVAILABLE, "not registered with the manager yet: the log says why\n")
            }
            _ if self.origin.is_none() && path.starts_with("/v1/ingest/") => no_origin(),
            _ => Box::pin(self.other(request, Address(caller.address()))).await,
        }
    }

    async fn other(&self, mut request: Request<Incoming>, from: Address) -> Reply {
        request.extensions_mut().insert(from);
        let known = request.uri().path().to_owned();
        let Ok(response) = self.router.clone().oneshot(request.map(axum::body::Body::new)).await;
        // The router's own 404 has no body: say something a person can use.
        if response.status() == StatusCode::NOT_FOUND && http_body::Body::is_end_stream(response.body()) {
            tracing::debug!(path = %known.split("/v/").next().unwrap_or_default(), "nothing here");
            return nothing_here();
        }
        response.map(Body::from)
    }
}

impl Handle for Roles {
    type Guard = edge::Visit;

    /// Media of the edge, which is nearly all that is asked for.
    fn at_once(&self, request: &Plain<'_>, now_ms: u64, head: &mut Vec<u8>) -> Option<(Bytes, edge::Visit)> {
        let (ticket, stream, name) = viewer_path(request.target.strip_prefix("/v/")?)?;
        let answer = self.edge.as_ref()?.at_once(ticket, stream, name, now_ms, head)?;
        head.extend_from_slice(self.cors.fields(request.origin));
        Some(answer)
    }

    fn handle(&self, request: Request<Incoming>, caller: Caller) -> impl Future<Output = Reply> + Send {
        let origin = request.headers().get(ORIGIN).cloned();
        async move {
            let mut reply = match self.cors.preflight(request.method()) {
                Some(reply) => reply,
                None => self.route(request, caller).await,
            };
            self.cors.allow(origin, reply.headers_mut());
            reply
        }
    }
}

async fn open_manager(config: &Config) -> Result<Arc<Manager>, StartError> {
    let mut settings = config.manager.clone();
    settings.server_key = config.server_key.clone();
    Ok(Manager::open(&settings, &config.data_dir).await?)
}

fn client() -> Result<reqwest::Client, StartError> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(3))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("trellis/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(StartError::Client)
}

/// `{ticket}/s/{stream}/{name}`.
fn viewer_path(path: &str) -> Option<(&str, &str, &str)> {
    let (ticket, rest) = path.split_once('/')?;
    let (stream, name) = rest.strip_prefix("s/")?.split_once('/')?;
    Some((ticket, stream, name))
}

/// What a joining viewer has to say is short, and mostly nothing.
async fn join_with_body(manager: &Manager, stream: String, request: Request<Incoming>, from: Address) -> Reply {
    let (head, body) = request.into_parts();
    match http_body::Body::is_end_stream(&body) {
        true => join(manager, &stream, &head.headers, &[], from),
        false => match axum::body::to_bytes(axum::body::Body::new(body), manager::JoinAsk::BYTES_MAX).await {
            Ok(body) => join(manager, &stream, &head.headers, &body, from),
            Err(_) => error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "send a smaller body", None),
        },
    }
}

fn join_path(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/streams/")?.strip_suffix("/join")
}

fn nothing_here() -> Reply {
    error(
        StatusCode::NOT_FOUND,
        "not_found",
        "nothing is served at this address; the API is described at /v1/openapi.json",
        None,
    )
}

fn no_origin() -> Reply {
    error(
        StatusCode::NOT_FOUND,
        "no_origin",
        "this server is no origin, and media goes to one: give its address with --to, e.g. --to http://origin:8080, the \
         one its `trellis serve --role origin` listens on",
        None,
    )
}

fn text(status: StatusCode, text: &'static str) -> Reply {
    let mut reply = http::Response::new(Body::full(Bytes::from_static(text.as_bytes())));
    *reply.status_mut() = status;
    reply
}

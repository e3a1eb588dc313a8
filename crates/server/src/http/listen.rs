//! Who accepts connections, and how does it stop? Graceful: no new connections, answers in flight may finish.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Incoming;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::connection::Protocols;
use super::roster::{Limits, Place, Pulse, Roster};
use super::{Plain, Reply};

/// Turns requests into answers.
pub trait Handle: Send + Sync + 'static {
    /// What an answer that was at hand keeps until it has left.
    type Guard: Send + Unpin + 'static;

    /// One request.
    fn handle(&self, request: http::Request<Incoming>, caller: Caller) -> impl Future<Output = Reply> + Send;

    /// The body of a plain request's 200, when it is at hand and may leave now, with its header fields written to
    /// `head`: all that [`Handle::handle`] would give but length and date. Otherwise none, and `handle` is asked.
    /// `now_ms` is the wall clock.
    fn at_once(&self, request: &Plain<'_>, now_ms: u64, head: &mut Vec<u8>) -> Option<(Bytes, Self::Guard)>;
}

/// Who asks. Its connection counts among those that are open as long as this is kept.
#[derive(Clone)]
pub struct Caller {
    address: IpAddr,
    place: Arc<Place>,
}

impl Caller {
    /// Where from, as this listener sees it.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        self.place.pulse()
    }
}

/// A bound socket, perhaps with TLS.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

/// Tells every task of a server to end.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// The switch and its copyable end.
    pub fn new() -> (watch::Sender<bool>, Stop) {
        let (sender, receiver) = watch::channel(false);
        (sender, Stop(receiver))
    }

    /// Resolves when the switch is thrown.
    pub async fn wait(&self) {
        // An error means the switch is gone, which is the same.
        let _ = self.0.clone().wait_for(|stopped| *stopped).await;
    }

    /// Has it been thrown?
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

impl Listener {
    /// Binds.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls: tls.map(TlsAcceptor::from), limits })
    }

    /// The address it got.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop`, then lets answers in flight finish for at most [`DRAIN`].
    pub async fn serve(self, handler: Arc<impl Handle>, stop: Stop) {
        let roster = Roster::new(self.limits);
        tokio::select! {
            () = self.accept_all(handler, &roster) => {}
            () = roster.watch() => {}
            () = stop.wait() => {}
        }
        drop(self.socket);
        let _ = tokio::time::timeout(DRAIN, roster.finish()).await;
    }

    async fn accept_all(&self, handler: Arc<impl Handle>, roster: &Arc<Roster>) {
        let protocols = Arc::new(Protocols::new());
        let mut complaint = Complaint::default();
        loop {
            let (stream, from) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                // Out of file descriptors, or a connection that died in the queue: breathe, go on.
                Err(error) => {
                    complaint.say(|| tracing::warn!(%error, "cannot accept a connection"));
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let Some(place) = roster.enter() else {
                complaint.say(|| tracing::warn!(most = self.limits.connections, "too many connections: turned away"));
                turn_away(stream, self.tls.is_some());
                continue;
            };
            prepare(&stream);
            let caller = Caller { address: from.ip().to_canonical(), place: Arc::new(place) };
            let (protocols, handler, tls) = (protocols.clone(), handler.clone(), self.tls.clone());
            tokio::spawn(async move { protocols.serve(stream, tls, handler, caller).await });
        }
    }
}

/// A client that takes no byte of an answer for [`STUCK`] is gone, or as good as, whatever it acknowledges: the kernel
/// drops its connection, and what it holds goes with it.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(STUCK));
}

/// Says so where that costs nothing: a new socket has room for a line.
fn turn_away(stream: TcpStream, tls: bool) {
    metrics::counter!("trellis_http_connections_refused_total").increment(1);
    if !tls && let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(FULL);
        // Closing with the request unread would take the answer back from the client.
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

/// What goes wrong thousands of times a second is said once a minute.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    fn say(&mut self, warn: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY) {
            self.0 = Some(Instant::now());
            warn();
        }
    }
}

/// Raises this process's limit of open files as far as it may, and says how many that is.
pub fn open_files_max() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| most as usize)
}

/// How long answers in flight may take after a stop.
const DRAIN: Duration = Duration::from_secs(10);
const BREATH: Duration = Duration::from_millis(50);
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);
/// A player that pauses for longer asks anew.
#[cfg(target_os = "linux")]
const STUCK: Duration = Duration::from_secs(30);
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_dropped_by_the_kernel() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream);
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(STUCK));
    }
}

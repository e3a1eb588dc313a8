//! Who accepts connections, and how does it stop? Graceful: no new connections, answers in flight may finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Reply;

/// Turns requests into answers.
pub trait Handle: Send + Sync + 'static {
    /// One request from `peer`.
    fn handle(&self, request: http::Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Reply> + Send;
}

/// A bound socket, perhaps with TLS.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
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
    pub async fn bind(address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls: tls.map(TlsAcceptor::from) })
    }

    /// The address it got.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop`, then lets answers in flight finish for at most [`DRAIN`].
    pub async fn serve(self, handler: Arc<impl Handle>, stop: Stop) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.wait() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.spawn(stream, peer, handler.clone(), &graceful),
                // Out of file descriptors or a connection that died in the queue: breathe, go on.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.socket);
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, handler: Arc<impl Handle>, graceful: &GracefulShutdown) {
        prepare(&stream);
        let watcher = graceful.watcher();
        match self.tls.clone() {
            None => {
                tokio::spawn(connection(stream, peer, handler, watcher));
            }
            Some(tls) => {
                tokio::spawn(async move {
                    let accept = tls.accept_with(stream, |session| session.set_buffer_limit(Some(TLS_BUFFER_BYTES)));
                    match tokio::time::timeout(HANDSHAKE, accept).await {
                        Ok(Ok(stream)) => connection(stream, peer, handler, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake timed out"),
                    }
                });
            }
        }
    }
}

/// A client that takes no byte for [`STUCK`] is gone, or as good as: its connection goes, and what it holds with it.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STUCK));
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    handler: Arc<impl Handle>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .max_concurrent_streams(100)
        .max_frame_size(64 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// A player that pauses for longer asks anew.
const STUCK: Duration = Duration::from_secs(30);
/// How long answers in flight may take after a stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A client that has not finished its TLS handshake by then is gone or hostile.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The same for the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Plain bytes that are encrypted at once: a part of ordinary length, so that it leaves in one write. With rustls's own
/// 64 KiB a full write is a little longer than the 64 KiB the kernel sends in one piece, and under BBR, which paces
/// every piece, a segment then cost a third more CPU.
const TLS_BUFFER_BYTES: usize = 128 * 1024;
/// Largest request head.
const HEADER_BYTES_MAX: usize = 32 * 1024;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_dropped_by_the_kernel() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream);
        assert_eq!(socket2::SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(STUCK));
    }
}

//! How is one connection served? HTTP/1.1 or HTTP/2, plain or in TLS, until it ends or its [`Pulse`] is told to stop.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Handle;
use super::lane::Lane;
use super::roster::{Order, Place, Pulse};

/// How connections of a listener are spoken to.
pub struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

impl Protocols {
    /// With our limits. Hyper's timers are not used but for HTTP/2's pings: the roster's clock does what they do.
    pub fn new() -> Self {
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(HEADER_BYTES_MAX);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(HEADER_BYTES_MAX as u32)
            .max_concurrent_streams(100)
            .max_frame_size(64 * 1024)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        Self { http1, http2 }
    }

    /// Serves a connection to its end.
    pub async fn serve(&self, stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<impl Handle>, place: Place) {
        let pulse = place.pulse();
        match tls {
            None => match pulse.unless_sent_away(plain_version(&stream)).await {
                Some(Ok(version)) => self.speak(version, stream, handler, pulse).await,
                Some(Err(error)) => tracing::debug!(%error, "a connection ended before it began"),
                None => tracing::debug!("a connection was silent for too long"),
            },
            Some(tls) => {
                let accept = tls.accept_with(stream, |session| session.set_buffer_limit(Some(TLS_BUFFER_BYTES)));
                match pulse.unless_sent_away(accept).await {
                    Some(Ok(stream)) => {
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        let version = if http2 { Version::Http2 } else { Version::Http1 };
                        self.speak(version, stream, handler, pulse).await;
                    }
                    Some(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    None => tracing::debug!("TLS handshake timed out"),
                }
            }
        }
    }

    async fn speak(
        &self,
        version: Version,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        handler: Arc<impl Handle>,
        pulse: &Arc<Pulse>,
    ) {
        let (asked, listening) = (pulse.clone(), handler.clone());
        let service = service_fn(move |request| {
            let (handler, answering) = (handler.clone(), asked.answering());
            async move { Ok::<_, Infallible>(handler.handle(request).await.map(|body| body.during(answering))) }
        });
        match version {
            Version::Http1 => {
                let lane = Lane::new(stream, listening, pulse.clone());
                drive(self.http1.serve_connection(lane, service), pulse).await;
            }
            Version::Http2 => drive(self.http2.serve_connection(TokioIo::new(stream), service), pulse).await,
        }
    }
}

/// To the connection's end, or as its pulse says.
async fn drive<C: GracefulConnection<Error = hyper::Error>>(connection: C, pulse: &Pulse) {
    let mut connection = pin!(connection);
    let mut finishing = false;
    let ended = std::future::poll_fn(|cx| {
        match pulse.order(cx) {
            Order::Stay => {}
            Order::Finish if finishing => {}
            Order::Finish => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Leave => return Poll::Ready(Ok(())),
        }
        connection.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "connection ended");
    }
}

/// What a client without TLS speaks. HTTP/2 begins with a word that is no method of HTTP/1.1; it stays in the socket.
async fn plain_version(stream: &TcpStream) -> io::Result<Version> {
    let mut front = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut front).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len if front[..len] != PREFACE[..len] => return Ok(Version::Http1),
            len if len == PREFACE.len() => return Ok(Version::Http2),
            // A byte or two that could begin either, and looking again does not wait for more.
            _ => tokio::time::sleep(PEEK_AGAIN).await,
        }
    }
}

/// Of `PRI * HTTP/2.0`.
const PREFACE: &[u8] = b"PRI";
const PEEK_AGAIN: Duration = Duration::from_millis(10);
/// Plain bytes that are encrypted at once: a part of ordinary length, so that it leaves in one write. With rustls's own
/// 64 KiB a full write is a little longer than the 64 KiB the kernel sends in one piece, and under BBR, which paces
/// every piece, a segment then cost a third more CPU.
const TLS_BUFFER_BYTES: usize = 128 * 1024;
/// Largest request head.
const HEADER_BYTES_MAX: usize = 32 * 1024;

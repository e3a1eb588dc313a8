//! How is one connection served? HTTP/1.1 or HTTP/2, plain or in TLS, until it ends or its [`Pulse`] is told to stop.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::lane::Lane;
use super::roster::{Answering, Order, Pulse};
use super::{Body, Caller, Handle};

/// What HTTP/1.1 is spoken over.
pub trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// The socket below.
    fn socket(&self) -> &TcpStream;

    /// From now on little waits in the kernel: what does cannot be overtaken by what is more urgent.
    fn keep_queue_short(&self) {
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(self.socket()).set_tcp_notsent_lowat(NOT_SENT_BYTES);
    }
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

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
    pub async fn serve(
        &self,
        mut stream: TcpStream,
        tls: Option<TlsAcceptor>,
        handler: Arc<impl Handle>,
        caller: Caller,
    ) {
        let pulse = &caller.pulse().clone();
        match tls {
            None => match pulse.unless_sent_away(plain_version(&mut stream)).await {
                Some(Ok((Version::Http1, front))) => self.speak_http1(front, stream, handler, caller).await,
                Some(Ok((Version::Http2, _))) => {
                    let (read, write) = stream.into_split();
                    self.speak_http2(tokio::io::join(PREFACE.chain(read), write), handler, caller).await;
                }
                Some(Err(error)) => tracing::debug!(%error, "a connection ended before it began"),
                None => tracing::debug!("a connection was silent for too long"),
            },
            Some(tls) => {
                let accept = tls.accept_with(stream, |session| session.set_buffer_limit(Some(TLS_BUFFER_BYTES)));
                match pulse.unless_sent_away(accept).await {
                    Some(Ok(stream)) => match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => self.speak_http2(stream, handler, caller).await,
                        _ => self.speak_http1(BytesMut::new(), stream, handler, caller).await,
                    },
                    Some(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    None => tracing::debug!("TLS handshake timed out"),
                }
            }
        }
    }

    /// `front` was read from the stream before.
    async fn speak_http1(
        &self,
        front: BytesMut,
        stream: impl Wire + Send + 'static,
        handler: Arc<impl Handle>,
        caller: Caller,
    ) {
        let pulse = &caller.pulse().clone();
        let lane = Lane::new(front, stream, handler.clone(), pulse.clone());
        let service = service_fn(|request| answer(handler.clone(), request, pulse.answering(), caller.clone()));
        let connection = self.http1.serve_connection(lane, service).with_upgrades();
        drive(connection, |connection| connection.graceful_shutdown(), pulse).await;
    }

    async fn speak_http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        handler: Arc<impl Handle>,
        caller: Caller,
    ) {
        let pulse = &caller.pulse().clone();
        let service = service_fn(|request| answer(handler.clone(), request, pulse.answering(), caller.clone()));
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        drive(connection, |connection| connection.graceful_shutdown(), pulse).await;
    }
}

async fn answer(
    handler: Arc<impl Handle>,
    request: Request<Incoming>,
    answering: Answering,
    caller: Caller,
) -> Result<Response<Body>, Infallible> {
    Ok(handler.handle(request, caller).await.map(|body| body.during(answering)))
}

/// To the connection's end, or as its pulse says; `finish` lets it finish what it has begun.
async fn drive<C>(connection: C, finish: impl Fn(Pin<&mut C>), pulse: &Pulse)
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut finishing = false;
    let ended = std::future::poll_fn(|cx| {
        match pulse.order(cx) {
            Order::Stay => {}
            Order::Finish if finishing => {}
            Order::Finish => {
                finishing = true;
                finish(connection.as_mut());
            }
            Order::Leave => return Poll::Ready(Ok(())),
        }
        connection.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "connection ended");
    }
}

/// What a client without TLS speaks, and what of it was read to know that: HTTP/2 begins with a word that is no method
/// of HTTP/1.1. Who begins and does not go on is waited for at no cost.
async fn plain_version(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Version, BytesMut)> {
    let mut front = BytesMut::with_capacity(PREFACE.len());
    loop {
        let begun = stream.take((PREFACE.len() - front.len()) as u64).read_buf(&mut front).await? > 0;
        match &front[..] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            PREFACE => return Ok((Version::Http2, front)),
            // What ends here is no request of either.
            front if begun && PREFACE.starts_with(front) => {}
            _ => return Ok((Version::Http1, front)),
        }
    }
}

/// Of `PRI * HTTP/2.0`.
const PREFACE: &[u8] = b"PRI";
/// Plain bytes that are encrypted at once: a part of ordinary length, so that it leaves in one write. With rustls's own
/// 64 KiB a full write is a little longer than the 64 KiB the kernel sends in one piece, and under BBR, which paces
/// every piece, a segment then cost a third more CPU.
const TLS_BUFFER_BYTES: usize = 128 * 1024;
/// A chunk or two of a viewer's link.
#[cfg(target_os = "linux")]
const NOT_SENT_BYTES: u32 = 16 * 1024;
/// Largest request head.
const HEADER_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Outside of a runtime: whatever set a timer would panic.
    #[test]
    fn who_begins_as_both_do_is_waited_for_without_a_timer() {
        for (rest, version) in [("RI * HTTP/2.0", Version::Http2), ("UT / HTTP/1.1", Version::Http1)] {
            let (mut client, mut server) = tokio::io::duplex(64);
            let mut seen = Box::pin(plain_version(&mut server));
            client.write_all(b"P").now_or_never().unwrap().unwrap();
            assert!(seen.as_mut().now_or_never().is_none());
            client.write_all(rest.as_bytes()).now_or_never().unwrap().unwrap();
            let (is, front) = seen.now_or_never().unwrap().unwrap();
            assert_eq!((is, &front[..]), (version, &format!("P{rest}").as_bytes()[..3]));
        }
    }

    #[test]
    fn what_ends_too_soon_is_judged_by_http_1() {
        for (sends, expected) in [(&b""[..], None), (b"P", Some(Version::Http1)), (b"G", Some(Version::Http1))] {
            let (mut client, mut server) = tokio::io::duplex(64);
            client.write_all(sends).now_or_never().unwrap().unwrap();
            drop(client);
            let seen = plain_version(&mut server).now_or_never().unwrap().ok();
            assert_eq!(seen.map(|(version, _)| version), expected, "{sends:?}");
        }
    }
}

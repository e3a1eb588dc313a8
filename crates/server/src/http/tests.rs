//! Does a listener bear clients that say nothing? Real sockets, short limits.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::tls::Certificate;
use super::{Body, Caller, Handle, Limits, Listener, Plain, Reply, Stop};
use crate::config::Tls;

/// Answers at once, but for `/slow`: when told.
struct Echo(Arc<Notify>);

impl Handle for Echo {
    type Guard = ();

    fn at_once(&self, _: &Plain<'_>, _: u64, _: &mut Vec<u8>) -> Option<(Bytes, ())> {
        None
    }

    async fn handle(&self, request: http::Request<Incoming>, _: Caller) -> Reply {
        if request.uri().path() != "/slow" {
            return Response::new(Body::full(Bytes::from_static(b"hello")));
        }
        let told = self.0.clone();
        let rest = futures_util::stream::once(async move {
            told.notified().await;
            Ok(Bytes::from_static(b"at last"))
        });
        Response::new(Body::stream(rest, Some(7)))
    }
}

struct Served {
    address: SocketAddr,
    tell: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

const SHORT: Limits = Limits {
    connections: 3,
    first: Duration::from_millis(60),
    idle: Duration::from_millis(120),
    stuck: Duration::from_millis(120),
    tick: Duration::from_millis(20),
};

async fn serve(limits: Limits, tls: Option<&Tls>) -> Served {
    let config = tls.map(|files| Certificate::load(files).unwrap().server_config().unwrap());
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config, limits).await.unwrap();
    let (address, tell, (stop, stopped)) = (listener.address().unwrap(), Arc::new(Notify::new()), Stop::new());
    let task = tokio::spawn(listener.serve(Arc::new(Echo(tell.clone())), stopped));
    Served { address, tell, stop, task }
}

/// Connects, sends, and returns all that comes until the server closes.
pub async fn until_closed(address: SocketAddr, sends: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sends).await.unwrap();
    let mut all = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
    // What was sent and never read turns the close into a reset.
    let closed = closed.expect("the server must close");
    assert!(closed.is_ok() || !sends.is_empty());
    all
}

/// A fresh self-signed pair in `dir`.
pub fn write_certificate(dir: &Path) -> Tls {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = Tls { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

#[tokio::test]
async fn whoever_never_asks_is_sent_away() {
    let served = serve(SHORT, None).await;
    for sends in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h"] {
        let got = until_closed(served.address, sends).await;
        assert!(!got.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(sends));
    }
    let dir = tempfile::tempdir().unwrap();
    let secure = serve(SHORT, Some(&write_certificate(dir.path()))).await;
    assert_eq!(until_closed(secure.address, b"").await, b"");
    assert_eq!(until_closed(secure.address, &[22, 3, 1, 2, 0, 1]).await, b"");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_being_answered_is_not() {
    let served = serve(SHORT, None).await;
    let got = until_closed(served.address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(got.ends_with(b"hello"));
    let slow = tokio::spawn(until_closed(served.address, b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"));
    // Longer than any limit, by the clock of another connection that is sent away.
    for _ in 0..2 {
        until_closed(served.address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    }
    assert!(!slow.is_finished());
    served.tell.notify_one();
    assert!(slow.await.unwrap().ends_with(b"at last"));
}

#[tokio::test]
async fn a_client_that_takes_all_but_the_answer_is_sent_away() {
    let served = serve(SHORT, None).await;
    // The kernel sees it read; HTTP/2 lets it refuse the answer's bytes: SETTINGS with a window of 0, then GET /.
    let asks = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
        \0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0\
        \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01h";
    let got = until_closed(served.address, asks).await;
    assert!(got.len() > 40 && !got.windows(5).any(|bytes| bytes == b"hello"), "its head comes, and no more: {got:?}");
}

#[tokio::test]
async fn one_too_many_is_told_so() {
    let limits = Limits { first: Duration::from_secs(60), ..SHORT };
    let served = serve(limits, None).await;
    let mut kept = Vec::new();
    for _ in 0..limits.connections {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        kept.push(stream);
    }
    let got = until_closed(served.address, b"").await;
    assert!(got.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&got));
}

#[tokio::test]
async fn a_stop_lets_answers_finish_and_waits_for_nobody_else() {
    let limits = Limits { connections: 9, first: Duration::from_secs(60), idle: Duration::from_secs(60), ..SHORT };
    let served = serve(limits, None).await;
    let _silent = TcpStream::connect(served.address).await.unwrap();
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    // Its head has come: it is being answered.
    let mut first = [0];
    slow.read_exact(&mut first).await.unwrap();
    served.stop.send_replace(true);
    served.tell.notify_one();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"at last"));
    tokio::time::timeout(Duration::from_secs(5), served.task).await.expect("nobody is left").unwrap();
}

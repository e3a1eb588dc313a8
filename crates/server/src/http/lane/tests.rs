//! Is the lane to be told from hyper by anything but its speed? Every client here talks to a real socket, and what it
//! gets is compared with what hyper sends when the lane stays out of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{HEAD_BYTES_MAX, Plain, head};
use crate::http::tests::{until_closed, write_certificate};
use crate::http::tls::Certificate;
use crate::http::{Body, Caller, Handle, Limits, Listener, Reply, Stop};

/// `/n{len}`: that many bytes, at hand; `/s{len}`: the same, never at hand; anything else echoes method and body.
struct Shop {
    /// Does the lane take part?
    lane: bool,
    at_once: AtomicUsize,
    handled: AtomicUsize,
    /// Guards alive.
    alive: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn goods(target: &str, kind: char) -> Option<Bytes> {
    let len: usize = target.strip_prefix('/')?.strip_prefix(kind)?.parse().ok()?;
    Some((0..len).map(|i| (i * 7 % 251) as u8).collect())
}

impl Handle for Shop {
    type Guard = Alive;

    async fn handle(&self, request: Request<Incoming>, _: Caller) -> Reply {
        self.handled.fetch_add(1, Ordering::SeqCst);
        let path = request.uri().path().to_owned();
        let body = match goods(&path, 'n').or(goods(&path, 's')) {
            Some(bytes) => bytes,
            None => {
                let method = request.method().clone();
                let sent = axum::body::to_bytes(axum::body::Body::new(request.into_body()), 1 << 20).await;
                format!("{method} {path} {}", sent.map_or(0, |sent| sent.len())).into()
            }
        };
        let mut reply = Response::new(Body::full(body));
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        reply
    }

    fn at_once(&self, request: &Plain<'_>, _: u64, head: &mut Vec<u8>) -> Option<(Bytes, Alive)> {
        let body = goods(request.target, 'n').filter(|_| self.lane)?;
        head::field(head, "content-type", b"text/plain");
        self.at_once.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        Some((body, Alive(self.alive.clone())))
    }
}

struct Open {
    address: SocketAddr,
    shop: Arc<Shop>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Open {
    async fn new(lane: bool, limits: Limits) -> Self {
        let shop = Shop { lane, at_once: 0.into(), handled: 0.into(), alive: Arc::default() };
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None, limits).await.unwrap();
        let (address, shop, (stop, stopped)) = (listener.address().unwrap(), Arc::new(shop), Stop::new());
        let task = tokio::spawn(listener.serve(shop.clone(), stopped));
        Self { address, shop, stop, task }
    }

    /// Answered by the lane, and by hyper.
    fn counts(&self) -> (usize, usize) {
        (self.shop.at_once.load(Ordering::SeqCst), self.shop.handled.load(Ordering::SeqCst))
    }

    /// What comes back when these are sent one by one, until the server closes.
    async fn says(&self, sends: &[&[u8]]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in sends {
            // Whoever was told off hears no more.
            if stream.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut all = Vec::new();
        let read = tokio::time::timeout(4 * PATIENCE, stream.read_to_end(&mut all)).await;
        let _ = read.expect("the server must close");
        undated(all)
    }
}

/// The second may change between two answers.
fn undated(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(6).position(|w| w == b"date: ") {
        at += found + 6;
        let end = (at + 29).min(bytes.len());
        bytes[at..end].fill(b'x');
    }
    bytes
}

const PATIENCE: Duration = Duration::from_secs(5);
const SHORT: Limits = Limits {
    connections: 9,
    first: Duration::from_millis(60),
    idle: Duration::from_millis(120),
    stuck: Duration::from_millis(120),
    tick: Duration::from_millis(20),
};

const LAST: &str = "Host: h\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn whatever_is_asked_the_answer_is_hypers_to_the_byte() {
    // Half-closing would tell the end as well, but hyper takes that for a client that is gone.
    let second = Duration::from_secs(1);
    let limits = Limits { connections: 1_000, first: second, idle: second, stuck: second, ..SHORT };
    let (lane, hyper) = (Open::new(true, limits).await, Open::new(false, limits).await);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let long = "a".repeat(HEAD_BYTES_MAX);
    let all = [
        get("/n0") + &get("/n1") + &get("/n1000") + &get("/n5000") + &get("/n300000"),
        get("/n10") + &get("/s10") + &get("/n20") + &get("/x") + &get("/n30"),
        get("/n10") + "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + &get("/n20"),
        get("/n10") + "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" + &get("/n20"),
        get("/n10") + "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + &get("/n20"),
        get("/n10") + "HEAD /n10 HTTP/1.1\r\nHost: h\r\n\r\n" + &get("/n20"),
        get("/n10") + "HEAD /s10 HTTP/1.0\r\n\r\n" + &get("/n20"),
        get("/n10") + &format!("GET /n10 HTTP/1.1\r\n{LAST}") + &get("/n20"),
        get("/n10") + "GET /n10 HTTP/1.0\r\n\r\n" + &get("/n20"),
        get("/n10") + "GET /n10 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + &get("/n20"),
        "GET http://h/n10 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + &get("/n20"),
        "GET /n10 HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n".to_owned() + &get("/n20"),
        "GET /n10 HTTP/1.1\nHost: h\n\n".to_owned() + &get("/n20"),
        "\r\n\r\n".to_owned() + &get("/n10"),
        "GET /n10 HTTP/1.1\r\nHost : h\r\n\r\n".to_owned() + &get("/n20"),
        "GET /p HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned() + &get("/n20"),
        "GET /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nGET".to_owned() + &get("/n20"),
        "GET /n10 HTTP/3.0\r\n\r\n".to_owned() + &get("/n20"),
        "GET /n10".to_owned(),
        "GET /n10 HTTP/1.1\r\nHost".to_owned(),
        "\u{16}\u{3}\u{1}\0garbage\r\n\r\n".to_owned(),
        format!("GET /n10 HTTP/1.1\r\nX: {long}\r\n\r\n") + &get("/n20"),
        format!("GET /{long} HTTP/1.1\r\n\r\n") + &get("/n20"),
        format!("GET /n10 HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)) + &get("/n20"),
        format!("GET /n10 HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(50)) + &get("/n20"),
        get("/n10").repeat(2_000),
        (get("/n10") + &get("/s10")).repeat(500),
    ];
    let same = all.iter().map(|text| async {
        let (bytes, shown) = (text.as_bytes(), &text[..text.len().min(200)]);
        let halves = bytes.split_at(bytes.len() / 2);
        let single: Vec<_> = bytes.chunks(1).take(400).collect();
        let whole = [bytes];
        let halves = [halves.0, halves.1];
        let (expected, at_once, in_halves) = tokio::join!(hyper.says(&whole), lane.says(&whole), lane.says(&halves));
        assert!(at_once == expected, "in one piece: {shown}");
        assert!(in_halves == expected, "in halves: {shown}");
        if single.len() < 400 {
            assert!(lane.says(&single).await == expected, "byte by byte: {shown}");
        }
    });
    futures_util::future::join_all(same).await;
    assert!(lane.counts().0 > 2_000, "{:?}", lane.counts());
    assert_eq!(hyper.counts().0, 0);
}

#[tokio::test]
async fn after_what_hyper_answered_the_lane_goes_on() {
    let open = Open::new(true, Limits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    for round in 1..=50 {
        for path in ["/n10", "/s10"] {
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = vec![0; 0];
            while !answer.ends_with(&goods("/n10", 'n').unwrap()) {
                assert!(tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap() > 0);
            }
        }
        assert_eq!(open.counts(), (round, round));
    }
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_it_and_holds_its_guard_until_then() {
    let open = Open::new(true, Limits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    let (len, times) = (200_000, 100);
    let asks = format!("GET /n{len} HTTP/1.1\r\nHost: h\r\n\r\n").repeat(times);
    stream.write_all(asks.as_bytes()).await.unwrap();
    // More than any socket's buffer: one answer stands in front of it, and no second one is made.
    let full = async {
        let mut last = usize::MAX;
        while last != open.counts().0 || open.shop.alive.load(Ordering::SeqCst) != 1 {
            last = open.counts().0;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.unwrap();
    assert!(open.counts().0 < times);
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    assert!(all.len() > len * times && all.ends_with(&goods(&format!("/n{len}"), 'n').unwrap()));
    assert_eq!((open.counts(), open.shop.alive.load(Ordering::SeqCst)), ((times, 0), 0));
}

#[tokio::test]
async fn who_takes_nothing_or_asks_for_nothing_is_sent_away() {
    let open = Open::new(true, SHORT).await;
    let get = "GET /n10 HTTP/1.1\r\nHost: h\r\n\r\n";
    for sends in ["GET /n10 HTTP/1.1\r\nHost: h", get, &(get.to_owned() + "GET /n10 HT")] {
        until_closed(open.address, sends.as_bytes()).await;
    }
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    stream.write_all("GET /n250000 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100).as_bytes()).await.unwrap();
    let gone = async {
        while open.shop.alive.load(Ordering::SeqCst) > 0 || open.counts().0 < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("its answer is given up");
    // A head that drips in keeps no connection, though something moves all the time.
    let mut drip = TcpStream::connect(open.address).await.unwrap();
    let dripping = async {
        for byte in "GET /n10 HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x')) {
            if drip.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("it is closed");
}

#[tokio::test]
async fn a_stop_waits_for_an_answer_of_the_lane_and_for_no_idle_connection() {
    let open = Open::new(true, Limits::default()).await;
    let mut idle = TcpStream::connect(open.address).await.unwrap();
    idle.write_all(b"GET /n10 HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut slow = TcpStream::connect(open.address).await.unwrap();
    let asks = "GET /n250000 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    slow.write_all(asks.as_bytes()).await.unwrap();
    let blocked = async {
        let mut last = usize::MAX;
        while last != open.counts().0 || open.shop.alive.load(Ordering::SeqCst) != 1 {
            last = open.counts().0;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, blocked).await.unwrap();
    let begun = open.counts().0 - 1;
    open.stop.send_replace(true);
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    rest.clear();
    // What was asked behind the answer under way is not answered: closing then is a reset, and may come first.
    let mut piece = vec![0; 1 << 16];
    while let Ok(Ok(len @ 1..)) = tokio::time::timeout(PATIENCE, slow.read(&mut piece)).await {
        rest.extend_from_slice(&piece[..len]);
    }
    assert!(rest.len() > begun * 250_000, "{} bytes of {begun} answers", rest.len());
    tokio::time::timeout(PATIENCE, open.task).await.expect("nobody is left").unwrap();
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_certificate(dir.path());
    let config = Certificate::load(&files).unwrap().server_config().unwrap();
    let shop = Shop { lane: true, at_once: 0.into(), handled: 0.into(), alive: Arc::default() };
    let shop = Arc::new(shop);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Some(config), Limits::default()).await.unwrap();
    let (address, (_stop, stopped)) = (listener.address().unwrap(), Stop::new());
    tokio::spawn(listener.serve(shop.clone(), stopped));
    let trusted = reqwest::Certificate::from_pem(&std::fs::read(&files.cert).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .http1_only()
        .resolve("localhost", address)
        .build()
        .unwrap();
    for path in ["/n10", "/n250000", "/s10", "/n5000"] {
        let url = format!("https://localhost:{}{path}", address.port());
        let got = client.get(url).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(got, goods(path, 'n').or(goods(path, 's')).unwrap());
    }
    assert_eq!(shop.at_once.load(Ordering::SeqCst), 3);
}

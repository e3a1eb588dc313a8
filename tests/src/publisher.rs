//! How does media go in? As any publisher sends it: one POST whose body is fragmented MP4. What is sent, and when, is
//! the test's to say; `trellis publish` is tested by itself.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::{Body, RequestBuilder};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use trellis_ingest::sample::{Looper, SAMPLE};

use crate::client::{Reply, client, send, try_send};
use crate::server::Server;

/// The clip that ships with Trellis: 16 s, three renditions and sound.
pub fn clip() -> Bytes {
    Bytes::from_static(SAMPLE)
}

/// The same again and again, for this many seconds.
pub fn long_clip(seconds: usize) -> Bytes {
    let mut looper = Looper::sample();
    let mut next = || looper.next_due().expect("the sample clip can be looped").1;
    // The header, and thirty frames a second.
    (0..1 + 30 * seconds).flat_map(|_| next()).collect()
}

/// The ingest request for a stream that viewers need a token for, without a body.
pub fn closed(origin: &Server, key: &str, stream: &str) -> RequestBuilder {
    let url = format!("{}/v1/ingest/{stream}", origin.base());
    client().post(url).timeout(Duration::from_secs(600)).bearer_auth(key)
}

/// The same for a stream that everybody may watch.
pub fn open(origin: &Server, key: &str, stream: &str) -> RequestBuilder {
    closed(origin, key, stream).header("trellis-access", "open")
}

/// Publishes a whole film on demand.
pub async fn vod(origin: &Server, key: &str, stream: &str, film: Bytes) -> Reply {
    send(open(origin, key, stream).header("trellis-mode", "vod").body(film)).await
}

/// A live publisher whose body a test writes.
pub struct Publisher {
    pieces: Option<mpsc::Sender<Bytes>>,
    answer: JoinHandle<reqwest::Result<Reply>>,
}

impl Publisher {
    /// Begins a request.
    pub fn start(request: RequestBuilder) -> Self {
        let (pieces, mut queue) = mpsc::channel::<Bytes>(4);
        let stream = futures_util::stream::poll_fn(move |cx| {
            queue.poll_recv(cx).map(|piece| piece.map(Ok::<_, std::io::Error>))
        });
        let answer = tokio::spawn(try_send(request.body(Body::wrap_stream(stream))));
        Self { pieces: Some(pieces), answer }
    }

    /// Sends the next bytes. False: the origin no longer takes any.
    pub async fn send(&self, bytes: Bytes) -> bool {
        match &self.pieces {
            Some(pieces) => pieces.send(bytes).await.is_ok(),
            None => false,
        }
    }

    /// Ends the body as a publisher that is done, and returns the answer.
    pub async fn finish(mut self) -> Reply {
        self.pieces = None;
        self.answer().await
    }

    /// The answer, which an origin that refuses gives before the body ends.
    pub async fn answer(&mut self) -> Reply {
        (&mut self.answer).await.expect("the request does not panic").expect("the origin answers")
    }

    /// Is gone from one moment to the next.
    pub async fn vanish(self) {
        self.answer.abort();
        let _ = self.answer.await;
    }
}

/// The sample clip, looped for ever, one frame at a time as a test lets it.
pub struct Frames {
    publisher: Publisher,
    looper: Looper,
}

impl Frames {
    /// Begins, and sends this many frames (30 are a second, 60 a segment).
    pub async fn start(origin: &Server, key: &str, stream: &str, frames: usize) -> Self {
        let mut this = Self { publisher: Publisher::start(open(origin, key, stream)), looper: Looper::sample() };
        // The header goes first.
        this.send(1 + frames).await;
        this
    }

    /// Sends the next ones.
    pub async fn send(&mut self, frames: usize) {
        for _ in 0..frames {
            let (_, bytes) = self.looper.next_due().expect("the sample clip can be looped");
            assert!(self.publisher.send(bytes).await, "the origin takes no more");
        }
    }

    /// The publisher, to end it one way or another.
    pub fn publisher(self) -> Publisher {
        self.publisher
    }
}

/// The sample clip, looped for ever in real time, as the demo sends it.
pub struct Channel {
    publisher: JoinHandle<Publisher>,
    stop: mpsc::Sender<()>,
}

impl Channel {
    /// Goes live.
    pub fn start(origin: &Server, key: &str, stream: &str) -> Self {
        Self::begin(open(origin, key, stream))
    }

    /// Goes live by this request.
    pub fn begin(request: RequestBuilder) -> Self {
        let (stop, stopped) = mpsc::channel(1);
        let publisher = Publisher::start(request);
        Self { publisher: tokio::spawn(play(publisher, stopped)), stop }
    }

    /// Ends as a publisher that is done.
    pub async fn finish(self) -> Reply {
        self.stop().await.finish().await
    }

    /// Is gone from one moment to the next.
    pub async fn vanish(self) {
        self.stop().await.vanish().await;
    }

    async fn stop(self) -> Publisher {
        drop(self.stop);
        self.publisher.await.expect("the channel does not panic")
    }
}

async fn play(publisher: Publisher, mut stopped: mpsc::Receiver<()>) -> Publisher {
    let (mut looper, start) = (Looper::sample(), Instant::now());
    loop {
        let (due, bytes) = looper.next_due().expect("the sample clip can be looped");
        tokio::select! {
            _ = stopped.recv() => return publisher,
            () = tokio::time::sleep_until((start + due).into()) => {}
        }
        if !publisher.send(bytes).await {
            return publisher;
        }
    }
}

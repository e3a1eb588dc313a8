//! One viewer's WebSocket: frames in, frames out.
//!
//! What is to go out waits in a queue that is bounded in messages and bytes; whoever lets it fill up is cut off. What comes
//! in is bounded in size and rate, and read no faster than the host looks at it. The first frame is a greeting with the
//! very ticket the link was opened with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};
use trellis_core::cluster::LinkId;
use trellis_proto::frame::{Bye, Decoded, Frame};
use trellis_proto::limits::FRAME_BYTES_MAX;

use super::host::Event;
use super::upgrade::{Socket, WRITE_BYTES};

/// The host's end. When it is dropped the link ends, after what was sent.
pub struct Line {
    queue: mpsc::Sender<Bytes>,
    /// Bytes put into the queue.
    handed: u64,
    /// Of these, bytes the kernel has taken.
    left: Arc<AtomicU64>,
    _end: oneshot::Sender<()>,
}

/// The socket's end.
pub struct Link {
    number: LinkId,
    ticket: Bytes,
    queue: mpsc::Receiver<Bytes>,
    left: Arc<AtomicU64>,
    end: oneshot::Receiver<()>,
}

/// A link and its host's end of it. Its greeting must show `ticket`.
pub fn pair(number: LinkId, ticket: Bytes) -> (Line, Link) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let (end_sender, end) = oneshot::channel();
    let left = Arc::new(AtomicU64::new(0));
    let line = Line { queue: sender, handed: 0, left: left.clone(), _end: end_sender };
    (line, Link { number, ticket, queue, left, end })
}

impl Line {
    /// Puts a frame into the queue. False: it is full, and the link must end.
    pub fn send(&mut self, frame: Bytes) -> bool {
        let bytes = frame.len() as u64;
        let fits = u64::from(self.unsent()) + bytes <= QUEUE_BYTES_MAX && self.queue.try_send(frame).is_ok();
        self.handed += if fits { bytes } else { 0 };
        fits
    }

    /// Bytes handed over that the kernel has not taken yet.
    pub fn unsent(&self) -> u32 {
        (self.handed - self.left.load(Ordering::Relaxed)) as u32
    }
}

impl Link {
    /// Carries frames until either side ends it, and then says so.
    pub async fn run(self, socket: Socket, events: mpsc::Sender<Event>) {
        let Self { number, ticket, queue, left, end } = self;
        let (mut sink, mut stream) = socket.split();
        let why = tokio::select! {
            why = read(&mut stream, number, &ticket, &events) => why,
            () = write(&mut sink, number, queue, &left, &events) => None,
            () = late(end) => None,
        };
        let said = async {
            if let Some(bye) = why {
                metrics::counter!("trellis_cluster_links_cut_total", "reason" => word(bye)).increment(1);
                sink.send(Message::Binary(Frame::Bye(bye).encode().into())).await?;
            }
            sink.close().await
        };
        // Whoever does not listen is not told.
        let _ = tokio::time::timeout(CLOSE_WITHIN, said).await;
        let _ = events.send(Event::Closed(number)).await;
    }
}

/// Resolves some time after the host has let go of the link.
async fn late(end: oneshot::Receiver<()>) {
    let _ = end.await;
    tokio::time::sleep(CLOSE_WITHIN).await;
}

/// Sends what is in the queue, until the host lets go of it or the socket takes nothing more.
async fn write(
    sink: &mut SplitSink<Socket, Message>,
    number: LinkId,
    mut queue: mpsc::Receiver<Bytes>,
    left: &AtomicU64,
    events: &mpsc::Sender<Event>,
) {
    while let Some(first) = queue.recv().await {
        let mut bytes = first.len();
        let mut next = Some(first);
        let sent = async {
            while let Some(frame) = next.take() {
                sink.feed(Message::Binary(frame)).await?;
                if bytes < WRITE_BYTES {
                    next = queue.try_recv().ok();
                    bytes += next.as_ref().map_or(0, Bytes::len);
                }
            }
            sink.flush().await
        };
        match tokio::time::timeout(STUCK, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        left.fetch_add(bytes as u64, Ordering::Relaxed);
        if events.send(Event::Left(number)).await.is_err() {
            return;
        }
    }
}

/// Hands on what comes. Why the link is to end, if the other end is to be told; none: it ended itself.
async fn read(
    stream: &mut SplitStream<Socket>,
    number: LinkId,
    ticket: &Bytes,
    events: &mpsc::Sender<Event>,
) -> Option<Bye> {
    let (mut is_first, mut flood) = (true, Flood::new(Instant::now()));
    loop {
        let message = match stream.next().await? {
            Ok(message) => message,
            Err(Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_)) => return Some(Bye::Protocol),
            Err(_) => return None,
        };
        if !flood.admits(Instant::now(), message.len()) {
            return Some(Bye::Flood);
        }
        let frame = match message {
            Message::Binary(bytes) => match Frame::decode(bytes) {
                Ok(Decoded::Frame(frame)) => frame,
                Ok(Decoded::Unknown(_)) if !is_first => continue,
                Ok(Decoded::Unknown(_)) | Err(_) => return Some(Bye::Protocol),
            },
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return None,
            Message::Text(_) | Message::Frame(_) => return Some(Bye::Protocol),
        };
        if let (true, Frame::Hello(hello)) = (is_first, &frame)
            && hello.ticket != *ticket
        {
            return Some(Bye::Ticket);
        }
        is_first = false;
        events.send(Event::Frame(number, frame)).await.ok()?;
    }
}

/// How much a link may say: so much a second, and some of it saved up.
struct Flood {
    messages: f64,
    bytes: f64,
    at: Instant,
}

impl Flood {
    fn new(now: Instant) -> Self {
        Self { messages: MESSAGES_SAVED, bytes: BYTES_SAVED, at: now }
    }

    fn admits(&mut self, now: Instant, bytes: usize) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.messages = (self.messages + passed * MESSAGES_PER_S).min(MESSAGES_SAVED) - 1.0;
        self.bytes = (self.bytes + passed * BYTES_PER_S).min(BYTES_SAVED) - bytes as f64;
        self.messages >= 0.0 && self.bytes >= 0.0
    }
}

/// For metrics.
pub fn word(bye: Bye) -> &'static str {
    match bye {
        Bye::Leaving => "leaving",
        Bye::Ticket => "ticket",
        Bye::NoRoom(_) => "no_room",
        Bye::Replaced => "replaced",
        Bye::BadChunk => "bad_chunk",
        Bye::Protocol => "protocol",
        Bye::Flood => "flood",
        Bye::Idle => "idle",
        Bye::Ended => "ended",
        Bye::Moved => "moved",
    }
}

/// Messages that wait for one socket.
const QUEUE_MAX: usize = 1_024;
/// And their bytes: what the cluster hands over of media is far less, the rest are tables somebody asked for.
const QUEUE_BYTES_MAX: u64 = 1 << 20;
/// A socket that takes nothing for so long is dead.
const STUCK: Duration = Duration::from_secs(15);
/// The last frames, and the good-bye.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// A viewer that plays says a few things a second; one that begins, moves or pulls everything, some dozens.
const MESSAGES_PER_S: f64 = 200.0;
const MESSAGES_SAVED: f64 = 1_000.0;
const BYTES_PER_S: f64 = 128.0 * 1024.0;
const BYTES_SAVED: f64 = 1024.0 * 1024.0;
const _: () = assert!(QUEUE_BYTES_MAX as usize >= 8 * FRAME_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_that_takes_nothing_is_full_soon_whatever_it_is_sent() {
        for (bytes, most) in [(1, QUEUE_MAX), (FRAME_BYTES_MAX, 15)] {
            let (mut line, mut link) = pair(LinkId(1), Bytes::new());
            let frame = Bytes::from(vec![0; bytes]);
            assert_eq!((0..2 * QUEUE_MAX).take_while(|_| line.send(frame.clone())).count(), most);
            assert_eq!(line.unsent() as usize, most * bytes);
            link.left.fetch_add(link.queue.recv().await.unwrap().len() as u64, Ordering::Relaxed);
            assert!(line.send(frame));
        }
    }

    #[test]
    fn a_link_may_say_much_at_a_time_and_less_for_long() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        assert_eq!((0..5_000).take_while(|_| flood.admits(now, 9)).count(), MESSAGES_SAVED as usize);
        let mut flood = Flood::new(now);
        assert_eq!((0..50).take_while(|_| flood.admits(now, FRAME_BYTES_MAX)).count(), 15);
        let mut flood = Flood::new(now);
        let says = |(at, flood): (u64, &mut Flood)| flood.admits(now + Duration::from_millis(10 * at), 500);
        assert!((0..10_000).all(|at| says((at, &mut flood))));
    }
}

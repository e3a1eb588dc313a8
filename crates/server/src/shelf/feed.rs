//! How do signed tables travel between servers? As one answer that lasts as long as the stream is kept: each message
//! after its length as u32 big-endian, a length of zero when all has been said, and then again when there has been nothing
//! to say for a while (`spec/wire.md`).
//!
//! Invariant: the feed of a shelf that was closed ends, so that no follower takes what is gone for what is there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use tokio::sync::watch;
use trellis_media::timeline::Cursor;
use trellis_proto::{RunId, limits};

use super::Shelf;
use crate::http::Stop;

/// Silence is broken this often.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Largest message.
pub const FRAME_BYTES_MAX: usize = limits::TABLE_BYTES_MAX;

/// `after={run}.{part}`: the last part a follower has. None: none, or not understood, which is answered in full.
pub fn after_query(query: Option<&str>) -> Option<(RunId, u64)> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("after="))?;
    let (run, part) = value.split_once('.')?;
    Some((run.parse().ok()?, part.parse().ok()?))
}

/// All messages a follower still needs, then each new one as it comes.
pub fn feed(
    shelf: Arc<Shelf>,
    after: Option<(RunId, u64)>,
    stop: Stop,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (changes, cursor) = (shelf.changes(), Cursor::new(after));
    Follower { changes, cursor, told_all: false, keep_alive: KEEP_ALIVE, shelf, stop }.stream()
}

struct Follower {
    shelf: Arc<Shelf>,
    changes: watch::Receiver<u64>,
    cursor: Cursor,
    /// The follower has been told that it has all there is.
    told_all: bool,
    keep_alive: Duration,
    stop: Stop,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::unfold(self, |mut follower| async move {
            let messages = follower.next().await?;
            Some((Ok(messages), follower))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.changes.borrow_and_update();
            let messages = self.framed();
            if !messages.is_empty() {
                return Some(messages);
            }
            if !self.told_all && self.shelf.is_complete() {
                self.told_all = true;
                return Some(NOTHING);
            }
            if self.shelf.is_closed() {
                return None;
            }
            tokio::select! {
                () = self.stop.wait() => return None,
                changed = tokio::time::timeout(self.keep_alive, self.changes.changed()) => match changed {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) if self.told_all => return Some(NOTHING),
                    // It would take a beginning for the whole.
                    Err(_) => {}
                },
            }
        }
    }

    /// As many messages as fit one write; a long window comes in several.
    fn framed(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        let cursor = &mut self.cursor;
        self.shelf.look(|timeline| {
            while out.len() < WRITE_BYTES
                && let Some(message) = timeline.next_message(cursor)
            {
                out.put_u32(message.len() as u32);
                out.extend_from_slice(&message);
            }
        });
        out.freeze()
    }
}

const WRITE_BYTES: usize = 64 * 1024;
/// A message of no bytes.
const NOTHING: Bytes = Bytes::from_static(&[0; 4]);

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn silence_is_not_said_before_all_has_been_said() {
        let (shelf, (_switch, stop)) = (Shelf::alone("demo"), Stop::new());
        let (changes, keep_alive) = (shelf.changes(), Duration::from_millis(2));
        let follower =
            Follower { changes, cursor: Cursor::new(None), told_all: false, keep_alive, shelf: shelf.clone(), stop };
        let mut follower = std::pin::pin!(follower.stream());
        assert!(tokio::time::timeout(keep_alive * 10, follower.next()).await.is_err(), "it is still being read");
        shelf.set_complete();
        for _ in 0..2 {
            assert_eq!(follower.next().await.unwrap().unwrap(), NOTHING);
        }
    }

    #[tokio::test]
    async fn the_feed_of_a_closed_shelf_says_what_there_is_and_ends() {
        let shelf = Shelf::alone("demo");
        let (_switch, stop) = Stop::new();
        let mut follower = std::pin::pin!(feed(shelf.clone(), None, stop));
        shelf.set_complete();
        assert_eq!(follower.next().await.unwrap().unwrap(), NOTHING);
        let (next, ()) = tokio::join!(follower.next(), async { shelf.close() });
        assert!(next.is_none(), "it would follow what is gone");
    }
}

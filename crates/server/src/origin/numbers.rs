//! Where do a live stream's media sequence numbers go on when its origin has forgotten them? From the clock: a segment
//! lasts two seconds or more, so half the Unix time is ahead of a stream that goes as time goes. What runs ahead of the
//! clock (a publisher that sends faster, whose own clock is fast, or that comes and goes every second) is on disk.
//!
//! Invariant: a number is below the clock's or below the one in the stream's file before anybody hears of it.

use std::io;
use std::path::{Path, PathBuf};

use trellis_proto::StreamId;

use crate::clock::unix_ms;

/// Up to where a stream's numbers count as used.
pub struct Numbers {
    file: PathBuf,
    used_below: u64,
}

impl Numbers {
    /// Of a stream; the folder is made when the first file is.
    pub fn of(stream: &StreamId, root: &Path) -> Self {
        Self { file: root.join(stream.as_str()), used_below: 0 }
    }

    /// A number above all that were used. The file goes when the clock has passed it.
    pub async fn fresh(&mut self) -> u64 {
        let text = tokio::fs::read_to_string(&self.file).await.ok();
        let kept = text.and_then(|text| text.trim().parse().ok()).filter(|kept| *kept <= MSN_MAX);
        let clock = from_clock();
        match kept {
            Some(kept) if kept > clock => {
                self.used_below = kept;
                kept
            }
            Some(_) => {
                let _ = tokio::fs::remove_file(&self.file).await;
                clock
            }
            None => clock,
        }
    }

    /// Notes that `msn` will be heard of. On disk only where the clock does not do, and for some numbers at once.
    pub async fn cover(&mut self, msn: u64) {
        if msn < self.used_below || msn < from_clock() {
            return;
        }
        self.used_below = msn + AT_ONCE;
        if let Err(error) = self.keep().await {
            let file = self.file.display();
            tracing::warn!(%file, %error, "a stream's numbers cannot be kept: players may stall at a restart soon");
        }
    }

    async fn keep(&self) -> io::Result<()> {
        // No stream has such a name.
        let unfinished = self.file.with_added_extension("~");
        if let Some(folder) = self.file.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        tokio::fs::write(&unfinished, self.used_below.to_string()).await?;
        tokio::fs::rename(&unfinished, &self.file).await
    }
}

fn from_clock() -> u64 {
    unix_ms() / 2_000
}

/// Half a minute of an ordinary stream: so many are skipped by a restart at most.
const AT_ONCE: u64 = 16;
/// What tables can say (`spec/wire.md`, "Descriptor").
const MSN_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_runs_ahead_of_the_clock_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = || Numbers::of(&"demo".parse().unwrap(), folder.path());
        let written = || std::fs::read_dir(folder.path()).unwrap().count();
        let clock = numbers().fresh().await;
        numbers().cover(clock - 1).await;
        assert_eq!(written(), 0);
        numbers().cover(clock + 100).await;
        assert!(numbers().fresh().await > clock + 100);
        std::fs::write(folder.path().join("demo"), "7").unwrap();
        assert!(numbers().fresh().await >= clock && written() == 0, "the clock has passed it");
    }
}

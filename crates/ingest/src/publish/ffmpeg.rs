//! How does ffmpeg run? Started with its output as a stream, watched on standard error, gone when dropped.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

use super::Error;

/// What ffmpeg says of itself while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Status {
    /// Media time written.
    pub media: Duration,
    /// Frames per second, as encoded.
    pub fps: f32,
    /// Media seconds per second; a live source below 1 means the machine is too slow.
    pub speed: f32,
}

/// A running ffmpeg. Dropping it kills the process.
#[derive(Debug)]
pub struct Ffmpeg {
    /// What it said last.
    pub status: watch::Receiver<Status>,
    end: Option<oneshot::Receiver<Ended>>,
    output_ended: Arc<AtomicBool>,
    _watcher: AbortOnDropHandle<()>,
}

/// How ffmpeg ended.
#[derive(Debug)]
struct Ended {
    /// `None` when it could not be waited for.
    status: Option<ExitStatus>,
    /// Last lines of its log.
    tail: String,
}

impl Ended {
    fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

impl Ffmpeg {
    /// Starts ffmpeg; the stream is its standard output, and ends with an error when ffmpeg fails.
    pub fn start(
        args: &[String],
        stdin: bool,
    ) -> Result<(Self, impl Stream<Item = io::Result<Bytes>> + Send + 'static), Error> {
        let mut child = Command::new("ffmpeg")
            .args(args)
            .stdin(if stdin { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| missing("ffmpeg", error))?;
        let stdout = child.stdout.take().expect("standard output was asked to be piped");
        let (status_to, status) = watch::channel(Status::default());
        let (end_to, end) = oneshot::channel();
        let (ok_to, ok) = oneshot::channel();
        let watcher = tokio::spawn(async move {
            let ended = watch_child(child, status_to).await;
            let _ = ok_to.send(ended.is_success());
            let _ = end_to.send(ended);
        });
        let output_ended = Arc::new(AtomicBool::new(false));
        let output = output(stdout, output_ended.clone(), ok);
        Ok((Self { status, end: Some(end), output_ended, _watcher: AbortOnDropHandle::new(watcher) }, output))
    }

    /// The end of its log when it failed by itself. `None` when it succeeded, still runs, or only broke because nobody
    /// read its output any more.
    pub async fn failure(&mut self) -> Option<String> {
        if !self.output_ended.load(Ordering::Acquire) {
            return None;
        }
        let ended = self.end.take()?.await.ok()?;
        (!ended.is_success()).then_some(ended.tail)
    }
}

/// Standard output to its end, and then an error unless ffmpeg succeeded: a run that broke must not look complete.
fn output(
    stdout: ChildStdout,
    ended: Arc<AtomicBool>,
    ok: oneshot::Receiver<bool>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let failure = futures_util::stream::once(async move {
        ended.store(true, Ordering::Release);
        match ok.await {
            Ok(true) => None,
            _ => Some(Err(io::Error::other("ffmpeg failed"))),
        }
    });
    ReaderStream::with_capacity(stdout, OUTPUT_BUFFER_BYTES).chain(failure.filter_map(std::future::ready))
}

async fn watch_child(mut child: Child, status: watch::Sender<Status>) -> Ended {
    let mut log = VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        read_log(stderr, &mut log, &status).await;
    }
    Ended { status: child.wait().await.ok(), tail: Vec::from(log).join("\n") }
}

/// Reads progress into `status`, and keeps the last other lines.
async fn read_log(stderr: impl AsyncRead + Unpin, log: &mut VecDeque<String>, status: &watch::Sender<Status>) {
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).trim().to_owned();
        let known = status.send_if_modified(|status| read_progress(&line, status));
        if known || is_progress(&line) || line.is_empty() {
            continue;
        }
        tracing::debug!(%line, "ffmpeg");
        if log.len() == TAIL_LINES {
            log.pop_front();
        }
        log.push_back(line);
    }
}

/// Takes a `key=value` line of `-progress` in. Returns whether the status changed.
fn read_progress(line: &str, status: &mut Status) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let before = *status;
    let value = value.trim().trim_end_matches('x');
    match key {
        "out_time_us" => {
            if let Ok(us) = value.parse() {
                status.media = Duration::from_micros(us);
            }
        }
        "fps" => status.fps = value.parse().unwrap_or(status.fps),
        "speed" => status.speed = value.parse().unwrap_or(status.speed),
        _ => {}
    }
    *status != before
}

/// Whether a line belongs to `-progress`: one word, an equals sign, one value.
fn is_progress(line: &str) -> bool {
    let word = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    line.split_once('=').is_some_and(|(key, value)| word(key) && !value.trim().contains(' '))
}

/// The error for a program that does not start.
pub(super) fn missing(program: &'static str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Missing { program },
        _ => Error::Start { program, error },
    }
}

/// The last lines of a log.
pub(super) fn tail_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

const TAIL_LINES: usize = 12;
const LINE_BYTES_MAX: usize = 512;
const OUTPUT_BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_is_read_and_the_log_kept() {
        let text = "frame=12\nfps=29.50\nout_time_us=400000\nspeed=1.01x\nprogress=continue\n\
                    [in#0] Error opening input: No such file\nout_time_us=N/A\n";
        let (status, seen) = watch::channel(Status::default());
        let mut log = VecDeque::new();
        read_log(text.as_bytes(), &mut log, &status).await;
        assert_eq!(log, ["[in#0] Error opening input: No such file"]);
        assert_eq!(*seen.borrow(), Status { media: Duration::from_millis(400), fps: 29.5, speed: 1.01 });
    }
}

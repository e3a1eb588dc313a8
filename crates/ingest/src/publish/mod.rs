//! How does a source reach an origin? ffmpeg makes fragmented MP4 of it, one streamed request carries it.
//!
//! Invariant: a body ends cleanly only when its source did, or when asked to stop. Everything else breaks the request,
//! so that the origin never takes a broken run for a finished one.

pub mod advice;
pub mod clock;
mod command;
mod ffmpeg;
pub mod ladder;
pub mod probe;
mod push;
mod watch;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sample::Looper;
use advice::Told;
use ffmpeg::{Ffmpeg, Status};
use probe::Probe;
use push::{Head, Outcome};

pub use watch::watch_url;

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Any file or URL ffmpeg reads; `-` is standard input.
    Media(String),
    /// A wall clock, drawn by ffmpeg; see [`clock`].
    Clock,
    /// The clip that ships with Trellis, looped. Needs no ffmpeg.
    Clip,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Media(source) if source == "-" => f.write_str("standard input"),
            Self::Media(source) => f.write_str(source),
            Self::Clock => f.write_str("the wall clock"),
            Self::Clip => f.write_str("the sample clip"),
        }
    }
}

/// Live or complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In real time, with a window.
    Live,
    /// As fast as it goes, kept whole.
    Vod,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The origin, e.g. `http://127.0.0.1:8080`.
    pub url: String,
    /// Stream name.
    pub stream: String,
    /// Stream key.
    pub key: String,
}

/// How a source is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What.
    pub input: Input,
    /// Where to.
    pub target: Target,
    /// Live or complete.
    pub mode: Mode,
    /// Keep the source's coding: one rung, as it is.
    pub copy: bool,
    /// Begin again at the source's end, for ever.
    pub looped: bool,
    /// Highest rung (lines).
    pub lines_max: u32,
    /// x264 preset, instead of the mode's own.
    pub preset: Option<String>,
    /// Whether viewers need no token (`Some(true)`) or do (`Some(false)`); `None` leaves it to the manager.
    pub open: Option<bool>,
    /// Viewer classes the stream is to admit, like `open`; none: all, or as it is.
    pub classes: Vec<String>,
}

impl Options {
    /// A live ladder of `input`.
    pub fn new(input: Input, target: Target) -> Self {
        Self {
            input,
            target,
            mode: Mode::Live,
            copy: false,
            looped: false,
            lines_max: 1080,
            preset: None,
            open: None,
            classes: Vec::new(),
        }
    }
}

/// How far a publish has come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Bytes sent, all connections together.
    pub bytes: u64,
    /// Media time made, of this connection.
    pub media: Duration,
    /// Frames per second, as ffmpeg says; 0 for the clip.
    pub fps: f32,
    /// Media seconds per second, as ffmpeg says; 0 for the clip. A live source below 1 falls behind.
    pub speed: f32,
    /// Connections that were lost and made anew.
    pub reconnects: u32,
    /// Whether media is being sent at this moment.
    pub sending: bool,
}

/// Why a publish ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ffmpeg or ffprobe is not there.
    #[error(
        "{program} was not found; install it (Debian, Ubuntu: apt install ffmpeg; macOS: brew install ffmpeg) or put it in PATH"
    )]
    Missing {
        /// Which program.
        program: &'static str,
    },
    /// ffmpeg or ffprobe does not start.
    #[error("{program} cannot be started: {error}")]
    Start {
        /// Which program.
        program: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The source cannot be read.
    #[error("{input} cannot be read; ffprobe says:\n{tail}")]
    Input {
        /// The source.
        input: String,
        /// The end of ffprobe's log.
        tail: String,
    },
    /// Neither video nor audio.
    #[error("{0} has neither video nor audio")]
    Nothing(String),
    /// Two options that exclude each other.
    #[error("{0}")]
    Options(&'static str),
    /// ffmpeg failed.
    #[error("ffmpeg failed; its log ends with:\n{tail}")]
    Ffmpeg {
        /// The end of its log.
        tail: String,
    },
    /// The clip cannot be looped.
    #[error(transparent)]
    Clip(#[from] crate::sample::Error),
    /// Not a URL.
    #[error("{url} is not an origin's URL ({why}); write it like http://127.0.0.1:8080")]
    BadTarget {
        /// What was given.
        url: String,
        /// What about it.
        why: String,
    },
    /// The origin said no.
    #[error("the origin refused ({status} {error}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The word for it.
        error: String,
        /// What to do.
        message: String,
    },
    /// No connection, or a lost one.
    #[error("the connection to {url} failed: {why}; check the address and that the origin runs")]
    Unreachable {
        /// Where to.
        url: String,
        /// Why.
        why: String,
    },
}

/// Publishes until the source ends, `stop` is cancelled or something final goes wrong. `progress` is called about twice
/// a second. A live publish that loses its connection is made anew, as a new run. Dropping the future kills ffmpeg.
pub async fn publish(
    options: &Options,
    stop: CancellationToken,
    mut progress: impl FnMut(Progress),
) -> Result<Progress, Error> {
    check(options)?;
    let client = push::client(&options.target)?;
    let (probe, target_duration_s) = look(options).await?;
    let head = Head { mode: options.mode, target_duration_s, open: options.open, classes: options.classes.join(",") };
    let mut state = Progress::default();
    let mut retries = Retries::default();
    let told = Told::default();
    let mut from_s = 0.0;
    loop {
        let (mut source, body) = open(options, &probe, from_s)?;
        let body: Body = match options.copy {
            true => Box::pin(advice::watched(body, target_duration_s, told.clone())),
            false => body,
        };
        let bytes_before = state.bytes;
        let outcome = match first_piece(body, &stop).await {
            Some(body) => {
                let sent = Arc::new(AtomicU64::new(0));
                let broken = CancellationToken::new();
                let _break_on_drop = broken.clone().drop_guard();
                let body = breakable(body.take_until(stop.clone().cancelled_owned()), broken);
                let pushing = push::push(&client, &options.target.key, &head, body, sent.clone(), &told);
                let mut observe = |sending| {
                    state.bytes = bytes_before + sent.load(Ordering::Relaxed);
                    source.fill(&mut state);
                    state.sending = sending;
                    progress(state);
                };
                watch(pushing, &stop, &mut observe).await
            }
            None => Outcome::Done,
        };
        source.check().await?;
        let sent = state.bytes - bytes_before;
        let error = match outcome {
            Outcome::Done if state.bytes == 0 && !stop.is_cancelled() => {
                return Err(Error::Nothing(options.input.to_string()));
            }
            Outcome::Done => return Ok(state),
            Outcome::Refused(error) if !retries.is_our_ghost(&error) => return Err(error),
            Outcome::Refused(error) | Outcome::Lost(error) => error,
        };
        let wait = retries.after(sent).filter(|_| options.mode == Mode::Live);
        let Some(wait) = wait else { return Err(error) };
        tracing::warn!(%error, "publishing again in {} s", wait.as_secs_f32());
        from_s += state.media.as_secs_f64();
        drop(source);
        tokio::select! {
            () = tokio::time::sleep(wait) => state.reconnects += 1,
            () = stop.cancelled() => return Ok(state),
        }
    }
}

/// Drives a push to its outcome and calls `observe(sending)` meanwhile. After `stop` the origin has some seconds to answer.
async fn watch(
    pushing: impl Future<Output = Outcome>,
    stop: &CancellationToken,
    observe: &mut impl FnMut(bool),
) -> Outcome {
    let mut pushing = std::pin::pin!(pushing);
    let mut given_up = std::pin::pin!(async {
        stop.cancelled().await;
        tokio::time::sleep(ANSWER_WITHIN).await;
    });
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let outcome = loop {
        tokio::select! {
            outcome = &mut pushing => break outcome,
            () = &mut given_up => break Outcome::Done,
            _ = ticks.tick() => observe(true),
        }
    };
    observe(false);
    outcome
}

/// A body that breaks off when `broken` is cancelled. An HTTP connection goes on sending by itself after it was
/// answered or its request was dropped, and a live body never ends.
fn breakable(
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    broken: CancellationToken,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let error = {
        let broken = broken.clone();
        async move { broken.is_cancelled().then(|| Err(io::Error::other("given up"))) }
    };
    let error = futures_util::stream::once(error).filter_map(std::future::ready);
    body.take_until(broken.cancelled_owned()).chain(error)
}

/// When a lost connection is made anew.
#[derive(Debug, Default)]
struct Retries {
    /// When the last connection that worked was lost.
    lost_at: Option<Instant>,
    wait: Duration,
}

impl Retries {
    /// How long to wait after a connection that carried `sent` bytes; `None` when none ever worked, as then the
    /// address is wrong rather than the network.
    fn after(&mut self, sent: u64) -> Option<Duration> {
        if sent >= FIRM_BYTES {
            (self.lost_at, self.wait) = (Some(Instant::now()), Duration::ZERO);
        }
        self.lost_at?;
        self.wait = (self.wait * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        Some(self.wait)
    }

    /// The origin may not have noticed yet that our connection was lost, and refuse us for our own sake.
    fn is_our_ghost(&self, error: &Error) -> bool {
        let lately = self.lost_at.is_some_and(|at| at.elapsed() < GHOST_MAX);
        lately && matches!(error, Error::Refused { error, .. } if error == "already_publishing")
    }
}

/// Options that make no sense together.
fn check(options: &Options) -> Result<(), Error> {
    let is_media = matches!(options.input, Input::Media(_));
    match options {
        Options { mode: Mode::Vod, looped: true, .. } => {
            Err(Error::Options("--vod and --loop exclude each other: a loop never ends"))
        }
        Options { mode: Mode::Vod, .. } if !is_media => {
            Err(Error::Options("only a file or URL can be published with --vod"))
        }
        Options { looped: true, input: Input::Media(source), .. } if source == "-" => {
            Err(Error::Options("standard input cannot be looped; publish a file"))
        }
        Options { copy: true, .. } if !is_media => Err(Error::Options("--copy is for files and URLs")),
        _ => Ok(()),
    }
}

/// Finds out what the source is, and for a file that is copied how far apart its keyframes are.
async fn look(options: &Options) -> Result<(Probe, Option<u32>), Error> {
    let Input::Media(source) = &options.input else {
        return Ok((Probe::of(probe::Video { lines: clock::SIZE.1, fps: (clock::FPS, 1) }), None));
    };
    if source == "-" {
        return Ok((Probe::UNKNOWN, None));
    }
    let probe = probe::probe(source).await?;
    if probe.video.is_none() && probe.audio == Some(false) {
        return Err(Error::Nothing(source.clone()));
    }
    let copied_file = options.copy && probe.seconds.is_some() && probe.video.is_some();
    let keyframes = if copied_file { probe::keyframe_seconds(source).await? } else { None };
    let keyframes = keyframes.filter(|&seconds| seconds > 2);
    if let Some(seconds) = keyframes {
        tracing::warn!(
            "keyframes of {source} are up to {seconds} s apart, so viewers start slower; set the encoder's keyframe interval to \
             2 s (-g 2×fps, OBS \"Keyframe Interval\" 2), or leave --copy out"
        );
    }
    if let Some(end_s) = probe.pictures_end_s.filter(|_| options.copy) {
        tracing::warn!(
            "the pictures of {source} end after {end_s:.0} s, its sound does not: the rest is left out; without --copy the \
             last picture stays until the sound ends"
        );
    }
    Ok((probe, keyframes))
}

type Body = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What makes the bytes.
enum Source {
    Ffmpeg(Ffmpeg),
    Clip { started: Instant },
}

fn open(options: &Options, probe: &Probe, from_s: f64) -> Result<(Source, Body), Error> {
    if options.input == Input::Clip {
        let started = Instant::now();
        return Ok((Source::Clip { started }, Box::pin(clip(Looper::sample(), started))));
    }
    let from_stdin = options.input == Input::Media("-".into());
    let (ffmpeg, output) = Ffmpeg::start(&command::args(options, probe, from_s), from_stdin)?;
    Ok((Source::Ffmpeg(ffmpeg), Box::pin(output)))
}

/// The looped clip in real time.
fn clip(looper: Looper, started: Instant) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(looper, move |mut looper| async move {
        let item = match looper.next_due() {
            Ok((due, bytes)) => {
                tokio::time::sleep_until(started + due).await;
                Ok(bytes)
            }
            Err(error) => Err(io::Error::other(error)),
        };
        Some((item, looper))
    })
}

impl Source {
    fn fill(&self, progress: &mut Progress) {
        match self {
            Self::Ffmpeg(ffmpeg) => {
                let Status { media, fps, speed } = *ffmpeg.status.borrow();
                (progress.media, progress.fps, progress.speed) = (media, fps, speed);
            }
            Self::Clip { started } => progress.media = started.elapsed(),
        }
    }

    /// The error when ffmpeg failed by itself, which looks like a lost connection from outside.
    async fn check(&mut self) -> Result<(), Error> {
        let Self::Ffmpeg(ffmpeg) = self else { return Ok(()) };
        ffmpeg.failure().await.map_or(Ok(()), |tail| Err(Error::Ffmpeg { tail }))
    }
}

/// Waits for the first bytes: a request is made only when there is something to send, as origins hang up on silence.
/// `None` when there never are any.
async fn first_piece(mut body: Body, stop: &CancellationToken) -> Option<Body> {
    let first = tokio::select! {
        first = body.next() => first?,
        () = stop.cancelled() => return None,
    };
    let first = first.ok()?;
    Some(Box::pin(futures_util::stream::once(std::future::ready(Ok(first))).chain(body)))
}

const PROGRESS_EVERY: Duration = Duration::from_millis(500);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// Longer than origins wait for bytes before they give a connection up.
const GHOST_MAX: Duration = Duration::from_secs(30);
/// How long an origin may take to answer after the end of the body.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection that took this much was a working one.
const FIRM_BYTES: u64 = 64 << 10;

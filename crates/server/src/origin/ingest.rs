//! How does a publisher's request become a run? `POST /v1/ingest/{stream}`: the body is fragmented MP4, however
//! long it lasts; the answer comes when it ends.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;
use trellis_ingest::packager::Options;
use trellis_proto::{Mode, StreamId};

use super::Origin;
use super::channels::Refused;
use super::run::{Finish, Run, RunError};
use crate::client::ClientError;
use crate::cluster_api::{ErrorBody, ORIGIN_STREAMS_MAX, PublishRequest, ViewerClass};
use crate::http::{Reply, error, json};
use crate::secret::bearer;

/// The route for publishers.
pub fn router(origin: Arc<Origin>) -> axum::Router {
    axum::Router::new()
        .route("/v1/ingest/{stream}", post(ingest))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(origin)
}

async fn ingest(
    State(origin): State<Arc<Origin>>,
    Path(stream): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> http::Response<Body> {
    // A task of its own: the request of a publisher that is gone may be dropped, and its run must end all the same.
    let (mut upload, asked) = Upload::new(body);
    let publishing = async {
        let task = tokio::spawn(async move {
            match publish(&origin, &stream, &headers, &mut upload).await {
                Ok(summary) => json(StatusCode::OK, &summary),
                Err(refusal) => {
                    tokio::spawn(hear_out(upload.pieces));
                    refusal.reply()
                }
            }
        });
        task.await.unwrap_or_else(|_| {
            error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "publishing failed; the origin's log says why", None)
        })
    };
    let still_here = async {
        if let Ok(answer) = asked.await {
            let _ = answer.send(());
        }
    };
    let (reply, ()) = tokio::join!(publishing, still_here);
    reply.map(Body::new)
}

/// The body of a request that may be dropped while it is read. The body of a dropped request looks complete, so its
/// end counts only once the request has said that it is still there.
pub(super) struct Upload {
    pieces: BodyDataStream,
    end: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

impl Upload {
    /// The body, and the question the request is to answer as long as it lives.
    pub(super) fn new(body: Body) -> (Self, oneshot::Receiver<oneshot::Sender<()>>) {
        let (end, asked) = oneshot::channel();
        (Self { pieces: body.into_data_stream(), end: Some(end) }, asked)
    }

    /// The next bytes; `None` when the publisher is done, an error when it is gone.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Gone> {
        match self.pieces.next().await {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(_)) => Err(Gone),
            None => self.ended().await.map(|()| None),
        }
    }

    async fn ended(&mut self) -> Result<(), Gone> {
        let (answer, answered) = oneshot::channel();
        self.end.take().ok_or(Gone)?.send(answer).map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

/// The publisher went away in the middle of its body.
#[derive(Debug, PartialEq)]
pub(super) struct Gone;

/// Reads on for a moment after a refusal: a connection that is closed on a publisher in full flow is reset, and the
/// answer lost with it.
async fn hear_out(mut pieces: BodyDataStream) {
    let unheard = async {
        let mut left = HEARD_OUT_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                break;
            }
        }
    };
    // Both limits mean the same: whoever has not read the answer by now will not.
    let _ = tokio::time::timeout(HEARD_OUT, unheard).await;
}

/// What a publisher is told when it cannot go on.
struct Refusal {
    status: StatusCode,
    body: ErrorBody,
}

impl Refusal {
    fn new(status: StatusCode, word: &str, message: impl Into<String>, retry_after: Option<u32>) -> Self {
        Self { status, body: ErrorBody { error: word.into(), message: message.into(), retry_after } }
    }

    fn reply(self) -> Reply {
        error(self.status, &self.body.error, self.body.message, self.body.retry_after)
    }
}

/// What a publisher is told at the end.
#[derive(serde::Serialize)]
struct Summary {
    stream: String,
    parts: u64,
    bytes: u64,
    /// What could be better, and how.
    warnings: Vec<String>,
}

async fn publish(
    origin: &Arc<Origin>,
    stream: &str,
    headers: &HeaderMap,
    upload: &mut Upload,
) -> Result<Summary, Refusal> {
    let stream: StreamId = stream.parse().map_err(|e: trellis_proto::IdError| {
        Refusal::new(StatusCode::BAD_REQUEST, "bad_stream", e.to_string(), None)
    })?;
    let mode = mode(headers)?;
    authorize(origin, &stream, headers).await?;
    let place = origin.claim(&stream).await.map_err(|why| unavailable(&stream, why))?;
    tracing::info!(%stream, ?mode, "a publisher begins");
    let options = Options { target_hint_s: header(headers, "trellis-target-duration").and_then(|v| v.parse().ok()) };
    let mut run = Run::new(origin.clone(), place, mode, options);
    let outcome = pump(&mut run, upload, origin, SILENCE).await;
    let result = run.finish(if outcome.is_ok() { Finish::Done } else { Finish::Lost }).await;
    let summary =
        Summary { stream: stream.to_string(), parts: run.parts(), bytes: run.bytes(), warnings: run.take_warnings() };
    match outcome {
        Ok(()) => match result {
            Ok(()) => tracing::info!(%stream, parts = summary.parts, "the publisher is done"),
            Err(error) => return Err(refused(&stream, &error)),
        },
        Err(stopped) => return Err(stopped.refusal(&stream)),
    }
    Ok(summary)
}

fn unavailable(stream: &StreamId, why: Refused) -> Refusal {
    match why {
        Refused::Taken => {
            let text =
                format!("`{stream}` already has a publisher; stop that one first, or choose another stream name");
            Refusal::new(StatusCode::CONFLICT, "already_publishing", text, None)
        }
        Refused::Full => {
            let text = format!(
                "this origin keeps {ORIGIN_STREAMS_MAX} streams and cannot take another; publish to another origin, or \
                 remove recordings from its data directory (vod/) and restart it"
            );
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "too_many_streams", text, None)
        }
    }
}

/// Why a body was not read to its end.
pub(super) enum Stopped {
    Media(RunError),
    Silent,
    Gone,
    Shutdown,
}

impl Stopped {
    fn refusal(self, stream: &StreamId) -> Refusal {
        match self {
            Self::Media(error) => refused(stream, &error),
            Self::Silent => {
                tracing::warn!(%stream, "the publisher fell silent");
                let text = format!("no media came for {} s; check the source and publish again", SILENCE.as_secs());
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "silent", text, Some(1))
            }
            Self::Gone => {
                tracing::warn!(%stream, "the publisher is gone");
                Refusal::new(StatusCode::BAD_REQUEST, "cut_short", "the body was cut short; publish again", Some(1))
            }
            Self::Shutdown => Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "shutdown",
                "the origin is restarting; publish again",
                Some(2),
            ),
        }
    }
}

fn refused(stream: &StreamId, why: &RunError) -> Refusal {
    tracing::warn!(%stream, %why, "the publisher's media cannot be taken");
    match why {
        RunError::Media(why) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_media", why.to_string(), None),
        RunError::Disk(why) => {
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "disk", format!("the origin cannot record: {why}"), None)
        }
        RunError::Table(why) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_media", why.clone(), None),
    }
}

/// Passes the body on until it ends, or brings nothing for as long as `silence`.
pub(super) async fn pump(
    run: &mut Run,
    upload: &mut Upload,
    origin: &Origin,
    silence: Duration,
) -> Result<(), Stopped> {
    let mut pulse = Pulse::new(Instant::now());
    loop {
        let mut next = pin!(next(upload, origin, pulse.since + silence));
        let piece = loop {
            tokio::select! {
                piece = &mut next => break piece?,
                () = run.next_due() => run.show_due().await.map_err(Stopped::Media)?,
            }
        };
        match piece {
            Some(bytes) => run.push(bytes).await.map_err(Stopped::Media)?,
            None => return Ok(()),
        }
        pulse.feel(Instant::now(), run.samples(), run.bytes());
    }
}

async fn next(upload: &mut Upload, origin: &Origin, until: Instant) -> Result<Option<Bytes>, Stopped> {
    tokio::select! {
        () = origin.stop.wait() => Err(Stopped::Shutdown),
        piece = tokio::time::timeout_at(until.into(), upload.next()) => match piece {
            Err(_) => Err(Stopped::Silent),
            Ok(piece) => piece.map_err(|Gone| Stopped::Gone),
        },
    }
}

/// When did the publisher last bring something? Bytes alone keep no place: there are boxes that say nothing, and they
/// can be sent a byte at a time. What counts is a sample, however seldom one comes and however small it is; or, since a
/// key frame of a film may be long on its way, as many bytes as any line worth the name brings.
struct Pulse {
    since: Instant,
    samples: u64,
    bytes: u64,
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self { since: now, samples: 0, bytes: 0 }
    }

    /// These are all that have come so far.
    fn feel(&mut self, now: Instant, samples: u64, bytes: u64) {
        if samples > self.samples || bytes - self.bytes >= PULSE_BYTES {
            *self = Self { since: now, samples, bytes };
        }
    }
}

fn mode(headers: &HeaderMap) -> Result<Mode, Refusal> {
    match header(headers, "trellis-mode").unwrap_or("live") {
        "live" => Ok(Mode::Live),
        "vod" => Ok(Mode::Vod),
        other => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "bad_mode",
            format!("trellis-mode is live or vod, not `{other}`"),
            None,
        )),
    }
}

/// The viewer classes the stream is to admit, with commas between them.
fn classes(headers: &HeaderMap) -> Result<BTreeSet<ViewerClass>, Refusal> {
    let named = header(headers, "trellis-classes").unwrap_or_default();
    let classes = named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::parse);
    classes.collect::<Result<_, _>>().map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, "bad_class", why, None))
}

async fn authorize(origin: &Origin, stream: &StreamId, headers: &HeaderMap) -> Result<(), Refusal> {
    let Ok(Some(key)) = bearer(headers) else {
        let text = "a stream key is needed: send it as `Authorization: Bearer …` (trellis publish --key)";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "key_missing", text, None));
    };
    let open = match header(headers, "trellis-access") {
        Some("open") => Some(true),
        Some("token") => Some(false),
        _ => None,
    };
    let request = PublishRequest {
        stream: stream.to_string(),
        key: key.into(),
        origin: origin.config.name().to_owned(),
        instance: origin.lease.instance().clone(),
        open,
        classes: classes(headers)?,
    };
    match origin.manager.publish(&request).await {
        Ok(_) => Ok(()),
        Err(ClientError::Refused { status, error: word, message }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            Err(Refusal::new(status, &word, message, None))
        }
        Err(why @ ClientError::Unreachable { .. }) => {
            tracing::warn!(%stream, %why, "a publisher cannot be authorized");
            Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "manager_unreachable",
                "the manager cannot be reached; publish again in a moment",
                Some(2),
            ))
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A source that brings nothing for this long has lost its publisher.
const SILENCE: Duration = Duration::from_secs(10);
/// 13 kbit/s over that time.
const PULSE_BYTES: u64 = 16 << 10;
/// After a refusal.
const HEARD_OUT: Duration = Duration::from_secs(3);
const HEARD_OUT_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_not_silent() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(start);
        let mut since = |seconds, samples, bytes| {
            pulse.feel(after(seconds), samples, bytes);
            (pulse.since - start).as_secs()
        };
        assert_eq!(since(1, 0, 900), 0, "a header is no media yet");
        assert_eq!(since(9, 1, 950), 9, "a slide of fifty bytes is");
        assert_eq!(since(18, 2, 990), 18);
        assert_eq!(since(27, 2, 990 + PULSE_BYTES), 27, "a frame of which so much has come");
        assert_eq!(since(36, 2, 990 + 2 * PULSE_BYTES - 1), 27, "a drip");
    }
}

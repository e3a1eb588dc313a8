//! How is a stream's shelf served? The names under `…/s/{stream}/` (ARCHITECTURE.md, "URLs"), the same at every
//! origin and edge, byte for byte.

use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use trellis_media::playlist::{self, Wait};
use trellis_media::timeline::Timeline;
use trellis_proto::{Descriptor, RenditionName, RunId};

use super::feed::{after_query, feed};
use super::object::slices;
use super::range::{Wanted, wanted};
use super::{Item, Key, Object, Shelf};
use crate::clock::unix_ms;
use crate::cluster_api::StreamState;
use crate::http::{Body, Coded, Reply, Stop, error, head, json};

/// A request below `…/s/{stream}/`.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// What follows `…/s/{stream}/`.
    pub name: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
}

/// An answer, and whether its bytes are media or not.
pub struct Served {
    /// The answer.
    pub reply: Reply,
    /// Of an init segment, a segment or a part. That there is none is said in words.
    pub media: bool,
}

/// Answers one request. What may wait is boxed, for what does not is most and should move little.
pub async fn serve(shelf: &Arc<Shelf>, ask: Ask<'_>, stop: &Stop) -> Served {
    let other = |reply| Served { reply, media: false };
    if ask.method != Method::GET && ask.method != Method::HEAD {
        return other(error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET or HEAD", None));
    }
    // A feed tells what is known; everything else is answered from the whole. What a player of before asks of an edge
    // that just restarted is there in a moment.
    if !shelf.is_complete() && ask.name != "feed" {
        // What a recording is stands in its first table, and a page that is not told in time takes the edge for dead.
        let state_only = ask.name == "state.json";
        let enough = |shelf: &Shelf| shelf.is_complete() || state_only && shelf.state() == StreamState::Vod;
        let come = Box::pin(patiently(come(shelf, enough, FIRST_TABLES), BLOCKED_MAX, stop)).await == Some(true);
        if !come && !state_only {
            return other(not_live());
        }
    }
    let mut steps = ask.name.split('/');
    let reply = match (steps.next(), steps.next()) {
        (Some("index.m3u8"), None) => Box::pin(multivariant(shelf, ask.headers, stop)).await,
        (Some("state.json"), None) => json(StatusCode::OK, &state(shelf)),
        (Some("feed"), None) => follow(shelf, ask.query, stop),
        (Some(name), None) => match name.strip_suffix(".m3u8").map(str::parse) {
            Some(Ok(name)) => Box::pin(media_playlist(shelf, name, ask, stop)).await,
            _ => not_found(),
        },
        _ => match MediaName::parse(ask.name) {
            Some(name) => {
                let reply = object(shelf, &name, ask, stop).await;
                return Served { media: reply.status().is_success(), reply };
            }
            None => not_found(),
        },
    };
    other(reply)
}

/// Waits until enough has come in, for as long as something does: a film's tables take seconds to check. False: nothing
/// has come for as long as `patience`, or nothing will.
async fn come(shelf: &Shelf, enough: impl Fn(&Shelf) -> bool, patience: Duration) -> bool {
    let mut changes = shelf.changes();
    loop {
        changes.borrow_and_update();
        if enough(shelf) || shelf.is_closed() {
            return enough(shelf);
        }
        if !matches!(tokio::time::timeout(patience, changes.changed()).await, Ok(Ok(()))) {
            return false;
        }
    }
}

#[derive(serde::Serialize)]
struct StateBody {
    state: StreamState,
    server_time_ms: u64,
}

fn state(shelf: &Shelf) -> StateBody {
    StateBody { state: shelf.state(), server_time_ms: unix_ms() }
}

fn follow(shelf: &Arc<Shelf>, query: Option<&str>, stop: &Stop) -> Reply {
    let stream = feed(shelf.clone(), after_query(query), stop.clone());
    let mut reply = Response::new(Body::stream(stream, None));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

async fn multivariant(shelf: &Shelf, asked: &HeaderMap, stop: &Stop) -> Reply {
    let mut changes = shelf.changes();
    let ready = async {
        loop {
            changes.borrow_and_update();
            if let Some(text) = shelf.text(None, false) {
                return Some(text);
            }
            changes.changed().await.ok()?;
        }
    };
    match patiently(ready, FIRST_TABLES, stop).await.flatten() {
        Some(text) => playlist_reply(&text, asked),
        None => not_live(),
    }
}

async fn media_playlist(shelf: &Shelf, name: RenditionName, ask: Ask<'_>, stop: &Stop) -> Reply {
    let field =
        |key: &str| ask.query.and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')));
    let number = |key| field(key).map(str::parse::<u64>).transpose();
    let (Ok(msn), Ok(part)) = (number("_HLS_msn"), number("_HLS_part")) else {
        return error(StatusCode::BAD_REQUEST, "bad_request", "_HLS_msn and _HLS_part must be numbers", None);
    };
    if msn.is_none() && part.is_some() {
        return error(StatusCode::BAD_REQUEST, "bad_request", "_HLS_part needs _HLS_msn", None);
    }
    let skip = matches!(field("_HLS_skip"), Some("YES" | "v2"));
    let mut changes = shelf.changes();
    let ready = async {
        loop {
            changes.borrow_and_update();
            let wait = msn.map_or(Wait::Ready, |msn| shelf.look(|t| playlist::must_wait(t, msn, part)));
            let text = match wait {
                Wait::Ready => Ok(shelf.text(Some(name), skip)),
                Wait::Wait => Ok(None),
                Wait::TooFar => Err(()),
            };
            match text {
                // No rendition is playable before the first whole segment; afterwards a missing one is a wrong name.
                Ok(None) if wait == Wait::Wait || shelf.text(None, false).is_none() => {}
                Ok(text) => return Ok(text),
                Err(()) => return Err(()),
            }
            if changes.changed().await.is_err() {
                return Ok(None);
            }
        }
    };
    match patiently(ready, three_targets(shelf), stop).await {
        Some(Ok(Some(text))) => playlist_reply(&text, ask.headers),
        Some(Ok(None)) => not_found(),
        Some(Err(())) => error(StatusCode::BAD_REQUEST, "bad_request", "_HLS_msn lies too far ahead", None),
        None => {
            error(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the publisher has sent nothing new; ask again", Some(1))
        }
    }
}

/// RFC 8216bis §6.2.5.2: a blocked playlist fails after three target durations; at the latest after [`BLOCKED_MAX`].
fn three_targets(shelf: &Shelf) -> Duration {
    let target_s = shelf.look(|timeline| timeline.newest().map_or(SEGMENT_USUAL_S, |c| c.segment_target_s.into()));
    Duration::from_secs(3 * target_s).min(BLOCKED_MAX)
}

/// `{run}/{rendition}/{file}`.
#[derive(Debug, Clone, Copy)]
pub struct MediaName<'a> {
    text: &'a str,
    run: RunId,
    rendition: RenditionName,
    file: File,
}

impl<'a> MediaName<'a> {
    /// None when it is no such name.
    pub fn parse(text: &'a str) -> Option<Self> {
        // These steps are short: looking at each byte is quicker than searching for one.
        let step = |text: &'a str| text.split_at_checked(text.bytes().position(|b| b == b'/')?);
        let (run, rest) = step(text)?;
        let (rendition, file) = step(&rest[1..])?;
        let (run, rendition) = (run.parse().ok()?, rendition.parse().ok()?);
        Some(Self { text, run, rendition, file: File::parse(&file[1..])? })
    }
}

/// The last step of a media path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Init,
    Segment(u64),
    Part(u64),
}

impl File {
    fn parse(name: &str) -> Option<Self> {
        if name == "init.mp4" {
            return Some(Self::Init);
        }
        let stem = name.strip_suffix(".m4s")?;
        let (kind, digits) = stem.split_at_checked(1)?;
        // One name per object: no leading zero, no sign.
        let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let number = digits.parse().ok().filter(|_| canonical)?;
        match kind {
            "s" => Some(Self::Segment(number)),
            "p" => Some(Self::Part(number)),
            _ => None,
        }
    }
}

/// What [`serve`] answers a GET of this name with, when it is one object and whole here. Its header fields are written
/// to `head`.
pub fn at_hand(shelf: &Shelf, name: &MediaName<'_>, now_ms: u64, head: &mut Vec<u8>) -> Option<Bytes> {
    if !shelf.is_complete() {
        return None;
    }
    let key = shelf.look(|timeline| single(timeline, name))?;
    let whole = shelf.held(key, |object| {
        object.touch((now_ms / 1000) as u32);
        object.whole().cloned()
    })??;
    head.extend_from_slice(&FIELDS[usize::from(name.file == File::Init)]);
    for part in [ETAG.as_str(), ": \"", name.text, "\"\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    Some(whole)
}

/// The parts of a run's rendition that the answer to this name is made of. None: it is no such name, or not known.
pub fn parts(shelf: &Shelf, name: &str) -> Option<(RunId, u8, RangeInclusive<u64>)> {
    let name = MediaName::parse(name)?;
    shelf.look(|timeline| {
        let rendition = timeline.catalogue(name.run)?.index_of(name.rendition)? as u8;
        let parts = match name.file {
            File::Init => return None,
            File::Part(part) => timeline.part(name.run, part).map(|_| part..=part)?,
            File::Segment(msn) => timeline.segment(name.run, msn)?,
        };
        Some((name.run, rendition, parts))
    })
}

/// What a name stands for, where that is one object and known.
fn single(timeline: &Timeline, name: &MediaName<'_>) -> Option<Key> {
    let item = match name.file {
        File::Init => Item::Init,
        File::Part(part) => timeline.part(name.run, part).map(|_| Item::Part(part))?,
        File::Segment(_) => return None,
    };
    Some(Key { run: name.run, rendition: timeline.catalogue(name.run)?.index_of(name.rendition)? as u8, item })
}

/// [`fields`] as they stand in a head: of media, and of init segments.
static FIELDS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [File::Part(0), File::Init].map(|file| {
        let mut text = Vec::new();
        fields(file).iter().for_each(|(name, value)| head::field(&mut text, name.as_str(), value.as_bytes()));
        text
    })
});

async fn object(shelf: &Arc<Shelf>, name: &MediaName<'_>, ask: Ask<'_>, stop: &Stop) -> Reply {
    let file = name.file;
    let found = match find(shelf, name) {
        Found::Next => match Box::pin(patiently(next(shelf, name), BLOCKED_PART, stop)).await {
            Some(Some(keys)) => keys,
            Some(None) => return not_found(),
            None => return not_yet(),
        },
        Found::Here(keys) => keys,
        // What is new elsewhere is not known here while no tables come in.
        Found::Nowhere if shelf.state() == StreamState::Paused && shelf.is_stale() => return not_yet(),
        Found::Nowhere => return not_found(),
    };
    if *ask.method == Method::HEAD {
        // What is known of an object answers this; its bytes stay where they are.
        return media_reply(found.iter().map(|(_, size)| size).sum(), file, ask, |_| Body::empty());
    }
    let objects: Option<Vec<_>> = found.into_iter().map(|(key, size)| shelf.object(key, size)).collect();
    let Some(objects) = objects else { return not_found() };
    let now_s = (unix_ms() / 1000) as u32;
    objects.iter().for_each(|object| object.touch(now_s));
    media_reply(objects.iter().map(|object| object.size()).sum(), file, ask, |range| body(&objects, range))
}

enum Found {
    Here(Vec<(Key, usize)>),
    /// Not yet, but announced by a preload hint.
    Next,
    Nowhere,
}

fn find(shelf: &Shelf, name: &MediaName<'_>) -> Found {
    let MediaName { run, rendition, file, .. } = *name;
    shelf.look(|timeline| {
        let Some((catalogue, index)) = timeline.catalogue(run).and_then(|c| Some((c, c.index_of(rendition)?))) else {
            return Found::Nowhere;
        };
        let key = |item| Key { run, rendition: index as u8, item };
        let part = |number: u64, d: &Descriptor| (key(Item::Part(number)), d.tracks[index].size() as usize);
        match file {
            File::Init => Found::Here(vec![(key(Item::Init), catalogue.renditions[index].init_size as usize)]),
            File::Part(number) => match timeline.part(run, number) {
                Some(descriptor) => Found::Here(vec![part(number, descriptor)]),
                None if timeline.is_next(run, number) => Found::Next,
                None => Found::Nowhere,
            },
            File::Segment(msn) => match timeline.segment(run, msn) {
                Some(parts) => Found::Here(parts.filter_map(|n| Some(part(n, timeline.part(run, n)?))).collect()),
                None => Found::Nowhere,
            },
        }
    })
}

async fn next(shelf: &Shelf, name: &MediaName<'_>) -> Option<Vec<(Key, usize)>> {
    let mut changes = shelf.changes();
    loop {
        changes.borrow_and_update();
        match find(shelf, name) {
            Found::Here(keys) => return Some(keys),
            Found::Next => changes.changed().await.ok()?,
            Found::Nowhere => return None,
        }
    }
}

fn media_reply(size: usize, file: File, ask: Ask<'_>, body: impl FnOnce(Range<usize>) -> Body) -> Reply {
    let etag = etag(ask.name);
    let header = |name| ask.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if header(IF_NONE_MATCH).is_some_and(|seen| has_seen(seen, &etag)) {
        return dressed(Body::empty(), StatusCode::NOT_MODIFIED, file, etag);
    }
    // A range of another object than the one that is here would be no use: RFC 9110 §13.1.5. There are no dates. And only
    // a GET has ranges: §14.2.
    let apt = |_: &_| *ask.method == Method::GET && ask.headers.get(IF_RANGE).is_none_or(|of| of == etag);
    let (status, range) = match wanted(header(RANGE).filter(apt), size) {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Some(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => {
            let mut reply = error(StatusCode::RANGE_NOT_SATISFIABLE, "range", "the range lies beyond the object", None);
            reply.headers_mut().insert(CONTENT_RANGE, ascii(format!("bytes */{size}")));
            return reply;
        }
    };
    let content_range = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| ascii(format!("bytes {}-{}/{size}", range.start, range.end - 1)));
    let length = (*ask.method == Method::HEAD).then_some(range.len());
    let mut reply = dressed(body(range), status, file, etag);
    let headers = reply.headers_mut();
    if let Some(value) = content_range {
        headers.insert(CONTENT_RANGE, value);
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    reply
}

/// Does an `If-None-Match` name it? RFC 9110 §13.1.2: any, or one of a list, weak or not.
fn has_seen(header: &str, etag: &HeaderValue) -> bool {
    header.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The bytes: at once when they are all here, else as they arrive.
fn body(objects: &[Arc<Object>], range: Range<usize>) -> Body {
    // A part or an init segment: one object, nearly always whole.
    if let [object] = objects
        && let Some(whole) = object.whole()
    {
        return Body::full(whole.slice(range));
    }
    let mut start = 0;
    let wanted: Vec<_> = objects
        .iter()
        .filter_map(|object| {
            let (from, to) = (range.start.max(start), range.end.min(start + object.size()));
            let inner = from.saturating_sub(start)..to.saturating_sub(start);
            start += object.size();
            (!inner.is_empty()).then(|| (object.clone(), inner))
        })
        .collect();
    match slices(&wanted) {
        Some(pieces) => Body::pieces(pieces),
        None => {
            use futures_util::StreamExt;
            let reads = futures_util::stream::iter(wanted).map(|(object, range)| object.read(range)).flatten();
            Body::stream(reads, Some(range.len() as u64))
        }
    }
}

fn dressed(body: Body, status: StatusCode, file: File, etag: HeaderValue) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.reserve(HEADERS_USUAL);
    for (name, value) in fields(file) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(ETAG, etag);
    reply
}

/// Of every media answer, before its tag.
fn fields(file: File) -> [(HeaderName, &'static str); 3] {
    let kind = if file == File::Init { "video/mp4" } else { "video/iso.segment" };
    [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable"), (ACCEPT_RANGES, "bytes")]
}

/// Identity is content: an object has one name and a name is never reused, so it is itself a strong validator.
fn etag(name: &str) -> HeaderValue {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    text.push_str(name);
    text.push('"');
    ascii(text)
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("digits, letters, slashes and quotes are a header value")
}

fn playlist_reply(text: &Coded, asked: &HeaderMap) -> Reply {
    let mut reply = Response::new(Body::empty());
    let headers = reply.headers_mut();
    let body = text.body(asked, headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply.map(|_| Body::full(body))
}

/// Not for ever, so nothing below 500: players take that for the end.
fn not_live() -> Reply {
    let message = "nobody publishes this stream now, or it cannot be reached from here; ask again";
    error(StatusCode::SERVICE_UNAVAILABLE, "not_live", message, Some(2))
}

fn not_yet() -> Reply {
    error(StatusCode::SERVICE_UNAVAILABLE, "not_yet", "this has not come in yet; ask again", Some(1))
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "not_found", "no such object: it never was, or it has left the window", None)
}

/// Waits, but not for ever and not through a shutdown.
async fn patiently<T>(ready: impl Future<Output = T>, limit: Duration, stop: &Stop) -> Option<T> {
    tokio::select! {
        biased;
        value = ready => Some(value),
        () = stop.wait() => None,
        () = tokio::time::sleep(limit) => None,
    }
}

/// Those of a media answer with those of CORS: room for them is made once.
const HEADERS_USUAL: usize = 10;
/// Before a run has said how long its own are.
const SEGMENT_USUAL_S: u64 = 2;
/// A stream that is being fetched for its first viewer has its first tables by then, and more by as long again.
const FIRST_TABLES: Duration = Duration::from_secs(4);
/// No answer is blocked for longer, however long a stream's segments are: who asks again is seen to be there.
pub const BLOCKED_MAX: Duration = Duration::from_secs(20);
/// A hinted part comes within a part time, or the publisher is gone.
const BLOCKED_PART: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0000000000000001/v0/p7.m4s";

    fn reply(method: Method, headers: &[(http::HeaderName, &str)]) -> Reply {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let ask = Ask { method: &method, name: NAME, query: None, headers: &headers };
        media_reply(100, File::Part(7), ask, |range| Body::full(vec![0; range.len()].into()))
    }

    #[test]
    fn conditions_as_the_rfc_has_them() {
        let (tag, range) = (format!("\"{NAME}\""), (RANGE, "bytes=10-19"));
        for (headers, expected) in [
            (vec![(IF_NONE_MATCH, tag.as_str())], 304),
            (vec![(IF_NONE_MATCH, &format!("\"x\", W/{tag}"))], 304),
            (vec![(IF_NONE_MATCH, "*")], 304),
            (vec![(IF_NONE_MATCH, "\"x\"")], 200),
            (vec![range.clone()], 206),
            (vec![range.clone(), (IF_RANGE, tag.as_str())], 206),
            (vec![range.clone(), (IF_RANGE, "\"x\"")], 200),
            (vec![range.clone(), (IF_RANGE, &format!("W/{tag}"))], 200),
            (vec![range, (IF_RANGE, "Sun, 06 Nov 1994 08:49:37 GMT")], 200),
        ] {
            assert_eq!(reply(Method::GET, &headers).status(), expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_whose_tables_did_not_come_is_to_be_asked_for_again() {
        let shelf = Shelf::alone("demo");
        let headers = HeaderMap::new();
        for name in ["index.m3u8", "v0.m3u8", NAME] {
            // A stop cuts the wait short; what is said is what is said at its end.
            let (switch, stop) = Stop::new();
            switch.send_replace(true);
            let reply =
                serve(&shelf, Ask { method: &Method::GET, name, query: None, headers: &headers }, &stop).await.reply;
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE, "{name}");
            assert!(reply.headers().contains_key(http::header::RETRY_AFTER), "{name}");
        }
    }

    #[tokio::test]
    async fn a_playlist_is_sent_compressed_to_whoever_takes_that_and_made_once() {
        use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
        let text = Coded::new("#EXTINF:2.0,\n".repeat(10_000), flate2::Compression::fast());
        let body = async |accept: &str| {
            let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, accept.parse().unwrap())]);
            let reply = playlist_reply(&text, &asked);
            assert_eq!(reply.headers()[VARY], "accept-encoding");
            let coding = reply.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned());
            (coding, axum::body::to_bytes(axum::body::Body::new(reply.into_body()), 1 << 20).await.unwrap())
        };
        let ((plain, whole), (gzip, small)) = (body("identity").await, body("gzip, deflate").await);
        assert_eq!((plain, whole.len(), gzip.as_deref()), (None, 130_000, Some("gzip")));
        assert!(small.len() < whole.len() / 16, "{}", small.len());
        assert_eq!(body("gzip").await.1.as_ptr(), small.as_ptr());
    }

    #[tokio::test]
    async fn a_recording_is_awaited_as_long_as_its_tables_come_in() {
        let (shelf, patience) = (Shelf::alone("film"), Duration::from_millis(150));
        assert!(!come(&shelf, Shelf::is_complete, patience).await);
        let tables = async {
            for _ in 0..4 {
                tokio::time::sleep(patience / 2).await;
                shelf.version.send_modify(|version| *version += 1);
            }
            shelf.set_complete();
        };
        assert!(tokio::join!(tables, come(&shelf, Shelf::is_complete, patience)).1);
        let gone = Shelf::alone("film");
        gone.close();
        assert!(!come(&gone, Shelf::is_complete, BLOCKED_MAX).await, "and no longer once it turned out to be damaged");
    }

    #[test]
    fn a_head_says_the_whole_length_whatever_the_range() {
        for headers in [&[][..], &[(RANGE, "bytes=10-19")], &[(RANGE, "bytes=100-")]] {
            let reply = reply(Method::HEAD, headers);
            assert_eq!((reply.status(), &reply.headers()[CONTENT_LENGTH]), (StatusCode::OK, &"100".parse().unwrap()));
            assert!(!reply.headers().contains_key(CONTENT_RANGE), "{headers:?}");
        }
    }

    #[test]
    fn every_object_has_one_name() {
        assert_eq!(File::parse("init.mp4"), Some(File::Init));
        assert_eq!(File::parse("s0.m4s"), Some(File::Segment(0)));
        assert_eq!(File::parse("p120.m4s"), Some(File::Part(120)));
        for bad in ["", "p.m4s", "p01.m4s", "p+1.m4s", "x1.m4s", "p1", "p-1.m4s", "é1.m4s", "p99999999999999999999.m4s"]
        {
            assert_eq!(File::parse(bad), None, "{bad}");
        }
    }
}

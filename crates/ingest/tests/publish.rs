//! The publisher against an origin of a few lines: what it sends, and what it does when told no or cut off.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use trellis_ingest::packager::{self, Event, Packager, Warning};
use trellis_ingest::publish::{Error, Input, Mode, Options, Target, publish, watch_url};

/// One request: its head, then its body piece by piece.
struct Request {
    head: String,
    stream: BufReader<TcpStream>,
}

impl Request {
    async fn accept(listener: &TcpListener) -> Self {
        let (socket, _) = listener.accept().await.expect("a connection");
        let mut stream = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).await.expect("a head") > 0, "cut off: {head}");
        }
        Self { head, stream }
    }

    /// The next piece of the chunked body; `None` at its clean end.
    async fn piece(&mut self) -> Option<Bytes> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.expect("a chunk size");
        let bytes = usize::from_str_radix(size.trim(), 16).expect("a chunk size in hex");
        let mut piece = vec![0; bytes + 2];
        self.stream.read_exact(&mut piece).await.expect("a chunk");
        piece.truncate(bytes);
        (bytes > 0).then(|| piece.into())
    }

    async fn answer(&mut self, status: &str, body: &str) {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.stream.get_mut().write_all(text.as_bytes()).await.expect("the publisher reads the answer");
    }
}

/// No test waits for ever.
async fn bounded<T>(publishing: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), publishing).await.expect("an end within 30 s")
}

async fn origin() -> (TcpListener, Options) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
    (listener, Options::new(Input::Clip, Target { url, stream: "demo".into(), key: "secret".into() }))
}

#[tokio::test]
async fn the_clip_is_sent_until_stopped_and_ends_cleanly() {
    let (listener, options) = origin().await;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let served = tokio::spawn(async move {
        let mut request = Request::accept(&listener).await;
        let mut packager = Packager::new(packager::Options::default());
        let mut parts = 0;
        while let Some(piece) = request.piece().await {
            packager.push(piece).expect("sound media");
            parts += std::iter::from_fn(|| packager.poll()).filter(|event| matches!(event, Event::Part(_))).count();
            // The first segment comes at once.
            if parts == 6 {
                stopping.cancel();
            }
        }
        request.answer("200 OK", "{}").await;
        (request.head.to_lowercase(), parts)
    });
    let done = bounded(publish(&options, stop, |_| {})).await.expect("a clean end");
    let (head, parts) = served.await.expect("the origin");
    assert!(head.starts_with("post /v1/ingest/demo http/1.1\r\n"), "{head}");
    for line in ["authorization: bearer secret", "content-type: video/mp4", "trellis-mode: live"] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
    }
    assert!(parts >= 6 && done.bytes > 300_000 && done.reconnects == 0, "{parts} parts, {done:?}");
}

#[tokio::test]
async fn a_refusal_is_final_and_its_message_shown() {
    let (listener, options) = origin().await;
    let served = tokio::spawn(async move {
        let mut request = Request::accept(&listener).await;
        request.answer("409 Conflict", r#"{"error":"already_publishing","message":"stop the other one first"}"#).await;
        while tokio::time::timeout(Duration::from_secs(5), request.stream.fill_buf())
            .await
            .is_ok_and(|read| read.is_ok_and(|b| !b.is_empty()))
        {
            let read = request.stream.buffer().len();
            request.stream.consume(read);
        }
    });
    let error = bounded(publish(&options, CancellationToken::new(), |_| {})).await.expect_err("a refusal");
    assert_eq!(error.to_string(), "the origin refused (409 already_publishing): stop the other one first");
    served.await.expect("the origin");
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let (listener, options) = origin().await;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let served = tokio::spawn(async move {
        let mut first = Request::accept(&listener).await;
        let mut got = 0;
        while got < 200_000 {
            got += first.piece().await.expect("an endless clip").len();
        }
        drop(first);
        // The origin has not noticed yet: a refusal for the publisher's own sake is not final.
        let mut ghost = Request::accept(&listener).await;
        ghost.answer("409 Conflict", r#"{"error":"already_publishing","message":"wait"}"#).await;
        drop(ghost);
        let mut second = Request::accept(&listener).await;
        let header = second.piece().await.expect("a header");
        assert_eq!(&header[4..8], b"ftyp");
        stopping.cancel();
        while second.piece().await.is_some() {}
        second.answer("200 OK", "{}").await;
    });
    let done = bounded(publish(&options, stop, |_| {})).await.expect("a clean end");
    served.await.expect("the origin");
    assert_eq!(done.reconnects, 2);
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let (listener, options) = origin().await;
    drop(listener);
    let error = bounded(publish(&options, CancellationToken::new(), |_| {})).await.expect_err("nobody listens");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

/// Copied sound keeps coming after a loop's first pass, whether its source frames it as MP4 does or as MPEG-TS does.
#[tokio::test]
async fn a_copied_loop_keeps_its_sound() {
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let copied = ["film.mp4", "film.ts"].map(|name| copied_loop(two_seconds(&folder.path().join(name))));
    for (name, silent) in ["mp4", "ts"].into_iter().zip(futures_util::future::join_all(copied).await) {
        assert_eq!(silent, [""; 0], "the loop of film.{name} lost its sound");
    }
}

/// Fragments of five seconds, in which the sound lies behind the pictures, as ffmpeg makes them by itself.
#[tokio::test]
async fn long_fragments_keep_their_sound() {
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let film = folder.path().join("long.mp4");
    let made = tokio::process::Command::new("ffmpeg")
        .args("-v error -f lavfi -i testsrc=size=160x90:rate=25 -f lavfi -i sine -t 20 -c:v libx264 -g 125".split(' '))
        .args("-sc_threshold 0 -bf 0 -c:a aac -movflags frag_keyframe+empty_moov+default_base_moof".split(' '))
        .arg(&film)
        .status();
    assert!(made.await.expect("ffmpeg").success());
    let mut packager = Packager::new(packager::Options::default());
    packager.push(std::fs::read(&film).expect("the film").into()).expect("sound media");
    packager.finish().expect("a whole film");
    let warnings: Vec<_> = std::iter::from_fn(|| packager.poll())
        .filter_map(|event| if let Event::Warning(warning) = event { Some(warning) } else { None })
        .collect();
    assert!(!warnings.iter().any(|warning| matches!(warning, Warning::Lagging { .. })), "{warnings:?}");
}

/// Loops a film of two seconds and says which renditions silence stood in for in three passes.
async fn copied_loop(film: String) -> Vec<String> {
    const PARTS: u64 = 20;
    let (listener, options) = origin().await;
    let options = Options { input: Input::Media(film), copy: true, looped: true, ..options };
    let stop = CancellationToken::new();
    let publishing = tokio::spawn({
        let stop = stop.clone();
        async move { publish(&options, stop, |_| {}).await }
    });
    let silent = bounded(async {
        let mut request = Request::accept(&listener).await;
        let mut packager = Packager::new(packager::Options::default());
        let mut silent = Vec::new();
        loop {
            packager.push(request.piece().await.expect("an endless loop")).expect("sound media");
            while let Some(event) = packager.poll() {
                match event {
                    Event::Warning(Warning::Lagging { rendition }) => silent.push(rendition),
                    Event::Part(part) if part.number == PARTS => return silent,
                    _ => {}
                }
            }
        }
    });
    let silent = silent.await;
    stop.cancel();
    publishing.abort();
    silent
}

fn two_seconds(path: &Path) -> String {
    let args = "-v error -f lavfi -i testsrc=size=64x36:rate=25 -f lavfi -i sine=sample_rate=48000 -t 2 \
                -c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac";
    let made = Command::new("ffmpeg").args(args.split_whitespace()).arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "ffmpeg makes a film");
    path.display().to_string()
}

#[tokio::test]
async fn options_that_exclude_each_other_are_refused() {
    let (_listener, clip) = origin().await;
    let endless = Options { mode: Mode::Vod, looped: true, input: Input::Media("a.mp4".into()), ..clip.clone() };
    let stdin = Options { looped: true, input: Input::Media("-".into()), ..clip.clone() };
    for options in [endless, stdin, Options { mode: Mode::Vod, ..clip.clone() }, Options { copy: true, ..clip }] {
        let error = bounded(publish(&options, CancellationToken::new(), |_| {})).await.expect_err("a refusal");
        assert!(matches!(error, Error::Options(_)));
    }
}

#[tokio::test]
async fn the_watch_page_is_where_the_origin_points_to() {
    let (listener, options) = origin().await;
    let served = tokio::spawn(async move {
        for answer in ["307 Temporary Redirect\r\nlocation: https://manager.example/watch/demo", "200 OK"] {
            let mut request = Request::accept(&listener).await;
            assert!(request.head.starts_with("HEAD /watch/demo "), "{}", request.head);
            request.answer(answer, "").await;
        }
    });
    let ask = async || bounded(watch_url(&options.target)).await.expect("a good target");
    assert_eq!(ask().await, "https://manager.example/watch/demo");
    let here = format!("{}/watch/demo", options.target.url);
    assert_eq!(ask().await, here);
    served.await.expect("two questions");
    assert_eq!(ask().await, here, "nobody answers");
}

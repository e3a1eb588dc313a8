//! What can somebody do who means harm, or does not know better? A clear no, a bounded cost, and nothing else disturbed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Method;
use trellis_tests::client::{Reply, Viewer, client, join, send, try_send};
use trellis_tests::media::film;
use trellis_tests::publisher::{Channel, Frames, Publisher, clip, open, vod};
use trellis_tests::server::{Cluster, Server, Setup};
use trellis_tests::{PATIENCE, eventually, root};

/// A live stream that must not notice anything.
async fn bystander(server: &Server) -> (Channel, Viewer) {
    let channel = Channel::start(server, &server.key("publish.key"), "bystander");
    (channel, admitted(server, "bystander").await)
}

async fn admitted(manager: &Server, stream: &str) -> Viewer {
    eventually("the stream can be joined", PATIENCE, async || {
        let there = join(manager, stream, None).await.status == 200;
        if there { Some(Viewer::join(manager, stream, None).await) } else { None }
    })
    .await
}

/// It plays on: something new comes, and can be fetched.
async fn undisturbed(server: &mut Server, viewer: &Viewer) {
    assert!(server.process().ended().is_none(), "the server is gone");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!(server.get("/health").await.status, 200);
    let (msn, part) = viewer.playlist("v0.m3u8").await.newest();
    let next = viewer.playlist(&format!("v0.m3u8?_HLS_msn={msn}&_HLS_part={}", part + 1)).await;
    assert!(next.newest() > (msn, part), "the bystander's stream stands still");
    viewer.good(&next.parts().last().unwrap().uri).await;
}

/// A small film with two rungs and sound, in small fragments.
fn ladder() -> Bytes {
    std::fs::read(root().join("crates/ingest/tests/fixtures/ladder.mp4")).unwrap().into()
}

fn boxed(size: u32, kind: &[u8; 4], rest: &[u8]) -> Vec<u8> {
    [&size.to_be_bytes()[..], kind, rest].concat()
}

/// The same numbers in every run.
fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_fragmented_mp4_is_refused_with_a_reason() {
    let mut server = Setup::new("all").start().await;
    let key = server.key("publish.key");
    let (_channel, viewer) = bystander(&server).await;
    let mut roll = dice(7);
    let noise: Vec<u8> = (0..100_000).map(|_| roll() as u8).collect();
    let film = std::fs::read(film()).unwrap();
    let header = clip().slice(..1200);
    for (what, body) in [
        ("noise", noise.clone()),
        ("text", b"this is not a film, it is a sentence".repeat(50)),
        ("zeros", vec![0; 100_000]),
        ("a file whose index is at its end", film),
        ("a box as large as can be said", boxed(u32::MAX, b"moov", &noise)),
        ("a box larger than can be said", boxed(1, b"moov", &[&u64::MAX.to_be_bytes()[..], &noise].concat())),
        ("a box smaller than its own header", boxed(4, b"ftyp", &noise)),
        (
            "boxes in boxes in boxes",
            (0..2000).fold(Vec::new(), |inner, _| boxed(inner.len() as u32 + 8, b"moov", &inner)),
        ),
        ("half a header", header.to_vec()),
        ("a header and then noise", [&clip()[..4000], &noise].concat()),
    ] {
        for mode in ["live", "vod"] {
            let request = open(&server, &key, "bad").header("trellis-mode", mode).body(body.clone());
            let reply = try_send(request).await.unwrap_or_else(|error| panic!("{what} ({mode}): no answer: {error:?}"));
            assert_eq!(
                (reply.status, reply.refusal().as_str()),
                (422, "bad_media"),
                "{what} ({mode}): {}",
                reply.text()
            );
        }
    }
    undisturbed(&mut server, &viewer).await;
    // The name is not burnt: it can be published as if nothing had been.
    let good = vod(&server, &key, "bad", ladder()).await;
    assert_eq!(good.status, 200, "{}", good.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_cut_off_or_damaged_anywhere_does_no_harm() {
    let mut server = Setup::new("all").start().await;
    let key = server.key("publish.key");
    let (_channel, viewer) = bystander(&server).await;
    let check = |what: String, reply: Reply| {
        let fine = reply.status == 200 || reply.status == 422 && reply.refusal() == "bad_media";
        assert!(fine, "{what}: {} {}", reply.status, reply.text());
    };
    let whole = clip();
    let cuts = (0..20).map(|i| whole.len() * i / 20 + i * 37).map(|at| {
        let body = whole.slice(..at.min(whole.len()));
        let (server, key) = (&server, &key);
        async move { (format!("cut at {at}"), vod(server, key, &format!("cut{at}"), body).await) }
    });
    for (what, reply) in join_all(cuts).await {
        check(what, reply);
    }
    let small = ladder();
    for round in 0..12 {
        let damaged = (0..8).map(|i| {
            let mut roll = dice(round * 8 + i + 1);
            let mut body = small.to_vec();
            // Headers are where the damage is interesting.
            let reach = if i % 2 == 0 { 3000 } else { body.len() };
            for _ in 0..1 + roll() % 8 {
                let at = roll() as usize % reach.min(body.len());
                body[at] = roll() as u8;
            }
            let (server, key) = (&server, &key);
            async move { (format!("damage {round}.{i}"), vod(server, key, &format!("dam{i}"), body.into()).await) }
        });
        for (what, reply) in join_all(damaged).await {
            check(what, reply);
        }
    }
    undisturbed(&mut server, &viewer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_publisher_at_a_time_and_only_with_its_key() {
    let mut server = Setup::new("all").start().await;
    let key = server.key("publish.key");
    let (_channel, viewer) = bystander(&server).await;
    let second = send(open(&server, &key, "bystander").body(clip())).await;
    assert_eq!((second.status, second.refusal().as_str()), (409, "already_publishing"));
    for wrong in ["wrong", "", &server.key("admin.key"), &server.key("server.key"), &"k".repeat(10_000)] {
        let reply = send(open(&server, wrong, "other").body(clip())).await;
        assert_eq!(reply.status, 401, "key {wrong:.20}: {}", reply.text());
        reply.refusal();
    }
    let keyless = client().post(format!("{}/v1/ingest/other", server.base())).body(clip());
    assert_eq!(send(keyless).await.refusal(), "key_missing");
    for name in ["UPPER", "-begins", "a%20b", ".hidden", &"x".repeat(65)] {
        let reply = send(open(&server, &key, name).body(clip())).await;
        assert_eq!(reply.status, 400, "{name}: {}", reply.text());
        reply.refusal();
    }
    let mode = send(open(&server, &key, "other").header("trellis-mode", "maybe").body(clip())).await;
    assert_eq!((mode.status, mode.refusal().as_str()), (400, "bad_mode"));
    assert_eq!(
        join(&server, "other", None).await.refusal(),
        "no_such_stream",
        "a refused publisher leaves no stream behind"
    );
    undisturbed(&mut server, &viewer).await;
}

/// Status of an answer to a request whose path no client library would send.
fn raw(server: &Server, head: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has heard enough may close before all is written.
    let _ = socket.write_all(format!("{head}Host: x\r\nConnection: close\r\n\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_where_it_belongs() {
    let mut server = Setup::new("all").start().await;
    let (_channel, viewer) = bystander(&server).await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", ladder()).await.status, 200);
    let film = Viewer::join(&server, "film", None).await;
    let place = format!("/v/{}", film.ticket);
    let secrets = ["publish.key", "admin.key", "server.key", "ticket.key"].map(|file| server.key(file));
    for path in [
        "/s/../../etc/passwd".into(),
        "/s/%2e%2e/%2e%2e/etc/passwd".into(),
        "/assets/../../../../etc/passwd".into(),
        "/assets/..%2f..%2f..%2fetc%2fpasswd".into(),
        "/assets/%2e%2e/%2e%2e/Cargo.toml".into(),
        "/watch/..%2f..%2fpublish.key".into(),
        "/watch/../publish.key".into(),
        "//etc/passwd".into(),
        "/origin/s/../../publish.key".into(),
        "/origin/s/film/../../../publish.key".into(),
        format!("{place}/s/film/../../../publish.key"),
        format!("{place}/s/..%2f..%2fpublish.key/index.m3u8"),
        format!("{place}/s/film/%2e%2e/%2e%2e/tables.bin"),
        format!("{place}/s/film/../bystander/index.m3u8"),
        format!("{place}/s/film/tables.bin"),
        format!("{place}/s/../../manager.db"),
        "/v1/streams/..%2f..%2fadmin/join".into(),
        "/%00".into(),
        "/watch/%00%ff".into(),
    ] {
        let path: String = path;
        let (status, answer) = raw(&server, &format!("GET {path} HTTP/1.1\r\n"));
        assert!(matches!(status, 200 | 301..=308 | 400..=499), "{path}: {answer}");
        let page = status == 200;
        assert!(
            !page || answer.contains("<!doctype html>") || answer.contains("<!DOCTYPE html>"),
            "{path} is answered with {answer}"
        );
        assert!(!answer.contains("root:x:"), "{path} leads to the system");
        assert!(secrets.iter().all(|secret| !answer.contains(secret.as_str())), "{path} leads to a key");
        assert!(!answer.contains("[package]") && !answer.contains("SQLite"), "{path}");
    }
    undisturbed(&mut server, &viewer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_before_it_costs_anything() {
    let mut server = Setup::new("all").start().await;
    let (_channel, viewer) = bystander(&server).await;
    let long = "a".repeat(100_000);
    let (status, answer) = raw(&server, &format!("GET / HTTP/1.1\r\nX-Long: {long}\r\n"));
    assert!(matches!(status, 0 | 400 | 413 | 431), "a header of 100 kB: {answer}");
    let (status, answer) = raw(&server, &format!("GET /v/{long}/s/film/index.m3u8 HTTP/1.1\r\n"));
    assert!(matches!(status, 0 | 400 | 403 | 414 | 431), "a ticket of 100 kB: {answer}");
    let many: String = (0..500).map(|i| format!("X-{i}: a\r\n")).collect();
    let (status, answer) = raw(&server, &format!("GET / HTTP/1.1\r\n{many}"));
    assert!(matches!(status, 0 | 400 | 431), "500 headers: {answer}");
    let ticket = raw(&server, &format!("GET /v/{}/s/film/index.m3u8 HTTP/1.1\r\n", &long[..20_000]));
    assert_eq!(ticket.0, 403, "a ticket of 20 kB: {}", ticket.1);
    let token = join(&server, "bystander", Some(&long[..20_000])).await;
    assert_eq!((token.status, token.refusal().as_str()), (401, "token_invalid"));

    let admin = || client().post(format!("{}/v1/admin/streams", server.base())).bearer_auth(server.key("admin.key"));
    let body = format!(r#"{{"stream":"big","title":"{long}"}}"#);
    let big = send(admin().body(body)).await;
    assert_eq!((big.status, big.refusal().as_str()), (413, "body_too_large"));
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        (r#"{"stream":"x","nonsense":1}"#, 400),
        (r#"{"stream":"NO"}"#, 400),
        ("\u{0}", 400),
    ] {
        let reply = send(admin().body(body)).await;
        assert_eq!(reply.status, status, "{body:?}: {}", reply.text());
        reply.refusal();
    }
    let deep = send(admin().body("[".repeat(60_000))).await;
    assert_eq!(deep.status, 400, "{}", deep.text());
    let beat = client().post(format!("{}/v1/cluster/edges", server.base())).bearer_auth(server.key("server.key"));
    assert_eq!(send(beat.body(vec![b'x'; 5 << 20])).await.status, 413);
    // A join takes no body: one that comes all the same is not waited for.
    let join = client().post(format!("{}/v1/streams/bystander/join", server.base())).body(vec![0; 1 << 20]);
    let reply = try_send(join).await;
    assert!(reply.is_err() || reply.is_ok_and(|reply| matches!(reply.status, 200 | 413)));
    undisturbed(&mut server, &viewer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_stops_in_the_middle_of_a_frame_may_return() {
    let server = Setup::new("all").env("TRELLIS_ORIGIN_GRACE_S", 60).start().await;
    let key = server.key("publish.key");
    let frames = Frames::start(&server, &key, "town", 300).await;
    let viewer = admitted(&server, "town").await;
    eventually("all is there", PATIENCE, async || (viewer.playlist("v0.m3u8").await.segments.len() >= 4).then_some(()))
        .await;
    let publisher = frames.publisher();
    // A fragment that announces more than comes.
    assert!(publisher.send(boxed(5000, b"moof", &[0; 100]).into()).await);
    publisher.vanish().await;
    let state = async |expected: &str| {
        eventually(expected, PATIENCE, async || {
            (viewer.get("state.json").await.json()["state"] == expected).then_some(())
        })
        .await;
    };
    state("paused").await;
    let before = viewer.playlist("v0.m3u8").await;
    assert!(!before.ended, "who may return has not ended");
    for uri in before.parts().map(|part| &part.uri).chain(before.segments.iter().map(|segment| &segment.uri)) {
        viewer.good(uri).await;
    }
    let _again = Frames::start(&server, &key, "town", 200).await;
    state("live").await;
    let after = eventually("the second run is listed", PATIENCE, async || {
        let playlist = viewer.playlist("v0.m3u8").await;
        playlist.segments.iter().any(|segment| segment.discontinuity).then_some(playlist)
    })
    .await;
    assert!(after.last_msn() > before.last_msn());
    let run = |uri: &str| uri.split('/').next().unwrap().to_owned();
    let second = after.segments.iter().find(|segment| segment.discontinuity).unwrap();
    assert!(before.uris.iter().all(|uri| run(uri) != run(&second.uri)), "names are never used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_whose_successor_never_arrives_plays_on() {
    let server = Setup::new("all").start().await;
    let key = server.key("publish.key");
    assert_eq!(vod(&server, &key, "film", clip()).await.status, 200);
    let viewer = admitted(&server, "film").await;
    let before = viewer.playlist("v0.m3u8").await;
    let recordings = async |count: usize| {
        let folder = server.data().join("vod/film");
        eventually("as many recordings", PATIENCE, async || {
            (std::fs::read_dir(&folder).map_or(0, Iterator::count) == count).then_some(())
        })
        .await;
    };
    for end in ["sends rubbish", "vanishes"] {
        let mut upload = Publisher::start(open(&server, &key, "film").header("trellis-mode", "vod"));
        assert!(upload.send(clip().slice(..clip().len() / 2)).await);
        tokio::select! {
            () = recordings(2) => {}
            answer = upload.answer() => panic!("{}", answer.text()),
        }
        if end == "vanishes" {
            upload.vanish().await;
        } else {
            assert!(upload.send(vec![0; 1 << 20].into()).await);
            assert_eq!(upload.answer().await.refusal(), "bad_media");
        }
        recordings(1).await;
        assert_eq!(viewer.playlist("v0.m3u8").await.uris, before.uris, "a publisher that {end}");
        viewer.good(&before.segments.last().unwrap().uri).await;
    }
    // However soon it comes, one that is whole takes its place: its publisher's, too, which a publisher that vanished has
    // left a moment after what it sent is gone.
    eventually("the place is free", PATIENCE, async || {
        let answer = vod(&server, &key, "film", ladder()).await;
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
        (answer.status == 200).then_some(())
    })
    .await;
    eventually("the new film", PATIENCE, async || (viewer.playlist("v0.m3u8").await.uris != before.uris).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_says_nothing_is_not_waited_for_for_ever() {
    let server = Setup::new("all").start().await;
    let key = server.key("publish.key");
    let mut silent = Publisher::start(open(&server, &key, "silent"));
    assert!(silent.send(clip().slice(..5000)).await);
    let reply = silent.answer().await;
    assert_eq!((reply.status, reply.refusal().as_str()), (408, "silent"));
    let again = vod(&server, &key, "silent", ladder()).await;
    assert_eq!(again.status, 200, "its place is free again: {}", again.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_outlives_its_origin_and_finds_it_again() {
    let mut cluster = Cluster::start().await;
    cluster.add(cluster.edge("one")).await;
    let key = cluster.manager.key("publish.key");
    let frames = Frames::start(&cluster.origin, &key, "town", 300).await;
    let viewer = admitted(&cluster.manager, "town").await;
    let before = eventually("all is there", PATIENCE, async || {
        let playlist = viewer.playlist("v0.m3u8").await;
        (playlist.segments.len() >= 4).then_some(playlist)
    })
    .await;
    let segment = &before.segments[1].uri;
    let bytes = viewer.good(segment).await.body;
    viewer.good(&before.segments[1].map).await;

    cluster.origin.kill();
    drop(frames);
    eventually("the edge notices", PATIENCE, async || {
        (viewer.get("state.json").await.json()["state"] == "paused").then_some(())
    })
    .await;
    assert!(viewer.good(segment).await.body == bytes, "what the edge has it serves on");
    assert_eq!(viewer.playlist("v0.m3u8").await.uris, before.uris);
    // What it does not have is a clear answer, or an answer cut off, in bounded time; not a wrong one.
    let missing = try_send(viewer.request(Method::GET, &before.segments[2].uri)).await;
    assert!(missing.is_err() || missing.is_ok_and(|reply| reply.status >= 400), "bytes from nowhere");

    cluster.origin.start_again().await;
    let frames = Frames::start(&cluster.origin, &key, "town", 300).await;
    let after = eventually("the stream goes on at the same place", PATIENCE, async || {
        let reply = viewer.get("v0.m3u8").await;
        assert!(matches!(reply.status, 200 | 404 | 503), "{}", reply.text());
        let playlist = (reply.status == 200).then(|| trellis_tests::playlist::Media::read(&reply.text()))?;
        (playlist.last_msn() > before.last_msn()).then_some(playlist)
    })
    .await;
    viewer.good(&after.segments.last().unwrap().uri).await;
    assert_eq!(viewer.get("state.json").await.json()["state"], "live");
    drop(frames);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_budget_is_never_exceeded() {
    const BITS: u64 = 3_000_000;
    let server = Setup::new("all").env("TRELLIS_EDGE_UPLOAD_BUDGET", BITS).start().await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", clip()).await.status, 200);
    let viewer = Viewer::join(&server, "film", None).await;
    let playlist = viewer.playlist("v0.m3u8").await;
    let start = Instant::now();
    let hungry = (0..6).map(|i| {
        let segments = &playlist.segments;
        let viewer = &viewer;
        async move {
            let (mut got, mut at) = (0u64, i);
            while start.elapsed() < Duration::from_secs(3) {
                let uri = &segments[at % segments.len()].uri;
                let mut response = viewer.request(Method::GET, uri).send().await.unwrap();
                while let Some(piece) = response.chunk().await.unwrap() {
                    got += piece.len() as u64;
                    if start.elapsed() > Duration::from_secs(3) {
                        return got;
                    }
                }
                at += 1;
            }
            got
        }
    });
    let got: u64 = join_all(hungry).await.into_iter().sum();
    let seconds = start.elapsed().as_secs_f64();
    let allowed = BITS as f64 / 8.0 * (seconds + 0.5);
    assert!(got as f64 <= allowed, "{got} bytes in {seconds} s, allowed are {allowed}");
    assert!(got as f64 > allowed / 2.0, "{got} bytes in {seconds} s: the budget of {allowed} is there to be used");
    // Playlists do not wait behind media.
    let asked = Instant::now();
    viewer.playlist("v0.m3u8").await;
    assert!(asked.elapsed() < Duration::from_secs(1), "a playlist waited {:?}", asked.elapsed());
}

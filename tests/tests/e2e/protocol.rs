//! HLS and LL-HLS as players rely on them: what blocks, what is refused, and that every name leads somewhere.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use trellis_tests::client::{Reply, Viewer, builder, send, try_send};
use trellis_tests::media::run;
use trellis_tests::publisher::{Channel, Frames, clip, vod};
use trellis_tests::server::{Server, Setup};
use trellis_tests::{PATIENCE, eventually};

/// A server with a live stream of which `frames` have been sent, and somebody who watches.
async fn live(frames: usize) -> (Server, Frames, Viewer) {
    let server = Setup::new("all").start().await;
    let publisher = Frames::start(&server, &server.key("publish.key"), "town", frames).await;
    let viewer = admitted(&server, "town").await;
    // A segment is 60 frames, a part 10; the last part is complete when its successor begins.
    let complete = (frames / 60, frames % 60 / 10 - 1);
    eventually("all frames sent are in the playlists", PATIENCE, async || {
        let playlist = viewer.playlist("v0.m3u8").await;
        (playlist.segments.len() >= complete.0 && playlist.growing.len() >= complete.1).then_some(())
    })
    .await;
    (server, publisher, viewer)
}

/// Joins as soon as the manager has heard of the stream.
async fn admitted(server: &Server, stream: &str) -> Viewer {
    eventually("the stream can be joined", PATIENCE, async || {
        let there = trellis_tests::client::join(server, stream, None).await.status == 200;
        if there { Some(Viewer::join(server, stream, None).await) } else { None }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_reload_is_answered_when_the_part_exists_and_not_before() {
    let (_server, mut frames, viewer) = live(150).await;
    let (msn, part) = viewer.playlist("v0.m3u8").await.newest();
    let name = format!("v0.m3u8?_HLS_msn={msn}&_HLS_part={}", part + 1);
    let mut reload = tokio::spawn(try_send(viewer.request(Method::GET, &name)));
    // The publisher stands still, so nothing may come however long others are served.
    for _ in 0..20 {
        viewer.good("v1.m3u8").await;
        assert!(!reload.is_finished(), "answered before the part exists");
    }
    let reply: Reply = loop {
        frames.send(1).await;
        tokio::select! {
            reply = &mut reload => break reply.unwrap().unwrap(),
            () = tokio::time::sleep(Duration::from_millis(30)) => {}
        }
    };
    let (new_msn, new_part) = trellis_tests::playlist::Media::read(&reply.text()).newest();
    assert!((new_msn, new_part) >= (msn, part + 1), "asked for {msn}.{}, got {new_msn}.{new_part}", part + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hinted_part_arrives_at_whoever_asked_ahead() {
    let (_server, mut frames, viewer) = live(150).await;
    let playlist = viewer.playlist("v1.m3u8").await;
    let hint = playlist.hint.expect("a live playlist hints");
    let ahead = tokio::spawn(try_send(viewer.request(Method::GET, &hint)));
    viewer.good("v1.m3u8").await;
    assert!(!ahead.is_finished(), "a part that does not exist was answered");
    frames.send(20).await;
    let reply = ahead.await.unwrap().unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, viewer.good(&hint).await.body);
    let grown = viewer.playlist("v1.m3u8").await;
    assert!(grown.parts().any(|part| part.uri == hint), "the hint was not kept: {hint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_player_can_know_of_is_refused_at_once() {
    let (_server, _frames, viewer) = live(150).await;
    let last = viewer.playlist("v0.m3u8").await.last_msn().unwrap();
    for query in [
        format!("_HLS_msn={}", last + 3),
        "_HLS_msn=99999999999999999999".into(),
        "_HLS_msn=x".into(),
        "_HLS_msn=-1".into(),
        "_HLS_part=1".into(),
        format!("_HLS_msn={}&_HLS_part=", last + 1),
    ] {
        let reply = viewer.get(&format!("v0.m3u8?{query}")).await;
        assert_eq!((reply.status, reply.refusal().as_str()), (400, "bad_request"), "{query}");
    }
    let parts = viewer.playlist("v0.m3u8").await;
    let run = parts.uris[0].split('/').next().unwrap().to_owned();
    for name in [
        "v9.m3u8".into(),
        "x.m3u8".into(),
        "v0.m3u".into(),
        format!("{run}/v0/p99999.m4s"),
        format!("{run}/v0/s{}.m4s", last + 1),
        format!("{run}/v9/init.mp4"),
        "0000000000000000/v0/init.mp4".into(),
        format!("{run}/v0/s0{last}.m4s"),
        format!("{run}/v0/../v0/init.mp4/"),
    ] {
        let reply = viewer.get(&name).await;
        assert_eq!((reply.status, reply.refusal().as_str()), (404, "not_found"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_update_leaves_out_what_the_player_has_and_nothing_else() {
    // 40 s: more than six target durations lie behind.
    let (_server, _frames, viewer) = live(1230).await;
    let full = viewer.playlist("v0.m3u8").await;
    let delta = viewer.playlist("v0.m3u8?_HLS_skip=YES").await;
    assert!(delta.skipped > 0, "nothing was skipped of {} segments", full.segments.len());
    assert_eq!(delta.skipped as usize + delta.segments.len(), full.segments.len());
    let rest = &full.segments[delta.skipped as usize..];
    for (of_full, of_delta) in rest.iter().zip(&delta.segments) {
        assert_eq!((of_full.msn, &of_full.uri, &of_full.map), (of_delta.msn, &of_delta.uri, &of_delta.map));
    }
    let kept_s: f64 = delta.segments.iter().map(|segment| segment.duration_s).sum();
    assert!(kept_s >= 6.0 * delta.target_s - delta.target_s, "{kept_s} s are left, skipped up to CAN-SKIP-UNTIL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_name_in_every_playlist_leads_somewhere_and_parts_keep_their_promise() {
    let (_server, _frames, viewer) = live(400).await;
    let multivariant = viewer.multivariant().await;
    assert_eq!(multivariant.variants.len(), 3, "three rungs");
    let names = multivariant.playlists();
    assert_eq!(names, ["a0.m3u8", "v0.m3u8", "v1.m3u8", "v2.m3u8"]);
    for name in &names {
        let playlist = viewer.playlist(name).await;
        let target_s = playlist.part_target_s.expect("a live playlist has parts");
        for part in playlist.parts() {
            assert!(part.duration_s <= target_s + 1e-6, "{name}: {part:?} exceeds PART-TARGET {target_s}");
        }
        // All but the last of a segment are at least 85 % as long (RFC 8216bis §4.4.4.9).
        for segment in playlist.segments.iter().filter(|segment| !segment.parts.is_empty()) {
            let (_, body) = segment.parts.split_last().unwrap();
            assert!(body.iter().all(|part| part.duration_s >= 0.85 * target_s), "{name}: {segment:?}");
            let sum: f64 = segment.parts.iter().map(|part| part.duration_s).sum();
            assert!(
                (sum - segment.duration_s).abs() < 0.01,
                "{name}: parts last {sum} s, their segment {}",
                segment.duration_s
            );
            assert!(segment.parts[0].independent, "{name}: a segment opens with a keyframe");
        }
        for segment in &playlist.segments {
            assert!(segment.duration_s.round() <= playlist.target_s, "{name}: {segment:?}");
        }
        let mut reports = playlist.reports.clone();
        reports.push(name.clone());
        reports.sort();
        assert_eq!(reports, names, "each playlist reports on all others");
        let hint = playlist.hint.clone();
        for uri in playlist.uris.iter().filter(|uri| Some(*uri) != hint.as_ref()) {
            assert!(!uri.starts_with('/') && !uri.contains("://") && !uri.contains(".."), "{uri} is not relative");
            let reply = viewer.good(uri).await;
            assert!(!reply.body.is_empty(), "{uri} is empty");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_its_parts_joined() {
    let (_server, _frames, viewer) = live(200).await;
    for name in ["v0.m3u8", "a0.m3u8"] {
        let playlist = viewer.playlist(name).await;
        let segment = playlist.segments.last().unwrap();
        let mut joined = Vec::new();
        for part in &segment.parts {
            joined.extend_from_slice(&viewer.good(&part.uri).await.body);
        }
        assert!(viewer.good(&segment.uri).await.body == joined, "{name}: {} differs from its parts", segment.uri);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_have_the_headers_that_caches_and_browsers_need() {
    let server = Setup::new("all").start().await;
    let published = vod(&server, &server.key("publish.key"), "film", clip()).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let viewer = admitted(&server, "film").await;
    let uri = viewer.playlist("v2.m3u8").await.segments[1].uri.clone();
    let whole = viewer.good(&uri).await;
    let size = whole.body.len();
    assert_eq!(whole.header("content-length"), size.to_string());
    assert!(whole.header("cache-control").contains("immutable"));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("access-control-allow-origin"), "*");
    assert_eq!(whole.header("access-control-allow-credentials"), "");
    assert_eq!(whole.header("timing-allow-origin"), "*");
    assert!(whole.header("access-control-expose-headers").to_lowercase().contains("content-length"));
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"'), "a strong ETag, not {etag:?}");

    let ask = |method: Method, header: &str, value: &str| send(viewer.request(method, &uri).header(header, value));
    for (range, expected) in
        [("bytes=0-0", 0..1), ("bytes=100-299", 100..300), ("bytes=-5", size - 5..size), ("bytes=7-", 7..size)]
    {
        let part = ask(Method::GET, "range", range).await;
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {}-{}/{size}", expected.start, expected.end - 1));
        assert!(part.body == whole.body.slice(expected), "{range}");
    }
    let beyond = ask(Method::GET, "range", &format!("bytes={size}-")).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{size}").as_str()));
    let unchanged = ask(Method::GET, "if-none-match", &etag).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), etag);
    let head = ask(Method::HEAD, "accept", "*/*").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, size.to_string().as_str(), 0));
    assert_eq!(head.header("etag"), etag);
    let playlist = viewer.good("v2.m3u8").await;
    assert_eq!(playlist.header("content-type"), "application/vnd.apple.mpegurl");
    assert!(!playlist.header("cache-control").contains("immutable"));
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = send(viewer.request(method.clone(), &uri)).await;
        assert_eq!((reply.status, reply.refusal().as_str()), (405, "method_not_allowed"), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_configured_web_origins_may_play() {
    let server = Setup::new("all").env("TRELLIS_CORS_ORIGINS", r#"["https://good.example"]"#).start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let viewer = admitted(&server, "town").await;
    let allowed = async |origin: &str| {
        let reply = send(viewer.request(Method::GET, "index.m3u8").header("origin", origin)).await;
        let varies = reply.headers.get_all("vary").iter().any(|on| on.as_bytes().eq_ignore_ascii_case(b"origin"));
        (reply.header("access-control-allow-origin").to_owned(), varies)
    };
    assert_eq!(allowed("https://good.example").await, ("https://good.example".into(), true));
    assert_eq!(allowed("https://evil.example").await, (String::new(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_it_speaks_http_2_over_tls_and_http_1_to_those_who_want_it() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]);
    let made = run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Setup::new("all").tls(&cert, &key).start().await;

    let insecure = || builder().tls_danger_accept_invalid_certs(true);
    let url = format!("{}/health", server.base());
    let offered = insecure().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((offered.version(), offered.status().as_u16()), (http::Version::HTTP_2, 200));
    let old = insecure().http1_only().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((old.version(), old.status().as_u16()), (http::Version::HTTP_11, 200));

    let publish =
        |c: reqwest::Client| c.post(format!("{}/v1/ingest/film", server.base())).bearer_auth(server.key("publish.key"));
    let film = publish(insecure().build().unwrap())
        .header("trellis-mode", "vod")
        .header("trellis-access", "open")
        .body(clip());
    assert_eq!(send(film).await.status, 200);
    let http = insecure().build().unwrap();
    let join = send(http.post(format!("{}/v1/streams/film/join", server.base()))).await.json();
    let root = format!("{}{}", server.base(), join["hls"].as_str().unwrap());
    let index = send(http.get(&root)).await;
    assert_eq!(index.status, 200);
    // Many at once over one connection.
    let media = root.replace("index.m3u8", "v0.m3u8");
    let playlist = trellis_tests::playlist::Media::read(&send(http.get(&media)).await.text());
    let all = playlist.segments.iter().map(|segment| send(http.get(root.replace("index.m3u8", &segment.uri))));
    let replies = futures_util::future::join_all(all).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && !reply.body.is_empty()));
}

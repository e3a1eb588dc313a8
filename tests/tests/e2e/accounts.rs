//! Do the accounts say what clients counted, and what becomes of them when an edge dies?

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use trellis_tests::client::{Viewer, client, join, send};
use trellis_tests::command::token;
use trellis_tests::publisher::{Channel, clip, closed, vod};
use trellis_tests::server::{Cluster, Server, Setup};
use trellis_tests::{PATIENCE, eventually};

/// The account of a session.
async fn account(manager: &Server, session: &str) -> Option<Value> {
    let request =
        client().get(format!("{}/v1/admin/accounts?limit=1000", manager.base())).bearer_auth(manager.key("admin.key"));
    let page = send(request).await.json();
    page["accounts"].as_array()?.iter().find(|account| account["session"] == session).cloned()
}

/// The same once it says `word`.
async fn ended(manager: &Server, session: &str, word: &str) -> Value {
    eventually(&format!("the account ends as {word}"), PATIENCE, async || {
        account(manager, session).await.filter(|account| account["ended"] == word)
    })
    .await
}

fn bytes(account: &Value) -> (u64, u64) {
    let of = |key: &str| account[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {account}"));
    (of("edge_media_bytes"), of("edge_other_bytes"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_equal_the_body_bytes_that_clients_counted() {
    let server = Setup::new("all").env("TRELLIS_EDGE_IDLE_S", 5).start().await;
    let key = server.key("publish.key");
    let film = send(closed(&server, &key, "film").header("trellis-mode", "vod").body(clip())).await;
    assert_eq!(film.status, 200, "{}", film.text());
    let mut viewers = Vec::new();
    for name in ["anna", "bert", "cleo"] {
        let token = token(&server, &["--stream", "film", "--viewer", name]);
        viewers.push((name, Viewer::join(&server, "film", Some(&token)).await));
    }
    let watch = async |viewer: &Viewer, rendition: &str| {
        viewer.multivariant().await;
        for playlist in [rendition, "a0.m3u8"] {
            let playlist = viewer.playlist(playlist).await;
            viewer.good(&playlist.segments[0].map).await;
            for segment in &playlist.segments {
                viewer.good(&segment.uri).await;
            }
        }
        let segment = viewer.playlist(rendition).await.segments[0].uri.clone();
        let part = send(viewer.request(Method::GET, &segment).header("range", "bytes=10-1009")).await;
        assert_eq!((part.status, part.body.len()), (206, 1000));
        viewer.count(&segment, 1000);
        // Neither of these has a body.
        send(viewer.request(Method::HEAD, &segment)).await;
        let etag = part.header("etag").to_owned();
        assert_eq!(send(viewer.request(Method::GET, &segment).header("if-none-match", etag)).await.status, 304);
        viewer.get("state.json").await;
        viewer.get("nothing.m3u8").await;
    };
    tokio::join!(watch(&viewers[0].1, "v0.m3u8"), watch(&viewers[1].1, "v1.m3u8"), watch(&viewers[2].1, "v2.m3u8"));
    for (name, viewer) in &viewers {
        let account = ended(&server, &viewer.session, "idle").await;
        assert_eq!(bytes(&account), viewer.counted(), "{name}: the account and what was counted, media and rest");
        assert_eq!((account["viewer"].as_str(), account["stream"].as_str()), (Some(*name), Some("film")));
        let time = |key: &str| account[key].as_u64().unwrap();
        assert!(time("joined_ms") <= time("started_ms") && time("started_ms") <= time("ended_ms"), "{account}");
    }
    assert!(viewers[0].1.counted().0 > viewers[2].1.counted().0, "720p is more than 240p");
    // Who comes back goes on in the same account.
    let (_, anna) = &viewers[0];
    anna.good("v0.m3u8").await;
    eventually("anna's account goes on", PATIENCE, async || {
        account(&server, &anna.session).await.filter(|account| account["ended"].is_null()).map(drop)
    })
    .await;
    let account = ended(&server, &anna.session, "idle").await;
    assert_eq!(bytes(&account), anna.counted(), "what came before and after are added up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_gave_up_is_accounted_as_far_as_it_left() {
    let server = Setup::new("all").env("TRELLIS_EDGE_UPLOAD_BUDGET", "3M").env("TRELLIS_EDGE_IDLE_S", 5).start().await;
    let published = vod(&server, &server.key("publish.key"), "film", clip()).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let viewer = Viewer::join(&server, "film", None).await;
    let segment = viewer.playlist("v0.m3u8").await.segments[2].uri.clone();
    let began = Instant::now();
    let mut size = 0;
    // The first answers use the burst up, so that the later ones are still under way when they are given up.
    for _ in 0..4 {
        let mut response = viewer.request(Method::GET, &segment).send().await.unwrap();
        size = response.content_length().unwrap();
        let first = response.chunk().await.unwrap().expect("something came");
        viewer.count(&segment, first.len() as u64);
    }
    let given_up = began.elapsed();
    let (media, _) = bytes(&ended(&server, &viewer.session, "idle").await);
    let (counted, _) = viewer.counted();
    // What may leave in that time is half a second's worth more than the rate allows, and of each answer one part.
    let left = ((given_up.as_secs_f64() + 0.5) * 3_000_000.0 / 8.0) as u64 + 4 * size.div_ceil(6);
    assert!((counted..=left).contains(&media), "{media} accounted, {counted} received, {left} at most in {given_up:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_edge_gets_no_viewers_and_its_sessions_end() {
    let mut cluster = Cluster::start().await;
    for name in ["one", "two"] {
        cluster.add(cluster.edge(name)).await;
    }
    let manager = &cluster.manager;
    let _channel = Channel::start(&cluster.origin, &manager.key("publish.key"), "town");
    let edge_of = async || {
        let reply = join(manager, "town", None).await;
        assert!(matches!(reply.status, 200 | 404), "{}", reply.text());
        (reply.status == 200).then(|| reply.json()["hls"].as_str().unwrap().split("/v/").next().unwrap().to_owned())
    };
    eventually("the stream can be joined", PATIENCE, async || edge_of().await).await;
    // Both are asked for, one after the other or by turns.
    let mut viewers = Vec::new();
    for _ in 0..6 {
        viewers.push(Viewer::join(manager, "town", None).await);
    }
    let dead = cluster.edges[0].base();
    let on_dead = viewers.iter().find(|viewer| viewer.root().starts_with(&dead)).expect("six viewers use both edges");
    on_dead.playlist("v0.m3u8").await;
    eventually("the edge has reported its viewer", PATIENCE, async || {
        account(manager, &on_dead.session).await.filter(|account| bytes(account).1 > 0).map(drop)
    })
    .await;

    let killed = Instant::now();
    cluster.edges[0].kill();
    let manager = &cluster.manager;
    // Five in a row elsewhere: it is out.
    let mut elsewhere = 0;
    eventually("the dead edge is out", PATIENCE, async || {
        let edge = edge_of().await.expect("there is another edge");
        elsewhere = if edge == dead { 0 } else { elsewhere + 1 };
        (elsewhere == 5).then_some(())
    })
    .await;
    // Without a beat for 3.5 s it counts as dead; what is above that is a busy machine.
    eventually("the manager has noticed", PATIENCE, async || {
        let log = manager.log();
        log.contains("fell silent").then_some(())
    })
    .await;
    assert!(killed.elapsed() < Duration::from_secs(8), "it took {:?}", killed.elapsed());
    for _ in 0..20 {
        assert_ne!(edge_of().await.unwrap(), dead);
    }
    let account = ended(manager, &on_dead.session, "edge_lost").await;
    assert_eq!(bytes(&account).1, on_dead.counted().1);
    // The other one serves.
    let moved = Viewer::join(manager, "town", None).await;
    let playlist = moved.playlist("v2.m3u8").await;
    moved.good(&playlist.segments.last().unwrap().uri).await;
}

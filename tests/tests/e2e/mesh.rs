//! Do native peers stream to each other, and is what their players get what the origin made?

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use trellis_tests::client::{Viewer, client, get, join, send};
use trellis_tests::media::{decode, run_aside};
use trellis_tests::peer::{Peer, newest_part};
use trellis_tests::playlist::Multivariant;
use trellis_tests::publisher::{Channel, clip, long_clip, vod};
use trellis_tests::server::{Cluster, Server, Setup};
use trellis_tests::{PATIENCE, eventually};

const SECONDS: u32 = 6;

async fn live(manager: &Server, origin: &Server, key: &str) -> Channel {
    let channel = Channel::start(origin, key, "town");
    eventually("the channel is live", PATIENCE, async || {
        (join(manager, "town", None).await.status == 200).then_some(())
    })
    .await;
    channel
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {stats}"))
}

fn bytes_from_peers(stats: &Value) -> bool {
    number(stats, "p2pBytes") > 200_000
}

/// The newest part of a playlist, now.
async fn newest(peer: &Peer, name: &str) -> u64 {
    newest_part(&peer.playlist(name).await).expect("a live playlist has parts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_of_native_peers_get_the_origins_bytes_and_most_of_them_came_from_another_peer() {
    let server = Setup::new("all").start().await;
    let _channel = live(&server, &server, &server.key("publish.key")).await;
    let one = Peer::start(&server, "town", &[]).await;
    one.until("the first watches", |stats| stats["state"] == "watching").await;
    let two = Peer::start(&server, "town", &[]).await;
    two.until("bytes come from the other", bytes_from_peers).await;
    // The edge feeds one of the two in each substream, the other is fed by that.
    let mut before = two.stats().await;
    eventually("most bytes come from the other", PATIENCE, async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = two.stats().await;
        let came = |name| number(&now, name) - number(&before, name);
        let most = came("edgeBytes") * 2 < came("p2pBytes");
        before = now.clone();
        most.then_some(())
    })
    .await;
    let viewer = Viewer::join(&server, "town", None).await;
    let names = Multivariant::read(&get(&two.url("index.m3u8")).await.text()).playlists();
    assert_eq!(names, viewer.multivariant().await.playlists());
    // What the mesh brings: the best picture and the sound, near the live edge; and what it does not.
    for name in ["v0.m3u8", "a0.m3u8", "v2.m3u8"] {
        let playlist = two.playlist(name).await;
        let parts: Vec<_> = playlist.parts().map(|part| part.uri.clone()).collect();
        let newest = parts[parts.len().saturating_sub(5)..].to_vec();
        let first = playlist.segments.first().expect("a whole segment");
        for uri in newest.iter().chain([&first.map, &first.uri]) {
            let url = two.url(uri);
            let (ours, edges) = tokio::join!(get(&url), viewer.good(uri));
            assert_eq!((ours.status, &ours.body), (200, &edges.body), "{uri}");
        }
    }
    // A blocked reload is answered when its part is listed, and the part is there then.
    let now = two.playlist("v0.m3u8").await;
    let (msn, part) = now.newest();
    let (msn, part) = if part >= 4 { (msn + 1, 0) } else { (msn, part + 1) };
    let next = two.playlist(&format!("v0.m3u8?_HLS_msn={msn}&_HLS_part={part}")).await;
    assert!(next.newest() >= (msn, part), "{:?} after {:?}", next.newest(), now.newest());
    let decoded = run_aside(decode(&two.url("index.m3u8"), SECONDS)).await;
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && said.is_empty(), "ffmpeg says {said}");
    let stats = two.stats().await;
    assert_eq!((number(&stats, "missed"), number(&stats, "cutOff")), (0, 0), "{stats}");
    assert_eq!(get(&one.url("feed")).await.status, 404, "tables are for servers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_or_leaves_is_not_missed_and_a_supporter_gives() {
    let server = Setup::new("all").start().await;
    let _channel = live(&server, &server, &server.key("publish.key")).await;
    let mut killed = Peer::start(&server, "town", &[]).await;
    killed.until("the first watches", |stats| stats["state"] == "watching").await;
    let mut supporter = Peer::supporter(&server, "town");
    let mut leaver = Peer::start(&server, "town", &["--upload-limit", "4M"]).await;
    let stayer = Peer::start(&server, "town", &["--receive-only"]).await;
    stayer.until("bytes come from others", bytes_from_peers).await;
    killed.process().kill();
    let part = newest(&stayer, "v0.m3u8").await;
    stayer.lists("v0.m3u8", part + 9).await;
    leaver.process().terminate();
    let asked = Instant::now();
    assert!(leaver.process().end(Duration::from_secs(5)).await.success());
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    let part = newest(&stayer, "v0.m3u8").await;
    stayer.lists("v0.m3u8", part + 9).await;
    // Of those who give, the supporter is left.
    let before = stayer.figure("p2pBytes").await;
    stayer.until("the supporter gives", |stats| number(stats, "p2pBytes") > before + 200_000).await;
    let stats = stayer.stats().await;
    assert_eq!((number(&stats, "uploadedBytes"), number(&stats, "missed")), (0, 0), "{stats}");
    let numbers: Vec<_> = stayer.playlist("v0.m3u8").await.parts().map(|part| part.uri.clone()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1] || pair[0].len() < pair[1].len()), "{numbers:?}");
    supporter.terminate();
    assert!(supporter.end(Duration::from_secs(5)).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_an_edge_dies_its_peers_go_on_at_another() {
    let mut cluster = Cluster::start().await;
    cluster.add(cluster.edge("one")).await;
    let key = cluster.manager.key("publish.key");
    let _channel = live(&cluster.manager, &cluster.origin, &key).await;
    let peers = [Peer::start(&cluster.manager, "town", &[]).await, Peer::start(&cluster.manager, "town", &[]).await];
    for peer in &peers {
        peer.until("it watches", |stats| stats["state"] == "watching").await;
        peer.lists("v0.m3u8", 1).await;
    }
    let lost = peers[0].stats().await["edge"].clone();
    cluster.add(cluster.edge("two")).await;
    cluster.edges[0].kill();
    for peer in &peers {
        let elsewhere = |stats: &Value| stats["state"] == "watching" && stats["edge"] != lost;
        peer.until("it watches at the other edge", elsewhere).await;
        let part = newest(peer, "v0.m3u8").await;
        peer.lists("v0.m3u8", part + 6).await;
        assert!(peer.playlist("v0.m3u8").await.segments.iter().all(|segment| !segment.discontinuity));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_says_from_how_many_on_viewers_see_each_other_who_gives_and_whether_there_are_links() {
    let server = Setup::new("all").start().await;
    let _channel = live(&server, &server, &server.key("publish.key")).await;
    let policy = async |change: Value| {
        let url = format!("{}/v1/admin/streams/town", server.base());
        let request = client().patch(url).bearer_auth(server.key("admin.key")).body(change.to_string());
        assert_eq!(send(request).await.status, 200, "{change}");
    };
    let watches = async |options: &[&str]| {
        let peer = Peer::start(&server, "town", options).await;
        peer.until("it watches", |stats| stats["state"] == "watching").await;
        peer
    };
    policy(json!({"viewers_min": 3})).await;
    let early = [watches(&[]).await, watches(&[]).await];
    for peer in &early {
        peer.lists("v0.m3u8", newest(peer, "v0.m3u8").await + 6).await;
        let stats = peer.stats().await;
        assert_eq!((number(&stats, "p2pBytes"), number(&stats, "peers")), (0, 0), "two are too few: {stats}");
    }
    let third = watches(&[]).await;
    third.until("three are enough", bytes_from_peers).await;
    for peer in &early {
        peer.until("also for those who were there", |stats| number(stats, "peers") > 0).await;
    }
    policy(json!({"p2p": "receive_only"})).await;
    let taker = watches(&[]).await;
    taker.until("it takes from those who may give", bytes_from_peers).await;
    let stats = taker.stats().await;
    assert_eq!(number(&stats, "uploadedBytes"), 0, "{stats}");
    policy(json!({"p2p": "off"})).await;
    let mut command = trellis_tests::process::trellis();
    command.args(["peer", &format!("{}/watch/town", server.base()), "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&run_aside(command).await.stderr).into_owned();
    assert!(said.contains("the operator wants no peers for this stream"), "{said}");
    let link = Viewer::join(&server, "town", None).await.get("link").await;
    assert_eq!((link.status, link.refusal().as_str()), (403, "p2p_off"));
    // Who is in stays as its ticket says.
    third.lists("v0.m3u8", newest(&third, "v0.m3u8").await + 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_played_whole_from_a_native_peer() {
    let server = Setup::new("all").start().await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", clip()).await.status, 200);
    eventually("the film can be joined", PATIENCE, async || {
        (join(&server, "film", None).await.status == 200).then_some(())
    })
    .await;
    let (viewer, peer) = (Viewer::join(&server, "film", None).await, Peer::start(&server, "film", &[]).await);
    for name in ["index.m3u8", "v0.m3u8", "a0.m3u8"] {
        let (ours, edges) = (get(&peer.url(name)).await, viewer.good(name).await);
        assert_eq!((ours.status, ours.text()), (200, edges.text()), "{name}");
    }
    let last = peer.playlist("v0.m3u8").await.segments.last().expect("a film has segments").uri.clone();
    assert_eq!(get(&peer.url(&last)).await.body, viewer.good(&last).await.body);
}

/// A recording's best picture and sound from one segment to another, as a player asks for them that buffers all it can.
async fn read(peer: &Peer, segments: Range<usize>) -> Vec<Bytes> {
    let (pictures, sounds) = tokio::join!(peer.playlist("v0.m3u8"), peer.playlist("a0.m3u8"));
    let mut read = Vec::new();
    for (picture, sound) in pictures.segments.iter().zip(&sounds.segments).take(segments.end).skip(segments.start) {
        for uri in [&picture.uri, &sound.uri] {
            let reply = get(&peer.url(uri)).await;
            assert_eq!(reply.status, 200, "{uri}");
            read.push(reply.body);
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_native_peer_has_of_a_recording_another_takes_from_it_wherever_it_plays() {
    let server = Setup::new("all").start().await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", long_clip(60)).await.status, 200);
    eventually("the film can be joined", PATIENCE, async || {
        (join(&server, "film", None).await.status == 200).then_some(())
    })
    .await;
    let (viewer, one) = (Viewer::join(&server, "film", None).await, Peer::start(&server, "film", &[]).await);
    let whole = read(&one, 0..30).await;
    let names = one.playlist("v0.m3u8").await.segments;
    for at in [0, 7, 29] {
        assert!(whole[2 * at] == viewer.good(&names[at].uri).await.body, "segment {at} differs");
    }
    let two = Peer::start(&server, "film", &[]).await;
    let elsewhere = Instant::now();
    assert!(read(&two, 12..13).await == whole[24..26]);
    assert!(elsewhere.elapsed() < Duration::from_secs(1), "{:?}", elsewhere.elapsed());
    two.until("it is linked with who was before it", |stats| number(stats, "peers") > 0).await;
    assert!(read(&two, 13..30).await == whole[26..]);
    let back = Instant::now();
    assert!(read(&two, 0..1).await == whole[..2]);
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    assert!(read(&two, 1..12).await == whole[2..24]);
    // The edge brings what follows a seek, for a moment.
    let all = whole.iter().map(Bytes::len).sum::<usize>() as u64;
    let edges = |stats: &Value| number(stats, "edgeBytes") + number(stats, "httpBytes");
    let stats = two.until("all is counted", |stats| number(stats, "p2pBytes") + edges(stats) >= all).await;
    assert!(number(&stats, "p2pBytes") > edges(&stats), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_leads_nowhere_is_answered_with_what_to_do() {
    let server = Setup::new("all").start().await;
    let refused = async |url: String| {
        let mut command = trellis_tests::process::trellis();
        command.args(["peer", &url, "--listen", "127.0.0.1:0"]);
        let output = run_aside(command).await;
        assert!(!output.status.success(), "{url}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(server.base()).await;
    assert!(said.contains("names no stream") && said.contains("/watch/demo"), "{said}");
    let said = refused(format!("{}/watch/nothing", server.base())).await;
    assert!(said.contains("check the spelling"), "{said}");
}

//! Is everything the same at every edge, and asked of the origin once? A manager, an origin and two edges, one of them
//! the child of the other.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use trellis_tests::client::{Reply, Viewer, client, join, send};
use trellis_tests::playlist::{Media, Multivariant};
use trellis_tests::publisher::{Frames, clip, vod};
use trellis_tests::server::{Cluster, Server};
use trellis_tests::{PATIENCE, eventually};

/// A parent and its child.
async fn two_edges() -> Cluster {
    let mut cluster = Cluster::start().await;
    cluster.add(cluster.edge("one")).await;
    let parent = cluster.edges[0].base();
    cluster.add(cluster.edge("two").env("TRELLIS_EDGE_PARENT", parent)).await;
    cluster
}

/// Asks as an edge does: these paths are the same for every viewer.
async fn ask(cluster: &Cluster, edge: &Server, name: &str) -> Reply {
    send(client().get(format!("{}/s/{name}", edge.base())).bearer_auth(cluster.manager.key("server.key"))).await
}

/// Asks the origin as an edge does.
async fn origin(cluster: &Cluster, name: &str) -> Reply {
    let url = format!("{}/origin/s/{name}", cluster.origin.base());
    send(client().get(url).bearer_auth(cluster.manager.key("server.key"))).await
}

async fn good(cluster: &Cluster, edge: &Server, name: &str) -> Reply {
    let reply = ask(cluster, edge, name).await;
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_the_same_at_the_origin_and_both_edges() {
    let cluster = two_edges().await;
    let key = cluster.manager.key("publish.key");
    assert_eq!(vod(&cluster.origin, &key, "film", clip()).await.status, 200);
    let mut frames = Frames::start(&cluster.origin, &key, "town", 300).await;
    for stream in ["film", "town"] {
        eventually("the stream can be joined", PATIENCE, async || {
            (join(&cluster.manager, stream, None).await.status == 200).then_some(())
        })
        .await;
    }
    for edge in &cluster.edges {
        eventually("the edge knows the whole film", PATIENCE, async || {
            let reply = ask(&cluster, edge, "film/v0.m3u8").await;
            (reply.status == 200 && Media::read(&reply.text()).ended).then_some(())
        })
        .await;
    }
    // The live stream grows while it is looked at: what both list must be the same.
    frames.send(100).await;
    for stream in ["film", "town"] {
        let vod = stream == "film";
        let both = async |name: &str| {
            let name = format!("{stream}/{name}");
            let (one, two) =
                tokio::join!(good(&cluster, &cluster.edges[0], &name), good(&cluster, &cluster.edges[1], &name));
            (one.body, two.body)
        };
        let index = both("index.m3u8").await;
        assert!(!vod || index.0 == index.1, "the multivariant playlists differ");
        for name in Multivariant::read(&String::from_utf8_lossy(&index.0)).playlists() {
            let (one, two) = both(&name).await;
            assert!(!vod || one == two, "{stream}/{name} differs");
            let uris = |text: &[u8]| -> BTreeSet<String> {
                let playlist = Media::read(&String::from_utf8_lossy(text));
                let hint = playlist.hint.clone();
                playlist.uris.into_iter().filter(|uri| uri.contains('/') && Some(uri) != hint.as_ref()).collect()
            };
            let common: Vec<_> = uris(&one).intersection(&uris(&two)).cloned().collect();
            assert!(common.len() > 5, "{stream}/{name}: only {common:?}");
            for uri in common {
                let (one, two) = both(&uri).await;
                assert!(one == two, "{stream}/{uri} differs");
                assert!(
                    one == origin(&cluster, &format!("{stream}/{uri}")).await.body,
                    "{stream}/{uri} is not the origin's"
                );
            }
        }
    }
    drop(frames);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_is_asked_once_however_many_ask_the_edge() {
    const FETCHED: &str = "trellis_edge_upstream_objects_total";
    let cluster = two_edges().await;
    let published = vod(&cluster.origin, &cluster.manager.key("publish.key"), "film", clip()).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let (parent, child) = (&cluster.edges[0], &cluster.edges[1]);
    let playlist = eventually("the child follows", PATIENCE, async || {
        let reply = ask(&cluster, child, "film/v0.m3u8").await;
        (reply.status == 200).then(|| Media::read(&reply.text()))
    })
    .await;
    let name = format!("film/{}", playlist.segments[2].uri);
    let before = (parent.metric(FETCHED).await, child.metric(FETCHED).await);
    let head =
        send(client().head(format!("{}/s/{name}", child.base())).bearer_auth(cluster.manager.key("server.key"))).await;
    assert_eq!((head.status, child.metric(FETCHED).await), (200, before.1), "a HEAD is answered from the tables");
    let replies = join_all((0..50).map(|_| good(&cluster, child, &name))).await;
    assert_eq!(head.header("content-length"), replies[0].body.len().to_string());
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    let fetched = (parent.metric(FETCHED).await - before.0, child.metric(FETCHED).await - before.1);
    // A segment of 2 s is six parts, and parts are what is fetched.
    assert_eq!(fetched, (6.0, 6.0), "objects fetched by parent and child for 50 requests");
    let bytes = replies[0].body.len() as f64;
    for edge in [parent, child] {
        let upstream = edge.metric("trellis_edge_upstream_bytes_total").await;
        assert!((bytes..bytes + 20_000.0).contains(&upstream), "{upstream} bytes fetched for a segment of {bytes}");
    }
    join_all((0..50).map(|_| good(&cluster, parent, &name))).await;
    assert_eq!(parent.metric(FETCHED).await - before.0, 6.0, "what the child asked for, the parent has");
    assert_eq!(child.metric("trellis_edge_forged_objects_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_between_servers_are_closed_to_strangers() {
    let cluster = two_edges().await;
    let key = cluster.manager.key("publish.key");
    assert_eq!(vod(&cluster.origin, &key, "film", clip()).await.status, 200);
    for path in ["/s/film/index.m3u8", "/s/film/feed", "/origin/s/film/index.m3u8", "/v1/cluster/streams/film"] {
        let server = match path {
            path if path.starts_with("/origin") => &cluster.origin,
            path if path.starts_with("/v1") => &cluster.manager,
            _ => &cluster.edges[0],
        };
        for wrong in ["", "x", &key] {
            let reply = send(client().get(format!("{}{path}", server.base())).bearer_auth(wrong)).await;
            assert_eq!(reply.status, 401, "{path} with key {wrong:?}");
            reply.refusal();
        }
        assert_eq!(server.get(path).await.status, 401, "{path}");
    }
    let viewer = eventually("the film can be joined", PATIENCE, async || {
        (join(&cluster.manager, "film", None).await.status == 200).then_some(())
    });
    viewer.await;
    let viewer = Viewer::join(&cluster.manager, "film", None).await;
    viewer.good("index.m3u8").await;
    assert_eq!(viewer.get("feed").await.refusal(), "not_found", "the tables of all are not for viewers");
}

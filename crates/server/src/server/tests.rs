//! Does it matter to a player which way its answer took? An edge on a listener, and what it says to those who ask
//! plainly and to those who ask so that the lane stays out of it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::clock::unix_ms;
use crate::config::EdgeConfig;
use crate::edge::testing::{PART, World, ticket};
use crate::units::Rate;

/// The answer to one request on a connection of its own.
async fn asked(address: SocketAddr, request: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\nHost: h\r\n{header}\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !is_whole(&answer, request.starts_with("HEAD")) {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut answer)).await;
        assert!(read.unwrap().unwrap() > 0, "{request}: {}", String::from_utf8_lossy(&answer));
    }
    let mut text = String::from_utf8(answer).unwrap();
    let date = text.find("\r\ndate: ").unwrap() + 8;
    text.replace_range(date..date + 29, "today");
    text
}

fn is_whole(answer: &[u8], head_only: bool) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let len = head.split("content-length: ").nth(1).map_or("0", |rest| rest.split("\r\n").next().unwrap());
    head_only || body.len() >= len.parse().unwrap()
}

async fn edge(world: &World, cors: &[&str], stop: &Stop) -> Arc<Roles> {
    let config = EdgeConfig { upload_budget: Rate(u64::MAX), ..EdgeConfig::default() };
    let cors = Cors::new(&cors.iter().map(|origin| origin.to_string()).collect::<Vec<_>>());
    let edge = Some(world.edge(&config, stop.clone()));
    let client = world.manager();
    let roles = Roles { manager: None, origin: None, edge, client, router: axum::Router::new(), cors };
    let mut beats = world.beats();
    beats.wait_for(|beats| !beats.is_empty()).await.unwrap();
    while !roles.is_ready() {
        tokio::task::yield_now().await;
    }
    Arc::new(roles)
}

#[tokio::test]
async fn both_ways_to_an_answer_give_the_same_bytes_and_the_same_account() {
    let world = World::start().await;
    let mut publisher = world.origin("a", 1);
    publisher.publish(1);
    (0..7).for_each(|_| publisher.part());
    world.name("a");
    for (id, allowed) in [["*"].as_slice(), &["http://page", "http://other"]].into_iter().enumerate() {
        let (_switch, stop) = Stop::new();
        let roles = edge(&world, allowed, &stop).await;
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None, Limits::default()).await.unwrap();
        let address = listener.address().unwrap();
        tokio::spawn(listener.serve(roles.clone(), stop));
        let ways = [1, 2].map(|way| ticket(&World::ticket_pair(), 10 * id as u8 + way, |t| t.max_rate = 1_000_000_000));
        let run = "0000000000000001/v0";
        let mut media = 0;
        for name in [
            &format!("{run}/p0.m4s"),
            &format!("{run}/p0.m4s"),
            &format!("{run}/init.mp4"),
            &format!("{run}/init.mp4"),
            &format!("{run}/s1000.m4s"),
            &format!("{run}/p99.m4s"),
            &format!("{run}/p0.m4s?query"),
            &format!("{run}/p00.m4s"),
            &format!("{run}/p0.m4s/"),
            "index.m3u8",
            "feed",
        ] {
            for (method, header) in
                [("GET", ""), ("GET", "Origin: http://page\r\n"), ("GET", "Origin: x\r\n"), ("HEAD", "")]
            {
                // `TE` keeps the lane out and changes nothing else.
                let [one, two] = [(&ways[0], ""), (&ways[1], "TE: trailers\r\n")].map(async |(ticket, more)| {
                    let request = format!("{method} /v/{ticket}/s/demo/{name} HTTP/1.1");
                    asked(address, &request, &format!("{header}{more}")).await
                });
                let (one, two) = (one.await, two.await);
                assert_eq!(one, two, "{method} {name} {header}");
                let is_media = name.contains('/') && method == "GET" && one.starts_with("HTTP/1.1 200");
                media += if is_media { one.split_once("\r\n\r\n").unwrap().1.len() as u64 } else { 0 };
            }
        }
        let mut head = Vec::new();
        for name in [format!("{run}/p0.m4s"), format!("{run}/init.mp4")] {
            let target = format!("/v/{}/s/demo/{name}", ways[0]);
            let Some((body, guard)) = roles.at_once(&Plain { target: &target, origin: None }, unix_ms(), &mut head)
            else {
                panic!("{name} is at hand")
            };
            assert!(body == PART || body == "init"[..]);
            drop(guard);
        }
        roles.edge.as_ref().unwrap().close().await;
        let beats = world.beats();
        let beats = beats.borrow();
        let used = |id: u8| {
            let id = trellis_proto::SessionId([id; 16]).to_string();
            beats.iter().flat_map(|beat| &beat.usage).rfind(|usage| usage.session == id).unwrap().media_bytes
        };
        let [lane, hyper] = [1, 2].map(|way| used(10 * id as u8 + way));
        assert_eq!((lane, hyper), (media + PART.len() as u64 + 4, media), "{allowed:?}");
    }
}

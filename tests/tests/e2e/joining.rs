//! Who is let in, who is told no, and in which words? And what is never told to a log.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use trellis_tests::client::{Reply, Viewer, client, get, join, send};
use trellis_tests::command::token;
use trellis_tests::publisher::{Channel, closed};
use trellis_tests::server::{Server, Setup};
use trellis_tests::{PATIENCE, eventually};

/// A server with a live stream that wants a token.
async fn closed_town(setup: Setup) -> (Server, Channel) {
    let server = setup.start().await;
    let channel = Channel::begin(closed(&server, &server.key("publish.key"), "town"));
    let anybody = token(&server, &["--stream", "*"]);
    eventually("the stream is live", PATIENCE, async || {
        let reply = join(&server, "town", Some(&anybody)).await;
        matches!(reply.status, 200 | 503).then_some(())
    })
    .await;
    (server, channel)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token as another program would make it.
fn minted(server: &Server, algorithm: Algorithm, claims: &Value) -> String {
    let key = server.key("api.key");
    let (kid, secret) = key.split_once(':').unwrap();
    let header = Header { kid: Some(kid.into()), ..Header::new(algorithm) };
    encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_token_gets_a_place_and_every_bad_one_its_own_word() {
    let (server, _channel) = closed_town(Setup::new("all")).await;
    let claims = |change: Value| {
        let mut claims = json!({"sub": "anna", "stream": "town", "exp": now_s() + 60});
        change.as_object().unwrap().iter().for_each(|(key, value)| claims[key] = value.clone());
        minted(&server, Algorithm::HS256, &claims)
    };
    let good = token(&server, &["--stream", "town", "--viewer", "anna", "--expires", "2m"]);
    for good in [&good, &claims(json!({})), &claims(json!({"stream": "*", "class": "premium", "nbf": now_s() - 5}))] {
        let reply = join(&server, "town", Some(good)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["state"], "live");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let limited = join(&server, "town", Some(&claims(json!({"max_rate": 300_000})))).await.json();
    assert_eq!(limited["max_rate"], 300_000);

    let (head, mac) = good.rsplit_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoieCJ9.{}.", head.split_once('.').unwrap().1);
    let strange = encode(
        &Header { kid: Some("nobody".into()), ..Header::default() },
        &json!({}),
        &EncodingKey::from_secret(b"x"),
    );
    for (what, bad, word) in [
        ("nothing", String::new(), "token_invalid"),
        ("garbage", "garbage".into(), "token_invalid"),
        ("more garbage", "a.b.c".into(), "token_invalid"),
        ("a changed signature", format!("{head}.{}", mac.chars().rev().collect::<String>()), "token_invalid"),
        ("no algorithm", none, "token_invalid"),
        (
            "another algorithm",
            minted(&server, Algorithm::HS384, &json!({"sub": "a", "stream": "town", "exp": now_s() + 60})),
            "token_invalid",
        ),
        ("an unknown key", strange.unwrap(), "token_invalid"),
        ("a token for later", claims(json!({"nbf": now_s() + 1000})), "token_invalid"),
        ("no viewer", claims(json!({"sub": ""})), "token_invalid"),
        ("an unknown class", claims(json!({"class": "royal"})), "token_invalid"),
        ("an expired token", claims(json!({"exp": now_s() - 1})), "token_expired"),
        ("a token too long", "a".repeat(5000), "token_invalid"),
    ] {
        refused(join(&server, "town", Some(&bad)).await, 401, word, what);
        if !bad.is_empty() {
            let url = format!("{}/v1/streams/town/play.m3u8?token={bad}", server.base());
            refused(get(&url).await, 401, word, what);
        }
    }
    refused(join(&server, "town", None).await, 401, "token_missing", "no token");
    refused(
        join(&server, "town", Some(&claims(json!({"stream": "other"})))).await,
        403,
        "not_allowed",
        "another stream's token",
    );
    refused(
        join(&server, "nowhere", Some(&claims(json!({"stream": "*"})))).await,
        404,
        "no_such_stream",
        "an unknown stream",
    );
    refused(join(&server, "No%20Name", None).await, 404, "no_such_stream", "no stream's name");
    let basic = client().post(format!("{}/v1/streams/town/join", server.base())).header("authorization", "Basic YTpi");
    refused(send(basic).await, 401, "token_invalid", "another scheme");
}

fn refused(reply: Reply, status: u16, word: &str, what: &str) {
    assert_eq!((reply.status, reply.refusal().as_str()), (status, word), "{what}: {}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), "*", "{what}: a page could not read why");
    if let Some(after) = reply.json()["retry_after"].as_u64() {
        assert_eq!(reply.header("retry-after"), after.to_string(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_publishes_says_when_to_ask_again() {
    let server = Setup::new("all").start().await;
    let create = client().post(format!("{}/v1/admin/streams", server.base())).bearer_auth(server.key("admin.key"));
    let created = send(create.body(r#"{"stream":"later","open":true}"#)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let reply = join(&server, "later", None).await;
    refused(reply.clone(), 404, "not_live", "nobody publishes");
    assert!(reply.json()["retry_after"].as_u64().is_some_and(|after| after > 0));
    // Its own key publishes it, and no other stream.
    let key = created.json()["key"].as_str().unwrap().to_owned();
    let other = send(closed(&server, &key, "other").body("")).await;
    assert!(matches!(other.status, 401 | 403), "{}: {}", other.status, other.text());
    let _channel = Channel::begin(closed(&server, &key, "later"));
    eventually("it has started", PATIENCE, async || (join(&server, "later", None).await.status == 200).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_without_room_says_so_and_when_to_come_back() {
    let (server, _channel) = closed_town(Setup::new("all").env("TRELLIS_EDGE_UPLOAD_BUDGET", "4M")).await;
    let anybody = token(&server, &["--stream", "*"]);
    let mut places = 0;
    let reply = loop {
        let reply = join(&server, "town", Some(&anybody)).await;
        if reply.status != 200 {
            break reply;
        }
        places += 1;
        assert!(places < 10, "4 Mbit/s are promised ten times over");
    };
    assert!(places > 0, "there is room for one");
    refused(reply.clone(), 503, "no_capacity", "a full edge");
    assert!(reply.json()["retry_after"].as_u64().is_some_and(|after| after > 0));
    let url = format!("{}/v1/streams/town/play.m3u8?token={anybody}", server.base());
    refused(get(&url).await, 503, "no_capacity", "a full edge, by the one URL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_url_leads_to_the_playlist() {
    let (server, _channel) = closed_town(Setup::new("all")).await;
    let anna = token(&server, &["--stream", "town", "--viewer", "anna"]);
    let reply = get(&format!("{}/v1/streams/town/play.m3u8?token={anna}", server.base())).await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let to = reply.header("location").to_owned();
    assert!(to.starts_with("/v/") && to.ends_with("/s/town/index.m3u8") && !to.contains(&anna), "{to}");
    let index = server.get(&to).await;
    assert!(index.status == 200 && index.text().starts_with("#EXTM3U"), "{}", index.text());
    assert!(!index.text().contains(&anna), "the viewer token is in the playlist");
    // A ticket is for its stream, and only as it was signed.
    for wrong in [to.replace("/s/town/", "/s/other/"), to.replace("/v/", "/v/A"), "/v//s/town/index.m3u8".into()] {
        let reply = server.get(&wrong).await;
        assert_eq!((reply.status, reply.refusal().as_str()), (403, "bad_ticket"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_ticket_or_key_ever_stands_in_a_log() {
    let (server, channel) = closed_town(Setup::new("all").env("TRELLIS_LOG", "trace")).await;
    let anna = token(&server, &["--stream", "town", "--viewer", "anna"]);
    let viewer = Viewer::join(&server, "town", Some(&anna)).await;
    let playlist = viewer.playlist("v0.m3u8").await;
    for uri in &playlist.uris[..3] {
        viewer.get(uri).await;
    }
    viewer.get("nothing/here").await;
    viewer.get("../../../x").await;
    server.get(&format!("/v1/streams/town/play.m3u8?token={anna}")).await;
    server.get(&format!("/watch/town?token={anna}")).await;
    server.get(&format!("/no/such/page?token={anna}")).await;
    server.get(&format!("/v/{}", viewer.ticket)).await;
    join(&server, "town", Some(&format!("{anna}x"))).await;
    let wrong_key = "a-wrong-stream-key-of-somebody";
    send(closed(&server, wrong_key, "town").body("x")).await;
    send(client().get(format!("{}/v1/admin/accounts", server.base())).bearer_auth(server.key("admin.key"))).await;
    channel.finish().await;
    let log = server.log();
    assert!(log.len() > 2000, "hardly anything was logged at all: {log}");
    let api_key = server.key("api.key");
    let mut secrets =
        vec![anna.clone(), viewer.ticket.clone(), wrong_key.into(), api_key.split_once(':').unwrap().1.into()];
    secrets.extend(["publish.key", "admin.key", "server.key", "ticket.key"].map(|file| server.key(file)));
    // The part of a token that makes it one.
    secrets.push(anna.rsplit_once('.').unwrap().1.to_owned());
    for secret in secrets {
        if let Some(line) = log.lines().find(|line| line.contains(&secret)) {
            panic!("a secret stands in the log: {line}");
        }
    }
}

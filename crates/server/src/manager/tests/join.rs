//! Joining: accepted, refused, and what the refused are told.

use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::json;
use trellis_core::trust::table::Authority;
use trellis_proto::{Class, Ticket};

use super::{House, START_S, ViewerClaims, claims, edge_beat};
use crate::cluster_api::ViewerClass;
use crate::manager::ManagerConfig;
use crate::manager::api::Address;
use crate::manager::api::viewer::join;
use crate::manager::config::P2p;

fn ticket(house: &House, text: &str) -> Ticket {
    let authority = Authority::new(&house.manager.ticket_key()).unwrap();
    authority.ticket(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn a_viewer_with_a_good_token_gets_a_place() {
    let house = House::new().await;
    house.on_air().await;
    let claims =
        ViewerClaims { class: Some(ViewerClass::Premium), max_rate: Some(1_500_000), ..claims("anna", "live") };
    let got = house.join("live", Some(&house.mint(&claims))).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert_eq!(got.headers["cache-control"], "no-store");
    let text = got.body["ticket"].as_str().unwrap();
    let ticket = ticket(&house, text);
    let expected = json!({"stream": "live", "state": "live", "hls": format!("/v/{text}/s/live/index.m3u8"), "ticket": text,
        "link": format!("/v/{text}/s/live/link"), "origin_key": "ab".repeat(32), "stun_port": 3478, "p2p": "on", "viewers_min": 0,
        "session": ticket.session.to_string(), "max_rate": 1_500_000, "expires_at": START_S + 3600, "server_time_ms": START_S * 1000});
    assert_eq!(got.body, expected);
    assert_eq!((ticket.edge.as_str(), ticket.stream.as_str()), ("e", "live"));
    assert_eq!((ticket.expires_s, ticket.max_rate, ticket.class), (START_S + 3600, 1_500_000, Class::Premium));
}

#[tokio::test]
async fn the_place_gets_the_streams_rate_with_headroom_unless_less_was_agreed() {
    let house = House::new().await;
    house.on_air().await;
    let rate = async |body: serde_json::Value| {
        let got = house.admin("PATCH", "/v1/admin/streams/open", body).await;
        assert_eq!(got.status, StatusCode::OK, "{got:?}");
        house.join("open", None).await.body["max_rate"].clone()
    };
    assert_eq!(rate(json!({})).await, 2_300_000);
    assert_eq!(rate(json!({"max_rate": 900_000})).await, 900_000);
    assert_eq!(rate(json!({"max_rate": 0})).await, 2_300_000);
    let streams = json!([{"stream": "open", "state": "live", "rate_bps": 0}]);
    house.cluster("POST", "/v1/cluster/origins", super::origin_beat("o", streams)).await;
    assert_eq!(rate(json!({})).await, 8_000_000);
}

#[tokio::test]
async fn an_open_stream_asks_nobody_but_believes_no_bad_token() {
    let house = House::new().await;
    house.on_air().await;
    let got = house.join("open", None).await;
    assert_eq!((got.status, &got.body["expires_at"]), (StatusCode::OK, &json!(START_S + 12 * 3600)));
    assert_eq!(house.join("open", Some(&house.token("anna", "*"))).await.status, StatusCode::OK);
    assert_eq!(house.join("open", Some("x")).await.body["error"], "token_invalid");
}

#[tokio::test]
async fn the_refused_are_told_why_and_when_to_return() {
    let house = House::new().await;
    house.on_air().await;
    let token = house.token("anna", "live");
    let expired = house.mint(&ViewerClaims { exp: START_S, ..claims("anna", "live") });
    let cases = [
        ("live", None, 401, "token_missing", None),
        ("live", Some("garbage"), 401, "token_invalid", None),
        ("live", Some(&expired), 401, "token_expired", None),
        ("dark", Some(&token), 403, "not_allowed", None),
        ("nowhere", Some(&token), 404, "no_such_stream", None),
        ("nowhere", None, 404, "no_such_stream", None),
        ("..%2f..%2fetc", None, 404, "no_such_stream", None),
        ("dark", Some(&house.token("anna", "*")), 404, "not_live", Some("2")),
    ]
    .map(|(stream, token, status, word, retry)| (stream, token.map(String::from), status, word, retry));
    for (stream, token, status, word, retry) in cases {
        let got = house.join(stream, token.as_deref()).await;
        assert_eq!((got.status.as_u16(), got.body["error"].as_str()), (status, Some(word)), "{stream}");
        assert_eq!(got.headers.get("www-authenticate").is_some(), status == 401);
        assert_eq!(got.headers.get("retry-after").map(|v| v.to_str().unwrap()), retry);
        assert_eq!(got.body["retry_after"].as_u64().map(|s| s.to_string()).as_deref(), retry);
        assert!(got.body["message"].as_str().is_some_and(|text| text.len() > 20));
    }
}

#[tokio::test]
async fn only_a_bearer_is_a_bearer() {
    let house = House::new().await;
    house.on_air().await;
    let token = house.token("anna", "live");
    let answer = |authorization: String| {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization.parse().unwrap())]);
        join(&house.manager, "live", &headers, &[], Address([192, 0, 2, 1].into())).status()
    };
    assert_eq!(answer(format!("bearer  {token} ")), StatusCode::OK);
    assert_eq!(answer(format!("Basic {token}")), StatusCode::UNAUTHORIZED);
    assert_eq!(answer(token), StatusCode::UNAUTHORIZED);
    assert_eq!(answer(format!("Bearer {}", "A".repeat(100_000))), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_full_house_says_when_to_return_and_a_dead_edge_takes_nobody() {
    let house = House::new().await;
    house.on_air().await;
    let full =
        json!({"capacity_bps": 4_000_000, "committed_bps": 4_000_000, "sessions": 2, "departures_per_minute": 6});
    house.cluster("POST", "/v1/cluster/edges", edge_beat("e", full)).await;
    // 2.3 Mbit/s need two leavers of 2 Mbit/s: 20 s, and up to half as much again.
    let got = house.join("open", None).await;
    assert_eq!((got.status, got.body["error"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("no_capacity")));
    assert!((20..=30).contains(&got.body["retry_after"].as_u64().unwrap()), "{got:?}");
    assert_eq!(got.headers["retry-after"].to_str().unwrap(), got.body["retry_after"].to_string());

    house.cluster("POST", "/v1/cluster/edges", edge_beat("f", json!({"public_url": "https://f.example.org/"}))).await;
    let hls = house.join("open", None).await.body["hls"].as_str().unwrap().to_owned();
    assert!(hls.starts_with("https://f.example.org/v/"), "{hls}");
    house.pass(Duration::from_secs(3));
    house
        .cluster(
            "POST",
            "/v1/cluster/origins",
            super::origin_beat("o", json!([{"stream": "open", "state": "live", "rate_bps": 1}])),
        )
        .await;
    assert_eq!(house.join("open", None).await.status, StatusCode::OK);
    house.pass(Duration::from_secs(1));
    assert_eq!(house.join("open", None).await.body["error"], "no_capacity");
    house.manager.expire(house.manager.now()).await;
    assert_eq!(house.admin("GET", "/v1/admin/edges", json!(null)).await.body, json!({"edges": []}));
    // The origin's last beat is a second old; three more and its streams wait.
    house.pass(Duration::from_secs(3));
    assert_eq!(house.join("open", None).await.body["error"], "not_live");
}

#[tokio::test]
async fn who_is_sent_away_hears_what_is_short() {
    let house = House::new().await;
    house.on_air().await;
    for (edge, short) in [
        (json!({"capacity_bps": 4_000_000, "committed_bps": 4_000_000}), "every edge is full"),
        (
            json!({"capacity_bps": 1_000_000}),
            "this stream takes 2.30 Mbit/s a viewer, and the largest edge has 1.00 Mbit/s in all",
        ),
        (json!({"draining": true}), "no edge is there"),
    ] {
        house.cluster("POST", "/v1/cluster/edges", edge_beat("e", edge)).await;
        let said = house.join("open", None).await.body;
        assert_eq!(said["error"], "no_capacity");
        assert!(said["message"].as_str().unwrap().starts_with(short), "{said}");
    }
}

#[tokio::test]
async fn a_plain_player_is_redirected() {
    let house = House::with(ManagerConfig { open_session_s: 60, ..ManagerConfig::default() }).await;
    house.on_air().await;
    let get = async |uri: String| house.call(Request::get(uri).body(Body::empty()).unwrap()).await;
    let got = get(format!("/v1/streams/live/play.m3u8?token={}", house.token("anna", "live"))).await;
    let location = got.headers["location"].to_str().unwrap();
    assert_eq!((got.status, location.ends_with("/s/live/index.m3u8")), (StatusCode::FOUND, true));
    assert_eq!(got.headers["cache-control"], "no-store");
    let text = location.strip_prefix("/v/").unwrap().split('/').next().unwrap();
    assert_eq!(ticket(&house, text).expires_s, START_S + 3600);
    assert_eq!(get("/v1/streams/live/play.m3u8".into()).await.body["error"], "token_missing");
    assert_eq!(get("/v1/streams/open/play.m3u8".into()).await.status, StatusCode::FOUND);
    assert_eq!(get("/v1/streams/open/play.m3u8?token=a&token=b".into()).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn to_look_is_not_to_join() {
    let house = House::new().await;
    house.on_air().await;
    let got = house.call(Request::head("/v1/streams/open/play.m3u8").body(Body::empty()).unwrap()).await;
    assert_eq!((got.status, &got.headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("GET")));
    let got = house.call(Request::get("/v1/streams/open/join").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (got.status, &got.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("POST"))
    );
    let edges = house.admin("GET", "/v1/admin/edges", json!(null)).await.body;
    assert_eq!(edges["edges"][0]["pending_bps"], 0);
}

#[tokio::test]
async fn a_stream_may_be_for_some_classes_only() {
    let house = House::new().await;
    let make = async |stream: &str, classes: serde_json::Value| {
        house.admin("POST", "/v1/admin/streams", json!({"stream": stream, "classes": classes})).await.status
    };
    assert_eq!(
        (make("gala", json!(["premium"])).await, make("x", json!(["gold"])).await.as_u16()),
        (StatusCode::CREATED, 400)
    );
    let contradiction = json!({"stream": "x", "open": true, "classes": ["premium"]});
    assert_eq!(house.admin("POST", "/v1/admin/streams", contradiction).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        house.admin("PATCH", "/v1/admin/streams/gala", json!({"open": true})).await.status,
        StatusCode::BAD_REQUEST
    );
    let publish = json!({"stream": "late", "key": house.manager.publish_key(), "origin": "o",
        "instance": super::instance("o"), "open": null, "classes": ["premium"]});
    assert_eq!(house.cluster("POST", "/v1/cluster/publish", publish).await.body["open"], false);

    let house = house.restarted().await;
    house.beats(&[("gala", "live"), ("late", "live")]).await;
    let of = |class| house.mint(&ViewerClaims { class, ..claims("anna", "*") });
    for stream in ["gala", "late"] {
        for class in [None, Some(ViewerClass::Standard)] {
            let got = house.join(stream, Some(&of(class))).await;
            assert_eq!((got.status, got.body["error"].as_str()), (StatusCode::FORBIDDEN, Some("not_allowed")));
            assert!(got.body["message"].as_str().unwrap().contains("class premium"), "{got:?}");
        }
        assert_eq!(house.join(stream, Some(&of(Some(ViewerClass::Premium)))).await.status, StatusCode::OK);
    }
    house.admin("PATCH", "/v1/admin/streams/gala", json!({"classes": []})).await;
    assert_eq!(house.join("gala", Some(&of(None))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_lost_its_edge_goes_on_at_another_and_who_was_refused_begins_there() {
    let house = House::new().await;
    house.on_air().await;
    let join = async |body: serde_json::Value| house.join_saying("open", None, body.to_string().as_bytes()).await;
    let first = house.join("open", None).await.body["ticket"].clone();
    let was = ticket(&house, first.as_str().unwrap());
    let read = |got: &super::Got| ticket(&house, got.body["ticket"].as_str().unwrap());
    // Whoever comes back at once was hardly let in: it keeps its session, and waits like newcomers.
    let at_once = read(&join(json!({"lost": [first]})).await);
    assert_eq!((at_once.session, at_once.rejoins), (was.session, false));
    house.pass(Duration::from_secs(10));
    house.beats(&[("live", "live"), ("open", "live")]).await;
    assert!(!read(&join(json!({"lost": [first]})).await).rejoins, "to the ms");
    house.pass(Duration::from_millis(1));
    // There is only one: what was lost may have been the link alone.
    let back = read(&join(json!({"lost": [first]})).await);
    assert_eq!((back.edge.as_str(), back.session, back.rejoins), ("e", was.session, true));
    let twice = join(json!({"lost": [first, house.join("open", None).await.body["ticket"]]})).await;
    assert_eq!(twice.body["error"], "no_capacity", "and not a second time");
    assert_eq!(join(json!({"refused": [first]})).await.body["error"], "no_capacity");

    house.cluster("POST", "/v1/cluster/edges", edge_beat("f", json!({"public_url": "https://f.example.org/"}))).await;
    let moved = read(&join(json!({"lost": [first]})).await);
    assert_eq!((moved.edge.as_str(), moved.session, moved.rejoins), ("f", was.session, true));
    let sent_on = read(&join(json!({"refused": [first]})).await);
    assert_eq!((sent_on.edge.as_str(), sent_on.rejoins), ("f", false));
    assert_ne!(sent_on.session, was.session);
    let nothing = read(&join(json!({"lost": ["x", "", "AAAA"]})).await);
    assert!(!nothing.rejoins);

    for bad in ["{", "3", &json!({"lost": vec![&first; 9]}).to_string()] {
        let got = house.join_saying("open", None, bad.as_bytes()).await;
        assert_eq!((got.status, got.body["error"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_request")), "{bad}");
    }
}

#[tokio::test]
async fn who_hoards_tickets_comes_back_no_more_often_than_viewers_were_there() {
    let house = House::new().await;
    house.on_air().await;
    let mut hoard = Vec::new();
    for _ in 0..20 {
        hoard.push(house.join("open", None).await.body["ticket"].clone());
    }
    house.pass(Duration::from_secs(11));
    house.beats(&[("live", "live"), ("open", "live")]).await;
    house.cluster("POST", "/v1/cluster/edges", edge_beat("f", json!({"public_url": "https://f.example.org/"}))).await;
    let mut rejoins = 0;
    for held in &hoard {
        let got = house.join_saying("open", None, json!({"lost": [held]}).to_string().as_bytes()).await;
        rejoins += usize::from(ticket(&house, got.body["ticket"].as_str().unwrap()).rejoins);
    }
    assert_eq!(rejoins, 8, "of an edge where nobody watches");
}

#[tokio::test]
async fn a_full_edge_whose_viewers_give_takes_those_who_give_as_well() {
    let house = House::new().await;
    house.on_air().await;
    let full = json!({"capacity_bps": 9_000_000, "committed_bps": 9_000_000, "brings_bps": 2_500_000});
    house.cluster("POST", "/v1/cluster/edges", edge_beat("e", full)).await;
    assert_eq!(house.join("open", None).await.body["error"], "no_capacity");
    assert_eq!(house.join_saying("open", None, b"{}").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_an_edge_reserves_keeps_plain_players_away_and_no_engine() {
    let house = House::new().await;
    house.on_air().await;
    let reserving = json!({"capacity_bps": 9_000_000, "committed_bps": 1_000_000, "reserved_bps": 8_000_000});
    house.cluster("POST", "/v1/cluster/edges", edge_beat("e", reserving)).await;
    assert_eq!(house.join("open", None).await.body["error"], "no_capacity");
    assert_eq!(house.join_saying("open", None, b"{}").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_viewers_may_be_to_each_other_stands_in_reply_and_ticket_and_who_gives_nothing_brings_nothing() {
    let defaults = ManagerConfig { p2p: P2p::ReceiveOnly, viewers_min: 5, ..ManagerConfig::default() };
    let house = House::with(defaults).await;
    house.on_air().await;
    let change = json!({"p2p": "on", "viewers_min": 0});
    let said = async || {
        let got = house.join_saying("open", None, b"{}").await.body;
        let ticket = ticket(&house, got["ticket"].as_str().unwrap());
        (got["p2p"].as_str().unwrap().to_owned(), got["viewers_min"].clone(), ticket.p2p, ticket.viewers_min)
    };
    assert_eq!(said().await, ("receive_only".into(), json!(5), trellis_proto::P2p::ReceiveOnly, 5));
    house.admin("PATCH", "/v1/admin/streams/open", change.clone()).await;
    assert_eq!(said().await, ("on".into(), json!(0), trellis_proto::P2p::On, 0));
    let full = json!({"capacity_bps": 9_000_000, "committed_bps": 9_000_000, "brings_bps": 2_500_000});
    house.cluster("POST", "/v1/cluster/edges", edge_beat("e", full.clone())).await;
    assert_eq!(house.join_saying("open", None, b"{}").await.status, StatusCode::OK);
    let reserving = json!({"capacity_bps": 9_000_000, "committed_bps": 1_000_000, "reserved_bps": 8_000_000, "brings_bps": 2_500_000});
    for (policy, at_full, at_reserving) in [
        (json!({"viewers_min": 4}), StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK),
        (json!({"viewers_min": 0, "p2p": "receive_only"}), StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK),
        (json!({"p2p": "off"}), StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        house.admin("PATCH", "/v1/admin/streams/open", policy.clone()).await;
        for (edge, expected) in [(&full, at_full), (&reserving, at_reserving)] {
            // Grants that nobody took up are forgotten.
            house.pass(Duration::from_secs(6));
            house.beats(&[("live", "live"), ("open", "live")]).await;
            house.cluster("POST", "/v1/cluster/edges", edge_beat("e", edge.clone())).await;
            assert_eq!(house.join_saying("open", None, b"{}").await.status, expected, "{policy} at {edge}");
        }
    }
}

#[tokio::test]
async fn viewers_are_sent_to_an_edge_near_to_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "192.0.2.0/24,AS1,west\n198.51.100.0/24,AS2,west\n203.0.113.0/24,AS3,east\n").unwrap();
    let prefixes = Some(file.path().to_owned());
    let house = House::with(ManagerConfig { prefixes, ..ManagerConfig::default() }).await;
    house.on_air().await;
    house.pass(Duration::from_secs(1));
    // By name and by room the wrong one would be taken; viewers come from 192.0.2.1.
    for (edge, url, mbps) in [("far", "https://203.0.113.9", 900), ("near", "https://198.51.100.9:8443/", 100)] {
        let beat = edge_beat(edge, json!({"public_url": url, "capacity_bps": mbps * 1_000_000}));
        assert_eq!(house.cluster("POST", "/v1/cluster/edges", beat).await.status, StatusCode::OK);
    }
    let hls = house.join("open", None).await.body["hls"].as_str().unwrap().to_owned();
    assert!(hls.starts_with("https://198.51.100.9:8443/v/"), "{hls}");
}

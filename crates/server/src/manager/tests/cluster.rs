//! What origins and edges may and what they are told.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{House, edge_beat, instance, origin_beat};
use crate::manager::ManagerConfig;
use crate::manager::registry::Gone;

fn publish(stream: &str, key: &str, origin: &str) -> serde_json::Value {
    json!({"stream": stream, "key": key, "origin": origin, "instance": instance(origin), "open": null})
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let house = House::new().await;
    for (method, path) in
        [("POST", "/v1/cluster/edges"), ("GET", "/v1/cluster/streams/live"), ("GET", "/v1/admin/streams")]
    {
        for key in ["", "x", house.manager.publish_key()] {
            let got = house.send(method, path, key, &json!({})).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(got.headers["www-authenticate"], "Bearer");
        }
    }
    let swapped = house.send("GET", "/v1/admin/streams", house.manager.server_key(), &json!(null)).await;
    assert_eq!(swapped.body["error"], "admin_key_invalid");
}

#[tokio::test]
async fn garbage_is_refused_with_a_reason() {
    let house = House::new().await;
    let bad = [
        ("edges", json!({})),
        ("edges", json!([1, 2])),
        ("edges", edge_beat("", json!({}))),
        ("edges", edge_beat("a b", json!({}))),
        ("edges", edge_beat("a/b", json!({}))),
        ("edges", edge_beat("e", json!({"instance": {"id": "", "started_ms": 1}}))),
        ("edges", edge_beat(&"x".repeat(65), json!({}))),
        ("edges", edge_beat("e", json!({"capacity_bps": -1}))),
        ("edges", edge_beat("e", json!({"public_url": "javascript:alert(1)"}))),
        ("edges", edge_beat("e", json!({"public_url": "http://e/\"><script>"}))),
        ("edges", edge_beat("e", json!({"public_url": "http://e/\r\nx: y"}))),
        ("origins", origin_beat("o", json!([{"stream": "../x", "state": "live", "rate_bps": 1}]))),
        ("origins", origin_beat("o", json!([{"stream": "x", "state": "asleep", "rate_bps": 1}]))),
        ("publish", publish("No Such Name", house.manager.publish_key(), "o")),
    ];
    for (path, body) in bad {
        let got = house.cluster("POST", &format!("/v1/cluster/{path}"), body.clone()).await;
        assert_eq!((got.status, got.body["error"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_request")), "{body}");
    }
    let huge = json!({"stream": "x".repeat(70_000)});
    assert_eq!(house.cluster("POST", "/v1/cluster/publish", huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let huge = edge_beat(&"x".repeat(5 << 20), json!({}));
    assert_eq!(house.cluster("POST", "/v1/cluster/edges", huge).await.body["error"], "body_too_large");
}

#[tokio::test]
async fn who_may_publish_is_decided_by_the_key() {
    let house = House::new().await;
    let key = |got: super::Got| got.body["key"].as_str().unwrap().to_owned();
    let own = key(house.admin("POST", "/v1/admin/streams", json!({"stream": "live", "open": true})).await);
    let other = key(house.admin("POST", "/v1/admin/streams", json!({"stream": "other"})).await);
    let ask = async |stream: &str, key: &str| {
        let got = house.cluster("POST", "/v1/cluster/publish", publish(stream, key, "o")).await;
        (got.status.as_u16(), got.body["error"].as_str().map(String::from), got.body["open"].as_bool())
    };
    assert_eq!(ask("live", &own).await, (200, None, Some(true)));
    assert_eq!(ask("live", house.manager.publish_key()).await, (200, None, Some(true)));
    assert_eq!(ask("live", &other).await, (403, Some("not_allowed".into()), None));
    assert_eq!(ask("live", "guess").await, (401, Some("stream_key_invalid".into()), None));
    assert_eq!(ask("live", "").await, (401, Some("stream_key_invalid".into()), None));
    // A stream key makes no streams; the publish key does.
    assert_eq!(ask("fresh", &own).await, (403, Some("not_allowed".into()), None));
    assert_eq!(ask("fresh", house.manager.publish_key()).await, (200, None, Some(false)));
    assert_eq!(house.join("fresh", None).await.body["error"], "token_missing");
    // A new stream key ends the old one.
    let new = key(house.admin("PATCH", "/v1/admin/streams/live", json!({"new_key": true})).await);
    assert_eq!(ask("live", &own).await.0, 401);
    assert_eq!(ask("live", &new).await.0, 200);
}

#[tokio::test]
async fn a_stream_made_by_publishing_is_open_when_said_so() {
    let house = House::with(ManagerConfig { default_open: true, ..ManagerConfig::default() }).await;
    let key = house.manager.publish_key().to_owned();
    let open = async |stream: &str, open: Option<bool>| {
        let body = json!({"stream": stream, "key": key, "origin": "o", "instance": instance("o"), "open": open});
        house.cluster("POST", "/v1/cluster/publish", body).await.body
    };
    assert_eq!(open("a", None).await["open"], true);
    assert_eq!(open("b", Some(false)).await["open"], false);
    // What it is stands, and whoever expects otherwise is told.
    assert_eq!(open("b", None).await["open"], false);
    assert_eq!(open("b", Some(true)).await["error"], "access_differs");
    assert_eq!(open("a", Some(false)).await["error"], "access_differs");
    house.admin("PATCH", "/v1/admin/streams/b", json!({"open": true})).await;
    assert_eq!(open("b", Some(true)).await["open"], true);
    let classes = async |stream: &str, classes: &[&str]| {
        let mut body = publish(stream, &key, "o");
        body["classes"] = json!(classes);
        house.cluster("POST", "/v1/cluster/publish", body).await.body
    };
    assert_eq!(classes("c", &["premium"]).await["open"], false);
    assert_eq!(classes("c", &["premium"]).await["open"], false);
    assert_eq!(classes("c", &["standard", "premium"]).await["error"], "access_differs");
    assert_eq!(classes("b", &["premium"]).await["error"], "access_differs", "it is open");
    assert_eq!(classes("c", &[]).await["open"], false, "who says nothing agrees");
}

#[tokio::test]
async fn one_origin_at_a_time_publishes_a_stream() {
    let house = House::new().await;
    let key = house.manager.publish_key().to_owned();
    let ask = async |origin: &str| {
        house.cluster("POST", "/v1/cluster/publish", publish("live", &key, origin)).await.status.as_u16()
    };
    let beat = async |origin: &str, state: &str| {
        let streams = json!([{"stream": "live", "state": state, "rate_bps": 1}]);
        house.cluster("POST", "/v1/cluster/origins", origin_beat(origin, streams)).await;
    };
    assert_eq!((ask("a").await, ask("b").await, ask("a").await), (200, 409, 200));
    house.pass(Duration::from_secs(3));
    beat("a", "live").await;
    house.pass(Duration::from_secs(3));
    assert_eq!(ask("b").await, 409);
    beat("a", "ended").await;
    assert_eq!(ask("b").await, 200);
    beat("b", "live").await;
    assert_eq!(house.cluster("GET", "/v1/cluster/streams/live", json!(null)).await.status, StatusCode::OK);
    house.pass(Duration::from_secs(4));
    assert_eq!(ask("a").await, 200);
    // From its publisher's first word on, long before there is anything to see; and while a recording comes in anew.
    for state in ["waiting", "vod"] {
        let streams = json!([{"stream": "live", "state": state, "rate_bps": 0, "publishing": true}]);
        house.cluster("POST", "/v1/cluster/origins", origin_beat("a", streams.clone())).await;
        house.pass(Duration::from_secs(3));
        house.cluster("POST", "/v1/cluster/origins", origin_beat("a", streams)).await;
        house.pass(Duration::from_secs(3));
        assert_eq!(ask("b").await, 409, "{state}");
    }
    beat("a", "waiting").await;
    let find = house.cluster("GET", "/v1/cluster/streams/live", json!(null)).await;
    assert_eq!(find.body["error"], "not_live", "there is nothing to follow yet");
}

#[tokio::test]
async fn edges_find_the_livelier_of_two_origins_until_it_dies() {
    let house = House::new().await;
    let beat = async |origin: &str, url: &str, state: &str| {
        let mut beat = origin_beat(origin, json!([{"stream": "live", "state": state, "rate_bps": 1}]));
        beat["media_url"] = url.into();
        house.cluster("POST", "/v1/cluster/origins", beat).await;
    };
    let find = async || house.cluster("GET", "/v1/cluster/streams/live", json!(null)).await.body;
    assert_eq!(find().await["error"], "not_live");
    beat("a", "http://a/origin/", "ended").await;
    beat("b", "http://b/origin", "live").await;
    assert_eq!(find().await, json!({"media_url": "http://b/origin", "public_key": "ab".repeat(32)}));
    house.pass(Duration::from_secs(2));
    beat("a", "http://a/origin/", "ended").await;
    house.pass(Duration::from_secs(2));
    assert_eq!(find().await["media_url"], "http://a/origin");
    // Of two that ended, the later.
    beat("b", "http://b/origin", "ended").await;
    assert_eq!(find().await["media_url"], "http://b/origin");
}

#[tokio::test]
async fn an_edge_that_says_goodbye_did_not_fall_silent() {
    let house = House::new().await;
    for (edge, draining) in [("a", true), ("b", false)] {
        house.cluster("POST", "/v1/cluster/edges", edge_beat(edge, json!({"draining": draining}))).await;
    }
    house.pass(Duration::from_secs(4));
    let gone = house.manager.registry().expire(house.manager.now().mono);
    assert_eq!(gone, Gone { left: vec!["a".into()], silent: vec!["b".into()] });
}

#[tokio::test]
async fn of_two_edges_of_one_name_the_first_is_known_until_it_goes() {
    let house = House::new().await;
    let beat = async |id: &str, started_ms: u64, draining: bool| {
        let changes = json!({"instance": {"id": id, "started_ms": started_ms}, "draining": draining});
        let got = house.cluster("POST", "/v1/cluster/edges", edge_beat("e", changes)).await;
        (got.status.as_u16(), got.body["error"].as_str().unwrap_or_default().to_owned())
    };
    let (taken, good) = ((409, "name_taken".to_owned()), (200, String::new()));
    assert_eq!(beat("a", 1, false).await, good);
    assert_eq!(beat("b", 2, false).await, taken);
    // Restarted on the same data directory; its former self, should it live on, is refused from then on.
    assert_eq!(beat("a", 3, false).await, good);
    assert_eq!(beat("a", 1, false).await, taken);
    // Gone with notice.
    assert_eq!((beat("a", 3, true).await, beat("b", 2, false).await), (good.clone(), good.clone()));
    // The last report of one that was followed already is taken for its accounts, and changes nothing else.
    assert_eq!(beat("a", 3, true).await, good);
    assert_eq!(house.admin("GET", "/v1/admin/edges", json!(null)).await.body["edges"][0]["draining"], false);
    // Gone without a word.
    house.pass(Duration::from_secs(4));
    assert_eq!(beat("c", 1, false).await, good);
}

#[tokio::test]
async fn of_two_origins_of_one_name_the_second_takes_no_publishers() {
    let house = House::new().await;
    let mut second = origin_beat("o", json!([]));
    assert_eq!(house.cluster("POST", "/v1/cluster/origins", second.clone()).await.status, StatusCode::OK);
    second["instance"] = json!({"id": "another", "started_ms": 9});
    assert_eq!(house.cluster("POST", "/v1/cluster/origins", second.clone()).await.body["error"], "name_taken");
    let mut ask = publish("live", house.manager.publish_key(), "o");
    assert_eq!(house.cluster("POST", "/v1/cluster/publish", ask.clone()).await.status, StatusCode::OK);
    ask["instance"] = second["instance"].clone();
    assert_eq!(house.cluster("POST", "/v1/cluster/publish", ask).await.body["error"], "name_taken");
}

#[tokio::test]
async fn a_far_edge_of_an_origin_with_a_near_address_is_noticed() {
    let house = House::new().await;
    let mut near = origin_beat("o", json!([]));
    near["media_url"] = "http://127.0.0.1:41234/origin".into();
    house.cluster("POST", "/v1/cluster/origins", near.clone()).await;
    house.cluster("POST", "/v1/cluster/edges", edge_beat("here", json!({}))).await;
    house.cluster("POST", "/v1/cluster/edges", edge_beat("too", json!({"public_url": "http://localhost:81"}))).await;
    assert_eq!(house.manager.registry().too_far(), None);
    house.cluster("POST", "/v1/cluster/edges", edge_beat("far", json!({"public_url": "https://e.example"}))).await;
    assert_eq!(house.manager.registry().too_far(), Some((vec!["far"], "o")));
    near["media_url"] = "http://10.0.0.1:8080/origin".into();
    house.cluster("POST", "/v1/cluster/origins", near).await;
    assert_eq!(house.manager.registry().too_far(), None);
}

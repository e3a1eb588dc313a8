//! What an operator sets up, and what outlives a restart.

use std::os::unix::fs::PermissionsExt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::{House, claims, edge_beat};
use crate::manager::{Error, Manager, ManagerConfig, mint};

#[tokio::test]
async fn the_first_run_makes_secrets_for_its_owner_only_and_the_second_keeps_them() {
    let house = House::new().await;
    let mode = |name: &str| std::fs::metadata(house.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["ticket.key", "server.key", "admin.key", "publish.key", "api.key", "manager.db", "manager.db-wal"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let made: Vec<_> =
        house.manager.created().iter().map(|c| c.path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(made, ["data", "ticket.key", "server.key", "admin.key", "publish.key", "api.key"]);
    let keys = |house: &House| {
        let manager = &house.manager;
        let texts = [manager.server_key(), manager.admin_key(), manager.publish_key()].map(String::from);
        (texts, manager.ticket_key(), super::api_key(&house.data()).secret)
    };
    let before = keys(&house);
    let house = house.restarted().await;
    assert_eq!((keys(&house), house.manager.created()), (before, &[][..]));
}

#[tokio::test]
async fn a_key_that_could_be_guessed_is_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    for (server, admin) in [(Some(""), None), (None, Some("short"))] {
        let config = ManagerConfig {
            server_key: server.map(Into::into),
            admin_key: admin.map(Into::into),
            ..Default::default()
        };
        assert!(matches!(Manager::open(&config, dir.path()).await, Err(Error::WeakKey(_))));
    }
    std::fs::write(dir.path().join("publish.key"), "\n").unwrap();
    assert!(matches!(Manager::open(&ManagerConfig::default(), dir.path()).await, Err(Error::Key { .. })));
    let config = ManagerConfig { server_key: Some("a key of sixteen or more".into()), ..Default::default() };
    assert!(!format!("{config:?}").contains("sixteen"));
}

#[tokio::test]
async fn streams_are_made_changed_and_deleted_and_outlive_a_restart() {
    let house = House::new().await;
    let new = json!({"stream": "town-hall", "title": "Town hall", "open": true, "max_rate": 3_000_000});
    let made = house.admin("POST", "/v1/admin/streams", new.clone()).await;
    assert_eq!((made.status, made.body["key"].as_str().unwrap().len()), (StatusCode::CREATED, 43));
    assert_eq!(house.admin("POST", "/v1/admin/streams", new).await.body["error"], "stream_exists");
    for bad in [
        json!({"stream": "Town"}),
        json!({"stream": "x", "opne": true}),
        json!({"stream": "x", "p2p": "sometimes"}),
        json!({"stream": "x", "viewers_min": 65_536}),
        json!({"stream": "x", "title": "t".repeat(201)}),
        json!(7),
    ] {
        assert_eq!(
            house.admin("POST", "/v1/admin/streams", bad.clone()).await.status,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
    let changed = house
        .admin(
            "PATCH",
            "/v1/admin/streams/town-hall",
            json!({"open": false, "title": "All hands", "p2p": "receive_only", "viewers_min": 7}),
        )
        .await;
    let expected = json!({"stream": "town-hall", "title": "All hands", "open": false, "classes": [], "max_rate": 3_000_000,
        "p2p": "receive_only", "viewers_min": 7, "created_ms": super::START_S * 1000, "state": "waiting"});
    assert_eq!(changed.body, expected);

    let house = house.restarted().await;
    assert_eq!(house.admin("GET", "/v1/admin/streams", json!(null)).await.body, json!({"streams": [expected]}));
    let publish = json!({"stream": "town-hall", "key": made.body["key"], "origin": "o", "instance": super::instance("o"), "open": null});
    assert_eq!(house.cluster("POST", "/v1/cluster/publish", publish.clone()).await.status, StatusCode::OK);
    assert_eq!(house.admin("DELETE", "/v1/admin/streams/town-hall", json!(null)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.admin("DELETE", "/v1/admin/streams/town-hall", json!(null)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.cluster("POST", "/v1/cluster/publish", publish).await.status, StatusCode::UNAUTHORIZED);
    let house = house.restarted().await;
    assert_eq!(house.admin("GET", "/v1/admin/streams", json!(null)).await.body, json!({"streams": []}));
}

#[tokio::test]
async fn api_keys_speak_for_their_streams_until_revoked() {
    let house = House::new().await;
    house.on_air().await;
    let made = house.admin("POST", "/v1/admin/keys", json!({"kind": "hs256", "kid": "app", "streams": ["live"]})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let secret = made.body["secret"].as_str().unwrap();
    let word = async |house: &House, token: &str, stream: &str| {
        house.join(stream, Some(token)).await.body["error"].as_str().map(String::from)
    };
    let token = mint("app", secret, &claims("anna", "*"));
    assert_eq!(word(&house, &token, "live").await, None);
    assert_eq!(word(&house, &token, "open").await.as_deref(), Some("not_allowed"));
    assert_eq!(
        house.admin("POST", "/v1/admin/keys", json!({"kind": "hs256", "kid": "app"})).await.body["error"],
        "key_exists"
    );

    let house = house.restarted().await;
    house.beats(&[("live", "live")]).await;
    assert_eq!(word(&house, &token, "live").await, None);
    let listed = house.admin("GET", "/v1/admin/keys", json!(null)).await.body.to_string();
    assert!(listed.contains("\"app\"") && !listed.contains(secret));
    assert_eq!(house.admin("DELETE", "/v1/admin/keys/app", json!(null)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.admin("DELETE", "/v1/admin/keys/app", json!(null)).await.body["error"], "no_such_key");
    assert_eq!(word(&house, &token, "live").await.as_deref(), Some("token_invalid"));
    let house = house.restarted().await;
    house.beats(&[("live", "live")]).await;
    assert_eq!(word(&house, &token, "live").await.as_deref(), Some("token_invalid"));
}

#[tokio::test]
async fn a_public_key_is_taken_in_and_its_tokens_count() {
    let house = House::new().await;
    house.on_air().await;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let made = house.admin("POST", "/v1/admin/keys", json!({"kind": "eddsa", "public_key": public})).await;
    assert_eq!((made.status, made.body.get("secret")), (StatusCode::CREATED, None), "{made:?}");
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some(made.body["kid"].as_str().unwrap().into());
    let key = jsonwebtoken::EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
    let token = jsonwebtoken::encode(&header, &claims("anna", "live"), &key).unwrap();
    assert_eq!(house.join("live", Some(&token)).await.status, StatusCode::OK);
    let bad = [
        json!({"kind": "eddsa"}),
        json!({"kind": "eddsa", "public_key": "AAAA"}),
        json!({"kind": "hs256", "public_key": public}),
        json!({"kind": "rsa"}),
        json!({"kind": "hs256", "kid": "a b"}),
        json!({"kind": "hs256", "streams": ["No"]}),
    ];
    for body in bad {
        assert_eq!(house.admin("POST", "/v1/admin/keys", body.clone()).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn the_operator_sees_who_is_there() {
    let house = House::new().await;
    house.on_air().await;
    house.cluster("POST", "/v1/cluster/edges", edge_beat("e", json!({"reserved_bps": 7}))).await;
    house.join("open", None).await;
    let edges = house.admin("GET", "/v1/admin/edges", json!(null)).await.body;
    let edge = json!({"edge": "e", "public_url": null, "capacity_bps": 100_000_000, "committed_bps": 0, "reserved_bps": 7,
        "pending_bps": 2_300_000, "sessions": 0, "draining": false, "beat_age_ms": 0});
    assert_eq!(edges, json!({"edges": [edge]}));
    let origins = house.admin("GET", "/v1/admin/origins", json!(null)).await.body;
    assert_eq!(
        origins["origins"][0]["streams"][0],
        json!({"stream": "dark", "state": "waiting", "rate_bps": 2_000_000})
    );
}

#[tokio::test]
async fn what_edges_say_of_the_model_is_shown_while_they_live_and_garbage_is_not_taken() {
    let house = House::new().await;
    let beat = async |models: Value| {
        let reply = house.cluster("POST", "/v1/cluster/edges", edge_beat("e", json!({"models": models}))).await;
        reply.status
    };
    let never = json!({"value": null, "low": 40.5, "high": null});
    let model = json!({"stream": "town", "viewers": 3, "server_bps": 7, "capacity_bps": 9, "full_in_s": never,
        "rejection": {"said": {"value": 0.5, "low": 0.25, "high": 0.75}, "measured": 1.0, "residual": 0.5, "within": false}});
    assert_eq!(beat(json!([model])).await, StatusCode::OK);
    let shown = async || house.admin("GET", "/v1/admin/model", json!(null)).await.body;
    assert_eq!(shown().await, json!({"edges": [{"edge": "e", "streams": [model]}]}));
    assert_eq!(beat(json!([{"stream": "No name", "viewers": 0, "server_bps": 0, "capacity_bps": 0}])).await, 400);
    assert_eq!(beat(json!([{"stream": "town", "viewers": -1, "server_bps": 0, "capacity_bps": 0}])).await, 400);
    assert_eq!(beat(json!(vec![model.clone(); 65])).await, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(shown().await["edges"][0]["streams"][0], model, "the last good one");
    assert_eq!(beat(json!([])).await, StatusCode::OK);
    assert_eq!(shown().await, json!({"edges": [{"edge": "e", "streams": []}]}));
}

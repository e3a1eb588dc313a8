//! Accounts: nothing counted twice, nothing lost.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use trellis_proto::SessionId;

use super::{House, edge_beat};
use crate::manager::ManagerConfig;
use crate::manager::accounts::JoinRow;
use crate::manager::store::fresh_id;

const T: u64 = super::START_S * 1000;

fn usage(session: &str, started: u64, updated: u64, media: u64, ended: Value) -> Value {
    json!({"session": session, "stream": "open", "started_ms": started, "updated_ms": updated, "ended": ended,
        "media_bytes": media, "other_bytes": media / 10})
}

async fn report(house: &House, records: Value) {
    let got = house.cluster("POST", "/v1/cluster/edges", edge_beat("e", json!({"usage": records}))).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert_eq!(got.body["ticket_key"], hex::encode(house.manager.ticket_key()));
}

/// (media, other, why it ended, when) of the newest account.
async fn newest(house: &House) -> (u64, u64, Option<String>, Option<u64>) {
    let got = house.admin("GET", "/v1/admin/accounts?limit=1", json!(null)).await;
    let account = &got.body["accounts"][0];
    let number = |key: &str| account[key].as_u64();
    let why = account["ended"].as_str().map(String::from);
    (number("edge_media_bytes").unwrap(), number("edge_other_bytes").unwrap(), why, number("ended_ms"))
}

#[tokio::test]
async fn a_session_is_recorded_from_join_to_end() {
    let house = House::new().await;
    house.on_air().await;
    let joined = house.join("open", Some(&house.token("anna", "open"))).await;
    let session = joined.body["session"].as_str().unwrap();
    report(
        &house,
        json!([usage(session, T + 50, T + 900, 1000, json!(null)), {"session": "bad", "stream": "open",
        "started_ms": 0, "updated_ms": 0, "ended": null, "media_bytes": 0, "other_bytes": 0}]),
    )
    .await;
    report(&house, json!([usage(session, T + 50, T + 9000, 5000, json!("idle"))])).await;
    let got = house.admin("GET", "/v1/admin/accounts?viewer=anna&stream=open", json!(null)).await;
    let account = json!({"session": session, "viewer": "anna", "stream": "open", "edge": "e", "joined_ms": T,
        "started_ms": T + 50, "ended_ms": T + 9000, "ended": "idle", "edge_media_bytes": 5000, "edge_other_bytes": 500});
    assert_eq!(got.body, json!({"accounts": [account], "next": null}));
}

#[tokio::test]
async fn repeated_and_late_reports_change_nothing() {
    let house = House::new().await;
    let s = "0123456789abcdef0123456789abcdef";
    let first = usage(s, T, T + 10, 100, json!(null));
    let ended = usage(s, T, T + 20, 300, json!("idle"));
    report(&house, json!([first.clone(), first.clone()])).await;
    assert_eq!(newest(&house).await, (100, 10, None, None));
    report(&house, json!([ended.clone()])).await;
    for late in [first, ended, usage(s, T, T + 20, 300, json!(null))] {
        report(&house, json!([late])).await;
        assert_eq!(newest(&house).await, (300, 30, Some("idle".into()), Some(T + 20)));
    }
    // The player comes back: the same place, begun anew at the edge.
    let again = usage(s, T + 500, T + 600, 50, json!(null));
    report(&house, json!([again])).await;
    report(&house, json!([again])).await;
    assert_eq!(newest(&house).await, (350, 35, None, None));
    report(&house, json!([usage(s, T + 500, T + 700, 80, json!("expired"))])).await;
    assert_eq!(newest(&house).await, (380, 38, Some("expired".into()), Some(T + 700)));
}

#[tokio::test]
async fn an_edge_cannot_write_what_another_serves() {
    let house = House::new().await;
    house.on_air().await;
    let session = house.join("open", None).await.body["session"].as_str().unwrap().to_owned();
    report(&house, json!([usage(&session, T, T + 1000, 700, json!(null))])).await;
    let foreign = usage(&session, T + 500, T + 2000, 9_000_000, json!("idle"));
    let got = house.cluster("POST", "/v1/cluster/edges", edge_beat("f", json!({"usage": [foreign]}))).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(newest(&house).await, (700, 70, None, None));
}

#[tokio::test]
async fn a_lost_edges_sessions_end_and_begin_again_when_it_returns() {
    let house = House::new().await;
    house.on_air().await;
    let session = house.join("open", None).await.body["session"].as_str().unwrap().to_owned();
    let record = usage(&session, T + 10, T + 1000, 700, json!(null));
    report(&house, json!([record])).await;
    house.pass(Duration::from_secs(4));
    house.manager.expire(house.manager.now()).await;
    // A job for the writer and a report after it come in order.
    let got = house
        .cluster(
            "POST",
            "/v1/cluster/edges",
            edge_beat("f", json!({"usage": [usage(&"0".repeat(32), T, T, 0, json!("idle"))]})),
        )
        .await;
    assert_eq!(got.status, StatusCode::OK);
    let lost = house.admin("GET", "/v1/admin/accounts?stream=open", json!(null)).await.body["accounts"][0].clone();
    assert_eq!((lost["ended"].as_str(), lost["ended_ms"].as_u64()), (Some("edge_lost"), Some(T + 1000)));
    report(&house, json!([record])).await;
    let back = house.admin("GET", "/v1/admin/accounts?stream=open", json!(null)).await.body["accounts"][0].clone();
    assert_eq!((back["ended"].as_str(), back["edge_media_bytes"].as_u64()), (None, Some(700)));
}

#[tokio::test]
async fn many_joins_and_reports_are_all_kept_across_a_restart() {
    let house = House::new().await;
    house.on_air().await;
    let token = house.token("anna", "open");
    let mut records = Vec::new();
    // More than a statement's rows, and not a multiple of them.
    for i in 0..150 {
        house.pass(Duration::from_millis(i % 2));
        let stream = if i % 2 == 0 { "open" } else { "live" };
        let token = if i % 2 == 0 { token.clone() } else { house.token("bert", "live") };
        let got = house.join(stream, Some(&token)).await;
        // 2.3 Mbit/s each: the edge is full after 43.
        if got.status == StatusCode::OK {
            records.push(usage(got.body["session"].as_str().unwrap(), T + 1, T + 2, 10, json!(null)));
        }
        if i % 40 == 39 {
            let room = edge_beat("e", json!({"capacity_bps": 1_000_000_000_000u64}));
            house.cluster("POST", "/v1/cluster/edges", room).await;
        }
    }
    assert_eq!(records.len(), 150);
    report(&house, json!(records[..70])).await;
    let house = house.restarted().await;
    let page = async |query: &str| house.admin("GET", &format!("/v1/admin/accounts?{query}"), json!(null)).await.body;
    let all = page("limit=1000").await;
    let accounts = all["accounts"].as_array().unwrap();
    assert_eq!((accounts.len(), all["next"].as_str()), (150, None));
    assert_eq!(accounts.iter().filter(|account| account["edge_media_bytes"] == 10).count(), 70);
    assert_eq!(page("viewer=bert&limit=1000").await["accounts"].as_array().unwrap().len(), 75);
    assert_eq!(page(&format!("since_ms={}", T + 76)).await["accounts"], json!([]));
    assert_eq!(page(&format!("since_ms={}&limit=1000", T + 75)).await["accounts"].as_array().unwrap().len(), 1);
    // Pages join up without a seam.
    let (mut seen, mut next) = (0, String::new());
    loop {
        let page = page(&format!("limit=40{next}")).await;
        seen += page["accounts"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(cursor) => next = format!("&before={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, 150);
    house.manager.close().await;
}

#[tokio::test]
async fn a_row_that_comes_after_its_usage_brings_the_viewers_name() {
    let house = House::new().await;
    let first: Vec<_> = (0..100).map(|_| fresh_id(T)).collect();
    let session = |id: &SessionId| hex::encode(id.0);
    // Of some in a statement's rows the usage is there, of others not.
    let early: Vec<_> = first.iter().step_by(3).map(|id| usage(&session(id), T, T + 10, 700, json!(null))).collect();
    report(&house, json!(early)).await;
    for session in &first {
        let row = JoinRow {
            session: *session,
            viewer: "anna".into(),
            stream: "open".parse().unwrap(),
            edge: "e".into(),
            joined_ms: T,
            expires_ms: T + 1000,
        };
        house.manager.accounts.on_join(row);
    }
    let house = house.restarted().await;
    let got = house.admin("GET", "/v1/admin/accounts?viewer=anna&limit=1000", json!(null)).await;
    let accounts = got.body["accounts"].as_array().unwrap();
    assert!(accounts.len() == 100 && accounts.iter().all(|account| account["joined_ms"] == T), "{accounts:?}");
    assert_eq!(accounts.iter().filter(|account| account["edge_media_bytes"] == 700).count(), early.len());
}

#[tokio::test]
async fn places_that_ran_out_unseen_are_closed() {
    let house = House::new().await;
    house.on_air().await;
    house.join("open", Some(&house.token("anna", "open"))).await;
    house.pass(Duration::from_secs(3600 + 61));
    house.manager.sweep().await;
    // Behind the sweep in the writer's queue.
    report(&house, json!([usage(&"0".repeat(32), T, T, 0, json!(null))])).await;
    let got = house.admin("GET", "/v1/admin/accounts?viewer=anna", json!(null)).await;
    let account = &got.body["accounts"][0];
    assert_eq!(
        (account["ended"].as_str(), account["ended_ms"].as_u64(), account["started_ms"].as_u64()),
        (Some("expired"), Some(T + 3_600_000), None)
    );
}

#[tokio::test]
async fn old_accounts_are_forgotten_unless_the_operator_says_otherwise() {
    assert_eq!(joins_left(ManagerConfig { keep_accounts_days: 30, ..ManagerConfig::default() }, 20).await, [20]);
    assert_eq!(joins_left(ManagerConfig::default(), 300).await, [300]);
    assert_eq!(joins_left(ManagerConfig { keep_accounts_days: 0, ..ManagerConfig::default() }, 300).await, [300, 0]);
}

/// Of two sessions, one that began at once and one after so many days, those known after as many days again: the days they
/// were joined on, the newest first.
async fn joins_left(config: ManagerConfig, days: u64) -> Vec<u64> {
    let house = House::with(config).await;
    house.on_air().await;
    for _ in 0..2 {
        let session = house.join("open", None).await.body["session"].as_str().unwrap().to_owned();
        let now = house.manager.now().unix_ms;
        report(&house, json!([usage(&session, now, now + 10, 100, json!("idle"))])).await;
        house.pass(Duration::from_secs(days * 86_400));
        house.beats(&[("open", "live")]).await;
    }
    house.manager.sweep().await;
    // Behind the sweep in the writer's queue.
    report(&house, json!([{"session": "bad", "stream": "x", "started_ms": 0, "updated_ms": 0, "ended": null, "media_bytes": 0, "other_bytes": 0}])).await;
    let left = house.admin("GET", "/v1/admin/accounts", json!(null)).await.body;
    let day = |account: &serde_json::Value| (account["joined_ms"].as_u64().unwrap() - T) / 86_400_000;
    left["accounts"].as_array().unwrap().iter().map(day).collect()
}

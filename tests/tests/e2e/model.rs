//! Does a running system say what the model makes of it, beside what happens?

use serde_json::Value;
use trellis_tests::client::{client, join, send};
use trellis_tests::peer::Peer;
use trellis_tests::publisher::Channel;
use trellis_tests::server::{Server, Setup};
use trellis_tests::{PATIENCE, eventually};

/// What is said of the one stream that is watched.
async fn said(server: &Server) -> Option<Value> {
    let request = client().get(format!("{}/v1/admin/model", server.base())).bearer_auth(server.key("admin.key"));
    send(request).await.json()["edges"][0]["streams"].get(0).cloned()
}

/// A gauge of it, if there is one.
async fn gauge(server: &Server, name: &str, bound: Option<&str>) -> Option<f64> {
    let labelled = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && line.contains("stream=\"town\"")
            && bound.is_none_or(|bound| line.contains(&format!("bound=\"{bound}\"")))
    };
    let text = server.metrics().await;
    text.lines().find(labelled)?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_model_says_of_a_live_cluster_is_shown_beside_what_happens() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    eventually("the channel is live", PATIENCE, async || {
        (join(&server, "town", None).await.status == 200).then_some(())
    })
    .await;
    let leaver = Peer::supporter(&server, "town");
    let _stayers = [Peer::supporter(&server, "town"), Peer::supporter(&server, "town")];
    let counted = eventually("what viewers take is known", PATIENCE, async || {
        said(&server).await.filter(|model| model["session_bps"].is_object() && model["viewers"] == 3)
    })
    .await;
    assert!(counted["full_in_s"].is_null() && counted["session_s"].is_null(), "nobody has left: {counted}");
    assert_eq!(gauge(&server, "trellis_model_full_in_seconds", None).await, None, "what is not known is not there");
    let range = async |name: &str| {
        let bounds = ["low", "value", "high"];
        let mut range = [f64::NAN; 3];
        for (at, bound) in bounds.into_iter().enumerate() {
            range[at] = gauge(&server, name, Some(bound)).await.unwrap_or_else(|| panic!("no {bound} of {name}"));
        }
        assert!(range[0] <= range[1] && range[1] <= range[2] && range[0] >= 0.0, "{name}: {range:?}");
        range
    };
    leaver.terminate();
    eventually("what comes is foreseen", PATIENCE, async || {
        said(&server).await.filter(|model| model["next_rejected_share"].is_object())
    })
    .await;
    let _latecomer = Peer::supporter(&server, "town");
    let reviewed = eventually("what was foreseen has come", PATIENCE * 2, async || {
        said(&server).await.filter(|model| model["rejection"].is_object() && model["capacity"].is_object())
    })
    .await;
    assert!(reviewed["capacity"]["residual"].is_number() && reviewed["capacity"]["said"]["value"].is_number());
    assert_eq!((&reviewed["rejection"]["residual"], &reviewed["rejection"]["within"]), (&0.0.into(), &true.into()));
    let [low, _, high] = range("trellis_model_arrivals_per_second").await;
    // Four came within a minute or two.
    assert!(low < 4.0 / 40.0 && high > 4.0 / 150.0, "{low} to {high}");
    for name in ["trellis_model_session_seconds", "trellis_model_viewers_possible", "trellis_model_full_in_seconds"] {
        range(name).await;
    }
    let residual = gauge(&server, "trellis_model_residual_capacity_bits_per_second", None).await;
    assert!(residual.is_some_and(f64::is_finite), "{residual:?}");
}

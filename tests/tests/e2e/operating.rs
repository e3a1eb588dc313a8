//! What does an operator see? The first run, a configuration that is wrong, a stop, a restart.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::Method;
use trellis_tests::client::{Viewer, client, send, try_get};
use trellis_tests::command::trellis_with;
use trellis_tests::publisher::{clip, vod};
use trellis_tests::server::Setup;
use trellis_tests::{PATIENCE, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_run_makes_keys_for_its_owner_alone_and_says_where() {
    let mut server = Setup::new("all").start().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data()), 0o700, "the data directory");
    // It can serve a moment before it has said everything; the API key is the last it tells of.
    let log = eventually("it says where its files are", PATIENCE, async || {
        Some(server.log()).filter(|log| log.contains("api.key"))
    })
    .await;
    let files = ["publish.key", "api.key", "admin.key", "server.key", "ticket.key"];
    for file in files {
        let path = server.data().join(file);
        assert_eq!(mode(&path), 0o600, "{file}");
        assert!(log.contains(&path.display().to_string()), "where {file} is, is not said:\n{log}");
    }
    for file in ["origin.key", "manager.db"] {
        assert_eq!(mode(&server.data().join(file)) & 0o077, 0, "{file} is for its owner alone");
    }
    let before = files.map(|file| server.key(file));
    server.start_again().await;
    assert_eq!(files.map(|file| server.key(file)), before, "a second run keeps what the first one made");
}

#[test]
fn a_configuration_is_called_good_or_told_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trellis.toml");
    let check = |text: &str, env: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        let output = trellis_with(&["check-config", "--config", file.to_str().unwrap()], env);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (good, said, _) = check("role = \"all\"\nlisten = \"0.0.0.0:8080\"\n[edge]\nupload_budget = \"800M\"\n", &[]);
    assert!(good && said.contains("is good") && said.contains("800"), "{said}");
    let (good, said, _) = check("", &[("TRELLIS_EDGE_NAME", "from-outside")]);
    assert!(good && said.contains("from-outside"), "the environment goes over the file: {said}");
    for (text, env, hint) in [
        ("lisen = \"127.0.0.1:1\"", &[][..], "lisen"),
        ("[edge]\nupload_budget = \"fast\"", &[], "not a rate"),
        ("role = \"boss\"", &[], "boss"),
        ("role = \"edge\"", &[], "manager_url"),
        ("role = \"edge\"\nmanager_url = \"http://m:1\"\nserver_key = \"0123456789abcdef\"", &[], "TRELLIS_EDGE_NAME"),
        ("[edge]\nupload_budget = 0", &[], "line 2"),
        ("manager_url = \"m:1\"", &[], "http://"),
        ("this is no toml", &[], "trellis.toml"),
        ("[tls]\ncert = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"", &[], "/nowhere/c.pem"),
        ("", &[("TRELLIS_EGDE_NAME", "x")], "egde_name"),
        ("[edge]\nidle_s = 1", &[], "idle_s"),
    ] {
        let (good, said, why) = check(text, env);
        assert!(!good && why.contains(hint), "{text:?}: {hint} is not in {why:?} (out: {said:?})");
        assert!(!why.contains("panicked"), "{why}");
    }
    let absent = trellis_with(&["check-config", "--config", "/nowhere/trellis.toml"], &[]);
    assert!(!absent.status.success() && String::from_utf8_lossy(&absent.stderr).contains("/nowhere/trellis.toml"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_downloads_finish_and_a_restart_keeps_recordings_and_accounts() {
    // At 2.5 Mbit/s three segments of 720p take seconds.
    let mut server = Setup::new("all").env("TRELLIS_EDGE_UPLOAD_BUDGET", "2500k").start().await;
    let published = vod(&server, &server.key("publish.key"), "film", clip()).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let viewer = Viewer::join(&server, "film", None).await;
    let playlist = viewer.playlist("v0.m3u8").await;
    assert!(playlist.ended);
    let downloads = playlist.segments[..4].iter().map(|segment| {
        let request = viewer.request(Method::GET, &segment.uri);
        let name = segment.uri.clone();
        async move {
            let response = request.send().await.unwrap();
            let size = response.content_length().unwrap();
            (name, size, response)
        }
    });
    let under_way = futures_util::future::join_all(downloads).await;

    server.process().terminate();
    let process = server.process();
    eventually("the server stops", PATIENCE, async || process.said().contains("stopping").then_some(())).await;
    for (name, size, response) in under_way {
        let body = response.bytes().await.unwrap_or_else(|error| panic!("{name} was cut off: {error:?}"));
        assert_eq!(body.len() as u64, size, "{name}");
        viewer.count(&name, size);
    }
    let status = server.process().end(Duration::from_secs(15)).await;
    assert!(status.success(), "{status}");
    assert!(try_get(&format!("{}/health", server.base())).await.is_none(), "nobody listens any more");

    server.start_again().await;
    let request = client().get(format!("{}/v1/admin/accounts", server.base())).bearer_auth(server.key("admin.key"));
    let accounts = send(request).await.json();
    let mine =
        accounts["accounts"].as_array().unwrap().iter().find(|account| account["session"] == viewer.session.as_str());
    let mine = mine.unwrap_or_else(|| panic!("the account is lost: {accounts}"));
    assert_eq!(mine["ended"], "shutdown");
    let bytes = (mine["edge_media_bytes"].as_u64().unwrap(), mine["edge_other_bytes"].as_u64().unwrap());
    assert_eq!(bytes, viewer.counted(), "what left before and while the server stopped");
    let again = eventually("the recording is back", PATIENCE, async || {
        let reply = viewer.get("v0.m3u8").await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    let again = trellis_tests::playlist::Media::read(&again.text());
    assert_eq!(again.uris, playlist.uris, "a place outlives a restart, and so do names");
    for segment in &again.segments[..2] {
        assert!(!viewer.good(&segment.uri).await.body.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_have_no_manager_live_but_are_not_ready() {
    let manager = Setup::new("manager").start().await;
    let key = manager.key("server.key");
    let url = manager.base();
    drop(manager);
    let origin = Setup::new("origin")
        .env("TRELLIS_MANAGER_URL", &url)
        .env("TRELLIS_SERVER_KEY", &key)
        .env("TRELLIS_ORIGIN_NAME", "lonely")
        .env("TRELLIS_ORIGIN_MEDIA_URL", "http://127.0.0.1:{port}/origin")
        .start_unready()
        .await;
    assert_eq!((origin.get("/health").await.status, origin.get("/ready").await.status), (200, 503));
    let edge = Setup::new("edge")
        .env("TRELLIS_MANAGER_URL", url)
        .env("TRELLIS_SERVER_KEY", key)
        .env("TRELLIS_EDGE_NAME", "lonely")
        .env("TRELLIS_EDGE_PUBLIC_URL", "http://127.0.0.1:{port}")
        .start_unready()
        .await;
    assert_eq!(edge.get("/health").await.status, 200);
    assert_eq!(edge.get("/ready").await.status, 503);
    let reply = edge.get("/v/AAAA/s/town/index.m3u8").await;
    assert_eq!((reply.status, reply.refusal().as_str()), (503, "starting"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_counted_in_base_units_and_name_nobody() {
    let server = Setup::new("all").start().await;
    let published = vod(&server, &server.key("publish.key"), "film", clip()).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let viewer = Viewer::join(&server, "film", None).await;
    let playlist = viewer.playlist("v1.m3u8").await;
    let segment = viewer.good(&playlist.segments[0].uri).await;
    assert!(server.metric("trellis_edge_sent_bytes_total").await >= segment.body.len() as f64);
    assert!(server.metric("trellis_origin_ingest_bytes_total").await == clip().len() as f64);
    let text = server.metrics().await;
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        let (name, kind) = line["# TYPE ".len()..].split_once(' ').unwrap();
        assert!(name.starts_with("trellis_"), "{line}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        assert!(
            !["_ms", "_kb", "_mb", "_kbps"].iter().any(|unit| name.trim_end_matches("_total").ends_with(unit)),
            "{line}"
        );
    }
    for secret in [&viewer.session, &viewer.ticket] {
        assert!(!text.contains(secret.as_str()), "a viewer is named in the metrics");
    }
}

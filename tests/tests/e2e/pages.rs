//! Do viewers give to each other? Pages of Chromium around one edge: what comes from whom, and what becomes of those that
//! cannot take part.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use trellis_core::peer::Output;
use trellis_core::tape::{Replayed, replay};
use trellis_tests::browser::Browser;
use trellis_tests::eventually;
use trellis_tests::publisher::{Channel, long_clip, vod};
use trellis_tests::server::{Server, Setup};

/// Plays, and the engine brings it.
const IN_THE_MESH: &str = "window.trellis?.state().state === 'playing' && window.trellis.stats().mode === 'mesh' && window.trellis.stats().me > 0";
const LONG: Duration = Duration::from_secs(45);

fn number(stats: &Value, name: &str) -> f64 {
    stats[name].as_f64().unwrap_or_else(|| panic!("no {name} in {stats}"))
}

fn stats_of(browser: &mut Browser, page: u64) -> Value {
    browser.turn(page);
    browser.stats()
}

/// So many pages that watch the same, each let in by the cluster.
async fn watchers(server: &Server, count: u64, init: &str) -> Browser {
    let mut browser = Browser::start().await;
    for _ in 0..count {
        browser.another(init, "");
        browser.open(&format!("{}/watch/town", server.base()));
        browser.wait_for(IN_THE_MESH, LONG);
    }
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_take_most_of_what_they_play_from_each_other() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let mut browser = watchers(&server, 3, "").await;
    // One of them may be the root of all substreams, and then takes everything from the edge.
    let sum = |all: &[Value], name: &str| all.iter().map(|stats| number(stats, name)).sum::<f64>();
    let mut all = Vec::new();
    eventually("a megabyte comes from other pages", LONG, async || {
        all = (1..=3).map(|page| stats_of(&mut browser, page)).collect::<Vec<_>>();
        (sum(&all, "p2pBytes") > 1_000_000.0).then_some(())
    })
    .await;
    let sum = |name: &str| sum(&all, name);
    let (taken, given) = (sum("p2pBytes"), sum("uploadedBytes"));
    // The pages are asked one after the other, while bytes are on their way.
    assert!(taken <= 1.1 * given + 100_000.0, "{taken} bytes were taken, {given} given");
    assert!(given <= 1.1 * (taken + sum("wastedBytes")) + 100_000.0, "{taken} bytes were taken, {given} given");
    for stats in &all {
        assert_eq!((stats["stalls"].as_u64(), stats["cutOff"].as_u64()), (Some(0), Some(0)), "{stats}");
        assert_eq!(number(stats, "peers"), 2.0, "{stats}");
        assert!(number(stats, "latencyMs") < 3_000.0, "{stats}");
        let media = number(stats, "httpBytes") + number(stats, "edgeBytes") + number(stats, "p2pBytes");
        assert!(number(stats, "controlBytes") < 0.06 * media, "{stats}");
    }
    browser.eval("document.getElementById('stats').click()");
    browser.wait(
        "!document.getElementById('mesh').hidden && document.querySelectorAll('#mesh-map g[data-peer]').length === 3",
    );
    browser.screenshot("mesh.png");
    // A viewer who leaves says so: the others need not find out.
    browser.close();
    browser.turn(1);
    browser.wait_for("window.trellis.stats().peers === 1", Duration::from_secs(3));
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_takes_a_recording_from_one_that_plays_ahead_of_it_and_plays_at_once_where_it_is_sought() {
    let server = Setup::new("all").start().await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", long_clip(90)).await.status, 200);
    let mut browser = Browser::start().await;
    let watch = |browser: &mut Browser, from_s: u32| {
        browser.another("", "");
        browser.open(&format!("{}/watch/film", server.base()));
        browser.wait_for(IN_THE_MESH, LONG);
        if from_s > 0 {
            seek(browser, from_s);
        }
    };
    watch(&mut browser, 0);
    seek(&mut browser, 30);
    browser.wait_for("window.trellis.state().position_s > 36", LONG);
    watch(&mut browser, 30);
    browser.wait_for("window.trellis.stats().p2pBytes > 600_000", LONG);
    let stats = browser.stats();
    assert_eq!(stats["stalls"].as_u64(), Some(0), "{stats}");
    // Nobody has that.
    browser.turn(2);
    seek(&mut browser, 70);
    browser.wait_for("window.trellis.state().position_s > 73", Duration::from_secs(8));
    assert!(number(&stats_of(&mut browser, 1), "uploadedBytes") > 600_000.0);
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The page on top goes there and plays.
fn seek(browser: &mut Browser, to_s: u32) {
    browser.eval(&format!("void (document.getElementById('video').currentTime = {to_s})"));
    let plays = format!("window.trellis.state().state === 'playing' && window.trellis.state().position_s > {to_s}.3");
    browser.wait_for(&plays, Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_lived_through_the_simulators_host_lives_through_the_same() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let mut browser = watchers(&server, 1, "").await;
    browser.another("", "");
    browser.open(&format!("{}/watch/town?record=1", server.base()));
    browser.wait_for(IN_THE_MESH, LONG);
    let moved = "window.trellis.stats().p2pBytes + window.trellis.stats().uploadedBytes > 200_000";
    browser.wait_for(moved, LONG);
    let tape = browser.eval("window.trellis.tape()");
    let tape = BASE64_STANDARD.decode(tape.as_str().unwrap()).unwrap();
    let mut parts = 0;
    let replayed = replay(&tape, |_, output| parts += usize::from(matches!(output, Output::Part(_))));
    assert!(matches!(replayed, Ok(Replayed { inputs: 100.., .. })), "{replayed:?}");
    assert!(parts > 10, "{parts} parts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_take_part_plays_all_the_same_and_says_why() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let mut browser = Browser::start().await;
    for (path, init, block, reason) in [
        ("town", "delete window.RTCPeerConnection", "", "no_webrtc"),
        ("town", "", "**/*.wasm", "no_wasm"),
        ("town", "delete window.WebAssembly", "", "no_wasm"),
        ("town", "window.WebSocket = class { constructor() { throw new Error('no') } }", "", "link_refused"),
        ("town?p2p=off", "", "", "asked_off"),
    ] {
        browser.another(init, block);
        browser.open(&format!("{}/watch/{path}", server.base()));
        browser
            .wait_for("window.trellis?.state().state === 'playing' && window.trellis.state().total_frames > 30", LONG);
        let stats = browser.stats();
        let told = (stats["mode"].as_str(), stats["reason"].as_str(), number(&stats, "stalls"));
        assert_eq!(told, (Some("plain"), Some(reason), 0.0), "{path}, {init}: {stats}");
        assert!(number(&stats, "httpBytes") > 50_000.0 && stats["why"].as_str().unwrap().len() > 20, "{stats}");
        browser.close();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_the_edge_that_breaks_is_made_again_and_nobody_sees_it() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let noted = "{ const W = window.WebSocket; window.sockets = [];
        window.WebSocket = class extends W { constructor(...a) { super(...a); window.sockets.push(this); } }; }";
    let mut browser = watchers(&server, 2, noted).await;
    for page in 1..=2 {
        browser.turn(page);
        browser.eval(
            "void (window.before = window.trellis.stats().me, window.sockets.forEach((socket) => socket.close()))",
        );
    }
    for page in 1..=2 {
        browser.turn(page);
        browser.wait_for("window.sockets.length > 1 && window.trellis.stats().me !== window.before", LONG);
        let at = browser.eval("document.getElementById('video').currentTime").as_f64().unwrap();
        browser.wait_for(&format!("document.getElementById('video').currentTime > {at} + 3"), LONG);
        let stats = browser.stats();
        assert_eq!((stats["mode"].as_str(), number(&stats, "stalls")), (Some("mesh"), 0.0), "{stats}");
    }
}

/// What page 1, in a hidden tab, gave, what page 2 took, and what page 1 played meanwhile: two figures in bytes, one in seconds.
async fn while_hidden(browser: &mut Browser, seconds: u64) -> [f64; 3] {
    let look = |browser: &mut Browser| {
        let taken = number(&stats_of(browser, 2), "p2pBytes");
        let given = number(&stats_of(browser, 1), "uploadedBytes");
        [given, taken, browser.eval("document.getElementById('video').currentTime").as_f64().unwrap()]
    };
    let before = look(browser);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = look(browser);
    assert_eq!(browser.eval("document.visibilityState"), "hidden");
    std::array::from_fn(|figure| after[figure] - before[figure])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_a_hidden_tab_plays_on_and_goes_on_giving() {
    /// In ten seconds, of a stream that has some 500 kB by then: a busy machine brings more from the edge.
    const GIVEN: f64 = 50_000.0;
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let mut browser = Browser::with_tabs().await;
    for how in ["", "?p2p=receive-only"] {
        browser.another("", "");
        browser.open(&format!("{}/watch/town{how}", server.base()));
        browser.wait_for(IN_THE_MESH, LONG);
    }
    browser.wait_for("window.trellis.stats().p2pBytes > 200_000", LONG);
    browser.front();
    browser.turn(1);
    browser.wait("document.visibilityState === 'hidden'");
    for _ in 0..2 {
        let [given, taken, played] = while_hidden(&mut browser, 10).await;
        let stats = browser.stats();
        assert!(given > GIVEN && taken > GIVEN, "{given} bytes given, {taken} taken: {stats}");
        assert!(played > 8.0, "{played} s played: {stats}");
        assert_eq!((stats["mode"].as_str(), number(&stats, "stalls")), (Some("mesh"), 0.0), "{stats}");
    }
    // A tab that is not heard either gets its timers once a second: it still gives.
    browser.eval(
        "void (document.getElementById('video').muted = true, window.slow = 0, window.last = performance.now(), setInterval(() => {
            const now = performance.now();
            window.slow += Number(now - window.last > 900);
            window.last = now;
        }, 100))",
    );
    browser.wait_for("window.slow > 2", LONG);
    let slow = browser.eval("window.slow").as_f64().unwrap();
    let [given, taken, _] = while_hidden(&mut browser, 10).await;
    let slow = browser.eval("window.slow").as_f64().unwrap() - slow;
    assert!(slow >= 7.0, "{slow} timers were late in 10 s: nothing slows this page down");
    assert!(given > GIVEN && taken > GIVEN, "{given} bytes given, {taken} taken: {}", browser.stats());
    assert_eq!(number(&stats_of(&mut browser, 2), "stalls"), 0.0);
}

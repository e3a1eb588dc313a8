//! What does a person see? Chromium opens the demo, a published film, a recording, and somebody else's page.

use std::time::Duration;

use trellis_tests::PATIENCE;
use trellis_tests::browser::Browser;
use trellis_tests::client::{Viewer, get, join, send};
use trellis_tests::command::{Demo, publish, token};
use trellis_tests::eventually;
use trellis_tests::media::{decode, film, make_uneven_film, run_aside};
use trellis_tests::publisher::{Channel, clip, closed, vod};
use trellis_tests::server::{Cluster, Server, Setup};

const PLAYING: &str = "window.trellis?.state().state === 'playing' && window.trellis.state().total_frames > 30";
/// Longer than a browser needs to notice and to begin again.
const LONG: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_plays_in_a_browser() {
    let demo = Demo::start();
    let one_url = get(&demo.hls).await;
    assert_eq!(one_url.status, 302, "{}", one_url.text());
    let mut browser = Browser::start().await;
    browser.open(&demo.watch);
    browser.wait(PLAYING);
    goes_on(&mut browser, 4.0);
    let state = browser.state();
    assert_eq!((state["kind"].as_str(), state["publisher"].as_str()), (Some("live"), Some("live")), "{state}");
    let latency_s = state["latency_s"].as_f64().unwrap();
    assert!((0.2..10.0).contains(&latency_s), "a latency of {latency_s} s is not plausible");
    let heights: Vec<_> =
        state["rungs"].as_array().unwrap().iter().map(|rung| rung["height"].as_u64().unwrap()).collect();
    assert_eq!(heights, [720, 480, 240]);

    browser.wait("!document.getElementById('quality').hidden");
    browser.eval("document.getElementById('quality').click()");
    let menu =
        browser.eval("[...document.querySelectorAll('#quality-menu [data-rung]')].map((item) => item.textContent)");
    let menu: Vec<_> = menu.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect();
    for (item, name) in menu.iter().zip(["Auto", "720p", "480p", "240p"]) {
        assert!(item.starts_with(name), "the menu reads {menu:?}");
    }
    browser.hover("#stage");
    browser.screenshot("demo.png");
    browser.eval("[...document.querySelectorAll('#quality-menu [data-rung]')].at(-1).click()");
    browser.wait("window.trellis.state().rung?.height === 240 && document.getElementById('video').videoHeight === 240");
    goes_on(&mut browser, 1.0);
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Notes when the picture stands still, and how many playlists came in meanwhile.
const WATCHER: &str = "(() => {
    const video = document.getElementById('video');
    const heard = [];
    new PerformanceObserver((list) => heard.push(...list.getEntries().filter((e) => e.name.includes('.m3u8')).map((e) => e.responseEnd)))
        .observe({ type: 'resource' });
    const begun = performance.now();
    let [at, since] = [video.currentTime, begun];
    const stops = [];
    const look = () => {
        const now = performance.now();
        if (now - since > 1500 && stops.at(-1)?.since !== since) stops.push({ since });
        if (stops.at(-1)?.since === since) Object.assign(stops.at(-1), { s: (now - since) / 1000, at, playlists: heard.filter((t) => t > since && t < now).length });
        if (video.currentTime !== at) [at, since] = [video.currentTime, now];
        return { s: (now - begun) / 1000, stops };
    };
    setInterval(look, 100);
    window.watched = look;
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_plays_on_without_standing_still() {
    const WATCH_S: f64 = 75.0; // what was played is removed from 30 s on, every 2 s
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let mut browser = Browser::start().await;
    browser.open(&format!("{}/watch/town", server.base()));
    browser.wait_for(PLAYING, LONG);
    let begun_s = browser.state()["position_s"].as_f64().unwrap();
    browser.eval(WATCHER);
    browser.wait_for(&format!("window.watched().s > {WATCH_S} / 2"), LONG);
    // From here on as little decoding as there can be; and a change of rung removes from the buffer as well.
    browser.eval("[...document.querySelectorAll('#quality-menu [data-rung]')].at(-1).click()");
    browser.wait_for(&format!("window.watched().s > {WATCH_S}"), LONG);

    let stops = browser.eval("window.watched().stops");
    // A machine that has no time for publisher, edge or page announces few parts, or lets none be heard. Two playlists
    // are heard three times a second each: where half of that came in and the picture stood, it is the page's fault.
    let numbers = |stop: &serde_json::Value| (stop["s"].as_f64().unwrap(), stop["playlists"].as_f64().unwrap());
    let faults: Vec<_> = stops.as_array().unwrap().iter().map(numbers).filter(|(s, heard)| heard / s > 3.0).collect();
    assert!(faults.iter().all(|(s, _)| *s < 3.0) && faults.len() <= 1, "the picture stood still: {stops:#}");
    let played_s = browser.state()["position_s"].as_f64().unwrap() - begun_s;
    assert!(played_s > WATCH_S / 2.0, "{played_s} s of {WATCH_S} s were played: {stops:#}");
    let buffered_s = browser.eval(
        "(({ buffered }) => buffered.end(buffered.length - 1) - buffered.start(0))(document.getElementById('video'))",
    );
    assert!(buffered_s.as_f64().unwrap() < 45.0, "what was played stays in memory: {buffered_s} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_sees_a_publisher_begin_vanish_return_end_and_begin_anew() {
    let server = Setup::new("all").env("TRELLIS_ORIGIN_GRACE_S", 40).start().await;
    let mut browser = Browser::start().await;
    browser.open(&format!("{}/watch/town", server.base()));
    browser.wait("window.trellis?.state().state === 'waiting'");
    browser.screenshot("waiting.png");

    let mut publisher = publish(&server, film(), "town", &["--loop"]);
    browser.wait_for(PLAYING, LONG);
    goes_on(&mut browser, 2.0);
    publisher.kill();
    browser.wait_for("window.trellis.state().state === 'paused'", LONG);
    browser.screenshot("paused.png");

    let frames = browser.state()["total_frames"].as_f64().unwrap();
    let mut publisher = publish(&server, film(), "town", &[]);
    let plays_on =
        format!("window.trellis.state().state === 'playing' && window.trellis.state().total_frames > {frames} + 25");
    browser.wait_for(&plays_on, LONG);
    let viewer = Viewer::join(&server, "town", None).await;
    let playlist = viewer.playlist("v0.m3u8").await;
    assert!(playlist.segments.iter().any(|segment| segment.discontinuity), "the second run is set apart");

    assert!(publisher.end(LONG).await.success(), "{}", publisher.said());
    browser.wait_for("window.trellis.state().state === 'ended'", LONG);
    browser.screenshot("ended.png");

    let _publisher = publish(&server, film(), "town", &["--loop"]);
    let again = "(({ state, publisher }) => state === 'playing' && publisher === 'live')(window.trellis.state())";
    browser.wait_for(again, LONG);
    goes_on(&mut browser, 2.0);
    let scripts: Vec<_> = browser.complaints().into_iter().filter(|line| line.starts_with("script")).collect();
    assert!(scripts.is_empty(), "{scripts:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_can_be_sought_and_ends() {
    let server = Setup::new("all").start().await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", clip()).await.status, 200);
    let mut browser = Browser::start().await;
    browser.open(&format!("{}/watch/film", server.base()));
    browser.wait(PLAYING);
    let state = browser.state();
    assert_eq!((state["kind"].as_str(), state["publisher"].as_str()), (Some("vod"), Some("vod")), "{state}");
    let end_s = state["range_s"][1].as_f64().unwrap();
    assert!((15.5..16.5).contains(&end_s), "the clip has 16 s, not {end_s}");
    assert!(state["position_s"].as_f64().unwrap() < 8.0, "a recording begins at its beginning: {state}");
    for to_s in [11.0, 2.0, end_s - 1.5] {
        browser.eval(&format!("void (document.getElementById('video').currentTime = {to_s})"));
        browser.wait(&format!(
            "(() => {{ const {{ state, position_s }} = window.trellis.state();
                return state === 'playing' && position_s > {to_s} + 0.3 && position_s < {to_s} + 5; }})()"
        ));
    }
    browser.wait("window.trellis.state().state === 'ended'");
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// A page that stands still where one of them ends would never come to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_plays_on_when_sound_or_pictures_end_first() {
    const ENDS_S: f64 = 14.0;
    let server = Setup::new("all").start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let [early, late] = ["early.mp4", "late.mp4"].map(|name| folder.path().join(name));
    make_uneven_film(&early, ENDS_S as u32, 5);
    make_uneven_film(&late, 5, ENDS_S as u32);
    for (stream, film, options) in [
        ("sound-first", &early, &["--vod"][..]),
        ("copied", &early, &["--vod", "--copy"]),
        ("pictures-first", &late, &["--vod"]),
    ] {
        let mut publisher = publish(&server, film, stream, options);
        assert!(publisher.end(LONG).await.success(), "{}", publisher.said());
    }
    // Looped, the sound comes again as well.
    let _looped = [("live", &[][..]), ("live-copied", &["--copy"])]
        .map(|(stream, options)| publish(&server, &early, stream, &[&["--loop"], options].concat()));
    let mut browser = Browser::start().await;
    for stream in ["sound-first", "copied", "pictures-first"] {
        browser.open(&format!("{}/watch/{stream}", server.base()));
        browser.wait_for(PLAYING, LONG);
        browser.eval("void (document.getElementById('video').currentTime = 3)");
        browser.wait_for("window.trellis.state().state === 'ended'", LONG);
        let at_s = browser.state()["position_s"].as_f64().unwrap();
        assert!((ENDS_S - 0.5..ENDS_S + 0.5).contains(&at_s), "{stream} ended at {at_s} s");
    }
    for stream in ["live", "live-copied"] {
        browser.open(&format!("{}/watch/{stream}", server.base()));
        browser.wait_for(PLAYING, LONG);
        goes_on(&mut browser, ENDS_S + 4.0);
    }
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmodified_hls_js_and_ffmpeg_play_from_the_one_url() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    eventually("the channel is live", PATIENCE, async || {
        (join(&server, "town", None).await.status == 200).then_some(())
    })
    .await;
    let url = format!("{}/v1/streams/town/play.m3u8", server.base());
    let ffmpeg = tokio::spawn(run_aside(decode(&url, 5)));

    let mut browser = Browser::start().await;
    let page = browser.plain_page(&url);
    browser.open(&page);
    browser.wait("document.getElementById('video').currentTime > 0 && window.seen.levels === 3");
    let at = browser.eval("document.getElementById('video').currentTime").as_f64().unwrap();
    browser.wait(&format!("document.getElementById('video').currentTime > {at} + 4 && window.seen.parts > 5"));
    let seen = browser.eval("({...window.seen, latency: window.hls.latency})");
    assert_eq!(seen["fatal"].as_array().map(Vec::len), Some(0), "{seen}");
    assert!(seen["latency"].as_f64().unwrap() < 10.0, "{seen}");
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");

    let output = ffmpeg.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_refused_says_why_and_starts_when_there_is_room() {
    let mut cluster = Cluster::start().await;
    let (manager, origin) = (&cluster.manager, &cluster.origin);
    let key = manager.key("publish.key");
    assert_eq!(vod(origin, &key, "film", clip()).await.status, 200);
    assert_eq!(send(closed(origin, &key, "secret").header("trellis-mode", "vod").body(clip())).await.status, 200);

    let mut browser = Browser::start().await;
    browser.open(&format!("{}/watch/secret", manager.base()));
    browser.wait("window.trellis?.state().state === 'denied' && window.trellis.state().error === 'token_missing'");
    browser.screenshot("denied.png");
    // No edge, no room.
    browser.open(&format!("{}/watch/film", manager.base()));
    browser.wait("window.trellis?.state().state === 'refused' && window.trellis.state().retry_in_s > 0");
    assert_eq!(browser.state()["error"], "no_capacity");
    browser.screenshot("refused.png");
    // Pressed by keyboard it asks at once; pressed again and again no more often.
    let joins = "performance.getEntriesByType('resource').filter((r) => r.name.endsWith('/join')).length";
    browser.wait("document.getElementById('card-button').getAttribute('aria-disabled') === 'false' && window.trellis.state().retry_in_s > 1.5");
    let before = browser.eval(joins).as_u64().unwrap();
    browser.eval("document.getElementById('card-button').focus()");
    browser.press("Enter");
    browser.wait(&format!("{joins} === {before} + 1"));
    for _ in 0..5 {
        browser.press("Enter");
    }
    assert_eq!(browser.eval(joins), before + 1);
    assert_eq!(browser.eval("document.activeElement.id"), "card-button", "the focus is lost");
    cluster.add(cluster.edge("one")).await;
    browser.wait_for(PLAYING, LONG);

    let manager = &cluster.manager;
    let token = token(manager, &["--stream", "secret"]);
    browser.open(&format!("{}/watch/secret?token={token}", manager.base()));
    browser.wait_for(PLAYING, LONG);
    let address = browser.eval("location.href");
    assert!(!address.as_str().unwrap().contains(&token), "the token stays in the address bar: {address}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_moves_on_when_its_edge_dies() {
    let mut cluster = Cluster::start().await;
    for name in ["one", "two"] {
        cluster.add(cluster.edge(name)).await;
    }
    let _channel = Channel::start(&cluster.origin, &cluster.manager.key("publish.key"), "town");
    let mut browser = Browser::start().await;
    browser.open(&format!("{}/watch/town", cluster.manager.base()));
    browser.wait_for(PLAYING, LONG);
    let uses = |browser: &mut Browser, edge: &Server| {
        let requests = format!(
            "performance.getEntriesByType('resource').filter((r) => r.name.startsWith('{}/v/')).length",
            edge.base()
        );
        browser.eval(&requests).as_u64().unwrap() > 0
    };
    let of = usize::from(!uses(&mut browser, &cluster.edges[0]));
    assert!(uses(&mut browser, &cluster.edges[of]), "the page plays from neither edge");
    cluster.edges[of].kill();
    browser.eval("performance.clearResourceTimings()");
    let other = cluster.edges[1 - of].base();
    // Its media may come over the WebSocket, which is no resource; whether the publisher is there it asks the new edge.
    browser.wait_for(
        &format!("performance.getEntriesByType('resource').some((r) => r.name.startsWith('{other}/v/'))"),
        LONG,
    );
    browser.wait_for("window.trellis.state().state === 'playing'", LONG);
    goes_on(&mut browser, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_puts_the_player_into_somebody_elses_page() {
    let server = Setup::new("all").start().await;
    assert_eq!(vod(&server, &server.key("publish.key"), "film", clip()).await.status, 200);
    let mut browser = Browser::start().await;
    let page = browser.embedding_page(&format!("{}/watch/film?embed=1", server.base()));
    browser.open(&page);
    browser.wait_in_frame("window.trellis?.state().state === 'playing' && window.trellis.state().position_s > 2");
    browser.screenshot("embedded.png");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_forbids_sound_shows_the_picture_and_a_button() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    let mut browser = Browser::with_flags(&["--autoplay-policy=document-user-activation-required"]).await;
    browser.open(&format!("{}/watch/town?embed=1", server.base()));
    browser.wait_for("window.trellis?.state().total_frames > 30 && window.trellis.state().muted", LONG);
    browser.wait("!document.getElementById('unmute').hidden");
    browser.screenshot("muted.png");
    browser.click("#unmute");
    browser.wait("!window.trellis.state().muted && window.trellis.state().state === 'playing'");
    goes_on(&mut browser, 1.0);
}

/// The picture moves on by this many seconds.
fn goes_on(browser: &mut Browser, seconds: f64) {
    let at = browser.eval("document.getElementById('video').currentTime").as_f64().unwrap();
    let frames = browser.state()["total_frames"].as_f64().unwrap();
    let on = format!(
        "document.getElementById('video').currentTime > {at} + {seconds} && window.trellis.state().total_frames > {frames} + {}",
        seconds * 8.0
    );
    browser.wait_for(&on, LONG);
}

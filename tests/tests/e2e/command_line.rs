//! What does the command line do for the person who types it? Publishing films of their own, and being told what is
//! wrong.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use trellis_tests::client::{Viewer, join};
use trellis_tests::command::{Demo, publish, trellis_with};
use trellis_tests::media::{decode, film, run_aside};
use trellis_tests::server::{Server, Setup, free_port};
use trellis_tests::{PATIENCE, eventually};

/// Encoding a film on a busy machine.
const LONG: Duration = Duration::from_secs(90);

async fn published(server: &Server, stream: &str, options: &[&str]) -> Viewer {
    let mut publisher = publish(server, film(), stream, options);
    let status = publisher.end(LONG).await;
    assert!(status.success(), "{}", publisher.said());
    Viewer::join(server, stream, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_is_published_on_demand_encoded_or_as_it_is() {
    let server = Setup::new("all").start().await;
    let (encoded, copied) =
        tokio::join!(published(&server, "film", &["--vod"]), published(&server, "raw", &["--vod", "--copy"]));
    for (what, viewer) in [("encoded", &encoded), ("copied", &copied)] {
        let ladder = viewer.multivariant().await;
        assert!(
            ladder.resolutions.iter().all(|size| size == "320x180"),
            "{what}: no rung above the source: {ladder:?}"
        );
        for name in ladder.playlists() {
            let playlist = viewer.playlist(&name).await;
            assert!(playlist.ended, "{what} {name}");
            let seconds: f64 = playlist.segments.iter().map(|segment| segment.duration_s).sum();
            assert!((11.5..12.5).contains(&seconds), "{what} {name}: 12 s became {seconds}");
            let (_, body) = playlist.segments.split_last().unwrap();
            assert!(body.iter().all(|s| (s.duration_s - 2.0).abs() < 0.1), "{what} {name}: {body:?}");
            let decoded = run_aside(decode(&viewer.url(&name), 20)).await;
            assert!(
                decoded.status.success() && decoded.stderr.is_empty(),
                "{what} {name}: {}",
                String::from_utf8_lossy(&decoded.stderr)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_comes_back_by_itself_when_its_origin_does() {
    let mut server = Setup::new("all").start().await;
    let mut publisher = publish(&server, film(), "town", &["--loop", "--copy"]);
    let joined = async |server: &Server| {
        eventually("the stream is live", PATIENCE, async || {
            (join(server, "town", None).await.status == 200).then_some(())
        })
        .await;
    };
    joined(&server).await;
    server.start_again().await;
    joined(&server).await;
    assert!(publisher.ended().is_none(), "{}", publisher.said());
    publisher.terminate();
    assert!(publisher.end(PATIENCE).await.success(), "{}", publisher.said());
    eventually("its end is an end", PATIENCE, async || {
        let reply = join(&server, "town", None).await;
        (reply.status == 200 && reply.json()["state"] == "ended").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_cannot_work_says_why() {
    let server = Setup::new("all").start().await;
    let manager = Setup::new("manager").start().await;
    let no_film = Path::new("/nowhere/film.mp4");
    let text = tempfile::NamedTempFile::with_suffix(".mp4").unwrap();
    std::fs::write(text.path(), "this is no film").unwrap();
    for (what, film, options, hint) in [
        ("a wrong key", film(), &["--key", "wrong-key-of-somebody"][..], "key"),
        ("no such file", no_film, &[], "/nowhere/film.mp4"),
        ("no film", text.path(), &[], text.path().to_str().unwrap()),
        ("a manager", film(), &["--to", &manager.base(), "--copy"], "no origin"),
        ("nobody there", film(), &["--to", "http://127.0.0.1:9", "--copy"], "127.0.0.1:9"),
    ] {
        let output = failed_publish(&server, film, options).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{what}: {said}");
        assert!(said.contains(hint) && !said.contains("panicked"), "{what}: `{hint}` is not in: {said}");
        assert!(
            !said.contains("wrong-key-of-somebody") && !said.contains(&server.key("publish.key")),
            "{what}: {said}"
        );
    }
    let url = server.base();
    let bare = [("PATH", "/nowhere"), ("TRELLIS_KEY", "x"), ("TRELLIS_URL", &url)];
    let bare = trellis_with(&["publish", film().to_str().unwrap(), "--stream", "town"], &bare);
    let said = String::from_utf8_lossy(&bare.stderr).into_owned();
    assert!(!bare.status.success() && said.contains("ffmpeg"), "{said}");
    let keyless = trellis_with(&["publish", "x.mp4", "--stream", "town", "--data-dir", "/nowhere"], &[]);
    let said = String::from_utf8_lossy(&keyless.stderr).into_owned();
    assert!(!keyless.status.success() && said.contains("--key"), "{said}");
    let name = trellis_with(&["publish", "x.mp4", "--stream", "Not A Name"], &[]);
    assert!(!name.status.success());
}

async fn failed_publish(server: &Server, film: &Path, options: &[&str]) -> Output {
    let mut command: Command = trellis_tests::process::trellis();
    command.arg("publish").arg(film).args(["--stream", "town"]).args(options);
    if !options.contains(&"--to") {
        command.args(["--to", &server.base()]);
    }
    command.env("TRELLIS_KEY", server.key("publish.key"));
    tokio::time::timeout(LONG, run_aside(command)).await.expect("a publisher that cannot work ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_leaves_nothing_behind() {
    // Asked to stop; and its terminal is closed.
    for signal in ["TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Demo::start_in(Some(folder.path()));
        let inside = || std::fs::read_dir(folder.path()).unwrap().count();
        assert!(inside() > 0, "the demo's data is somewhere else");
        demo.process.signal(signal);
        let status = demo.process.end(PATIENCE).await;
        assert!(status.success(), "{signal}: {status}: {}", demo.process.said());
        assert_eq!(inside(), 0, "{signal}");
    }
}

#[test]
fn a_clock_that_cannot_be_drawn_is_the_only_complaint() {
    let listen = format!("127.0.0.1:{}", free_port());
    let output = trellis_with(&["demo", "--clock", "--listen", &listen], &[("PATH", "/nowhere")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("ffmpeg") && said.trim().lines().count() == 1, "{said}");
}

/// Nothing is good before all of it was read.
#[test]
fn a_configuration_is_good_only_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let [config, key] = ["bad.toml", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&key, "no key\n").unwrap();
    std::fs::write(&config, format!("[tls]\ncert = {key:?}\nkey = {key:?}\n")).unwrap();
    let output = trellis_with(&["check-config", "--config", config.to_str().unwrap()], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(said.matches("key.pem").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_collide_where_they_listen() {
    let server = Setup::new("all").start().await;
    let taken = server.base().trim_start_matches("http://").to_owned();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    // Metrics collide as well.
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = metrics.local_addr().unwrap().to_string();
    let options = ["serve", "--listen", &taken, "--data-dir", data];
    let second = trellis_with(&options, &[("TRELLIS_METRICS_LISTEN", &address)]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains(&taken) && said.contains("--listen"), "{said}");
}

#[test]
fn help_and_mistakes_are_answered() {
    let help = trellis_with(&["--help"], &[]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in ["Peer-Server-Peer", "demo", "serve", "publish", "token", "check-config"] {
        assert!(help.status.success() && text.contains(word), "{text}");
    }
    for (args, hint) in [
        (&["srve"][..], "serve"),
        (&["serve", "--role", "boss"], "manager"),
        (&["serve", "--listen", "8080"], "0.0.0.0:8080"),
        (&["publish", "x.mp4", "--stream", "x", "--max-height", "0"], "720"),
        (&["token", "--stream", "NO"], "a-z"),
        (&["token", "--stream", "x", "--expires", "never"], "30m"),
        (&["token", "--stream", "x", "--class", "gold"], "premium"),
        (&["token", "--stream", "x"], "--data-dir"),
    ] {
        let output = trellis_with(args, &[("TRELLIS_DATA_DIR", "/nowhere")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(hint) && !said.contains("panicked"), "{args:?}: {said}");
    }
}

//! Can a decoder that is not ours follow a live stream for a minute, across the seams where the clip loops?

use std::process::Command;

use trellis_tests::PATIENCE;
use trellis_tests::client::{Viewer, join};
use trellis_tests::eventually;
use trellis_tests::media::{decode, run_aside};
use trellis_tests::publisher::Channel;
use trellis_tests::server::Setup;

const SECONDS: u32 = 60;
/// What times are rounded by: a tick of the coarsest track, and what ffprobe prints.
const TICKS_S: f64 = 0.000_1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffprobe_and_ffmpeg_follow_every_rendition_for_a_minute() {
    let server = Setup::new("all").start().await;
    let _channel = Channel::start(&server, &server.key("publish.key"), "town");
    eventually("the channel is live", PATIENCE, async || {
        (join(&server, "town", None).await.status == 200).then_some(())
    })
    .await;
    let viewer = Viewer::join(&server, "town", None).await;
    let names = viewer.multivariant().await.playlists();
    assert_eq!(names.len(), 4);
    let all = names.iter().map(|name| {
        let url = viewer.url(name);
        async move { tokio::join!(run_aside(decode(&url, SECONDS)), run_aside(packets(&url))) }
    });
    for (name, (decoded, probed)) in names.iter().zip(futures_util::future::join_all(all).await) {
        let said = String::from_utf8_lossy(&decoded.stderr);
        assert!(decoded.status.success() && said.is_empty(), "{name}: ffmpeg says {said}");
        let said = String::from_utf8_lossy(&probed.stderr);
        assert!(probed.status.success() && said.is_empty(), "{name}: ffprobe says {said}");
        check_times(name, &String::from_utf8_lossy(&probed.stdout));
    }
}

/// Decode time and duration of each packet, in seconds.
fn packets(url: &str) -> Command {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-read_intervals",
        &format!("%+{SECONDS}"),
        "-show_entries",
        "packet=dts_time,duration_time",
    ]);
    command.args(["-of", "csv=p=0", url]);
    command
}

/// Strictly monotonic, without gaps, for the whole minute.
fn check_times(name: &str, csv: &str) {
    let times: Vec<(f64, f64)> = csv
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(',').map(|field| field.parse().ok());
            Some((fields.next()??, fields.next()??))
        })
        .collect();
    let (first, last) = (times[0], *times.last().unwrap());
    assert!(last.0 - first.0 > f64::from(SECONDS) - 1.0, "{name}: from {first:?} to {last:?}");
    for pair in times.windows(2) {
        let ((dts, duration), (next, _)) = (pair[0], pair[1]);
        assert!(next > dts, "{name}: {next} after {dts}");
        assert!(
            (next - dts - duration).abs() < TICKS_S,
            "{name}: a gap or overlap between {dts} + {duration} and {next}"
        );
    }
}

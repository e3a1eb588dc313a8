//! What do ffmpeg and ffprobe say? Films are made by them, streams are judged by them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A small film that is not ours: 320×180 at 25 fps with sound, 12 s, a keyframe every second.
pub fn film() -> &'static Path {
    static FILM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &FILM
        .get_or_init(|| {
            let folder = TempDir::new().expect("a temporary directory can be made");
            let path = folder.path().join("film.mp4");
            make_film(&path, 12);
            (folder, path)
        })
        .1
}

/// Makes a film of this many seconds.
pub fn make_film(path: &Path, seconds: u32) {
    make_uneven_film(path, seconds, seconds);
}

/// Makes a film whose pictures last as long as this, and whose sound as long as that (s).
pub fn make_uneven_film(path: &Path, pictures_s: u32, sound_s: u32) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i"]);
    command.arg(format!("testsrc=size=320x180:rate=25:duration={pictures_s}"));
    command.args(["-f", "lavfi", "-i", &format!("sine=frequency=330:sample_rate=48000:duration={sound_s}")]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-b:a",
        "64k",
    ]);
    let output = run(command.arg(path));
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a tool to its end.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/setup-tests"))
}

/// Runs a tool to its end while other things happen.
pub async fn run_aside(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || run(&mut command)).await.expect("running a tool does not panic")
}

/// ffmpeg that decodes `seconds` of a URL and says only what is wrong. (Its warnings are of itself: it reads the init
/// segment again with every reload of a live playlist, and wonders about it.)
pub fn decode(url: &str, seconds: u32) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i", url, "-t", &seconds.to_string(), "-f", "null", "-"]);
    command
}

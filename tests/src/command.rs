//! How is the command line used? `trellis demo`, `publish` and `token`, as a person types them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::media::run;
use crate::process::{Process, trellis};
use crate::server::{Server, free_port};

/// `trellis demo --json` and what it printed.
pub struct Demo {
    /// It runs until this is dropped.
    pub process: Process,
    /// The watch page's URL.
    pub watch: String,
    /// The URL for any player.
    pub hls: String,
}

impl Demo {
    /// Starts it and waits for its line.
    pub fn start() -> Self {
        Self::start_in(None)
    }

    /// The same with a folder of its own for temporary files.
    pub fn start_in(folder: Option<&Path>) -> Self {
        let mut command = trellis();
        if let Some(folder) = folder {
            command.env("TMPDIR", folder);
        }
        command.args(["demo", "--json", "--listen", &format!("127.0.0.1:{}", free_port())]);
        let mut process = Process::start("the demo", command.stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).expect("standard output can be read");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the demo printed: {line:?}"));
        let url = |key: &str| ready[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {ready}")).to_owned();
        Self { watch: url("watch"), hls: url("hls"), process }
    }
}

/// `trellis publish`, open to all, of a film and with these further options.
pub fn publish(server: &Server, film: &Path, stream: &str, options: &[&str]) -> Process {
    let mut command = trellis();
    command.arg("publish").arg(film).args(["--stream", stream, "--open", "--to", &server.base()]).args(options);
    command.env("TRELLIS_KEY", server.key("publish.key")).stdin(Stdio::null());
    Process::start("the publisher", &mut command)
}

/// `trellis token` with these options.
pub fn token(server: &Server, options: &[&str]) -> String {
    let output =
        trellis_with(&[&["token"], options].concat(), &[("TRELLIS_DATA_DIR", &server.data().display().to_string())]);
    assert!(output.status.success(), "trellis token: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Any command, run to its end.
pub fn trellis_with(args: &[&str], env: &[(&str, &str)]) -> Output {
    run(trellis().args(args).envs(env.iter().copied()))
}

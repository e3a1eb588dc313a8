//! How does a program run for the length of a test? Its standard error is kept, and shown when the test fails; it is
//! killed by its own process id when it is dropped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{build_folder, eventually};

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// The binary under test.
///
/// # Panics
/// When it has not been built.
pub fn trellis() -> Command {
    let path = binary();
    assert!(path.is_file(), "{} is missing: run `cargo build --release` first", path.display());
    // A test run that outlives its terminal (`nohup`) passes on that SIGHUP is ignored; what is tested may not inherit that.
    let mut command = Command::new("/usr/bin/env");
    command.arg("--default-signal=HUP").arg(path);
    // What the person at the keyboard has set is not under test.
    std::env::vars().filter(|(key, _)| key.starts_with("TRELLIS_")).for_each(|(key, _)| {
        command.env_remove(key);
    });
    command
}

fn binary() -> PathBuf {
    build_folder().join("trellis")
}

impl Process {
    /// Starts it, reading along what it says on standard error.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}; run scripts/setup-tests"));
        let stderr = child.stderr.take().expect("it was asked for");
        let said = Arc::<Mutex<String>>::default();
        let heard = said.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = heard.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { name: name.to_owned(), child, said, reader: Some(reader) }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything on standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its standard output, once.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output is piped, and taken once")
    }

    /// Its standard input, once.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is piped, and taken once")
    }

    /// Lets it end by itself for a while before it is killed.
    pub fn grace(&mut self, limit: Duration) {
        let start = Instant::now();
        while self.ended().is_none() && start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits for its end.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = eventually(&what, limit, async || self.ended()).await;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        status
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} could not be sent SIG{name}", self.name);
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<_> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            eprintln!("---- {} said ----\n{last}\n----", self.name);
        }
    }
}

const SHOWN_LINES: usize = 60;

//! What do the end-to-end tests share? Real processes on loopback, a client that counts, a publisher, a browser.
//!
//! Invariant: whatever a test starts ends with it, by its process id, and what a server logged is shown when a test
//! fails. Nothing here decides what is right; it waits for events with a deadline, never for a while.

pub mod browser;
pub mod client;
pub mod command;
pub mod lab;
pub mod media;
pub mod peer;
pub mod playlist;
pub mod process;
pub mod publisher;
pub mod server;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a machine that does other things, too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something to see.
///
/// # Panics
/// When there is nothing within `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a folder of their own").to_path_buf()
}

/// Where things for people go: screenshots.
pub fn for_people(name: &str) -> PathBuf {
    let folder = build_folder().parent().expect("target/release lies in target").join("e2e");
    std::fs::create_dir_all(&folder).expect("target can be written to");
    folder.join(name)
}

/// `target/release`, where this test was built and the binary stands.
fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    test.ancestors().nth(2).expect("tests are built into target/…/deps").to_path_buf()
}

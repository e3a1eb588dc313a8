//! Secrets on disk: made once, never overwritten, readable by their owner only.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A secret's text, trimmed, and whether this call made it.
pub struct Kept {
    /// What the file holds.
    pub text: String,
    /// The file was not there.
    pub made: bool,
}

/// Reads a secret's file; makes it when it is missing. Of two processes that make it at once, one fails and says so.
pub fn open(path: &Path, make: impl FnOnce() -> String) -> io::Result<Kept> {
    let made = !path.exists();
    if made {
        write(path, &make())?;
    }
    let text = fs::read_to_string(path)?.trim().to_owned();
    if text.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidData, "is empty; remove it to have a new one made"));
    }
    Ok(Kept { text, made })
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source works: nothing secure can be done without it");
    bytes
}

/// Makes a directory that only its owner may look into; true when it was not there.
pub fn make_dir(dir: &Path) -> io::Result<bool> {
    if dir.is_dir() {
        return Ok(false);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map(|()| true)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

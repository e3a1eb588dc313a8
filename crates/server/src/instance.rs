//! Which process is this, that reports under a name? A random id in the data directory, kept across restarts, and
//! the time this process started.
//!
//! Invariant: on one machine no two living processes show the same id, for the file is locked as long as the process
//! lives. A copied directory on another machine is told apart by the start time.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::clock::unix_ms;
use crate::cluster_api::Instance;
use crate::keyfile;

/// An instance for as long as this is held.
pub struct Lease {
    instance: Instance,
    /// Unlocked by its end, however that comes.
    _lock: Option<File>,
}

/// Another process plays the same part in the same data directory.
#[derive(Debug, thiserror::Error)]
#[error(
    "another process already runs as {role} `{name}` in {directory}: stop it, or give this one a `name` or a `data_dir` of its own"
)]
pub struct Taken {
    role: &'static str,
    name: String,
    directory: String,
}

impl Lease {
    /// Of `role` under `name`, by its file in `dir`. Where nothing can be written the id is a new one at each start:
    /// after a restart the name is then free again only when the manager has noticed that its last holder is gone.
    pub fn open(dir: &Path, role: &'static str, name: &str) -> Result<Self, Taken> {
        let taken = || Taken { role, name: name.into(), directory: dir.display().to_string() };
        let file = dir.join(format!("{role}-{name}.id"));
        let kept = keyfile::make_dir(dir).and_then(|_| keyfile::open(&file, fresh_id));
        let (id, lock) = match kept.and_then(|kept| Ok((kept.text, File::open(&file)?))) {
            Ok((id, lock)) => match lock.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(taken()),
                // A file system without locks: the manager will tell two apart by their start.
                Ok(()) | Err(TryLockError::Error(_)) => (id, Some(lock)),
            },
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "this server's id cannot be kept for its next start");
                (fresh_id(), None)
            }
        };
        Ok(Self { instance: Instance { id, started_ms: unix_ms() }, _lock: lock })
    }

    /// What the manager is told.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }
}

fn fresh_id() -> String {
    hex::encode(keyfile::random::<16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_outlives_its_process_and_belongs_to_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lease::open(dir.path(), "edge", "a").unwrap();
        let told = Lease::open(dir.path(), "edge", "a").err().unwrap().to_string();
        assert!(told.contains("edge `a`") && told.contains("data_dir"), "{told}");
        let other = Lease::open(dir.path(), "edge", "b").unwrap();
        assert_ne!(first.instance().id, other.instance().id);
        let id = first.instance().id.clone();
        drop(first);
        assert_eq!(Lease::open(dir.path(), "edge", "a").unwrap().instance().id, id);
    }

    #[test]
    fn where_nothing_can_be_written_it_runs_under_a_new_id() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Lease::open(file.path(), "edge", "a").unwrap().instance().id.len(), 32);
    }
}

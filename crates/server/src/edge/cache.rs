//! Which media stays in memory? What was used last, up to a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::shelf::{Item, Key, Shelf};

/// The bound, and how much came in since it was last enforced.
pub struct Cache {
    bytes_max: u64,
    since_sweep: AtomicU64,
}

impl Cache {
    /// Keeps media below `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, since_sweep: AtomicU64::new(0) }
    }

    /// Counts a new object; true when it is time to sweep before the next regular one.
    pub fn admit(&self, bytes: u64) -> bool {
        self.since_sweep.fetch_add(bytes, Ordering::Relaxed) + bytes > self.bytes_max / 8
    }

    /// Forgets what was used least recently until an eighth is free again. Returns the bytes that stay.
    pub fn sweep(&self, shelves: &[Arc<Shelf>]) -> u64 {
        self.since_sweep.store(0, Ordering::Relaxed);
        let mut held: Vec<(u32, u64, usize, Key)> = Vec::new();
        for (index, shelf) in shelves.iter().enumerate() {
            shelf.each_object(|key, object| held.push((object.used_s(), object.size() as u64, index, key)));
        }
        let mut total: u64 = held.iter().map(|(_, size, ..)| size).sum();
        if total <= self.bytes_max / 8 * 7 {
            return total;
        }
        // Init segments are small and needed by every newcomer: they go last.
        held.sort_unstable_by_key(|(used, _, _, key)| (key.item == Item::Init, *used));
        for (_, size, index, key) in held {
            if total <= self.bytes_max / 8 * 7 {
                break;
            }
            shelves[index].forget(key);
            total -= size;
        }
        total
    }
}

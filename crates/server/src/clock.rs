//! What does the wall clock say?

use std::time::{SystemTime, UNIX_EPOCH};

/// ms since the Unix epoch. A clock before 1970 is no reason to fall over: it reads as 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

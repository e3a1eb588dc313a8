//! What should the publisher change? The origin says so in its answer, which for a live source is too late: what is sent
//! as it was coded is watched here on its way out, by the origin's own packager.
//!
//! Invariant: the bytes pass unchanged, and nothing is said twice.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::packager::{Event, Options, Packager};

/// What has been said, however often the connection was made anew.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// Says it, unless it has been said.
    pub fn tell(&self, advice: String) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(&advice) {
            return;
        }
        tracing::warn!("{advice}");
        if told.len() == TOLD_MAX {
            told.remove(0);
        }
        told.push(advice);
    }

    /// Everything that was said lately.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The body as it is; what is to be said of it is said as soon as it shows.
pub fn watched(
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    target_hint_s: Option<u32>,
    told: Told,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut packager = Some(Packager::new(Options { target_hint_s }));
    body.inspect(move |piece| {
        let (Ok(bytes), Some(watching)) = (piece, &mut packager) else { return };
        let pushed = watching.push(bytes.clone());
        while let Some(event) = watching.poll() {
            if let Event::Warning(warning) = event {
                told.tell(warning.to_string());
            }
        }
        // What cannot be taken the origin refuses, and says why.
        if pushed.is_err() {
            packager = None;
        }
    })
}

/// A run says some ten things at most; connections may be made anew for weeks.
const TOLD_MAX: usize = 64;

//! The origin's report to the manager: all its streams, every second and at each change.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Origin;
use crate::client::Contact;
use crate::cluster_api::{BEAT_INTERVAL_MS, OriginBeat, OriginStream};

/// Reports until the server stops.
pub async fn report(origin: Arc<Origin>) {
    let mut contact = Contact::default();
    loop {
        let answer = origin.manager.origin_beat(&beat(&origin)).await;
        contact.note(&answer);
        if answer.is_ok() {
            origin.registered.store(true, Ordering::Relaxed);
        }
        tokio::select! {
            () = origin.stop.wait() => return,
            () = origin.news.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(BEAT_INTERVAL_MS)) => {}
        }
    }
}

fn beat(origin: &Origin) -> OriginBeat {
    let streams = origin.channels.all().into_iter().map(|channel| {
        let (shelf, publishing) = (channel.shelf(), channel.is_taken());
        let (state, rate_bps) = (shelf.state(), channel.rate_bps());
        OriginStream { stream: shelf.stream().to_string(), state, rate_bps, publishing }
    });
    OriginBeat {
        origin: origin.config.name().to_owned(),
        instance: origin.lease.instance().clone(),
        media_url: origin.media_url.clone(),
        public_key: origin.public_key_hex(),
        streams: streams.collect(),
    }
}

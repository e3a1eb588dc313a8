//! The edge's report to the manager: its room every second, its sessions' use as it changes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use trellis_core::trust::table::Authority;
use trellis_media::timeline::{State, Timeline};

use super::Edge;
use crate::cluster_api::{BEAT_INTERVAL_MS, EdgeBeat, EdgeBeatReply};

/// Reports until the server stops.
pub async fn report(edge: Arc<Edge>) {
    let mut reachable = true;
    loop {
        sweep(&edge);
        let beat = beat(&edge, USAGE_EVERY);
        let answer = edge.manager.edge_beat(&beat).await;
        match &answer {
            Ok(reply) => heard(&edge, &beat, reply),
            Err(error) if reachable => tracing::warn!(%error, "cannot report to the manager; trying on"),
            Err(_) => {}
        }
        reachable = answer.is_ok();
        let pause = if edge.is_ready() { BEAT_INTERVAL_MS } else { FIRST_TRIES_MS };
        tokio::select! {
            () = edge.stop.wait() => return,
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
        }
    }
}

/// The last report: no more viewers, and all accounts.
pub async fn last(edge: &Edge) {
    let beat = EdgeBeat { draining: true, ..beat(edge, Duration::ZERO) };
    if let Err(error) = edge.manager.edge_beat(&beat).await {
        tracing::warn!(%error, sessions = beat.usage.len(), "the last accounts did not reach the manager");
    }
}

fn sweep(edge: &Edge) {
    let shelves = edge.shelves();
    let ended = shelves.iter().filter(|shelf| shelf.look(Timeline::state) == State::Ended);
    let ended: HashSet<_> = ended.map(|shelf| shelf.stream().clone()).collect();
    edge.sessions.sweep(|stream| ended.contains(stream));
    drop(shelves);
    edge.streams.sweep();
}

fn beat(edge: &Edge, usage_every: Duration) -> EdgeBeat {
    let tally = *edge.sessions.tally();
    metrics::gauge!("trellis_edge_sessions").set(tally.open);
    metrics::gauge!("trellis_edge_committed_bits_per_second").set(tally.committed_bps as f64);
    EdgeBeat {
        edge: edge.config.name.clone(),
        public_url: edge.config.public_url.clone(),
        capacity_bps: edge.config.upload_budget.0,
        committed_bps: tally.committed_bps,
        sessions: tally.open,
        departures_per_minute: edge.sessions.departures_per_minute(),
        draining: edge.stop.is_set(),
        admitted_bps_total: tally.admitted_bps_total,
        usage: edge.sessions.changes(usage_every),
    }
}

fn heard(edge: &Edge, beat: &EdgeBeat, reply: &EdgeBeatReply) {
    edge.sessions.acknowledge(&beat.usage);
    let mut key = [0; 32];
    let authority = hex::decode_to_slice(&reply.ticket_key, &mut key).ok().and_then(|()| Authority::new(&key));
    match authority {
        Some(authority) => edge.learn(authority),
        None => tracing::error!("the manager sent a ticket key that is none"),
    }
}

/// A session in use is reported this often; one that ended, at once.
const USAGE_EVERY: Duration = Duration::from_secs(5);
/// Until the manager has answered once.
const FIRST_TRIES_MS: u64 = 50;

//! The edge's report to the manager: its room every second, its sessions' use as it changes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use trellis_core::trust::table::Authority;
use trellis_media::timeline::{State, Timeline};
use trellis_proto::limits::RATE_MAX;

use super::Edge;
use crate::client::Contact;
use crate::cluster_api::{BEAT_INTERVAL_MS, EdgeBeat, EdgeBeatReply};

/// Reports until the edge is closed.
pub async fn keep_reporting(edge: Arc<Edge>) {
    until_done(|| report(edge.clone()), Duration::from_millis(BEAT_INTERVAL_MS)).await;
}

/// A report that panics is our bug, and viewers are no worse off for it: it begins again, or the manager would forget an
/// edge that serves.
async fn until_done<F: Future<Output = ()> + Send + 'static>(begin: impl Fn() -> F, pause: Duration) {
    while let Err(error) = tokio::spawn(begin()).await {
        tracing::error!(%error, "reporting to the manager broke off; beginning again");
        metrics::counter!("trellis_edge_report_failures_total").increment(1);
        tokio::time::sleep(pause).await;
    }
}

/// A stop is told at once, so that no new viewer is sent here, and then every second until the edge is closed.
async fn report(edge: Arc<Edge>) {
    let mut contact = Contact::default();
    loop {
        sweep(&edge);
        let beat = beat(&edge, USAGE_EVERY);
        let answer = tokio::select! {
            () = edge.closed.wait() => return,
            answer = edge.manager.edge_beat(&beat) => answer,
        };
        contact.note(&answer);
        if let Ok(reply) = &answer {
            heard(&edge, &beat, reply);
        }
        let pause = if edge.is_ready() { BEAT_INTERVAL_MS } else { FIRST_TRIES_MS };
        tokio::select! {
            () = edge.closed.wait() => return,
            () = edge.stop.wait(), if !beat.draining => {}
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
        }
    }
}

/// The last reports: no more viewers, and all accounts, for as long as a stop may take.
pub async fn last(edge: &Edge) {
    let told = async {
        while !tell_rest(edge).await {
            tokio::time::sleep(LAST_RETRY).await;
        }
    };
    if tokio::time::timeout(LAST_TIME, told).await.is_err() {
        let sessions = edge.sessions.changes(Duration::ZERO, usize::MAX).len();
        tracing::error!(sessions, "the last accounts did not reach the manager");
    }
}

/// Tells batch after batch. False: one did not arrive.
async fn tell_rest(edge: &Edge) -> bool {
    loop {
        let beat = EdgeBeat { draining: true, ..beat(edge, Duration::ZERO) };
        match edge.manager.edge_beat(&beat).await {
            Ok(reply) => heard(edge, &beat, &reply),
            Err(error) => {
                tracing::warn!(%error, "the last accounts did not reach the manager; trying again");
                return false;
            }
        }
        if beat.usage.len() < USAGE_MAX {
            return true;
        }
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
    let mesh = edge.clusters.standing();
    let (relief_bps2, models) = edge.clusters.models();
    let gauge = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
    gauge("trellis_cluster_viewers", mesh.viewers.into());
    gauge("trellis_cluster_supporters", mesh.supporters.into());
    gauge("trellis_cluster_peers_bits_per_second", mesh.peers_bps);
    gauge("trellis_cluster_peers_held_bits_per_second", mesh.peers_held_bps);
    gauge("trellis_cluster_edge_held_bits_per_second", mesh.edge_held_bps);
    metrics::gauge!("trellis_edge_sessions").set(tally.open);
    metrics::gauge!("trellis_edge_committed_bits_per_second").set(tally.committed_bps as f64);
    EdgeBeat {
        edge: edge.config.name().to_owned(),
        instance: edge.lease.instance().clone(),
        public_url: edge.config.public_url.clone(),
        stun_port: edge.stun_port,
        capacity_bps: edge.config.upload_budget.0.saturating_add(mesh.peers_bps),
        committed_bps: edge.promises.promised_bps().saturating_add(mesh.peers_held_bps),
        reserved_bps: edge.promises.reserved_bps(),
        brings_bps: mesh.peers_bps.checked_div(mesh.viewers.into()).unwrap_or_else(|| first_brings(edge)),
        growth_bps2: mesh.growth_bps2,
        relief_bps2,
        models,
        sessions: tally.open,
        departures_per_minute: edge.sessions.departures_per_minute(),
        draining: edge.stop.is_set(),
        admitted_bps_total: tally.admitted_bps_total,
        usage: edge.sessions.changes(usage_every, USAGE_MAX),
    }
}

/// What the first of a cluster is given credit for.
fn first_brings(edge: &Edge) -> u64 {
    let budget_bps = edge.config.upload_budget.0.saturating_sub(edge.promises.promised_bps()).min(RATE_MAX);
    let config = trellis_core::cluster::Config { budget_bps, ..Default::default() };
    trellis_core::cluster::Cluster::<bytes::Bytes>::new(config, 0, Default::default()).stats().brings_bps
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

/// A session in use is reported this often; one that ended or came back, at once.
const USAGE_EVERY: Duration = Duration::from_secs(5);
/// Until the manager has answered once.
const FIRST_TRIES_MS: u64 = 50;
/// Most usage records in one report.
const USAGE_MAX: usize = 2_000;
/// How long the last accounts are tried, with this pause: a manager that restarts is back by then.
const LAST_TIME: Duration = Duration::from_secs(8);
const LAST_RETRY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::session::tests::ticket;
    use super::super::testing::World;
    use super::*;
    use crate::cluster_api::UsageEnd;
    use crate::config::EdgeConfig;
    use crate::http::Stop;

    #[tokio::test]
    async fn a_stop_is_told_at_once_and_until_the_end() {
        let world = World::start().await;
        let (switch, stop) = Stop::new();
        let edge = world.edge(&EdgeConfig::default(), stop);
        let mut beats = world.beats();
        beats.wait_for(|beats| !beats.is_empty()).await.unwrap();
        let draining = |beats: &Vec<EdgeBeat>| beats.iter().filter(|beat| beat.draining).count();
        switch.send_replace(true);
        let told =
            tokio::time::timeout(Duration::from_millis(BEAT_INTERVAL_MS / 2), beats.wait_for(|b| draining(b) == 1));
        assert!(told.await.is_ok(), "told at once");
        beats.wait_for(|beats| draining(beats) == 2).await.unwrap();
        edge.close().await;
        assert!(beats.borrow().last().unwrap().draining);
    }

    #[tokio::test]
    async fn a_report_that_panics_begins_again() {
        let begun = Arc::new(AtomicUsize::new(0));
        let report = || {
            let begun = begun.clone();
            async move { assert!(begun.fetch_add(1, Ordering::Relaxed) == 1, "the first report panics") }
        };
        until_done(report, Duration::ZERO).await;
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn all_accounts_are_told_before_the_end_however_many_and_though_the_manager_stumbles() {
        let world = World::start().await;
        let (_switch, stop) = Stop::new();
        let config = EdgeConfig { upload_budget: crate::units::Rate(u64::MAX), ..EdgeConfig::default() };
        let edge = world.edge(&config, stop);
        let mut beats = world.beats();
        beats.wait_for(|beats| !beats.is_empty()).await.unwrap();
        let (pair, authority) = (World::ticket_pair(), World::ticket_authority());
        let viewers = USAGE_MAX + 500;
        for id in 0..viewers as u16 {
            let ticket = ticket(&pair, 1, |t| t.session.0[..2].copy_from_slice(&id.to_be_bytes()));
            assert!(edge.sessions.enter(&ticket, "demo", true, &authority).is_ok());
        }
        world.refuse_beats(2);
        edge.close().await;
        let beats = beats.borrow();
        let ended = beats.iter().flat_map(|beat| &beat.usage).filter(|usage| usage.ended == Some(UsageEnd::Shutdown));
        assert_eq!(ended.map(|usage| &usage.session).collect::<BTreeSet<_>>().len(), viewers);
    }
}

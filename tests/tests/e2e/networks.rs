//! What do viewers get in networks that are in their way: slow, without UDP, kept apart?

use serde_json::Value;
use trellis_tests::lab::{HUB, Lab, Wire, inside};
use trellis_tests::peer::{Peer, newest_part};
use trellis_tests::publisher::Channel;
use trellis_tests::server::{Server, Setup};

/// Parts that have to come in time: five seconds.
const PARTS: u64 = 15;

async fn channel() -> (Server, Channel) {
    let server = Setup::new("all").at(HUB).start().await;
    let channel = Channel::start(&server, &server.key("publish.key"), "town");
    (server, channel)
}

/// Peers on hosts of their own that watch the lowest rung.
async fn peers(lab: &mut Lab, server: &Server, wires: &[Wire]) -> Vec<Peer> {
    let mut peers = Vec::new();
    for wire in wires {
        let peer = Peer::start_on(&lab.host(*wire), server, "town", &[]).await;
        peer.until("it watches", |stats| stats["state"] == "watching").await;
        peers.push(peer);
    }
    peers
}

/// Everybody gets what plays for a while; what the figures say after that.
async fn played(peers: &[Peer]) -> Vec<Value> {
    let mut figures = Vec::new();
    for peer in peers {
        let part = newest_part(&peer.playlist("v0.m3u8").await).unwrap_or(0);
        peer.lists("v0.m3u8", part + PARTS).await;
        figures.push(peer.stats().await);
    }
    figures
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {stats}"))
}

#[test]
fn slow_uplinks_carry_what_they_can_and_nobody_goes_without() {
    inside("networks::slow_uplinks_carry_what_they_can_and_nobody_goes_without", async |mut lab| {
        let (server, _channel) = channel().await;
        let slow = Wire { upload_kbps: Some(2_000), ..Wire::default() };
        let peers = peers(&mut lab, &server, &[slow; 3]).await;
        let figures = played(&peers).await;
        let from_peers: u64 = figures.iter().map(|stats| number(stats, "p2pBytes")).sum();
        assert!(from_peers > 100_000, "{figures:?}");
        assert!(figures.iter().all(|stats| number(stats, "cutOff") == 0), "{figures:?}");
    });
}

#[test]
fn who_can_send_no_udp_is_served_by_the_edge_alone() {
    inside("networks::who_can_send_no_udp_is_served_by_the_edge_alone", async |mut lab| {
        let (server, _channel) = channel().await;
        let blocked = Wire { no_udp: true, ..Wire::default() };
        let peers = peers(&mut lab, &server, &[blocked, Wire::default()]).await;
        let figures = played(&peers).await;
        assert_eq!((number(&figures[0], "p2pBytes"), number(&figures[0], "uploadedBytes")), (0, 0), "{figures:?}");
        assert!(number(&figures[0], "edgeBytes") > 100_000, "{figures:?}");
    });
}

#[test]
fn who_can_send_udp_again_is_linked_again() {
    inside("networks::who_can_send_udp_again_is_linked_again", async |mut lab| {
        let (server, _channel) = channel().await;
        let host = lab.host(Wire { no_udp: true, ..Wire::default() });
        let peer = Peer::start_on(&host, &server, "town", &[]).await;
        peer.until("it watches", |stats| stats["state"] == "watching").await;
        let _other = peers(&mut lab, &server, &[Wire::default()]).await;
        host.lets_udp_out();
        peer.until("it is asked again, and linked", |stats| number(stats, "p2pBytes") > 0).await;
    });
}

#[test]
fn hosts_that_are_kept_apart_play_from_the_edge() {
    inside("networks::hosts_that_are_kept_apart_play_from_the_edge", async |mut lab| {
        let (server, _channel) = channel().await;
        let apart = Wire { apart: true, ..Wire::default() };
        let peers = peers(&mut lab, &server, &[apart; 3]).await;
        let figures = played(&peers).await;
        for stats in &figures {
            assert_eq!((number(stats, "peers"), number(stats, "p2pBytes")), (0, 0), "{figures:?}");
        }
    });
}

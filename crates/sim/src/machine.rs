//! What does this host run? Anything with the verbs of the brain; the brain that ships is one of them.

use std::time::Duration;

use trellis_core::cluster::{self, Cluster, Stats};
use trellis_core::near::{Coming, Near};
use trellis_core::peer::{self, Peer};
use trellis_core::time::Instant;
use trellis_core::trust::Payload;
use trellis_proto::frame::PeerId;

use crate::crypto::Crypto;

/// A viewer's engine.
pub trait PeerMachine<P> {
    /// Something happened.
    fn handle(&mut self, now: Instant, input: peer::Input<P>);
    /// What is to be done now, until None.
    fn poll(&mut self) -> Option<peer::Output<P>>;
    /// When to say [`peer::Input::Wake`].
    fn wake_at(&self) -> Option<Instant>;
    /// Parts it knows and links it has: both bounded.
    fn load(&self) -> (usize, usize);
    /// Brings near what a coming input will need: see [`Peer::glance`].
    fn glance<N: Near>(&self, _level: u8, _coming: Coming) {}
    /// See [`Peer::sends_next_to`].
    fn sends_next_to(&self) -> Option<PeerId> {
        None
    }
}

/// The head of a cluster.
pub trait ClusterMachine<P> {
    /// Something happened.
    fn handle(&mut self, now: Instant, input: cluster::Input<P>);
    /// What is to be done now, until None.
    fn poll(&mut self) -> Option<cluster::Output<P>>;
    /// When to say [`cluster::Input::Wake`].
    fn wake_at(&self) -> Option<Instant>;
    /// Does everything fit together? If not, what does not.
    fn check(&self) -> Result<(), String>;
    /// How it stands.
    fn stats(&self) -> Stats;
}

/// Makes both.
pub trait Brain<C: Crypto>: 'static {
    /// A viewer's engine.
    type Peer: PeerMachine<C::Payload>;
    /// The head of a cluster.
    type Cluster: ClusterMachine<C::Payload>;
    /// For a viewer.
    fn peer(config: peer::Config, verifier: C::Verifier, seed: u64, now: Instant) -> Self::Peer;
    /// For an edge.
    fn cluster(config: cluster::Config, seed: u64, now: Instant) -> Self::Cluster;
}

impl<V: trellis_core::trust::Verifier> PeerMachine<V::Payload> for Peer<V> {
    fn handle(&mut self, now: Instant, input: peer::Input<V::Payload>) {
        Peer::handle(self, now, input);
    }

    fn poll(&mut self) -> Option<peer::Output<V::Payload>> {
        Peer::poll(self)
    }

    fn wake_at(&self) -> Option<Instant> {
        // One that is due already is due next: time must pass.
        Peer::wake_at(self)
    }

    fn load(&self) -> (usize, usize) {
        Peer::load(self)
    }

    fn glance<N: Near>(&self, level: u8, coming: Coming) {
        Peer::glance::<N>(self, level, coming);
    }

    fn sends_next_to(&self) -> Option<PeerId> {
        Peer::sends_next_to(self)
    }
}

impl<P: Payload> ClusterMachine<P> for Cluster<P> {
    fn handle(&mut self, now: Instant, input: cluster::Input<P>) {
        Cluster::handle(self, now, input);
    }

    fn poll(&mut self) -> Option<cluster::Output<P>> {
        Cluster::poll(self)
    }

    fn wake_at(&self) -> Option<Instant> {
        Cluster::wake_at(self)
    }

    fn check(&self) -> Result<(), String> {
        Cluster::check(self).map_err(|violation| violation.0.into())
    }

    fn stats(&self) -> Stats {
        Cluster::stats(self)
    }
}

/// The brain that ships.
#[derive(Debug)]
pub struct Trellis;

impl<C: Crypto> Brain<C> for Trellis {
    type Peer = Peer<C::Verifier>;
    type Cluster = Cluster<C::Payload>;

    fn peer(config: peer::Config, verifier: C::Verifier, seed: u64, now: Instant) -> Self::Peer {
        Peer::new(config, verifier, seed, now)
    }

    fn cluster(config: cluster::Config, seed: u64, now: Instant) -> Self::Cluster {
        Cluster::new(config, seed, now)
    }
}

/// A machine that asks to be woken at once, and again, would stop the world: the least time between two wakes.
pub const WAKE_GAP: Duration = Duration::from_micros(100);

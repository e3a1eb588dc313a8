//! How does it go? Counted by the driver, shown by the command line and at `stats.json`.

use serde::Serialize;

/// A moment's figures. Bytes are since the start; of media they are payload.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Where it stands.
    pub state: State,
    /// What went wrong last, or is waited for, in words; empty: nothing.
    pub why: String,
    /// Media and init segments taken from the edge over HTTP, and verified.
    pub http_bytes: u64,
    /// Media the edge sent on the link, pushed or asked for.
    pub edge_bytes: u64,
    /// Of these, what was asked for because its deadline came near.
    pub rescued_bytes: u64,
    /// Media that came from other peers.
    pub p2p_bytes: u64,
    /// Media that came in vain and is not counted above: twice, wrong, or of a part that was taken over HTTP after all.
    pub wasted_bytes: u64,
    /// Media given to other peers.
    pub uploaded_bytes: u64,
    /// Words on all links, both ways.
    pub control_bytes: u64,
    /// Data channels that are open.
    pub peers: usize,
    /// Connections to other peers that were made or begun, all told.
    pub connections: u64,
    /// Chunks taken from the edge because their deadline came near.
    pub rescues: u64,
    /// Chunks that came twice.
    pub duplicates: u64,
    /// Parts that were not whole when they were due.
    pub missed: u64,
    /// Peers that were cut off for wrong bytes or words.
    pub cut_off: u64,
    /// From the capture of the newest listed part to its listing, ms; 0 while nothing is listed.
    pub latency_ms: u64,
    /// From the start until something could be played, ms; 0 until then.
    pub startup_ms: u64,
    /// What the uplink carries, as far as it was seen, bit/s; 0: not known.
    pub alpha_bps: u64,
    /// The edge, as host and port; empty while there is none.
    pub edge: String,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Asks for a place.
    #[default]
    Joining,
    /// Admitted.
    Watching,
    /// The edge is gone; it plays from the mesh and looks for another.
    Rejoining,
    /// Hands over before it goes.
    Leaving,
    /// The stream is over.
    Ended,
}

impl Stats {
    /// The share of media that came from peers, in percent; None: nothing came yet.
    pub fn from_peers_percent(&self) -> Option<u64> {
        let all = self.http_bytes + self.edge_bytes + self.p2p_bytes;
        (all > 0).then(|| self.p2p_bytes * 100 / all)
    }
}

//! The tables of a scenario's file: what is streamed, who serves, who watches, what lies between, what goes wrong, what is aimed at.

use serde::{Deserialize, Serialize};

/// What stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadKind {
    /// Real up to 200 viewers.
    Auto,
    /// Bytes, BLAKE3, Ed25519.
    Real,
    /// (id, length, truth).
    Simulated,
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrainKind {
    /// The peer and the cluster that ship.
    Trellis,
    /// No peer gives: the edge sends everything to everybody. What the model of the network alone does.
    ServerOnly,
}

/// How chunks travel between peers: see [`trellis_core::peer::Mesh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeshKind {
    /// Trees, and neighbors for what is late.
    #[default]
    Hybrid,
    /// Neighbors only.
    Pull,
    /// Trees only.
    Trees,
}

impl MeshKind {
    /// As scenarios name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Pull => "pull",
            Self::Trees => "trees",
        }
    }
}

impl std::str::FromStr for MeshKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Hybrid, Self::Pull, Self::Trees].into_iter().find(|mesh| mesh.name() == text);
        known.ok_or_else(|| format!("`{text}` is none of hybrid, pull and trees"))
    }
}

/// What is streamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stream {
    /// A part's time, µs.
    pub part_us: u32,
    /// False: live. True: all of it is there from the beginning.
    pub on_demand: bool,
    /// How long it is, s; on demand only.
    pub length_s: f64,
    /// A file with part sizes; the demo's clip by default.
    pub trace: Option<String>,
    /// Its qualities, best first, then sound.
    pub rendition: Vec<Rendition>,
}

/// One quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rendition {
    /// Mean rate, bit/s.
    pub bps: u64,
    /// Which column of the trace gives its shape; one that begins with `a` is sound.
    pub column: String,
    /// What share of the rate each layer has, base first.
    pub layers: Vec<f64>,
    /// Parts with a key frame are so many times the mean; as in the trace by default (2.1 in the demo's clip).
    pub key_times: Option<f64>,
}

/// Who serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// How many; each heads a cluster of its own.
    pub count: u32,
    /// B as a share of N·r; what `budget_bps` overrides.
    pub budget_share: f64,
    /// B of each edge, bit/s.
    pub budget_bps: Option<u64>,
    /// What its wire carries, bit/s; B by default, which is the hardest.
    pub link_bps: Option<u64>,
    /// The share of B that fills the buffers of joiners.
    pub start_up_share: f64,
    /// The share of B that is kept for rescues.
    pub rescue_share: f64,
    /// H at most, ms.
    pub hold_back_max_ms: u64,
    /// What a viewer that declares nothing is thought to give, bit/s; 0: as much as it takes.
    pub prior_bps: u64,
}

/// Who watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Viewers {
    /// N.
    pub count: u32,
    /// How they come.
    pub arrivals: Arrivals,
    /// How long they stay on average, s; 0: to the end.
    pub stay_s: f64,
    /// How that is distributed.
    pub stay: Stay,
    /// The share that vanishes instead of leaving: nothing says that it is gone.
    pub vanish_share: f64,
    /// Whoever leaves makes room for another, so that about N are there (Poisson).
    pub replace: bool,
    /// Uplinks: which share has how much.
    pub upload: Vec<Uplink>,
    /// Scales uplinks so that their sum is so many times N·r.
    pub upload_times_demand: Option<f64>,
    /// Downlinks, bit/s.
    pub download_bps: u64,
    /// The share whose uplink is known from an earlier visit and declared.
    pub known_uplink_share: f64,
    /// What their networks are.
    pub nat: NatShares,
    /// What they are up to.
    pub free_rider_share: f64,
    /// Send wrong bytes to other peers.
    pub polluter_share: f64,
    /// Declare and report ten times the uplink they have.
    pub liar_share: f64,
    /// Which renditions a viewer starts with: shares, in the stream's order; the best by default. Sound is taken by all.
    pub rendition_shares: Vec<f64>,
    /// Each viewer changes its rendition so often, s; 0: never.
    pub switch_every_s: f64,
    /// Each viewer seeks so often, s; on demand; 0: never.
    pub seek_every_s: f64,
    /// On demand: where they begin, s; drawn up to here.
    pub begin_within_s: f64,
    /// Supports only when it has everything.
    pub after_completion: bool,
    /// How long one who finished lingers as a supporter, s.
    pub linger_s: f64,
    /// How long a refused viewer keeps asking, s.
    pub patience_s: f64,
}

/// How viewers come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Arrivals {
    /// N evenly over so long, then one for each who leaves.
    Ramp {
        /// s.
        over_s: f64,
    },
    /// One after the other, each so long after the one before on average, until N have come.
    Poisson {
        /// s.
        mean_s: f64,
    },
    /// N within so long, in a crowd whose density falls off.
    Flash {
        /// When, s.
        at_s: f64,
        /// s.
        over_s: f64,
    },
    /// From a file: a second per line, each a viewer (diurnal curves and the like).
    Trace {
        /// Which.
        file: String,
    },
}

/// How stays are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stay {
    /// Many short, few long.
    Exponential,
    /// All the same.
    Fixed,
}

/// Some viewers' uplink.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// Of all viewers.
    pub share: f64,
    /// bit/s, goodput.
    pub bps: u64,
}

/// Which share of viewers is behind what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatShares {
    /// A public address.
    pub open: f64,
    /// One port for all.
    pub cone: f64,
    /// A port for each.
    pub symmetric: f64,
    /// UDP does not pass.
    pub blocked: f64,
}

/// What lies between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Net {
    /// Round-trips within a provider and region: drawn for each pair between these, ms.
    pub rtt_ms: [f64; 2],
    /// Each frame's delay varies up to this, ms.
    pub jitter_ms: f64,
    /// Chance of a packet of 1200 bytes to be lost.
    pub loss: f64,
    /// Providers viewers are spread over.
    pub isps: u32,
    /// What crossing from one to another adds to a round-trip, ms.
    pub isp_crossing_ms: f64,
    /// What going from region to region adds to a round-trip, ms: a row per region. Viewers are spread evenly.
    pub region_ms: Vec<Vec<f64>>,
    /// Window of a data channel at first, bytes.
    pub window: u32,
    /// At most, bytes: what the send buffer of SCTP holds.
    pub window_max: u32,
    /// Window of a WebSocket at first, bytes.
    pub tcp_window: u32,
    /// At most, bytes.
    pub tcp_window_max: u32,
    /// A link set up between peers takes so many round-trips (ICE, DTLS, SCTP).
    pub set_up_round_trips: f64,
    /// One that cannot be set up fails after so long, ms.
    pub set_up_fails_ms: f64,
    /// The links of a peer that crashed or vanished break at the other end after so long, ms (ICE consent).
    pub silence_noticed_ms: f64,
}

/// What the analytical model is told of a scenario beyond the stream's rate (β) and the arrivals (λ).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// B: what of the edges' budget is for sessions, bit/s.
    pub server_bps: f64,
    /// α: what a supporter may promise of its uplink, bit/s.
    pub support_bps: f64,
    /// L: from being let in to having everything, s.
    pub interval_s: f64,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// The programs of a share of the viewers end at once: no peer is told, but each machine closes its WebSocket.
    Crash {
        /// When, s.
        at_s: f64,
        /// Of those present.
        share: f64,
    },
    /// A share of the viewers is not heard of any more, as when their network is cut: nobody is told, the edge neither.
    Vanish {
        /// When, s.
        at_s: f64,
        /// Of those present.
        share: f64,
    },
    /// An edge is gone.
    EdgeDies {
        /// When, s.
        at_s: f64,
        /// Which, from 0.
        edge: u32,
    },
    /// A share of the viewers loses the WebSocket and gets a new one when it asks.
    ControlLoss {
        /// When, s.
        at_s: f64,
        /// Of those present.
        share: f64,
    },
    /// A share of the viewers has only a part of its uplink left.
    UplinkFalls {
        /// When, s.
        at_s: f64,
        /// Of those present.
        share: f64,
        /// Of what each had.
        to: f64,
    },
    /// The publisher stops for a while and goes on where it was: all is that much later from then on.
    PublisherPauses {
        /// When, s.
        at_s: f64,
        /// For how long, s.
        for_s: f64,
    },
    /// An edge's wire carries only so much from now on.
    SlowEdge {
        /// When, s.
        at_s: f64,
        /// Which, from 0.
        edge: u32,
        /// bit/s.
        link_bps: u64,
    },
}

/// What must hold. A figure that is left out is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Goal {
    /// Server media bytes over demand, at most.
    pub server_share_max: Option<f64>,
    /// Server media bytes over the bound, at most.
    pub over_bound_max: Option<f64>,
    /// Stalled share of viewing time, at most.
    pub stalled_share_max: Option<f64>,
    /// Share of sessions that stalled, at most.
    pub stalled_sessions_max: Option<f64>,
    /// Median live delay, s, at most.
    pub delay_p50_s_max: Option<f64>,
    /// 99th percentile of the live delay, s, at most.
    pub delay_p99_s_max: Option<f64>,
    /// 95th percentile of the start-up, s, at most.
    pub start_up_p95_s_max: Option<f64>,
    /// Viewers that never got in, at most.
    pub turned_away_max: Option<u64>,
    /// Control over media bytes, at most.
    pub control_share_max: Option<f64>,
    /// Busiest second of an edge over its budget, at most.
    pub edge_peak_max: Option<f64>,
    /// Viewers that never started, at most.
    pub never_started_max: Option<u64>,
    /// Of any whole interval: share sent away, off the model's by at most so much.
    pub reject_residual_max: Option<f64>,
    /// The last time anybody was sent away, off the model's K by at most so many intervals.
    pub last_refusal_off_max: Option<f64>,
}

impl Default for Stream {
    fn default() -> Self {
        Self { part_us: 333_333, on_demand: false, length_s: 600.0, trace: None, rendition: vec![Rendition::default()] }
    }
}

impl Default for Rendition {
    fn default() -> Self {
        Self { bps: 2_500_000, column: "v0".into(), layers: vec![1.0], key_times: None }
    }
}

impl Rendition {
    /// Sound, not picture.
    pub fn is_sound(&self) -> bool {
        self.column.starts_with('a')
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            count: 1,
            budget_share: 0.1,
            budget_bps: None,
            link_bps: None,
            start_up_share: 0.2,
            rescue_share: 0.1,
            hold_back_max_ms: 2_000,
            prior_bps: 0,
        }
    }
}

impl Default for Viewers {
    fn default() -> Self {
        Self {
            count: 100,
            arrivals: Arrivals::Ramp { over_s: 30.0 },
            stay_s: 600.0,
            stay: Stay::Exponential,
            vanish_share: 0.05,
            replace: true,
            upload: vec![
                Uplink { share: 0.4, bps: 1_000_000 },
                Uplink { share: 0.4, bps: 3_000_000 },
                Uplink { share: 0.2, bps: 10_000_000 },
            ],
            upload_times_demand: None,
            download_bps: 20_000_000,
            known_uplink_share: 0.7,
            nat: NatShares::default(),
            free_rider_share: 0.0,
            polluter_share: 0.0,
            liar_share: 0.0,
            rendition_shares: Vec::new(),
            switch_every_s: 0.0,
            seek_every_s: 0.0,
            begin_within_s: 0.0,
            after_completion: false,
            linger_s: 0.0,
            patience_s: 120.0,
        }
    }
}

impl Default for NatShares {
    /// About a fifth of all pairs fails, half of that because of UDP being blocked.
    fn default() -> Self {
        Self { open: 0.2, cone: 0.65, symmetric: 0.1, blocked: 0.05 }
    }
}

impl Default for Net {
    fn default() -> Self {
        Self {
            rtt_ms: [20.0, 80.0],
            jitter_ms: 2.0,
            loss: 0.0,
            isps: 1,
            isp_crossing_ms: 0.0,
            region_ms: Vec::new(),
            window: 4_380,
            window_max: 128 * 1024,
            tcp_window: 14_600,
            tcp_window_max: 1024 * 1024,
            set_up_round_trips: 3.0,
            set_up_fails_ms: 3_000.0,
            silence_noticed_ms: 5_000.0,
        }
    }
}

//! What is simulated? A TOML file; each key has a default and stands in the documentation of its field, and a key that
//! is not known is an error.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Why a scenario cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    /// Not TOML, or a key that is not known.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A trace file.
    #[error("the trace of part sizes is no good: {0}")]
    Trace(String),
    /// A value.
    #[error("{key}: {why}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Its name; the file's by default.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// How long, in simulated seconds.
    pub duration_s: f64,
    /// Figures count from here; start-ups, rejects and the trace hash count from the beginning.
    pub measure_from_s: f64,
    /// From which all chance comes; `--seed` overrides it.
    pub seed: u64,
    /// `auto`: real bytes up to 200 viewers, else simulated ones.
    pub payload: PayloadKind,
    /// Who decides.
    pub brain: BrainKind,
    /// How chunks travel between peers.
    pub mesh: MeshKind,
    /// What is streamed.
    pub stream: Stream,
    /// Who serves.
    pub edge: Edge,
    /// Who watches.
    pub viewers: Viewers,
    /// What lies between.
    pub net: Net,
    /// What goes wrong, and when.
    pub fault: Vec<Fault>,
    /// The run is held against the closed form; Poisson arrivals only.
    pub model: Option<Model>,
    /// What is aimed at: what is missed is told, and fails with `--check`.
    pub goal: Goal,
    /// What holds: a run in which it does not has gone back behind what was reached, and fails.
    pub holds: Goal,
    /// Where the scenario's file lies: other files are named relative to it.
    #[serde(skip)]
    pub folder: std::path::PathBuf,
}

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

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".into(),
            about: String::new(),
            duration_s: 120.0,
            measure_from_s: 0.0,
            seed: 1,
            payload: PayloadKind::Auto,
            brain: BrainKind::Trellis,
            mesh: MeshKind::Hybrid,
            stream: Stream::default(),
            edge: Edge::default(),
            viewers: Viewers::default(),
            net: Net::default(),
            fault: Vec::new(),
            model: None,
            goal: Goal::default(),
            holds: Goal::default(),
            folder: ".".into(),
        }
    }
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

impl Scenario {
    /// From a file.
    pub fn load(path: &Path) -> Result<Self, Invalid> {
        Self::load_as(path, false)
    }

    /// From a file, cut down: what stands under `quick` there takes the place of what stands outside.
    pub fn load_quick(path: &Path) -> Result<Self, Invalid> {
        Self::load_as(path, true)
    }

    fn load_as(path: &Path, quick: bool) -> Result<Self, Invalid> {
        let text = std::fs::read_to_string(path).map_err(|why| Invalid::Read(path.display().to_string(), why))?;
        let mut scenario = Self::from_text(&text, quick)?;
        scenario.folder = path.parent().unwrap_or(Path::new(".")).into();
        if scenario.name == Self::default().name {
            scenario.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        }
        scenario.check()?;
        Ok(scenario)
    }

    /// From text.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let scenario = Self::from_text(text, false)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn from_text(text: &str, quick: bool) -> Result<Self, Invalid> {
        let mut table: toml::Table = toml::from_str(text)?;
        match (table.remove("quick"), quick) {
            (Some(toml::Value::Table(over)), true) => lay_over(&mut table, over),
            (_, true) => return Err(Invalid::Value { key: "quick", why: "there is none".into() }),
            (_, false) => {}
        }
        Ok(table.try_into()?)
    }

    /// r of the best rendition with its sound, bit/s.
    pub fn rate_bps(&self) -> u64 {
        let rate = |sound: bool| self.stream.rendition.iter().find(|it| it.is_sound() == sound).map_or(0, |it| it.bps);
        rate(false) + rate(true)
    }

    /// B of each edge, bit/s.
    pub fn budget_bps(&self) -> u64 {
        let share = self.edge.budget_share * f64::from(self.viewers.count) / f64::from(self.edge.count.max(1));
        self.edge.budget_bps.unwrap_or((share * self.rate_bps() as f64) as u64)
    }

    /// What turns drawn uplinks into those asked for.
    pub fn upload_scale(&self) -> f64 {
        let viewers = &self.viewers;
        let shares: f64 = viewers.upload.iter().map(|it| it.share).sum();
        let mean = viewers.upload.iter().map(|it| it.share * it.bps as f64).sum::<f64>() / shares;
        viewers.upload_times_demand.map_or(1.0, |times| times * self.rate_bps() as f64 / mean)
    }

    /// With real bytes?
    pub fn is_real(&self) -> bool {
        match self.payload {
            PayloadKind::Auto => self.viewers.count <= 200,
            PayloadKind::Real => true,
            PayloadKind::Simulated => false,
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        let viewers = &self.viewers;
        let wrong = |key, why: &str| Err(Invalid::Value { key, why: why.into() });
        let share = |it: f64| (0.0..=1.0).contains(&it);
        if !(self.duration_s > 0.0 && self.duration_s <= 86_400.0) {
            return wrong("duration_s", "must lie between 0 and 86400");
        }
        if !(0.0..self.duration_s).contains(&self.measure_from_s) {
            return wrong("measure_from_s", "must lie between 0 and duration_s");
        }
        if !(1..=1_000_000).contains(&viewers.count) {
            return wrong("viewers.count", "must lie between 1 and 1000000");
        }
        if !(50_000..=2_000_000).contains(&self.stream.part_us) {
            return wrong("stream.part_us", "must lie between 50000 and 2000000");
        }
        if self.stream.rendition.is_empty() || self.stream.rendition.len() > 16 {
            return wrong("stream.rendition", "must be 1 to 16");
        }
        if self.stream.rendition[0].is_sound() {
            return wrong("stream.rendition", "video comes before sound");
        }
        for rendition in &self.stream.rendition {
            let sum: f64 = rendition.layers.iter().sum();
            if rendition.layers.is_empty() || rendition.layers.len() > 4 || (sum - 1.0).abs() > 1e-6 {
                return wrong("stream.rendition.layers", "must be 1 to 4 shares that sum to 1");
            }
            if !(8_000..=100_000_000).contains(&rendition.bps) {
                return wrong("stream.rendition.bps", "must lie between 8000 and 100000000");
            }
        }
        if !(1..=64).contains(&self.edge.count) {
            return wrong("edge.count", "must lie between 1 and 64");
        }
        let edge = &self.edge;
        if ![edge.start_up_share, edge.rescue_share, edge.start_up_share + edge.rescue_share]
            .iter()
            .all(|it| share(*it))
        {
            return wrong("edge.start_up_share", "and rescue_share must be shares that sum to at most 1");
        }
        if viewers.upload.is_empty() || viewers.upload.iter().map(|it| it.share).sum::<f64>() <= 0.0 {
            return wrong("viewers.upload", "needs at least one entry with a share");
        }
        let nat = viewers.nat;
        if [nat.open, nat.cone, nat.symmetric, nat.blocked].iter().sum::<f64>() <= 0.0 {
            return wrong("viewers.nat", "needs at least one share");
        }
        let behaviours = [viewers.free_rider_share, viewers.polluter_share, viewers.liar_share];
        if !behaviours.iter().all(|it| share(*it)) || !share(behaviours.iter().sum()) {
            return wrong("viewers.free_rider_share", "and the other two must be shares that sum to at most 1");
        }
        if ![viewers.vanish_share, viewers.known_uplink_share].iter().all(|it| share(*it)) {
            return wrong("viewers.vanish_share", "and known_uplink_share must lie between 0 and 1");
        }
        if self.net.rtt_ms[0] < 0.0 || self.net.rtt_ms[1] < self.net.rtt_ms[0] {
            return wrong("net.rtt_ms", "must be two numbers, the lesser first");
        }
        if self.net.window < 1_000 || self.net.tcp_window < 1_000 {
            return wrong("net.window", "and tcp_window must be at least 1000");
        }
        if !(0.0..0.5).contains(&self.net.loss) {
            return wrong("net.loss", "must be a share below 0.5");
        }
        if let Some(model) = self.model {
            if !matches!(viewers.arrivals, Arrivals::Poisson { .. }) {
                return wrong("model", "needs arrivals of kind poisson");
            }
            if let Err(why) = crate::against::growth(self, &model) {
                return wrong("model", &why.to_string());
            }
        }
        let edges = self.fault.iter().filter_map(|fault| match fault {
            Fault::EdgeDies { edge, .. } | Fault::SlowEdge { edge, .. } => Some(*edge),
            _ => None,
        });
        if edges.max().is_some_and(|edge| edge >= self.edge.count) {
            return wrong("fault.edge", "there is no such edge");
        }
        Ok(())
    }
}

/// Puts values in the place of others; of tables, only those that are named.
fn lay_over(table: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_errors_name_the_key() {
        let scenario = Scenario::parse("").unwrap();
        assert_eq!((scenario.rate_bps(), scenario.budget_bps()), (2_500_000, 25_000_000));
        for (text, expected) in [
            ("durations = 1", "unknown field `durations`"),
            ("[viewers]\ncount = 0", "viewers.count"),
            ("measure_from_s = 500", "measure_from_s"),
            ("[[stream.rendition]]\nlayers = [0.5]", "stream.rendition.layers"),
            ("[[fault]]\nkind = \"edge-dies\"\nat_s = 1\nedge = 1", "no such edge"),
            ("[viewers]\narrivals = { kind = \"storm\" }", "storm"),
        ] {
            let error = Scenario::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let text = "duration_s = 300\n[viewers]\ncount = 9\nstay_s = 5\n[quick]\nduration_s = 30\nviewers.count = 3";
        let viewers = |scenario: Scenario| (scenario.duration_s, scenario.viewers.count, scenario.viewers.stay_s);
        assert_eq!(viewers(Scenario::parse(text).unwrap()), (300.0, 9, 5.0));
        assert_eq!(viewers(Scenario::from_text(text, true).unwrap()), (30.0, 3, 5.0));
        assert!(Scenario::from_text("", true).unwrap_err().to_string().contains("quick"));
        let scaled = Scenario::parse("[viewers]\nupload_times_demand = 1.2").unwrap();
        assert!((scaled.upload_scale() - 3.0 / 3.6).abs() < 1e-9);
    }
}

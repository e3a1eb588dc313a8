//! What is told of a run: a table to read, JSON to compare (its keys are stable and documented here), and plots.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use trellis_plot::{Chart, Ink, Mark, Points};

use crate::measure::{Tally, Times, fairness};
use crate::scenario::{Goal, Scenario};
use crate::world::{Outcome, Sample};

/// A run's figures. Shares are of 1, times as their names say, `null` where there is nothing to count. Figures count
/// from the scenario's `measure_from_s` on unless said otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// From which all chance came.
    pub seed: u64,
    /// How chunks travelled: `hybrid`, `pull` or `trees`.
    pub mesh: String,
    /// `RealCrypto` or `SimulatedCrypto`.
    pub payload: String,
    /// All that happened, in one number, hexadecimal.
    pub trace_hash: String,
    /// Viewers let in; from the beginning.
    pub viewers_admitted: u64,
    /// Most viewers at once; from the beginning.
    pub viewers_peak: u32,
    /// 1 − what edges sent / what players got, of chunk payload.
    pub offload: Option<f64>,
    /// What edges sent of chunks / what players got.
    pub server_share: Option<f64>,
    /// The same from the beginning, with every start-up.
    pub server_share_whole: Option<f64>,
    /// Of that (in the window): pushed to roots and to leaves nobody else could take.
    pub server_share_push: Option<f64>,
    /// To those who had not started.
    pub server_share_start_up: Option<f64>,
    /// Asked for because a deadline was near.
    pub server_share_rescue: Option<f64>,
    /// Asked for without haste.
    pub server_share_pull: Option<f64>,
    /// What edges sent / max{r(1+h), N·r(1+h) − ηΣu}, Σu of those who can give (h = 0.03, η = 0.95).
    pub over_bound: Option<f64>,
    /// The same with the uplinks of all, also of those behind a firewall and of free riders.
    pub over_bound_all: Option<f64>,
    /// Busiest second of an edge, chunk payload / B.
    pub edge_peak: f64,
    /// Join asked for → playing, s; from the beginning.
    pub start_up_p50_s: Option<f64>,
    /// 95th percentile.
    pub start_up_p95_s: Option<f64>,
    /// Viewers let in that never started to play although they stayed for 10 s or more; from the beginning.
    pub never_started: u64,
    /// Time stood still / time watched; from the beginning.
    pub stalled_share: Option<f64>,
    /// Sessions that stood still at least once / sessions; from the beginning.
    pub stalled_sessions: Option<f64>,
    /// Times anyone stood still; from the beginning.
    pub stalls: u64,
    /// Parts jumped over; from the beginning.
    pub skipped_parts: u64,
    /// Descriptor at the edge → whole part at the peer, s.
    pub delay_p50_s: Option<f64>,
    /// 95th percentile.
    pub delay_p95_s: Option<f64>,
    /// 99th percentile.
    pub delay_p99_s: Option<f64>,
    /// The same by how many peers its chunks passed at most: parts, p50, p99.
    pub delay_by_depth: Vec<Depth>,
    /// Times anyone was sent away; from the beginning.
    pub refusals: u64,
    /// Viewers that gave up asking; from the beginning.
    pub turned_away: u64,
    /// Median time told to those sent away, s; from the beginning.
    pub retry_p50_s: Option<f64>,
    /// First asked → let in, 99th percentile, s; from the beginning.
    pub wait_p99_s: Option<f64>,
    /// First asked → let in, longest, s; from the beginning.
    pub wait_max_s: Option<f64>,
    /// Sessions ended by a cluster; from the beginning.
    pub thrown_out: u64,
    /// Payload that came to who had it / what players got.
    pub duplicate_share: Option<f64>,
    /// Bytes of frames that are not chunk payload / chunk payload sent.
    pub control_share: Option<f64>,
    /// Jain's index of what honest peers gave / could have given; from the beginning.
    pub fairness: f64,
    /// What honest peers gave / could have given.
    pub uplink_use: Option<f64>,
    /// Chunks rescued per viewer and minute.
    pub rescues_per_minute: Option<f64>,
    /// Parents given up per viewer and minute.
    pub switches_per_minute: Option<f64>,
    /// Links between peers that did not come about / tried.
    pub dials_failed: Option<f64>,
    /// Peers cut off by others for wrong bytes.
    pub cut_off: u64,
    /// Changes of quality; from the beginning.
    pub quality_switches: u64,
    /// Parts a player got in two qualities / changes of quality; from the beginning.
    pub wasted_parts_per_switch: Option<f64>,
    /// The last second at which somebody who was let in had no link to an edge.
    pub settled_s: Option<f64>,
    /// Most parts any peer kept.
    pub peer_parts_max: usize,
    /// Most links any peer had.
    pub peer_links_max: usize,
    /// Deepest tree.
    pub tree_depth_max: u16,
    /// Invariants that did not hold.
    pub violations: Vec<String>,
    /// Events simulated; from the beginning.
    pub events: u64,
    /// By the wall's clock, s.
    pub wall_s: f64,
    /// Seconds of one core.
    pub core_s: f64,
    /// The most memory the process had during the run, bytes; None: not known here.
    pub memory_bytes: Option<u64>,
    /// That by viewers present at once.
    pub memory_bytes_per_viewer: Option<f64>,
    /// Events per second of one core.
    pub events_per_s: f64,
    /// Simulated seconds per second of one core.
    pub simulated_s_per_s: f64,
    /// Simulated viewer-seconds per second of one core.
    pub viewers_in_real_time: f64,
    /// Counters of the window, bytes and µs.
    pub window: serde_json::Value,
    /// Counters from the beginning, bytes and µs.
    pub whole: serde_json::Value,
    /// Each second.
    pub samples: Vec<serde_json::Value>,
    /// Goals that were not reached.
    pub failed: Vec<String>,
    /// What held before and does not any more.
    pub regressed: Vec<String>,
}

/// Live delay of the parts whose chunks passed so many peers at most.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Depth {
    /// Peers passed.
    pub depth: usize,
    /// How many parts.
    pub parts: u64,
    /// s.
    pub p50_s: Option<f64>,
    /// s.
    pub p99_s: Option<f64>,
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn seconds(times: &Times, at: f64) -> Option<f64> {
    times.percentile_ms(at).map(|ms| ms / 1e3)
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// By the wall's clock, s.
    pub wall_s: f64,
    /// Seconds of one core.
    pub core_s: f64,
    /// The most memory at once, bytes; None: not known here.
    pub memory_bytes: Option<u64>,
}

impl Report {
    /// Of a run that took so long, by the wall's clock and of one core.
    pub fn new(scenario: &Scenario, seed: u64, outcome: &Outcome, cost: Cost) -> Self {
        let viewers_peak = outcome.samples.iter().map(|it| it.viewers).max().unwrap_or(0);
        let per_viewer = |bytes: u64| bytes as f64 / f64::from(viewers_peak.max(1));
        let (figures, window, whole) = (&outcome.figures, &outcome.window, &outcome.whole);
        let server = |bytes: u64| share(bytes as f64, window.delivered_bytes as f64);
        let sessions = &figures.sessions;
        let viewing: u64 = sessions.iter().map(|it| it.viewing).sum();
        let stalled: u64 = sessions.iter().map(|it| it.stalled).sum();
        let started = sessions.iter().filter(|it| it.started).count() as f64;
        let givers: Vec<_> = sessions.iter().filter(|it| it.can_give && it.present > 30_000_000).collect();
        let could = |it: &crate::world::Summary| it.up_bps as f64 * it.present as f64 / 8e6;
        let uses: Vec<_> = givers.iter().map(|it| it.given_bytes as f64 / could(it)).collect();
        let given: f64 = givers.iter().map(|it| it.given_bytes as f64).sum();
        let media = window.edge_media_bytes() + window.peer_media_bytes;
        let control = window.edge_control_bytes + window.peer_control_bytes;
        let watched: f64 = outcome.samples.iter().map(|it| f64::from(it.viewers) / 60.0).sum();
        let mut report = Self {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            seed,
            mesh: scenario.mesh.name().into(),
            payload: outcome.payload.into(),
            trace_hash: format!("{:016x}", outcome.hash),
            viewers_admitted: figures.admitted,
            viewers_peak,
            offload: server(window.edge_media_bytes()).map(|it| 1.0 - it),
            server_share: server(window.edge_media_bytes()),
            server_share_whole: share(whole.edge_media_bytes() as f64, whole.delivered_bytes as f64),
            server_share_push: server(window.edge_push_bytes),
            server_share_start_up: server(window.edge_start_up_bytes),
            server_share_rescue: server(window.edge_rescue_bytes),
            server_share_pull: server(window.edge_pull_bytes),
            over_bound: share(window.edge_media_bytes() as f64, window.bound_bytes),
            over_bound_all: share(window.edge_media_bytes() as f64, window.bound_all_bytes),
            edge_peak: figures.edge_peak,
            start_up_p50_s: seconds(&figures.start_up, 0.5),
            start_up_p95_s: seconds(&figures.start_up, 0.95),
            never_started: sessions.iter().filter(|it| !it.started && it.present > 10_000_000).count() as u64,
            stalled_share: share(stalled as f64, viewing as f64),
            stalled_sessions: share(sessions.iter().filter(|it| it.stalls > 0).count() as f64, started),
            stalls: sessions.iter().map(|it| u64::from(it.stalls)).sum(),
            skipped_parts: sessions.iter().map(|it| u64::from(it.skipped)).sum(),
            delay_p50_s: seconds(&figures.delay, 0.5),
            delay_p95_s: seconds(&figures.delay, 0.95),
            delay_p99_s: seconds(&figures.delay, 0.99),
            delay_by_depth: by_depth(&figures.delay_by_depth),
            refusals: figures.refusals,
            turned_away: figures.turned_away,
            retry_p50_s: seconds(&figures.retry, 0.5),
            wait_p99_s: seconds(&figures.wait, 0.99),
            wait_max_s: seconds(&figures.wait, 1.0),
            thrown_out: figures.thrown_out,
            duplicate_share: server(window.duplicate_bytes),
            control_share: share(control as f64, media as f64),
            fairness: fairness(&uses),
            uplink_use: share(given, givers.iter().map(|it| could(it)).sum()),
            rescues_per_minute: share(whole.rescues as f64, watched),
            switches_per_minute: share(whole.switches as f64, watched),
            dials_failed: share(whole.dials_failed as f64, whole.dials as f64),
            cut_off: whole.cut_off,
            quality_switches: figures.switches,
            wasted_parts_per_switch: share(figures.wasted_parts as f64, figures.switches as f64),
            settled_s: figures.settled_us.map(|us| us as f64 / 1e6),
            peer_parts_max: figures.load_max.0,
            peer_links_max: figures.load_max.1,
            tree_depth_max: figures.depth_max,
            violations: figures.violations.clone(),
            events: whole.events,
            wall_s: cost.wall_s,
            core_s: cost.core_s,
            memory_bytes: cost.memory_bytes,
            memory_bytes_per_viewer: cost.memory_bytes.map(per_viewer),
            events_per_s: whole.events as f64 / cost.core_s.max(1e-9),
            simulated_s_per_s: scenario.duration_s / cost.core_s.max(1e-9),
            viewers_in_real_time: watched * 60.0 / cost.core_s.max(1e-9),
            window: counters(window),
            whole: counters(whole),
            samples: outcome.samples.iter().map(|it| serde_json::to_value(it).expect("numbers serialise")).collect(),
            failed: Vec::new(),
            regressed: Vec::new(),
        };
        report.failed = report.misses(&scenario.goal);
        report.regressed = report.misses(&scenario.holds);
        report
    }

    /// What does not hold.
    fn misses(&self, goal: &Goal) -> Vec<String> {
        let rows = [
            ("server_share", self.server_share, goal.server_share_max),
            ("over_bound", self.over_bound, goal.over_bound_max),
            ("stalled_share", self.stalled_share, goal.stalled_share_max),
            ("stalled_sessions", self.stalled_sessions, goal.stalled_sessions_max),
            ("delay_p50_s", self.delay_p50_s, goal.delay_p50_s_max),
            ("delay_p99_s", self.delay_p99_s, goal.delay_p99_s_max),
            ("start_up_p95_s", self.start_up_p95_s, goal.start_up_p95_s_max),
            ("turned_away", Some(self.turned_away as f64), goal.turned_away_max.map(|it| it as f64)),
            ("control_share", self.control_share, goal.control_share_max),
            ("edge_peak", Some(self.edge_peak), goal.edge_peak_max),
            ("never_started", Some(self.never_started as f64), goal.never_started_max.map(|it| it as f64)),
        ];
        let missed = rows.into_iter().filter_map(|(name, is, most)| {
            let most = most?;
            match is {
                Some(is) if is <= most => None,
                Some(is) => Some(format!("{name} is {is:.4}, more than {most}")),
                None => Some(format!("{name} could not be measured")),
            }
        });
        missed.collect()
    }

    /// To be read in a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let percent = |it: Option<f64>| it.map_or("–".into(), |it| format!("{:.2} %", it * 100.0));
        let time = |it: Option<f64>| it.map_or("–".into(), |it| format!("{it:.2} s"));
        let number = |it: Option<f64>| it.map_or("–".into(), |it| format!("{it:.2}"));
        let memory = self.memory_bytes.zip(self.memory_bytes_per_viewer).map_or("–".into(), |(all, each)| {
            format!("{:.0} MB at most, {:.0} kB per viewer", all as f64 / 1e6, each / 1e3)
        });
        let depths = self.delay_by_depth.iter().filter(|it| it.parts > 0);
        let depths: Vec<_> = depths.map(|it| format!("{}: {}/{}", it.depth, time(it.p50_s), time(it.p99_s))).collect();
        let rows: Vec<(&str, String)> = vec![
            ("viewers", format!("{} let in, {} at once", self.viewers_admitted, self.viewers_peak)),
            ("offload", format!("{} (whole run: servers {})", percent(self.offload), percent(self.server_share_whole))),
            (
                "server bytes",
                format!(
                    "{} of demand: pushed {}, start-up {}, rescue {}, pulled {}",
                    percent(self.server_share),
                    percent(self.server_share_push),
                    percent(self.server_share_start_up),
                    percent(self.server_share_rescue),
                    percent(self.server_share_pull)
                ),
            ),
            (
                "over the bound",
                format!("{} × (with all uplinks {} ×)", number(self.over_bound), number(self.over_bound_all)),
            ),
            ("edge's busiest second", format!("{} of B", percent(Some(self.edge_peak)))),
            (
                "start-up",
                format!(
                    "p50 {}, p95 {}; {} never started",
                    time(self.start_up_p50_s),
                    time(self.start_up_p95_s),
                    self.never_started
                ),
            ),
            (
                "stalls",
                format!(
                    "{} of viewing time, {} of sessions, {} in all, {} parts jumped over",
                    self.stalled_share.map_or("–".into(), |it| format!("{:.4} %", it * 100.0)),
                    percent(self.stalled_sessions),
                    self.stalls,
                    self.skipped_parts
                ),
            ),
            (
                "live delay",
                format!(
                    "p50 {}, p95 {}, p99 {}",
                    time(self.delay_p50_s),
                    time(self.delay_p95_s),
                    time(self.delay_p99_s)
                ),
            ),
            ("  by depth, p50/p99", depths.join("  ")),
            (
                "sent away",
                format!(
                    "{} times, {} for good; told to wait {} (p50), in after {} at most",
                    self.refusals,
                    self.turned_away,
                    time(self.retry_p50_s),
                    time(self.wait_max_s)
                ),
            ),
            ("deepest tree", self.tree_depth_max.to_string()),
            ("duplicates", percent(self.duplicate_share)),
            ("control", format!("{} of media", percent(self.control_share))),
            ("fairness", format!("Jain {:.2}; {} of the uplinks used", self.fairness, percent(self.uplink_use))),
            (
                "repair",
                format!(
                    "{} rescues, {} parents given up per viewer and minute; {} of dials failed; {} cut off, {} thrown out",
                    number(self.rescues_per_minute),
                    number(self.switches_per_minute),
                    percent(self.dials_failed),
                    self.cut_off,
                    self.thrown_out
                ),
            ),
            (
                "speed",
                format!(
                    "{} events in {:.1} s of a core: {:.2} M/s, {:.1} simulated seconds per second, {:.0} viewers in real time ({})",
                    self.events,
                    self.core_s,
                    self.events_per_s / 1e6,
                    self.simulated_s_per_s,
                    self.viewers_in_real_time,
                    self.payload
                ),
            ),
            ("memory", memory),
            ("trace hash", self.trace_hash.clone()),
        ];
        let _ = writeln!(text, "{}, seed {}: {}", self.scenario, self.seed, self.about);
        for (name, value) in rows {
            let _ = writeln!(text, "  {name:<22} {value}");
        }
        if self.quality_switches > 0 {
            let wasted = number(self.wasted_parts_per_switch);
            let _ =
                writeln!(text, "  {:<22} {}, {wasted} parts wasted each", "changes of quality", self.quality_switches);
        }
        if let Some(at) = self.settled_s {
            let _ = writeln!(text, "  {:<22} somebody was without until {at:.0} s", "links to edges");
        }
        for violation in &self.violations {
            let _ = writeln!(text, "  VIOLATED {violation}");
        }
        for regressed in &self.regressed {
            let _ = writeln!(text, "  NO LONGER HOLDS: {regressed}");
        }
        for failed in &self.failed {
            let _ = writeln!(text, "  MISSED: {failed}");
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report serialises")
    }

    /// Plots of rates over time, and of how start-up and delay are distributed, as SVG files in a folder.
    pub fn plot(&self, outcome: &Outcome, folder: &Path) -> Result<(), PlotError> {
        std::fs::create_dir_all(folder)?;
        let line = |value: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            outcome.samples.iter().map(|it| (it.at_s, value(it) / 1e6)).collect()
        };
        let name = |kind: &str| folder.join(format!("{}-{kind}.svg", self.scenario));
        lines(
            &name("rates"),
            ["Chunk payload over time", "s", "Mbit/s"],
            &[
                ("edges", line(|it| it.edge_bps)),
                ("of that rescues", line(|it| it.rescue_bps)),
                ("bound", line(|it| it.bound_bps)),
                ("B", line(|it| it.budget_bps)),
            ],
        )?;
        let viewers = |value: fn(&Sample) -> u32| -> Vec<(f64, f64)> {
            outcome.samples.iter().map(|it| (it.at_s, f64::from(value(it)))).collect()
        };
        lines(
            &name("viewers"),
            ["Viewers over time", "s", "viewers"],
            &[
                ("let in", viewers(|it| it.viewers)),
                ("waiting", viewers(|it| it.waiting)),
                ("without an edge", viewers(|it| it.homeless)),
            ],
        )?;
        let figures = &outcome.figures;
        lines(
            &name("delays"),
            ["Start-up and live delay", "ms", "share of all"],
            &[("start-up", figures.start_up.curve()), ("live delay", figures.delay.curve())],
        )
    }
}

fn counters(tally: &Tally) -> serde_json::Value {
    serde_json::to_value(tally).expect("numbers serialise")
}

fn by_depth(times: &[Times]) -> Vec<Depth> {
    let depth = |(depth, times): (usize, &Times)| Depth {
        depth,
        parts: times.count(),
        p50_s: seconds(times, 0.5),
        p99_s: seconds(times, 0.99),
    };
    times.iter().enumerate().map(depth).collect()
}

/// Why a plot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The folder.
    #[error("cannot write plots: {0}")]
    Folder(#[from] std::io::Error),
    /// The drawing.
    #[error(transparent)]
    Draw(#[from] trellis_plot::PlotError),
}

/// Lines in one chart: title, names of the axes.
fn lines(path: &Path, names: [&str; 3], lines: &[(&str, Points)]) -> Result<(), PlotError> {
    let [title, x_name, y_name] = names.map(str::to_owned);
    let marks = lines.iter().zip(Ink::ALL).map(|((name, line), ink)| Mark::Line((*name).into(), ink, line.clone()));
    let chart = Chart { title, x_name, y_name, marks: marks.collect(), ..Chart::default() };
    Ok(std::fs::write(path, chart.svg()?)?)
}

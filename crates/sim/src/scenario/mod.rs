//! What is simulated? A TOML file; each key has a default and stands in the documentation of its field, and a key that
//! is not known is an error.

use std::path::Path;

use serde::{Deserialize, Serialize};

mod check;
mod tables;

pub use tables::*;

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

//! What did the operator ask for? One TOML file, every key of which an environment variable may override.
//!
//! `TRELLIS_LISTEN` overrides `listen`; `TRELLIS_EDGE_PUBLIC_URL` overrides `public_url` of `[edge]`. Unknown keys
//! are an error that names them, so that a typing mistake never passes for a default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::manager::ManagerConfig;
use crate::units::Rate;

/// Which roles this process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Manager, origin and edge.
    All,
    /// Authenticates, admits, redirects, keeps accounts.
    Manager,
    /// Takes a publisher's media, packages, signs.
    Origin,
    /// Serves viewers.
    Edge,
}

impl Role {
    /// Does this role include `part`?
    pub fn includes(self, part: Role) -> bool {
        self == Role::All || self == part
    }
}

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Roles of this process.
    pub role: Role,
    /// Where keys, the database and recordings live.
    pub data_dir: PathBuf,
    /// Address of the one public listener.
    pub listen: SocketAddr,
    /// Address of the Prometheus listener; none switches it off.
    pub metrics_listen: Option<SocketAddr>,
    /// Base URL of the manager, for an origin or edge on its own.
    pub manager_url: Option<String>,
    /// Shared secret of manager, origins and edges; by default the manager's file `server.key`.
    pub server_key: Option<String>,
    /// Web origins allowed to play (`*`: all).
    pub cors_origins: Vec<String>,
    /// Serve HTTPS with these PEM files.
    pub tls: Option<Tls>,
    /// `[manager]`
    pub manager: ManagerConfig,
    /// `[origin]`
    pub origin: OriginConfig,
    /// `[edge]`
    pub edge: EdgeConfig,
}

/// `[tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// `[origin]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OriginConfig {
    /// Name shown in the manager's list.
    pub name: String,
    /// Where edges reach this origin's media: a URL that ends in `/origin`.
    pub media_url: Option<String>,
    /// How far back viewers can seek in a live stream, seconds.
    pub dvr_window_s: u32,
    /// How long a live publisher that vanished may take to return, seconds.
    pub grace_s: u32,
}

/// `[edge]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Name in tickets and in the manager's list; unique among edges.
    pub name: String,
    /// Where players reach this edge; not needed when it shares the manager's listener.
    pub public_url: Option<String>,
    /// Another edge (its base URL) to take media from instead of the origin.
    pub parent: Option<String>,
    /// Upload budget: media to viewers never exceeds it.
    pub upload_budget: Rate,
    /// Memory for media, bytes.
    pub cache_bytes: u64,
    /// A session without a request for this long gives its place back, seconds.
    pub idle_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::All,
            data_dir: "trellis-data".into(),
            listen: ([127, 0, 0, 1], 8080).into(),
            metrics_listen: Some(([127, 0, 0, 1], 9464).into()),
            manager_url: None,
            server_key: None,
            cors_origins: vec!["*".into()],
            tls: None,
            manager: ManagerConfig::default(),
            origin: OriginConfig::default(),
            edge: EdgeConfig::default(),
        }
    }
}

impl Default for OriginConfig {
    fn default() -> Self {
        // Two minutes of a 5 Mbit/s ladder are 75 MB: enough to rewind a goal, harmless for a small server.
        Self { name: "origin".into(), media_url: None, dvr_window_s: 120, grace_s: 30 }
    }
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            name: "edge".into(),
            public_url: None,
            parent: None,
            upload_budget: Rate(1_000_000_000),
            cache_bytes: 512 << 20,
            idle_s: 30,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{0}: {1}")]
    Parse(String, String),
    /// The values do not go together.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads the file, if one is named, and lays the environment over it.
    pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let name = file.map_or("the environment".into(), |path| path.display().to_string());
        let parse = |error: toml::de::Error| ConfigError::Parse(name.clone(), error.to_string());
        let mut table: toml::Table = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Read(path.into(), e))?;
                toml::from_str(&text).map_err(parse)?
            }
            None => toml::Table::new(),
        };
        env.filter_map(|(key, value)| Some((place(&key)?, value)))
            .for_each(|(place, value)| lay(&mut table, place, &value));
        // Through text once more: errors then quote the offending line.
        let text = toml::to_string(&table).map_err(|e| ConfigError::Parse(name.clone(), e.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(parse)?;
        config.check()?;
        Ok(config)
    }

    /// Do the values go together?
    pub fn check(&self) -> Result<(), ConfigError> {
        let invalid = |text: &str| Err(ConfigError::Invalid(text.into()));
        let alone = !self.role.includes(Role::Manager);
        if alone && self.manager_url.is_none() {
            return invalid("this role needs `manager_url`, e.g. manager_url = \"http://10.0.0.1:8080\"");
        }
        if self.server_key.as_ref().is_some_and(|key| key.trim().len() < SERVER_KEY_BYTES_MIN) {
            return invalid("`server_key` must have at least 16 characters; leave it out where the manager runs");
        }
        if alone && self.server_key.is_none() {
            return invalid(
                "this role needs `server_key`: the content of `server.key` in the manager's data directory (or TRELLIS_SERVER_KEY)",
            );
        }
        if self.role == Role::Edge && self.edge.public_url.is_none() {
            return invalid(
                "[edge] needs `public_url`: the address players reach this edge at, e.g. \"https://edge1.example.org\"",
            );
        }
        if self.role == Role::Origin && self.origin.media_url.is_none() {
            return invalid(
                "[origin] needs `media_url`: the address edges reach this origin at, e.g. \"http://10.0.0.2:8080/origin\"",
            );
        }
        for url in
            [&self.manager_url, &self.edge.public_url, &self.edge.parent, &self.origin.media_url].into_iter().flatten()
        {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return invalid(&format!("`{url}` is not a URL: it must start with http:// or https://"));
            }
        }
        let name = &self.edge.name;
        if name.is_empty() || name.len() > trellis_proto::limits::EDGE_NAME_BYTES_MAX {
            return invalid("[edge] `name` must have 1 to 64 characters");
        }
        if !(10..=DVR_WINDOW_S_MAX).contains(&self.origin.dvr_window_s) {
            return invalid("[origin] `dvr_window_s` must be between 10 and 21600 seconds (six hours)");
        }
        if self.edge.idle_s < 5 {
            return invalid("[edge] `idle_s` must be at least 5 seconds: players pause between requests");
        }
        Ok(())
    }
}

/// What a time line keeps of a live stream at the usual part duration.
const DVR_WINDOW_S_MAX: u32 = 6 * 3600;
/// The shortest parts of common frame rates: eight frames at 25 per second.
const _: () = assert!(trellis_media::timeline::LIVE_PARTS_MAX as u64 * 320 >= DVR_WINDOW_S_MAX as u64 * 1000);
/// Must not be guessable by trying.
const SERVER_KEY_BYTES_MIN: usize = 16;
const SECTIONS: [&str; 4] = ["MANAGER", "ORIGIN", "EDGE", "TLS"];
/// Top-level keys that begin like a section.
const TOP_LEVEL: [&str; 1] = ["MANAGER_URL"];
/// Variables of ours that are no configuration of a server.
const OTHERS: [&str; 4] = ["KEY", "LOG", "URL", "TOKEN"];

/// `TRELLIS_EDGE_PUBLIC_URL` → (`edge`, `public_url`).
fn place(variable: &str) -> Option<(Option<String>, String)> {
    let name = variable.strip_prefix("TRELLIS_")?;
    if OTHERS.contains(&name) || name.starts_with("TEST_") {
        return None;
    }
    let section = SECTIONS.iter().find_map(|s| Some((s, name.strip_prefix(s)?.strip_prefix('_')?)));
    match section {
        Some((section, key)) if !TOP_LEVEL.contains(&name) => Some((Some(section.to_lowercase()), key.to_lowercase())),
        _ => Some((None, name.to_lowercase())),
    }
}

fn lay(table: &mut toml::Table, (section, key): (Option<String>, String), text: &str) {
    // A number, a boolean or a list is written as in TOML; everything else is text.
    let value = match toml::from_str::<toml::Table>(&format!("v = {text}")) {
        Ok(mut parsed) => parsed.remove("v").unwrap_or_else(|| text.into()),
        Err(_) => text.into(),
    };
    let target = match section {
        None => table,
        Some(section) => match table.entry(section).or_insert_with(|| toml::Table::new().into()) {
            toml::Value::Table(inner) => inner,
            _ => return,
        },
    };
    target.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(None, env.iter().map(|(k, v)| (k.to_string(), v.to_string())))
    }

    #[test]
    fn the_environment_overrides_by_name() {
        let config = load(&[
            ("TRELLIS_LISTEN", "0.0.0.0:9000"),
            ("TRELLIS_MANAGER_URL", "http://m:1"),
            ("TRELLIS_EDGE_UPLOAD_BUDGET", "25M"),
            ("TRELLIS_ORIGIN_GRACE_S", "5"),
            ("TRELLIS_KEY", "not configuration"),
            ("HOME", "/root"),
        ])
        .unwrap();
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.manager_url.as_deref(), Some("http://m:1"));
        assert_eq!(config.edge.upload_budget, Rate(25_000_000));
        assert_eq!(config.origin.grace_s, 5);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |env: &[(&str, &str)]| load(env).unwrap_err().to_string();
        assert!(error(&[("TRELLIS_EGDE_NAME", "x")]).contains("egde_name"));
        assert!(error(&[("TRELLIS_EDGE_UPLOAD_BUDGET", "fast")]).contains("not a rate"));
        assert!(error(&[("TRELLIS_ROLE", "edge")]).contains("manager_url"));
        assert!(error(&[("TRELLIS_ORIGIN_DVR_WINDOW_S", "21601")]).contains("21600"));
        assert!(load(&[("TRELLIS_ORIGIN_DVR_WINDOW_S", "21600")]).is_ok());
        assert!(error(&[("TRELLIS_MANAGER_URL", "ftp://m")]).contains("http://"));
    }
}

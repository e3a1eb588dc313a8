//! What did the operator ask for? One TOML file, every key of which an environment variable may override.
//!
//! `TRELLIS_LISTEN` overrides `listen`; `TRELLIS_EDGE_PUBLIC_URL` overrides `public_url` of `[edge]`. Unknown keys
//! are an error that names them, so that a typing mistake never passes for a default. What the manager would refuse
//! in a report is refused here, before anything runs.

mod env;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::cluster_api::{is_loopback_url, is_server_name, is_server_url};
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
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Address of the Prometheus listener; none (written `off`) for no metrics.
    #[serde(deserialize_with = "address_or_off")]
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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// Name in the manager's list, unique among origins; [`Self::name`] has the default.
    pub name: Option<String>,
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
    /// Name in tickets and in the manager's list, unique among edges; [`Self::name`] has the default.
    pub name: Option<String>,
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
    /// Where it answers STUN (UDP), so that viewers' engines learn their outside address.
    pub stun_listen: StunListen,
    /// A file of `prefix,provider,region` lines: what the operator knows of viewers' addresses.
    pub prefixes: Option<PathBuf>,
}

/// Where an edge answers STUN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StunListen {
    /// At the listener's address: at the same number if it is free, else at any.
    #[default]
    Beside,
    /// Here.
    At(SocketAddr),
    /// Nowhere (written `off`).
    Off,
}

impl<'de> Deserialize<'de> for StunListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(address_or_off(deserializer)?.map_or(Self::Off, Self::At))
    }
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
        Self { name: None, media_url: None, dvr_window_s: 120, grace_s: 30 }
    }
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            name: None,
            public_url: None,
            parent: None,
            upload_budget: Rate(1_000_000_000),
            cache_bytes: 512 << 20,
            idle_s: 30,
            stun_listen: StunListen::Beside,
            prefixes: None,
        }
    }
}

impl OriginConfig {
    /// The name; beside a manager in the same process it needs none of its own.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("origin")
    }
}

impl EdgeConfig {
    /// The name; beside a manager in the same process it needs none of its own.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("edge")
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("cannot read {0}: {1}; name the configuration file with --config")]
    Read(PathBuf, std::io::Error),
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{0}: {1}")]
    Parse(PathBuf, toml::de::Error),
    /// A variable that sets no key, or one to a value of the wrong kind.
    #[error("{0} in the environment: {1}")]
    Variable(String, String),
    /// The values do not go together.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads the file, if one is named, and lays the environment over it.
    pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut table = file.map(read).transpose()?.unwrap_or_default();
        for setting in env.filter_map(env::Setting::read) {
            setting.lay(&mut table)?;
        }
        let config: Self = table.try_into().map_err(|error| ConfigError::Invalid(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Do the values go together?
    pub fn check(&self) -> Result<(), ConfigError> {
        let verdict = self.check_role().and_then(|()| self.check_reach()).and_then(|()| self.check_values());
        verdict.map_err(ConfigError::Invalid)
    }

    /// What works and yet should be looked at.
    pub fn warnings(&self) -> Vec<String> {
        let in_clear = |url: &&String| url.starts_with("http://") && !is_loopback_url(url);
        let urls = [&self.manager_url, &self.edge.parent, &self.origin.media_url].into_iter().flatten();
        let warn = |url| {
            format!(
                "the server key goes to {url} unencrypted, and so will media: use https://, or see to it that the network between is yours alone"
            )
        };
        urls.filter(in_clear).map(warn).collect()
    }

    /// Has a role without a manager beside it what it needs?
    fn check_role(&self) -> Result<(), String> {
        let alone = !self.role.includes(Role::Manager);
        ensure(!alone || self.manager_url.is_some(), || {
            "this role needs `manager_url`, e.g. manager_url = \"http://10.0.0.1:8080\"".into()
        })?;
        ensure(!alone || self.server_key.is_some(), || {
            "this role needs `server_key`: the content of `server.key` in the manager's data directory (or TRELLIS_SERVER_KEY)".into()
        })?;
        ensure(self.role != Role::Edge || self.edge.name.is_some(), || {
            "[edge] needs a `name` of its own, unique among the edges, e.g. \"edge1\" (or TRELLIS_EDGE_NAME)".into()
        })?;
        ensure(self.role != Role::Origin || self.origin.name.is_some(), || {
            "[origin] needs a `name` of its own, unique among the origins, e.g. \"origin1\" (or TRELLIS_ORIGIN_NAME)"
                .into()
        })?;
        ensure(self.role != Role::Edge || self.edge.public_url.is_some(), || {
            "[edge] needs `public_url`: the address players reach this edge at, e.g. \"https://edge1.example.org\""
                .into()
        })?;
        ensure(self.role != Role::Origin || self.origin.media_url.is_some(), || {
            "[origin] needs `media_url`: the address edges reach this origin at, e.g. \"http://10.0.0.2:8080/origin\""
                .into()
        })
    }

    /// Names and addresses that others will use.
    fn check_reach(&self) -> Result<(), String> {
        for (section, name) in [("edge", self.edge.name()), ("origin", self.origin.name())] {
            ensure(is_server_name(name), || {
                format!(
                    "[{section}] `name` must have 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first; it is `{name}`"
                )
            })?;
        }
        let (edge, origin) = (&self.edge, &self.origin);
        for url in [&self.manager_url, &edge.public_url, &edge.parent, &origin.media_url].into_iter().flatten() {
            ensure(is_server_url(url), || {
                format!(
                    "`{url}` is not a URL: it must start with http:// or https:// and have at most 256 characters, without spaces and quotes"
                )
            })?;
        }
        ensure(origin.media_url.as_ref().is_none_or(|url| url.trim_end_matches('/').ends_with("/origin")), || {
            "[origin] `media_url` must end in /origin, e.g. \"http://10.0.0.2:8080/origin\"".into()
        })?;
        let files = self.tls.as_ref().is_none_or(|tls| ![&tls.cert, &tls.key].iter().any(|p| p.as_os_str().is_empty()));
        ensure(files, || "[tls] needs both `cert` and `key`: the PEM files of certificate chain and private key".into())
    }

    fn check_values(&self) -> Result<(), String> {
        for (name, key) in [("`server_key`", &self.server_key), ("[manager] `admin_key`", &self.manager.admin_key)] {
            ensure(key.as_ref().is_none_or(|key| key.trim().len() >= KEY_BYTES_MIN), || {
                format!(
                    "{name} must have at least {KEY_BYTES_MIN} characters; leave it out where the manager runs to have one made"
                )
            })?;
        }
        let strange = self.cors_origins.iter().find(|origin| !is_web_origin(origin));
        ensure(strange.is_none(), || {
            format!(
                "`cors_origins` has `{}`, which no browser sends: write scheme, host and perhaps a port in small letters, without a path, \
                 e.g. \"https://my.site\"; \"*\" allows all",
                strange.map_or("", |origin| origin)
            )
        })?;
        ensure((10..=DVR_WINDOW_S_MAX).contains(&self.origin.dvr_window_s), || {
            "[origin] `dvr_window_s` must be between 10 and 21600 seconds (six hours)".into()
        })?;
        ensure(self.edge.idle_s >= 5, || {
            "[edge] `idle_s` must be at least 5 seconds: players pause between requests".into()
        })?;
        ensure(self.manager.open_session_s >= 10, || "[manager] `open_session_s` must be at least 10 seconds".into())?;
        ensure(self.manager.unknown_rate_bps > 0, || "[manager] `unknown_rate_bps` must be above 0".into())
    }
}

/// As a browser's `Origin` header; a slash at the end does no harm.
fn is_web_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    let host = host.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    text == "*" || host.is_some_and(|host| !host.is_empty() && host.chars().all(plain))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The file as it stands; good by itself, so that an error quotes its line.
fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read(path.into(), error))?;
    let parsed = toml::from_str::<Config>(&text).and_then(|_| toml::from_str(&text));
    parsed.map_err(|error| ConfigError::Parse(path.into(), error))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let hint = "write one as 127.0.0.1:8080, or 0.0.0.0:8080 for all networks";
    text.parse().map_err(|_| de::Error::custom(format!("`{text}` is no address: {hint}")))
}

fn address_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "off" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| de::Error::custom(format!("`{text}` is no address: write one as 127.0.0.1:8080, or \"off\""))),
    }
}

/// What a time line keeps of a live stream at the usual part duration.
const DVR_WINDOW_S_MAX: u32 = 6 * 3600;
/// The shortest parts of common frame rates: eight frames at 25 per second.
const _: () = assert!(trellis_media::timeline::LIVE_PARTS_MAX as u64 * 320 >= DVR_WINDOW_S_MAX as u64 * 1000);
/// Must not be guessable by trying.
const KEY_BYTES_MIN: usize = 16;
#[cfg(test)]
mod tests {
    use super::*;

    fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(None, env.iter().map(|(k, v)| (k.to_string(), v.to_string())))
    }

    fn error(env: &[(&str, &str)]) -> String {
        load(env).unwrap_err().to_string()
    }

    fn load_file(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), env.iter().map(|(k, v)| (k.to_string(), v.to_string())))
    }

    #[test]
    fn the_environment_overrides_by_name() {
        let config = load(&[
            ("TRELLIS_LISTEN", "0.0.0.0:9000"),
            ("TRELLIS_MANAGER_URL", "http://m:1"),
            ("TRELLIS_EDGE_UPLOAD_BUDGET", "25M"),
            ("TRELLIS_ORIGIN_GRACE_S", "5"),
            ("TRELLIS_CORS_ORIGINS", r#"["https://a.example"]"#),
            ("TRELLIS_KEY", "not configuration"),
            ("HOME", "/root"),
        ])
        .unwrap();
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.manager_url.as_deref(), Some("http://m:1"));
        assert_eq!(config.edge.upload_budget, Rate(25_000_000));
        assert_eq!(config.origin.grace_s, 5);
        assert_eq!(config.cors_origins, ["https://a.example"]);
    }

    #[test]
    fn what_looks_like_a_number_may_be_a_text() {
        let digits = "1234567890123456";
        let config = load(&[
            ("TRELLIS_SERVER_KEY", digits),
            ("TRELLIS_EDGE_NAME", "7"),
            ("TRELLIS_DATA_DIR", "true"),
            ("TRELLIS_EDGE_UPLOAD_BUDGET", "5000000"),
            ("TRELLIS_MANAGER_DEFAULT_OPEN", "true"),
        ])
        .unwrap();
        assert_eq!((config.server_key.as_deref(), config.edge.name()), (Some(digits), "7"));
        assert_eq!((config.data_dir, config.edge.upload_budget), ("true".into(), Rate(5_000_000)));
        assert!(config.manager.default_open);
    }

    #[test]
    fn the_variables_of_a_service_called_trellis_are_none_of_ours() {
        load(&[
            ("TRELLIS_SERVICE_HOST", "10.96.0.7"),
            ("TRELLIS_SERVICE_PORT", "8080"),
            ("TRELLIS_SERVICE_PORT_HTTP", "8080"),
            ("TRELLIS_PORT", "tcp://10.96.0.7:8080"),
            ("TRELLIS_PORT_80_TCP", "tcp://10.96.0.7:80"),
            ("TRELLIS_PORT_80_TCP_ADDR", "10.96.0.7"),
            ("TRELLIS_EDGE_SERVICE_HOST", "10.96.0.8"),
            ("TRELLIS_EDGE_PORT_443_UDP_PROTO", "udp"),
        ])
        .unwrap();
        assert!(error(&[("TRELLIS_PORT", "9000")]).contains("TRELLIS_PORT"));
    }

    #[test]
    fn mistakes_are_named() {
        let file = load_file("listen = \"8080\"", &[]).unwrap_err().to_string();
        assert!(file.contains("`8080` is no address") && file.contains("0.0.0.0:8080"), "{file}");
        for strange in ["my.site", "https://my.site/page", "https://", "https://My.Site", "ftp://my.site"] {
            let said = error(&[("TRELLIS_CORS_ORIGINS", &format!("[{strange:?}]"))]);
            assert!(said.contains(strange) && said.contains("https://my.site"), "{said}");
        }
        for good in ["*", "https://my.site", "https://my.site/", "http://[::1]:8080"] {
            load(&[("TRELLIS_CORS_ORIGINS", &format!("[{good:?}]"))]).unwrap();
        }
        assert!(error(&[("TRELLIS_EGDE_NAME", "x")]).contains("TRELLIS_EGDE_NAME in the environment: unknown field"));
        assert!(error(&[("TRELLIS_EDGE_NAEM", "x")]).contains("`naem`"));
        assert!(error(&[("TRELLIS_EDGE_UPLOAD_BUDGET", "fast")]).contains("not a rate"));
        assert!(error(&[("TRELLIS_ORIGIN_GRACE_S", "soon")]).contains("TRELLIS_ORIGIN_GRACE_S"));
        assert!(error(&[("TRELLIS_ROLE", "edge")]).contains("manager_url"));
        assert!(error(&[("TRELLIS_ORIGIN_DVR_WINDOW_S", "21601")]).contains("21600"));
        assert!(load(&[("TRELLIS_ORIGIN_DVR_WINDOW_S", "21600")]).is_ok());
        assert!(error(&[("TRELLIS_MANAGER_URL", "ftp://m")]).contains("http://"));
        assert!(error(&[("TRELLIS_TLS_CERT", "c.pem")]).contains("`key`"));
        assert!(load(&[("TRELLIS_TLS_CERT", "c.pem"), ("TRELLIS_TLS_KEY", "k.pem")]).is_ok());
        assert!(load_file("[tls]\ncert = \"c.pem\"", &[("TRELLIS_TLS_KEY", "k.pem")]).is_ok());
    }

    #[test]
    fn a_mistake_in_the_file_is_shown_with_its_line() {
        for (text, line) in [
            ("role = \"all\"\n\n[edge]\nnaem = \"x\"\n", "line 4"),
            ("\n[edge]\nupload_budget = 0\n", "line 3"),
            ("metrics_listen = 9464\n", "line 1"),
            ("a b\n", "line 1"),
        ] {
            let error = load_file(text, &[("TRELLIS_ROLE", "all")]).unwrap_err().to_string();
            assert!(error.contains(line), "{text}: {error}");
        }
    }

    /// The names of a table's keys, as its own error lists them.
    fn keys(section: &str) -> Vec<String> {
        let error = toml::from_str::<Config>(&format!("{section}\nnonsense = 1")).unwrap_err();
        let listed = error.message().split("expected one of").nth(1).or(error.message().split("expected").nth(1));
        let names: Vec<_> = listed.unwrap().split('`').skip(1).step_by(2).map(String::from).collect();
        assert!(names.len() > 1, "{error}");
        names
    }

    #[test]
    fn the_readme_shows_every_key_with_its_default() {
        let readme = include_str!("../../../README.md");
        let sample = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(format!("{:?}", load_file(sample, &[]).unwrap()), format!("{:?}", Config::default()));
        let all: String = sample.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        load_file(&all, &[]).unwrap();
        for (section, keys) in ["", "[tls]", "[manager]", "[origin]", "[edge]"].map(|section| (section, keys(section)))
        {
            let table = if section.is_empty() { all.as_str() } else { all.split(section).nth(1).unwrap() };
            let table = table.split("\n[").next().unwrap();
            for key in keys.iter().filter(|key| !["tls", "manager", "origin", "edge"].contains(&key.as_str())) {
                assert!(
                    table.contains(&format!("\n{key} = ")) || table.starts_with(&format!("{key} = ")),
                    "{section} {key}"
                );
            }
        }
    }

    #[test]
    fn a_server_key_in_the_clear_is_warned_of() {
        let warnings = |url: &str| load(&[("TRELLIS_MANAGER_URL", url)]).unwrap().warnings();
        assert!(warnings("http://10.0.0.1:8080")[0].contains("http://10.0.0.1:8080"));
        for safe in ["https://m", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/x"] {
            assert_eq!(warnings(safe), [""; 0], "{safe}");
        }
    }

    #[test]
    fn metrics_can_be_switched_off() {
        for off in ["off", ""] {
            assert_eq!(load(&[("TRELLIS_METRICS_LISTEN", off)]).unwrap().metrics_listen, None);
        }
        assert!(error(&[("TRELLIS_METRICS_LISTEN", "no")]).contains("off"));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (variable, value, hint) in [
            ("TRELLIS_EDGE_UPLOAD_BUDGET", "0", "not a rate"),
            ("TRELLIS_EDGE_NAME", "", "[edge] `name`"),
            ("TRELLIS_EDGE_NAME", "a b", "[edge] `name`"),
            ("TRELLIS_ORIGIN_NAME", "../x", "[origin] `name`"),
            ("TRELLIS_ORIGIN_NAME", "-x", "[origin] `name`"),
            ("TRELLIS_ORIGIN_MEDIA_URL", "http://o:8080", "/origin"),
            ("TRELLIS_EDGE_PUBLIC_URL", "http://", "URL"),
            ("TRELLIS_SERVER_KEY", "12345", "16 characters"),
            ("TRELLIS_MANAGER_ADMIN_KEY", "12345", "16 characters"),
            ("TRELLIS_MANAGER_UNKNOWN_RATE_BPS", "0", "unknown_rate_bps"),
        ] {
            let error = error(&[(variable, value)]);
            assert!(error.contains(hint), "{variable}={value}: {error}");
        }
    }

    #[test]
    fn an_edge_or_origin_on_its_own_has_a_name_of_its_own() {
        let common = [("TRELLIS_MANAGER_URL", "http://m:1"), ("TRELLIS_SERVER_KEY", "0123456789abcdef")];
        for (role, name, url) in [
            ("edge", "TRELLIS_EDGE_NAME", ("TRELLIS_EDGE_PUBLIC_URL", "https://e")),
            ("origin", "TRELLIS_ORIGIN_NAME", ("TRELLIS_ORIGIN_MEDIA_URL", "http://o/origin")),
        ] {
            let nameless = [&common[..], &[("TRELLIS_ROLE", role), url]].concat();
            assert!(error(&nameless).contains(name), "{role}");
            assert!(load(&[&nameless[..], &[(name, "one")]].concat()).is_ok(), "{role}");
        }
    }
}

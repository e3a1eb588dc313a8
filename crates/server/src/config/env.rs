//! Which environment variables are configuration, and of what value? `TRELLIS_EDGE_PUBLIC_URL` is `public_url` of
//! `[edge]`.
//!
//! Every `TRELLIS_…` variable is meant for us, so that a misspelt one is an error and never passes for a default;
//! but for those Kubernetes and Docker make for a service that is called trellis.

use super::{Config, ConfigError};

/// A key that a variable sets.
pub struct Setting {
    variable: String,
    section: Option<String>,
    key: String,
    text: String,
}

impl Setting {
    /// None: no configuration of a server.
    pub fn read((variable, text): (String, String)) -> Option<Self> {
        let name = variable.strip_prefix("TRELLIS_")?;
        if OTHERS.contains(&name) || name.starts_with("TEST_") {
            return None;
        }
        if is_service_link(name, &text) {
            tracing::debug!(variable, "ignored: the variable of a service");
            return None;
        }
        let section = SECTIONS.iter().find_map(|s| Some((s, name.strip_prefix(s)?.strip_prefix('_')?)));
        let (section, key) = match section {
            Some((section, key)) if !TOP_LEVEL.contains(&name) => (Some(section.to_lowercase()), key.to_lowercase()),
            _ => (None, name.to_lowercase()),
        };
        Some(Self { section, key, text, variable })
    }

    /// Sets the key in a configuration.
    pub fn lay(&self, table: &mut toml::Table) -> Result<(), ConfigError> {
        self.put(table, self.value()?);
        Ok(())
    }

    /// Text where text is wanted, so that a key of digits stays a key; else a number, a boolean or a list as in TOML.
    fn value(&self) -> Result<toml::Value, ConfigError> {
        let text = toml::Value::from(self.text.as_str());
        let wrong = |why: toml::de::Error| ConfigError::Variable(self.variable.clone(), why.message().to_owned());
        let Err(why) = self.fits(&text) else { return Ok(text) };
        let written = toml::from_str(&format!("value = {}", self.text));
        match written.ok().and_then(|mut table: toml::Table| table.remove("value")) {
            Some(value) => self.fits(&value).map(|()| value).map_err(wrong),
            None => Err(wrong(why)),
        }
    }

    /// Would a configuration of this key alone be understood?
    fn fits(&self, value: &toml::Value) -> Result<(), toml::de::Error> {
        let mut alone = toml::Table::new();
        self.put(&mut alone, value.clone());
        alone.try_into::<Config>().map(drop)
    }

    fn put(&self, table: &mut toml::Table, value: toml::Value) {
        let target = match &self.section {
            None => table,
            Some(section) => match table.entry(section).or_insert_with(|| toml::Table::new().into()) {
                toml::Value::Table(inner) => inner,
                _ => return,
            },
        };
        target.insert(self.key.clone(), value);
    }
}

/// Made by Kubernetes (or Docker's links) for a service `trellis` or `trellis-…`: `TRELLIS_SERVICE_HOST`,
/// `TRELLIS_EDGE_SERVICE_PORT_HTTP`, `TRELLIS_PORT=tcp://10.0.0.1:80`, `TRELLIS_PORT_80_TCP_ADDR`.
fn is_service_link(name: &str, text: &str) -> bool {
    let name = format!("_{name}");
    let by_port = name.split("_PORT_").skip(1).any(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| after.starts_with(protocol))
    });
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || by_port || (name.ends_with("_PORT") && address)
}

const SECTIONS: [&str; 4] = ["MANAGER", "ORIGIN", "EDGE", "TLS"];
/// Top-level keys that begin like a section.
const TOP_LEVEL: [&str; 1] = ["MANAGER_URL"];
/// Variables of ours that are no configuration of a server.
const OTHERS: [&str; 4] = ["KEY", "LOG", "URL", "TOKEN"];

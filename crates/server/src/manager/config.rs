//! What may an operator choose about the manager?

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The `[manager]` table of the configuration. Everything has a default.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagerConfig {
    /// Whether a stream that a publisher creates on the fly is watchable without a viewer token.
    pub default_open: bool,
    /// Bearer of origins and edges: the configuration's own `server_key`. None: the file of that name in the data
    /// directory, made on the first run.
    #[serde(skip)]
    pub server_key: Option<String>,
    /// Bearer of the admin API. None: `admin.key` in the data directory, made on the first run.
    pub admin_key: Option<String>,
    /// How long a place on an open stream lives without a token that says so, in seconds.
    pub open_session_s: u64,
    /// Rate set aside for a viewer while the stream's own is unknown, bit/s.
    pub unknown_rate_bps: u64,
    /// Room above the stream's reported rate that a place gets, in percent: encoders overshoot their mean.
    pub rate_headroom_percent: u32,
    /// What viewers may be to each other, where a stream does not say.
    pub p2p: P2p,
    /// Where a stream does not say: viewers of an edge see each other only when there are so many; 0: always.
    pub viewers_min: u16,
    /// A file of `prefix,provider,region` lines, as edges have: viewers are sent to an edge near to them.
    pub prefixes: Option<PathBuf>,
    /// Days that accounting records are kept after their session ended. 0: for ever.
    pub keep_accounts_days: u32,
}

/// Whether viewers pass on what they watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum P2p {
    /// They do, unless their users do not want it.
    #[default]
    On,
    /// Viewers give nothing; what they take comes from the edge.
    ReceiveOnly,
    /// Everything comes from the edge, over HTTP.
    Off,
}

impl P2p {
    /// As JSON and the database have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::ReceiveOnly => "receive_only",
            Self::Off => "off",
        }
    }

    /// Reads [`Self::word`].
    pub fn read(word: &str) -> Option<Self> {
        [Self::On, Self::ReceiveOnly, Self::Off].into_iter().find(|p2p| p2p.word() == word)
    }
}

impl From<P2p> for trellis_proto::P2p {
    fn from(p2p: P2p) -> Self {
        match p2p {
            P2p::On => Self::On,
            P2p::ReceiveOnly => Self::ReceiveOnly,
            P2p::Off => Self::Off,
        }
    }
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            default_open: false,
            server_key: None,
            admin_key: None,
            open_session_s: 12 * 3600,
            unknown_rate_bps: 8_000_000,
            rate_headroom_percent: 15,
            p2p: P2p::On,
            viewers_min: 0,
            prefixes: None,
            // A year and the time to close its books.
            keep_accounts_days: 400,
        }
    }
}

impl fmt::Debug for ManagerConfig {
    /// Keys are left out: configurations end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |key: &Option<String>| if key.is_some() { "set" } else { "from file" };
        f.debug_struct("ManagerConfig")
            .field("default_open", &self.default_open)
            .field("server_key", &set(&self.server_key))
            .field("admin_key", &set(&self.admin_key))
            .field("open_session_s", &self.open_session_s)
            .field("unknown_rate_bps", &self.unknown_rate_bps)
            .field("rate_headroom_percent", &self.rate_headroom_percent)
            .field("p2p", &self.p2p)
            .field("viewers_min", &self.viewers_min)
            .field("prefixes", &self.prefixes)
            .field("keep_accounts_days", &self.keep_accounts_days)
            .finish()
    }
}

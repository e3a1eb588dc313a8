//! What may an operator choose about the manager?

use std::fmt;

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
    /// What viewers may be to each other.
    pub p2p: P2p,
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
    /// They take from the edge and from helpers, and give nothing.
    ReceiveOnly,
    /// Everything comes from the edge, over HTTP.
    Off,
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
            .field("keep_accounts_days", &self.keep_accounts_days)
            .finish()
    }
}

//! `trellis serve`: the roles, by configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use trellis_server::Server;
use trellis_server::config::{Config, Role};

use crate::log;

/// Options. What is given here goes before the file and the environment.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file, e.g. trellis.toml; when left out: the defaults, and TRELLIS_… variables
    #[arg(long)]
    config: Option<PathBuf>,
    /// Which roles this process plays: all, manager, origin or edge [default: all]
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_parser = crate::address::parse)]
    listen: Option<SocketAddr>,
    /// Directory for keys, database and recordings, made when it is missing [default: trellis-data]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_enum, default_value = "text")]
    log_format: log::Format,
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "all" => Ok(Role::All),
        "manager" => Ok(Role::Manager),
        "origin" => Ok(Role::Origin),
        "edge" => Ok(Role::Edge),
        _ => Err("a role is all, manager, origin or edge".into()),
    }
}

/// Serves until a signal.
pub async fn run(args: Args) -> Result<()> {
    log::start(args.log_format, "info");
    let stop = stop_signal()?;
    let flags = flags(&args);
    let config = Config::load(args.config.as_deref(), std::env::vars().chain(flags))?;
    let server = Server::start(&config).await?;
    for file in server.created() {
        tracing::info!("made {}: {}", file.what, file.path.display());
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let here = crate::address::reachable(server.address());
    if config.role.includes(Role::Manager) {
        tracing::info!("watch page: {scheme}://{here}/watch/STREAM");
    }
    if config.role.includes(Role::Origin) {
        tracing::info!("publish with: trellis publish INPUT --stream STREAM --to {scheme}://{here}");
    }
    stop.await;
    tracing::info!("stopping: answers in flight may finish");
    server.stop().await;
    Ok(())
}

/// Flags are the last word: they are laid over the environment.
fn flags(args: &Args) -> impl Iterator<Item = (String, String)> {
    let role = args.role.map(|role| ("TRELLIS_ROLE".into(), format!("{role:?}").to_lowercase()));
    let listen = args.listen.map(|address| ("TRELLIS_LISTEN".into(), address.to_string()));
    let data = args.data_dir.as_ref().map(|path| ("TRELLIS_DATA_DIR".into(), path.display().to_string()));
    [role, listen, data].into_iter().flatten()
}

/// Resolves at SIGINT or SIGTERM, or when the terminal is closed (SIGHUP). Signals count from this call on, not from the
/// first wait.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = if outlives_terminal() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            Some(_) = async { hangup.as_mut()?.recv().await } => {}
        }
    })
}

/// Was it started to stay (`nohup`)? Then SIGHUP is ignored, which listening for it would undo. Only Linux says so
/// without unsafe code; elsewhere a closed terminal ends it.
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

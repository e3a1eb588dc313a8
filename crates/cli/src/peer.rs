//! `trellis peer`: a viewer's peer outside of browsers. Its stream is served to players on this machine, and to other
//! viewers by data channels.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use trellis_node::{Address, Config, Node, State, Stats};
use trellis_server::Rate;

use crate::{log, serve};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stream's watch page, as http://host:8080/watch/demo; its play.m3u8 will do, too
    #[arg(value_name = "STREAM_URL")]
    url: String,
    /// The stream, when the URL is only that of the server
    #[arg(long)]
    stream: Option<String>,
    /// Give at most so many bit/s to other viewers, e.g. 5M [default: what the line carries]
    #[arg(long, value_name = "RATE")]
    upload_limit: Option<Rate>,
    /// Where players on this machine find the stream; port 0: any that is free
    #[arg(long, default_value = "127.0.0.1:8090", value_parser = crate::address::parse, conflicts_with = "supporter")]
    listen: SocketAddr,
    /// Viewer token; the `token` in the URL when left out
    #[arg(long, env = "TRELLIS_TOKEN", hide_env_values = true, allow_hyphen_values = true)]
    token: Option<String>,
    /// Give nothing to other viewers, as on a metered line
    #[arg(long, conflicts_with_all = ["upload_limit", "supporter"])]
    receive_only: bool,
    /// Serve no player: only help other viewers, for as long as it runs
    #[arg(long)]
    supporter: bool,
    /// Print {"url": …, "stats": …} once it is up, and nothing else
    #[arg(long)]
    json: bool,
}

/// What a script is told.
#[derive(serde::Serialize)]
struct Ready {
    url: Option<String>,
    stats: Option<String>,
}

/// Runs until a signal.
pub async fn run(args: Args) -> Result<()> {
    log::start(log::Format::Text, "info");
    let mut stop = std::pin::pin!(serve::stop_signal()?);
    let config = Config {
        address: Address::parse(&args.url, args.stream.as_deref())?,
        token: args.token.clone(),
        upload_limit: args.upload_limit.map(|rate| rate.0),
        receive_only: args.receive_only,
        listen: (!args.supporter).then_some(args.listen),
    };
    let mut node = tokio::select! {
        node = Node::start(config) => node?,
        () = &mut stop => return Ok(()),
    };
    tell(&args, &node);
    let mut stats = node.stats();
    let line = Line::new(&args);
    let mut tick = tokio::time::interval(line.every());
    tick.tick().await;
    let failed = loop {
        tokio::select! {
            () = &mut stop => break None,
            why = node.ended() => break Some(why),
            _ = tick.tick() => line.show(&stats.borrow_and_update()),
        }
    };
    line.end();
    match failed {
        Some(why) => Err(why),
        None => {
            node.stop().await;
            Ok(())
        }
    }
}

fn tell(args: &Args, node: &Node) {
    let url = node.url();
    if args.json {
        let stats = node.address().map(|address| format!("http://{address}/stats.json"));
        println!("{}", serde_json::to_string(&Ready { url, stats }).expect("two strings serialise"));
        return;
    }
    match url {
        Some(url) => println!("\n  Play    {url}\n  e.g.    mpv {url}\n"),
        None => println!("\n  Helping other viewers of {}; nothing to play here.\n", args.url),
    }
}

/// A line that changes on a terminal; else one now and then in the log.
enum Line {
    Bar(ProgressBar),
    Log,
    Nothing,
}

impl Line {
    fn new(args: &Args) -> Self {
        match (args.json, std::io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (false, true) => {
                let style =
                    ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or(ProgressStyle::default_spinner());
                Self::Bar(ProgressBar::new_spinner().with_style(style))
            }
            (false, false) => Self::Log,
        }
    }

    fn every(&self) -> Duration {
        match self {
            Self::Bar(_) => Duration::from_millis(500),
            Self::Log | Self::Nothing => Duration::from_secs(10),
        }
    }

    fn show(&self, stats: &Stats) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(status(stats));
                bar.tick();
            }
            Self::Log => tracing::info!("{}", status(stats)),
            Self::Nothing => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Sources, neighbors, what the uplink carries, delay and rescues, in a line.
fn status(stats: &Stats) -> String {
    let state = match stats.state {
        State::Joining => "joining",
        State::Watching => "watching",
        State::Rejoining => "looking for another edge",
        State::Leaving => "leaving",
        State::Ended => "ended",
    };
    let why = if stats.why.is_empty() { String::new() } else { format!(" ({})", stats.why) };
    let share = stats.from_peers_percent().map_or("-".into(), |percent| format!("{percent} %"));
    let alpha = if stats.alpha_bps > 0 { Rate(stats.alpha_bps).to_string() } else { "not known yet".into() };
    format!(
        "{state}{why} · from peers {share} ({}) · from the edge {} · given {} · {} neighbors · uplink {alpha} · \
         {:.1} s behind · {} rescues",
        bytes(stats.p2p_bytes),
        bytes(stats.edge_bytes + stats.http_bytes),
        bytes(stats.uploaded_bytes),
        stats.peers,
        stats.latency_ms as f64 / 1_000.0,
        stats.rescues,
    )
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_where_the_stream_comes_from() {
        let stats = Stats {
            state: State::Watching,
            http_bytes: 10_000,
            edge_bytes: 240_000,
            p2p_bytes: 750_000,
            uploaded_bytes: 1_500_000,
            peers: 3,
            latency_ms: 1_240,
            alpha_bps: 5_000_000,
            ..Stats::default()
        };
        assert_eq!(
            status(&stats),
            "watching · from peers 75 % (750 kB) · from the edge 250 kB · given 1.5 MB · 3 neighbors · \
             uplink 5.00 Mbit/s · 1.2 s behind · 0 rescues"
        );
        assert!(status(&Stats::default()).starts_with("joining · from peers -"));
    }
}

//! `trellis demo`: everything on one machine, a live channel, one URL.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use trellis_server::Server;
use trellis_server::config::Config;

use crate::{address, channel, log, serve};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on; 0.0.0.0:8080 lets phones in the same network watch
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = crate::address::parse)]
    listen: SocketAddr,
    /// Show a wall clock instead of the sample clip (needs ffmpeg)
    #[arg(long)]
    clock: bool,
    /// Print {"watch": …, "hls": …} once ready, and nothing else
    #[arg(long)]
    json: bool,
}

/// What a script is told.
#[derive(serde::Serialize)]
struct Ready {
    watch: String,
    hls: String,
}

/// Runs until a signal.
pub async fn run(args: Args) -> Result<()> {
    log::start(log::Format::Text, "warn");
    let mut stop = std::pin::pin!(serve::stop_signal()?);
    // A demo leaves nothing behind.
    let data =
        tempfile::Builder::new().prefix("trellis-demo-").tempdir().context("cannot make a temporary directory")?;
    let mut config =
        Config { listen: args.listen, data_dir: data.path().into(), metrics_listen: None, ..Config::default() };
    config.manager.default_open = true;
    let server = Server::start(&config).await?;
    let mut publisher = channel::start(&server, STREAM, args.clock)?;
    // However it ends, the roles are told: one that was left to itself would miss the others in the log.
    let outcome = tokio::select! {
        outcome = show(&args, &server, &mut publisher) => outcome,
        () = &mut stop => Ok(()),
    };
    publisher.abort();
    server.stop().await;
    outcome
}

/// Brings the channel up, says where it is, and stays until it ends.
async fn show(args: &Args, server: &Server, publisher: &mut channel::Publishing) -> Result<()> {
    tokio::select! {
        ready = ready(server) => ready?,
        ended = &mut *publisher => bail!("the channel could not be published: {}", channel::why(ended)),
    }
    tell(args, server.address());
    bail!("the channel stopped: {}", channel::why(publisher.await))
}

async fn ready(server: &Server) -> Result<()> {
    let live = async {
        while !(server.is_ready() && server.finds(STREAM).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, live).await.context("the channel did not come up; TRELLIS_LOG=debug says more")
}

fn tell(args: &Args, address: SocketAddr) {
    let base = format!("http://{}", address::reachable(address));
    let ready = Ready { watch: format!("{base}/watch/{STREAM}"), hls: format!("{base}/v1/streams/{STREAM}/play.m3u8") };
    if args.json {
        println!("{}", serde_json::to_string(&ready).expect("two strings serialise"));
        return;
    }
    println!();
    println!("  Watch        {}", ready.watch);
    println!("  Any player   {}", ready.hls);
    println!();
    let open_to_others = !address.ip().is_loopback();
    if open_to_others && std::io::stdout().is_terminal() {
        match QrCode::new(&ready.watch) {
            Ok(code) => println!("{}\n", code.render::<Dense1x2>().quiet_zone(true).build()),
            Err(error) => tracing::warn!(%error, "no QR code for this address"),
        }
    } else if !open_to_others {
        println!("  Phones in your network can watch, too: trellis demo --listen 0.0.0.0:{}", address.port());
    }
    println!("  Stop with Ctrl-C.");
}

const STREAM: &str = "demo";
/// The sample clip is up at once; ffmpeg takes a moment to start.
const PATIENCE: Duration = Duration::from_secs(20);

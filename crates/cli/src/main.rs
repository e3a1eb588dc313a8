//! The `trellis` command.

mod channel;
mod check;
mod demo;
mod log;
mod publish;
mod serve;
mod sim;
mod token;

use std::net::SocketAddr;

use clap::{Parser, Subcommand};

/// Peer-Server-Peer media streaming: servers you trust admit, guide, secure and guarantee.
#[derive(Debug, Parser)]
#[command(name = "trellis", version, after_help = FIRST_STEPS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str =
    "Begin with `trellis demo`. For streams of your own: `trellis serve`, and in another terminal, in the same
directory, `trellis publish film.mp4 --stream town --open`.
`trellis COMMAND --help` says more; TRELLIS_LOG=debug logs more.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine with a live sample channel, and print the URL to watch
    Demo(demo::Args),
    /// Run the roles manager, origin and edge, together or one by one
    Serve(serve::Args),
    /// Send a file, a device or a URL to an origin (needs ffmpeg)
    Publish(publish::Args),
    /// Make a viewer token by hand
    Token(token::Args),
    /// Say whether a configuration file is good, and what it amounts to
    CheckConfig(check::Args),
    /// Run a swarm in virtual time and say what came of it
    Sim(sim::Args),
}

/// A request allocates a dozen small things and frees them all, and a simulation holds millions far apart; the C library's
/// allocator takes longer over both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An address to listen on.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an address and a port: 127.0.0.1:8080, or 0.0.0.0:8080 for all networks".into())
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::CheckConfig(args) => check::run(&args),
        Command::Sim(args) => sim::run(&args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trellis: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

//! The `trellis` command.

mod channel;
mod check;
mod demo;

mod log;

mod publish;
mod serve;
mod sim;
mod token;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// Servers and simulations hold millions of small things far apart: this allocator lays them in huge pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Peer-Server-Peer media streaming: servers you trust admit, guide and guarantee; viewers carry most of the bytes.
#[derive(Debug, Parser)]
#[command(name = "trellis", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

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
    /// Say whether a configuration is good, and what it amounts to
    CheckConfig(check::Args),
    /// Run a swarm in virtual time and say what came of it
    Sim(sim::Args),
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

//! The `trellis` command.

mod address;
mod channel;
mod check;
mod demo;
mod log;
mod model;
mod peer;
mod plan;
mod publish;
mod serve;
mod sim;
mod token;

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
    /// Watch a stream in VLC, mpv or ffplay, and pass it on to other viewers
    Peer(peer::Args),
    /// Make a viewer token by hand
    Token(token::Args),
    /// Say whether a configuration file is good, and what it amounts to
    CheckConfig(check::Args),
    /// Run a swarm in virtual time and say what came of it
    Sim(sim::Args),
    /// Ask the theory: when is everybody served, how many are refused until then, what can nobody do better
    Model(model::Args),
    /// Size an event: servers, bandwidth, who waits, what it costs against a CDN, and what if
    Plan(plan::Args),
}

/// A request allocates a dozen small things and frees them all, and a simulation holds millions far apart; the C library's
/// allocator takes longer over both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Peer(args) => peer::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::CheckConfig(args) => check::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Plan(args) => plan::run(&args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trellis: {}", told(&error));
            std::process::ExitCode::FAILURE
        }
    }
}

/// An error and its causes, but for those it has quoted already.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_tokens_may_begin_with_a_dash_for_one_in_64_does() {
        let publish = ["trellis", "publish", "film.mp4", "--stream", "town", "--key", "-Rq3"];
        assert!(Cli::try_parse_from(publish).is_ok());
        assert!(Cli::try_parse_from(["trellis", "peer", "http://here/watch/town", "--token", "-eyJ"]).is_ok());
    }

    #[test]
    fn no_cause_is_told_twice() {
        let io = || std::io::Error::other("no such file");
        let quoting = anyhow::Error::new(io()).context("key.pem: no such file; it must hold PEM").context("[tls]");
        assert_eq!(told(&quoting), "[tls]: key.pem: no such file; it must hold PEM");
        assert_eq!(told(&anyhow::Error::new(io()).context("cannot read it")), "cannot read it: no such file");
    }
}

//! Where do log lines go, and how many? To standard error; `TRELLIS_LOG=debug` says more. Tokens, tickets and keys are
//! never among them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging; `default` is what is logged unless `TRELLIS_LOG` says otherwise.
pub fn start(format: Format, default: &str) {
    let mut filter = EnvFilter::try_from_env("TRELLIS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    for library in SILENT {
        filter = filter.add_directive(library.parse().expect("our own directives are good"));
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match format {
        Format::Text => builder.init(),
        Format::Json => builder.json().init(),
    }
}

/// Libraries that would log request heads, and with them tokens, when asked for everything.
const SILENT: [&str; 4] = ["h2=off", "hyper=off", "hyper_util=off", "reqwest=off"];

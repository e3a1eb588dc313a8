//! `trellis model`: what does the theory say? Hands each question on; the answers are computed in `trellis_model`.
//!
//! JSON keys and CSV columns are stable and stand in docs/model.md. What is infinite (a time that never comes) is `null`
//! in JSON and empty in CSV.

mod bottleneck;
mod bounds;
mod figures;
pub mod input;
pub mod output;
mod reject;
mod sgp;
mod simulation;

use anyhow::Result;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// When is the server full, when is everybody served, and what happens until then?
    Sgp(sgp::Args),
    /// Who is refused, interval by interval; with --runs the event simulation beside it
    Reject(reject::Args),
    /// What must the server send of layered media, against client and server?
    Bottleneck(bottleneck::Args),
    /// What can nobody do better: the rate, the server's share, the delay
    Bounds(bounds::Args),
    /// Draw the paper's Figure 2 (bandwidth against time) and Figure 3 (who is refused), as SVG and PNG
    Figures(figures::Args),
}

/// Answers.
pub fn run(args: &Args) -> Result<()> {
    match &args.question {
        Question::Sgp(args) => sgp::run(args),
        Question::Reject(args) => reject::run(args),
        Question::Bottleneck(args) => bottleneck::run(args),
        Question::Bounds(args) => bounds::run(args),
        Question::Figures(args) => figures::run(args),
    }
}

//! `trellis model`: what does the theory say? Hands each question on; the answers are computed in `trellis_model`.
//!
//! JSON keys and CSV columns are stable and stand in docs/model.md. What is infinite (a time that never comes) is `null`
//! in JSON and empty in CSV.

mod bottleneck;
mod bounds;
mod charts;
mod figures;
pub mod input;
mod landmarks;
pub mod output;
mod plot;
mod reject;
mod report;
mod sgp;
mod simulation;
mod three_ways;

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
    /// Closed form, event simulation and full protocol of a scenario beside each other: tables and plots
    Report(report::Args),
}

/// Answers.
pub fn run(args: &Args) -> Result<()> {
    match &args.question {
        Question::Sgp(args) => sgp::run(args),
        Question::Reject(args) => reject::run(args),
        Question::Bottleneck(args) => bottleneck::run(args),
        Question::Bounds(args) => bounds::run(args),
        Question::Figures(args) => figures::run(args),
        Question::Report(args) => report::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_hears_of_a_negative_number_what_it_is_for() {
        let questions = <Question as clap::Subcommand>::augment_subcommands(clap::Command::new("model"));
        let plan = <crate::plan::Args as clap::Args>::augment_args(clap::Command::new("plan"));
        for command in questions.get_subcommands().chain([&plan]) {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                assert!(arg.is_allow_hyphen_values_set(), "{} --{}", command.get_name(), arg.get_id());
            }
        }
    }
}

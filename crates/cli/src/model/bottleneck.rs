//! `trellis model bottleneck`: what must the server send of layered media? (11) B_O against client and server.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use trellis_model::Bps;
use trellis_model::layered::Layers;
use trellis_plot::{Chart, Ink};

use super::charts::{self, Load};
use super::input::{self, bps, some_bps};
use super::output::{Column, Form, Sheet, grouped, percent, rate, rate_in_text};

/// Options.
#[derive(Debug, clap::Args)]
#[command(mut_args = input::any_text)]
pub struct Args {
    /// N: how many watch
    #[arg(long, value_name = "COUNT", required_unless_present = "subscribers", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    peers: Option<u64>,
    /// b_i: what each layer takes, the base first, such as 100k,150k,250k
    #[arg(long, value_name = "RATES", value_delimiter = ',', required = true, value_parser = some_bps)]
    layers: Vec<Bps>,
    /// N_i: how many take each layer, the base first, such as 1000,800,500; by default all take all
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', conflicts_with = "peers")]
    subscribers: Vec<u64>,
    /// What each of them can send on average: is that enough to pass the layers on?
    #[arg(long, value_name = "RATE", value_parser = bps)]
    upload: Option<Bps>,
    #[command(flatten)]
    form: Form,
}

/// The answer, as in docs/model.md.
#[derive(Debug, Serialize)]
struct Answer {
    peers: u64,
    layers: Vec<f64>,
    subscribers: Vec<u64>,
    bottleneck: f64,
    client_server: f64,
    ratio: f64,
    ratio_limit: f64,
    peers_send: f64,
    base_excess: f64,
    upload: Option<f64>,
    feasible: Option<bool>,
    server: Option<f64>,
}

/// Answers.
pub fn run(args: &Args) -> Result<()> {
    let answer = answer(args)?;
    args.form.print(&answer, &sheet(&answer), || chart(args, &answer))
}

fn answer(args: &Args) -> Result<Answer> {
    let subscribers = match args.subscribers.as_slice() {
        [] => vec![args.peers.unwrap_or_default(); args.layers.len()],
        given => given.to_vec(),
    };
    let (each, taken) = (args.layers.len(), subscribers.len());
    ensure!(each == taken, "--subscribers must have a number for each of the {each} --layers, not {taken}");
    ensure!(subscribers[0] > 0, "--subscribers: nobody takes the base, so nothing is sent");
    let pairs: Vec<_> = args.layers.iter().copied().zip(subscribers.iter().copied()).collect();
    let layers = Layers::new(&pairs).map_err(|error| error.of("--subscribers of a layer"))?;
    ensure!(layers.direct_bps().is_finite(), "--layers: too much for so many to take");
    let uploads = args.upload.map(|upload| Bps::new(upload.get() * subscribers[0] as f64)).transpose();
    let uploads = uploads.context("--upload, of all together")?;
    let rates: Vec<f64> = args.layers.iter().map(|rate| rate.get()).collect();
    Ok(Answer {
        peers: subscribers[0],
        bottleneck: layers.once_bps(),
        client_server: layers.direct_bps(),
        ratio: layers.ratio(),
        ratio_limit: rates[0] * subscribers[0] as f64 / layers.direct_bps(),
        peers_send: layers.peers_bps(),
        base_excess: layers.base_excess_bps(),
        upload: args.upload.map(Bps::get),
        feasible: uploads.map(|uploads| layers.is_feasible(uploads)),
        server: uploads.map(|uploads| layers.server_bps(uploads)),
        layers: rates,
        subscribers,
    })
}

/// B_O and B_CS over audiences that take the layers in the same proportions.
fn chart(args: &Args, answer: &Answer) -> Chart {
    let most = answer.peers.max(1) as f64;
    let layers = |n: u64| {
        let taken = |taken: &u64| (*taken as f64 / most * n as f64).round() as u64;
        let pairs: Vec<_> = args.layers.iter().copied().zip(answer.subscribers.iter().map(taken)).collect();
        // Rounded, they are in the same order.
        Layers::new(&pairs).ok()
    };
    let direct = |n: u64| layers(n).map_or(0.0, |layers| layers.direct_bps());
    let once = |n: u64| layers(n).map_or(0.0, |layers| layers.once_bps());
    let upload = args.upload.map_or(0.0, Bps::get);
    let with_uploads = |n: u64| {
        let all = Bps::new(upload * n as f64).unwrap_or_default();
        layers(n).map_or(0.0, |layers| layers.server_bps(all))
    };
    let mut lines: Vec<Load<'_>> =
        vec![("client and server, B_CS", Ink::Gray, &direct), ("peers pass layers on, B_O", Ink::Green, &once)];
    if args.upload.is_some() {
        lines.push(("with these uploads", Ink::Blue, &with_uploads));
    }
    let rates: Vec<_> = answer.layers.iter().map(|rate| rate_in_text(*rate)).collect();
    let upload = args.upload.map_or(String::new(), |upload| format!(", u = {} on average", rate_in_text(upload.get())));
    let subtitle = format!("layers {}{upload}", rates.join(" + "));
    charts::over_audience("What the server sends of layered media", subtitle, answer.peers, &lines)
}

const COLUMNS: [Column; 4] = [
    Column { key: "layer", heading: "layer", tell: grouped },
    Column { key: "rate", heading: "rate", tell: rate },
    Column { key: "subscribers", heading: "subscribers", tell: grouped },
    Column { key: "client_server", heading: "client/server", tell: rate },
];

fn sheet(answer: &Answer) -> Sheet {
    let mut sheet = Sheet::new(&COLUMNS);
    sheet.fact("server sends, B_O", rate(answer.bottleneck));
    sheet.fact("client/server, B_CS", rate(answer.client_server));
    sheet.fact("B_O of B_CS", percent(answer.ratio));
    sheet.fact("  with a very large audience", percent(answer.ratio_limit));
    sheet.fact("peers must send", rate(answer.peers_send));
    sheet.fact("sending the base to all costs", rate(answer.base_excess));
    if let Some((feasible, server)) = answer.feasible.zip(answer.server) {
        sheet.fact("can peers send that?", if feasible { "yes" } else { "no" });
        sheet.fact("server sends with these uploads", rate(server));
    }
    for (at, (each, taken)) in answer.layers.iter().zip(&answer.subscribers).enumerate() {
        let taken = *taken as f64;
        sheet.row(&[Some(at as f64), Some(*each), Some(taken), Some(each * taken)]);
    }
    sheet
}

//! `trellis publish`: a source to an origin.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use trellis_ingest::publish::{Input, Mode, Options, Progress, Target, publish, watch_url};

use crate::{log, serve};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file, a device or a URL: whatever ffmpeg reads; `-` is standard input
    input: String,
    /// Name of the stream: lower-case letters, digits, '.', '_' and '-'
    #[arg(long)]
    stream: String,
    /// URL of the origin
    #[arg(long, value_name = "URL", env = "TRELLIS_URL", default_value = "http://127.0.0.1:8080")]
    to: String,
    /// Stream key; by default `publish.key` of the data directory
    #[arg(long, env = "TRELLIS_KEY", hide_env_values = true, allow_hyphen_values = true)]
    key: Option<String>,
    /// Where `publish.key` is, when publishing on the manager's machine
    #[arg(long, env = "TRELLIS_DATA_DIR", default_value = "trellis-data")]
    data_dir: PathBuf,
    /// Complete and seekable instead of live
    #[arg(long)]
    vod: bool,
    /// Keep the source's coding instead of encoding a ladder
    #[arg(long)]
    copy: bool,
    /// Begin again at the end, for ever
    #[arg(long = "loop")]
    looped: bool,
    /// Viewers need no token: makes such a stream; one that exists must be open already
    #[arg(long)]
    open: bool,
    /// Only viewers of these classes (standard, premium; several with commas) may watch: makes such a stream; one that
    /// exists must admit just these
    #[arg(long, value_delimiter = ',', value_parser = ["standard", "premium"], conflicts_with = "open")]
    classes: Vec<String>,
    /// Highest rung of the ladder, in lines; rungs above the source are left out anyway
    #[arg(long, default_value_t = 1080, value_parser = lines)]
    max_height: u32,
    /// x264 preset, from ultrafast to veryslow: slower ones make smaller files and need more CPU [default: veryfast,
    /// or fast with --vod]
    #[arg(long)]
    preset: Option<String>,
}

fn lines(text: &str) -> Result<u32, String> {
    let lines = text.parse().ok().filter(|lines| *lines >= LINES_MIN);
    lines.ok_or_else(|| format!("write a number of lines, {LINES_MIN} at least: 720"))
}

/// The smallest picture a ladder has.
const LINES_MIN: u32 = trellis_ingest::publish::ladder::LINES_MIN;

/// Publishes until the source ends or a signal comes.
pub async fn run(args: Args) -> Result<()> {
    log::start(log::Format::Text, "warn");
    args.stream.parse::<trellis_proto::StreamId>()?;
    let target = Target { url: args.to.clone(), stream: args.stream.clone(), key: key(&args)? };
    let options = Options {
        mode: if args.vod { Mode::Vod } else { Mode::Live },
        copy: args.copy,
        looped: args.looped,
        lines_max: args.max_height,
        preset: args.preset.clone(),
        open: args.open.then_some(true),
        classes: args.classes.clone(),
        ..Options::new(Input::Media(args.input.clone()), target)
    };
    eprintln!("publishing to {}; watch at {}", args.to, watch_url(&options.target).await?);
    let stop = CancellationToken::new();
    let (signal, cancel) = (serve::stop_signal()?, stop.clone());
    tokio::spawn(async move {
        signal.await;
        cancel.cancel();
    });
    let line = progress_line();
    let done = publish(&options, stop, |progress| line.set_message(words(&progress))).await?;
    line.finish_and_clear();
    eprintln!("done: {}", words(&done));
    Ok(())
}

fn key(args: &Args) -> Result<String> {
    if let Some(key) = &args.key {
        return Ok(key.trim().to_owned());
    }
    let path = args.data_dir.join("publish.key");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("no stream key: give it with --key (or TRELLIS_KEY), or name the manager's data directory with --data-dir; {} cannot be read", path.display())
    })?;
    Ok(text.trim().to_owned())
}

fn progress_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is good");
    let line = ProgressBar::new_spinner().with_style(style);
    line.enable_steady_tick(Duration::from_millis(250));
    line
}

fn words(progress: &Progress) -> String {
    let seconds = progress.media.as_secs();
    let mut text = format!(
        "{:02}:{:02}:{:02}  {:.1} MB",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        progress.bytes as f64 / 1e6
    );
    if progress.speed > 0.0 {
        text += &format!("  {:.0} fps  {:.2}x", progress.fps, progress.speed);
        if progress.sending && progress.speed < 0.9 && seconds > 5 {
            text += "  (slower than real time: use a faster --preset or a lower --max-height)";
        }
    }
    if progress.reconnects > 0 {
        text += &format!("  reconnected {}x", progress.reconnects);
    }
    text
}

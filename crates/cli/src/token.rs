//! `trellis token`: a viewer token by hand. Programs mint their own: any JWT library, the API key, these claims.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use trellis_server::Rate;
use trellis_server::cluster_api::ViewerClass;
use trellis_server::manager::{ApiKeyFile, ViewerClaims, mint};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream the viewer may watch; '*' (in quotes) for all
    #[arg(long)]
    stream: String,
    /// Your name for the viewer, as it will stand in the accounts
    #[arg(long, default_value = "by-hand")]
    viewer: String,
    /// How long it is valid: 90s, 30m, 12h, 7d
    #[arg(long, default_value = "12h", value_parser = duration)]
    expires: Duration,
    /// Service class: standard (which it is when left out) or premium
    #[arg(long)]
    class: Option<ViewerClass>,
    /// Most bits per second the viewer gets, e.g. 800k or 3M; when left out, what the stream has
    #[arg(long)]
    max_rate: Option<Rate>,
    /// The manager's data directory, where api.key is
    #[arg(long, env = "TRELLIS_DATA_DIR", default_value = "trellis-data")]
    data_dir: PathBuf,
}

/// Prints the token, and nothing else.
pub fn run(args: &Args) -> Result<()> {
    if args.stream != "*" {
        args.stream.parse::<trellis_proto::StreamId>()?;
    }
    let path = args.data_dir.join(ApiKeyFile::NAME);
    // The error names its cause itself.
    let key = ApiKeyFile::read(&path).map_err(|error| {
        anyhow!("{error}; run this where the manager was started, or name its data directory with --data-dir")
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let claims = ViewerClaims {
        sub: args.viewer.clone(),
        stream: args.stream.clone(),
        exp: (now + args.expires).as_secs(),
        nbf: None,
        class: args.class,
        max_rate: args.max_rate.map(|rate| rate.0),
    };
    println!("{}", mint(&key.kid, &key.secret, &claims));
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write 90s, 30m, 12h or 7d");
    let (at, unit) = text.char_indices().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..at].parse().map_err(|_| wrong())?;
    let total = count.checked_mul(seconds).filter(|s| (1..=10 * 365 * 86_400).contains(s)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        for bad in ["", "5", "-1s", "1w", "99999999999999999999d", "ü"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}

//! The demo's live channel: the sample clip or a wall clock, published the way anyone publishes.

use anyhow::{Context, Result};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use trellis_ingest::publish::{Error, Input, Options, Progress, Target, publish};
use trellis_server::Server;

/// A channel on the air; ends when its source does.
pub type Publishing = JoinHandle<Result<Progress, Error>>;

/// Begins to publish to the server in this process.
pub fn start(server: &Server, stream: &str, clock: bool) -> Result<Publishing> {
    let manager = server.manager().context("a demo has a manager")?;
    let target =
        Target { url: server.inner_url().into(), stream: stream.into(), key: manager.publish_key().to_owned() };
    let options = Options::new(if clock { Input::Clock } else { Input::Clip }, target);
    Ok(tokio::spawn(async move { publish(&options, CancellationToken::new(), |_| ()).await }))
}

/// Why it ended, for people.
pub fn why(ended: Result<Result<Progress, Error>, JoinError>) -> String {
    match ended {
        Ok(Ok(_)) => "its source ended".into(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}

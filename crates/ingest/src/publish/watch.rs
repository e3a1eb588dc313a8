//! Where is a stream watched that is published here? An origin on its own has no watch page: it points to its
//! manager's.

use std::time::Duration;

use reqwest::header::LOCATION;

use super::push::client;
use super::{Error, Target};

/// The watch page's URL: where the origin points to, else at the origin itself.
pub async fn watch_url(target: &Target) -> Result<String, Error> {
    let (client, ingest) = client(target)?;
    let here = ingest
        .join(&format!("../../watch/{}", target.stream))
        .map_err(|error| Error::BadTarget { url: target.url.clone(), why: error.to_string() })?;
    let answer = client.head(here.clone()).timeout(PATIENCE).send().await.ok();
    let there = answer.and_then(|answer| here.join(answer.headers().get(LOCATION)?.to_str().ok()?).ok());
    Ok(there.unwrap_or(here).to_string())
}

/// It is asked on the way to something more important.
const PATIENCE: Duration = Duration::from_secs(3);

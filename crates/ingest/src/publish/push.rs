//! How does a body reach the origin? One streamed `POST`, answered when the body ends or when it is refused.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use super::advice::Told;
use super::{Error, Mode, Target};

/// What goes into the head of the request.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub mode: Mode,
    pub target_duration_s: Option<u32>,
    pub open: Option<bool>,
    pub classes: String,
}

/// What came of a push.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The origin took it to the end.
    Done,
    /// The origin said no for good.
    Refused(Error),
    /// The connection was lost or the origin is busy; trying again may help.
    Lost(Error),
}

/// Where to send to: what has no scheme is a host, perhaps with a port.
fn ingest_url(target: &Target) -> Result<reqwest::Url, String> {
    let scheme = if target.url.contains("://") { "" } else { "http://" };
    let base = format!("{scheme}{}", target.url.trim_end_matches('/'));
    let host = base.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let url = format!("{base}/v1/ingest/{}", target.stream).parse().map_err(|error| format!("{error}"))?;
    let known =
        |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && !host.is_empty() && !host.ends_with(':');
    Some(url).filter(known).ok_or_else(|| "no http:// or https:// before a host".into())
}

/// A client for origins at `url`.
pub(super) fn client(target: &Target) -> Result<(reqwest::Client, reqwest::Url), Error> {
    let bad = |why: String| Error::BadTarget { url: target.url.clone(), why };
    let url = ingest_url(target).map_err(bad)?;
    let mut builder = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .tcp_keepalive(Duration::from_secs(10))
        .tcp_nodelay(true)
        // A body that streams cannot be sent twice.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("trellis/", env!("CARGO_PKG_VERSION")));
    // Without it a dead network is noticed only after a quarter of an hour.
    #[cfg(target_os = "linux")]
    {
        builder = builder.tcp_user_timeout(Duration::from_secs(20));
    }
    // A proxy from the environment cannot reach this machine's own addresses.
    let local = ["localhost", "127.0.0.1", "[::1]"];
    if url.host_str().is_some_and(|host| local.contains(&host)) {
        builder = builder.no_proxy();
    }
    Ok((builder.build().map_err(|error| bad(error.to_string()))?, url))
}

/// Sends `body` and waits for the answer. `sent` counts the bytes as they leave.
pub(super) async fn push(
    (client, url): &(reqwest::Client, reqwest::Url),
    key: &str,
    head: &Head,
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    sent: Arc<AtomicU64>,
    told: &Told,
) -> Outcome {
    let counted = body.inspect(move |piece| {
        if let Ok(bytes) = piece {
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    });
    let mut request = client
        .post(url.clone())
        .header("content-type", "video/mp4")
        .header("trellis-mode", if head.mode == Mode::Live { "live" } else { "vod" })
        .bearer_auth(key);
    if let Some(seconds) = head.target_duration_s {
        request = request.header("trellis-target-duration", seconds);
    }
    if let Some(open) = head.open {
        request = request.header("trellis-access", if open { "open" } else { "token" });
    }
    if !head.classes.is_empty() {
        request = request.header("trellis-classes", &head.classes);
    }
    match request.body(reqwest::Body::wrap_stream(counted)).send().await {
        Ok(response) => outcome(response, told).await,
        Err(error) => Outcome::Lost(Error::Unreachable { url: url.to_string(), why: innermost(&error) }),
    }
}

async fn outcome(response: reqwest::Response, told: &Told) -> Outcome {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    if status.is_success() {
        let accepted: Accepted = serde_json::from_str(&text).unwrap_or_default();
        accepted.warnings.into_iter().for_each(|warning| told.tell(warning));
        return Outcome::Done;
    }
    let refusal: Refusal = serde_json::from_str(&text).unwrap_or_default();
    let error = Error::Refused {
        status: status.as_u16(),
        error: refusal.error.unwrap_or_else(|| "refused".into()),
        message: refusal.message.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").into()),
    };
    // Overload, restarts and time-outs pass; everything else would be answered the same again.
    if status.is_server_error() || status.as_u16() == 408 || refusal.retry_after.is_some() {
        Outcome::Lost(error)
    } else {
        Outcome::Refused(error)
    }
}

/// The cause at the bottom of an error's chain, which says most ("connection refused").
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[derive(Debug, Default, Deserialize)]
struct Accepted {
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Refusal {
    error: Option<String>,
    message: Option<String>,
    retry_after: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_or_a_web_address() {
        let of = |url: &str| ingest_url(&Target { url: url.into(), stream: "s".into(), key: "k".into() });
        for (url, ingest) in [
            ("origin", "http://origin/v1/ingest/s"),
            ("127.0.0.1:8080/", "http://127.0.0.1:8080/v1/ingest/s"),
            ("[::1]:80", "http://[::1]/v1/ingest/s"),
            ("https://o.example/behind", "https://o.example/behind/v1/ingest/s"),
        ] {
            assert_eq!(of(url).unwrap().as_str(), ingest);
        }
        for url in ["", "ftp:/x", "ftp://x", "http:/x", "http://", "o:port"] {
            assert!(of(url).is_err(), "{url}");
        }
    }
}

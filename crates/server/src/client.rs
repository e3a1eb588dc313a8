//! How origins and edges talk to the manager. Every call is bounded in time; callers repeat what matters.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster_api::{EdgeBeat, EdgeBeatReply, ErrorBody, OriginBeat, PublishGrant, PublishRequest, StreamSource};
use crate::secret::Secret;

/// A connection pool to one manager.
#[derive(Clone)]
pub struct ManagerClient {
    http: reqwest::Client,
    base: String,
    key: Secret,
}

/// Why the manager gave no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It said no, in its words.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// For programs.
        error: String,
        /// For people.
        message: String,
    },
    /// It could not be reached, or said something that is no answer.
    #[error("the manager at {base} cannot be reached: {source}")]
    Unreachable {
        /// Its URL.
        base: String,
        /// What went wrong.
        source: reqwest::Error,
    },
}

/// What the log is told of the manager: each change once, not every beat.
#[derive(Default)]
pub struct Contact {
    trouble: Option<String>,
}

impl Contact {
    /// Notes how a report was answered.
    pub fn note<T>(&mut self, answer: &Result<T, ClientError>) {
        let trouble = answer.as_ref().err().map(ToString::to_string);
        if trouble == self.trouble {
            return;
        }
        match &trouble {
            Some(why) => tracing::warn!(why, "the manager does not take this server's reports; trying on"),
            None => tracing::info!("the manager takes this server's reports again"),
        }
        self.trouble = trouble;
    }
}

impl ManagerClient {
    /// For the manager at `base`.
    pub fn new(http: reqwest::Client, base: &str, key: Secret) -> Self {
        Self { http, base: base.trim_end_matches('/').to_owned(), key }
    }

    /// The key servers know each other by.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Reports an edge.
    pub async fn edge_beat(&self, beat: &EdgeBeat) -> Result<EdgeBeatReply, ClientError> {
        self.post("edges", beat).await
    }

    /// Reports an origin.
    pub async fn origin_beat(&self, beat: &OriginBeat) -> Result<serde_json::Value, ClientError> {
        self.post("origins", beat).await
    }

    /// May this publisher publish?
    pub async fn publish(&self, request: &PublishRequest) -> Result<PublishGrant, ClientError> {
        self.post("publish", request).await
    }

    /// Where is this stream?
    pub async fn source(&self, stream: &str) -> Result<StreamSource, ClientError> {
        self.finish(self.http.get(format!("{}/v1/cluster/streams/{stream}", self.base))).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.finish(self.http.post(format!("{}/v1/cluster/{path}", self.base)).json(body)).await
    }

    async fn finish<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let unreachable =
            |source: reqwest::Error| ClientError::Unreachable { base: self.base.clone(), source: source.without_url() };
        let request = request.bearer_auth(self.key.expose()).timeout(PATIENCE);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let said = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        if !status.is_success() {
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| ErrorBody {
                error: "unexpected".into(),
                message: format!("the manager answered {status}: {}", said()),
                retry_after: None,
            });
            return Err(ClientError::Refused { status: status.as_u16(), error: body.error, message: body.message });
        }
        // The reply of a beat is empty for origins.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| ClientError::Refused {
            status: status.as_u16(),
            error: "unexpected".into(),
            message: format!("the manager's answer is not understood ({error}): {}", said()),
        })
    }
}

const PATIENCE: Duration = Duration::from_secs(3);

//! Answers every role gives: JSON, and errors that say what to do next.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Body;
use crate::cluster_api::ErrorBody;

/// What the listener sends.
pub type Reply = Response<Body>;

/// A JSON answer that nobody may cache.
pub fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    // Joins are many, and fit into this.
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, value).expect("our own types serialise");
    let mut reply = empty(status).map(|_| Body::full(Bytes::from(text)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// A status alone, that nobody may cache.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// An error: a word for programs, a sentence for people, perhaps seconds after which to try again.
pub fn error(status: StatusCode, word: &str, message: impl Into<String>, retry_after: Option<u32>) -> Reply {
    let body = ErrorBody { error: word.into(), message: message.into(), retry_after };
    let mut reply = json(status, &body);
    if let Some(seconds) = retry_after {
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    reply
}

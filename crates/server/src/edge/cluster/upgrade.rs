//! How does a request become a WebSocket (RFC 6455 §4.2)? No subprotocols, no extensions.

use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use trellis_proto::limits::FRAME_BYTES_MAX;

use crate::http::{Reply, empty, error};

/// A WebSocket of this listener.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The answer that makes a WebSocket of the request's connection, and where it will come out. None: it asks for no such.
pub fn accept(request: &mut Request<Incoming>) -> Option<(Reply, OnUpgrade)> {
    let says = |name: HeaderName, word: &str| {
        let values = request.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
    };
    let asks = request.method() == Method::GET
        && says(UPGRADE, "websocket")
        && says(CONNECTION, "upgrade")
        && says(SEC_WEBSOCKET_VERSION, "13");
    let key = request.headers().get(SEC_WEBSOCKET_KEY).filter(|key| asks && key.len() == KEY_BYTES)?;
    let accept = derive_accept_key(key.as_bytes());
    let mut reply = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).expect("base64 is a header value"));
    Some((reply, hyper::upgrade::on(request)))
}

/// To whoever asks for something else.
pub fn required() -> Reply {
    let message = "this address takes WebSockets (version 13, over HTTP/1.1) of viewers' engines, and nothing else";
    let mut reply = error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message, None);
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply
}

/// The WebSocket, once the answer has left. None: the client is gone.
pub async fn socket(upgraded: OnUpgrade) -> Option<Socket> {
    let io = TokioIo::new(upgraded.await.ok()?);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(WRITE_BYTES + 2 * FRAME_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
}

/// 16 random bytes in base64.
const KEY_BYTES: usize = 24;
/// Taken at once for every link; what peers say is small.
const READ_BYTES: usize = 4 * 1024;
/// Frames are written together up to here.
pub const WRITE_BYTES: usize = 16 * 1024;

//! How does a peer speak with its edge? One WebSocket, a frame in each binary message.
//!
//! The upgrade is an ordinary request of the HTTP client, so that TLS, names and errors are what they are for everything
//! else. Invariant: little waits here in either direction; an edge that takes nothing is as good as gone.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::Client;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use trellis_proto::limits::FRAME_BYTES_MAX;
use url::Url;

use crate::join::{Refused, refused};

/// The link. Dropped, it is closed after what was sent.
pub struct EdgeLink {
    out: mpsc::Sender<Bytes>,
    frames: mpsc::Receiver<Bytes>,
}

impl EdgeLink {
    /// Opens it. The client must speak HTTP/1.1.
    pub async fn open(http: &Client, url: &Url) -> Result<Self, Refused> {
        let key = generate_key();
        let request = http
            .get(url.clone())
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let lost = |error: reqwest::Error| {
            Refused::Later(format!("the edge cannot be reached: {}", error.without_url()), AGAIN)
        };
        let response = tokio::time::timeout(PATIENCE, request.send());
        let response = response.await.map_err(|_| Refused::Later("the edge does not answer".into(), AGAIN))?;
        let response = response.map_err(lost)?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            return Err(refused(status, &response.bytes().await.unwrap_or_default()));
        }
        let accept = derive_accept_key(key.as_bytes());
        if response.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|said| said.as_bytes() != accept.as_bytes()) {
            return Err(Refused::Later("the edge does not speak WebSocket".into(), AGAIN));
        }
        let config =
            WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
        let socket = response.upgrade().await.map_err(lost)?;
        Ok(Self::over(WebSocketStream::from_raw_socket(socket, Role::Client, Some(config)).await))
    }

    fn over<S>(socket: WebSocketStream<S>) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sink, mut stream) = socket.split();
        let (out, mut outgoing) = mpsc::channel::<Bytes>(OUT_MAX);
        let (incoming, frames) = mpsc::channel(IN_MAX);
        tokio::spawn(async move {
            while let Some(first) = outgoing.recv().await {
                let mut next = Some(first);
                while let Some(frame) = next {
                    if sink.feed(Message::Binary(frame)).await.is_err() {
                        return;
                    }
                    next = outgoing.try_recv().ok();
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
            let _ = sink.close().await;
        });
        tokio::spawn(async move {
            // The brain pings every five seconds: an edge that lives says something.
            while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, stream.next()).await {
                let over = match message {
                    Message::Binary(frame) => incoming.send(frame).await.is_err(),
                    Message::Ping(_) | Message::Pong(_) => incoming.is_closed(),
                    // Text is a fault, and after a close nothing comes.
                    _ => true,
                };
                if over {
                    return;
                }
            }
        });
        Self { out, frames }
    }

    /// Sends a frame. False: the link is gone, or as good as.
    pub fn send(&self, frame: Bytes) -> bool {
        self.out.try_send(frame).is_ok()
    }

    /// The next frame; None: the link is gone.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.frames.recv().await
    }

    /// One that is here already.
    pub fn try_next(&mut self) -> Option<Bytes> {
        self.frames.try_recv().ok()
    }
}

/// Words only, and few of them; a wish for all that can be missing is some frames.
const OUT_MAX: usize = 512;
/// What is not taken stays in the socket, and is the edge's to hold back.
const IN_MAX: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(12);
const AGAIN: Duration = Duration::from_secs(1);

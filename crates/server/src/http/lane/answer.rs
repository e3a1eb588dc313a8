//! One answer on its way out. It leaves in one write when the socket has room.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::head;
use crate::clock::unix_ms;
use crate::http::Handle;
use crate::http::roster::{Answering, Pulse};

use super::request::Plain;

/// What is left of it.
pub struct Answer<G> {
    head: Vec<u8>,
    /// Of the head.
    sent: usize,
    body: Bytes,
    /// Of the handler's: lives until all has left.
    _guard: G,
    /// Since the socket was full.
    answering: Option<Answering>,
}

impl<G> Answer<G> {
    /// The handler's, if it has one at hand.
    pub fn to(plain: &Plain<'_>, handler: &impl Handle<Guard = G>) -> Option<Self> {
        let mut head = Vec::with_capacity(ONE_WRITE + HEAD_USUAL);
        head.extend_from_slice(head::OK);
        let now_ms = unix_ms();
        let (mut body, guard) = handler.at_once(plain, now_ms, &mut head)?;
        head::end(&mut head, body.len(), now_ms / 1000);
        if body.len() <= ONE_WRITE {
            // Copying so little costs less than telling the kernel of two places.
            head.extend_from_slice(&std::mem::take(&mut body));
        }
        Some(Self { head, sent: 0, body, _guard: guard, answering: None })
    }

    /// Sends what is left.
    pub fn poll_send(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        pulse: &Arc<Pulse>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let sent = self.poll_write(io, cx);
        match &sent {
            // From here on it is the client that is waited for.
            Poll::Pending => self.answering.get_or_insert_with(|| pulse.answering()).made(),
            Poll::Ready(_) => pulse.moved(),
        }
        sent
    }

    fn poll_write(&mut self, io: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = Pin::new(io);
        loop {
            let head = &self.head[self.sent..];
            let len = ready!(match (head.is_empty(), self.body.is_empty()) {
                (true, true) => break,
                (false, true) => io.as_mut().poll_write(cx, head),
                (true, false) => io.as_mut().poll_write(cx, &self.body),
                (false, false) => io.as_mut().poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(&self.body)]),
            })?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = len.min(head.len());
            self.sent += of_head;
            self.body.advance(len - of_head);
        }
        // TLS may hold some back.
        io.poll_flush(cx)
    }
}

/// Bodies up to this length follow their head in the same memory.
const ONE_WRITE: usize = 3 * 1024;
const HEAD_USUAL: usize = 512;

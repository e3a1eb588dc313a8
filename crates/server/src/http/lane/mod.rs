//! How are the plainest requests answered at little cost? The lane lies between the socket and hyper's HTTP/1.1: what
//! the handler can answer at once never gets to hyper, everything else does, request by request.
//!
//! Invariant: hyper is given one request at a time, and while it has one the lane answers none; so answers leave in the
//! order of their requests. What the lane cannot tell the end of is hyper's, with all that follows on that connection.

mod answer;
pub mod head;
mod request;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;

use super::Handle;
use super::connection::Wire;
use super::roster::Pulse;
use answer::Answer;
use request::{Front, front};

pub use request::Plain;

/// A connection, as hyper sees it.
pub struct Lane<S, H: Handle> {
    io: TokioIo<S>,
    handler: Arc<H>,
    pulse: Arc<Pulse>,
    turn: Turn,
    /// Read, and neither answered nor given to hyper.
    held: BytesMut,
    answer: Option<Answer<H::Guard>>,
}

/// Whose are the next bytes?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The lane's: hyper has answered all it was given.
    Ours,
    /// Hyper's, up to the end of one request, of which so much is not given yet. The pulse's moves tell when it is asked.
    Lent { left: usize, moves: u32 },
    /// Hyper's for good.
    Theirs,
}

impl<S: Wire, H: Handle> Lane<S, H> {
    /// Ahead of hyper on this connection, of which this much was read before.
    pub fn new(held: BytesMut, stream: S, handler: Arc<H>, pulse: Arc<Pulse>) -> Self {
        Self { io: TokioIo::new(stream), handler, pulse, turn: Turn::Ours, held, answer: None }
    }

    /// Answers what it can. Ready when it is hyper's turn.
    fn poll_ours(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        loop {
            ready!(self.poll_answer(cx))?;
            if !self.held.is_empty() {
                let held = std::mem::take(&mut self.held);
                let used = self.look(&held);
                self.keep(held, used);
            } else if self.turn == Turn::Ours {
                // The usual way: nothing is left over, and nothing is copied.
                let mut read = ReadBuf::uninit(&mut space);
                ready!(self.poll_more(&mut read, cx))?;
                let used = self.look(read.filled());
                self.held.extend_from_slice(&read.filled()[used..]);
            }
            if self.turn != Turn::Ours {
                return Poll::Ready(Ok(()));
            }
            if self.answer.is_none() && !self.held.is_empty() {
                let mut read = ReadBuf::uninit(&mut space);
                ready!(self.poll_more(&mut read, cx))?;
                self.held.extend_from_slice(read.filled());
            }
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(answer) = &mut self.answer {
            ready!(answer.poll_send(self.io.inner_mut(), &self.pulse, cx))?;
            self.answer = None;
        }
        Poll::Ready(Ok(()))
    }

    /// At the end of what the client sends, the rest is for hyper to judge.
    fn poll_more(&mut self, read: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(self.io.inner_mut()).poll_read(cx, read))?;
        if read.filled().is_empty() {
            self.turn = Turn::Theirs;
        }
        Poll::Ready(Ok(()))
    }

    /// At the request in front: makes its answer, or makes it hyper's. Says how many bytes are done with.
    fn look(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        match front(bytes) {
            Front::Partial if bytes.len() < HEAD_BYTES_MAX => {}
            Front::Partial | Front::Unbounded => self.turn = Turn::Theirs,
            Front::Upgrade => {
                self.io.inner().keep_queue_short();
                self.turn = Turn::Theirs;
            }
            Front::Whole(len) => self.lend(len),
            Front::Plain(plain, len) => {
                self.answer = Answer::to(&plain, &*self.handler);
                if self.answer.is_some() {
                    return len;
                }
                self.lend(len);
            }
        }
        0
    }

    fn lend(&mut self, left: usize) {
        self.turn = Turn::Lent { left, moves: self.pulse.moves() };
    }

    /// What is not done with. Connections are many and seldom have any: then it takes no memory.
    fn keep(&mut self, mut held: BytesMut, used: usize) {
        held.advance(used);
        if !held.is_empty() {
            self.held = held;
        }
    }

    /// Gives hyper at most `most` of what is held.
    fn give(&mut self, buf: &mut ReadBufCursor<'_>, most: usize) -> usize {
        let mut held = std::mem::take(&mut self.held);
        let len = most.min(held.len()).min(buf.remaining());
        buf.put_slice(&held.split_to(len));
        self.keep(held, 0);
        len
    }

    /// Hyper has its request and looks whether the client is still there. What comes meanwhile waits here; flushing the
    /// answer wakes it.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            return Poll::Pending;
        }
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(self.io.inner_mut()).poll_read(cx, &mut read))?;
        self.held.extend_from_slice(read.filled());
        if self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl<S: Wire, H: Handle> Read for Lane<S, H> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.turn == Turn::Ours {
            ready!(this.poll_ours(cx))?;
        }
        match this.turn {
            Turn::Lent { left: 0, .. } => return this.poll_gone(cx),
            Turn::Lent { left, moves } => {
                let left = left - this.give(&mut buf, left);
                this.turn = Turn::Lent { left, moves };
            }
            Turn::Theirs if this.held.is_empty() => return Pin::new(&mut this.io).poll_read(cx, buf),
            Turn::Theirs | Turn::Ours => {
                this.give(&mut buf, usize::MAX);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Wire, H: Handle> Write for Lane<S, H> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Hyper has written all it had. If that was the end of an answer, it is the lane's turn again.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if let Turn::Lent { left: 0, moves } = this.turn
            && this.pulse.has_answered_since(moves)
        {
            this.turn = Turn::Ours;
            if !this.held.is_empty() {
                // Nobody waits for the socket now.
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A stop lets it finish.
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// A request head as browsers send it, ticket and all, fits in; a longer one is hyper's.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const READ_BYTES: usize = HEAD_BYTES_MAX;

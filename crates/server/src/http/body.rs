//! What is sent, and how it is counted and paced on its way out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};

use super::roster::Answering;

/// Counts and paces what leaves. Dropped when the answer is done or given up.
pub trait Meter: Send {
    /// May these bytes leave now? Otherwise the meter arranges a wake-up.
    fn poll_allow(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<()>;
    /// They leave.
    fn count(&mut self, len: usize);
    /// The most bytes to let out at once.
    fn step(&self) -> usize;
}

/// An answer's body.
pub struct Body {
    source: Source,
    meter: Option<Box<dyn Meter>>,
    /// What has come from the source and not left yet.
    held: Bytes,
    answering: Option<Answering>,
}

type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

enum Source {
    /// Nothing but what is held.
    Done,
    Pieces(VecDeque<Bytes>),
    Stream(ByteStream, Option<u64>),
    Router(axum::body::Body),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// Bytes that are at hand.
    pub fn full(bytes: Bytes) -> Self {
        Self { source: Source::Done, meter: None, held: bytes, answering: None }
    }

    /// Several runs of bytes at hand, sent one after another.
    pub fn pieces(pieces: VecDeque<Bytes>) -> Self {
        Self { source: Source::Pieces(pieces), ..Self::empty() }
    }

    /// Bytes still to come; `len` when it is known.
    pub fn stream(
        stream: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
        len: Option<u64>,
    ) -> Self {
        Self { source: Source::Stream(Box::pin(stream), len), ..Self::empty() }
    }

    /// Puts a meter on the way out.
    pub fn metered(mut self, meter: Box<dyn Meter>) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Keeps the connection from being idle until all has left.
    pub(super) fn during(mut self, mut answering: Answering) -> Self {
        answering.made();
        self.answering = Some(answering);
        self
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::BoxError>>> {
        while self.held.is_empty() {
            match std::task::ready!(self.source.poll_next(cx)) {
                Some(Ok(piece)) => self.held = piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let Some(meter) = &mut self.meter else {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.held))));
        };
        let len = self.held.len().min(meter.step());
        std::task::ready!(meter.poll_allow(cx, len));
        meter.count(len);
        Poll::Ready(Some(Ok(self.held.split_to(len))))
    }
}

impl From<axum::body::Body> for Body {
    fn from(body: axum::body::Body) -> Self {
        Self { source: Source::Router(body), ..Self::empty() }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let polled = this.poll_piece(cx);
        match &mut this.answering {
            Some(answering) if polled.is_pending() => answering.awaited(),
            Some(answering) => answering.moved(),
            None => {}
        }
        polled.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        let at_end = match &self.source {
            Source::Done => true,
            Source::Pieces(rest) => rest.is_empty(),
            Source::Stream(..) | Source::Router(_) => false,
        };
        at_end && self.held.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.len() as u64;
        match &self.source {
            Source::Done => SizeHint::with_exact(held),
            Source::Pieces(rest) => {
                SizeHint::with_exact(held + rest.iter().map(|piece| piece.len() as u64).sum::<u64>())
            }
            Source::Stream(_, Some(len)) => SizeHint::with_exact(held + len),
            Source::Stream(_, None) => SizeHint::default(),
            Source::Router(body) => http_body::Body::size_hint(body),
        }
    }
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::BoxError>>> {
        match self {
            Self::Done => Poll::Ready(None),
            Self::Pieces(rest) => Poll::Ready(rest.pop_front().map(Ok)),
            Self::Stream(stream, len) => {
                let item = std::task::ready!(stream.as_mut().poll_next(cx));
                if let (Some(Ok(piece)), Some(len)) = (&item, len) {
                    *len = len.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(item.map(|result| result.map_err(Into::into)))
            }
            Self::Router(body) => loop {
                match std::task::ready!(http_body::Body::poll_frame(Pin::new(body), cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            },
        }
    }
}

//! What is sent, and how it is counted and paced on its way out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};

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
    /// A piece that waits for its meter.
    held: Option<Bytes>,
}

type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

enum Source {
    /// The first apart, for most answers are of one piece and need no list.
    Pieces(Option<Bytes>, VecDeque<Bytes>),
    Stream(ByteStream, Option<u64>),
    Router(axum::body::Body),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Self::pieces(VecDeque::new())
    }

    /// Bytes that are at hand.
    pub fn full(bytes: Bytes) -> Self {
        let first = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { source: Source::Pieces(first, VecDeque::new()), meter: None, held: None }
    }

    /// Several runs of bytes at hand, sent one after another.
    pub fn pieces(mut pieces: VecDeque<Bytes>) -> Self {
        Self { source: Source::Pieces(pieces.pop_front(), pieces), meter: None, held: None }
    }

    /// Bytes still to come; `len` when it is known.
    pub fn stream(
        stream: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
        len: Option<u64>,
    ) -> Self {
        Self { source: Source::Stream(Box::pin(stream), len), meter: None, held: None }
    }

    /// Puts a meter on the way out.
    pub fn metered(mut self, meter: Box<dyn Meter>) -> Self {
        self.meter = Some(meter);
        self
    }
}

impl From<axum::body::Body> for Body {
    fn from(body: axum::body::Body) -> Self {
        Self { source: Source::Router(body), meter: None, held: None }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let piece = match this.held.take() {
            Some(piece) => piece,
            None => match std::task::ready!(this.source.poll_next(cx)) {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            },
        };
        let Some(meter) = &mut this.meter else {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        };
        let mut piece = piece;
        let step = meter.step();
        if piece.len() > step {
            let rest = piece.split_off(step);
            this.source.put_back(rest);
        }
        if meter.poll_allow(cx, piece.len()).is_pending() {
            this.held = Some(piece);
            return Poll::Pending;
        }
        meter.count(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && matches!(&self.source, Source::Pieces(None, rest) if rest.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |piece| piece.len() as u64);
        match &self.source {
            Source::Pieces(first, rest) => {
                SizeHint::with_exact(held + first.iter().chain(rest).map(|piece| piece.len() as u64).sum::<u64>())
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
            Self::Pieces(first, rest) => Poll::Ready(first.take().or_else(|| rest.pop_front()).map(Ok)),
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

    /// Returns the unsent tail of a piece. Only metered sources split, and they are never a router's.
    fn put_back(&mut self, rest: Bytes) {
        match self {
            Self::Pieces(first, later) => {
                if let Some(second) = first.replace(rest) {
                    later.push_front(second);
                }
            }
            Self::Stream(stream, len) => {
                if let Some(len) = len {
                    *len += rest.len() as u64;
                }
                let tail = std::mem::replace(stream, Box::pin(futures_util::stream::empty()));
                let head = futures_util::stream::once(std::future::ready(Ok(rest)));
                *stream = Box::pin(futures_util::StreamExt::chain(head, tail));
            }
            Self::Router(_) => unreachable!("a router's answers carry no meter"),
        }
    }
}

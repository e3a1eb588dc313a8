//! What did a real peer do, and why? A tape from a browser or a node, lived through again by the same brain.

use trellis_core::peer::{Event, Output};
use trellis_core::tape::{self, Replayed, Unlike};
use trellis_core::time::Instant;
use trellis_proto::frame::{ChunkId, Frame};

use crate::trace::Named;

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Layers of parts that were whole.
    pub parts: u64,
    /// Chunks given to others.
    pub given: u64,
    /// Chunks asked of the edge because their time was near.
    pub rescues: u64,
    /// Chunks asked of others than their pusher.
    pub pulls: u64,
    /// Parts that were not whole when they were due.
    pub missed: u64,
}

/// Replays a tape. `tell` hears everything about one chunk, or every rescue and every miss when there is none.
pub fn replay(
    bytes: &[u8],
    chunk: Option<ChunkId>,
    mut tell: impl FnMut(String),
) -> Result<(Replayed, Account), Unlike> {
    let (mut account, mut began) = (Account::default(), None);
    let replayed = tape::replay(bytes, |now, output| {
        let began: Instant = *began.get_or_insert(now);
        account.add(output);
        if worth_telling(output, chunk) {
            tell(format!("{:10.3} s  {}", now.since(began).as_secs_f64(), said(output)));
        }
    })?;
    Ok((replayed, account))
}

impl Account {
    fn add<P>(&mut self, output: &Output<P>) {
        match output {
            Output::Part(_) => self.parts += 1,
            Output::Send(to, Frame::Chunk(_)) if !to.is_edge() => self.given += 1,
            Output::Event(Event::Rescue(..)) => self.rescues += 1,
            Output::Event(Event::Pull(..)) => self.pulls += 1,
            Output::Event(Event::Due(_, false)) => self.missed += 1,
            _ => {}
        }
    }
}

fn worth_telling<P>(output: &Output<P>, chunk: Option<ChunkId>) -> bool {
    match chunk {
        // Runs are not named on command lines: a tape rarely has two.
        Some(it) => {
            concerns(output).is_some_and(|id| (id.part.part, id.of, id.index) == (it.part.part, it.of, it.index))
        }
        None => matches!(output, Output::Event(Event::Rescue(..) | Event::Due(_, false)) | Output::Closed(_)),
    }
}

fn concerns<P>(output: &Output<P>) -> Option<ChunkId> {
    match output {
        Output::Send(_, Frame::Chunk(chunk)) => Some(chunk.id),
        Output::Event(Event::Rescue(id, _) | Event::Pull(id, _) | Event::Duplicate(id, _)) => Some(*id),
        _ => None,
    }
}

fn said<P>(output: &Output<P>) -> String {
    match output {
        Output::Send(to, Frame::Chunk(chunk)) => format!("gives {} to {}", Named(chunk.id), to.0),
        Output::Event(Event::Rescue(id, from)) => {
            format!("rescued {}, which {} should have brought", Named(*id), from.0)
        }
        Output::Event(Event::Pull(id, from)) => format!("asked {} for {}", from.0, Named(*id)),
        Output::Event(Event::Duplicate(id, from)) => format!("got {} again from {}", Named(*id), from.0),
        Output::Event(Event::Due(part, _)) => format!("part {} was not whole when it was due", part.part),
        Output::Closed(why) => format!("ended: {why:?}"),
        _ => String::new(),
    }
}

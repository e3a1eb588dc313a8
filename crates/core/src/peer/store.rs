//! What do I have, and what is still missing of what I want?
//!
//! Only verified chunks lie here. A part is in one state: known (its descriptor is here) and, layer by layer, complete or
//! with chunks missing. Invariant: `here` holds the numbers of the places in `chunks` that are not empty, and a finished
//! layer stays whole until its part is forgotten.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use trellis_proto::Descriptor;
use trellis_proto::frame::{Bits, ChunkId, LayerId, PartId, PeerId, Row};

use crate::near::Near;
use crate::time::Instant;
use crate::trust::VerifiedChunk;

/// The parts this peer knows.
#[derive(Debug)]
pub struct Store<P> {
    /// In order. Parts come one after the other, so one lies where its number says, or near.
    parts: VecDeque<(PartId, Held<P>)>,
    /// Parts with something missing, in order, so that a scan looks at nothing else.
    open: Vec<PartId>,
    keep: usize,
}

/// One known part.
#[derive(Debug)]
pub struct Held<P> {
    /// What it should be.
    pub descriptor: Arc<Descriptor>,
    /// The same as signed, to pass on.
    pub signed: Bytes,
    /// When the descriptor came, or would have come to one who was here.
    pub arrived: Instant,
    /// The layers wanted of it.
    pub layers: Vec<HeldLayer<P>>,
}

impl<P: Clone> Held<P> {
    /// Can it be played: are all base layers whole?
    pub fn is_playable(&self) -> bool {
        self.layers.iter().all(|layer| layer.of.layer > 0 || layer.is_complete())
    }
}

/// One wanted layer of one part.
#[derive(Debug)]
pub struct HeldLayer<P> {
    /// Which.
    pub of: LayerId,
    /// By number; None: missing.
    chunks: Vec<Option<(VerifiedChunk<P>, u8)>>,
    /// The numbers of those that are not missing, for looking through without touching them.
    here: Bits,
    missing: u16,
    /// Substreams whose pusher was found late in this part: counted once.
    late: u16,
    /// Who was asked for what, and until when an answer may take.
    pub asked: Vec<Asked>,
}

/// A chunk somebody was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The chunk's number.
    pub index: u16,
    /// Who should bring it.
    pub whom: PeerId,
    /// When to ask another.
    pub until: Instant,
    /// It may still bring it: it did not say that it cannot.
    pub open: bool,
}

/// What became of a chunk that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// New; the layer still misses others.
    New,
    /// New, and the layer is whole now.
    Completed,
}

impl<P: Clone> Store<P> {
    /// An empty store that remembers so many parts.
    pub fn new(keep: usize) -> Self {
        Self { parts: VecDeque::new(), open: Vec::new(), keep }
    }

    /// A part becomes known, with the layers wanted of it. Layers without bytes are whole at once.
    pub fn know(
        &mut self,
        id: PartId,
        descriptor: Arc<Descriptor>,
        signed: Bytes,
        arrived: Instant,
        wanted: &[LayerId],
    ) {
        let layers: Vec<_> = wanted.iter().filter_map(|of| HeldLayer::new(*of, &descriptor)).collect();
        if let Err(at) = self.open.binary_search(&id)
            && layers.iter().any(|layer| layer.missing > 0)
        {
            self.open.insert(at, id);
        }
        let held = Held { descriptor, signed, arrived, layers };
        match self.place(id) {
            Ok(at) => self.parts[at].1 = held,
            Err(at) => self.parts.insert(at, (id, held)),
        }
    }

    /// Where a part lies, or would.
    fn place(&self, id: PartId) -> Result<usize, usize> {
        let likely = self.parts.front().map_or(0, |(first, _)| id.part.wrapping_sub(first.part)) as usize;
        match self.parts.get(likely) {
            Some((there, _)) if *there == id => Ok(likely),
            _ => self.parts.binary_search_by_key(&id, |(id, _)| *id),
        }
    }

    /// The part, when its descriptor is here.
    pub fn get(&self, id: PartId) -> Option<&Held<P>> {
        self.place(id).ok().map(|at| &self.parts[at].1)
    }

    /// The layer, when it is wanted.
    pub fn layer(&self, id: PartId, of: LayerId) -> Option<&HeldLayer<P>> {
        self.get(id)?.layers.iter().find(|layer| layer.of == of)
    }

    /// The layer, to note who was asked.
    pub fn layer_mut(&mut self, id: PartId, of: LayerId) -> Option<&mut HeldLayer<P>> {
        let at = self.place(id).ok()?;
        self.parts[at].1.layers.iter_mut().find(|layer| layer.of == of)
    }

    /// Puts a chunk in. None: nobody wants it, or it is here.
    pub fn put(&mut self, id: ChunkId, chunk: VerifiedChunk<P>, hop: u8) -> Option<Put> {
        let at = self.place(id.part).ok()?;
        let held = &mut self.parts[at].1;
        let layer = held.layers.iter_mut().find(|layer| layer.of == id.of)?;
        let place = layer.chunks.get_mut(usize::from(id.index)).filter(|place| place.is_none())?;
        *place = Some((chunk, hop));
        layer.here.insert(usize::from(id.index));
        layer.missing -= 1;
        layer.asked.retain(|asked| asked.index != id.index);
        if layer.missing > 0 {
            return Some(Put::New);
        }
        if held.layers.iter().all(|layer| layer.missing == 0) {
            self.close(id.part);
        }
        Some(Put::Completed)
    }

    /// A chunk, and how many peers it had passed.
    pub fn chunk(&self, id: ChunkId) -> Option<(&VerifiedChunk<P>, u8)> {
        let layer = self.layer(id.part, id.of)?;
        layer.chunks.get(usize::from(id.index))?.as_ref().map(|(chunk, hop)| (chunk, *hop))
    }

    /// Parts with something missing, oldest first.
    pub fn open(&self) -> impl Iterator<Item = PartId> + '_ {
        self.open.iter().copied()
    }

    /// Known parts from one on, oldest first.
    pub fn from(&self, id: PartId) -> impl Iterator<Item = (PartId, &Held<P>)> {
        let at = self.place(id).unwrap_or_else(|at| at);
        self.parts.range(at..).map(|(id, held)| (*id, held))
    }

    /// Known parts before one, as far as they follow each other without a gap, newest first.
    pub fn before(&self, id: PartId) -> impl Iterator<Item = (PartId, &Held<P>)> {
        let at = self.place(id).unwrap_or_else(|at| at);
        let back = self.parts.range(..at).rev().zip(1..);
        back.take_while(move |((known, _), n)| known.part + n == id.part).map(|((id, held), _)| (*id, held))
    }

    /// The newest part known.
    pub fn newest(&self) -> Option<PartId> {
        self.parts.back().map(|(id, _)| *id)
    }

    /// The oldest part known.
    pub fn oldest(&self) -> Option<PartId> {
        self.parts.front().map(|(id, _)| *id)
    }

    /// How many parts are known.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// What is held, as rows, of at most so many newest parts.
    pub fn rows(&self, parts_max: usize) -> Vec<Row> {
        let newest = self.parts.iter().rev().take(parts_max);
        newest.flat_map(|(id, held)| held.layers.iter().filter_map(|layer| layer.row(*id))).collect()
    }

    /// Forgets what lies more than was to be kept before `playing`. What was forgotten.
    pub fn forget_before(&mut self, playing: PartId) -> Option<PartId> {
        let behind = self.place(playing).unwrap_or_else(|at| at);
        (behind > self.keep).then(|| self.forget_oldest()).flatten()
    }

    /// Forgets one part.
    pub fn forget_oldest(&mut self) -> Option<PartId> {
        let (id, _) = self.parts.pop_front()?;
        self.close(id);
        Some(id)
    }

    /// Forgets the part that is farthest ahead.
    pub fn forget_newest(&mut self) -> Option<PartId> {
        let (id, _) = self.parts.pop_back()?;
        self.close(id);
        Some(id)
    }

    /// Playback goes on with this part: what is missing from there on is looked for, what was passed over included.
    pub fn reopen(&mut self, from: PartId) {
        let lacks = |held: &Held<P>| held.layers.iter().any(|layer| layer.missing > 0);
        self.open = self.from(from).filter(|(_, held)| lacks(held)).map(|(id, _)| id).collect();
    }

    /// From this part on of its run these layers are wanted. Of others what is whole stays, for it is of use to somebody; the
    /// rest goes. Who was asked for that, and for what.
    pub fn want(&mut self, from: PartId, wanted: &[LayerId]) -> Vec<(PeerId, Row)> {
        let at = self.place(from).unwrap_or_else(|at| at);
        let mut in_vain = Vec::new();
        for (id, held) in self.parts.range_mut(at..).filter(|(id, _)| id.run == from.run) {
            let goes = |layer: &HeldLayer<P>| !layer.is_complete() && !wanted.contains(&layer.of);
            held.layers.iter().filter(|layer| goes(layer)).for_each(|layer| in_vain.extend(layer.awaited(*id)));
            held.layers.retain(|layer| !goes(layer));
            let new = wanted.iter().filter(|of| held.layers.iter().all(|layer| layer.of != **of));
            let new: Vec<_> = new.filter_map(|of| HeldLayer::new(*of, &held.descriptor)).collect();
            held.layers.extend(new);
        }
        let before = self.open.partition_point(|id| *id < from);
        let lacks = self.parts.range(at..).filter(|(_, held)| held.layers.iter().any(|layer| layer.missing > 0));
        let lacks: Vec<_> = lacks.map(|(id, _)| *id).collect();
        self.open.splice(before.., lacks);
        in_vain
    }

    /// Brings near where a chunk will lie: see `Peer::glance`.
    pub fn glance<N: Near>(&self, level: u8, id: ChunkId) {
        match level {
            1 => {
                self.parts.iter().rev().take(2).chain(self.parts.front()).for_each(N::near);
                self.parts.back().into_iter().for_each(|(_, held)| N::near(&held.layers));
                self.open.last().into_iter().for_each(N::near);
            }
            2 => self.get(id.part).into_iter().flat_map(|held| &held.layers).for_each(|layer| {
                N::near(layer);
                N::near(&layer.asked);
            }),
            3 => {
                let place = self.layer(id.part, id.of).and_then(|layer| layer.chunks.get(usize::from(id.index)));
                place.into_iter().for_each(N::near);
            }
            _ => {}
        }
    }

    /// Gives up waiting for a part: it is no longer looked at.
    pub fn close(&mut self, id: PartId) {
        if let Ok(at) = self.open.binary_search(&id) {
            self.open.remove(at);
        }
    }
}

impl<P: Clone> HeldLayer<P> {
    fn new(of: LayerId, descriptor: &Descriptor) -> Option<Self> {
        let part = descriptor.tracks.get(usize::from(of.rendition))?.layers.get(usize::from(of.layer))?;
        let chunks: Vec<_> = part.hashes.iter().map(|_| None).collect();
        let missing = chunks.len() as u16;
        Some(Self { of, chunks, here: Bits::default(), missing, late: 0, asked: Vec::new() })
    }

    /// Is nothing missing?
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The numbers of what is missing.
    pub fn missing(&self) -> impl Iterator<Item = u16> + '_ {
        (0..self.chunks.len()).filter(|index| !self.here.contains(*index)).map(|index| index as u16)
    }

    /// The numbers of what is here.
    pub fn present(&self) -> impl Iterator<Item = u16> + '_ {
        self.here.iter().map(|index| index as u16)
    }

    /// Is this one missing?
    pub fn misses(&self, index: u16) -> bool {
        usize::from(index) < self.chunks.len() && !self.here.contains(usize::from(index))
    }

    /// All chunks in order, when none is missing.
    pub fn whole(&self) -> Option<Vec<VerifiedChunk<P>>> {
        self.chunks.iter().map(|place| place.as_ref().map(|(chunk, _)| chunk.clone())).collect()
    }

    /// Notes that a substream's pusher is late in this part. True: for the first time.
    pub fn mark_late(&mut self, substream: u8) -> bool {
        let first = self.late >> substream & 1 == 0;
        self.late |= 1 << substream;
        first
    }

    /// Notes that somebody was asked, and who was before and may still bring it.
    pub fn ask(&mut self, asked: Asked) {
        self.asked.retain(|before| before.index != asked.index || before.open && before.whom != asked.whom);
        if self.asked_for(asked.index).count() >= ASKED_FOR_MAX
            && let Some(oldest) = self.asked.iter().position(|before| before.index == asked.index)
        {
            self.asked.remove(oldest);
        }
        self.asked.push(asked);
    }

    /// Who was asked for a chunk, the last one first.
    pub fn asked_for(&self, index: u16) -> impl Iterator<Item = &Asked> {
        self.asked.iter().rev().filter(move |asked| asked.index == index)
    }

    /// Who may still bring what.
    fn awaited(&self, part: PartId) -> impl Iterator<Item = (PeerId, Row)> + '_ {
        let row = move |index: u16| Row { part, of: self.of, chunks: [usize::from(index)].into_iter().collect() };
        self.asked.iter().filter(|asked| asked.open).map(move |asked| (asked.whom, row(asked.index)))
    }

    fn row(&self, part: PartId) -> Option<Row> {
        (!self.here.is_empty()).then(|| Row { part, of: self.of, chunks: self.here.clone() })
    }
}

/// Who was asked before these has given up long ago.
const ASKED_FOR_MAX: usize = 3;

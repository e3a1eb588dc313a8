//! Where does the local player read in a recording, and which of it is worth waiting for?
//!
//! The brain plays on a clock of its own; what the player asks for tells where that clock should be. Who reads on is answered
//! by the mesh, as long as somebody is bringing it and there is time; whoever goes elsewhere is answered by the edge at once,
//! and the brain goes there, too. Invariant: nothing is waited for longer than [`WAIT_MAX`], nor by more than [`WAITS_MAX`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use trellis_core::peer::{Awaited, Held};
use trellis_core::time::Instant as CoreInstant;
use trellis_proto::RunId;
use trellis_proto::frame::{LayerId, PartId};
use trellis_server::shelf::{Item, Key};

use crate::driver::Brain;

/// What is heard of a local player, and of what was fetched for it.
#[derive(Debug)]
pub enum Asked {
    /// It asks for these parts of a recording's rendition.
    Parts(RunId, u8, RangeInclusive<u64>),
    /// This is not here, and being fetched from the edge.
    Missing(Key),
    /// This part of a recording is not here: its bytes may come from the mesh. Without an answer they are fetched.
    Wanted(Key, oneshot::Sender<Bytes>),
    /// These bytes of a recording's part came from the edge, and are what they should be.
    Came(Key, Bytes),
}

/// A player that reads.
#[derive(Debug, Default)]
pub struct Reader {
    run: Option<RunId>,
    /// By rendition.
    places: BTreeMap<u8, Place>,
    waits: BTreeMap<(u64, u8), Wait>,
    read: Option<Instant>,
    /// It went elsewhere: the first part after what it asked for there.
    jumped: Option<u64>,
    moved: Option<Instant>,
    /// Where the brain was told to go, until it is there.
    aim: Option<u64>,
}

/// What was asked for last.
#[derive(Debug, Clone)]
struct Place {
    parts: RangeInclusive<u64>,
    at: Instant,
    /// It does not follow what was asked for before.
    jumped: bool,
}

#[derive(Debug)]
struct Wait {
    key: Key,
    since: Instant,
    answer: oneshot::Sender<Bytes>,
}

/// How things stand with a part that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    awaited: Awaited,
    /// There are peers that bring what comes next.
    helpers: bool,
    waited: Duration,
    /// Until the player needs it at the soonest.
    left: Duration,
}

impl Reader {
    /// What it may read: of another recording nothing was asked for yet.
    pub fn set_run(&mut self, run: RunId) {
        if self.run != Some(run) {
            *self = Self { run: Some(run), ..Self::default() };
        }
    }

    /// It asks for these parts.
    pub fn on_read(&mut self, now: Instant, rendition: u8, parts: RangeInclusive<u64>) {
        let before = self.places.get(&rendition);
        let again = before.is_some_and(|before| before.parts.contains(parts.start()));
        let follows = before.is_some_and(|before| before.parts.end() + 1 == *parts.start());
        let jumped = !follows && before.is_none_or(|before| !again || before.jumped);
        if !follows && !again {
            self.jumped = Some(parts.end() + 1);
        }
        self.read = Some(now);
        self.places.insert(rendition, Place { parts, at: now, jumped });
        while self.places.len() > RENDITIONS_MAX {
            self.places.pop_first();
        }
    }

    /// Has it ever asked for anything?
    pub fn has_read(&self) -> bool {
        self.read.is_some()
    }

    /// Has it not asked for anything for a while?
    pub fn is_idle(&self, now: Instant) -> bool {
        self.read.is_none_or(|read| now > read + IDLE)
    }

    /// Does anything wait?
    pub fn waits(&self) -> bool {
        !self.waits.is_empty()
    }

    /// What it will ask for next of one of these renditions, the one it asked for last.
    pub fn next_of(&self, renditions: impl Iterator<Item = u8>) -> Option<u64> {
        let places = renditions.filter_map(|rendition| self.places.get(&rendition));
        places.max_by_key(|place| place.at).map(|place| place.parts.end() + 1)
    }

    /// Where the brain is, or will be in a moment.
    pub fn here(&mut self, brain: &Brain) -> Option<u64> {
        let cursor = brain.cursor().filter(|cursor| Some(cursor.part.run) == self.run).map(|cursor| cursor.part.part);
        self.aim = self.aim.filter(|aim| cursor.is_none_or(|cursor| !(*aim..aim + NEAR).contains(&cursor)));
        self.aim.or(cursor)
    }

    /// The brain is to go on there. `parts`: how many there are, if that is known.
    pub fn target(&mut self, now: Instant, brain: &Brain, run: RunId, parts: Option<u64>) -> Option<PartId> {
        let here = self.here(brain);
        if self.moved.is_some_and(|moved| now < moved + MOVE_EVERY) {
            return None;
        }
        let to = match self.jumped.take() {
            Some(to) if here.is_some_and(|here| (here..here + NEAR).contains(&to)) => None,
            Some(to) => Some(to),
            None => self.ahead(now, here?).map(|to| first_of_whole(brain, run, to)),
        };
        let to = to.filter(|to| parts.is_none_or(|parts| *to < parts) && Some(*to) != here)?;
        (self.moved, self.aim) = (Some(now), Some(to));
        Some(PartId { run, part: to })
    }

    /// A player that fills its buffer is far ahead of what is played: what it asks for next.
    fn ahead(&self, now: Instant, here: u64) -> Option<u64> {
        let reads = self.places.values().filter(|place| now < place.at + READS);
        reads.map(|place| place.parts.end() + 1).min().filter(|next| *next > here + AHEAD)
    }

    /// It waits for this. False: the edge is to bring it.
    pub fn wait(&mut self, now: Instant, key: Key, answer: oneshot::Sender<Bytes>) -> bool {
        let Item::Part(part) = key.item else { return false };
        let place =
            self.places.get(&key.rendition).filter(|place| place.parts.contains(&part) && self.run == Some(key.run));
        let waits = place.is_some_and(|place| !place.jumped) && self.waits.len() < WAITS_MAX;
        if waits {
            self.waits.insert((part, key.rendition), Wait { key, since: now, answer });
        }
        waits
    }

    /// A layer of a part came, whole. True: somebody waited for it and has it.
    pub fn on_part(&mut self, id: PartId, of: LayerId, bytes: impl FnOnce() -> Bytes) -> bool {
        let wait = self.waits.remove(&(id.part, of.rendition)).filter(|wait| wait.key.run == id.run);
        wait.is_some_and(|wait| wait.answer.send(bytes()).is_ok())
    }

    /// What is not waited for any more: the edge brings it, once its answer is dropped here.
    pub fn give_up(&mut self, now: Instant, at: CoreInstant, brain: Option<&Brain>) -> Vec<Key> {
        let mut given_up = Vec::new();
        for wait in std::mem::take(&mut self.waits).into_values() {
            let Some(brain) = brain.filter(|brain| self.brings(now, at, brain, &wait)) else {
                given_up.push(wait.key);
                continue;
            };
            match held(brain, wait.key) {
                // Nobody may be there to take it.
                Some(bytes) => drop(wait.answer.send(bytes)),
                None => drop(self.waits.insert((part_of(wait.key).1, wait.key.rendition), wait)),
            }
        }
        given_up
    }

    /// Will the brain bring it, or has it?
    fn brings(&self, now: Instant, at: CoreInstant, brain: &Brain, wait: &Wait) -> bool {
        let ((id, part), of) = (part_of(wait.key), layer_of(wait.key));
        if !brain.layers().contains(&of) {
            return false;
        }
        let passed = self.aim.or(brain.cursor().map(|cursor| cursor.part.part)).is_none_or(|here| part < here);
        let view = View {
            awaited: brain.awaited(at, id, of),
            helpers: brain.has_helpers(at),
            waited: now.saturating_duration_since(wait.since),
            left: brain.due(id).map_or(Duration::MAX, |due| due.since(at)),
        };
        matches!(brain.held(id, of), Held::Whole(_)) || !passed && is_worth_it(view)
    }
}

/// Is there reason to wait on?
fn is_worth_it(view: View) -> bool {
    let patience = match view.awaited {
        Awaited::Edge => WAIT_MAX,
        Awaited::Peers if view.left > HURRY => WAIT_MAX,
        Awaited::Nobody if view.helpers && view.left > HURRY => ASK_TIME,
        Awaited::Nobody | Awaited::Peers => Duration::ZERO,
    };
    view.waited < patience
}

/// The oldest part from which on all is here up to this one, not too far back: nothing of that is fetched again.
fn first_of_whole(brain: &Brain, run: RunId, to: u64) -> u64 {
    let whole = (to.saturating_sub(BACK)..to).rev().take_while(|part| brain.is_whole(PartId { run, part: *part }));
    whole.last().unwrap_or(to)
}

fn held(brain: &Brain, key: Key) -> Option<Bytes> {
    match brain.held(part_of(key).0, layer_of(key)) {
        Held::Whole(chunks) => Some(joined(chunks.into_iter().map(|chunk| chunk.into_bytes()))),
        Held::Coming | Held::No => None,
    }
}

/// Chunks one after the other.
pub fn joined(chunks: impl Iterator<Item = Bytes>) -> Bytes {
    let mut whole = BytesMut::new();
    chunks.for_each(|chunk| whole.extend_from_slice(&chunk));
    whole.freeze()
}

/// The layer an object is. Renditions are not layered yet: the base is all there is.
pub fn layer_of(key: Key) -> LayerId {
    LayerId { rendition: key.rendition, layer: 0 }
}

fn part_of(key: Key) -> (PartId, u64) {
    let part = match key.item {
        Item::Part(part) => part,
        // Never waited for.
        Item::Init => u64::MAX,
    };
    (PartId { run: key.run, part }, part)
}

/// Parts that lie near: three segments.
const NEAR: u64 = 18;
/// A player that asks for what lies farther ahead of the brain takes it along, ...
const AHEAD: u64 = 40;
/// ... to at most so many parts before what it asks for: ten seconds are time for peers, and as many lie beyond.
const BACK: u64 = 30;
/// Seeks cost the edge a question and a report each.
const MOVE_EVERY: Duration = Duration::from_millis(300);
/// Whoever asks for nothing for so long stands still, or has all it wants.
const IDLE: Duration = Duration::from_secs(12);
/// A rendition that was asked for within this time is being read.
const READS: Duration = Duration::from_secs(6);
/// However full its buffer: a player that fills it is not to be held up.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Until somebody is asked.
const ASK_TIME: Duration = Duration::from_millis(250);
/// A part that is needed so soon is the edge's to bring.
const HURRY: Duration = Duration::from_millis(400);
const WAITS_MAX: usize = 256;
const RENDITIONS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rendition: u8, part: u64) -> Key {
        Key { run: RunId(1), rendition, item: Item::Part(part) }
    }

    #[test]
    fn who_reads_on_waits_for_the_mesh_and_who_goes_elsewhere_does_not() {
        let (mut reader, now) = (Reader::default(), Instant::now());
        reader.set_run(RunId(1));
        let waits = |reader: &mut Reader, part| reader.wait(now, key(0, part), oneshot::channel().0);
        assert!(!waits(&mut reader, 3), "nobody asked for it");
        reader.on_read(now, 0, 0..=5);
        assert!(!waits(&mut reader, 3), "it begins");
        reader.on_read(now, 0, 6..=11);
        assert!(waits(&mut reader, 6));
        assert!(!waits(&mut reader, 12), "it did not ask for this");
        reader.on_read(now, 0, 6..=11);
        assert!(waits(&mut reader, 7), "asking again changes nothing");
        let before = Key { run: RunId(0), ..key(0, 7) };
        assert!(!reader.wait(now, before, oneshot::channel().0), "of a recording that was replaced nothing comes");
        reader.on_read(now, 0, 90..=95);
        assert!(!waits(&mut reader, 90));
        reader.on_read(now, 0, 90..=95);
        assert!(!waits(&mut reader, 95), "nor then");
        assert_eq!(reader.jumped, Some(96));
        let next_of = |reader: &Reader, renditions: [u8; 2]| reader.next_of(renditions.into_iter());
        reader.on_read(now + Duration::from_secs(1), 1, 96..=101);
        assert_eq!([[0, 1], [0, 2], [2, 3]].map(|it| next_of(&reader, it)), [Some(102), Some(96), None]);
    }

    #[test]
    fn a_part_is_waited_for_while_somebody_brings_it_in_time() {
        let view = |awaited, waited_ms, left_ms| View {
            awaited,
            helpers: true,
            waited: Duration::from_millis(waited_ms),
            left: Duration::from_millis(left_ms),
        };
        assert!(is_worth_it(view(Awaited::Peers, 1_900, 5_000)));
        assert!(!is_worth_it(view(Awaited::Peers, 2_000, 5_000)), "for ever");
        assert!(!is_worth_it(view(Awaited::Peers, 0, 300)), "too near");
        assert!(is_worth_it(view(Awaited::Edge, 0, 0)), "it is on its way from there");
        assert!(is_worth_it(view(Awaited::Nobody, 100, 5_000)), "somebody may be asked");
        assert!(!is_worth_it(view(Awaited::Nobody, 300, 5_000)));
        assert!(!is_worth_it(View { helpers: false, ..view(Awaited::Nobody, 0, 5_000) }), "there is nobody");
    }
}

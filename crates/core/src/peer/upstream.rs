//! Who pushes which substream to me, and is it late?
//!
//! Each wanted substream has one source: the parent that holds slots for it and a backup. `active` is the one that pushes
//! now; it is the backup after a local switch, until the cluster's next plan.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::frame::{LayerId, PeerId, Substream, Substreams, Take};

use crate::few::Few;
use crate::near::Near;
use crate::time::Instant;

/// The sources of all wanted substreams.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    layers: Few<LayerId, Vec<Source>>,
}

/// Where one substream comes from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    parent: Option<PeerId>,
    /// Whom to turn to when the parent is late.
    pub backup: Option<PeerId>,
    /// Who pushes now.
    pub active: Option<PeerId>,
    /// Who pushed before and was not told to stop yet.
    old: Option<PeerId>,
    /// How late after the descriptor the last parts came, ms.
    delays: [u16; DELAYS],
    next: usize,
    /// Parts in a row that were late.
    late_run: u8,
    since: Instant,
}

/// A substream has another pusher: tell both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub substream: Substream,
    /// Who pushes from now on.
    pub to: Option<PeerId>,
    /// Who need not any more; told when the new one has begun, ...
    pub from: Option<PeerId>,
    /// ... or at once, for nothing ever came from it.
    pub stop: Option<PeerId>,
}

impl Upstream {
    /// The cluster planned anew.
    pub fn assign(&mut self, now: Instant, take: &Take) -> Vec<Change> {
        take.set.iter().filter_map(|substream| self.assign_one(now, substream, take)).collect()
    }

    fn assign_one(&mut self, now: Instant, substream: Substream, take: &Take) -> Option<Change> {
        let source = self.source_mut(substream);
        source.parent = Some(take.parent);
        source.backup = Some(take.backup).filter(|backup| *backup != take.parent);
        (source.active != source.parent).then(|| source.change(now, substream, Some(take.parent)))
    }

    /// Nobody pushes these.
    pub fn release(&mut self, set: Substreams) {
        for substream in set.iter() {
            *self.source_mut(substream) = Source::default();
        }
    }

    /// Layers no longer watched: their pushers are to stop.
    pub fn drop_layer(&mut self, of: LayerId) -> Vec<(PeerId, Substreams)> {
        let sources = self.layers.remove(of).unwrap_or_default();
        let mut stop: BTreeMap<PeerId, u16> = BTreeMap::new();
        for (k, source) in sources.iter().enumerate() {
            for peer in [source.active, source.old].into_iter().flatten() {
                *stop.entry(peer).or_default() |= 1 << k;
            }
        }
        stop.into_iter().map(|(peer, mask)| (peer, Substreams { of, mask })).collect()
    }

    /// Brings the sources near: see `Peer::glance`.
    pub fn glance<N: Near>(&self, level: u8) {
        match level {
            1 => self.layers.glance::<N>(),
            2 => self.layers.iter().flat_map(|(_, sources)| sources).for_each(N::near),
            _ => {}
        }
    }

    /// The source of a substream, once it was assigned.
    pub fn source(&self, substream: Substream) -> Option<&Source> {
        self.layers.get(substream.of)?.get(usize::from(substream.index))
    }

    /// Its pusher brought a chunk so long after the descriptor. Some: the pusher before may stop.
    pub fn on_chunk(&mut self, substream: Substream, from: PeerId, delay: Duration) -> Option<PeerId> {
        let source = self.layers.get_mut(substream.of)?.get_mut(usize::from(substream.index))?;
        if source.active != Some(from) {
            return None;
        }
        source.delays[source.next % DELAYS] = delay.as_millis().min(u128::from(u16::MAX)) as u16;
        source.next += 1;
        source.late_run = 0;
        source.old.take().filter(|old| *old != from)
    }

    /// Had its pusher time to make a link and to begin? What is late before that is nobody's fault.
    pub fn is_settled(&self, now: Instant, substream: Substream) -> bool {
        self.source(substream).is_some_and(|source| now.since(source.since) > NEW_PUSHER)
    }

    /// A part's chunks were late, of a pusher from whom nothing else comes either (`quiet`) or something does. True: that
    /// was once too often, turn to the backup.
    pub fn on_late(&mut self, now: Instant, substream: Substream, quiet: bool) -> bool {
        let Some(source) = self.layers.get_mut(substream.of).and_then(|l| l.get_mut(usize::from(substream.index)))
        else {
            return false;
        };
        source.late_run = source.late_run.saturating_add(1);
        source.late_run >= if quiet { LATE_PARTS_QUIET } else { LATE_PARTS } && now.since(source.since) > NEW_PUSHER
    }

    /// Turns to the backup. None: there is none, or it pushes already.
    pub fn switch(&mut self, now: Instant, substream: Substream) -> Option<Change> {
        let source = self.source_mut(substream);
        let to = source.backup.filter(|backup| source.active != Some(*backup) && !backup.is_edge())?;
        source.late_run = 0;
        Some(source.change(now, substream, Some(to)))
    }

    /// A peer is gone: its substreams turn to their backups, or have no pusher.
    pub fn lose(&mut self, now: Instant, peer: PeerId) -> Vec<Change> {
        let lost = |source: &Source| source.active == Some(peer);
        let mut changes = Vec::new();
        for (of, sources) in self.layers.iter_mut() {
            for (k, source) in sources.iter_mut().enumerate() {
                source.backup = source.backup.filter(|backup| *backup != peer);
                source.old = source.old.filter(|old| *old != peer);
                if lost(source) {
                    let to = source.backup.filter(|backup| !backup.is_edge());
                    let substream = Substream { of, index: k as u8 };
                    let change = source.change(now, substream, to);
                    source.old = source.old.filter(|old| *old != peer);
                    changes.push(Change { stop: None, ..change });
                }
            }
        }
        changes
    }

    /// All substreams this peer should push now, and may have to be told about.
    pub fn pushed_by(&self, peer: PeerId) -> Vec<Substreams> {
        self.masks(|source| source.active == Some(peer))
    }

    /// Does anything come, or might come, from this peer?
    pub fn needs(&self, peer: PeerId) -> bool {
        let who = Some(peer);
        self.layers.values().flatten().any(|s| s.active == who || s.parent == who || s.backup == who || s.old == who)
    }

    /// Every peer that is pusher or backup of something.
    pub fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.layers.values().flatten().flat_map(|s| [s.active, s.backup]).flatten().collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    fn masks(&self, mut wanted: impl FnMut(&Source) -> bool) -> Vec<Substreams> {
        let mask = |sources: &Vec<Source>, wanted: &mut dyn FnMut(&Source) -> bool| {
            sources.iter().enumerate().filter(|(_, s)| wanted(s)).fold(0, |mask, (k, _)| mask | 1 << k)
        };
        let sets = self.layers.iter().map(|(of, sources)| Substreams { of, mask: mask(sources, &mut wanted) });
        sets.filter(|set| set.mask != 0).collect()
    }

    fn source_mut(&mut self, substream: Substream) -> &mut Source {
        let sources = self.layers.get_or_insert_with(substream.of, Vec::new);
        let index = usize::from(substream.index);
        if sources.len() <= index {
            sources.resize(index + 1, Source::default());
        }
        &mut sources[index]
    }
}

impl Source {
    /// How long after the descriptor its chunks may come before they count as late.
    pub fn patience(&self) -> Duration {
        let worst = self.delays.iter().copied().max().map_or(0, u64::from);
        let floor = if self.next < DELAYS { FIRST_DELAY } else { Duration::ZERO };
        let usual = Duration::from_millis(worst).max(floor);
        usual + LATE_MARGIN
    }

    /// Who may be pushing now.
    pub fn pushers(&self) -> [Option<PeerId>; 2] {
        [self.active, self.old]
    }

    /// Since when the present pusher is to push.
    pub fn since(&self) -> Instant {
        self.since
    }

    fn change(&mut self, now: Instant, substream: Substream, to: Option<PeerId>) -> Change {
        let from = core::mem::replace(&mut self.active, to);
        // Of two before the new one the older still pushes: it would have been told to stop with the first chunk of the other.
        let waits = self.old.filter(|old| to != Some(*old));
        let stop = from.filter(|from| waits.is_some_and(|old| old != *from));
        self.old = waits.or(from);
        self.late_run = 0;
        self.since = now;
        self.next = 0;
        self.delays = [0; DELAYS];
        Change { substream, to, from, stop }
    }
}

/// Parts whose delay is remembered: two segments, so that a key frame is among them.
const DELAYS: usize = 12;
/// What is expected of a pusher that was not seen to send a key frame yet.
const FIRST_DELAY: Duration = Duration::from_millis(600);
/// How much beyond the worst of late is late.
const LATE_MARGIN: Duration = Duration::from_millis(100);
/// So many late parts in a row and a pusher from whom nothing comes is given up, ...
const LATE_PARTS_QUIET: u8 = 2;
/// ... or one who is busy with others: it may be a large part that holds it up, and another may be no better.
const LATE_PARTS: u8 = 4;
/// A pusher that was just named is not judged yet: a link may have to be made first.
const NEW_PUSHER: Duration = Duration::from_millis(1_500);

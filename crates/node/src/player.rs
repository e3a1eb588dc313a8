//! What does the local player see, and when? Parts are listed in order, each once all that is wanted of it has come and was
//! verified, or was due: then what is missing is fetched from the edge when the player asks for it.
//!
//! Before the first part the mesh brings stand those of the last seconds, so that a player finds whole segments at once:
//! their descriptors are asked of the edge, their media come over HTTP if somebody wants them. Invariant: the shelf's time
//! line has no part that was not verified, and no gap but one that begins with a segment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trellis_core::peer::{Part, Peer};
use trellis_core::trust::RealCrypto;
use trellis_core::trust::table::Authority;
use trellis_proto::frame::{LayerId, PartId};
use trellis_proto::limits::ASK_MAX;
use trellis_proto::{Catalogue, Descriptor, RunEnd, RunId, Table};
use trellis_server::shelf::{Item, Key, Object, Shelf};

/// What lies between the brain and the shelf.
pub struct Player {
    shelf: Arc<Shelf>,
    authority: Option<Authority>,
    catalogues: BTreeMap<RunId, (Catalogue, Bytes)>,
    ends: BTreeMap<RunId, (RunEnd, Bytes)>,
    /// What came and is not listed.
    held: BTreeMap<PartId, Held>,
    /// Descriptors that we asked for ourselves.
    told: BTreeMap<PartId, Arc<Descriptor>>,
    asked: Option<Asked>,
    run: Option<RunId>,
    /// The first part of the run that the mesh brings.
    first: Option<PartId>,
    /// The next one to list; None: where to begin is not decided.
    next: Option<u64>,
    /// This part and those before it were due.
    due: Option<PartId>,
    gap_since: Option<Instant>,
    listed: Option<Arc<Descriptor>>,
}

struct Held {
    descriptor: Arc<Descriptor>,
    layers: Vec<(LayerId, Arc<Object>)>,
}

/// Descriptors under way.
#[derive(Debug, Clone, Copy)]
struct Asked {
    from: PartId,
    /// The first that is not among them.
    to: u64,
    until: Instant,
    sent: bool,
}

/// What listing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// Nothing new.
    Nothing,
    /// Up to this part of the newest run; it started then, ms since the Unix epoch.
    UpTo(Arc<Descriptor>, u64),
}

impl Player {
    /// Nothing has come.
    pub fn new(shelf: Arc<Shelf>) -> Self {
        Self {
            shelf,
            authority: None,
            catalogues: BTreeMap::new(),
            ends: BTreeMap::new(),
            held: BTreeMap::new(),
            told: BTreeMap::new(),
            asked: None,
            run: None,
            first: None,
            next: None,
            due: None,
            gap_since: None,
            listed: None,
        }
    }

    /// Who signs the stream's tables.
    pub fn trust(&mut self, authority: Authority) {
        self.authority = Some(authority);
    }

    /// The newest part listed.
    pub fn newest(&self) -> Option<u64> {
        self.listed.as_ref().map(|descriptor| descriptor.part)
    }

    /// A table came from the edge. True: it answers our own question, and is of no use to the brain.
    pub fn on_table(&mut self, message: &Bytes) -> bool {
        let Some((run, part)) = Descriptor::peek(message) else {
            self.on_other_table(message);
            return false;
        };
        let id = PartId { run, part };
        if self.first.is_none_or(|first| first.run < run) {
            self.first = Some(id);
        }
        let answers =
            |asked: &Asked| asked.sent && asked.from.run == run && (asked.from.part..asked.to).contains(&part);
        if !self.asked.as_ref().is_some_and(answers) {
            return false;
        }
        if let Some(Ok(Table::Descriptor(descriptor))) = self.authority.as_ref().map(|a| a.table(message)) {
            self.told.insert(id, Arc::new(descriptor));
            while self.told.len() > TOLD_MAX {
                self.told.pop_first();
            }
        }
        self.first.is_some_and(|first| id < first)
    }

    fn on_other_table(&mut self, message: &Bytes) {
        match self.authority.as_ref().map(|authority| authority.table(message)) {
            Some(Ok(Table::Catalogue(catalogue))) if self.run.is_none_or(|run| catalogue.run > run) => {
                self.catalogues.insert(catalogue.run, (catalogue, message.clone()));
                while self.catalogues.len() > RUNS_MAX {
                    self.catalogues.pop_first();
                }
            }
            Some(Ok(Table::RunEnd(end))) => {
                self.ends.insert(end.run, (end, message.clone()));
                while self.ends.len() > RUNS_MAX {
                    self.ends.pop_first();
                }
            }
            _ => {}
        }
    }

    /// A run's catalogue, listed or about to be.
    pub fn catalogue<T>(&self, run: RunId, look: impl FnOnce(&Catalogue) -> T) -> Option<T> {
        match self.catalogues.get(&run) {
            Some((catalogue, _)) => Some(look(catalogue)),
            None => self.shelf.look(|timeline| timeline.catalogue(run).map(look)),
        }
    }

    /// The newest run's catalogue.
    pub fn newest_catalogue<T>(&self, look: impl FnOnce(&Catalogue) -> T) -> Option<T> {
        let run = self.catalogues.keys().next_back().copied().or(self.run)?;
        self.catalogue(run, look)
    }

    /// A layer of a part is whole.
    pub fn on_part(&mut self, part: Part<Bytes>) {
        let Part { descriptor, of, chunks } = part;
        let id = PartId { run: descriptor.run, part: descriptor.part };
        let Some(track) = descriptor.tracks.get(usize::from(of.rendition)) else { return };
        // Renditions are not layered yet: the base is all there is.
        let object = Arc::new(Object::filling(track.size() as usize));
        chunks.into_iter().for_each(|chunk| object.push(chunk));
        if self.is_listed(id) {
            let known = self.shelf.look(|timeline| timeline.part(id.run, id.part).is_some());
            return if known {
                self.shelf.put(key(id, of), object)
            };
        }
        let held = self.held.entry(id).or_insert_with(|| Held { descriptor, layers: Vec::new() });
        if held.layers.iter().all(|(known, _)| *known != of) {
            held.layers.push((of, object));
        }
        while self.held.len() > HELD_MAX {
            self.held.pop_first();
        }
    }

    fn is_listed(&self, id: PartId) -> bool {
        self.run.is_some_and(|run| run > id.run || run == id.run && self.next.is_some_and(|next| id.part < next))
    }

    /// This part was due.
    pub fn on_due(&mut self, id: PartId) {
        self.due = self.due.max(Some(id));
    }

    /// Descriptors to be asked of the edge: from which on, and how many.
    pub fn poll_ask(&mut self) -> Option<(PartId, u8)> {
        let asked = self.asked.as_mut().filter(|asked| !asked.sent)?;
        asked.sent = true;
        Some((asked.from, (asked.to - asked.from.part) as u8))
    }

    /// Lists what can be listed.
    pub fn list(&mut self, now: Instant, peer: Option<&Peer<RealCrypto>>) -> Listed {
        let before = self.listed.clone();
        while self.step(now, peer) {}
        match &self.listed {
            Some(newest) if self.listed != before => {
                self.trim();
                let started = self.catalogue(newest.run, |catalogue| catalogue.started_ms).unwrap_or(0);
                Listed::UpTo(newest.clone(), started + newest.start_us / 1_000)
            }
            _ => Listed::Nothing,
        }
    }

    /// One step on. False: nothing more for now.
    fn step(&mut self, now: Instant, peer: Option<&Peer<RealCrypto>>) -> bool {
        let Some(run) = self.run else { return self.begin_run(now) };
        let Some(next) = self.next else { return self.begin_parts(now, run, peer) || self.begin_run(now) };
        let id = PartId { run, part: next };
        if let Some(descriptor) = self.ready(id, peer) {
            self.gap_since = None;
            return self.append(id, descriptor, peer);
        }
        self.shelf.set_complete();
        if self.ends.get(&run).is_some_and(|(end, _)| end.parts == next) {
            return self.end_run(run) | self.begin_run(now);
        }
        self.begin_run(now) || self.mend(now, id, peer)
    }

    /// Takes up the next run that has something to show, once the one before has nothing more.
    fn begin_run(&mut self, now: Instant) -> bool {
        let Some((&run, _)) = self.catalogues.first_key_value() else { return false };
        let stuck = self.gap_since.is_some_and(|since| now > since + GAP_PATIENCE);
        let over = self.run.is_none_or(|run| self.ends.get(&run).is_some_and(|(end, _)| self.next == Some(end.parts)));
        let here = self.held.keys().any(|id| id.run == run);
        let waits_long = self.gap_since.is_none() && here && !over;
        if waits_long {
            self.gap_since = Some(now);
        }
        if !(over || here && stuck) {
            return false;
        }
        let Some((catalogue, signed)) = self.catalogues.remove(&run) else { return false };
        if let Err(error) = self.shelf.apply(Table::Catalogue(catalogue), signed) {
            tracing::warn!(%error, "a catalogue does not continue what is known");
            return true;
        }
        (self.run, self.next, self.gap_since) = (Some(run), None, None);
        true
    }

    fn end_run(&mut self, run: RunId) -> bool {
        if let Some((end, signed)) = self.ends.get(&run).cloned()
            && let Err(error) = self.shelf.apply(Table::RunEnd(end), signed)
        {
            tracing::warn!(%error, "the end of a run does not fit");
        }
        false
    }

    /// Where does the time line begin? Some seconds back, where a segment starts.
    fn begin_parts(&mut self, now: Instant, run: RunId, peer: Option<&Peer<RealCrypto>>) -> bool {
        let Some(first) = self.first.filter(|first| first.run == run) else { return false };
        let back = u64::from(ASK_MAX).min(first.part);
        match self.asked {
            _ if back == 0 => self.next = Some(0),
            None => {
                let from = PartId { run, part: first.part - back };
                self.asked = Some(Asked { from, to: first.part, until: now + HISTORY_PATIENCE, sent: false });
            }
            Some(asked) => {
                let came = self.told.range(asked.from..first).count() as u64 == back;
                if !came && now < asked.until {
                    return false;
                }
                self.next = self.first_segment(first, peer);
                if self.next.is_some() {
                    self.asked = None;
                }
            }
        }
        self.next.is_some()
    }

    /// The oldest part from which on all is known up to the first the mesh brings, and which starts a segment; else the
    /// next one that does.
    fn first_segment(&self, first: PartId, peer: Option<&Peer<RealCrypto>>) -> Option<u64> {
        let at = |part| PartId { part, ..first };
        let before = (0..first.part).rev().take_while(|part| self.told.contains_key(&at(*part)));
        let starts = |part: &u64| self.told.get(&at(*part)).is_some_and(|descriptor| descriptor.index == 0);
        let here = |part: &u64| {
            let known = peer.and_then(|peer| peer.descriptor(at(*part)));
            known.is_some_and(|descriptor| descriptor.index == 0)
        };
        before.filter(starts).last().or_else(|| (first.part..first.part + u64::from(ASK_MAX)).find(here))
    }

    /// The part, if it can be listed.
    fn ready(&self, id: PartId, peer: Option<&Peer<RealCrypto>>) -> Option<Arc<Descriptor>> {
        let held = self.held.get(&id);
        if let (Some(held), Some(peer)) = (held, peer) {
            let empty =
                |of: LayerId| held.descriptor.tracks.get(usize::from(of.rendition)).is_some_and(|t| t.size() == 0);
            let came = |of: LayerId| empty(of) || held.layers.iter().any(|(known, _)| *known == of);
            if peer.wanted(id).all(came) {
                return Some(held.descriptor.clone());
            }
        }
        let brain = || peer.and_then(|peer| peer.descriptor(id).cloned());
        // What we had to ask for ourselves, the brain has passed over.
        let past = self.first.is_some_and(|first| id < first) || self.told.contains_key(&id) && brain().is_none();
        let overdue = past || self.due.is_some_and(|due| id <= due);
        let known = || brain().or_else(|| self.told.get(&id).cloned());
        if overdue { held.map(|held| held.descriptor.clone()).or_else(known) } else { None }
    }

    fn append(&mut self, id: PartId, descriptor: Arc<Descriptor>, peer: Option<&Peer<RealCrypto>>) -> bool {
        for (of, object) in self.held.remove(&id).into_iter().flat_map(|held| held.layers) {
            self.shelf.put(key(id, of), object);
        }
        self.told.remove(&id);
        self.next = Some(id.part + 1);
        // Feeds are for servers: what was signed is not kept.
        match self.shelf.apply(Table::Descriptor(Descriptor::clone(&descriptor)), Bytes::new()) {
            Ok(()) => self.listed = Some(descriptor),
            Err(error) => {
                tracing::warn!(%error, "a part does not continue the time line");
                self.jump(id, peer);
            }
        }
        true
    }

    /// The descriptor of the next part is missing, while later ones are here: it is asked for, and when it cannot be had
    /// the time line goes on where a segment starts.
    fn mend(&mut self, now: Instant, id: PartId, peer: Option<&Peer<RealCrypto>>) -> bool {
        let later = self.held.keys().find(|later| later.run == id.run && **later > id).copied();
        let known = peer.is_some_and(|peer| peer.descriptor(id).is_some()) || self.told.contains_key(&id);
        let Some(later) = later.filter(|_| !known) else {
            return false;
        };
        let since = *self.gap_since.get_or_insert(now);
        if now > since + GAP_PATIENCE {
            self.gap_since = None;
            return self.jump(id, peer);
        }
        if now > since + GAP_ASK && self.asked.is_none_or(|asked| now > asked.until) {
            let to = later.part.min(id.part + u64::from(ASK_MAX));
            self.asked = Some(Asked { from: id, to, until: now + HISTORY_PATIENCE, sent: false });
        }
        false
    }

    /// On to the next part that starts a segment.
    fn jump(&mut self, id: PartId, peer: Option<&Peer<RealCrypto>>) -> bool {
        let descriptor = |part: &u64| {
            let later = PartId { part: *part, ..id };
            let held = self.held.get(&later).map(|held| &held.descriptor);
            held.or(peer.and_then(|peer| peer.descriptor(later))).is_some_and(|descriptor| descriptor.index == 0)
        };
        let last = self.held.keys().filter(|held| held.run == id.run).map(|held| held.part).max().unwrap_or(id.part);
        let to = (id.part + 1..=last).find(descriptor);
        self.next = to.or(self.next);
        to.is_some()
    }

    /// Memory is for what players and the time line need: of the rest the oldest goes. It can be had from the edge again.
    fn trim(&self) {
        let mut objects = Vec::new();
        self.shelf.each_object(|key, object| objects.push((object.used_s(), key, object.size())));
        let mut bytes: usize = objects.iter().map(|(.., size)| size).sum();
        if bytes <= SHELF_BYTES_MAX {
            return;
        }
        objects.sort_unstable_by_key(|(_, key, _)| (key.run, part_of(*key)));
        for (_, key, size) in objects {
            if bytes <= SHELF_BYTES_MAX {
                break;
            }
            self.shelf.forget(key);
            bytes -= size;
        }
    }
}

fn key(id: PartId, of: LayerId) -> Key {
    Key { run: id.run, rendition: of.rendition, item: Item::Part(id.part) }
}

/// Init segments stay.
fn part_of(key: Key) -> u64 {
    match key.item {
        Item::Init => u64::MAX,
        Item::Part(part) => part,
    }
}

const RUNS_MAX: usize = 4;
/// A minute and a half of parts.
const HELD_MAX: usize = 256;
const TOLD_MAX: usize = 256;
/// The edge answers in a round trip.
const HISTORY_PATIENCE: Duration = Duration::from_millis(700);
/// Descriptors come from several sides, one after the other.
const GAP_ASK: Duration = Duration::from_millis(500);
const GAP_PATIENCE: Duration = Duration::from_secs(4);
/// Of media; two minutes at 8 Mbit/s.
const SHELF_BYTES_MAX: usize = 128 * 1024 * 1024;

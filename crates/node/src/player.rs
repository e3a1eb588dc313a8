//! What does the local player see, and when? Parts are listed in order, each once all that is wanted of it has come and was
//! verified, or was due: then what is missing is fetched from the edge when the player asks for it.
//!
//! Before the first part the mesh brings stand those of the last seconds, so that a player finds whole segments at once:
//! their descriptors are asked of the edge, their media come over HTTP if somebody wants them. Invariant: the shelf's time
//! line has no part that was not verified, and no gap but one that begins with a segment.
//!
//! Of a recording all descriptors are asked for at once, one batch after the other; its media come when they are read, or
//! a little before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use trellis_core::peer::Part;
use trellis_core::trust::table::Authority;
use trellis_media::timeline::Timeline;
use trellis_proto::frame::{LayerId, PartId};
use trellis_proto::limits::ASK_MAX;
use trellis_proto::{Catalogue, Descriptor, Mode, RunEnd, RunId, Table};
use trellis_server::shelf::{Item, Key, Object, Shelf};

use crate::driver::Brain;

/// What lies between the brain and the shelf.
pub struct Player {
    shelf: Arc<Shelf>,
    authority: Option<Authority>,
    catalogues: BTreeMap<RunId, (Catalogue, Bytes)>,
    ends: BTreeMap<RunId, (RunEnd, Bytes)>,
    /// What came and is not listed.
    held: BTreeMap<PartId, Held>,
    /// Descriptors that we asked for ourselves, and the same as signed.
    told: BTreeMap<PartId, (Arc<Descriptor>, Bytes)>,
    asked: Option<Asked>,
    run: Option<RunId>,
    /// The first part of each run that the mesh brings.
    firsts: BTreeMap<RunId, u64>,
    /// The next one to list; None: where to begin is not decided.
    next: Option<u64>,
    /// The run is on demand.
    recorded: bool,
    /// The end of the run is listed.
    over: bool,
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
            firsts: BTreeMap::new(),
            next: None,
            recorded: false,
            over: false,
            due: None,
            gap_since: None,
            listed: None,
        }
    }

    /// The recording that plays, and how many parts it has, once that is known.
    pub fn recording(&self) -> Option<(RunId, Option<u64>)> {
        let run = self.run.filter(|_| self.recorded)?;
        Some((run, self.ends.get(&run).map(|(end, _)| end.parts)))
    }

    /// Is the newest run one?
    pub fn is_recorded(&self) -> bool {
        self.newest_catalogue(|catalogue| catalogue.mode == Mode::Vod) == Some(true)
    }

    /// Descriptors of a recording from one on, as signed, as far as they are here.
    pub fn tables(&self, from: PartId, count: u64) -> Vec<Bytes> {
        let signed =
            |timeline: &Timeline, part| timeline.signed_part(from.run, part).filter(|it| !it.is_empty()).cloned();
        let parts = from.part..from.part.saturating_add(count);
        self.shelf.look(|timeline| parts.map_while(|part| signed(timeline, part)).collect())
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
        self.firsts.entry(run).or_insert(part);
        while self.firsts.len() > RUNS_MAX {
            self.firsts.pop_first();
        }
        let answers =
            |asked: &Asked| asked.sent && asked.from.run == run && (asked.from.part..asked.to).contains(&part);
        if !self.asked.as_ref().is_some_and(answers) {
            return false;
        }
        if let Some(Ok(Table::Descriptor(descriptor))) = self.authority.as_ref().map(|a| a.table(message)) {
            self.told.insert(id, (Arc::new(descriptor), Bytes::copy_from_slice(message)));
            while self.told.len() > TOLD_MAX {
                self.told.pop_first();
            }
        }
        self.is_before_the_mesh(id)
    }

    /// The brain does not care for it.
    fn is_before_the_mesh(&self, id: PartId) -> bool {
        self.recorded || self.firsts.get(&id.run).is_some_and(|first| id.part < *first)
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
                // A pause may turn into the end.
                self.over &= self.run != Some(end.run);
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
        if self.recorded && self.shelf.held(key(id, of), |object| object.whole().is_some()) == Some(true) {
            return;
        }
        let object = Arc::new(Object::filling(track.size() as usize));
        object.touch(now_s());
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
    pub fn list(&mut self, now: Instant, peer: Option<&Brain>) -> Listed {
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
    fn step(&mut self, now: Instant, peer: Option<&Brain>) -> bool {
        let Some(run) = self.run else { return self.begin_run(now) };
        let Some(next) = self.next else { return self.begin_parts(now, run, peer) || self.begin_run(now) };
        let id = PartId { run, part: next };
        if let Some(descriptor) = self.ready(id, peer) {
            self.gap_since = None;
            return self.append(id, descriptor, peer);
        }
        let parts = self.ends.get(&run).map(|(end, _)| end.parts);
        if !self.recorded || parts == Some(next) {
            self.shelf.set_complete();
        }
        if parts == Some(next) && !self.over {
            self.end_run(run);
        }
        if self.over {
            return self.begin_run(now);
        }
        if self.recorded {
            self.read_on(now, id, parts);
            return false;
        }
        self.begin_run(now) || self.mend(now, id, peer)
    }

    /// Takes up the next run that has something to show, once the one before has nothing more.
    fn begin_run(&mut self, now: Instant) -> bool {
        let Some((&run, _)) = self.catalogues.first_key_value() else { return false };
        let stuck = self.gap_since.is_some_and(|since| now > since + GAP_PATIENCE);
        let over = self.run.is_none() || self.over;
        let here = self.held.keys().any(|id| id.run == run);
        let waits_long = self.gap_since.is_none() && here && !over;
        if waits_long {
            self.gap_since = Some(now);
        }
        if !(over || here && stuck) {
            return false;
        }
        let Some((catalogue, signed)) = self.catalogues.remove(&run) else { return false };
        let recorded = catalogue.mode == Mode::Vod;
        if let Err(error) = self.shelf.apply(Table::Catalogue(catalogue), signed) {
            tracing::warn!(%error, "a catalogue does not continue what is known");
            return true;
        }
        (self.run, self.next, self.gap_since) = (Some(run), recorded.then_some(0), None);
        (self.recorded, self.over, self.asked) = (recorded, false, None);
        true
    }

    /// The next descriptors of a recording.
    fn read_on(&mut self, now: Instant, from: PartId, parts: Option<u64>) {
        let waits =
            self.asked.is_some_and(|asked| from.part < asked.to && asked.from.run == from.run && now < asked.until);
        if !waits {
            let to = parts.unwrap_or(u64::MAX).min(from.part + u64::from(ASK_MAX));
            self.asked = Some(Asked { from, to, until: now + HISTORY_PATIENCE, sent: false });
        }
    }

    fn end_run(&mut self, run: RunId) {
        self.over = true;
        if let Some((end, signed)) = self.ends.get(&run).cloned()
            && let Err(error) = self.shelf.apply(Table::RunEnd(end), signed)
        {
            tracing::warn!(%error, "the end of a run does not fit");
        }
    }

    /// Where does the time line begin? Some seconds back, where a segment starts.
    fn begin_parts(&mut self, now: Instant, run: RunId, peer: Option<&Brain>) -> bool {
        let Some(first) = self.firsts.get(&run).map(|part| PartId { run, part: *part }) else { return false };
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
    fn first_segment(&self, first: PartId, peer: Option<&Brain>) -> Option<u64> {
        let at = |part| PartId { part, ..first };
        let before = (0..first.part).rev().take_while(|part| self.told.contains_key(&at(*part)));
        let starts = |part: &u64| self.told.get(&at(*part)).is_some_and(|(descriptor, _)| descriptor.index == 0);
        let here = |part: &u64| {
            let held = self.held.get(&at(*part)).map(|held| &held.descriptor);
            let known = held.or(peer.and_then(|peer| peer.descriptor(at(*part))));
            known.is_some_and(|descriptor| descriptor.index == 0)
        };
        before.filter(starts).last().or_else(|| (first.part..first.part + u64::from(ASK_MAX)).find(here))
    }

    /// The part, if it can be listed.
    fn ready(&self, id: PartId, peer: Option<&Brain>) -> Option<Arc<Descriptor>> {
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
        let past = self.is_before_the_mesh(id) || self.told.contains_key(&id) && brain().is_none();
        let overdue = past || self.due.is_some_and(|due| id <= due);
        let known = || brain().or_else(|| self.told.get(&id).map(|(descriptor, _)| descriptor.clone()));
        if overdue { held.map(|held| held.descriptor.clone()).or_else(known) } else { None }
    }

    fn append(&mut self, id: PartId, descriptor: Arc<Descriptor>, peer: Option<&Brain>) -> bool {
        for (of, object) in self.held.remove(&id).into_iter().flat_map(|held| held.layers) {
            self.shelf.put(key(id, of), object);
        }
        let signed = self.told.remove(&id).map(|(_, signed)| signed).filter(|_| self.recorded);
        self.next = Some(id.part + 1);
        // Feeds are for servers: what was signed is kept only where the brain may ask for it again.
        match self.shelf.apply(Table::Descriptor(Descriptor::clone(&descriptor)), signed.unwrap_or_default()) {
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
    fn mend(&mut self, now: Instant, id: PartId, peer: Option<&Brain>) -> bool {
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
    fn jump(&mut self, id: PartId, peer: Option<&Brain>) -> bool {
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

    /// Memory is for what players and the time line need: of the rest the oldest goes, of a recording what was of use longest
    /// ago. It can be had from the edge again.
    pub fn trim(&self) {
        let mut objects = Vec::new();
        self.shelf.each_object(|key, object| objects.push((object.used_s(), key, object.size())));
        let mut bytes: usize = objects.iter().map(|(.., size)| size).sum();
        if bytes <= SHELF_BYTES_MAX {
            return;
        }
        let used = |used_s| if self.recorded { used_s } else { 0 };
        objects
            .sort_unstable_by_key(|(used_s, key, _)| (key.run, key.item == Item::Init, used(*used_s), part_of(*key)));
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

fn now_s() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
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

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use ed25519_dalek::{Signer, SigningKey};
    use trellis_core::trust::chunk::{check, describe};
    use trellis_core::trust::table::sealed;
    use trellis_proto::descriptor::TrackPart;
    use trellis_proto::{EndReason, Layer, Media, Rendition};
    use trellis_server::shelf::Source;

    use super::*;

    const BASE: LayerId = LayerId { rendition: 0, layer: 0 };
    const PART_US: u64 = 333_333;

    /// Two rungs of the same bytes.
    pub(crate) struct Origin(pub(crate) SigningKey);

    impl Origin {
        fn sign(&self, body: Vec<u8>) -> Bytes {
            let signature = self.0.sign(&body).to_bytes();
            sealed(body, &signature).into()
        }

        pub(crate) fn catalogue(&self, run: u64, mode: Mode, first_msn: u64) -> Bytes {
            let video = Rendition {
                media: Media::Video { width: 640, height: 360, frame_rate_millihertz: 30_000 },
                codecs: "avc1.64001f".into(),
                language: String::new(),
                bandwidth: 500_000,
                init_size: 600,
                init_hash: [1; 32],
                layers: vec![Layer { substreams: 1 }],
            };
            let catalogue = Catalogue {
                stream: "demo".parse().unwrap(),
                run: RunId(run),
                key: self.0.verifying_key().to_bytes(),
                mode,
                started_ms: 0,
                first_msn,
                discontinuity: run - 1,
                part_target_us: PART_US as u32,
                segment_target_s: 2,
                window_s: 60,
                renditions: vec![video; 2],
            };
            self.sign(catalogue.encode())
        }

        pub(crate) fn media(part: u64) -> Bytes {
            vec![part as u8; 100].into()
        }

        fn described(run: u64, part: u64, first_msn: u64) -> Descriptor {
            let layers = vec![describe(&Self::media(part), 1)];
            let track = TrackPart { duration_us: PART_US as u32, layers };
            Descriptor {
                run: RunId(run),
                part,
                msn: first_msn + part / 6,
                index: (part % 6) as u16,
                independent: part.is_multiple_of(6),
                last_of_segment: part % 6 == 5,
                discontinuity: run > 1 && part == 0,
                start_us: part * PART_US,
                tracks: vec![track; 2],
            }
        }

        pub(crate) fn descriptor(&self, run: u64, part: u64) -> Bytes {
            self.sign(Self::described(run, part, 0).encode())
        }

        pub(crate) fn end(&self, run: u64, parts: u64) -> Bytes {
            self.sign(RunEnd { run: RunId(run), parts, reason: EndReason::Paused }.encode())
        }
    }

    fn part(run: u64, number: u64, first_msn: u64) -> Part<Bytes> {
        let descriptor = Arc::new(Origin::described(run, number, first_msn));
        let chunk = check(&descriptor.tracks[0].layers[0], 0, Origin::media(number)).unwrap();
        Part { descriptor, of: BASE, chunks: vec![chunk] }
    }

    fn id(run: u64, part: u64) -> PartId {
        PartId { run: RunId(run), part }
    }

    /// A player that trusts this origin, and what its shelf asked the edge for.
    struct World {
        origin: Origin,
        player: Player,
        fetched: Arc<Mutex<Vec<Key>>>,
        now: Instant,
    }

    struct Noted(Arc<Mutex<Vec<Key>>>);

    impl Source for Noted {
        fn get(&self, _: &Arc<Shelf>, key: Key, _: usize) -> Option<Arc<Object>> {
            self.0.lock().unwrap().push(key);
            Some(Object::ready(Bytes::from_static(b"from the edge")))
        }
    }

    impl World {
        fn new(mode: Mode) -> Self {
            let origin = Origin(SigningKey::from_bytes(&[7; 32]));
            let fetched = Arc::<Mutex<Vec<Key>>>::default();
            let stream: trellis_proto::StreamId = "demo".parse().unwrap();
            let shelf = Shelf::new(Timeline::new(stream.clone()), stream, Box::new(Noted(fetched.clone())));
            let mut player = Player::new(shelf);
            player.trust(Authority::new(&origin.0.verifying_key().to_bytes()).unwrap());
            assert!(!player.on_table(&origin.catalogue(1, mode, 0)));
            Self { origin, player, fetched, now: Instant::now() }
        }

        fn tell(&mut self, run: u64, parts: std::ops::Range<u64>) -> Vec<bool> {
            parts.map(|part| self.player.on_table(&self.origin.descriptor(run, part))).collect()
        }

        /// The newest part that is listed after so many ms.
        fn lists(&mut self, ms: u64) -> Option<u64> {
            self.now += Duration::from_millis(ms);
            self.player.list(self.now, None);
            self.player.newest()
        }

        fn known(&self) -> Vec<u64> {
            let shelf = &self.player.shelf;
            (0..200).filter(|part| shelf.look(|timeline| timeline.part(RunId(1), *part).is_some())).collect()
        }
    }

    #[test]
    fn the_last_seconds_stand_before_what_the_mesh_brings_and_are_the_edges_to_give() {
        let mut world = World::new(Mode::Live);
        assert_eq!(world.tell(1, 20..21), [false], "that is for the brain");
        assert_eq!((world.lists(0), world.player.poll_ask()), (None, Some((id(1, 0), 20))));
        assert_eq!(world.tell(1, 0..20), [true; 20], "and that is ours");
        assert_eq!(world.lists(0), Some(19));
        world.player.on_part(part(1, 20, 0));
        world.player.on_part(part(1, 22, 0));
        assert_eq!(world.lists(0), Some(19), "nobody says that all that is wanted of it is here");
        world.player.on_due(id(1, 20));
        assert_eq!(world.lists(0), Some(20));
        let bytes = |part| {
            let key = Key { run: RunId(1), rendition: 0, item: Item::Part(part) };
            world.player.shelf.object(key, 100).and_then(|object| object.whole().cloned())
        };
        assert_eq!(bytes(20), Some(Origin::media(20)));
        assert_eq!((bytes(3).unwrap(), world.fetched.lock().unwrap().len()), (Bytes::from_static(b"from the edge"), 1));
    }

    #[test]
    fn without_the_past_it_begins_with_a_segment_and_a_hole_is_asked_for_and_then_jumped() {
        let mut world = World::new(Mode::Live);
        world.tell(1, 20..21);
        assert_eq!(world.lists(0), None);
        (20..26).for_each(|n| world.player.on_part(part(1, n, 0)));
        world.player.on_due(id(1, 25));
        assert_eq!(world.lists(699), None, "the answer may still come");
        assert_eq!(world.lists(2), Some(25));
        assert_eq!(world.known(), [24, 25]);
        world.player.poll_ask();
        // 26 never comes, nor do others of its segment.
        (28..33).for_each(|n| world.player.on_part(part(1, n, 0)));
        world.player.on_due(id(1, 32));
        assert_eq!(
            (world.lists(0), world.lists(600), world.player.poll_ask()),
            (Some(25), Some(25), Some((id(1, 26), 2)))
        );
        world.tell(1, 26..27);
        assert_eq!(world.lists(10), Some(26), "one could be had");
        assert_eq!((world.lists(10), world.lists(4_100)), (Some(26), Some(32)));
        assert_eq!(world.known(), [30, 31, 32]);
    }

    #[test]
    fn the_next_run_waits_for_the_end_of_the_one_before() {
        let mut world = World::new(Mode::Live);
        world.tell(1, 0..1);
        (0..3).for_each(|n| world.player.on_part(part(1, n, 0)));
        assert!(!world.player.on_table(&world.origin.catalogue(2, Mode::Live, 1)));
        world.player.on_table(&world.origin.sign(Origin::described(2, 0, 1).encode()));
        world.player.on_part(part(2, 0, 1));
        world.player.on_due(id(2, 0));
        assert_eq!(world.lists(0), Some(2), "three were whole, and the run after them is due");
        world.player.on_table(&world.origin.end(1, 3));
        assert_eq!((world.lists(0), world.player.run), (Some(0), Some(RunId(2))));
        assert_eq!(world.known(), [0, 1, 2], "nothing was thrown away for it");
    }

    #[test]
    fn of_a_recording_everything_is_asked_for_and_shown_when_it_is_all_here() {
        let mut world = World::new(Mode::Vod);
        world.player.on_table(&world.origin.end(1, 100));
        assert_eq!((world.lists(0), world.player.poll_ask()), (None, Some((id(1, 0), 64))));
        assert_eq!(world.tell(1, 0..64), [true; 64]);
        assert_eq!((world.lists(0), world.player.poll_ask()), (Some(63), Some((id(1, 64), 36))));
        assert!(!world.player.shelf.is_complete());
        world.tell(1, 64..90);
        assert_eq!((world.lists(0), world.player.poll_ask()), (Some(89), None));
        assert_eq!((world.lists(800), world.player.poll_ask()), (Some(89), Some((id(1, 90), 10))), "asked again");
        world.tell(1, 90..100);
        assert_eq!((world.lists(0), world.player.shelf.is_complete()), (Some(99), true));
    }

    #[test]
    fn what_another_signed_is_nothing() {
        let mut world = World::new(Mode::Live);
        let liar = Origin(SigningKey::from_bytes(&[8; 32]));
        world.player.on_table(&liar.catalogue(9, Mode::Live, 0));
        assert_eq!(world.player.newest_catalogue(|catalogue| catalogue.run), Some(RunId(1)));
        world.tell(1, 20..21);
        world.lists(0);
        world.player.poll_ask();
        for n in 0..20 {
            world.player.on_table(&liar.descriptor(1, n));
        }
        assert!(world.player.told.is_empty());
    }
}

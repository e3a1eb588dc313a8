//! How does a host without threads, sockets or a clock of its own run a peer? Inputs go in, actions come out, and what the
//! player asks for is looked up.
//!
//! Invariant: after every input the peer has said all it wants, so that [`Engine::poll`] and [`Engine::wake_at`] are the
//! whole of what there is to do.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use trellis_core::peer::{self, Awaited, Config, Event, Held, Input, Output, Peer, Seek, UploadPolicy};
use trellis_core::tape::Tape;
use trellis_core::time::Instant;
use trellis_core::trust::{Noted, Noting, RealCrypto, Verified};
use trellis_media::playlist::Wait;
use trellis_proto::frame::{Bye, Chunk, ChunkId, Decoded, Frame, LINK_VERSION, LayerId, PartId, PeerId};
use trellis_proto::limits::SIGNAL_BYTES_MAX;
use trellis_proto::signal::Signal;
use trellis_proto::{Catalogue, RenditionName, RunId, StreamId};

use crate::counts::Counts;
use crate::listing::Listing;
use crate::recording::Recording;

/// A viewer's peer, with its player's side.
pub struct Engine {
    peer: Peer<Noting<RealCrypto>>,
    listing: Listing,
    recording: Recording,
    counts: Counts,
    out: VecDeque<Action>,
    tape: Option<Tape>,
    wanted: Vec<RenditionName>,
    /// Layers were asked of the edge that it has not granted.
    asked_layers: Option<(Vec<LayerId>, Instant)>,
    /// Let in for the first time.
    admitted: Option<Instant>,
    /// Parts have come whole.
    begun: bool,
    /// The first part is later than hoped for, since then.
    late: Option<(PartId, Instant)>,
    paused: bool,
    moved: Option<Instant>,
    /// It is known where the player is.
    placed: bool,
    /// What the player asked for last of each rendition of a recording, by position: the last part of it. The newest is last.
    asked: Vec<(u8, PartId)>,
    /// Segments of a recording that came from the edge before their descriptors.
    pub(crate) offers: VecDeque<(RunId, RenditionName, u64, Bytes)>,
    /// Of the last input.
    now: Instant,
    /// Moves whenever something new can be played or listed.
    version: u32,
}

/// What is known before the first frame.
pub struct Start {
    /// The configuration of the peer; `layers` by [`layers_of`].
    pub config: Config,
    /// What the stream's tables are signed with.
    pub crypto: RealCrypto,
    /// The stream.
    pub stream: StreamId,
    /// The renditions to watch, as playlists name them.
    pub wanted: Vec<RenditionName>,
}

/// What the host is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes on this link.
    Send(PeerId, Vec<u8>),
    /// Make a link. To the edge: join again and open another WebSocket.
    Connect(PeerId),
    /// End a link.
    Disconnect(PeerId),
    /// A peer says this about a link to it.
    Signal(PeerId, Signal),
    /// The edge let us in, under this number.
    Admitted(PeerId),
    /// The layers that are watched now are others.
    Switched,
    /// A chunk was asked of the edge because its deadline came near; the peer should have brought it.
    Rescue(ChunkId, PeerId),
    /// A peer did wrong.
    CutOff(PeerId),
    /// It is over.
    Closed(Bye),
}

/// What a player finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// It has to come from elsewhere.
    Elsewhere,
    /// It will be here.
    Coming,
    /// These bytes, in this order.
    Here(Vec<Bytes>),
}

impl Engine {
    /// Waits for its link to the edge. The same seed and inputs give the same actions.
    pub fn new(start: Start, seed: u64, now: Instant) -> Self {
        Self {
            peer: Peer::new(start.config, Noting::new(start.crypto), seed, now),
            listing: Listing::new(start.stream),
            recording: Recording::default(),
            counts: Counts::default(),
            out: VecDeque::new(),
            tape: None,
            wanted: start.wanted,
            asked_layers: None,
            admitted: None,
            begun: false,
            late: None,
            paused: false,
            moved: None,
            placed: false,
            asked: Vec::new(),
            offers: VecDeque::new(),
            now,
            version: 0,
        }
    }

    /// Records all that its peer lives through, up to so many bytes: to be called before anything else.
    pub fn record(&mut self, tape: Tape) {
        self.tape = Some(tape);
    }

    /// What was recorded.
    pub fn tape(&self) -> &[u8] {
        self.tape.as_ref().map_or(&[], Tape::bytes)
    }

    /// A link stands.
    pub fn connected(&mut self, now: Instant, peer: PeerId) {
        self.input(now, Input::Connected(peer));
    }

    /// A link broke, or could not be made.
    pub fn lost(&mut self, now: Instant, peer: PeerId) {
        self.input(now, Input::Lost(peer));
    }

    /// So many bytes handed to a link have not left.
    pub fn unsent(&mut self, now: Instant, peer: PeerId, bytes: u32) {
        self.input(now, Input::Unsent(peer, bytes));
    }

    /// Time passed.
    pub fn wake(&mut self, now: Instant) {
        self.input(now, Input::Wake);
    }

    /// The viewer's mind about giving changed.
    pub fn upload(&mut self, now: Instant, policy: UploadPolicy) {
        self.input(now, Input::Upload(policy));
    }

    /// A newer ticket; before the link to the next edge stands.
    pub fn renew(&mut self, now: Instant, ticket: Bytes) {
        self.input(now, Input::Renew(ticket));
    }

    /// The viewer goes.
    pub fn leave(&mut self, now: Instant) {
        self.input(now, Input::Leave);
    }

    /// A message came. What is no frame ends the link it came on.
    pub fn message(&mut self, now: Instant, from: PeerId, message: Bytes) {
        let bytes = message.len();
        match Frame::decode(message) {
            Ok(Decoded::Frame(frame)) => self.frame(now, from, frame, bytes),
            Ok(Decoded::Unknown(_)) => self.counts.control_bytes += bytes as u64,
            Err(_) => self.hang_up(now, from),
        }
    }

    fn frame(&mut self, now: Instant, from: PeerId, frame: Frame, bytes: usize) {
        let part = match &frame {
            Frame::Chunk(chunk) => {
                self.counts.on_chunk(from, chunk.id, chunk.payload.len(), bytes);
                Some(chunk.id.part)
            }
            _ => {
                self.counts.control_bytes += bytes as u64;
                None
            }
        };
        match frame {
            Frame::Signal { peer, body } if from.is_edge() => {
                let signal = Signal::decode(&body).ok();
                return self.out.extend(signal.map(|signal| Action::Signal(peer, signal)));
            }
            Frame::Greet { version, from: named } if version != LINK_VERSION || named != from => {
                return self.hang_up(now, from);
            }
            frame => self.input(now, Input::Frame(from, frame)),
        }
        if let Some(part) = part {
            self.listing.note_chunk(now, part);
            self.look_at(now, part);
        }
    }

    fn hang_up(&mut self, now: Instant, peer: PeerId) {
        self.out.push_back(Action::Send(peer, Frame::<Bytes>::Bye(Bye::Protocol).encode()));
        self.out.push_back(Action::Disconnect(peer));
        self.input(now, Input::Lost(peer));
    }

    /// Something for a peer about a link to it, by way of the edge.
    pub fn signal(&mut self, peer: PeerId, signal: &Signal) {
        let body = signal.encode();
        if body.len() <= SIGNAL_BYTES_MAX {
            self.send(PeerId::EDGE, &Frame::Signal { peer, body: body.into() });
        }
    }

    /// The player wants these renditions from now on.
    pub fn switch(&mut self, now: Instant, wanted: Vec<RenditionName>) {
        self.wanted = wanted;
        self.ask_layers(now);
    }

    fn ask_layers(&mut self, now: Instant) {
        let Some(catalogue) = self.listing.newest_catalogue() else { return };
        let videos = catalogue.names().filter(|name| matches!(name, RenditionName::Video(_))).count();
        let layers = layers_of(&self.wanted, videos as u8);
        let asked = self.asked_layers.as_ref().filter(|(_, since)| now.since(*since) < ASK_AGAIN);
        let known = asked.map_or(self.peer.layers(), |(asked, _)| asked);
        if known != layers && !layers.is_empty() {
            self.asked_layers = Some((layers.clone(), now));
            self.input(now, Input::Switch(layers));
        }
    }

    /// Where the player is: the origin's wall clock at its playhead, ms since 1970, how much it has from there on, and
    /// whether it stands by its viewer's will. A peer plans for a playhead of its own; when the two are apart, it is told.
    pub fn player(&mut self, now: Instant, date_ms: u64, buffer: Duration, paused: bool) {
        if paused != self.paused {
            self.paused = paused;
            self.input(now, Input::Pause(paused));
        }
        let (recorded, again) = match self.is_recorded() {
            true => (true, MOVE_AGAIN_RECORDED),
            false => (false, MOVE_AGAIN),
        };
        let settled = self.moved.is_none_or(|moved| now.since(moved) > again);
        let to = if recorded { self.farther(now, date_ms, buffer) } else { self.elsewhere(now, date_ms) };
        if let Some(part) = to.filter(|_| settled && (recorded || !paused)) {
            self.placed = true;
            self.moved = Some(now);
            self.input(now, Input::Seek(Seek::To(part)));
            if recorded {
                self.ask_before(part);
            }
        }
    }

    /// Where a player goes it fetches the first segment itself, before the peer has heard of it: once it is described others
    /// can have it from here.
    fn ask_before(&mut self, part: PartId) {
        let from = PartId { part: part.part.saturating_sub(SEGMENT_PARTS), ..part };
        if (from.part..part.part).any(|part| self.peer.descriptor(PartId { part, ..from }).is_none()) {
            self.send(PeerId::EDGE, &Frame::Ask { from, count: (part.part - from.part) as u8 });
        }
    }

    /// Where the peer should go on, when the player is elsewhere than it thinks.
    fn elsewhere(&self, now: Instant, date_ms: u64) -> Option<PartId> {
        let cursor = self.peer.cursor()?;
        let started_ms = self.listing.catalogue(cursor.part.run)?.started_ms;
        let player_us = date_ms.checked_sub(started_ms)? as i64 * 1_000;
        let wait_us = cursor.at.since(now).as_micros() as i64;
        let ahead_us = player_us - (cursor.start_us as i64 - wait_us);
        let here = Duration::from_micros(ahead_us.unsigned_abs());
        // Nobody plays what is not due: a player that is ahead of the schedule will wait.
        let apart = if ahead_us > 0 { here.min(self.peer.lag()) > AHEAD_MAX } else { here > BEHIND_MAX };
        // What plays this very moment is in the player already.
        let at_ms = date_ms + if ahead_us > 0 { AHEAD_MAX.as_millis() as u64 } else { 0 };
        apart.then(|| self.listing.part_at(at_ms)).flatten()
    }

    /// Is a recording watched?
    pub fn is_recorded(&self) -> bool {
        self.peer.is_recorded()
    }

    /// Of a recording the peer stays near the end of the player's buffer, which may be longer than what a peer asks for
    /// ahead: it goes on there, or a little before as far as all is here.
    fn farther(&self, now: Instant, date_ms: u64, buffer: Duration) -> Option<PartId> {
        let catalogue = self.listing.newest_catalogue()?;
        let cursor = self.peer.cursor().filter(|_| self.placed);
        let player_us = date_ms.checked_sub(catalogue.started_ms)? * 1_000;
        let end_us = player_us + buffer.as_micros() as u64;
        let near = cursor.is_some_and(|cursor| {
            let here_us = cursor.start_us.saturating_sub(cursor.at.since(now).as_micros() as u64);
            let before = |us: u64, time: Duration| us.saturating_sub(time.as_micros() as u64);
            let from_us = before(player_us, BEHIND_MAX).max(before(end_us, BEFORE_MAX));
            (from_us..=end_us + BEYOND_MAX.as_micros() as u64).contains(&here_us)
        });
        if near {
            return None;
        }
        let end = self.recording.part_at(catalogue, cursor, end_us);
        let back = (end.part.saturating_sub(BEFORE_PARTS)..end.part).rev().map(|part| PartId { part, ..end });
        let to = back.take_while(|part| self.peer.is_whole(*part)).last().unwrap_or(end);
        cursor.is_none_or(|cursor| cursor.part != to).then_some(to)
    }

    /// The player has got a segment of a recording from the edge: others can get it from here.
    pub fn offer(&mut self, now: Instant, run: RunId, name: RenditionName, msn: u64, whole: Bytes) {
        if !self.is_recorded() {
            return;
        }
        self.offers.push_back((run, name, msn, whole));
        if self.offers.len() > OFFERS_MAX {
            self.offers.pop_front();
        }
        self.share(now);
    }

    /// What was offered and is described by now.
    fn share(&mut self, now: Instant) {
        for (run, name, msn, whole) in std::mem::take(&mut self.offers) {
            let described = |part| self.peer.descriptor(PartId { run, part }).is_some();
            match self.recording.segment(run, msn).filter(|parts| parts.clone().all(described)) {
                Some(parts) => self.share_parts(now, run, name, parts, whole),
                None => self.offers.push_back((run, name, msn, whole)),
            }
        }
    }

    fn share_parts(&mut self, now: Instant, run: RunId, name: RenditionName, parts: RangeInclusive<u64>, whole: Bytes) {
        let rendition = self.listing.catalogue(run).and_then(|catalogue| catalogue.index_of(name));
        let Some(rendition) = rendition else { return };
        let of = LayerId { rendition: rendition as u8, layer: 0 };
        let mut rest = whole;
        for part in parts.map(|part| PartId { run, part }) {
            let size =
                self.peer.descriptor(part).and_then(|it| it.tracks.get(rendition)).map(|track| track.size() as usize);
            let Some(size) = size.filter(|size| *size <= rest.len()) else { return };
            let chunks: Vec<Chunk<Bytes>> = self.peer.missing_of(part, of, &rest.split_to(size));
            for chunk in chunks {
                self.input(now, Input::Frame(PeerId::EDGE, Frame::Chunk(chunk)));
            }
            self.look_at(now, part);
        }
    }

    /// The player asks for a rendition of a recording up to this part: it will have that, from here or elsewhere.
    pub fn asks(&mut self, last: PartId, name: RenditionName) {
        let rendition = self.listing.catalogue(last.run).and_then(|catalogue| catalogue.index_of(name));
        if let Some(rendition) = rendition.filter(|_| self.is_recorded()) {
            self.asked.retain(|(other, _)| usize::from(*other) != rendition);
            self.asked.push((rendition as u8, last));
        }
    }

    /// Layers of a recording were granted: they are of use from where the player has asked for nothing of them, nor of those
    /// they replace.
    fn take_up(&mut self, now: Instant) {
        let Some(granted) = self.peer.granted() else { return };
        let has = |layers: &[LayerId], rendition: u8| layers.iter().any(|of| of.rendition == rendition);
        let changes = |rendition| has(granted, rendition) != has(self.peer.layers(), rendition);
        let asked = self.asked.iter().rev().find(|(rendition, _)| changes(*rendition)).map(|(_, last)| *last);
        if let Some(last) = asked {
            self.input(now, Input::Change(PartId { part: last.part + 1, ..last }));
        }
    }

    fn input(&mut self, now: Instant, input: Input<Bytes>) {
        self.now = now;
        self.tape.iter_mut().for_each(|tape| tape.input(now, &input));
        self.peer.handle(now, input);
        while let Some(output) = self.peer.poll() {
            self.tape.iter_mut().for_each(|tape| tape.output(&output));
            self.on_output(now, output);
        }
        if self.asked_layers.take_if(|(asked, _)| asked == self.peer.layers()).is_some() {
            self.out.push_back(Action::Switched);
        }
        let Noted { tables, chunks } = self.peer.verifier().take();
        for (id, bytes) in chunks {
            self.counts.intake.on_accepted(id, bytes);
        }
        let described = !tables.is_empty() && !self.offers.is_empty();
        for table in tables {
            self.on_table(now, table);
        }
        if described {
            self.share(now);
        }
        self.take_up(now);
        if let Some((part, _)) = self.late.take_if(|(_, since)| now.since(*since) > START_GRACE) {
            self.give_up(part);
        }
        let before = self.listing.timeline().version();
        self.listing.advance(|part| self.peer.is_whole(part));
        if self.listing.timeline().version() != before {
            self.version = self.version.wrapping_add(1);
        }
    }

    fn on_table(&mut self, now: Instant, table: Verified) {
        let (is_catalogue, part) = match &table {
            Verified::Catalogue(_) => (true, None),
            Verified::Descriptor(it) => (false, Some(PartId { run: it.run, part: it.part })),
            Verified::RunEnd(_) => (false, None),
        };
        match &table {
            // The edge's playlists list all of it.
            Verified::Descriptor(descriptor) if self.is_recorded() => self.recording.know(descriptor),
            Verified::RunEnd(end) if self.is_recorded() => self.recording.ends(end.run, end.parts),
            _ => self.listing.know(table),
        }
        if let Some(part) = part {
            self.look_at(now, part);
        }
        if is_catalogue {
            self.version = self.version.wrapping_add(1);
            self.ask_layers(now);
        }
    }

    /// Is a part whole now?
    fn look_at(&mut self, now: Instant, part: PartId) {
        if self.peer.is_whole(part) {
            self.version = self.version.wrapping_add(1);
            self.begun = true;
            self.listing.note_whole(now, part);
        }
    }

    fn on_output(&mut self, now: Instant, output: Output<Bytes>) {
        match output {
            // Until it is known where in a recording the player is, nothing of it is of use.
            Output::Send(PeerId::EDGE, Frame::Ask { .. }) if self.is_recorded() && !self.placed => {}
            Output::Send(to, frame) => self.send(to, &frame),
            Output::Connect(peer) => self.out.push_back(Action::Connect(peer)),
            Output::Disconnect(peer) => self.out.push_back(Action::Disconnect(peer)),
            // The player is handed what it asks for, from the peer's own store.
            Output::Part(peer::Part { descriptor, .. }) => {
                self.look_at(now, PartId { run: descriptor.run, part: descriptor.part });
            }
            Output::Event(event) => self.on_event(now, event),
            Output::Closed(why) => self.out.push_back(Action::Closed(why)),
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Admitted(peer) => {
                self.admitted = self.admitted.or(Some(now));
                self.out.push_back(Action::Admitted(peer));
            }
            // The player itself knows best what it waits for.
            Event::Due(..) if self.is_recorded() => {}
            Event::Due(part, whole) => {
                self.counts.missed += u64::from(!whole);
                if whole || self.begun {
                    self.give_up(part);
                } else {
                    self.late = self.late.or(Some((part, now)));
                }
            }
            Event::Rescue(..) if self.admitted.is_some_and(|at| now.since(at) < FIRST_FILL) => {
                self.counts.first_fill += 1;
            }
            Event::Rescue(chunk, from) => {
                self.counts.rescues += 1;
                self.out.push_back(Action::Rescue(chunk, from));
            }
            Event::Pull(..) => self.counts.pulls += 1,
            Event::Switched { .. } => self.counts.switches += 1,
            Event::Duplicate(..) => self.counts.duplicates += 1,
            Event::CutOff(peer) => {
                self.counts.cut_off += 1;
                self.out.push_back(Action::CutOff(peer));
            }
            Event::Completed => {}
        }
    }

    /// A part's time is up: what is not here of it the player takes from elsewhere.
    fn give_up(&mut self, part: PartId) {
        self.listing.give_up(part);
        self.version = self.version.wrapping_add(1);
    }

    fn send(&mut self, to: PeerId, frame: &Frame) {
        let bytes = frame.encode();
        let payload = match frame {
            Frame::Chunk(chunk) => chunk.payload.len() as u64,
            _ => 0,
        };
        self.counts.uploaded_bytes += payload;
        self.counts.control_bytes += bytes.len() as u64 - payload;
        self.out.push_back(Action::Send(to, bytes));
    }

    /// What is to be done now; until None.
    pub fn poll(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// When to [`Self::wake`].
    pub fn wake_at(&self) -> Option<Instant> {
        self.peer.wake_at()
    }

    /// Moves whenever an answer of [`Self::has`] or [`Self::media`] may be another one.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Has anything been told of what there is?
    pub fn knows(&self) -> bool {
        self.listing.newest().is_some() || self.is_recorded()
    }

    /// Is anything listed?
    pub fn lists(&self) -> bool {
        self.listing.timeline().last().is_some()
    }

    /// Is a part of a segment listed? See [`Listing::has`].
    pub fn has(&self, msn: u64, part: Option<u64>) -> Wait {
        self.listing.has(msn, part)
    }

    /// A rendition's playlist, from the first segment that is listed here on.
    pub fn playlist(&self, name: RenditionName) -> Option<String> {
        self.listing.playlist(name)
    }

    /// A part of a rendition.
    pub fn part(&self, run: RunId, name: RenditionName, number: u64) -> Media {
        let Some(catalogue) = self.listing.catalogue(run) else { return Media::Elsewhere };
        let rendition = catalogue.index_of(name).map(|at| (at, &catalogue.renditions[at]));
        // Layers would have to be merged; every rendition has one today.
        let Some((at, _)) = rendition.filter(|(_, it)| it.layers.len() == 1) else { return Media::Elsewhere };
        let of = LayerId { rendition: at as u8, layer: 0 };
        let part = PartId { run, part: number };
        match self.peer.held(part, of) {
            Held::Whole(chunks) => Media::Here(chunks.into_iter().map(|chunk| chunk.into_bytes()).collect()),
            // Its time is up: the player needs it now, and the edge has it.
            Held::Coming if self.listing.gave_up(part) => Media::Elsewhere,
            Held::Coming if self.is_recorded() && !self.is_brought(part, of) => Media::Elsewhere,
            Held::Coming => Media::Coming,
            // A playlist of the edge's may be ahead of what was told here.
            Held::No if self.is_ahead(part) && self.peer.layers().contains(&of) => Media::Coming,
            Held::No => Media::Elsewhere,
        }
    }

    /// Has somebody been asked for it, or will be in time?
    fn is_brought(&self, part: PartId, of: LayerId) -> bool {
        let in_time = || self.peer.due(part).is_some_and(|due| due.since(self.now) > HURRY);
        self.peer.awaited(self.now, part, of) != Awaited::Nobody || self.peer.has_helpers(self.now) && in_time()
    }

    fn is_ahead(&self, part: PartId) -> bool {
        self.listing.newest().is_some_and(|newest| {
            newest.run == part.run && (newest.part + 1..newest.part + AHEAD_PARTS).contains(&part.part)
        })
    }

    /// A whole segment: its parts one after the other.
    pub fn segment(&self, run: RunId, name: RenditionName, msn: u64) -> Media {
        let Some(parts) = self.parts_of(run, msn) else { return Media::Elsewhere };
        let mut all = Vec::new();
        for number in parts {
            match self.part(run, name, number) {
                Media::Here(bytes) => all.extend(bytes),
                other => return other,
            }
        }
        Media::Here(all)
    }

    /// Is this the init segment that was signed? None: not known yet.
    pub fn check_init(&self, run: RunId, name: RenditionName, bytes: &[u8]) -> Option<bool> {
        let catalogue = self.listing.catalogue(run)?;
        let rendition = &catalogue.renditions[catalogue.index_of(name)?];
        Some(trellis_core::trust::chunk::init_hash(bytes) == rendition.init_hash)
    }

    /// The player has this part of a rendition from elsewhere.
    pub fn took_elsewhere(&mut self, run: RunId, name: RenditionName, number: u64) {
        let rendition = self.listing.catalogue(run).and_then(|catalogue| catalogue.index_of(name));
        if let Some(rendition) = rendition {
            let of = LayerId { rendition: rendition as u8, layer: 0 };
            self.counts.intake.on_elsewhere(PartId { run, part: number }, of);
        }
    }

    /// How long a part took to load. None: it is not here.
    pub fn load_time(&self, run: RunId, number: u64) -> Option<Duration> {
        self.listing.load_time(PartId { run, part: number })
    }

    /// The part numbers of a segment that is complete.
    pub fn parts_of(&self, run: RunId, msn: u64) -> Option<RangeInclusive<u64>> {
        match self.is_recorded() {
            true => self.recording.segment(run, msn),
            false => self.listing.timeline().segment(run, msn),
        }
    }

    /// What the newest run consists of.
    pub fn newest_catalogue(&self) -> Option<&Catalogue> {
        self.listing.newest_catalogue()
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The peer itself, to be looked at.
    pub fn peer(&self) -> &Peer<Noting<RealCrypto>> {
        &self.peer
    }
}

/// The base layers of some renditions, by position in a catalogue with so many videos: all of a catalogue that has to be
/// known to join, and a multivariant playlist tells it.
pub fn layers_of(names: &[RenditionName], videos: u8) -> Vec<LayerId> {
    let position = |name: &RenditionName| match name {
        RenditionName::Video(n) => Some(*n),
        RenditionName::Audio(n) => videos.checked_add(*n),
    };
    names.iter().filter_map(position).map(|rendition| LayerId { rendition, layer: 0 }).collect()
}

/// The player may be so far ahead of what the peer plans for before it is told: what it needs would come later than it
/// needs it.
const AHEAD_MAX: Duration = Duration::from_millis(400);
/// And so far behind: what it needs would be passed over.
const BEHIND_MAX: Duration = Duration::from_millis(2_500);
/// What is asked of the edge that soon fills the player's buffer: nobody else could have brought it.
const FIRST_FILL: Duration = Duration::from_secs(1);
/// An edge that had no slots may have some then.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// At the start nothing is lost yet when the first part is late, and the edge has been asked for it already.
const START_GRACE: Duration = Duration::from_millis(600);
const MOVE_AGAIN: Duration = Duration::from_secs(2);
/// In a recording it may take some steps to find where the player is.
const MOVE_AGAIN_RECORDED: Duration = Duration::from_millis(400);
/// The peer may be so far before the end of the player's buffer, ...
const BEFORE_MAX: Duration = Duration::from_secs(10);
/// ... and goes on no farther before it than this: eight seconds are time for other peers.
const BEFORE_PARTS: u64 = 24;
/// A segment has usually so many parts, or fewer; the first of a longer one after a jump is not shared.
const SEGMENT_PARTS: u64 = 8;
/// A segment of the picture and one of the sound, and what was under way when the player went elsewhere.
const OFFERS_MAX: usize = 4;
/// How far beyond the end of the player's buffer the peer may be.
const BEYOND_MAX: Duration = Duration::from_millis(1_500);
/// What is needed sooner the edge brings.
const HURRY: Duration = Duration::from_millis(400);
/// A playlist of the edge's is ahead of the descriptors here by so few parts.
const AHEAD_PARTS: u64 = 4;

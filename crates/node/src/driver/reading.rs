//! What has the brain to do for a local player that reads a recording? It hears where the player is and which renditions it
//! reads, and what came over HTTP; what it brings answers the player.

use std::time::Instant;

use bytes::Bytes;
use trellis_core::peer::{Input, Part, Seek};
use trellis_proto::RunId;
use trellis_proto::frame::{Frame, PartId, PeerId};
use trellis_server::shelf::{Item, Key};

use super::Running;
use crate::reader::{Asked, Reader, joined, layer_of};

impl Running {
    pub(super) fn on_asked(&mut self, now: Instant, asked: Asked) {
        match asked {
            Asked::Parts(run, rendition, parts) => {
                if self.driver.player.recording().is_some_and(|(plays, _)| plays == run) {
                    self.reader.on_read(now, rendition, parts);
                }
            }
            Asked::Missing(key) => self.on_elsewhere(now, key),
            Asked::Wanted(key, answer) => {
                if !self.reader.wait(now, key, answer) {
                    self.on_elsewhere(now, key);
                }
            }
            Asked::Came(key, whole) => self.share(now, key, &whole),
        }
    }

    /// The edge brings this over HTTP.
    fn on_elsewhere(&mut self, now: Instant, key: Key) {
        if let Item::Part(part) = key.item {
            self.intake.on_elsewhere(PartId { run: key.run, part }, layer_of(key));
        }
        // All of a recording is as new as what is read.
        let newest = match (self.driver.player.recording(), key.item) {
            (Some(_), Item::Part(part)) => Some(part),
            _ => self.driver.player.newest(),
        };
        let Some(newest) = newest else { return };
        let (player, choice) = (&self.driver.player, &mut self.choice);
        let layers = player.catalogue(key.run, |catalogue| choice.on_asked(now, key, newest, catalogue));
        if let Some(layers) = layers.flatten() {
            self.tell(now, Input::Switch(layers));
        }
    }

    /// What the edge brought over HTTP the brain can give to others: it looks at it as if it had come on the link.
    fn share(&mut self, now: Instant, key: Key, whole: &Bytes) {
        let Item::Part(part) = key.item else { return };
        let id = PartId { run: key.run, part };
        if self.peer.as_ref().is_some_and(|peer| peer.descriptor(id).is_none()) {
            self.tell_tables(now, id, 1);
        }
        let chunks = self.peer.as_ref().map(|peer| peer.missing_of(id, layer_of(key), whole));
        for chunk in chunks.into_iter().flatten() {
            self.tell(now, Input::Frame(PeerId::EDGE, Frame::Chunk(chunk)));
        }
    }

    /// Did the local player wait for this?
    pub(super) fn answers(&mut self, part: &Part<Bytes>) -> bool {
        let id = PartId { run: part.descriptor.run, part: part.descriptor.part };
        let bytes = || joined(part.chunks.iter().map(|chunk| chunk.payload().clone()));
        self.reader.on_part(id, part.of, bytes)
    }

    /// Of a recording all tables are here, or on their way.
    pub(super) fn reads_tables(&self) -> bool {
        !self.driver.supporter && self.driver.player.is_recorded()
    }

    /// The brain hears of a recording's parts. Until somebody reads it has nothing to play.
    pub(super) fn tell_tables(&mut self, now: Instant, from: PartId, count: u64) {
        if self.reader.has_read() {
            let tables = self.driver.player.tables(from, count);
            tables.into_iter().for_each(|table| self.tell(now, Input::Frame(PeerId::EDGE, Frame::Table(table))));
        }
    }

    /// It knows all it can ask for, however fast the player reads.
    fn tell_next_tables(&mut self, now: Instant, run: RunId) {
        let Some(peer) = &self.peer else { return };
        let Some(here) = self.reader.here(peer) else { return };
        let unknown = |part: &u64| peer.descriptor(PartId { run, part: *part }).is_none();
        if let Some(part) = (here..here + RECORDED_AHEAD).find(unknown) {
            self.tell_tables(now, PartId { run, part }, here + RECORDED_AHEAD - part);
        }
    }

    /// Of a recording the brain plays where the local player reads, and stands still when nobody does.
    pub(super) fn keep_with_the_reader(&mut self, now: Instant) {
        let recording = self.driver.player.recording().filter(|_| !self.driver.supporter);
        let Some((run, parts)) = recording else {
            // A live run may have taken its place: whoever waited for the recording turns to the edge.
            self.reader = Reader::default();
            return self.pause(now, false);
        };
        self.reader.set_run(run);
        self.pause(now, self.reader.is_idle(now));
        self.take_up(now, run);
        let target = self.peer.as_ref().and_then(|peer| self.reader.target(now, peer, run, parts));
        if let Some(part) = target {
            self.tell(now, Input::Seek(Seek::To(part)));
        }
        self.tell_next_tables(now, run);
        for key in self.reader.give_up(now, self.core(now), self.peer.as_ref()) {
            self.on_elsewhere(now, key);
        }
    }

    /// Layers were granted: they are of use from where the player will ask for them next.
    fn take_up(&mut self, now: Instant, run: RunId) {
        let Some((peer, granted)) = self.peer.as_ref().and_then(|peer| Some((peer, peer.granted()?))) else { return };
        let all = granted.iter().chain(peer.layers());
        let changed = all.filter(|of| granted.contains(of) != peer.layers().contains(of)).map(|of| of.rendition);
        if let Some(part) = self.reader.next_of(changed) {
            self.tell(now, Input::Change(PartId { run, part }));
        }
    }

    fn pause(&mut self, now: Instant, paused: bool) {
        if paused != self.paused && self.peer.is_some() {
            self.paused = paused;
            self.tell(now, Input::Pause(paused));
        }
    }
}

/// Parts of a recording the brain may ask for, and a few more.
const RECORDED_AHEAD: u64 = 64;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use ed25519_dalek::SigningKey;
    use reqwest::Client;
    use tokio::sync::{mpsc, oneshot, watch};
    use trellis_core::peer::UploadPolicy;
    use trellis_core::trust::table::Authority;
    use trellis_media::timeline::Timeline;
    use trellis_proto::Mode;
    use trellis_proto::frame::{Assign, LINK_VERSION, LayerId, Welcome};
    use trellis_server::http::Stop;
    use trellis_server::shelf::Shelf;
    use url::Url;

    use super::*;
    use crate::address::Address;
    use crate::driver::Driver;
    use crate::entry::Door;
    use crate::fetch;
    use crate::join::Place;
    use crate::player::Player;
    use crate::player::tests::Origin;
    use crate::stats::Stats;

    const RUN: RunId = RunId(1);
    const PARTS: u64 = 120;

    /// A peer that was let in to watch a recording, all of whose tables are here. The edge is the test.
    struct Film {
        origin: Origin,
        running: Running,
        now: Instant,
    }

    impl Film {
        fn new() -> Self {
            let (origin, now) = (Origin(SigningKey::from_bytes(&[7; 32])), Instant::now());
            let authority = Authority::new(&origin.0.verifying_key().to_bytes()).unwrap();
            let url = Url::parse("http://127.0.0.1:9/watch/demo").unwrap();
            let place = Place {
                ticket: Bytes::from_static(b"ticket"),
                ticket_text: String::new(),
                media: url.clone(),
                link: url.clone(),
                authority: authority.clone(),
                stun: None,
                edge: Some(Ipv4Addr::LOCALHOST.into()),
                may_give: true,
                recorded: true,
                max_rate_bps: 8_000_000,
                clock_ahead_ms: 0,
            };
            let mut running = driver(url.as_str(), now).begin(now);
            running.driver.player.trust(authority);
            running.peer = Some(running.new_peer(now, &place));
            let mut film = Self { origin, running, now };
            film.running.tell(now, Input::Connected(PeerId::EDGE));
            film.told(Frame::Welcome(Welcome {
                version: LINK_VERSION,
                you: PeerId(5),
                hold_back_us: 1_000_000,
                now_us: 0,
                credit_bps: 0,
                start_us: 60_000,
            }));
            film.told(Frame::Table(film.origin.catalogue(1, Mode::Vod, 0)));
            film.told(Frame::Table(film.origin.end(1, PARTS)));
            for from in (0..PARTS).step_by(64) {
                film.running.list(now);
                (from..PARTS.min(from + 64)).for_each(|part| film.told(Frame::Table(film.origin.descriptor(1, part))));
            }
            film.running.list(now);
            assert_eq!(film.running.driver.player.newest(), Some(PARTS - 1));
            film.running.keep_with_the_reader(now);
            film
        }

        fn told(&mut self, frame: Frame) {
            self.running.on_edge_frame(self.now, frame.encode().into());
        }

        /// The local player asks for a segment.
        fn reads(&mut self, rendition: u8, segment: u64) {
            let parts = 6 * segment..=6 * segment + 5;
            self.running.on_asked(self.now, Asked::Parts(RUN, rendition, parts));
            self.running.keep_with_the_reader(self.now);
        }

        fn brain(&self) -> &crate::driver::Brain {
            self.running.peer.as_ref().expect("it was let in")
        }
    }

    fn driver(url: &str, now: Instant) -> Driver {
        let (asked_by, asked) = mpsc::channel(1);
        let media = fetch::Edge::new(Client::new(), asked_by);
        let stream: trellis_proto::StreamId = "demo".parse().unwrap();
        let source = Box::new(fetch::FromEdge(media.clone()));
        let address = Address::parse(url, None).unwrap();
        Driver {
            door: Door { address, token: None, http: Client::new(), upgrades: Client::new() },
            policy: UploadPolicy { cap_bps: None, receive_only: false },
            supporter: false,
            player: Player::new(Shelf::new(Timeline::new(stream.clone()), stream, source)),
            media,
            asked,
            stats: watch::channel(Stats::default()).0,
            stop: Stop::new().1,
            began: now,
            spoils: false,
        }
    }

    fn id(part: u64) -> PartId {
        PartId { run: RUN, part }
    }

    fn key(rendition: u8, part: u64) -> Key {
        Key { run: RUN, rendition, item: Item::Part(part) }
    }

    #[test]
    fn what_a_player_got_of_the_edge_where_it_went_others_can_have() {
        let mut film = Film::new();
        for (segment, next) in [(10, 66), (2, 18)] {
            film.now += Duration::from_secs(1);
            film.reads(0, segment);
            assert_eq!(film.brain().cursor().map(|cursor| cursor.part), Some(id(next)), "it goes on after that");
            let first = 6 * segment;
            film.running.on_asked(film.now, Asked::Came(key(0, first), Origin::media(first)));
            assert!(film.brain().is_whole(id(first)));
        }
    }

    #[test]
    fn another_rung_is_brought_from_where_its_player_will_ask_for_it() {
        let mut film = Film::new();
        film.reads(0, 0);
        film.now += Duration::from_secs(1);
        film.reads(1, 1);
        let low = LayerId { rendition: 1, layer: 0 };
        film.told(Frame::Assign(Assign { plan: 1, layers: Some(vec![low]), ..Assign::default() }));
        film.running.keep_with_the_reader(film.now);
        let wanted = |part| film.brain().wanted(id(part)).map(|of| of.rendition).collect::<Vec<_>>();
        assert_eq!(
            [6, 11, 12, 60].map(wanted),
            [vec![0], vec![0], vec![1], vec![1]],
            "the segment it asked for is not"
        );
    }

    #[test]
    fn a_live_run_in_a_recordings_place_is_waited_for_by_nobody_and_plays_though_nobody_reads() {
        let mut film = Film::new();
        film.reads(0, 0);
        film.running.on_asked(film.now, Asked::Parts(RUN, 0, 6..=11));
        let (answer, mut waits) = oneshot::channel();
        film.running.on_asked(film.now, Asked::Wanted(key(0, 6), answer));
        assert!(waits.try_recv() == Err(oneshot::error::TryRecvError::Empty), "the mesh has its time");
        film.now += Duration::from_secs(60);
        film.running.pause(film.now, true);
        film.told(Frame::Table(film.origin.catalogue(2, Mode::Live, PARTS / 6)));
        film.running.list(film.now);
        assert_eq!(film.running.driver.player.recording(), None);
        film.running.keep_with_the_reader(film.now);
        assert!(!film.running.paused && !film.running.reader.has_read());
        assert!(waits.try_recv() == Err(oneshot::error::TryRecvError::Closed), "the edge is to answer");
    }
}

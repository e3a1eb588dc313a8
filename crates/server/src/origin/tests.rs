//! Does what a publisher leaves behind deserve to be watched, whatever became of the publisher?

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tokio::sync::watch;
use trellis_ingest::SAMPLE;
use trellis_ingest::packager::Options;
use trellis_ingest::sample::Looper;
use trellis_media::timeline::Timeline;
use trellis_proto::{Mode, RunId, StreamId};

use super::Origin;
use super::channels::Channel;
use super::ingest::{Gone, Stopped, Upload, pump};
use super::run::{Finish, Run};
use crate::client::ManagerClient;
use crate::clock::unix_ms;
use crate::cluster_api::StreamState;
use crate::config::OriginConfig;
use crate::http::Stop;
use crate::instance::Lease;
use crate::secret::Secret;
use crate::shelf::{Item, Key, Shelf};

/// An origin whose manager is away.
struct House {
    data: TempDir,
    origin: Arc<Origin>,
    _stop: watch::Sender<bool>,
}

impl House {
    async fn new() -> Self {
        Self::on(TempDir::new().unwrap()).await
    }

    async fn on(data: TempDir) -> Self {
        let (_stop, stopped) = Stop::new();
        let manager = ManagerClient::new(reqwest::Client::new(), "http://127.0.0.1:1", Secret::new("k"));
        let config = OriginConfig::default();
        // The one before it may still be held by tasks that are about to end: each has its id elsewhere.
        let lease = Lease::open(TempDir::new().unwrap().path(), "origin", "o").unwrap();
        let origin = Origin::start(&config, lease, "http://o".into(), data.path(), manager, stopped).await.unwrap();
        Self { origin, data, _stop }
    }

    async fn restarted(self) -> Self {
        Self::on(self.data).await
    }

    async fn begin(&self, mode: Mode) -> Run {
        let place = self.origin.claim(&stream()).await.ok().unwrap();
        Run::new(self.origin.clone(), place, mode, Options::default())
    }

    /// Publishes these bytes of the clip; the run it made.
    async fn vod(&self, bytes: Bytes, how: Finish) -> Option<RunId> {
        let mut run = self.begin(Mode::Vod).await;
        run.push(bytes).await.unwrap();
        let _ = run.finish(how).await;
        self.newest()
    }

    fn channel(&self) -> Arc<Channel> {
        self.origin.channels.get(&stream()).unwrap()
    }

    fn shelf(&self) -> Option<Arc<Shelf>> {
        Some(self.origin.channels.get(&stream())?.shelf().clone())
    }

    fn newest(&self) -> Option<RunId> {
        self.shelf()?.look(|timeline| Some(timeline.newest()?.run))
    }

    /// Part 3 of the film as an edge would get it.
    async fn part(&self, run: RunId) -> Option<Bytes> {
        let shelf = self.shelf()?;
        let size = shelf.look(|timeline| Some(timeline.part(run, 3)?.tracks[0].size()))?;
        let object = shelf.object(Key { run, rendition: 0, item: Item::Part(3) }, size as usize)?;
        let mut pieces = std::pin::pin!(object.read(0..size as usize));
        let piece = futures_util::StreamExt::next(&mut pieces).await?;
        piece.ok()
    }

    fn recordings(&self) -> usize {
        std::fs::read_dir(self.data.path().join("vod/film")).map_or(0, Iterator::count)
    }
}

fn stream() -> StreamId {
    "film".parse().unwrap()
}

fn clip() -> Bytes {
    Bytes::from_static(SAMPLE)
}

/// Where a box begins in the middle of the clip.
fn middle() -> usize {
    let size = |at: usize| u32::from_be_bytes(SAMPLE[at..at + 4].try_into().unwrap()) as usize;
    std::iter::successors(Some(0), |at| Some(at + size(*at))).find(|at| *at > SAMPLE.len() / 2).unwrap()
}

fn half() -> Bytes {
    clip().slice(..middle())
}

/// A box smaller than its own header.
const BAD: Bytes = Bytes::from_static(b"\0\0\0\x04moof");

#[tokio::test]
async fn the_end_of_a_body_counts_only_while_its_request_lives() {
    let (mut upload, asked) = Upload::new("media".into());
    assert_eq!(upload.next().await, Ok(Some("media".into())));
    let done = async { asked.await.unwrap().send(()).unwrap() };
    assert_eq!(tokio::join!(upload.next(), done).0, Ok(None));

    // A connection that breaks lets go of the body first, and of the request later.
    let (mut upload, asked) = Upload::new(axum::body::Body::empty());
    let dropped = async {
        let _unanswered = asked.await;
    };
    assert_eq!(tokio::join!(upload.next(), dropped).0, Err(Gone));
    let (mut upload, asked) = Upload::new(axum::body::Body::empty());
    drop(asked);
    assert_eq!(upload.next().await, Err(Gone));
}

#[tokio::test]
async fn bytes_without_media_keep_no_place() {
    let house = House::new().await;
    let mut run = house.begin(Mode::Live).await;
    run.push(half()).await.unwrap();
    // A box to be skipped, whose bytes come one by one and for ever.
    let begun = Bytes::from_static(b"\0\x10\0\0free");
    let drip = futures_util::stream::unfold(begun, |piece| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, std::io::Error>(piece), Bytes::from_static(b"\0")))
    });
    let (mut upload, _asked) = Upload::new(axum::body::Body::from_stream(drip));
    let pumped = pump(&mut run, &mut upload, &house.origin, Duration::from_millis(100));
    let ended = tokio::time::timeout(Duration::from_secs(10), pumped).await;
    assert!(matches!(ended, Ok(Err(Stopped::Silent))), "it holds the stream's place");
}

#[tokio::test]
async fn what_comes_in_lumps_again_and_again_is_shown_part_by_part() {
    const LUMP: Duration = Duration::from_secs(1);
    let house = House::new().await;
    let mut run = house.begin(Mode::Live).await;
    let began = tokio::time::Instant::now();
    let lumps = futures_util::stream::unfold((Looper::sample(), 1), move |(mut looper, n)| async move {
        let mut lump = BytesMut::new();
        loop {
            let (due, bytes) = looper.next_due().unwrap();
            lump.extend_from_slice(&bytes);
            if due >= LUMP * n {
                break;
            }
        }
        tokio::time::sleep_until(began + LUMP * n).await;
        Some((Ok::<_, std::io::Error>(lump.freeze()), (looper, n + 1)))
    });
    let (mut upload, _asked) = Upload::new(axum::body::Body::from_stream(lumps));
    let watched = async {
        let (mut before, mut grown) = (0, 0);
        for quarter in 14..30 {
            tokio::time::sleep_until(began + Duration::from_millis(quarter * 250)).await;
            let parts =
                house.shelf().and_then(|shelf| shelf.look(Timeline::newest_part)).map_or(0, |(_, part)| part + 1);
            grown += u32::from(parts > before);
            before = parts;
        }
        grown
    };
    let grown = tokio::select! {
        grown = watched => grown,
        _ = pump(&mut run, &mut upload, &house.origin, Duration::from_secs(10)) => panic!("the lumps never end"),
    };
    assert!(grown >= 9, "of sixteen quarters of a second {grown} had a part of their own; there were four lumps");
    assert_eq!(run.take_warnings().len(), 1);
    // What waits is shown at the end: seven seconds and what was ahead of them, in thirds.
    run.finish(Finish::Lost).await.unwrap();
    assert!((21..=30).contains(&run.parts()), "{}", run.parts());
}

#[tokio::test]
async fn a_recording_is_shown_once_it_is_whole() {
    let house = House::new().await;
    let mut run = house.begin(Mode::Vod).await;
    run.push(half()).await.unwrap();
    assert_eq!(house.shelf().unwrap().state(), StreamState::Waiting);
    run.push(clip().slice(middle()..)).await.unwrap();
    run.finish(Finish::Done).await.unwrap();
    let shelf = house.shelf().unwrap();
    assert_eq!((shelf.state(), shelf.look(Timeline::newest_part).unwrap().1 + 1), (StreamState::Vod, run.parts()));
    assert!(house.part(house.newest().unwrap()).await.is_some());
}

#[tokio::test]
async fn a_failed_upload_leaves_nothing() {
    let house = House::new().await;
    assert_eq!(house.vod(half(), Finish::Lost).await, None);
    assert_eq!((house.shelf().is_none(), house.recordings()), (true, 0));
}

#[tokio::test]
async fn a_failed_upload_leaves_the_recording_before_it_in_its_place() {
    let house = House::new().await;
    let good = house.vod(clip(), Finish::Done).await.unwrap();
    let bytes = house.part(good).await.unwrap();
    // The publisher is gone; its media is damaged; the disk fails.
    assert_eq!(house.vod(half(), Finish::Lost).await, Some(good));
    let mut damaged = house.begin(Mode::Vod).await;
    damaged.push(half()).await.unwrap();
    assert!(damaged.push(BAD).await.is_err());
    assert!(damaged.finish(Finish::Done).await.is_err());
    drop(damaged);
    let mut unwritten = house.begin(Mode::Vod).await;
    unwritten.push(clip()).await.unwrap();
    let folder = std::fs::read_dir(house.data.path().join("vod/film")).unwrap().map(|entry| entry.unwrap().path());
    folder.filter(|path| path.extension().is_some()).for_each(|path| std::fs::remove_dir_all(path).unwrap());
    assert!(unwritten.finish(Finish::Done).await.is_err());
    drop(unwritten);
    assert_eq!((house.newest(), house.recordings()), (Some(good), 1));
    assert_eq!(house.part(good).await.unwrap(), bytes);
    // One that is whole takes its place, however soon it comes.
    let better = house.vod(clip(), Finish::Done).await.unwrap();
    assert!(better > good && house.recordings() == 1);
}

#[tokio::test]
async fn media_that_goes_bad_pauses_a_live_stream() {
    let house = House::new().await;
    let mut run = house.begin(Mode::Live).await;
    run.push(half()).await.unwrap();
    assert!(run.push(BAD).await.is_err());
    assert!(run.finish(Finish::Done).await.is_err(), "it is not done, whoever says so");
    assert_eq!(house.shelf().unwrap().state(), StreamState::Paused);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart_however_fast_they_came_before_it() {
    let house = House::new().await;
    let mut run = house.begin(Mode::Live).await;
    run.push(clip()).await.unwrap();
    let (seen, _, _) = house.shelf().unwrap().look(Timeline::last).unwrap();
    drop(run);
    let house = house.restarted().await;
    let mut run = house.begin(Mode::Live).await;
    run.push(clip()).await.unwrap();
    let next = house.shelf().unwrap().look(|timeline| timeline.newest().unwrap().first_msn);
    assert!(next > seen, "{next} comes after {seen}");
}

#[tokio::test]
async fn a_restarted_origin_reads_a_recording_when_it_is_asked_for() {
    let house = House::new().await;
    let run = house.vod(clip(), Finish::Done).await.unwrap();
    let bytes = house.part(run).await.unwrap();
    let parts = house.shelf().unwrap().look(Timeline::newest_part);
    std::fs::create_dir(house.data.path().join("vod/film/0000000000000007.part")).unwrap();
    let house = house.restarted().await;
    let channel = house.origin.channel(&stream()).await.unwrap();
    let shelf = channel.shelf();
    assert_eq!((shelf.state(), shelf.is_complete(), house.recordings()), (StreamState::Vod, false, 1));
    assert!(shelf.look(Timeline::rate_bps) > 0);
    house.origin.read(&channel);
    shelf.until(|shelf| shelf.is_complete()).await;
    assert_eq!(shelf.look(Timeline::newest_part), parts);
    assert_eq!(house.part(run).await.unwrap(), bytes);
    let mut objects = 0;
    shelf.each_object(|_, _| objects += 1);
    assert_eq!(objects, 0, "what can be read again is not kept in memory");
}

#[tokio::test]
async fn a_damaged_recording_is_left_out() {
    let house = House::new().await;
    let run = house.vod(clip(), Finish::Done).await.unwrap();
    let path = house.data.path().join(format!("vod/film/{run}/tables.bin"));
    let mut tables = std::fs::read(&path).unwrap();
    let middle = tables.len() / 2;
    tables[middle] ^= 1;
    std::fs::write(path, tables).unwrap();
    let house = house.restarted().await;
    let channel = house.origin.channel(&stream()).await.unwrap();
    house.origin.read(&channel);
    channel.shelf().until(|shelf| shelf.is_closed()).await;
    assert!(!channel.shelf().is_complete() && house.shelf().is_none());
}

#[tokio::test]
async fn a_recording_that_cannot_be_read_now_is_read_when_somebody_asks_again() {
    let house = House::new().await;
    let run = house.vod(clip(), Finish::Done).await.unwrap();
    let path = house.data.path().join(format!("vod/film/{run}/tables.bin"));
    let house = house.restarted().await;
    let channel = house.origin.channel(&stream()).await.unwrap();
    std::fs::rename(&path, path.with_extension("aside")).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(channel.begin_reading());
    house.origin.read_tables(&channel, run);
    assert!(!channel.shelf().is_complete() && !channel.shelf().is_closed());
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(path.with_extension("aside"), &path).unwrap();
    house.origin.read(&channel);
    channel.shelf().until(|shelf| shelf.is_complete()).await;
}

#[tokio::test]
async fn a_recording_that_nobody_asks_for_is_no_more_than_its_catalogue() {
    let house = House::new().await;
    let run = house.vod(clip(), Finish::Done).await.unwrap();
    let (bytes, rate) = (house.part(run).await.unwrap(), house.channel().rate_bps());
    let held = || house.shelf().unwrap().look(Timeline::newest_part).is_some();
    let follower = house.shelf();
    house.origin.let_go(Duration::ZERO);
    assert!(held(), "somebody follows it");
    drop(follower);
    house.channel().touch(unix_ms());
    house.origin.let_go(Duration::from_secs(60));
    assert!(held(), "somebody has just asked");
    let place = house.origin.claim(&stream()).await.ok().unwrap();
    house.origin.let_go(Duration::ZERO);
    assert!(held(), "somebody publishes");
    drop(place);
    house.origin.let_go(Duration::ZERO);
    assert!(!held());
    assert_eq!((house.shelf().unwrap().state(), house.channel().rate_bps()), (StreamState::Vod, rate));
    house.origin.read(&house.channel());
    house.shelf().unwrap().until(|shelf| shelf.is_complete()).await;
    assert_eq!(house.part(run).await.unwrap(), bytes, "and read again as often as it is wanted");
}

//! A viewer's peer outside of browsers: data channels, the link to the edge, a local HTTP server for players.
//!
//! [`Node::start`] joins a stream like any viewer and runs the brain (`trellis_core::peer`) in one task, `driver`. Around it:
//! `join`, `edge_link` and `entry` lead to the edge; `sockets`, `link`, `links` and `pace` to other peers; `player`, `reader`,
//! `fetch` and `serve` to a local player. What others send never makes it panic or grow without bound.

mod address;
mod choice;
mod driver;
mod edge_link;
mod entry;
mod fetch;
mod join;
mod link;
mod links;
#[doc(hidden)]
pub mod measure;
mod pace;
mod player;
mod reader;
mod serve;
mod sockets;
mod stats;
mod stun;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use trellis_core::peer::UploadPolicy;
use trellis_media::timeline::Timeline;
use trellis_server::http::Stop;
use trellis_server::shelf::Shelf;

pub use address::{Address, WrongAddress};
pub use stats::{State, Stats};

use driver::Driver;
use entry::Door;
use join::{Past, Refused};

/// What to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which stream.
    pub address: Address,
    /// The viewer token; the one in the address when there is none here.
    pub token: Option<String>,
    /// Most bit/s to give.
    pub upload_limit: Option<u64>,
    /// Give nothing.
    pub receive_only: bool,
    /// Where a local player is served; None: nobody watches here.
    pub listen: Option<SocketAddr>,
    /// Give wrong bytes: what others do about it is tested so.
    #[cfg(test)]
    pub spoils: bool,
}

/// A running peer. It runs on when this is dropped; [`Node::stop`] ends it.
pub struct Node {
    address: Option<SocketAddr>,
    playlist: String,
    stats: watch::Receiver<Stats>,
    stop: watch::Sender<bool>,
    close: watch::Sender<bool>,
    driver: JoinHandle<Result<(), String>>,
    server: Option<JoinHandle<()>>,
}

impl Node {
    /// Joins. An error says what to do next; a stream that is full or not live yet is no error, it is asked for again.
    pub async fn start(config: Config) -> Result<Self> {
        let listener = match config.listen {
            Some(address) => Some(
                serve::listen(address)
                    .await
                    .with_context(|| format!("cannot listen on {address}: choose another with --listen"))?,
            ),
            None => None,
        };
        let client = || reqwest::Client::builder().connect_timeout(CONNECT_PATIENCE);
        let door = Door {
            token: config.token.or_else(|| config.address.token.clone()),
            http: client().build().context("no HTTP client")?,
            upgrades: client().http1_only().build().context("no HTTP client")?,
            address: config.address,
        };
        let (asked_by, asked) = mpsc::channel(ASKED_MAX);
        let media = fetch::Edge::new(door.http.clone(), asked_by.clone());
        let stream = door.address.stream.clone();
        let source = Box::new(fetch::FromEdge(media.clone()));
        let shelf = Shelf::new(Timeline::new(stream.clone()), stream, source);
        let began = std::time::Instant::now();
        let first = match door.clone().enter(Past::default()).await {
            Err(Refused::Never(why)) => return Err(anyhow!(why)),
            first => first,
        };
        let (stats_to, stats) = watch::channel(Stats::default());
        let ((stop, stopped), (close, closed)) = (Stop::new(), Stop::new());
        let driver = Driver {
            door,
            policy: UploadPolicy { cap_bps: config.upload_limit, receive_only: config.receive_only },
            supporter: listener.is_none(),
            player: player::Player::new(shelf.clone()),
            media,
            asked,
            stats: stats_to,
            stop: stopped,
            began,
            #[cfg(test)]
            spoils: config.spoils,
        };
        let address = listener.as_ref().map(|listener| listener.address()).transpose()?;
        let playlist = serve::playlist(&shelf);
        let local =
            std::sync::Arc::new(serve::Local { shelf, stats: stats.clone(), stop: closed.clone(), asked: asked_by });
        let server = listener.map(|listener| tokio::spawn(listener.serve(local, closed)));
        Ok(Self { address, playlist, stats, stop, close, driver: tokio::spawn(driver.run(first)), server })
    }

    /// Where it listens for local players.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where a local player finds the stream.
    pub fn url(&self) -> Option<String> {
        self.address.map(|address| format!("http://{address}{}", self.playlist))
    }

    /// How it goes, twice a second.
    pub fn stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Resolves when it cannot go on, and says why.
    pub async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.driver).await {
            Ok(Ok(())) => anyhow!("the peer ended"),
            Ok(Err(why)) => anyhow!(why),
            Err(error) => anyhow!("the peer ended by a fault of its own: {error}"),
        }
    }

    /// Hands over to others, says good-bye and ends, within three seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if !self.driver.is_finished() {
            let _ = (&mut self.driver).await;
        }
        self.close.send_replace(true);
        if let Some(server) = self.server.take() {
            let _ = tokio::time::timeout(CLOSE_PATIENCE, server).await;
        }
    }
}

const CONNECT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// A player in the middle of a part may finish it.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);
const ASKED_MAX: usize = 256;

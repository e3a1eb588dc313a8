//! Nodes around a server in this process.

use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use trellis_ingest::publish::{Input, Options, Target, publish};
use trellis_server::Server;
use trellis_server::config::Config as ServerConfig;

use super::*;

/// All roles, and a live channel.
struct World {
    server: Server,
    _data: TempDir,
    publisher: JoinHandle<()>,
}

const STREAM: &str = "demo";

impl World {
    async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let mut config = ServerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: data.path().into(),
            metrics_listen: None,
            ..ServerConfig::default()
        };
        config.manager.default_open = true;
        let server = Server::start(&config).await.unwrap();
        let key = server.manager().unwrap().publish_key().to_owned();
        let target = Target { url: server.inner_url().into(), stream: STREAM.into(), key };
        let options = Options::new(Input::Clip, target);
        let publisher = tokio::spawn(async move {
            let _ = publish(&options, CancellationToken::new(), |_| ()).await;
        });
        let live = async {
            while !(server.is_ready() && server.finds(STREAM).await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, live).await.expect("the channel comes up");
        Self { server, _data: data, publisher }
    }

    async fn node(&self, spoils: bool) -> Node {
        let url = format!("http://{}/watch/{STREAM}", self.server.address());
        let config = Config {
            address: Address::parse(&url, None).unwrap(),
            token: None,
            upload_limit: None,
            receive_only: false,
            listen: Some("127.0.0.1:0".parse().unwrap()),
            spoils,
        };
        Node::start(config).await.unwrap()
    }

    async fn stop(self) {
        self.publisher.abort();
        self.server.stop().await;
    }
}

impl Node {
    async fn until(&self, what: &str, seen: impl Fn(&Stats) -> bool) -> Stats {
        let mut stats = self.stats();
        let happens = stats.wait_for(|stats| seen(stats));
        match tokio::time::timeout(PATIENCE, happens).await {
            Ok(Ok(stats)) => stats.clone(),
            _ => panic!("{what}: {:?}", *self.stats.borrow()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liar_is_cut_off_and_nobody_misses_anything() {
    let world = World::start().await;
    let liar = world.node(true).await;
    liar.until("the liar is let in", |stats| stats.state == State::Watching).await;
    let honest = world.node(false).await;
    let found = honest.until("the liar is found out", |stats| stats.cut_off > 0).await;
    let more = found.edge_bytes + found.http_bytes + 500_000;
    let stats = honest.until("the edge brings the rest", |stats| stats.edge_bytes + stats.http_bytes > more).await;
    assert_eq!((stats.missed, stats.state), (0, State::Watching), "{stats:?}");
    honest.stop().await;
    liar.stop().await;
    world.stop().await;
}

const PATIENCE: Duration = Duration::from_secs(20);

//! How does a native peer run for a test? `trellis peer`, as a viewer would start it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::{get, try_get};
use crate::lab::Host;
use crate::playlist::Media;
use crate::process::{Process, trellis};
use crate::server::Server;
use crate::{PATIENCE, eventually};

/// A native peer.
pub struct Peer {
    process: Process,
    /// What its names are relative to.
    root: String,
    stats: String,
}

impl Peer {
    /// Starts one that serves players, and waits until it has joined.
    pub async fn start(manager: &Server, stream: &str, options: &[&str]) -> Self {
        Self::run(&mut Self::command(manager, stream, "127.0.0.1:0", options)).await
    }

    /// The same on a host of the laboratory.
    pub async fn start_on(host: &Host, manager: &Server, stream: &str, options: &[&str]) -> Self {
        let command = Self::command(manager, stream, &format!("{}:0", host.address), options);
        Self::run(&mut host.moved(&command)).await
    }

    fn command(manager: &Server, stream: &str, listen: &str, options: &[&str]) -> Command {
        let mut command = trellis();
        command.args(["peer", &format!("{}/watch/{stream}", manager.base()), "--json", "--listen", listen]);
        command.args(options);
        command
    }

    async fn run(command: &mut Command) -> Self {
        let mut process = Process::start("a peer", command.stdout(Stdio::piped()));
        let stdout = process.stdout();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = line.await.expect("reading does not panic").expect("standard output can be read");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the peer printed: {line:?}"));
        let url = |key: &str| ready[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {ready}")).to_owned();
        let root = url("url").strip_suffix("index.m3u8").expect("the multivariant playlist").to_owned();
        Self { process, root, stats: url("stats") }
    }

    /// A peer that serves no player.
    pub fn supporter(manager: &Server, stream: &str) -> Process {
        let mut command = trellis();
        command.args(["peer", &format!("{}/watch/{stream}", manager.base()), "--json", "--supporter"]);
        Process::start("a supporter", command.stdout(Stdio::null()))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The URL of a name.
    pub fn url(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// A media playlist.
    pub async fn playlist(&self, name: &str) -> Media {
        let reply = get(&self.url(name)).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        Media::read(&reply.text())
    }

    /// All figures.
    pub async fn stats(&self) -> Value {
        get(&self.stats).await.json()
    }

    /// One figure.
    pub async fn figure(&self, name: &str) -> u64 {
        let stats = self.stats().await;
        stats[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {stats}"))
    }

    /// Waits until the figures say so.
    pub async fn until(&self, what: &str, seen: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, async || {
            let stats = try_get(&self.stats).await?.json();
            seen(&stats).then_some(stats)
        })
        .await
    }

    /// Waits until a part of at least this number is listed.
    pub async fn lists(&self, name: &str, part: u64) {
        eventually(&format!("part {part} is listed"), PATIENCE, async || {
            newest_part(&self.playlist(name).await).filter(|newest| *newest >= part)
        })
        .await;
    }
}

/// The number in the name of the newest part.
pub fn newest_part(playlist: &Media) -> Option<u64> {
    let part = playlist.parts().last()?;
    part.uri.rsplit_once("/p")?.1.strip_suffix(".m4s")?.parse().ok()
}

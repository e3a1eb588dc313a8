//! How does a peer come to its edge? A place from the manager, a WebSocket to the edge it names; for the first time also
//! what there is to watch, and where the outside sees us.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Client;
use trellis_proto::frame::Nat;

use crate::address::Address;
use crate::choice::Choice;
use crate::edge_link::EdgeLink;
use crate::join::{Past, Place, Refused, join};
use crate::sockets::Sockets;
use crate::stun;

/// Whom to ask, and as whom.
#[derive(Clone)]
pub struct Door {
    pub address: Address,
    pub token: Option<String>,
    /// For everything.
    pub http: Client,
    /// For upgrades: HTTP/1.1 only.
    pub upgrades: Client,
}

/// In, as far as the host is concerned: the brain greets the edge next.
pub struct Entered {
    pub place: Place,
    pub link: EdgeLink,
    /// Of a first entry.
    pub first: Option<First>,
}

/// What only a first entry finds out.
pub struct First {
    pub sockets: Sockets,
    pub reflexive: Option<SocketAddr>,
    pub nat: Nat,
    pub choice: Choice,
}

impl Door {
    /// For the first time.
    pub async fn enter(self, past: Past) -> Result<Entered, Refused> {
        let place = join(&self.http, &self.address, self.token.as_deref(), &past).await?;
        let no_sockets = |error| Refused::Never(format!("no UDP socket can be had: {error}"));
        let mut sockets = Sockets::bind(place.edge).await.map_err(no_sockets)?;
        let seen = async {
            match place.stun {
                Some(server) => Some(stun::ask(&mut sockets, server).await),
                None => None,
            }
        };
        let (link, choice, seen) = tokio::join!(EdgeLink::open(&self.upgrades, &place.link), self.choose(&place), seen);
        let reflexive = seen.flatten();
        let nat = stun::nat(sockets.hosts(), seen);
        Ok(Entered { link: link?, first: Some(First { sockets, reflexive, nat, choice }), place })
    }

    /// Again, at another edge or the same.
    pub async fn enter_again(self, past: Past) -> Result<Entered, Refused> {
        let place = join(&self.http, &self.address, self.token.as_deref(), &past).await?;
        let link = EdgeLink::open(&self.upgrades, &place.link).await?;
        Ok(Entered { place, link, first: None })
    }

    /// What there is to watch. Where the playlist cannot be had, the catalogue will tell.
    async fn choose(&self, place: &Place) -> Choice {
        let text = async {
            let url = place.media.join("index.m3u8").ok()?;
            let response = self.http.get(url).timeout(PLAYLIST_PATIENCE).send().await.ok()?;
            response.error_for_status().ok()?.text().await.ok()
        };
        text.await.map(|text| Choice::from_playlist(&text, place.max_rate_bps)).unwrap_or_default()
    }
}

/// An edge that has just begun to follow the stream holds the answer until it has a segment.
const PLAYLIST_PATIENCE: Duration = Duration::from_secs(6);

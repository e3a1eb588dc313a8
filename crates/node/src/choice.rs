//! Which renditions does the mesh bring? One picture and one sound: the best the ticket pays for, until the local player
//! keeps asking for another.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use trellis_proto::frame::LayerId;
use trellis_proto::{Catalogue, Media};
use trellis_server::shelf::{Item, Key};

/// What is wanted now.
#[derive(Debug, Default)]
pub struct Choice {
    /// Positions in the catalogue.
    picture: Option<u8>,
    sound: Option<u8>,
    /// Parts of other renditions that were asked for, and when.
    asked: VecDeque<(Instant, Key)>,
    switched: Option<Instant>,
}

impl Choice {
    /// A first guess, from the multivariant playlist: the catalogue comes only with the link. Pictures stand before sounds.
    pub fn from_playlist(text: &str, max_rate_bps: u64) -> Self {
        let (mut pictures, mut sounds, mut bandwidth) = (Vec::<(u8, u64)>::new(), 0, 0);
        for line in text.lines() {
            if let Some(attributes) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                let named = attributes.split(',').find_map(|pair| pair.strip_prefix("BANDWIDTH="));
                bandwidth = named.and_then(|number| number.parse().ok()).unwrap_or(0);
            } else if line.starts_with("#EXT-X-MEDIA:") || line.starts_with('a') {
                sounds += 1;
            } else if let Some(number) =
                line.strip_prefix('v').and_then(|rest| rest.strip_suffix(".m3u8")?.parse().ok())
                && pictures.iter().all(|(known, _)| *known != number)
            {
                pictures.push((number, bandwidth));
            }
        }
        pictures.sort_unstable();
        let affordable = pictures.iter().find(|(_, bandwidth)| *bandwidth <= max_rate_bps);
        let picture = affordable.or(pictures.last()).map(|(number, _)| *number);
        Self { picture, sound: (sounds > 0).then_some(pictures.len() as u8), ..Self::default() }
    }

    /// A run begins. Some: what is wanted has to be said anew, for what was wanted is not there.
    pub fn on_catalogue(&mut self, catalogue: &Catalogue, max_rate_bps: u64) -> Option<Vec<LayerId>> {
        let of = |position: Option<u8>| catalogue.renditions.get(usize::from(position?));
        let is_picture = of(self.picture).is_some_and(|r| matches!(r.media, Media::Video { .. }));
        let is_sound = of(self.sound).is_some_and(|r| matches!(r.media, Media::Audio { .. }));
        let has = |video: bool| catalogue.renditions.iter().any(|r| matches!(r.media, Media::Video { .. }) == video);
        if is_picture == has(true) && is_sound == has(false) {
            return None;
        }
        let position = |at: usize| u8::try_from(at).ok();
        let sound = catalogue.renditions.iter().position(|r| matches!(r.media, Media::Audio { .. }));
        let left = max_rate_bps.saturating_sub(sound.map_or(0, |at| catalogue.renditions[at].bandwidth));
        let mut pictures =
            catalogue.renditions.iter().enumerate().filter(|(_, r)| matches!(r.media, Media::Video { .. }));
        let last = pictures.clone().next_back();
        let picture = pictures.find(|(_, r)| r.bandwidth <= left).or(last).map(|(at, _)| at);
        (self.picture, self.sound) = (picture.and_then(position), sound.and_then(position));
        Some(self.layers(catalogue))
    }

    /// All layers of what is wanted; without a catalogue the bases.
    pub fn layers<'a>(&self, catalogue: impl Into<Option<&'a Catalogue>>) -> Vec<LayerId> {
        let catalogue = catalogue.into();
        let count = |rendition: u8| {
            catalogue.and_then(|c| c.renditions.get(usize::from(rendition))).map_or(1, |r| r.layers.len() as u8)
        };
        let chosen = [self.picture, self.sound].into_iter().flatten();
        let layers = |rendition| (0..count(rendition)).map(move |layer| LayerId { rendition, layer });
        match chosen.flat_map(layers).collect::<Vec<_>>() {
            none if none.is_empty() => vec![LayerId { rendition: 0, layer: 0 }],
            layers => layers,
        }
    }

    /// The player asked for something the mesh did not bring; `newest` is the newest part listed. Some: it does so again and
    /// again, and from now on the mesh is to bring it.
    pub fn on_asked(&mut self, now: Instant, key: Key, newest: u64, catalogue: &Catalogue) -> Option<Vec<LayerId>> {
        let (Item::Part(part), chosen) = (key.item, [self.picture, self.sound]) else { return None };
        let soon = self.switched.is_some_and(|at| now < at + SWITCH_EVERY);
        if chosen.contains(&Some(key.rendition)) || part + NEAR < newest || soon {
            return None;
        }
        self.asked.push_back((now, key));
        self.asked.retain(|(at, _)| now < *at + RECENT);
        self.asked.truncate(ASKED_MAX);
        if self.asked.iter().filter(|(_, other)| other.rendition == key.rendition).count() < AGAIN_AND_AGAIN {
            return None;
        }
        match catalogue.renditions.get(usize::from(key.rendition))?.media {
            Media::Video { .. } => self.picture = Some(key.rendition),
            Media::Audio { .. } => self.sound = Some(key.rendition),
        }
        self.asked.clear();
        self.switched = Some(now);
        Some(self.layers(catalogue))
    }
}

/// Parts behind the newest that still count as live: a player's three segments and a little.
const NEAR: u64 = 24;
const RECENT: Duration = Duration::from_secs(4);
const AGAIN_AND_AGAIN: usize = 4;
const ASKED_MAX: usize = 64;
/// A player that cannot decide is not followed at every turn.
const SWITCH_EVERY: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use trellis_proto::{Layer, Mode, Rendition, RunId};

    use super::*;

    fn catalogue(kinds: &str) -> Catalogue {
        let rendition = |kind| Rendition {
            media: match kind {
                'v' => Media::Video { width: 2, height: 2, frame_rate_millihertz: 1 },
                _ => Media::Audio { sample_rate: 48_000, channels: 2 },
            },
            codecs: "x".into(),
            language: String::new(),
            bandwidth: 1_000,
            init_size: 1,
            init_hash: [0; 32],
            layers: vec![Layer { substreams: 1 }],
        };
        Catalogue {
            stream: "demo".parse().unwrap(),
            run: RunId(1),
            key: [0; 32],
            mode: Mode::Live,
            started_ms: 0,
            first_msn: 0,
            discontinuity: 0,
            part_target_us: 1,
            segment_target_s: 2,
            window_s: 1,
            renditions: kinds.chars().map(rendition).collect(),
        }
    }

    fn base(rendition: u8) -> LayerId {
        LayerId { rendition, layer: 0 }
    }

    #[test]
    fn the_best_that_is_paid_for_and_the_first_sound() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a0.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=900,X=1\nv1.m3u8\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=5000\nv0.m3u8\n";
        assert_eq!(Choice::from_playlist(text, 9_000).layers(None), [base(0), base(2)]);
        let mut modest = Choice::from_playlist(text, 1_000);
        assert_eq!(modest.layers(None), [base(1), base(2)]);
        assert_eq!(modest.on_catalogue(&catalogue("vva"), 1_000), None, "as it was thought");
        assert_eq!(modest.on_catalogue(&catalogue("va"), 9_000), Some(vec![base(0), base(1)]));
        assert_eq!(Choice::default().on_catalogue(&catalogue("a"), 1), Some(vec![base(0)]));
        assert_eq!(Choice::from_playlist("nonsense", 1).layers(None), [base(0)]);
    }

    #[test]
    fn a_player_that_keeps_asking_for_another_picture_gets_it_from_the_mesh() {
        let (catalogue, start) = (catalogue("vva"), Instant::now());
        let mut choice = Choice { picture: Some(0), sound: Some(2), ..Choice::default() };
        let mut ask = |rendition, part: u64, s| {
            let key = Key { run: RunId(1), rendition, item: Item::Part(part) };
            choice.on_asked(start + Duration::from_secs(s), key, 100, &catalogue)
        };
        assert_eq!((0..9).find_map(|part| ask(1, part, 0)), None, "old parts fill a buffer");
        assert_eq!((0..9).find_map(|n| ask(1, 98, 5 * n)), None, "now and then");
        assert_eq!((0..3).find_map(|n| ask(1, 98 + n, 50)), None);
        assert_eq!(ask(1, 101, 51), Some(vec![base(1), base(2)]));
        assert_eq!((0..9).find_map(|n| ask(0, 98 + n, 52)), None, "not at every turn");
    }
}

//! Which substreams does the running catalogue have, and what does a slot of each carry? Numbers them densely: a
//! substream is a lane.

use alloc::vec::Vec;

use trellis_proto::Catalogue;
use trellis_proto::frame::{LayerId, Substream};

/// A substream by dense number.
pub type Lane = u16;

/// A set of layers: bit 4·rendition + layer.
pub type LayerMask = u64;

/// The lanes of a catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lanes {
    layers: Vec<Layer>,
    lanes: Vec<Substream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layer {
    of: LayerId,
    first: Lane,
    substreams: u8,
    slot_bps: u64,
}

impl Lanes {
    /// As the catalogue has them; a layer's share of a rendition's bandwidth is even until parts were seen.
    pub fn new(catalogue: &Catalogue) -> Self {
        let mut all = Self::default();
        for (rendition, r) in catalogue.renditions.iter().enumerate() {
            for (layer, l) in r.layers.iter().enumerate() {
                let of = LayerId { rendition: rendition as u8, layer: layer as u8 };
                let slot_bps = (r.bandwidth / r.layers.len() as u64 / u64::from(l.substreams)).max(1);
                let first = all.lanes.len() as Lane;
                all.layers.push(Layer { of, first, substreams: l.substreams, slot_bps });
                all.lanes.extend((0..l.substreams).map(|index| Substream { of, index }));
            }
        }
        all
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Cut alike, whatever they carry?
    pub fn same_shape(&self, other: &Self) -> bool {
        self.lanes == other.lanes
    }

    /// The lane of a substream; None: there is none such.
    pub fn lane(&self, substream: Substream) -> Option<Lane> {
        let layer = self.layer(substream.of)?;
        (substream.index < layer.substreams).then(|| layer.first + Lane::from(substream.index))
    }

    /// Which substream a lane is.
    pub fn substream(&self, lane: Lane) -> Substream {
        self.lanes[usize::from(lane)]
    }

    /// What a slot of this lane carries on average, bit/s.
    pub fn slot_bps(&self, lane: Lane) -> u64 {
        self.layer(self.substream(lane).of).map_or(1, |layer| layer.slot_bps)
    }

    /// K of a layer; 0: no such layer.
    pub fn substreams(&self, of: LayerId) -> u8 {
        self.layer(of).map_or(0, |layer| layer.substreams)
    }

    /// Those of these layers that exist.
    pub fn mask(&self, layers: impl IntoIterator<Item = LayerId>) -> LayerMask {
        layers.into_iter().filter(|of| self.layer(*of).is_some()).fold(0, |mask, of| mask | bit(of))
    }

    /// The layers of a mask, in the catalogue's order.
    pub fn layers(&self, mask: LayerMask) -> impl Iterator<Item = LayerId> + '_ {
        self.layers.iter().map(|layer| layer.of).filter(move |of| mask & bit(*of) != 0)
    }

    /// The lanes of some layers: base layers first, for they are reserved first.
    pub fn of(&self, mask: LayerMask) -> impl Iterator<Item = Lane> + '_ {
        let layers =
            move |base: bool| self.layers.iter().filter(move |l| (l.of.layer == 0) == base && mask & bit(l.of) != 0);
        layers(true).chain(layers(false)).flat_map(|l| l.first..l.first + Lane::from(l.substreams))
    }

    /// What some layers carry together, bit/s.
    pub fn rate_bps(&self, mask: LayerMask) -> u64 {
        self.layers.iter().filter(|l| mask & bit(l.of) != 0).map(|l| l.slot_bps * u64::from(l.substreams)).sum()
    }

    fn layer(&self, of: LayerId) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.of == of)
    }
}

fn bit(of: LayerId) -> LayerMask {
    1 << (u32::from(of.rendition & 15) * 4 + u32::from(of.layer & 3))
}

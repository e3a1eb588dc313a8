//! Which layers are watched, and from where on?
//!
//! Other layers are taken up with a key frame. Live that is the next one to come; of a recording nearly all that is to be
//! played is described already, and the host says where its player has nothing of the former ones any more.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use trellis_proto::frame::{Frame, LayerId, PartId, PeerId, Row};

use super::Peer;
use crate::limits::ROWS_MAX;
use crate::time::Instant;
use crate::trust::Verifier;

impl<V: Verifier> Peer<V> {
    /// Watches other layers of all parts that are not known yet.
    pub(super) fn change_layers(&mut self, layers: Vec<LayerId>) {
        let gone: Vec<_> = self.layers.iter().copied().filter(|of| !layers.contains(of)).collect();
        for of in gone {
            for (peer, set) in self.upstream.drop_layer(of) {
                self.send(peer, Frame::Unsubscribe(vec![set]));
            }
        }
        self.layers = layers;
    }

    /// Of a recording: the host has not said from where on, and nobody may watch.
    pub(super) fn change_here(&mut self, now: Instant) {
        if let Some(cursor) = self.granted().and(self.playback.cursor()) {
            self.on_change(now, cursor.part);
        }
    }

    /// Of a recording: watches what was granted from this part on, known or not.
    pub(super) fn on_change(&mut self, now: Instant, from: PartId) {
        if self.granted().is_none() {
            return;
        }
        self.next_layers.take().into_iter().for_each(|layers| self.change_layers(layers));
        let mut in_vain = BTreeMap::<PeerId, Vec<Row>>::new();
        for (whom, row) in self.store.want(from, &self.layers) {
            in_vain.entry(whom).or_default().push(row);
        }
        for (whom, rows) in in_vain {
            rows.chunks(ROWS_MAX).for_each(|rows| self.send(whom, Frame::Cancel(rows.to_vec())));
        }
        self.scan_soon(now);
    }
}

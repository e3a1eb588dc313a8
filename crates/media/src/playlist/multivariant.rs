//! The multivariant playlist.

use crate::timeline::Timeline;

pub(super) fn write(_timeline: &Timeline) -> Option<String> {
    None
}

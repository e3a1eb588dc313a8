//! A rendition's media playlist.

use trellis_proto::RenditionName;

use crate::timeline::Timeline;

pub(super) fn write(_timeline: &Timeline, _rendition: RenditionName, _skip: bool) -> Option<String> {
    None
}

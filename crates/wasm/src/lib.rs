//! How does a viewer in a browser take part? The brain of `trellis_core::peer`, with JavaScript around it: bytes and times
//! go in, actions and media come out ([`engine`]), and the playlists list what is here ([`listing`]); of a recording they are
//! the edge's, and it is looked up which parts they mean ([`recording`]).
//!
//! JavaScript owns the WebSocket, the data channels, the timers and the player; it decides nothing and reads no protocol
//! bytes. All but [`js`] is ordinary Rust, and tested as such.

pub mod counts;
pub mod engine;
pub mod js;
pub mod listing;
pub mod recording;
#[cfg(test)]
mod tests;

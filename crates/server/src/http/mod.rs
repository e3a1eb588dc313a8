//! How do requests come in? One listener, plain or TLS, HTTP/1.1 and HTTP/2.
//!
//! The two paths that carry almost all requests (media and joins) are matched by hand, the plainest of them before hyper
//! sees them (`lane`); everything else goes through the router.

pub mod body;
mod coding;
mod connection;
pub mod cors;
mod lane;
pub mod listen;
pub mod reply;
mod roster;
#[cfg(test)]
mod tests;
pub mod tls;

pub use body::Body;
pub use coding::Coded;
pub use hyper::body::Incoming;
pub use lane::{Plain, head};
pub use listen::{Caller, Handle, Listener, Stop};
pub use reply::{Reply, empty, error, json};
pub use roster::Limits;

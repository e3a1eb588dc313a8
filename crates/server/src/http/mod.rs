//! How do requests come in? One listener, plain or TLS, HTTP/1.1 and HTTP/2.
//!
//! The two paths that carry almost all requests (media and joins) are matched here by hand; everything else goes
//! through the router.

pub mod body;
pub mod cors;
pub mod listen;
pub mod reply;
pub mod tls;

pub use body::Body;
pub use listen::{Listener, Stop};
pub use reply::{Reply, empty, error, json};

//! A viewer's peer outside of browsers: data channels, the link to the edge, a local HTTP server for players.

mod link;
mod links;
mod pace;
mod sockets;
mod address;
mod edge_link;
mod fetch;
mod join;
mod stats;
mod stun;

//! The roles of Trellis: manager, origin and edge, and the one listener that carries them.
//!
//! [`Server::start`] brings up whatever roles the configuration names. Roles never call each other in memory:
//! what works in one process works on three machines.

mod client;
mod clock;
pub mod cluster_api;
pub mod config;
pub mod edge;
pub mod http;
mod instance;
mod keyfile;
mod locality;
pub mod manager;
pub mod origin;
mod secret;
mod server;
pub mod shelf;
mod telemetry;
mod units;
mod web;

pub use server::{Server, StartError};
pub use units::Rate;

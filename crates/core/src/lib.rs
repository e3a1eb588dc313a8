//! What is decided in Trellis, without a clock, a socket, a thread or a random number: time and bytes come in
//! as arguments, decisions go out as values.
#![no_std]

extern crate alloc;

pub mod cluster;
mod few;
pub mod intake;
pub mod limits;
pub mod locality;
pub mod manager;
pub mod near;
pub mod outbox;
mod pace;
pub mod peer;
pub mod seeded;
pub mod smooth;
pub mod tape;
pub mod time;
pub mod trust;

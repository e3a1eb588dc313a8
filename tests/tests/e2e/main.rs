//! Does Trellis do what it says, from outside? Release binaries, real players, loopback only.
//!
//! One program, so that topics run beside each other; each file is one topic, each test a sentence.

mod accounts;
mod bad_input;
mod browser;
mod command_line;
mod decoding;
mod edges;
mod joining;
mod mesh;
mod model;
mod networks;
mod operating;
mod pages;
mod protocol;

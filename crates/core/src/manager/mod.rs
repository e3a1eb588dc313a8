//! The manager's decisions.

pub mod redirect;

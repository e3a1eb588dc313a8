//! A viewer's engine.

pub mod event;

pub use event::{Config, Event, Input, Output, Part, Seek, Support, UploadPolicy};

//! How media comes in: the packager that cuts it, the publisher that sends it, and the clip that ships with Trellis.

pub mod packager;
pub mod publish;
pub mod sample;

pub use sample::SAMPLE;

//! How does a viewer outside of browsers take part? The brain of `trellis_core::peer` with real sockets around it.

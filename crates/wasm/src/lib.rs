//! How does a viewer in a browser take part? The brain of `trellis_core::peer`, with JavaScript around it.

//! Which edge takes this viewer?

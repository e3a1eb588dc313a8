//! How frames are laid down as bytes (`spec/wire.md`).

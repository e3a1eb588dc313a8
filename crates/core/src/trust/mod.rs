//! What may be believed? The only place where bytes become facts: [`table`] checks signatures of tables and
//! tickets, [`chunk`] checks media against signed hashes.

pub mod chunk;
mod noting;
pub mod table;
pub mod verifier;

pub use chunk::VerifiedChunk;
pub use noting::{Noted, Noting};
pub use table::Distrust;
pub use verifier::{Payload, RealCrypto, Verified, Verifier};

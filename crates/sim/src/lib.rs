//! The brain in virtual time: peers, edges and a manager run the code that ships, under bandwidth, latency, loss,
//! firewalls, churn and liars, from one seed.
//!
//! ```
//! let scenario = trellis_sim::Scenario::parse("duration_s = 10\n[viewers]\ncount = 3").unwrap();
//! assert_eq!(scenario.budget_bps(), 750_000);
//! ```

pub mod against;
pub mod chance;
pub mod compare;
pub mod crypto;
pub mod fast;
pub mod machine;
pub mod measure;
pub mod media;
pub mod nat;
pub mod net;
pub mod plain;
pub mod player;
pub mod population;
pub mod queue;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod trace;
pub mod world;

pub use compare::compare;
pub use replay::replay;
pub use report::Report;
pub use run::run;
pub use scenario::{MeshKind, Scenario};
pub use world::{Options, Outcome};

//! Whose name is this? Edges and origins are known by name, in tickets and accounts too, so two living processes of
//! one name would be one to the manager: sessions of both, room of either.
//!
//! A name belongs to whoever reports under it until it falls silent or drains. Another process gets it before that
//! only when it shows the same id (it keeps the same data directory) and started later: it is the same server,
//! restarted. Which leaves the earlier of the two refused, should it still live.

use std::collections::HashMap;

use trellis_core::time::Instant;

use super::registry::DEAD_AFTER;
use crate::cluster_api::Instance;

/// Names of one role. Bounded by who keeps it: only names of edges or origins that were taken in are held.
#[derive(Default)]
pub struct Names(HashMap<String, Holder>);

struct Holder {
    instance: Instance,
    last_beat: Instant,
    draining: bool,
}

impl Names {
    /// May this process report under `name`?
    pub fn is_free(&self, now: Instant, name: &str, instance: &Instance) -> bool {
        self.0.get(name).is_none_or(|holder| holder.gives_way(now, instance))
    }

    /// It does.
    pub fn hold(&mut self, now: Instant, name: &str, instance: &Instance, draining: bool) {
        match self.0.get_mut(name) {
            Some(holder) if holder.instance == *instance => (holder.last_beat, holder.draining) = (now, draining),
            _ => {
                let holder = Holder { instance: instance.clone(), last_beat: now, draining };
                self.0.insert(name.to_owned(), holder);
            }
        }
    }

    /// Forgets who reports no more.
    pub fn expire(&mut self, now: Instant) {
        self.0.retain(|_, holder| now.since(holder.last_beat) <= DEAD_AFTER);
    }
}

impl Holder {
    fn gives_way(&self, now: Instant, other: &Instance) -> bool {
        let gone = self.draining || now.since(self.last_beat) > DEAD_AFTER;
        let restarted = self.instance.id == other.id && self.instance.started_ms <= other.started_ms;
        gone || restarted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn instance(id: &str, started_ms: u64) -> Instance {
        Instance { id: id.into(), started_ms }
    }

    fn held_by(holder: &Instance, draining: bool) -> Names {
        let mut names = Names::default();
        names.hold(Instant(0), "e", holder, draining);
        names
    }

    #[test]
    fn a_living_holder_keeps_its_name_from_strangers() {
        let (holder, stranger) = (instance("a", 5), instance("b", 9));
        let names = held_by(&holder, false);
        let later = Instant(0) + DEAD_AFTER;
        assert!(names.is_free(later, "e", &holder) && names.is_free(later, "f", &stranger));
        assert!(!names.is_free(later, "e", &stranger));
        assert!(names.is_free(later + Duration::from_millis(1), "e", &stranger), "it fell silent");
        assert!(held_by(&holder, true).is_free(later, "e", &stranger), "it drains");
    }

    #[test]
    fn a_restart_takes_over_and_the_earlier_process_does_not_take_it_back() {
        let mut names = held_by(&instance("a", 5), false);
        let restarted = instance("a", 6);
        assert!(names.is_free(Instant(1), "e", &restarted));
        names.hold(Instant(1), "e", &restarted, false);
        assert!(!names.is_free(Instant(2), "e", &instance("a", 5)));
    }
}

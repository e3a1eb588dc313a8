//! What of the upload budget is promised, to plain sessions and to clusters, and what may each cluster promise yet?
//!
//! Invariant: what is promised never adds up to more than the budget. A plain session takes its rate once; a cluster
//! promises its viewers slots as it goes, so it has an allowance: what it holds, and an equal part of what nobody holds.
//! What it reserves is promised to nobody: plain sessions do not get it, clusters and their viewers do.
//! A cluster acts under its allowance as of the moment it begins, while nobody takes anything away; allowances are set
//! while no cluster acts. So they can act at the same time and yet never promise the same twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use trellis_proto::limits::RATE_MAX;

/// The book of an edge.
pub struct Promises {
    capacity_bps: u64,
    book: RwLock<Book>,
}

#[derive(Default)]
struct Book {
    plain_bps: u64,
    next: u64,
    clusters: BTreeMap<u64, Arc<Account>>,
}

#[derive(Default)]
struct Account {
    allowed_bps: AtomicU64,
    held_bps: AtomicU64,
    /// What plain sessions leave to it in any case, what it holds included.
    reserved_bps: AtomicU64,
}

impl Account {
    fn held_bps(&self) -> u64 {
        self.held_bps.load(Ordering::Relaxed)
    }

    /// What it reserves beyond what it holds.
    fn beyond_bps(&self) -> u64 {
        self.reserved_bps.load(Ordering::Relaxed).saturating_sub(self.held_bps())
    }
}

/// What a cluster takes of the budget, bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Promised to its viewers.
    pub held_bps: u64,
    /// So much, what it holds included, is not for plain sessions.
    pub reserved_bps: u64,
}

/// A cluster's allowance; nothing is held any more when it is dropped.
pub struct Allowance {
    promises: Arc<Promises>,
    number: u64,
    account: Arc<Account>,
}

impl Promises {
    /// Of an edge that may upload so much, bit/s.
    pub fn new(capacity_bps: u64) -> Arc<Self> {
        Arc::new(Self { capacity_bps, book: RwLock::default() })
    }

    /// A plain session's place. False: there is no room.
    pub fn take(&self, bps: u64) -> bool {
        let mut book = self.write();
        let fits = book.promised_bps().saturating_add(book.reserved_bps()).saturating_add(bps) <= self.capacity_bps;
        if fits {
            book.plain_bps += bps;
            book.share_out(self.capacity_bps);
        }
        fits
    }

    /// It is given back.
    pub fn give_back(&self, bps: u64) {
        let mut book = self.write();
        book.plain_bps -= bps;
        book.share_out(self.capacity_bps);
    }

    /// For one more cluster.
    pub fn allowance(self: &Arc<Self>) -> Allowance {
        let mut book = self.write();
        let (number, account) = (book.next, Arc::new(Account::default()));
        book.next += 1;
        book.clusters.insert(number, account.clone());
        book.share_out(self.capacity_bps);
        drop(book);
        Allowance { promises: self.clone(), number, account }
    }

    /// All that is promised, bit/s.
    pub fn promised_bps(&self) -> u64 {
        self.read().promised_bps()
    }

    /// What plain sessions do not get of the rest, bit/s.
    pub fn reserved_bps(&self) -> u64 {
        self.read().reserved_bps()
    }

    /// What nobody holds goes in equal parts to the clusters again, as they need it: told now and then by each.
    pub fn share_out(&self) {
        self.write().share_out(self.capacity_bps);
    }

    fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn promised_bps(&self) -> u64 {
        self.clusters.values().map(|account| account.held_bps()).fold(self.plain_bps, u64::saturating_add)
    }

    fn reserved_bps(&self) -> u64 {
        self.clusters.values().map(|account| account.beyond_bps()).fold(0, u64::saturating_add)
    }

    fn share_out(&self, capacity_bps: u64) {
        let free = capacity_bps.saturating_sub(self.promised_bps()) / (self.clusters.len() as u64).max(1);
        for account in self.clusters.values() {
            // More is no rate.
            account.allowed_bps.store((account.held_bps() + free).min(RATE_MAX), Ordering::Relaxed);
        }
    }
}

impl Allowance {
    /// What the cluster may promise in all, bit/s.
    pub fn bps(&self) -> u64 {
        self.account.allowed_bps.load(Ordering::Relaxed)
    }

    /// Lets the cluster act. It is told its allowance, bit/s, and says what it takes of it afterwards.
    pub fn during(&self, act: impl FnOnce(u64) -> Claim) {
        let _book = self.promises.read();
        let allowed = self.bps();
        let claim = act(allowed);
        self.account.held_bps.store(claim.held_bps.min(allowed), Ordering::Relaxed);
        self.account.reserved_bps.store(claim.reserved_bps.min(allowed), Ordering::Relaxed);
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        let mut book = self.promises.write();
        book.clusters.remove(&self.number);
        book.share_out(self.promises.capacity_bps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_never_exceeds_the_budget_whoever_takes_it() {
        let promises = Promises::new(10);
        let one = promises.allowance();
        assert_eq!(one.bps(), 10);
        assert!(promises.take(3));
        one.during(|allowed| {
            assert_eq!(allowed, 7);
            holds(5)
        });
        assert!(!promises.take(3) && promises.take(2));
        assert_eq!((one.bps(), promises.promised_bps()), (5, 10));
        one.during(|allowed| holds(allowed + 1));
        assert_eq!(promises.promised_bps(), 10, "more than is allowed is not promised");
        one.during(|_| holds(1));
        promises.give_back(2);
        assert_eq!(one.bps(), 7);
        drop(one);
        assert_eq!(promises.promised_bps(), 3);
    }

    fn holds(held_bps: u64) -> Claim {
        Claim { held_bps, reserved_bps: 0 }
    }

    #[test]
    fn what_is_reserved_is_not_for_plain_sessions_and_for_everybody_else() {
        let promises = Promises::new(10);
        let (one, two) = (promises.allowance(), promises.allowance());
        one.during(|_| Claim { held_bps: 1, reserved_bps: 4 });
        promises.share_out();
        assert_eq!((promises.promised_bps(), promises.reserved_bps()), (1, 3));
        assert!(!promises.take(7) && promises.take(6), "plain sessions leave it alone");
        assert_eq!((one.bps(), two.bps()), (2, 1), "clusters take it");
        two.during(|_| holds(1));
        assert_eq!((promises.promised_bps(), promises.reserved_bps()), (8, 3), "nothing else is promised of it");
        one.during(|_| Claim { held_bps: 2, reserved_bps: 2 });
        assert_eq!((promises.promised_bps(), promises.reserved_bps()), (9, 0), "what is held is reserved no more");
        drop(one);
        assert!(promises.take(3));
    }

    #[test]
    fn clusters_share_what_nobody_holds() {
        let promises = Promises::new(10);
        let (one, two) = (promises.allowance(), promises.allowance());
        one.during(|allowed| {
            assert_eq!(allowed, 5);
            holds(4)
        });
        promises.share_out();
        assert_eq!((one.bps(), two.bps()), (7, 3));
        one.during(|_| holds(7));
        two.during(|_| holds(3));
        promises.share_out();
        assert_eq!((one.bps(), two.bps(), promises.promised_bps()), (7, 3, 10));
    }
}

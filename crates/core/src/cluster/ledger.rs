//! Who can give how much, and who holds what of it? Every number in bit/s.
//!
//! Invariants: nobody has promised more than it can give, and the sum of what credit was given never exceeds what
//! the edge could cover if it proved wrong ([`Ledger::credit_room`]).

use alloc::vec;
use alloc::vec::Vec;

use super::roster::{EDGE, Slot};

/// What a giver can give and has promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// What its uplink is believed to carry.
    pub alpha_bps: u64,
    /// What it may promise.
    pub capacity_bps: u64,
    /// What others hold of it.
    pub held_bps: u64,
    /// What of its capacity nobody has seen yet.
    pub credit_bps: u64,
}

/// How an edge's bandwidth is shared out, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Slots that admission may give away.
    pub serving: u16,
    /// Filling the buffers of who just came.
    pub start_up: u16,
    /// What comes too late by any other way. Admission never touches it.
    pub rescue: u16,
}

impl Default for Shares {
    /// D2 names the three; their sizes are the reference cluster's (30 % for start-up and rescue).
    fn default() -> Self {
        Self { serving: 700, start_up: 200, rescue: 100 }
    }
}

/// Of what a giver's uplink carries, this much is promised (per cent): the rest is control and retransmission.
const PROMISED_PERCENT: u64 = 95;
/// Credit that the reserve is thought to cover: one in so many is expected to prove wrong at the same time.
const CREDIT_PER_RESERVE: u64 = 8;

/// The book.
#[derive(Debug, Clone)]
pub struct Ledger {
    accounts: Vec<Account>,
    shares: Shares,
    budget_bps: u64,
    credit_bps: u64,
    capacity_bps: u64,
    held_bps: u64,
}

impl Ledger {
    /// An edge with so much bandwidth.
    pub fn new(budget_bps: u64, shares: Shares) -> Self {
        let mut ledger = Self {
            accounts: vec![Account::default()],
            shares,
            budget_bps,
            credit_bps: 0,
            capacity_bps: 0,
            held_bps: 0,
        };
        ledger.set_budget(budget_bps);
        ledger
    }

    /// The operator changed what the edge may send.
    pub fn set_budget(&mut self, budget_bps: u64) {
        self.budget_bps = budget_bps;
        self.accounts[EDGE as usize].capacity_bps = self.share(self.shares.serving);
    }

    /// B.
    pub fn budget_bps(&self) -> u64 {
        self.budget_bps
    }

    /// What fills the buffers of who just came.
    pub fn start_up_bps(&self) -> u64 {
        self.share(self.shares.start_up)
    }

    /// What is kept for who has lost its giver.
    pub fn rescue_bps(&self) -> u64 {
        self.share(self.shares.rescue)
    }

    fn share(&self, thousandths: u16) -> u64 {
        self.budget_bps / 1000 * u64::from(thousandths)
    }

    /// One giver's.
    pub fn account(&self, slot: Slot) -> Account {
        self.accounts.get(slot as usize).copied().unwrap_or_default()
    }

    /// What a giver could still promise.
    pub fn free_bps(&self, slot: Slot) -> u64 {
        let account = self.account(slot);
        account.capacity_bps.saturating_sub(account.held_bps)
    }

    /// What the edge could still promise to somebody who would else have nothing.
    pub fn edge_last_bps(&self) -> u64 {
        (self.account(EDGE).capacity_bps + self.rescue_bps()).saturating_sub(self.account(EDGE).held_bps)
    }

    /// What all peers together may promise, and have promised.
    pub fn peers_bps(&self) -> (u64, u64) {
        (self.capacity_bps, self.held_bps)
    }

    /// Credit that is out.
    pub fn credit_bps(&self) -> u64 {
        self.credit_bps
    }

    /// How much more credit may be given.
    pub fn credit_room_bps(&self) -> u64 {
        ((self.start_up_bps() + self.rescue_bps()) * CREDIT_PER_RESERVE).saturating_sub(self.credit_bps)
    }

    /// What an uplink must carry for so much to be promised of it.
    pub fn carrying(promised_bps: u64) -> u64 {
        promised_bps.div_ceil(PROMISED_PERCENT) * 100
    }

    /// A giver's uplink is now believed to carry `alpha_bps`, of which nobody has seen `credit_bps`.
    pub fn believe(&mut self, slot: Slot, alpha_bps: u64, credit_bps: u64) {
        if self.accounts.len() <= slot as usize {
            self.accounts.resize(slot as usize + 1, Account::default());
        }
        let account = &mut self.accounts[slot as usize];
        let capacity_bps = alpha_bps / 100 * PROMISED_PERCENT;
        self.capacity_bps = self.capacity_bps + capacity_bps - account.capacity_bps;
        self.credit_bps = self.credit_bps + credit_bps - account.credit_bps;
        *account = Account { alpha_bps, capacity_bps, credit_bps, ..*account };
    }

    /// A slot is held of a giver.
    pub fn hold(&mut self, giver: Slot, bps: u64) {
        self.accounts[giver as usize].held_bps += bps;
        self.held_bps += if giver == EDGE { 0 } else { bps };
    }

    /// A slot is given back.
    pub fn release(&mut self, giver: Slot, bps: u64) {
        self.accounts[giver as usize].held_bps -= bps;
        self.held_bps -= if giver == EDGE { 0 } else { bps };
    }
}

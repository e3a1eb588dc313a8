//! May this viewer come in? The seven steps of the paper as one function of numbers.

/// What a viewer needs and what there is, bit/s and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Substreams it wants.
    pub wanted: u32,
    /// Of these, how many supporting peers have room for (its own credit included).
    pub from_peers: u32,
    /// What the rest carries.
    pub rest_bps: u64,
    /// What the edge may still give away as slots.
    pub edge_free_bps: u64,
    /// Bits its first fill takes from the edge.
    pub fill_bits: u64,
    /// Bits the start-up share has saved up.
    pub start_up_bits: u64,
    /// Bits per second the start-up share grows by.
    pub start_up_bps: u64,
    /// Bits per second by which what peers can give has grown lately.
    pub growth_bps2: u64,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Stream(P, Supporting Peers).
    Peers,
    /// Stream(P, S_i), as far as supporting peers have no room.
    Edge,
    /// Neither: the manager searches elsewhere, and here it may be tried again after so many seconds.
    Elsewhere(u16),
}

/// Retries are told to come back neither at once nor never.
const RETRY_S: core::ops::RangeInclusive<u64> = 1..=30;

/// Decides.
pub fn decide(n: Numbers) -> Verdict {
    // Steps 1 and 2 are the manager's: P asked S, and S sent it here.
    if n.fill_bits > n.start_up_bits {
        return Verdict::Elsewhere(retry(n.fill_bits - n.start_up_bits, n.start_up_bps));
    }
    // 3. "If the available bandwidth from supporting peers […] outweighs the requesting bandwidth of P".
    if n.from_peers >= n.wanted {
        return Verdict::Peers;
    }
    // 4. "Else if available S_i bandwidth outweighs the requesting bandwidth of P".
    if n.rest_bps <= n.edge_free_bps {
        return Verdict::Edge;
    }
    // Step 5 is the ledger's. 6 and 7: "S conducts an overall search", and if nothing is found, "reject P".
    Verdict::Elsewhere(retry(n.rest_bps - n.edge_free_bps, n.growth_bps2))
}

/// How long until what is missing has grown.
fn retry(missing: u64, per_second: u64) -> u16 {
    let seconds = if per_second == 0 { *RETRY_S.end() } else { missing.div_ceil(per_second) };
    seconds.clamp(*RETRY_S.start(), *RETRY_S.end()) as u16
}

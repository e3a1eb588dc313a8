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
    /// Bits per second by which room grows: as what peers can give has lately, and as leaving viewers are expected to give
    /// back.
    pub growth_bps2: u64,
    /// Who came within the last [`START_S`] and gives nothing yet.
    pub newcomers: u64,
    /// How many of these can be started at a time: see [`newcomers_max`].
    pub newcomers_max: u64,
    /// Who was refused before it and is not in yet.
    pub ahead: u64,
    /// Who is here.
    pub present: u64,
    /// Bits of first fills the edge has sent, or promised, beyond what it had saved up.
    pub owed_bits: u64,
}

/// How many can be started within [`START_S`]: each takes its fill and what is sent before it gives; there is what the
/// edge sends, and what peers could give and nobody holds.
pub fn newcomers_max(edge_bps: u64, spare_bps: u64, rate_bps: u64, past_bits: u64) -> u64 {
    let each = past_bits + rate_bps * START_S;
    ((edge_bps + spare_bps) * START_S / each.max(1)).max(NEWCOMERS_LEAST)
}

/// A newcomer plays, and gives, after this; s.
pub const START_S: u64 = 2;
/// However small the edge, a handful is started together: they exchange what it sends once.
const NEWCOMERS_LEAST: u64 = 8;
/// Each generation of newcomers lets the next be larger by one in so many.
const GROWTH: u64 = 4;

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
    if n.newcomers >= n.newcomers_max {
        return Verdict::Elsewhere(turn(n.ahead, n.newcomers_max));
    }
    // The first few exchange what the edge has sent one of them: they wait for that together and not for their turn.
    let few = n.present < NEWCOMERS_LEAST && n.owed_bits <= n.start_up_bps * START_S;
    if n.fill_bits > n.start_up_bits && !few {
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

/// When is it somebody's turn before whom so many wait? A generation comes in per [`START_S`], each larger than the last.
fn turn(mut ahead: u64, mut generation: u64) -> u16 {
    let mut seconds = START_S;
    while ahead >= generation && seconds < *RETRY_S.end() {
        ahead -= generation;
        generation += generation / GROWTH;
        seconds += START_S;
    }
    seconds as u16
}

/// How long until what is missing has grown.
fn retry(missing: u64, per_second: u64) -> u16 {
    let seconds = if per_second == 0 { *RETRY_S.end() } else { missing.div_ceil(per_second) };
    seconds.clamp(*RETRY_S.start(), *RETRY_S.end()) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 17 substreams of 2.6 Mbit/s, plenty of everything.
    const PLENTY: Numbers = Numbers {
        wanted: 17,
        from_peers: 17,
        rest_bps: 0,
        edge_free_bps: 100_000_000,
        fill_bits: 2_600_000,
        start_up_bits: 50_000_000,
        start_up_bps: 20_000_000,
        growth_bps2: 1_000_000,
        newcomers: 0,
        newcomers_max: 8,
        ahead: 0,
        present: 500,
        owed_bits: 0,
    };

    #[test]
    fn a_crowd_comes_in_by_generations_each_larger_than_the_last_and_is_told_when_its_turn_is() {
        // 125 Mbit/s start 30 viewers of 2.5 Mbit/s in 2 s, who take 3.2 Mbit of the past each.
        let most = newcomers_max(125_000_000, 0, 2_500_000, 3_200_000);
        assert_eq!((most, newcomers_max(8_000_000, 0, 2_500_000, 3_200_000)), (30, 8));
        assert_eq!(newcomers_max(125_000_000, 125_000_000, 2_500_000, 3_200_000), 60);
        let crowd = |ahead| decide(Numbers { newcomers: most, newcomers_max: most, ahead, ..PLENTY });
        assert_eq!([crowd(0), crowd(30), crowd(66), crowd(67)], [2, 4, 4, 6].map(Verdict::Elsewhere));
        assert_eq!(crowd(900), Verdict::Elsewhere(20));
        assert_eq!(decide(Numbers { newcomers: 29, newcomers_max: most, ahead: 900, ..PLENTY }), Verdict::Peers);
    }

    #[test]
    fn steps_1_and_2_a_new_peer_asked_the_manager_and_was_sent_here_so_its_first_fill_is_charged_here() {
        let late = Numbers { fill_bits: 90_000_000, ..PLENTY };
        assert_eq!(decide(late), Verdict::Elsewhere(2), "40 Mbit are missing, 20 Mbit/s come");
        let of_eight = |present| decide(Numbers { present, ..late });
        assert_eq!((of_eight(7), of_eight(8)), (Verdict::Peers, Verdict::Elsewhere(2)), "eight at once share one fill");
        let owing = Numbers { present: 0, owed_bits: 40_000_001, ..late };
        assert_eq!(decide(owing), Verdict::Elsewhere(2), "few who come and go do not take fill after fill");
    }

    #[test]
    fn step_3_if_the_available_bandwidth_from_supporting_peers_outweighs_the_requesting_bandwidth() {
        assert_eq!(decide(Numbers { edge_free_bps: 0, ..PLENTY }), Verdict::Peers);
    }

    #[test]
    fn step_4_else_if_available_bandwidth_of_the_server_outweighs_the_requesting_bandwidth() {
        let some = Numbers { from_peers: 9, rest_bps: 1_200_000, ..PLENTY };
        assert_eq!(decide(some), Verdict::Edge);
        assert_eq!(
            decide(Numbers { from_peers: 0, rest_bps: 2_600_000, edge_free_bps: 2_600_000, ..PLENTY }),
            Verdict::Edge
        );
    }

    #[test]
    fn step_5_who_became_a_supporting_peer_since_lets_the_same_viewer_in() {
        let before = Numbers { from_peers: 16, rest_bps: 156_250, edge_free_bps: 0, ..PLENTY };
        assert!(matches!(decide(before), Verdict::Elsewhere(_)));
        assert_eq!(decide(Numbers { from_peers: 17, rest_bps: 0, ..before }), Verdict::Peers);
    }

    #[test]
    fn steps_6_and_7_otherwise_search_elsewhere_and_if_nothing_is_found_reject_until_the_cluster_has_grown() {
        let none = Numbers { from_peers: 0, rest_bps: 2_600_000, edge_free_bps: 100_000, ..PLENTY };
        assert_eq!(decide(none), Verdict::Elsewhere(3), "2.5 Mbit/s are missing, 1 Mbit/s comes per second");
        assert_eq!(decide(Numbers { growth_bps2: 0, ..none }), Verdict::Elsewhere(30), "nothing grows");
        assert_eq!(decide(Numbers { growth_bps2: 90_000_000, ..none }), Verdict::Elsewhere(1));
    }
}

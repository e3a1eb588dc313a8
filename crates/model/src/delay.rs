//! How late must the last peer's chunk be? Bounds in slots, a slot being the time in which a peer sends one chunk
//! (τ = c/u); a chunk is passed on only when it is whole.

use std::num::NonZeroU64;

use crate::{Bits, Bps, InputError, Seconds};

/// 1 + ⌈log₂ n⌉ slots until n peers have a chunk of a stream that the source sends out once; 0 when there is nobody.
/// It can be attained for all chunks of a stream at once (Liu 2007; Abeni, Kiraly and Lo Cigno 2009).
/// ```
/// assert_eq!(trellis_model::delay::stream_slots(1000), 11);
/// ```
pub fn stream_slots(peers: u64) -> u32 {
    if peers == 0 { 0 } else { 1 + log2_ceil(peers) }
}

/// 1 + ⌊log₂ n⌋ slots when the source goes on sending the same chunk; M chunks take M − 1 more
/// (Mundinger, Weber and Weiss 2008).
/// ```
/// assert_eq!(trellis_model::delay::file_slots(1000, 1), 10);
/// assert_eq!(trellis_model::delay::file_slots(1000, 8), 17);
/// ```
pub fn file_slots(peers: u64, chunks: u32) -> u32 {
    if peers == 0 || chunks == 0 { 0 } else { chunks.saturating_add(peers.ilog2()) }
}

/// 1 + ⌈log₂(n/m)⌉ slots when the source sends m copies in the first.
/// ```
/// assert_eq!(trellis_model::delay::seeded_slots(1000, 10.try_into()?), 8);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
pub fn seeded_slots(peers: u64, copies: std::num::NonZeroU64) -> u32 {
    stream_slots(peers.div_ceil(copies.get()))
}

/// Slots until n peers have a chunk when each passes it to at most k others, in the k slots after it got it: new copies
/// follow the k-step Fibonacci sequence (Bianchi et al. 2009).
/// ```
/// assert_eq!(trellis_model::delay::fan_out_slots(1000, 2.try_into()?), 15);
/// assert_eq!(trellis_model::delay::fan_out_slots(1000, 4.try_into()?), 12);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
pub fn fan_out_slots(peers: u64, fan_out: std::num::NonZeroU32) -> u64 {
    if fan_out.get() == 1 {
        return peers; // A chain: the only one that grows too slowly to be counted out.
    }
    // Beyond 64 a peer would still be sending when 2^64 have it.
    let width = fan_out.get().min(64) as usize;
    let mut new: Vec<u64> = Vec::new();
    let mut have = 0u64;
    while have < peers {
        let copies = new.iter().rev().take(width).fold(0u64, |sum, n| sum.saturating_add(*n)).max(1);
        have = have.saturating_add(copies);
        new.push(copies);
    }
    new.len() as u64
}

/// φ_k: by what the copies grow in a slot, in the long run, when each peer passes a chunk to at most k others: the root
/// above 1 of x^k = x^(k−1) + … + 1; 1 for a chain. Slots are about ln n / ln φ_k.
/// ```
/// assert!((trellis_model::delay::fan_out_growth(2.try_into()?) - 1.618034).abs() < 1e-6);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
pub fn fan_out_growth(fan_out: std::num::NonZeroU32) -> f64 {
    // Times (x − 1) the equation reads x = 2 − x^(−k), whose iteration from 2 falls to the root and never below it.
    let k = f64::from(fan_out.get());
    if fan_out.get() == 1 {
        return 1.0;
    }
    (0..200).fold(2.0f64, |x, _| 2.0 - x.powf(-k))
}

/// log₂ n + ln n: about how many rounds it takes when every peer that has a chunk sends it to anyone at random, in each.
/// ```
/// assert!((trellis_model::delay::random_push_rounds(1000) - 16.873540).abs() < 1e-6);
/// ```
pub fn random_push_rounds(peers: u64) -> f64 {
    let n = peers.max(1) as f64;
    n.log2() + n.ln()
}

/// Slots until n have a chunk, the first holder counted, when it takes λ slots to arrive, of which the sender is busy for
/// one (the postal model): F(t) = F(t−1) + F(t−λ), F = 1 before λ. With a hop latency of ℓ, λ = 1 + ℓ/τ.
/// ```
/// assert_eq!(trellis_model::delay::postal_slots(1000, 3.try_into()?), 20);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
pub fn postal_slots(holders: u64, arrival_slots: std::num::NonZeroU16) -> u64 {
    let lambda = usize::from(arrival_slots.get());
    let mut have = vec![1u64; lambda];
    while have.last().is_some_and(|now| *now < holders) {
        let t = have.len();
        have.push(have[t - 1].saturating_add(have[t - lambda]));
    }
    // Before λ nobody but the first has it.
    have.iter().position(|now| *now >= holders).unwrap_or_default() as u64
}

/// D ≥ c/u_s + (c/u)⌈log₂ n⌉: no peer system gets a chunk to the last of n peers sooner, in seconds, when the source sends
/// each chunk once at `server` and all peers send at `upload`. If they differ: [`Spreading`].
/// ```
/// use trellis_model::{Bits, Bps, delay::floor_s};
/// let second_of_video = Bits::new(2.5e6)?;
/// assert_eq!(floor_s(second_of_video, Bps::new(2.5e6)?, Bps::new(2.5e6)?, 1000)?, 11.0);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn floor_s(chunk: Bits, server: Bps, upload: Bps, peers: u64) -> Result<f64, InputError> {
    let (first, hop) =
        (chunk.get() / server.positive("the server's bandwidth")?, chunk.get() / upload.positive("the peers' upload")?);
    Ok(if peers == 0 { 0.0 } else { first + hop * f64::from(log2_ceil(peers)) })
}

/// Peers of one kind: what each can send, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Givers {
    /// u_i.
    pub upload: Bps,
    /// How many.
    pub count: u64,
}

/// What is to be brought to whom, by whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spreading<'a> {
    /// c.
    pub chunk: Bits,
    /// u_s.
    pub server: Bps,
    /// Who can pass it on; those of no upload only receive.
    pub givers: &'a [Givers],
    /// ℓ, of every hop.
    pub latency: Seconds,
    /// n: who is to have it, givers and all others.
    pub peers: u64,
    /// How many copies of a chunk leave the source; of a stream no more than ⌊u_s/r⌋ of each, in the long run.
    pub copies: NonZeroU64,
}

impl Spreading<'_> {
    /// No peer system gets the chunk to the last of n peers sooner, s, whatever its peers can send; None: nobody could. Of
    /// peers that are all alike, with one copy, it is [`floor_s`]; with a latency, the postal model's ([`postal_slots`]).
    ///
    /// A slot is the chunk through the fastest uplink, τ = c/u_max, and whatever takes a part of one is counted as whole
    /// slots less that part: so it stays a bound. By slot t at most G(t) = S(t) + Σ_i Σ_k min{n_i, G(t − kτ_i − ℓ)} peers
    /// have the chunk: S from the source, and the k-th copy of each who had it k of its own times earlier. (That some n_i
    /// of each kind are among the first is too good, so the bound is not tight where kinds differ.)
    /// ```
    /// use trellis_model::{Bits, Bps, Seconds, delay::{Givers, Spreading}};
    /// let givers = [Givers { upload: Bps::new(5e6)?, count: 600 }];
    /// let mix = Spreading {
    ///     chunk: Bits::new(1e6)?, server: Bps::new(5e6)?, givers: &givers, latency: Seconds::new(0.0)?, peers: 1000,
    ///     copies: 1.try_into()?,
    /// };
    /// // The four hundred who give nothing slow nobody down: ten hops of 200 ms, as if all gave.
    /// assert!((mix.floor_s()?.unwrap() - 11.0 * 0.2).abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn floor_s(&self) -> Result<Option<f64>, InputError> {
        let chunk = self.chunk.positive("the chunk's size")?;
        let server = self.server.positive("the server's bandwidth")?;
        let fastest =
            self.givers.iter().filter(|giver| giver.count > 0).map(|giver| giver.upload.get()).fold(0.0, f64::max);
        let (first, copies) = (chunk / server + self.latency.get(), self.copies.get());
        Ok(match self.peers {
            0 => Some(0.0),
            n if fastest == 0.0 => (copies >= n).then(|| first + (n - 1) as f64 * chunk / server),
            _ => Some(first + chunk / fastest * self.slots(chunk / fastest, fastest) as f64),
        })
    }

    /// The first t with G(t) ≥ n, or [`SLOTS_MAX`] if that comes first.
    fn slots(&self, slot_s: f64, fastest: f64) -> u64 {
        let whole = |slots: f64| (slots + 1e-9).floor().min(SLOTS_MAX as f64) as usize;
        let latency = whole(self.latency.get() / slot_s);
        let kinds: Vec<(usize, u64)> = self
            .givers
            .iter()
            .filter(|giver| giver.upload.get() > 0.0)
            .map(|giver| (whole(fastest / giver.upload.get()), giver.count))
            .collect();
        let per_slot = self.server.get() / fastest;
        // What the source has sent before the end of a slot, the first at its beginning.
        let sent = |slot: usize| ((per_slot * (slot + 1) as f64 - 1e-9).ceil().max(1.0) as u64).min(self.copies.get());
        let (mut have, mut passed) = (Vec::<u64>::new(), vec![Vec::<u64>::new(); kinds.len()]);
        while have.last().is_none_or(|now| *now < self.peers) && have.len() <= SLOTS_MAX {
            let slot = have.len();
            let mut now = sent(slot);
            for ((own, count), passed) in kinds.iter().zip(&mut passed) {
                // Σ_k of one kind is that of one of its own times ago, and what was added then.
                let before = |slots: usize| slot.checked_sub(slots);
                let earlier = before(*own).map_or(0, |at| passed[at]);
                let holders = before(own.saturating_add(latency)).map_or(0, |at| have[at].min(*count));
                passed.push(earlier.saturating_add(holders));
                now = now.saturating_add(passed[slot]);
            }
            have.push(now);
        }
        have.len() as u64 - 1
    }
}

/// What is counted out at most: when few give all, it takes longer than is told here, and what is told is still a bound.
const SLOTS_MAX: usize = 1_000_000;

/// ⌈log₂ n⌉ for n ≥ 1.
fn log2_ceil(n: u64) -> u32 {
    n.ilog2() + u32::from(!n.is_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    fn spreading<'a>(givers: &'a [Givers], peers: u64, server: f64, copies: u64, latency: f64) -> Spreading<'a> {
        let (chunk, server) = (Bits::new(1e6).unwrap(), Bps::new(server).unwrap());
        let (latency, copies) = (Seconds::new(latency).unwrap(), NonZeroU64::new(copies).unwrap());
        Spreading { chunk, server, givers, latency, peers, copies }
    }

    fn givers(kinds: &[(f64, u64)]) -> Vec<Givers> {
        let giver = |(upload, count): &(f64, u64)| Givers { upload: Bps::new(*upload).unwrap(), count: *count };
        kinds.iter().map(giver).collect()
    }

    /// When the last has it if everybody who has it sends to the fastest who has it not: one way to do it, µs.
    fn done_s(kinds: &[(f64, u64)], server: f64, mut copies: u64, latency: f64) -> f64 {
        let mut kinds: Vec<_> = kinds.to_vec();
        kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut waiting = kinds.iter().flat_map(|(upload, count)| std::iter::repeat_n(*upload, *count as usize));
        let us = |s: f64| (s * 1e6).round() as u64;
        // By when one can have sent a copy, and at what rate it sends.
        let (mut ready, mut last) = (BinaryHeap::from([Reverse((us(1e6 / server), 0, us(1e6 / server)))]), 0);
        while let Some(Reverse((at, kind, takes))) = ready.pop() {
            if kind == 0 {
                copies -= 1;
            }
            let Some(upload) = waiting.next() else { break };
            let arrives = at + us(latency);
            last = last.max(arrives);
            if upload > 0.0 {
                ready.push(Reverse((arrives + us(1e6 / upload), 1, us(1e6 / upload))));
            }
            if kind == 1 || copies > 0 {
                ready.push(Reverse((at + takes, kind, takes)));
            }
        }
        assert!(waiting.next().is_none(), "all have it");
        last as f64 / 1e6
    }

    #[test]
    fn nobody_is_faster_than_the_floor_whatever_peers_can_send() {
        let mixes: [&[(f64, u64)]; 7] = [
            &[(1e6, 1000)],
            &[(5e6, 600), (0.0, 400)],
            &[(4e6, 500), (20e6, 200), (0.0, 300)],
            &[(1e9, 10), (1e6, 990)],
            &[(1e6, 1), (0.0, 99)],
            &[(3e6, 7), (2e6, 5), (1e5, 3)],
            &[(0.0, 40)],
        ];
        for mix in mixes {
            for (server, copies, latency) in [(1e6, 1, 0.0), (1e6, 1, 0.3), (40e6, 40, 0.0), (5e6, 2, 0.05)] {
                let (givers, peers) = (givers(mix), mix.iter().map(|kind| kind.1).sum());
                let floor = spreading(&givers, peers, server, copies, latency).floor_s().unwrap();
                let Some(floor) = floor else {
                    assert_eq!(mix, mixes[6], "nobody gives, and the source too little");
                    continue;
                };
                let found = done_s(mix, server, copies, latency);
                assert!(floor <= found + 1e-3, "{mix:?} {server} {copies} {latency}: {floor} {found}");
                // And it says something.
                assert!(floor > found / 3.0, "{mix:?} {server} {copies} {latency}: {floor} {found}");
            }
        }
    }

    #[test]
    fn alike_it_is_the_bound_of_the_literature() {
        let rate = Bps::new(1e6).unwrap();
        for peers in [1, 2, 3, 10, 1000, 1024, 1025, 100_000] {
            let all = givers(&[(1e6, peers)]);
            let floor = |latency| spreading(&all, peers, 1e6, 1, latency).floor_s().unwrap().unwrap();
            assert_eq!(floor(0.0), floor_s(Bits::new(1e6).unwrap(), rate, rate, peers).unwrap(), "{peers}");
            for slots in [1u16, 2, 4, 10] {
                let postal = postal_slots(peers, (slots + 1).try_into().unwrap());
                assert_eq!(floor(f64::from(slots)), 1.0 + f64::from(slots) + postal as f64, "{peers} {slots}");
            }
        }
        assert_eq!(spreading(&givers(&[(1.0, 1)]), u64::MAX, 1e6, 1, 1e300).floor_s().map(|it| it.is_some()), Ok(true));
    }
}

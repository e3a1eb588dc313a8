//! How late must the last peer's chunk be? Bounds in slots, a slot being the time in which a peer sends one chunk
//! (τ = c/u); a chunk is passed on only when it is whole.

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
/// each chunk once at `server` and peers send at `upload`.
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

/// The same when each hop also takes a `latency`, by the postal model: c/u_s + ℓ for the first peer, then
/// [`postal_slots`] with λ = 1 + ⌊ℓ/τ⌋, so that it stays a bound.
/// ```
/// use trellis_model::{Bits, Bps, Seconds, delay::{floor_s, floor_with_latency_s}};
/// let (chunk, rate) = (Bits::new(1e6)?, Bps::new(1e6)?);
/// assert_eq!(floor_with_latency_s(chunk, rate, rate, Seconds::new(0.0)?, 1000)?, floor_s(chunk, rate, rate, 1000)?);
/// assert_eq!(floor_with_latency_s(chunk, rate, rate, Seconds::new(2.0)?, 1000)?, 3.0 + 20.0);
/// # Ok::<(), trellis_model::InputError>(())
/// ```
pub fn floor_with_latency_s(
    chunk: Bits,
    server: Bps,
    upload: Bps,
    latency: Seconds,
    peers: u64,
) -> Result<f64, InputError> {
    let (first, hop) = (
        chunk.get() / server.positive("the server's bandwidth")?,
        chunk.positive("the chunk's size")? / upload.positive("the peers' upload")?,
    );
    let lambda = (latency.get() / hop + 1e-9).floor().min(f64::from(u16::MAX - 1)) as u16 + 1;
    let slots = postal_slots(peers, std::num::NonZeroU16::new(lambda).unwrap_or(std::num::NonZeroU16::MIN));
    Ok(if peers == 0 { 0.0 } else { first + latency.get() + hop * slots as f64 })
}

/// ⌈log₂ n⌉ for n ≥ 1.
fn log2_ceil(n: u64) -> u32 {
    n.ilog2() + u32::from(!n.is_power_of_two())
}

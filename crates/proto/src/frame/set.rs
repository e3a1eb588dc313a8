//! Which chunks, which substreams? Sets of small numbers, exact and bounded.
//!
//! Invariant: a [`Bits`] holds no number of [`CHUNKS_MAX`] or more and its last word is not zero, so whatever a program
//! does to it, it stays small, equal sets are equal values, and it has one form on the wire.

use alloc::boxed::Box;

use super::{LayerId, Substream};
use crate::limits::CHUNKS_MAX;

/// Some substreams of one layer: bit k is substream k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Substreams {
    /// The layer.
    pub of: LayerId,
    /// Bit k is substream k.
    pub mask: u16,
}

impl Substreams {
    /// One substream.
    pub fn one(substream: Substream) -> Self {
        Self { of: substream.of, mask: 1 << substream.index }
    }

    /// Each of them, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Substream> {
        (0..16).filter(move |k| self.mask >> k & 1 != 0).map(move |index| Substream { of: self.of, index })
    }
}

/// A set of numbers below [`CHUNKS_MAX`]; without trailing zero words, so equal sets are equal values. The numbers below
/// 64, which are all that most layers have, need no memory elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bits {
    first: u64,
    more: Box<[u64]>,
}

impl Bits {
    /// The numbers 0..count.
    pub fn full(count: usize) -> Self {
        (0..count).collect()
    }

    /// The set with these words, lowest first. None: too many, or the last is zero.
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let fits = words.len() <= CHUNKS_MAX / 64 && words.last() != Some(&0);
        let (first, more) = words.split_first().unwrap_or((&0, &[]));
        fits.then(|| Self { first: *first, more: more.into() })
    }

    /// Adds a number. True: it is new. A number too large is not taken.
    pub fn insert(&mut self, number: usize) -> bool {
        if number >= CHUNKS_MAX {
            return false;
        }
        if self.more.len() < number / 64 {
            self.set_more(number / 64);
        }
        let (word, bit) = (self.word_mut(number / 64).expect("there is room now"), 1u64 << (number % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Removes a number. True: it was there.
    pub fn remove(&mut self, number: usize) -> bool {
        let Some(word) = self.word_mut(number / 64) else { return false };
        let bit = 1u64 << (number % 64);
        let had = *word & bit != 0;
        *word &= !bit;
        if self.more.last() == Some(&0) {
            self.set_more(self.more.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1));
        }
        had
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        self.first |= other.first;
        if self.more.len() < other.more.len() {
            self.set_more(other.more.len());
        }
        self.more.iter_mut().zip(&other.more).for_each(|(word, theirs)| *word |= theirs);
    }

    /// Is it in the set?
    pub fn contains(&self, number: usize) -> bool {
        let word = if number < 64 { Some(&self.first) } else { self.more.get(number / 64 - 1) };
        word.is_some_and(|word| word >> (number % 64) & 1 != 0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.words().map(|word| word.count_ones() as usize).sum()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.words_len() == 0
    }

    /// Each of them, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words().enumerate().flat_map(|(i, mut word)| {
            core::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = word.trailing_zeros() as usize;
                    word &= word - 1;
                    i * 64 + bit
                })
            })
        })
    }

    /// The words, lowest first; the last is not zero.
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        core::iter::once(self.first).chain(self.more.iter().copied()).take(self.words_len())
    }

    /// How many words.
    pub fn words_len(&self) -> usize {
        if self.more.is_empty() { usize::from(self.first != 0) } else { 1 + self.more.len() }
    }

    fn word_mut(&mut self, at: usize) -> Option<&mut u64> {
        if at == 0 { Some(&mut self.first) } else { self.more.get_mut(at - 1) }
    }

    fn set_more(&mut self, words: usize) {
        let mut more = core::mem::take(&mut self.more).into_vec();
        more.resize(words, 0);
        self.more = more.into();
    }
}

impl FromIterator<usize> for Bits {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut bits = Self::default();
        numbers.into_iter().for_each(|n| {
            bits.insert(n);
        });
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_takes_no_number_it_could_not_tell_others() {
        let mut bits = Bits::default();
        assert!(bits.insert(CHUNKS_MAX - 1) && !bits.insert(CHUNKS_MAX) && !bits.insert(usize::MAX));
        assert_eq!((bits.len(), bits.words_len()), (1, CHUNKS_MAX / 64));
        assert!(bits.remove(CHUNKS_MAX - 1) && bits == Bits::default(), "no zero words are left");
        assert!(Bits::full(65).words().eq([u64::MAX, 1]));
        assert_eq!(Bits::from_words(&[1, 0]), None);
        assert_eq!(Bits::from_words(&[1; CHUNKS_MAX / 64 + 1]), None);
        assert_eq!(Bits::from_words(&[0, 2]), Some([65].into_iter().collect()));
        let mut both = Bits::full(3);
        both.merge(&[70].into_iter().collect());
        assert!(both.iter().eq([0, 1, 2, 70]) && both.remove(70) && both == Bits::full(3));
    }
}

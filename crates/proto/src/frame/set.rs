//! Which chunks, which substreams? Sets of small numbers, exact and bounded.
//!
//! Invariant: a [`Bits`] holds no number of [`CHUNKS_MAX`] or more and its last word is not zero, so whatever a program
//! does to it, it stays small, equal sets are equal values, and it has one form on the wire.

use alloc::vec::Vec;

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

/// A set of numbers below [`CHUNKS_MAX`]; without trailing zero words, so equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// The numbers 0..count.
    pub fn full(count: usize) -> Self {
        let mut bits = Self::default();
        (0..count).for_each(|i| {
            bits.insert(i);
        });
        bits
    }

    /// The set with these words, lowest first. None: too many, or the last is zero.
    pub fn from_words(words: Vec<u64>) -> Option<Self> {
        (words.len() <= CHUNKS_MAX / 64 && words.last() != Some(&0)).then_some(Self(words))
    }

    /// Adds a number. True: it is new. A number too large is not taken.
    pub fn insert(&mut self, number: usize) -> bool {
        if number >= CHUNKS_MAX {
            return false;
        }
        let (word, bit) = (number / 64, 1u64 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Removes a number. True: it was there.
    pub fn remove(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1u64 << (number % 64));
        let had = self.0.get(word).is_some_and(|w| w & bit != 0);
        if had {
            self.0[word] &= !bit;
            self.trim();
        }
        had
    }

    /// Is it in the set?
    pub fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|w| w >> (number % 64) & 1 != 0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            let mut word = *word;
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
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
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
    use alloc::vec;

    #[test]
    fn a_set_takes_no_number_it_could_not_tell_others() {
        let mut bits = Bits::default();
        assert!(bits.insert(CHUNKS_MAX - 1) && !bits.insert(CHUNKS_MAX) && !bits.insert(usize::MAX));
        assert_eq!((bits.len(), bits.words().len()), (1, CHUNKS_MAX / 64));
        assert!(bits.remove(CHUNKS_MAX - 1) && bits == Bits::default(), "no zero words are left");
        assert_eq!(Bits::full(65).words(), [u64::MAX, 1]);
        assert_eq!(Bits::from_words(vec![1, 0]), None);
        assert_eq!(Bits::from_words(vec![1; CHUNKS_MAX / 64 + 1]), None);
        assert_eq!(Bits::from_words(vec![0, 2]), Some([65].into_iter().collect()));
    }
}

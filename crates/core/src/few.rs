//! Where does it lie, when there are only a few? A map for up to some hundred entries that is searched much more often
//! than it is changed: the keys stand side by side in one piece of memory, so that a search touches a line or two.
//!
//! Invariant: `keys` is sorted without doubles, and the value of `keys[i]` is `values[i]`.

use alloc::vec::Vec;

use crate::near::Near;

/// A sorted map of a few entries.
#[derive(Debug, Clone)]
pub struct Few<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self { keys: Vec::new(), values: Vec::new() }
    }
}

impl<K: Copy + Ord, V> Few<K, V> {
    /// The value of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        self.keys.binary_search(&key).ok().map(|at| &self.values[at])
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.keys.binary_search(&key).ok().map(|at| &mut self.values[at])
    }

    /// Is there such a key?
    pub fn contains_key(&self, key: K) -> bool {
        self.keys.binary_search(&key).is_ok()
    }

    /// The value of a key, made if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.keys.binary_search(&key).unwrap_or_else(|at| {
            self.keys.insert(at, key);
            self.values.insert(at, make());
            at
        });
        &mut self.values[at]
    }

    /// Gives a key this value.
    pub fn insert(&mut self, key: K, value: V) {
        match self.keys.binary_search(&key) {
            Ok(at) => self.values[at] = value,
            Err(at) => {
                self.keys.insert(at, key);
                self.values.insert(at, value);
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let at = self.keys.binary_search(&key).ok()?;
        self.keys.remove(at);
        Some(self.values.remove(at))
    }

    /// The one with the highest key.
    pub fn last(&self) -> Option<(K, &V)> {
        self.keys.last().copied().zip(self.values.last())
    }

    /// Takes out the one with the lowest key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let first = *self.keys.first()?;
        self.remove(first).map(|value| (first, value))
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.keys.iter().copied().zip(&self.values)
    }

    /// Brings all keys near, for the next search.
    pub fn glance<N: Near>(&self) {
        self.keys.iter().step_by(LINE / size_of::<K>().clamp(1, LINE)).for_each(N::near);
        self.values.first().into_iter().for_each(N::near);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The values, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.values.iter()
    }

    /// All of them, by key, to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.keys.iter().copied().zip(&mut self.values)
    }

    /// Takes all out, by key.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> + '_ {
        self.keys.drain(..).zip(self.values.drain(..))
    }
}

/// Bytes that come from memory at once.
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    #[test]
    fn it_is_a_sorted_map() {
        let (mut few, mut map) = (Few::default(), BTreeMap::new());
        for i in 0..200u32 {
            let key = i * 37 % 64;
            if i % 3 == 0 {
                assert_eq!(few.remove(key), map.remove(&key));
            } else {
                assert_eq!(few.get_or_insert_with(key, || i), map.entry(key).or_insert(i));
            }
            assert_eq!((few.get(key), few.len()), (map.get(&key), map.len()));
            assert_eq!(few.last(), map.last_key_value().map(|(key, value)| (*key, value)));
            if i % 50 == 7 {
                assert_eq!(few.pop_first(), map.pop_first());
            }
        }
        assert!(few.drain().eq(map) && few.len() == 0);
    }
}

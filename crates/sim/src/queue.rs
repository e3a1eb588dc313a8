//! What happens next? The earliest event, and of several at one time the one that was planned first.
//!
//! A calendar: a ring of days, each an unsorted heap of papers; only today's are sorted, when the day begins, and what
//! is planned for today later waits in a small heap beside them. What lies beyond the ring's horizon waits in an
//! ordinary heap. The papers of a day lie in small blocks that all days share, so memory is what is planned and not what
//! was ever planned for one day, and a block that was just emptied is the next to be filled. A sorted day can be looked
//! into: see [`Queue::ahead`].
//!
//! Invariants: everything in `today` and `late` is before everything in `ring`, which is before everything in `far`; a
//! block is in one day's chain or in the chain of the free.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use trellis_core::time::Instant;

/// One day is 2^10 µs: about what ten thousand peers do in it is a heap of a thousand.
const DAY_BITS: u32 = 10;
/// Days in the ring: 4.2 s, so that beats and reports stay inside.
const DAYS: usize = 4096;

/// Events in the order of their time.
#[derive(Debug)]
pub struct Queue<E> {
    /// The last is next.
    today: Vec<Entry<E>>,
    /// Planned for today after it began.
    late: BinaryHeap<Entry<E>>,
    /// Each day's first block.
    ring: Vec<u32>,
    blocks: Vec<Block<E>>,
    free: u32,
    far: BinaryHeap<Entry<E>>,
    day: u64,
    in_ring: usize,
    next: u64,
}

/// Papers in a block: with its head, and for events of 16 bytes, eight lines of a cache.
const BLOCK: usize = 15;
/// The end of a chain.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Block<E> {
    next: u32,
    len: u32,
    entries: [Option<Entry<E>>; BLOCK],
}

#[derive(Debug)]
struct Entry<E> {
    at: u64,
    order: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (u64, u64) {
        (self.at, self.order)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The earlier is the greater: std's heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            today: Vec::new(),
            late: BinaryHeap::new(),
            ring: vec![NONE; DAYS],
            blocks: Vec::new(),
            free: NONE,
            far: BinaryHeap::new(),
            day: 0,
            in_ring: 0,
            next: 0,
        }
    }
}

impl<E> Queue<E> {
    /// Plans an event. One in the past happens now.
    pub fn push(&mut self, at: Instant, event: E) {
        let entry = Entry { at: at.0, order: self.next, event };
        self.next += 1;
        let day = at.0 >> DAY_BITS;
        if day <= self.day {
            self.late.push(entry);
        } else if day - self.day < DAYS as u64 {
            self.put(day, entry);
        } else {
            self.far.push(entry);
        }
    }

    /// Lays a paper on its day's heap.
    fn put(&mut self, day: u64, entry: Entry<E>) {
        self.in_ring += 1;
        let slot = day as usize % DAYS;
        let first = self.ring[slot];
        let has_room = self.blocks.get(first as usize).is_some_and(|block| (block.len as usize) < BLOCK);
        let at = if has_room { first } else { self.take_block(first) };
        self.ring[slot] = at;
        let block = &mut self.blocks[at as usize];
        block.entries[block.len as usize] = Some(entry);
        block.len += 1;
    }

    /// An empty block before another.
    fn take_block(&mut self, next: u32) -> u32 {
        let at = self.free;
        match self.blocks.get_mut(at as usize) {
            Some(block) => {
                self.free = std::mem::replace(&mut block.next, next);
                at
            }
            None => {
                self.blocks.push(Block { next, len: 0, entries: [const { None }; BLOCK] });
                self.blocks.len() as u32 - 1
            }
        }
    }

    /// Takes today's papers; their blocks are free.
    fn take_day(&mut self) {
        let mut at = std::mem::replace(&mut self.ring[self.day as usize % DAYS], NONE);
        while let Some(block) = self.blocks.get_mut(at as usize) {
            let taken = std::mem::take(&mut block.len) as usize;
            self.today.extend(block.entries[..taken].iter_mut().filter_map(Option::take));
            self.in_ring -= taken;
            let next = std::mem::replace(&mut block.next, self.free);
            self.free = at;
            at = next;
        }
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        while self.today.is_empty() && self.late.is_empty() {
            self.turn()?;
        }
        // The lesser is the later one, or None.
        let entry = if self.late.peek() > self.today.last() { self.late.pop() } else { self.today.pop() };
        entry.map(|entry| (Instant(entry.at), entry.event))
    }

    /// The event after so many others, as far as today was planned when it began; None: that is not known.
    pub fn ahead(&self, others: usize) -> Option<&E> {
        let at = self.today.len().checked_sub(others + 1)?;
        Some(&self.today[at].event)
    }

    /// How many are planned.
    pub fn len(&self) -> usize {
        self.today.len() + self.late.len() + self.in_ring + self.far.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes on to the next day; over an empty ring in one leap. None: there is nothing left.
    fn turn(&mut self) -> Option<()> {
        if self.in_ring == 0 {
            self.day = (self.far.peek()?.at >> DAY_BITS).max(self.day + 1);
        } else {
            self.day += 1;
        }
        while self.far.peek().is_some_and(|entry| entry.at >> DAY_BITS < self.day + DAYS as u64) {
            let entry = self.far.pop().expect("it was just seen");
            let day = entry.at >> DAY_BITS;
            if day <= self.day {
                self.late.push(entry);
            } else {
                self.put(day, entry);
            }
        }
        self.take_day();
        self.today.sort_unstable();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trellis_core::seeded::Seeded;

    #[test]
    fn events_come_by_time_then_by_plan_near_far_and_between() {
        let mut queue = Queue::default();
        let mut seeded = Seeded::new(1);
        let (mut expected, mut got, mut now) = (Vec::new(), Vec::new(), 0);
        for i in 0..20_000u64 {
            let reach = [0, 500, 100_000, 3_000_000, 60_000_000][seeded.below(5) as usize];
            let at = now + seeded.below(reach + 1);
            queue.push(Instant(at), (at, i));
            expected.push((at, i));
            if i % 3 == 0 {
                let (at, event) = queue.pop().unwrap();
                assert_eq!(at.0, event.0);
                now = at.0;
                got.push(event);
            }
        }
        got.extend(std::iter::from_fn(|| queue.pop()).map(|(_, event)| event));
        expected.sort_unstable();
        assert_eq!(got, expected);
        assert!(queue.is_empty());
    }
}

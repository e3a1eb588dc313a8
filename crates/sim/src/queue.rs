//! What happens next? The earliest event, and of several at one time the one that was planned first.
//!
//! A calendar: a ring of days, each an unsorted heap of papers; only today's are sorted. What lies beyond the ring's
//! horizon waits in an ordinary heap. Most events of a swarm lie within a round-trip, so an insertion is a push onto
//! one of a few dozen warm vectors, and the sorting happens in a heap that fits a near cache.
//!
//! Invariant: everything in `today` is before everything in `ring`, which is before everything in `far`.

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
    today: BinaryHeap<Entry<E>>,
    ring: Vec<Vec<Entry<E>>>,
    far: BinaryHeap<Entry<E>>,
    day: u64,
    in_ring: usize,
    next: u64,
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
        let ring = (0..DAYS).map(|_| Vec::new()).collect();
        Self { today: BinaryHeap::new(), ring, far: BinaryHeap::new(), day: 0, in_ring: 0, next: 0 }
    }
}

impl<E> Queue<E> {
    /// Plans an event. One in the past happens now.
    pub fn push(&mut self, at: Instant, event: E) {
        let entry = Entry { at: at.0, order: self.next, event };
        self.next += 1;
        let day = at.0 >> DAY_BITS;
        if day <= self.day {
            self.today.push(entry);
        } else if day - self.day < DAYS as u64 {
            self.ring[day as usize % DAYS].push(entry);
            self.in_ring += 1;
        } else {
            self.far.push(entry);
        }
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        while self.today.is_empty() {
            self.turn()?;
        }
        self.today.pop().map(|entry| (Instant(entry.at), entry.event))
    }

    /// How many are planned.
    pub fn len(&self) -> usize {
        self.today.len() + self.in_ring + self.far.len()
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
        let slot = &mut self.ring[self.day as usize % DAYS];
        self.in_ring -= slot.len();
        // The emptied heap's room goes back into the ring, so a long run allocates nothing.
        let room = std::mem::take(&mut self.today).into_vec();
        self.today = BinaryHeap::from(std::mem::replace(slot, room));
        while self.far.peek().is_some_and(|entry| entry.at >> DAY_BITS < self.day + DAYS as u64) {
            let entry = self.far.pop().expect("it was just seen");
            let day = entry.at >> DAY_BITS;
            if day <= self.day {
                self.today.push(entry);
            } else {
                self.ring[day as usize % DAYS].push(entry);
                self.in_ring += 1;
            }
        }
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

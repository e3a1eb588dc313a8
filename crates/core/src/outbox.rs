//! What is sent next, and on which link? The most pressing thing that any link can take now.
//!
//! Many links share one uplink, so what is handed to the network early cannot be overtaken by what is more pressing
//! later. Therefore little is handed over: while more than the allowed bytes are under way, everything waits here,
//! sorted. Think of a post office with one van: letters wait in trays by address, and the van takes the most urgent
//! letter whose letterbox is not full.
//!
//! Invariant: a link stands in `ready` exactly when it has something to send and room for it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::few::Few;
use crate::near::Near;
use crate::time::Instant;

/// What comes first: lower before higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rank {
    /// What it is for; the sender's rooms say which class is which.
    pub class: u8,
    /// When it should go, ms: see [`due_ms`].
    pub due_ms: u64,
    /// At the same time: those first on whom most others wait.
    pub tie: u32,
}

/// When a chunk of a part that came then should go to somebody below whom so many hang: those on whom others wait at once,
/// also before what is left of the part before; who serves nobody can wait for the others, for it is on time as long as it
/// has its chunk before the next part but one.
pub fn due_ms(arrived: Instant, below: u32) -> u64 {
    let slack = match below {
        0 => SLACK * 2,
        1..=3 => SLACK,
        _ => Duration::ZERO,
    };
    (arrived + slack).0 / 1_000
}

/// The order among those who are served in the same part at the same time: those on whom most wait first; the others in an
/// order that is another one in each part and the same at all givers. A part is whole with its last chunk, so who comes
/// early at one giver and late at the next is late in every part; with one order for all, half are early.
pub fn tie(below: u32, child: u32, part: u64) -> u32 {
    let order = (u64::from(child) ^ part.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    if below > 0 { (1 << 16) - below.min(1 << 16) } else { (1 << 31) | order as u32 }
}

/// A little more than half a part time.
const SLACK: Duration = Duration::from_millis(200);

/// How much may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes not acknowledged, all links together.
    pub total: u64,
    /// Bytes not acknowledged on one link.
    pub link: u64,
    /// Things waiting for one link; what is beyond is not taken.
    pub waiting: usize,
}

/// The trays.
#[derive(Debug, Clone)]
pub struct Outbox<K, T> {
    room: Room,
    links: Few<K, Tray<T>>,
    /// By head, the most pressing last.
    ready: Vec<(Rank, u64, K)>,
    unsent: u64,
    waiting_bytes: u64,
    next: u64,
}

#[derive(Debug, Clone)]
struct Tray<T> {
    unsent: u64,
    /// So many rounds have passed since the last acknowledgement of what is under way.
    silent: u32,
    /// Nothing is acknowledged any more: what is under way is not in the uplink.
    aside: bool,
    /// By rank, then by number.
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug, Clone)]
struct Waiting<T> {
    rank: Rank,
    number: u64,
    thing: T,
    bytes: u32,
}

impl<T> Tray<T> {
    fn head(&self) -> Option<(Rank, u64)> {
        self.waiting.front().map(|first| (first.rank, first.number))
    }
}

impl<K: Copy + Ord, T> Outbox<K, T> {
    /// An empty one.
    pub fn new(room: Room) -> Self {
        Self { room, links: Few::default(), ready: Vec::new(), unsent: 0, waiting_bytes: 0, next: 0 }
    }

    /// Changes how much may be under way in all.
    pub fn set_total(&mut self, bytes: u64) {
        self.room.total = bytes;
    }

    /// Bytes waiting here.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Bytes handed over and not acknowledged by those who still acknowledge.
    pub fn unsent_bytes(&self) -> u64 {
        self.unsent
    }

    /// Bytes handed over on this link and not acknowledged.
    pub fn unsent_of(&self, link: K) -> u64 {
        self.links.get(link).map_or(0, |tray| tray.unsent)
    }

    /// Things waiting for a link.
    pub fn waiting_for(&self, link: K) -> usize {
        self.links.get(link).map_or(0, |tray| tray.waiting.len())
    }

    /// Does something like this wait for a link?
    pub fn holds(&self, link: K, like: impl Fn(&T) -> bool) -> bool {
        self.links.get(link).is_some_and(|tray| tray.waiting.iter().any(|waiting| like(&waiting.thing)))
    }

    /// Takes something of so many bytes. False: too much waits for this link already.
    pub fn push(&mut self, link: K, rank: Rank, thing: T, bytes: u32) -> bool {
        let tray = self.links.get_or_insert_with(link, || Tray {
            unsent: 0,
            silent: 0,
            aside: false,
            waiting: VecDeque::new(),
        });
        if tray.waiting.len() >= self.room.waiting {
            return false;
        }
        let before = tray.head();
        // What comes later is mostly less pressing: its place is at the end.
        let at = tray.waiting.iter().rposition(|other| other.rank <= rank).map_or(0, |before| before + 1);
        tray.waiting.insert(at, Waiting { rank, number: self.next, thing, bytes });
        self.next += 1;
        self.waiting_bytes += u64::from(bytes);
        self.refresh(link, before);
        true
    }

    /// The next thing to hand over, if there is room for it; its bytes count as under way from now on.
    pub fn pop(&mut self) -> Option<(K, T)> {
        if self.unsent >= self.room.total {
            return None;
        }
        let (.., link) = self.ready.pop()?;
        let tray = self.links.get_mut(link).expect("a ready link has a tray");
        let Waiting { thing, bytes, .. } = tray.waiting.pop_front().expect("a ready link's head waits");
        if tray.waiting.is_empty() && tray.waiting.capacity() > WAITING_FEW {
            tray.waiting = VecDeque::new();
        }
        tray.silent = if tray.unsent == 0 { 0 } else { tray.silent };
        tray.unsent += u64::from(bytes);
        self.unsent += u64::from(bytes);
        self.waiting_bytes -= u64::from(bytes);
        self.refresh(link, None);
        Some((link, thing))
    }

    /// Would [`Self::pop`] give something?
    pub fn is_ready(&self) -> bool {
        self.unsent < self.room.total && !self.ready.is_empty()
    }

    /// The host says how many bytes of this link are not acknowledged yet.
    pub fn set_unsent(&mut self, link: K, bytes: u64) {
        let Some(tray) = self.links.get_mut(link) else { return };
        let before = tray.head();
        if bytes < tray.unsent {
            tray.silent = 0;
            self.unsent += if core::mem::take(&mut tray.aside) { tray.unsent } else { 0 };
        }
        if !tray.aside {
            self.unsent = self.unsent - tray.unsent + bytes;
        }
        tray.unsent = bytes;
        self.refresh(link, before);
    }

    /// A round has passed. Who acknowledged nothing for so many of them is gone, as far as one can tell: what is under way
    /// to it fills no uplink, and nothing more is handed over for it until it answers.
    pub fn pass_round(&mut self, patience: u32) {
        let mut set_aside = Vec::new();
        for (link, tray) in self.links.iter_mut().filter(|(_, tray)| tray.unsent > 0 && !tray.aside) {
            tray.silent += 1;
            if tray.silent > patience {
                tray.aside = true;
                self.unsent -= tray.unsent;
                set_aside.push((link, tray.head()));
            }
        }
        set_aside.into_iter().for_each(|(link, before)| self.refresh(link, before));
    }

    /// Takes back what nobody wants any more. How many things that were.
    pub fn cancel(&mut self, link: K, mut unwanted: impl FnMut(&T) -> bool) -> usize {
        let Some(tray) = self.links.get_mut(link) else { return 0 };
        let before = tray.head();
        let (mut count, mut freed) = (0, 0);
        tray.waiting.retain(|Waiting { thing, bytes, .. }| {
            let gone = unwanted(thing);
            count += usize::from(gone);
            freed += if gone { u64::from(*bytes) } else { 0 };
            !gone
        });
        self.waiting_bytes -= freed;
        self.refresh(link, before);
        count
    }

    /// Forgets a link and all that waits for it.
    pub fn remove(&mut self, link: K) {
        let Some(tray) = self.links.remove(link) else { return };
        if let Some((rank, number)) = tray.head() {
            self.unready((rank, number, link));
        }
        self.unsent -= if tray.aside { 0 } else { tray.unsent };
        self.waiting_bytes -= tray.waiting.iter().map(|waiting| u64::from(waiting.bytes)).sum::<u64>();
    }

    /// On which link the next thing goes, when its turn comes.
    pub fn next_link(&self) -> Option<K> {
        self.ready.last().map(|(.., link)| *link)
    }

    /// Brings near what the next push, pop or answer of a link will need: see `Peer::glance`.
    pub fn glance<N: Near>(&self, level: u8, link: Option<K>) {
        if level == 1 {
            self.links.glance::<N>();
            return self.ready.last().into_iter().for_each(N::near);
        }
        for tray in [link, self.next_link()].into_iter().flatten().filter_map(|link| self.links.get(link)) {
            match level {
                2 => N::near(tray),
                _ => tray.waiting.front().into_iter().for_each(N::near),
            }
        }
    }

    /// Restores the invariant for one link, whose head was `before`.
    fn refresh(&mut self, link: K, before: Option<(Rank, u64)>) {
        if let Some((rank, number)) = before {
            self.unready((rank, number, link));
        }
        let Some(tray) = self.links.get(link).filter(|tray| tray.unsent < self.room.link && !tray.aside) else {
            return;
        };
        if let Some((rank, number)) = tray.head() {
            let at = self.ready.partition_point(|other| *other > (rank, number, link));
            self.ready.insert(at, (rank, number, link));
        }
    }

    fn unready(&mut self, head: (Rank, u64, K)) {
        if let Ok(at) = self.ready.binary_search_by(|other| head.cmp(other)) {
            self.ready.remove(at);
        }
    }
}

/// An empty tray keeps room for so many things.
const WAITING_FEW: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(class: u8, part: u64) -> Rank {
        Rank { class, due_ms: part, tie: 0 }
    }

    fn outbox(total: u64, link: u64) -> Outbox<u32, &'static str> {
        Outbox::new(Room { total, link, waiting: 3 })
    }

    fn drain(outbox: &mut Outbox<u32, &'static str>) -> Vec<(u32, &'static str)> {
        core::iter::from_fn(|| outbox.pop()).collect()
    }

    #[test]
    fn the_pressing_goes_first_and_a_full_link_waits_for_itself_only() {
        let mut outbox = outbox(1_000, 100);
        for (link, class, part, what) in [(1, 1, 5, "a5"), (1, 1, 4, "a4"), (2, 1, 5, "b5"), (2, 0, 9, "urgent")] {
            assert!(outbox.push(link, rank(class, part), what, 100));
        }
        assert_eq!(drain(&mut outbox), [(2, "urgent"), (1, "a4")]);
        outbox.set_unsent(2, 99);
        assert_eq!(drain(&mut outbox), [(2, "b5")]);
        outbox.set_unsent(1, 0);
        assert_eq!(drain(&mut outbox), [(1, "a5")]);
        assert_eq!((outbox.waiting_bytes(), outbox.unsent_bytes()), (0, 299));
    }

    #[test]
    fn the_uplink_is_shared_and_bounded() {
        let mut outbox = outbox(150, 1_000);
        assert!(outbox.push(1, rank(1, 1), "x", 100) && outbox.push(2, rank(1, 2), "y", 100));
        assert!(outbox.push(2, rank(1, 3), "z", 100) && outbox.push(2, rank(1, 4), "w", 100));
        assert!(!outbox.push(2, rank(0, 0), "one too many", 100));
        assert_eq!(drain(&mut outbox), [(1, "x"), (2, "y")]);
        assert_eq!(outbox.cancel(2, |what| *what == "z"), 1);
        outbox.remove(1);
        assert_eq!(drain(&mut outbox), [(2, "w")]);
        outbox.remove(2);
        assert_eq!((outbox.waiting_bytes(), outbox.unsent_bytes(), outbox.pop()), (0, 0, None));
    }

    #[test]
    fn what_is_under_way_to_those_who_are_gone_fills_no_uplink_and_they_get_nothing_until_they_answer() {
        let mut outbox = outbox(200, 1_000);
        let push = |outbox: &mut Outbox<u32, _>, link, what| assert!(outbox.push(link, rank(1, 1), what, 100));
        for (link, what) in [(1, "gone"), (2, "slow"), (1, "more"), (2, "next")] {
            push(&mut outbox, link, what);
        }
        assert_eq!(drain(&mut outbox), [(1, "gone"), (2, "slow")], "full");
        outbox.pass_round(1);
        outbox.set_unsent(2, 50);
        outbox.pass_round(1);
        assert_eq!(
            (outbox.unsent_bytes(), drain(&mut outbox)),
            (50, alloc::vec![(2, "next")]),
            "one is silent for two rounds"
        );
        push(&mut outbox, 2, "last");
        outbox.set_unsent(2, 0);
        assert_eq!(drain(&mut outbox), [(2, "last")]);
        outbox.set_unsent(1, 60);
        assert_eq!((outbox.unsent_bytes(), drain(&mut outbox)), (160, alloc::vec![(1, "more")]), "it was not gone");
        (0..2).for_each(|_| outbox.pass_round(0));
        assert_eq!(outbox.unsent_bytes(), 0);
        outbox.remove(1);
        outbox.set_unsent(2, 0);
        assert_eq!((outbox.waiting_bytes(), outbox.unsent_bytes()), (0, 0));
    }
}

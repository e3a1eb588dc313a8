//! What happens in one run? Requests, ends and leavings in the order of time, until the last interval is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

use super::Process;
use super::pool::{Carried, Pool};
use crate::Lengths;

/// What one run showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Of all clusters together.
    pub total: Course,
    /// Of each.
    pub clusters: Vec<Course>,
}

/// What became of one cluster, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// When the first request was refused, in intervals: t_0. None if none was.
    pub first_refusal: Option<f64>,
    /// When the last one was, in intervals: about K.
    pub last_refusal: Option<f64>,
    /// When capacity first met demand, B + αS ≥ D, in intervals: T_cap. None if it did not.
    pub capacity_reached: Option<f64>,
    /// Bin by bin.
    pub bins: Vec<Tally>,
    pub(super) bins_per_interval: usize,
}

/// What was counted in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Who came to this cluster first.
    pub requests: u64,
    /// Who of them found no room anywhere.
    pub refused: u64,
    /// Who of them was served by another cluster.
    pub redirected: u64,
    /// Sessions that this cluster had to break off.
    pub interrupted: u64,
    /// Supporters at its end: at the end of interval k, S(k).
    pub supporters: u64,
    /// Sessions under way at its end.
    pub watching: u64,
}

impl Tally {
    /// R: the refused of the requests; None without requests.
    /// ```
    /// use trellis_model::event::Tally;
    /// assert_eq!(Tally { requests: 4, refused: 1, ..Tally::default() }.rejection(), Some(0.25));
    /// assert_eq!(Tally::default().rejection(), None);
    /// ```
    pub fn rejection(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.refused as f64 / self.requests as f64)
    }

    /// With what followed.
    fn then(self, next: &Self) -> Self {
        Self { supporters: next.supporters, watching: next.watching, ..self.beside(next) }
    }

    /// With what was elsewhere.
    fn beside(self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            refused: self.refused + other.refused,
            redirected: self.redirected + other.redirected,
            interrupted: self.interrupted + other.interrupted,
            supporters: self.supporters + other.supporters,
            watching: self.watching + other.watching,
        }
    }
}

impl Course {
    fn new(process: &Process) -> Self {
        Self {
            first_refusal: None,
            last_refusal: None,
            capacity_reached: None,
            bins: Vec::with_capacity(process.bins as usize * process.intervals as usize),
            bins_per_interval: process.bins as usize,
        }
    }

    /// The bins of each interval together.
    /// ```
    /// # use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup}};
    /// # let rate = Bps::new(1e6)?;
    /// # let offer = Offer {
    /// #     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// # };
    /// let run = Process::new(Setup::new(offer, 5))?.run(1);
    /// assert_eq!(run.total.intervals().map(|interval| interval.supporters).collect::<Vec<_>>(), [0, 1, 3, 7, 15]);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn intervals(&self) -> impl Iterator<Item = Tally> {
        self.bins.chunks(self.bins_per_interval).map(|bins| bins.iter().fold(Tally::default(), Tally::then))
    }

    fn refuse(&mut self, now: f64) {
        self.first_refusal.get_or_insert(now);
        self.last_refusal = Some(now);
    }
}

impl Process {
    /// One run from this seed.
    /// ```
    /// # use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup}};
    /// # let rate = Bps::new(1e6)?;
    /// # let offer = Offer {
    /// #     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// # };
    /// let process = Process::new(Setup::new(offer, 8))?;
    /// assert_eq!(process.run(7), process.run(7));
    /// assert_ne!(process.run(7), process.run(8));
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn run(&self, seed: u64) -> Run {
        let mut world = World::new(self, seed);
        world.expect_request();
        let end = f64::from(self.intervals);
        while let Some(Reverse((at, _, event))) = world.events.pop() {
            let now = f64::from_bits(at);
            if now >= end {
                break;
            }
            world.close_bins(now);
            world.handle(now, event);
        }
        world.close_bins(end);
        world.finish()
    }
}

/// What will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Request,
    /// Of the session in this place, if it is still the one that began then.
    End {
        place: u32,
        number: u64,
    },
    /// Of a supporter of this cluster.
    Leave {
        cluster: u16,
    },
}

/// Somebody watches.
#[derive(Debug, Clone, Copy)]
struct Session {
    number: u64,
    cluster: u16,
    carried: Carried,
    /// Where it stands in its cluster's list of those whom peers carry, if it does.
    among_carried: u32,
}

struct World<'a> {
    process: &'a Process,
    chance: Xoshiro256PlusPlus,
    now: f64,
    /// (10) Demand of each cluster, bit/s, and of all.
    demand_bps: Vec<f64>,
    pools: Vec<Pool>,
    courses: Vec<Course>,
    total: Course,
    /// Since the last bin closed.
    tallies: Vec<Tally>,
    /// By when, as the bits of a positive number, whose order is that of the number; then in the order of being told.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    told: u64,
    sessions: Vec<Session>,
    free_places: Vec<u32>,
    /// Per cluster, the sessions that peers have a part in.
    by_peers: Vec<Vec<u32>>,
}

impl<'a> World<'a> {
    fn new(process: &'a Process, seed: u64) -> Self {
        let clusters = &process.clusters;
        let pool = |server_bps| Pool::new(process.sharing, server_bps, process.session_bps, process.support_bps);
        Self {
            process,
            chance: Xoshiro256PlusPlus::seed_from_u64(seed),
            now: 0.0,
            demand_bps: clusters.iter().map(|cluster| cluster.arrivals * process.session_bps as f64).collect(),
            pools: clusters.iter().map(|cluster| pool(cluster.server_bps)).collect(),
            courses: vec![Course::new(process); clusters.len()],
            total: Course::new(process),
            tallies: vec![Tally::default(); clusters.len()],
            events: BinaryHeap::new(),
            told: 0,
            sessions: Vec::new(),
            free_places: Vec::new(),
            by_peers: vec![Vec::new(); clusters.len()],
        }
    }

    fn handle(&mut self, now: f64, event: Event) {
        self.now = now;
        match event {
            Event::Request => {
                self.on_request();
                self.expect_request();
            }
            Event::End { place, number } => {
                let session = self.sessions[place as usize];
                if session.number == number {
                    self.end(place);
                    self.on_supporter(session.cluster);
                }
            }
            Event::Leave { cluster } => self.on_leave(cluster),
        }
    }

    /// Steps 1 to 4, 6 and 7.
    fn on_request(&mut self) {
        let home = self.pick_cluster();
        self.tallies[home].requests += 1;
        if let Some(carried) = self.pools[home].take() {
            return self.begin(home, carried);
        }
        if let Some((other, carried)) = self.elsewhere() {
            self.tallies[home].redirected += 1;
            return self.begin(other, carried);
        }
        self.tallies[home].refused += 1;
        self.courses[home].refuse(self.now);
        self.total.refuse(self.now);
    }

    /// Step 6: the cluster with the most room.
    fn elsewhere(&mut self) -> Option<(usize, Carried)> {
        if !self.process.redirect {
            return None;
        }
        let rooms =
            self.pools.iter().enumerate().filter_map(|(cluster, pool)| Some((pool.room_bps()?, Reverse(cluster))));
        let (_, Reverse(cluster)) = rooms.max()?;
        Some((cluster, self.pools[cluster].take()?))
    }

    fn begin(&mut self, cluster: usize, carried: Carried) {
        let number = self.told;
        let session = Session { number, cluster: cluster as u16, carried, among_carried: 0 };
        let place = match self.free_places.pop() {
            Some(place) => {
                self.sessions[place as usize] = session;
                place
            }
            None => {
                self.sessions.push(session);
                self.sessions.len() as u32 - 1
            }
        };
        self.tallies[cluster].watching += 1;
        if carried.by_peers_bps > 0 {
            self.list(place);
        }
        let length = match self.process.lengths {
            Lengths::Fixed => 1.0,
            Lengths::Exponential => self.exponential(),
        };
        self.tell(length, Event::End { place, number });
    }

    fn end(&mut self, place: u32) {
        let session = self.sessions[place as usize];
        if session.carried.by_peers_bps > 0 {
            self.unlist(place);
        }
        let cluster = usize::from(session.cluster);
        self.pools[cluster].give_back(session.carried);
        self.tallies[cluster].watching -= 1;
        self.sessions[place as usize].number = u64::MAX;
        self.free_places.push(place);
    }

    /// Step 5.
    fn on_supporter(&mut self, cluster: u16) {
        let at = usize::from(cluster);
        self.pools[at].supporters += 1;
        if let Some(linger) = self.process.linger {
            let stay = self.exponential() * linger;
            self.tell(stay, Event::Leave { cluster });
        }
        if self.pools[at].capacity_bps() as f64 >= self.demand_bps[at] {
            self.courses[at].capacity_reached.get_or_insert(self.now);
        }
        let capacity: f64 = self.pools.iter().map(|pool| pool.capacity_bps() as f64).sum();
        if capacity >= self.demand_bps.iter().sum() {
            self.total.capacity_reached.get_or_insert(self.now);
        }
    }

    fn on_leave(&mut self, cluster: u16) {
        let cluster = usize::from(cluster);
        self.pools[cluster].supporters -= 1;
        while self.pools[cluster].overload_bps() > 0 {
            let any = self.below(self.by_peers[cluster].len());
            let place = self.by_peers[cluster][any];
            let session = &mut self.sessions[place as usize];
            if !self.pools[cluster].relieve(&mut session.carried) {
                self.tallies[cluster].interrupted += 1;
                self.end(place);
            } else if session.carried.by_peers_bps == 0 {
                self.unlist(place);
            }
        }
    }

    fn list(&mut self, place: u32) {
        let session = &mut self.sessions[place as usize];
        let list = &mut self.by_peers[usize::from(session.cluster)];
        session.among_carried = list.len() as u32;
        list.push(place);
    }

    fn unlist(&mut self, place: u32) {
        let Session { cluster, among_carried, .. } = self.sessions[place as usize];
        let list = &mut self.by_peers[usize::from(cluster)];
        list.swap_remove(among_carried as usize);
        if let Some(moved) = list.get(among_carried as usize) {
            self.sessions[*moved as usize].among_carried = among_carried;
        }
    }

    /// Whose request is next: each cluster's as often as it has them.
    fn pick_cluster(&mut self) -> usize {
        let clusters = &self.process.clusters;
        if clusters.len() == 1 {
            return 0;
        }
        let mut at = uniform(&mut self.chance) * self.process.arrivals();
        let found = clusters.iter().position(|cluster| {
            at -= cluster.arrivals;
            at < 0.0
        });
        found.unwrap_or(clusters.len() - 1)
    }

    fn expect_request(&mut self) {
        let gap = self.exponential() / self.process.arrivals();
        self.tell(gap, Event::Request);
    }

    /// Says what will happen in so many intervals; after the last one nothing matters.
    fn tell(&mut self, later: f64, event: Event) {
        self.told += 1;
        let at = self.now + later;
        if at < f64::from(self.process.intervals) {
            self.events.push(Reverse((at.to_bits(), self.told, event)));
        }
    }

    /// Closes every bin that ends by now.
    fn close_bins(&mut self, now: f64) {
        while (self.total.bins.len() + 1) as f64 <= now * f64::from(self.process.bins) {
            for (cluster, pool) in self.pools.iter().enumerate() {
                let bin = Tally { supporters: pool.supporters, ..self.tallies[cluster] };
                self.courses[cluster].bins.push(bin);
                self.tallies[cluster] = Tally { watching: bin.watching, ..Tally::default() };
            }
            let last = self.courses.iter().filter_map(|course| course.bins.last());
            self.total.bins.push(last.fold(Tally::default(), Tally::beside));
        }
    }

    fn finish(self) -> Run {
        Run { total: self.total, clusters: self.courses }
    }

    /// Exponential with mean 1. The logarithm is our own so that machines agree to the last bit.
    fn exponential(&mut self) -> f64 {
        -libm::log1p(-uniform(&mut self.chance))
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.chance.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// From 0 up to, but not, 1.
fn uniform(chance: &mut Xoshiro256PlusPlus) -> f64 {
    (chance.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

//! What happens in one run? Requests, ends and leavings in the order of time, until the last interval is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Process;
use super::course::{Course, Run, Tally};
use super::pool::{Carried, Pool};
use crate::Lengths;
use crate::chance::Seeded;

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
    /// The same session is old enough to support while it goes on.
    WarmUp {
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
    /// While it goes on.
    supports: bool,
    /// Where it stands in its cluster's list of those whom peers carry, if it does.
    among_carried: u32,
}

struct World<'a> {
    process: &'a Process,
    chance: Seeded,
    now: f64,
    /// D of each cluster.
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
            chance: Seeded::new(seed),
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
            Event::End { place, number } if self.sessions[place as usize].number == number => self.on_end(place),
            Event::WarmUp { place, number } if self.sessions[place as usize].number == number => self.on_warm(place),
            Event::End { .. } | Event::WarmUp { .. } => {}
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
        let session = Session { number, cluster: cluster as u16, carried, supports: false, among_carried: 0 };
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
            Lengths::Exponential => self.chance.exponential(),
        };
        match self.process.warm_up {
            Some(0.0) => self.on_warm(place),
            Some(warm_up) if warm_up < length => self.tell(warm_up, Event::WarmUp { place, number }),
            _ => {}
        }
        self.tell(length, Event::End { place, number });
    }

    /// Step 5, or the end of support.
    fn on_end(&mut self, place: u32) {
        let cluster = self.sessions[place as usize].cluster;
        self.end(place);
        if self.process.warm_up.is_none() {
            return self.on_supporter(cluster);
        }
        self.relieve(cluster.into());
    }

    fn on_warm(&mut self, place: u32) {
        self.sessions[place as usize].supports = true;
        let cluster = self.sessions[place as usize].cluster;
        self.on_supporter(cluster);
    }

    fn end(&mut self, place: u32) {
        let session = self.sessions[place as usize];
        if session.carried.by_peers_bps > 0 {
            self.unlist(place);
        }
        let cluster = usize::from(session.cluster);
        self.pools[cluster].give_back(session.carried);
        self.pools[cluster].supporters -= u64::from(session.supports);
        self.tallies[cluster].watching -= 1;
        self.sessions[place as usize].number = u64::MAX;
        self.free_places.push(place);
    }

    fn on_supporter(&mut self, cluster: u16) {
        let at = usize::from(cluster);
        self.pools[at].supporters += 1;
        if let Some(linger) = self.process.linger {
            let stay = self.chance.exponential() * linger;
            self.tell(stay, Event::Leave { cluster });
        }
        if self.pools[at].capacity_bps() as f64 >= self.demand_bps[at] {
            self.courses[at].capacity_reached.get_or_insert(self.now);
        }
        if self.total.capacity_reached.is_none() {
            let capacity: f64 = self.pools.iter().map(|pool| pool.capacity_bps() as f64).sum();
            if capacity >= self.demand_bps.iter().sum() {
                self.total.capacity_reached = Some(self.now);
            }
        }
    }

    fn on_leave(&mut self, cluster: u16) {
        self.pools[usize::from(cluster)].supporters -= 1;
        self.relieve(cluster.into());
    }

    /// Lets the server carry what peers no longer can, of any session, and breaks off what it cannot either.
    fn relieve(&mut self, cluster: usize) {
        while self.pools[cluster].overload_bps() > 0 {
            let any = self.chance.below(self.by_peers[cluster].len());
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
        let mut at = self.chance.uniform() * self.process.arrivals();
        let found = clusters.iter().position(|cluster| {
            at -= cluster.arrivals;
            at < 0.0
        });
        found.unwrap_or(clusters.len() - 1)
    }

    fn expect_request(&mut self) {
        let gap = self.chance.exponential() / self.process.arrivals();
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
}

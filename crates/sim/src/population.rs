//! Who comes, when, with what, and how do they leave?

use trellis_proto::frame::Nat;

use crate::chance::{Chance, Deck};
use crate::scenario::{Arrivals, Invalid, Scenario, Stay};

/// What a viewer is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Does as the protocol says.
    Honest,
    /// Promises, and never sends a chunk.
    FreeRider,
    /// Sends wrong bytes to other peers.
    Polluter,
    /// Says it could give ten times what it can.
    Liar,
}

/// A viewer before it comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Person {
    /// When, µs.
    pub comes_us: u64,
    /// How long it stays once it is in, µs; None: to the end.
    pub stays_us: Option<u64>,
    /// Is silent from then on, instead of leaving.
    pub vanishes: bool,
    /// What it is up to.
    pub behaviour: Behaviour,
    /// What its network is.
    pub nat: Nat,
    /// Uplink, bit/s.
    pub up_bps: u64,
    /// Knows its uplink from an earlier visit.
    pub knows_uplink: bool,
    /// Its provider.
    pub isp: u32,
    /// Its region.
    pub region: u32,
    /// The rendition it begins with.
    pub rendition: u8,
    /// Where it begins, µs from the beginning; on demand.
    pub begins_us: u64,
}

impl Person {
    /// Would its uplink do others any good?
    pub fn can_give(&self) -> bool {
        self.nat != Nat::Blocked && matches!(self.behaviour, Behaviour::Honest | Behaviour::Liar)
    }
}

/// Draws people.
#[derive(Debug)]
pub struct Population {
    scenario: Scenario,
    chance: Chance,
    scale: f64,
    uplinks: Deck,
    nats: Deck,
    behaviours: Deck,
}

impl Population {
    /// For a scenario.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let chance = Chance::new(seed, 0x7065_6f70);
        let viewers = &scenario.viewers;
        let nat = viewers.nat;
        let honest = 1.0 - viewers.free_rider_share - viewers.polluter_share - viewers.liar_share;
        Self {
            scale: scenario.upload_scale(),
            uplinks: Deck::new(viewers.upload.iter().map(|it| it.share)),
            nats: Deck::new([nat.open, nat.cone, nat.symmetric, nat.blocked]),
            behaviours: Deck::new([honest, viewers.free_rider_share, viewers.polluter_share, viewers.liar_share]),
            scenario: scenario.clone(),
            chance,
        }
    }

    /// All who come by themselves, in order.
    pub fn first(&mut self) -> Result<Vec<Person>, Invalid> {
        let mut times = self.times()?;
        times.sort_unstable();
        Ok(times.into_iter().map(|at| self.person(at)).collect())
    }

    fn times(&mut self) -> Result<Vec<u64>, Invalid> {
        let count = self.scenario.viewers.count;
        let us = |seconds: f64| (seconds * 1e6) as u64;
        Ok(match self.scenario.viewers.arrivals.clone() {
            Arrivals::Ramp { over_s } => (0..count).map(|_| us(over_s * self.chance.unit())).collect(),
            Arrivals::Poisson { mean_s } => {
                let mut at = 0.0;
                (0..count)
                    .map(|_| {
                        at += self.chance.exponential(mean_s);
                        us(at)
                    })
                    .collect()
            }
            // The density falls off linearly to the end: most come at first.
            Arrivals::Flash { at_s, over_s } => {
                (0..count).map(|_| us(at_s + over_s * self.chance.unit().min(self.chance.unit()))).collect()
            }
            Arrivals::Trace { file } => {
                let path = self.scenario.folder.join(&file);
                let text =
                    std::fs::read_to_string(&path).map_err(|why| Invalid::Read(path.display().to_string(), why))?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                let times = lines.map(|line| line.parse::<f64>().map(us));
                times.collect::<Result<_, _>>().map_err(|_| Invalid::Value {
                    key: "viewers.arrivals.file",
                    why: "each line must be a number of seconds".into(),
                })?
            }
        })
    }

    /// One who comes at this time.
    pub fn person(&mut self, comes_us: u64) -> Person {
        let (viewers, net, chance) = (&self.scenario.viewers, &self.scenario.net, &mut self.chance);
        let stays_s = match viewers.stay {
            _ if viewers.stay_s == 0.0 => None,
            Stay::Exponential => Some(chance.exponential(viewers.stay_s)),
            Stay::Fixed => Some(viewers.stay_s),
        };
        let uplink = viewers.upload[self.uplinks.deal(chance)];
        let nats = [Nat::Open, Nat::Cone, Nat::Symmetric, Nat::Blocked];
        let behaviours = [Behaviour::Honest, Behaviour::FreeRider, Behaviour::Polluter, Behaviour::Liar];
        let renditions = if viewers.rendition_shares.is_empty() { &[1.0][..] } else { &viewers.rendition_shares };
        Person {
            comes_us,
            stays_us: stays_s.map(|seconds| (seconds * 1e6) as u64),
            vanishes: chance.happens(viewers.vanish_share),
            behaviour: behaviours[self.behaviours.deal(chance)],
            nat: nats[self.nats.deal(chance)],
            up_bps: (uplink.bps as f64 * self.scale) as u64,
            knows_uplink: chance.happens(viewers.known_uplink_share),
            isp: chance.below(u64::from(net.isps.max(1))) as u32,
            region: chance.below(net.region_ms.len().max(1) as u64) as u32,
            rendition: chance.pick(renditions.iter().copied()) as u8,
            begins_us: (viewers.begin_within_s * chance.unit() * 1e6) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_as_the_scenario_says_and_the_same_for_a_seed() {
        let text =
            "[viewers]\ncount = 4000\nfree_rider_share = 0.2\narrivals = { kind = \"flash\", at_s = 5, over_s = 10 }
            upload_times_demand = 1.2";
        let scenario = Scenario::parse(text).unwrap();
        let people = Population::new(&scenario, 9).first().unwrap();
        assert_eq!(people, Population::new(&scenario, 9).first().unwrap());
        let share = |it: &dyn Fn(&Person) -> bool| people.iter().filter(|person| it(person)).count() as f64 / 4e3;
        assert!((share(&|it| it.behaviour == Behaviour::FreeRider) - 0.2).abs() < 0.02);
        let blocked = |seed| {
            let people = Population::new(&scenario, seed).first().unwrap();
            people.iter().filter(|it| it.nat == Nat::Blocked).count() as f64 / 4e3
        };
        let blocked = (1..=10).map(blocked).sum::<f64>() / 10.0;
        assert!((blocked - 0.05).abs() < 0.003, "{blocked}");
        assert!((share(&|it| it.comes_us < 10_000_000) - 0.75).abs() < 0.02);
        assert!(people.iter().all(|it| (5_000_000..15_000_000).contains(&it.comes_us)));
        let mean = people.iter().map(|it| it.up_bps as f64).sum::<f64>() / 4e3;
        assert!((mean / 3e6 - 1.0).abs() < 0.05, "{mean}");
    }
}

//! Is there room for a session, and who carries it? A cluster's two pools of bandwidth, its server's and its supporting
//! peers'. Neither carries more than it has, but right after supporters left, until [`Pool::relieve`] has been asked.

use crate::Sharing;

/// The two pools of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    sharing: Sharing,
    session_bps: u64,
    support_bps: u64,
    server_bps: u64,
    server_used_bps: u64,
    peers_used_bps: u64,
    pub(super) supporters: u64,
}

/// Who carries a session, bit/s each; together β.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Carried {
    pub(super) by_peers_bps: u64,
    pub(super) by_server_bps: u64,
}

impl Pool {
    pub(super) fn new(sharing: Sharing, server_bps: u64, session_bps: u64, support_bps: u64) -> Self {
        let (server_used_bps, peers_used_bps, supporters) = (0, 0, 0);
        Self { sharing, session_bps, support_bps, server_bps, server_used_bps, peers_used_bps, supporters }
    }

    /// Steps 3 and 4: peers if they can, else the server; or both together, peers first.
    pub(super) fn take(&mut self) -> Option<Carried> {
        let carried = self.offer()?;
        self.peers_used_bps += carried.by_peers_bps;
        self.server_used_bps += carried.by_server_bps;
        Some(carried)
    }

    fn offer(&self) -> Option<Carried> {
        let (peers, server, needed) = (self.peers_free_bps(), self.server_free_bps(), self.session_bps);
        match self.sharing {
            _ if peers >= needed => Some(Carried { by_peers_bps: needed, by_server_bps: 0 }),
            Sharing::Mixed if peers + server >= needed => {
                Some(Carried { by_peers_bps: peers, by_server_bps: needed - peers })
            }
            Sharing::Strict | Sharing::Integral if server >= needed => {
                Some(Carried { by_peers_bps: 0, by_server_bps: needed })
            }
            _ => None,
        }
    }

    /// What [`Self::take`] gave, or what was left of it.
    pub(super) fn give_back(&mut self, carried: Carried) {
        self.peers_used_bps -= carried.by_peers_bps;
        self.server_used_bps -= carried.by_server_bps;
    }

    /// Whether [`Self::take`] would find something, and how much is free, to compare clusters.
    pub(super) fn room_bps(&self) -> Option<u64> {
        self.offer().map(|_| self.peers_free_bps() + self.server_free_bps())
    }

    /// What more peers carry than they have.
    pub(super) fn overload_bps(&self) -> u64 {
        self.peers_used_bps.saturating_sub(self.peers_bps())
    }

    /// Lets the server carry what peers did of one session, as far as it can and the session may be shared. False if it
    /// cannot, and the session must end.
    pub(super) fn relieve(&mut self, carried: &mut Carried) -> bool {
        let moved = match self.sharing {
            Sharing::Mixed => self.server_free_bps().min(carried.by_peers_bps).min(self.overload_bps()),
            _ if self.server_free_bps() >= carried.by_peers_bps => carried.by_peers_bps,
            _ => 0,
        };
        carried.by_peers_bps -= moved;
        carried.by_server_bps += moved;
        self.peers_used_bps -= moved;
        self.server_used_bps += moved;
        moved > 0
    }

    /// B + αS.
    pub(super) fn capacity_bps(&self) -> u64 {
        self.server_bps + self.support_bps * self.supporters
    }

    fn peers_free_bps(&self) -> u64 {
        self.peers_bps().saturating_sub(self.peers_used_bps)
    }

    fn server_free_bps(&self) -> u64 {
        self.server_bps - self.server_used_bps
    }

    /// What the supporters can carry: all of αS, or as many whole sessions as whole peers can.
    fn peers_bps(&self) -> u64 {
        match self.sharing {
            Sharing::Mixed | Sharing::Strict => self.support_bps * self.supporters,
            Sharing::Integral if self.support_bps == 0 => 0,
            Sharing::Integral if self.support_bps >= self.session_bps => {
                self.supporters * (self.support_bps / self.session_bps) * self.session_bps
            }
            Sharing::Integral => self.supporters / self.session_bps.div_ceil(self.support_bps) * self.session_bps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pool_carries_more_than_it_has_and_all_comes_back() {
        for sharing in [Sharing::Mixed, Sharing::Strict, Sharing::Integral] {
            for support_bps in [0, 3, 10, 25] {
                let mut pool = Pool::new(sharing, 47, 10, support_bps);
                let mut carried = Vec::new();
                // An order without pattern: many take, supporters come and go.
                for step in (0..2000u64).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) {
                    match step {
                        0..9 => carried.extend(pool.take()),
                        9..12 => pool.supporters += 1,
                        12..14 if !carried.is_empty() => {
                            pool.give_back(carried.swap_remove(step as usize % carried.len()))
                        }
                        _ => pool.supporters = pool.supporters.saturating_sub(3),
                    }
                    while pool.overload_bps() > 0 {
                        let helped = carried.iter().position(|c: &Carried| c.by_peers_bps > 0).unwrap();
                        if !pool.relieve(&mut carried[helped]) {
                            pool.give_back(carried.swap_remove(helped));
                        }
                    }
                    assert!(pool.peers_used_bps <= pool.peers_bps() && pool.server_used_bps <= pool.server_bps);
                    assert!(carried.iter().all(|c| c.by_peers_bps + c.by_server_bps == 10));
                    assert!(sharing == Sharing::Mixed || carried.iter().all(|c| c.by_peers_bps % 10 == 0));
                }
                for carried in carried {
                    pool.give_back(carried);
                }
                assert_eq!((pool.peers_used_bps, pool.server_used_bps), (0, 0), "{sharing:?} {support_bps}");
            }
        }
    }
}

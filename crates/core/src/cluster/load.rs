//! What does a recording cost the edge now, and what will those cost who have just come?
//!
//! Viewers of a recording are served by whoever has what they need next, which no ledger can promise: who plays ahead of
//! all others takes everything from the edge, and who follows closely takes nothing. So a newcomer is let in when the
//! edge, by what it sends now, could carry it whole.

/// What the edge sends, smoothed over some seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    sent_bps: u64,
    before_bytes: u64,
    /// What newcomers may take who do not show in `sent_bps` yet.
    promised_bps: u64,
}

/// A tick's share in the smoothed rate, and of a promise in what becomes visible by then: an eighth.
const SHARE: u64 = 8;

impl Load {
    /// A viewer was let in.
    pub fn promise(&mut self, bps: u64) {
        self.promised_bps = self.promised_bps.saturating_add(bps);
    }

    /// So many milliseconds passed; `bytes` were sent since the beginning.
    pub fn tick(&mut self, bytes: u64, passed_ms: u64) {
        let now_bps = bytes.saturating_sub(self.before_bytes).saturating_mul(8_000) / passed_ms.max(1);
        self.before_bytes = bytes;
        self.sent_bps = self.sent_bps - self.sent_bps / SHARE + now_bps / SHARE;
        self.promised_bps -= self.promised_bps.div_ceil(SHARE);
    }

    /// What it must be able to send.
    pub fn bps(&self) -> u64 {
        self.sent_bps.saturating_add(self.promised_bps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_turns_into_what_is_sent_or_fades() {
        let mut load = Load::default();
        load.promise(8_000_000);
        assert_eq!(load.bps(), 8_000_000, "at once");
        let sent = |load: &mut Load, bps: u64| {
            for tick in 1..=60 {
                load.tick(load.before_bytes + bps / 16, 500);
                assert!(tick > 8 || load.bps() + 1_000 >= bps.min(8_000_000), "nothing is lost on the way");
            }
            load.bps()
        };
        assert!(sent(&mut load, 8_000_000).abs_diff(8_000_000) < 10_000);
        assert!(sent(&mut load, 0) < 10_000, "somebody else serves it");
    }
}

//! Which rungs does a source get, and at which rates? A pure function of its size and frame rate.

/// One rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Short side of the picture (pixels, even).
    pub lines: u32,
    /// Highest rate over a second (kbit/s).
    pub kbps_max: u32,
}

/// The rungs for a source whose shorter side is `lines` long, best first. Never larger than the source; a source
/// between two standard sizes gets a rung of its own size, and standard ones well below it.
pub fn rungs(lines: u32, fps: f64, lines_max: u32) -> Vec<Rung> {
    let top = lines.min(lines_max).max(LINES_MIN) & !1;
    let below = STANDARD.iter().map(|(lines, _)| *lines).filter(|&standard| standard * 5 <= top * 4);
    std::iter::once(top).chain(below).map(|lines| Rung { lines, kbps_max: rate(lines, fps) }).collect()
}

/// Between standard sizes the rate follows the number of pixels; fast motion gets 1.4 times as much.
fn rate(lines: u32, fps: f64) -> u32 {
    let pixels = |lines: u32| f64::from(lines * lines);
    let above = STANDARD.iter().rev().find(|(standard, _)| *standard >= lines).unwrap_or(&STANDARD[0]);
    let kbps = f64::from(above.1) * pixels(lines) / pixels(above.0);
    let kbps = if fps > 35.0 { kbps * 1.4 } else { kbps };
    (kbps as u32).max(KBPS_MIN)
}

/// Lines and kbit/s of x264 veryfast that look clean on ordinary footage.
const STANDARD: [(u32, u32); 4] = [(1080, 4500), (720, 2500), (480, 1200), (240, 350)];
/// The smallest rung.
pub const LINES_MIN: u32 = 16;
const KBPS_MIN: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rung_is_above_the_source() {
        let lines = |source| rungs(source, 30.0, 1080).iter().map(|rung| rung.lines).collect::<Vec<_>>();
        assert_eq!(lines(2160), [1080, 720, 480, 240]);
        assert_eq!(lines(1080), [1080, 720, 480, 240]);
        assert_eq!(lines(720), [720, 480, 240]);
        assert_eq!(lines(540), [540, 240]);
        assert_eq!(lines(481), [480, 240]);
        assert_eq!(lines(361), [360, 240]);
        assert_eq!(lines(240), [240]);
        assert_eq!(lines(99), [98]);
        assert_eq!(lines(0), [16]);
    }

    #[test]
    fn rates_fall_with_the_rungs_and_rise_with_motion() {
        let rates = |fps| rungs(1080, fps, 1080).iter().map(|rung| rung.kbps_max).collect::<Vec<_>>();
        assert_eq!(rates(30.0), [4500, 2500, 1200, 350]);
        assert_eq!(rates(60.0), [6300, 3500, 1680, 489]);
        assert_eq!(rungs(360, 30.0, 1080)[0].kbps_max, 675);
    }
}

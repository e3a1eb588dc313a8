//! How do the answers look? One chart for each question: the paper's Figures 2 and 3, the server's load over an audience.
//! Nothing is computed here that the answer does not say.

use trellis_model::event::{Summary, TallySummary};
use trellis_model::{Fluid, Growth, Interval};
use trellis_plot::{Chart, Ink, Mark, Points};

use super::input::Cluster;
use super::output::{duration, grouped, rate_in_text as rate, trimmed};

/// Intervals shown when everybody is never served.
const ENDLESS_INTERVALS: u32 = 12;
/// Intervals shown at most.
const SHOWN_INTERVALS_MAX: u32 = 200;
/// Steps of a curve.
const FINE: u32 = 200;

/// How many intervals are shown: so many beyond K.
pub fn shown(growth: Growth, beyond: u32) -> u32 {
    growth.first_full_interval().map_or(ENDLESS_INTERVALS, |k| k.saturating_add(beyond)).min(SHOWN_INTERVALS_MAX)
}

/// Figure 2: bandwidth against time, in three stages.
pub fn bandwidth(cluster: &Cluster, growth: Growth) -> Chart {
    let end = f64::from(shown(growth, 3));
    let (scale, unit) = scale(growth.capacity_bps(end).max(growth.demand_bps()));
    let mut marks = stages(growth, end, scale);
    marks.push(Mark::Across(format!("demand {}", rate(growth.demand_bps())), growth.demand_bps() / scale));
    marks.extend(guides(cluster, growth, end));
    Chart {
        title: "Bandwidth of the cluster against time".into(),
        subtitle: subtitle(cluster),
        x_name: x_name(cluster),
        y_name: format!("bandwidth, {unit}"),
        marks,
        ..Chart::default()
    }
}

/// Lines that leave no gap: flat until t_0, then what server and peers make together, from t_g on mostly peers; and when
/// nothing is guaranteed, from t_0 to K. With t_g ≤ t_0 there is no second stage.
fn stages(growth: Growth, end: f64, scale: f64) -> Vec<Mark> {
    let (t0, tg) = (growth.saturation_intervals(), growth.guarantee_intervals());
    let curve = |from: f64, to: f64| sampled(from, to, |t| growth.capacity_bps(t) / scale);
    if t0.is_infinite() {
        return vec![Mark::Line("server and peers".into(), Ink::Blue, curve(0.0, end))];
    }
    let server = growth.capacity_bps(0.0) / scale;
    let k = growth.first_full_interval().map_or(end, |k| end.min(k.into()));
    let flat = vec![(0.0, server), (t0, server)];
    let mut marks = vec![
        Mark::Shades("no guarantee".into(), Ink::Gray, vec![(t0, k)]),
        Mark::Line("server only".into(), Ink::Green, flat.clone()),
    ];
    let joined = |from: f64, to: f64| -> Points { flat[1..].iter().copied().chain(curve(from, to)).collect() };
    if t0 < tg {
        marks.push(Mark::Line("server and peers".into(), Ink::Blue, joined(t0, tg.min(end))));
    }
    if tg < end {
        let points = if t0 < tg { curve(tg, end) } else { joined(t0, end) };
        marks.push(Mark::Line("mostly peers".into(), Ink::Orange, points));
    }
    marks
}

/// Figure 3: which share of requests is refused, at each time and on average, in so many intervals.
pub fn rejection(cluster: &Cluster, growth: Growth, intervals: u32, simulated: Option<&Summary>) -> Chart {
    let shown = intervals.min(SHOWN_INTERVALS_MAX);
    let end = f64::from(shown);
    let intervals: Vec<_> = Fluid::new(growth).take(shown as usize).collect();
    let refused = |it: &Interval| (f64::from(it.number) + it.served, f64::from(it.number) + 1.0);
    let saw_tooth = intervals.iter().filter(|it| it.rejected > 0.0).map(refused).collect();
    let step = |it: &Interval| [0.0, 1.0].map(|side| (f64::from(it.number) + side, it.rejected * 100.0));
    let mut marks = vec![
        Mark::Shades("all refused".into(), Ink::Gray, saw_tooth),
        Mark::Line("of each interval, R_k".into(), Ink::Green, intervals.iter().flat_map(step).collect()),
        Mark::Line("between intervals, R(t)".into(), Ink::Blue, average(growth, end)),
    ];
    marks.extend(simulated.iter().flat_map(|summary| counted(summary, end)));
    marks.extend(guides(cluster, growth, end));
    Chart {
        title: "Requests refused against time".into(),
        subtitle: subtitle(cluster),
        x_name: x_name(cluster),
        y_name: "refused, %".into(),
        y_max: Some(105.0),
        marks,
    }
}

/// R(t), in percent: 0, from t_0 to t_g what it is, 0 again; it comes down only where t_g is.
fn average(growth: Growth, end: f64) -> Points {
    let (t0, tg) = (growth.saturation_intervals().min(end), growth.guarantee_intervals());
    let mut points = vec![(0.0, 0.0), (t0, 0.0)];
    if t0 < tg {
        let refused = |t: f64| (1.0 - growth.capacity_bps(t) / growth.demand_bps()).max(0.0) * 100.0;
        points.extend(sampled(t0, tg.min(end), refused));
    }
    if tg < end {
        points.extend([(tg.max(t0), 0.0), (end, 0.0)]);
    }
    points
}

/// What share of each interval's requests was refused: on average, and where 95 in 100 runs are.
pub fn counted(summary: &Summary, end: f64) -> [Mark; 2] {
    let percent = |share: f64| (share * 100.0).clamp(0.0, 100.0);
    let band = |it: &TallySummary| {
        let (low, high) = it.rejected.band_95();
        [it.from, it.until].map(|side| (side, percent(low), percent(high)))
    };
    let middle = |it: &TallySummary| ((it.from + it.until) / 2.0, percent(it.rejected.mean));
    let intervals = || summary.intervals.iter().filter(|it| it.rejected.runs > 1 && it.until <= end);
    [
        Mark::Band(
            format!("simulated: 95 % of {} runs", summary.runs),
            Ink::Orange,
            intervals().flat_map(band).collect(),
        ),
        Mark::Dots("their mean".into(), Ink::Orange, intervals().map(middle).collect()),
    ]
}

/// What a server must send against how many watch: lines over audiences from nobody to twice as many as asked about. Each
/// line says what it is of so many, bit/s.
pub fn over_audience(title: &str, subtitle: String, viewers: u64, lines: &[Load<'_>]) -> Chart {
    let most = viewers.saturating_mul(2).max(2);
    let audiences = (0..=u64::from(FINE)).map(|step| (u128::from(most) * u128::from(step) / u128::from(FINE)) as u64);
    let mut audiences: Vec<u64> = audiences.map(|audience| audience.max(1)).collect();
    audiences.dedup();
    let highest = lines.iter().map(|(.., load)| load(most)).fold(0.0, f64::max);
    let ((scale, unit), (many, viewers_name)) = (scale(highest), crowd(most));
    let line = |(name, ink, load): &Load<'_>| {
        let points = audiences.iter().map(|audience| (*audience as f64 / many, load(*audience) / scale)).collect();
        Mark::Line((*name).to_owned(), *ink, points)
    };
    let mut marks: Vec<Mark> = lines.iter().map(line).collect();
    marks.push(Mark::Upwards(format!("N = {}", grouped(viewers as f64)), viewers as f64 / many));
    Chart {
        title: title.into(),
        subtitle,
        x_name: viewers_name.into(),
        y_name: format!("the server sends, {unit}"),
        marks,
        ..Chart::default()
    }
}

/// A line's name and colour, and its height over an audience, bit/s.
pub type Load<'a> = (&'a str, Ink, &'a dyn Fn(u64) -> f64);

/// t_0, t_g and K, as far as they are shown.
pub fn guides(cluster: &Cluster, growth: Growth, end: f64) -> Vec<Mark> {
    let length = cluster.length.get();
    let k = growth.first_full_interval().map_or(f64::INFINITY, f64::from);
    let all = [("t₀", growth.saturation_intervals()), ("t_g", growth.guarantee_intervals()), ("K", k)];
    let mut shown: Vec<_> = all.into_iter().filter(|(_, at)| (0.0..=end).contains(at) && *at > 0.0).collect();
    shown.sort_by(|a, b| a.1.total_cmp(&b.1));
    shown.into_iter().map(|(name, at)| Mark::Upwards(format!("{name} = {}", duration(at * length)), at)).collect()
}

fn sampled(from: f64, to: f64, value: impl Fn(f64) -> f64) -> Points {
    let part = |step: u32| f64::from(step) / f64::from(FINE);
    let at = |step: u32| from * (1.0 - part(step)) + to * part(step);
    (0..=FINE).map(|step| (at(step), value(at(step)))).collect()
}

/// In which unit a bandwidth is best told.
pub fn scale(most: f64) -> (f64, &'static str) {
    match most {
        2e12.. => (1e12, "Tbit/s"),
        2e9.. => (1e9, "Gbit/s"),
        2e6.. => (1e6, "Mbit/s"),
        2e3.. => (1e3, "kbit/s"),
        _ => (1.0, "bit/s"),
    }
}

/// In which unit so many viewers are best told.
fn crowd(most: u64) -> (f64, &'static str) {
    match most {
        2_000_000_000.. => (1e9, "viewers N, thousand millions"),
        2_000_000.. => (1e6, "viewers N, millions"),
        20_000.. => (1e3, "viewers N, thousands"),
        _ => (1.0, "viewers N"),
    }
}

pub fn subtitle(it: &Cluster) -> String {
    format!(
        "B = {}, β = {}, α = {}, λ = {}/s, L = {}",
        rate(it.server_bandwidth.get()),
        rate(it.rate.get()),
        rate(it.contribution.get()),
        trimmed(it.arrivals.get(), 4),
        duration(it.length.get())
    )
}

pub fn x_name(cluster: &Cluster) -> String {
    format!("time, intervals of {}", duration(cluster.length.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trellis_model::{Bps, PerSecond, Seconds};

    /// B and α where β is 1 and a is 100.
    fn cluster(server: f64, support: f64) -> Cluster {
        let [server_bandwidth, rate, contribution] = [server, 1.0, support].map(|rate| Bps::new(rate).unwrap());
        let (arrivals, length) = (PerSecond::new(1.0).unwrap(), Seconds::new(100.0).unwrap());
        Cluster { server_bandwidth, rate, contribution, arrivals, length }
    }

    fn lines(chart: &Chart) -> Vec<(&str, &Points)> {
        chart
            .marks
            .iter()
            .filter_map(
                |mark| if let Mark::Line(name, _, points) = mark { Some((name.as_str(), points)) } else { None },
            )
            .collect()
    }

    #[test]
    fn capacity_is_drawn_from_the_beginning_to_the_end_without_a_gap() {
        for (server, support) in
            [(10.0, 1.0), (90.0, 1.0), (50.0, 0.0), (0.0, 1.0), (1.0, 0.001), (200.0, 1.0), (12.5, 1.0)]
        {
            let cluster = cluster(server, support);
            let growth = cluster.growth().unwrap();
            let chart = bandwidth(&cluster, growth);
            let lines = lines(&chart);
            let end = f64::from(shown(growth, 3));
            assert_eq!((lines[0].1[0].0, lines.last().unwrap().1.last().unwrap().0), (0.0, end), "{server} {support}");
            for pair in lines.windows(2) {
                assert_eq!(pair[0].1.last(), pair[1].1.first(), "{server} {support}: {} to {}", pair[0].0, pair[1].0);
            }
        }
    }

    #[test]
    fn refusals_that_never_end_are_drawn_to_the_edge() {
        for (server, support) in [(50.0, 0.0), (0.0, 1.0), (1.0, 0.001)] {
            let cluster = cluster(server, support);
            let growth = cluster.growth().unwrap();
            let chart = rejection(&cluster, growth, shown(growth, 1), None);
            let at_the_edge: Vec<_> = lines(&chart).iter().map(|(_, points)| points.last().unwrap().1).collect();
            assert!(at_the_edge.iter().all(|refused| *refused >= 40.0), "{server} {support}: {at_the_edge:?}");
        }
        let soon = cluster(10.0, 1.0);
        let ends = rejection(&soon, soon.growth().unwrap(), 5, None);
        assert!(lines(&ends).iter().all(|(_, points)| points.last() == Some(&(5.0, 0.0))));
    }
}

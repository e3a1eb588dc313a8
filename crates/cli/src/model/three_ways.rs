//! How do the three ways look beside each other? Tables in Markdown, and two charts: who was refused, and how far that is off
//! the closed form.

use std::fmt::Write as _;

use trellis_model::event::{Summary, TallySummary};
use trellis_model::{Fluid, Growth, Interval};
use trellis_plot::{Chart, Ink, Mark, Points};
use trellis_sim::Report;

use super::charts;
use super::input::Cluster;
use super::output::{grouped, trimmed};

/// What each of them says of one cluster.
pub struct ThreeWays {
    /// The closed form.
    pub growth: Growth,
    /// Of whom.
    pub cluster: Cluster,
    /// How many whole intervals are compared.
    pub intervals: u32,
    /// The event simulation.
    pub events: Summary,
    /// The full protocol, a run for each seed, each with its model.
    pub protocol: Vec<Report>,
    /// By how much R_k may be off.
    pub goal: Option<f64>,
}

/// What one way says: a number for each interval, from k = 0.
struct Way {
    name: String,
    refused: Vec<f64>,
    supporters: Vec<f64>,
    first: Option<f64>,
    last: Option<f64>,
    total: f64,
    stalled: Option<f64>,
}

impl ThreeWays {
    /// In Markdown: R_k, S_k, and what is said once.
    pub fn tables(&self) -> String {
        let it = &self.growth;
        let k = it.first_full_interval().map_or("never".into(), |k| k.to_string());
        let [g, t0, tg] =
            [it.factor(), it.saturation_intervals(), it.guarantee_intervals()].map(|number| trimmed(number, 4));
        let of = charts::subtitle(&self.cluster);
        format!(
            "\n{of}; g = {g}, t_0 = {t0}, t_g = {tg}, K = {k}.\n\n{}\n{}\n{}\n",
            markdown(&self.rejected_rows()),
            markdown(&self.supporting_rows()),
            markdown(&self.landmark_rows())
        )
    }

    /// Figure 3 without what is between intervals, and the full protocol over it.
    pub fn refused(&self) -> Chart {
        let end = f64::from(self.intervals);
        let step = |it: Interval| [0.0, 1.0].map(|side| (f64::from(it.number) + side, it.rejected * 100.0));
        let mut marks =
            vec![Mark::Line("closed form, R_k".into(), Ink::Green, self.fluid().into_iter().flat_map(step).collect())];
        marks.extend(charts::counted(&self.events, end));
        marks.push(Mark::Dots(self.protocol_name(), Ink::Blue, self.dots(|way, k| way.refused[k] * 100.0)));
        marks.extend(charts::guides(&self.cluster, self.growth, end));
        self.chart("Requests refused: closed form, event simulation, full protocol", "refused, %", Some(105.0), marks)
    }

    /// By how much each is off the closed form.
    pub fn residual(&self) -> Chart {
        let closed = self.closed();
        let off = |way: &Way, k: usize| (way.refused[k] - closed.refused[k]).abs() * 100.0;
        let events = self.events();
        let middle = (0..closed.refused.len()).map(|k| (k as f64 + 0.5, off(&events, k)));
        let band = |(it, said): (&TallySummary, &f64)| {
            let (low, high) = it.rejected.band_95();
            let off = (low.clamp(0.0, 1.0) - said).abs().max((high.clamp(0.0, 1.0) - said).abs()) * 100.0;
            [(it.from, 0.0, off), (it.until, 0.0, off)]
        };
        let band = self.stretches().zip(&closed.refused).flat_map(band).collect();
        let mut marks = vec![
            Mark::Band("where 95 of 100 such runs are".into(), Ink::Orange, band),
            Mark::Dots(events.name.clone(), Ink::Orange, middle.collect()),
            Mark::Dots(self.protocol_name(), Ink::Blue, self.dots(off)),
        ];
        marks.extend(self.goal.map(|goal| Mark::Across(format!("goal {}", trimmed(goal * 100.0, 2)), goal * 100.0)));
        marks.extend(charts::guides(&self.cluster, self.growth, f64::from(self.intervals)));
        self.chart("How far the share refused is off the closed form", "off by, percentage points", None, marks)
    }

    fn chart(&self, title: &str, y_name: &str, y_max: Option<f64>, marks: Vec<Mark>) -> Chart {
        Chart {
            title: title.into(),
            subtitle: charts::subtitle(&self.cluster),
            x_name: charts::x_name(&self.cluster),
            y_name: y_name.into(),
            y_max,
            marks,
        }
    }

    /// The full protocol's, side by side in the first half of each interval: in the middle is the event simulation.
    fn dots(&self, value: impl Fn(&Way, usize) -> f64) -> Points {
        let ways = self.protocol();
        let part = 0.5 / (ways.len() + 1) as f64;
        let of = |(at, way): (usize, &Way)| -> Points {
            (0..way.refused.len()).map(|k| (k as f64 + part * (at + 1) as f64, value(way, k))).collect()
        };
        ways.iter().enumerate().flat_map(of).collect()
    }

    fn rejected_rows(&self) -> Vec<Vec<String>> {
        let share = |value: f64| format!("{value:.3}");
        let closed = self.closed();
        let mut rows = vec![self.numbers("R_k: refused of the requests in interval k")];
        rows.push(row(&closed.name, &closed.refused, share));
        let band = |side: fn((f64, f64)) -> f64| -> Vec<f64> {
            self.stretches().map(|it| side(it.rejected.band_95()).clamp(0.0, 1.0)).collect()
        };
        let events = self.events();
        rows.push(row(&events.name, &events.refused, share));
        rows.push(row("95 of 100 such runs, from", &band(|it| it.0), share));
        rows.push(row("to", &band(|it| it.1), share));
        for way in self.protocol() {
            let off: Vec<_> = way.refused.iter().zip(&closed.refused).map(|(is, said)| is - said).collect();
            rows.push(row(&way.name, &way.refused, share));
            // Adding zero makes of -0 a 0.
            rows.push(row("its residual", &off, |off| format!("{:+.3}", (off * 1e3).round() / 1e3 + 0.0)));
        }
        rows
    }

    fn supporting_rows(&self) -> Vec<Vec<String>> {
        let ways = [self.closed(), self.events()].into_iter().chain(self.protocol());
        let rows = ways.map(|way| row(&way.name, &way.supporters, |it| grouped(it.round())));
        std::iter::once(self.numbers("S_k: supporting peers at the end of interval k")).chain(rows).collect()
    }

    fn landmark_rows(&self) -> Vec<Vec<String>> {
        let closed = self.closed();
        let far = |way: &Way| way.refused.iter().zip(&closed.refused).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let told = |number: Option<f64>| number.map_or("–".into(), |number| format!("{number:.3}"));
        let headings = ["", "first refusal, intervals", "last refusal", "refused", "R_k off at most", "stood still"];
        let mut rows = vec![headings.map(str::to_owned).to_vec()];
        for way in [self.closed(), self.events()].iter().chain(&self.protocol()) {
            let off = if way.name == closed.name { "–".into() } else { format!("{:.3}", far(way)) };
            let stalled = way.stalled.map_or("–".into(), |share| format!("{:.3} %", share * 100.0));
            let total = grouped(way.total.round());
            rows.push(vec![way.name.clone(), told(way.first), told(way.last), total, off, stalled]);
        }
        rows
    }

    /// A heading and the numbers of intervals.
    fn numbers(&self, heading: &str) -> Vec<String> {
        std::iter::once(heading.to_owned()).chain((0..self.intervals).map(|k| k.to_string())).collect()
    }

    fn fluid(&self) -> Vec<Interval> {
        Fluid::new(self.growth).take(self.intervals as usize).collect()
    }

    fn stretches(&self) -> impl Iterator<Item = &TallySummary> {
        self.events.intervals.iter().take(self.intervals as usize)
    }

    fn closed(&self) -> Way {
        let fluid = self.fluid();
        Way {
            name: "closed form".into(),
            refused: fluid.iter().map(|it| it.rejected).collect(),
            supporters: fluid.iter().map(|it| it.supporters).collect(),
            first: Some(self.growth.saturation_intervals()),
            last: self.growth.first_full_interval().map(f64::from),
            total: self.growth.rejected_total(),
            stalled: None,
        }
    }

    fn events(&self) -> Way {
        Way {
            name: format!("event simulation, mean of {} runs", self.events.runs),
            refused: self.stretches().map(|it| it.rejected.mean).collect(),
            supporters: self.stretches().map(|it| it.supporters.mean).collect(),
            first: Some(self.events.first_refusal.mean),
            last: Some(self.events.last_refusal.mean),
            total: self.events.refused.mean,
            stalled: None,
        }
    }

    fn protocol(&self) -> Vec<Way> {
        let way = |report: &Report| {
            let against = report.model.as_ref()?;
            Some(Way {
                name: format!("full protocol, seed {}", report.seed),
                refused: against.intervals.iter().map(|it| it.rejected).collect(),
                supporters: against.intervals.iter().map(|it| it.supporters.into()).collect(),
                first: against.first_refusal_intervals,
                last: against.last_refusal_intervals,
                total: against.intervals.iter().map(|it| f64::from(it.refused)).sum(),
                stalled: report.stalled_share,
            })
        };
        self.protocol.iter().filter_map(way).collect()
    }

    fn protocol_name(&self) -> String {
        match self.protocol.len() {
            1 => "full protocol".into(),
            many => format!("full protocol, {many} seeds"),
        }
    }
}

fn row(name: &str, numbers: &[f64], tell: impl Fn(f64) -> String) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(numbers.iter().map(|number| tell(*number))).collect()
}

/// A table, the first row its headings.
fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if at == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
        }
    }
    text
}

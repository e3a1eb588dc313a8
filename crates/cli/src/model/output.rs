//! In which form is an answer given? A table to read, one JSON object, or CSV, and a chart, from the same values.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use trellis_plot::Chart;

use super::plot::File;

/// In which form.
#[derive(Debug, Clone, clap::Args)]
pub struct Form {
    /// One JSON object, its keys as in docs/model.md
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// CSV with a header: the rows, or a key and a value a line where there are none
    #[arg(long)]
    csv: bool,
    /// Draw the answer, too, as SVG or PNG by the file's name; repeat it for both
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    plot: Vec<File>,
}

impl Form {
    /// Prints an answer, whole as JSON or what the sheet says of it, and draws the chart if that was asked for.
    pub fn print(&self, answer: &impl Serialize, sheet: &Sheet, chart: impl FnOnce() -> Chart) -> Result<()> {
        if !self.plot.is_empty() {
            let chart = chart();
            self.plot.iter().try_for_each(|file| file.write(&chart).context("--plot"))?;
        }
        match self {
            Self { json: true, .. } => println!("{}", serde_json::to_string_pretty(answer).context("the answer")?),
            Self { csv: true, .. } if sheet.columns.is_empty() => print!("{}", pairs(answer)?),
            Self { csv: true, .. } => print!("{}", sheet.csv()),
            Self { .. } => print!("{}", sheet.text()),
        }
        Ok(())
    }
}

/// What is said of an answer: facts line by line, and rows under columns.
#[derive(Debug, Default)]
pub struct Sheet {
    facts: Vec<(String, String)>,
    columns: Vec<Column>,
    rows: Vec<Vec<Option<f64>>>,
    notes: Vec<String>,
}

/// A column: its name in CSV, its heading in the terminal, and how its numbers are told there.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// In CSV.
    pub key: &'static str,
    /// In the terminal.
    pub heading: &'static str,
    /// A number in the terminal.
    pub tell: fn(f64) -> String,
}

impl Sheet {
    /// With these columns; none when there are only facts.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), ..Self::default() }
    }

    /// One more fact.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    /// One more row; what is not known or infinite is left empty.
    pub fn row(&mut self, numbers: &[Option<f64>]) {
        self.rows.push(numbers.iter().map(|it| it.filter(|number| number.is_finite())).collect());
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// One more line below.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn csv(&self) -> String {
        let header = self.columns.iter().map(|column| column.key.to_owned()).collect();
        let rows =
            self.rows.iter().map(|row| row.iter().map(|it| it.map_or(String::new(), |it| it.to_string())).collect());
        let lines = std::iter::once(header).chain(rows).map(|cells: Vec<String>| cells.join(",") + "\n");
        lines.collect()
    }

    fn text(&self) -> String {
        let wide = self.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let facts = self.facts.iter().map(|(name, value)| format!("{name:wide$}  {value}\n"));
        let notes = self.notes.iter().map(|note| format!("{note}\n"));
        let parts = [facts.collect::<String>(), self.table(), notes.collect()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Rows under headings, flush right.
    fn table(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let cell = |(at, number): (usize, &Option<f64>)| number.map_or("–".into(), self.columns[at].tell);
        let headings = self.columns.iter().map(|column| column.heading.to_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().enumerate().map(cell).collect());
        let cells: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
        grid(cells)
    }
}

/// Rows of as many cells each, flush right; the first column flush left where it is text.
pub fn grid(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let wide = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let wides: Vec<usize> = (0..columns).map(wide).collect();
    let names = rows.first().is_some_and(|row| row[0].is_empty());
    let cell = |(at, (cell, wide)): (usize, (&String, &usize))| {
        if at == 0 && names { format!("{cell:<wide$}") } else { format!("{cell:>wide$}") }
    };
    let line = |row: &Vec<String>| row.iter().zip(&wides).enumerate().map(cell).collect::<Vec<_>>().join("  ") + "\n";
    rows.iter().map(line).collect()
}

/// An answer without rows as CSV: a key and a value a line.
fn pairs(answer: &impl Serialize) -> Result<String> {
    let answer = serde_json::to_value(answer).context("the answer")?;
    let told = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    let lines = answer.as_object().into_iter().flatten().map(|(key, value)| format!("{key},{}\n", told(value)));
    Ok(std::iter::once("key,value\n".to_owned()).chain(lines).collect())
}

/// A number with as many digits as one reads.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_infinite() => "never ends".into(),
        0.0 => "0".into(),
        _ if value.fract() == 0.0 && value.abs() < 1e9 => grouped(value),
        1e3.. => grouped(value.round()),
        100.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A whole number in groups of three.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
}

/// A bandwidth.
pub fn rate(bps: f64) -> String {
    match bps.abs() {
        0.0 => "0 bit/s".into(),
        1e12.. => format!("{:.2} Tbit/s", bps / 1e12),
        1e9.. => format!("{:.2} Gbit/s", bps / 1e9),
        1e6.. => format!("{:.2} Mbit/s", bps / 1e6),
        1e3.. => format!("{:.0} kbit/s", bps / 1e3),
        _ => format!("{} bit/s", trimmed(bps, 2)),
    }
}

/// The same inside a text: no zeros at its end.
pub fn rate_in_text(bps: f64) -> String {
    let told = rate(bps);
    let (number, unit) = told.split_once(' ').unwrap_or((&told, ""));
    format!("{} {unit}", number.parse().map_or(number.to_owned(), |number| trimmed(number, 2)))
}

/// With at most so many digits behind the point, and no zeros at its end.
pub fn trimmed(value: f64, digits: usize) -> String {
    let told = format!("{value:.digits$}");
    if told.contains('.') { told.trim_end_matches('0').trim_end_matches('.').into() } else { told }
}

/// An amount of data.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        1e15.. => format!("{:.2} PB", bytes / 1e15),
        1e12.. => format!("{:.2} TB", bytes / 1e12),
        1e9.. => format!("{:.2} GB", bytes / 1e9),
        1e6.. => format!("{:.1} MB", bytes / 1e6),
        1e3.. => format!("{:.1} kB", bytes / 1e3),
        _ => format!("{} bytes", trimmed(bytes, 0)),
    }
}

/// A time.
pub fn duration(seconds: f64) -> String {
    let (minutes, hours) = ((seconds / 60.0).round(), (seconds / 3_600.0).floor());
    match seconds {
        _ if seconds.is_nan() => "not known".into(),
        _ if seconds.is_infinite() => "never".into(),
        172_800.0.. => format!("{:.1} days", seconds / 86_400.0),
        3_570.0.. => {
            let hours = if minutes >= (hours + 1.0) * 60.0 { hours + 1.0 } else { hours };
            format!("{hours:.0} h {:02.0} min", minutes - hours * 60.0)
        }
        90.0.. => format!("{:.1} min", seconds / 60.0),
        1.0.. => format!("{seconds:.1} s"),
        0.0 => "0 s".into(),
        _ => format!("{:.0} ms", seconds * 1e3),
    }
}

/// A share.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_one_reads_them() {
        assert_eq!([1_234_567.0, 0.05, 7.128].map(number), ["1,234,567", "0.0500", "7.13"]);
        assert_eq!([5e5, 2.5e9, 499.0, 0.5].map(rate), ["500 kbit/s", "2.50 Gbit/s", "499 bit/s", "0.5 bit/s"]);
        assert_eq!(
            [0.2, 200.0, 7_199.0, 25_662.7, f64::INFINITY].map(duration),
            ["200 ms", "3.3 min", "2 h 00 min", "7 h 08 min", "never"]
        );
    }

    #[test]
    fn what_is_infinite_is_empty_in_csv() {
        let mut sheet = Sheet::new(&[
            Column { key: "t", heading: "time", tell: number },
            Column { key: "r", heading: "rejected", tell: percent },
        ]);
        sheet.row(&[Some(0.5), Some(f64::INFINITY)]);
        assert_eq!(sheet.csv(), "t,r\n0.5,\n");
    }
}

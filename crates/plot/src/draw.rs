//! Where does everything go? Title, legend and axes around what is shown; text never over text.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::ink::{GRID, Ink, PAPER, TEXT};
use crate::{Chart, Mark, PlotError};

/// Drawn in whole units, so fine that lines do not show as stairs.
const FINE: u32 = 4;
const SHOWN: (u32, u32) = (1600, 900);
const SIZE: (u32, u32) = (SHOWN.0 * FINE, SHOWN.1 * FINE);
const TITLE: u32 = 40 * FINE;
const SMALL: u32 = 26 * FINE;
const THIN: u32 = 2 * FINE;
const THICK: u32 = 4 * FINE;
const DOT: u32 = 7 * FINE;
/// Long dashes, for lines; those of guides are short. In the legend two of them fit.
const DASH: u32 = 30 * FINE;
const SAMPLE_DASH: u32 = 18 * FINE;
const GAP: u32 = 8 * FINE;
/// Where text begins at the left.
const LEFT: i32 = px(40);
/// How much of its colour an area over the whole height has, and one that says something of its own.
const PALE: f64 = 0.18;
const DEEP: f64 = 0.35;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// As SVG, in the colours for light.
pub fn svg(chart: &Chart) -> std::result::Result<String, PlotError> {
    let mut svg = String::new();
    draw(chart, &mut svg).map_err(|why| PlotError::Draw(why.to_string()))?;
    let size = |(wide, high): (u32, u32)| format!("width=\"{wide}\" height=\"{high}\"");
    Ok(svg.replacen(&size(SIZE), &size(SHOWN), 1))
}

/// Units of so many pixels as shown.
const fn px(pixels: i32) -> i32 {
    pixels * FINE as i32
}

fn draw(chart: &Chart, svg: &mut String) -> Result<()> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&PAPER.0)?;
    let legend_at = px(if chart.subtitle.is_empty() { 88 } else { 126 });
    let entries = legend(chart, legend_at);
    let below = entries.last().map_or(legend_at, |(_, (_, y))| y + px(30));
    let (top, rest) = area.split_vertically(below);
    heading(chart, &top)?;
    for (mark, at) in entries {
        entry(mark, at, &top)?;
    }
    let mut plane = axes(chart, &rest)?;
    for mark in &chart.marks {
        show(mark, &mut plane)?;
    }
    guides(chart, &rest, &plane)?;
    area.present()?;
    Ok(())
}

fn text(size: u32, color: RGBColor, at: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color).pos(Pos::new(at, VPos::Center))
}

fn heading(chart: &Chart, top: &Area<'_>) -> Result<()> {
    top.draw(&Text::new(chart.title.clone(), (LEFT, px(42)), text(TITLE, TEXT.0, HPos::Left)))?;
    if !chart.subtitle.is_empty() {
        top.draw(&Text::new(chart.subtitle.clone(), (LEFT, px(84)), text(SMALL, Ink::Gray.light(), HPos::Left)))?;
    }
    Ok(())
}

/// Where each entry of the legend stands: in a row, and the next where one is full.
fn legend(chart: &Chart, mut y: i32) -> Vec<(&Mark, (i32, i32))> {
    let (mut x, mut entries) = (LEFT, Vec::new());
    for mark in &chart.marks {
        let (Mark::Line(name, ..) | Mark::Dots(name, ..) | Mark::Band(name, ..) | Mark::Shades(name, ..)) = mark else {
            continue;
        };
        let wide = SAMPLE + px(12) + width(name);
        if x > LEFT && x + wide > SIZE.0 as i32 - LEFT {
            (x, y) = (LEFT, y + px(38));
        }
        entries.push((mark, (x, y)));
        x += wide + px(36);
    }
    entries
}

/// A sample and its name.
fn entry(mark: &Mark, (x, y): (i32, i32), top: &Area<'_>) -> Result<()> {
    let area = [(x, y - px(12)), (x + SAMPLE, y + px(12))];
    let name = match mark {
        Mark::Line(name, ink, _) => {
            let (ends, style) = ([(x, y), (x + SAMPLE, y)], ink.light().stroke_width(THICK));
            match ink.is_dashed() {
                true => top.draw(&DashedPathElement::new(ends, SAMPLE_DASH, GAP, style))?,
                false => top.draw(&PathElement::new(ends, style))?,
            }
            name
        }
        Mark::Dots(name, ink, _) => {
            top.draw(&Circle::new((x + SAMPLE / 2, y), DOT, ink.light().filled()))?;
            name
        }
        Mark::Band(name, ink, _) => {
            top.draw(&Rectangle::new(area, ink.light().mix(DEEP).filled()))?;
            name
        }
        Mark::Shades(name, ink, _) => {
            top.draw(&Rectangle::new(area, ink.light().mix(PALE).filled()))?;
            name
        }
        Mark::Across(..) | Mark::Upwards(..) => return Ok(()),
    };
    top.draw(&Text::new(name.clone(), (x + SAMPLE + px(12), y), text(SMALL, TEXT.0, HPos::Left)))?;
    Ok(())
}

/// How wide a sample in the legend is.
const SAMPLE: i32 = px(44);

/// About as wide as a text is.
fn width(text: &str) -> i32 {
    (text.chars().count() as f64 * f64::from(SMALL) * 0.46) as i32
}

fn axes<'a, 'b>(chart: &Chart, rest: &'a Area<'b>) -> Result<Plane<'a, 'b>> {
    let (x_max, y_max) = extent(chart);
    let guided = chart.marks.iter().any(|mark| matches!(mark, Mark::Upwards(..)));
    let mut plane = ChartBuilder::on(rest)
        .margin_left(px(30))
        .margin_right(px(50))
        .margin_top(px(if guided { 76 } else { 24 }))
        .margin_bottom(px(24))
        .x_label_area_size(px(92))
        .y_label_area_size(px(130))
        .build_cartesian_2d(0.0..x_max, 0.0..y_max)?;
    plane
        .configure_mesh()
        .x_desc(&chart.x_name)
        .y_desc(&chart.y_name)
        .axis_desc_style(("sans-serif", SMALL + 2 * FINE).into_font().color(&TEXT.0))
        .label_style(("sans-serif", SMALL).into_font().color(&TEXT.0))
        .axis_style(TEXT.0.stroke_width(THIN))
        .bold_line_style(GRID.0.stroke_width(THIN))
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(px(5))
        .x_labels(11)
        .y_labels(8)
        .x_label_formatter(&|x| tick(*x))
        .y_label_formatter(&|y| tick(*y))
        .draw()?;
    Ok(plane)
}

/// As short as it can be.
fn tick(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// Where the axes end.
fn extent(chart: &Chart) -> (f64, f64) {
    let (mut x, mut y) = (0.0f64, 0.0f64);
    for mark in &chart.marks {
        match mark {
            Mark::Line(_, _, points) | Mark::Dots(_, _, points) => {
                points.iter().for_each(|point| (x, y) = (x.max(point.0), y.max(point.1)));
            }
            Mark::Band(_, _, band) => band.iter().for_each(|it| (x, y) = (x.max(it.0), y.max(it.2))),
            Mark::Shades(_, _, shades) => shades.iter().for_each(|it| x = x.max(it.1)),
            Mark::Across(_, at) => y = y.max(*at),
            Mark::Upwards(_, at) => x = x.max(*at),
        }
    }
    let some = |most: f64| if most > 0.0 && most.is_finite() { most } else { 1.0 };
    (some(x), chart.y_max.unwrap_or(some(y) * 1.1))
}

fn show(mark: &Mark, plane: &mut Plane<'_, '_>) -> Result<()> {
    let high = plane.as_coord_spec().y_spec().range().end;
    match mark {
        Mark::Line(_, ink, points) => {
            let (points, style) = (points.iter().copied(), ink.light().stroke_width(THICK));
            match ink.is_dashed() {
                true => plane.draw_series(DashedLineSeries::new(points, DASH, GAP, style))?,
                false => plane.draw_series(LineSeries::new(points, style))?,
            };
        }
        Mark::Dots(_, ink, points) => {
            plane.draw_series(points.iter().map(|point| Circle::new(*point, DOT, ink.light().filled())))?;
        }
        Mark::Band(_, ink, band) => {
            let upper = band.iter().map(|it| (it.0, it.2));
            let outline: Vec<_> = upper.chain(band.iter().rev().map(|it| (it.0, it.1))).collect();
            plane.draw_series([Polygon::new(outline, ink.light().mix(DEEP).filled())])?;
        }
        Mark::Shades(_, ink, shades) => {
            let fill = ink.light().mix(PALE).filled();
            plane.draw_series(shades.iter().map(|(from, to)| Rectangle::new([(*from, 0.0), (*to, high)], fill)))?;
        }
        Mark::Across(..) | Mark::Upwards(..) => {}
    }
    Ok(())
}

/// Dashed lines with their names: those upwards above the chart, one row higher where they would meet.
fn guides(chart: &Chart, rest: &Area<'_>, plane: &Plane<'_, '_>) -> Result<()> {
    let (across, upwards) = plane.plotting_area().get_pixel_range();
    let (_, offset) = rest.get_base_pixel();
    let (top, bottom) = (upwards.start - offset, upwards.end - offset);
    let mut free = across.start;
    for mark in &chart.marks {
        match mark {
            Mark::Across(name, at) => {
                let y = plane.backend_coord(&(0.0, *at)).1 - offset;
                dashes(rest, (across.start, y), (across.end, y))?;
                let place = (across.start + px(14), y - px(20));
                rest.draw(&Text::new(name.clone(), place, text(SMALL, TEXT.0, HPos::Left)))?;
            }
            Mark::Upwards(name, at) => {
                let x = plane.backend_coord(&(*at, 0.0)).0;
                dashes(rest, (x, top), (x, bottom))?;
                let wide = width(name);
                let left = (x - wide / 2).clamp(across.start, (across.end + px(40) - wide).max(across.start));
                let row = if left < free { 1 } else { 0 };
                free = if row == 0 { left + wide + px(24) } else { across.start };
                rest.draw(&Text::new(name.clone(), (left, top - px(20 + 32 * row)), text(SMALL, TEXT.0, HPos::Left)))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn dashes(area: &Area<'_>, from: (i32, i32), to: (i32, i32)) -> Result<()> {
    let (dx, dy) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
    let long = (to.0 - from.0).abs().max((to.1 - from.1).abs());
    for at in (0..long).step_by(18 * FINE as usize) {
        let end = (at + px(10)).min(long);
        let dash = [(from.0 + dx * at, from.1 + dy * at), (from.0 + dx * end, from.1 + dy * end)];
        area.draw(&PathElement::new(dash, TEXT.0.stroke_width(THIN)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_goes_on_in_the_next_row() {
        let line = |name: &str| Mark::Line(name.into(), Ink::Blue, vec![(0.0, 0.0)]);
        let marks = vec![line(&"w".repeat(60)), line(&"w".repeat(60)), Mark::Across("no entry".into(), 1.0)];
        let chart = Chart { marks, ..Chart::default() };
        let places: Vec<_> = legend(&chart, 0).iter().map(|(_, at)| *at).collect();
        assert_eq!((places.len(), places[0].0, places[1].0), (2, LEFT, LEFT));
        assert!(places[1].1 > places[0].1);
    }
}

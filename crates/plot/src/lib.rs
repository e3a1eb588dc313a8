//! How is it drawn? One chart, described by what it shows: lines, bands, marks; as SVG that suits light and dark screens
//! and paper, or as PNG on white.
//!
//! Colours are few, told apart by the colour-blind and in print without colours, and none is the only sign: one kind of line
//! is dashed, guides are so in black.

mod draw;
mod ink;
mod png;

pub use ink::Ink;

/// A chart. Its axes begin at 0 and end where what is shown ends.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below the title, smaller: of what; may be empty.
    pub subtitle: String,
    /// Of the axis across, with its unit.
    pub x_name: String,
    /// Of the axis upwards, with its unit.
    pub y_name: String,
    /// Where the axis upwards ends; where what is shown ends, when not said.
    pub y_max: Option<f64>,
    /// What is shown, from back to front.
    pub marks: Vec<Mark>,
}

/// Points, from left to right.
pub type Points = Vec<(f64, f64)>;

/// What a chart can show. Names go to the legend, those of guides stand beside them.
#[derive(Debug, Clone)]
pub enum Mark {
    /// A line through points.
    Line(String, Ink, Points),
    /// Dots at points.
    Dots(String, Ink, Points),
    /// The area between two lines: x, lower, upper.
    Band(String, Ink, Vec<(f64, f64, f64)>),
    /// Areas over the whole height: from, to.
    Shades(String, Ink, Points),
    /// A guide across.
    Across(String, f64),
    /// A guide upwards.
    Upwards(String, f64),
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The drawing.
    #[error("cannot draw: {0}")]
    Draw(String),
    /// No letters for a PNG: an SVG takes those of who looks at it.
    #[error("no font for the PNG on this machine: install one, such as DejaVu Sans, or take the SVG")]
    NoFont,
}

impl Chart {
    /// As SVG, 1600 by 900 units; where the reader prefers dark, it is dark.
    /// ```
    /// use trellis_plot::{Chart, Ink, Mark};
    /// let line = Mark::Line("what grows".into(), Ink::Blue, vec![(0.0, 0.0), (1.0, 2.0)]);
    /// assert!(Chart { title: "Growth".into(), marks: vec![line], ..Chart::default() }.svg()?.contains("what grows"));
    /// # Ok::<(), trellis_plot::PlotError>(())
    /// ```
    pub fn svg(&self) -> Result<String, PlotError> {
        Ok(ink::for_dark_too(&draw::svg(self)?))
    }

    /// As PNG, 1600 by 900, on white, in a font of this machine.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        png::of(&draw::svg(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let marks = vec![
            Mark::Shades("shade".into(), Ink::Gray, vec![(0.0, 1.0)]),
            Mark::Band("band".into(), Ink::Orange, vec![(0.0, 0.0, 1.0), (2.0, 1.0, 2.0)]),
            Mark::Line("line".into(), Ink::Blue, vec![(0.0, 0.0), (2.0, 2.0)]),
            Mark::Dots("dots".into(), Ink::Green, vec![(1.0, 1.0)]),
            Mark::Across("across".into(), 1.5),
            Mark::Upwards("upwards".into(), 1.0),
        ];
        Chart { title: "a < b & c".into(), x_name: "x".into(), y_name: "y".into(), marks, ..Chart::default() }
    }

    #[test]
    fn every_colour_drawn_has_another_for_dark() {
        let svg = chart().svg().unwrap();
        let (style, drawing) = svg.split_once("</style>").unwrap();
        for property in ["fill", "stroke"] {
            for color in drawing.split(&format!("{property}=\"#")).skip(1).map(|rest| &rest[..6]) {
                assert!(
                    style.contains(&format!("[{property}=\"#{color}\"]")),
                    "{property} {color} stays as it is in the dark"
                );
            }
        }
        assert!(drawing.contains("a &lt; b &amp; c"));
    }

    /// How bright a colour is on paper, of 255 (Rec. 601).
    fn gray(ink: Ink) -> f64 {
        let color = ink.light();
        0.299 * f64::from(color.0) + 0.587 * f64::from(color.1) + 0.114 * f64::from(color.2)
    }

    #[test]
    fn lines_are_told_apart_without_colours() {
        let solid: Vec<f64> = Ink::ALL.into_iter().filter(|ink| !ink.is_dashed()).map(gray).collect();
        for (at, one) in solid.iter().enumerate() {
            assert!(solid[..at].iter().all(|other| (one - other).abs() >= 12.0), "{solid:?}");
        }
        let line =
            |ink| Chart { marks: vec![Mark::Line("l".into(), ink, vec![(0.0, 0.0), (1.0, 1.0)])], ..Chart::default() };
        let strokes = |ink: Ink| line(ink).svg().unwrap().matches("<polyline").count();
        assert!(strokes(Ink::Green) > strokes(Ink::Blue) + 10, "dashes");
    }

    #[test]
    fn a_png_is_as_large_as_said_and_not_empty() {
        let pixels = resvg::tiny_skia::Pixmap::decode_png(&chart().png().unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (1600, 900));
        let has = |red: u8, green: u8, blue: u8| {
            pixels.pixels().iter().any(|it| (it.red(), it.green(), it.blue()) == (red, green, blue))
        };
        assert!(has(255, 255, 255) && has(0, 95, 175), "paper and the line are there");
    }

    #[test]
    fn nothing_to_show_is_an_empty_chart() {
        assert!(Chart::default().svg().is_ok());
    }
}

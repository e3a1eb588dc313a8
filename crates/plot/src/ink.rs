//! Which colours are there? Few, each with one for light and one for dark; the drawing is made in those for light, and a
//! style sheet in the SVG exchanges them.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// A colour with a meaning of your choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// The first choice.
    Blue,
    /// Beside blue.
    Orange,
    /// A third; its lines are dashed.
    Green,
    /// What is in the background.
    Gray,
}

/// In light, in dark.
type Pair = (RGBColor, RGBColor);

pub const PAPER: Pair = (RGBColor(255, 255, 255), RGBColor(18, 20, 23));
pub const TEXT: Pair = (RGBColor(32, 33, 36), RGBColor(232, 234, 237));
pub const GRID: Pair = (RGBColor(226, 228, 231), RGBColor(52, 56, 61));
const PAIRS: [Pair; 7] = [PAPER, TEXT, GRID, Ink::Blue.pair(), Ink::Orange.pair(), Ink::Green.pair(), Ink::Gray.pair()];

impl Ink {
    /// One after the other.
    pub const ALL: [Self; 4] = [Self::Blue, Self::Orange, Self::Green, Self::Gray];

    const fn pair(self) -> Pair {
        match self {
            Self::Blue => (RGBColor(0, 95, 175), RGBColor(112, 178, 255)),
            Self::Orange => (RGBColor(200, 80, 0), RGBColor(255, 160, 88)),
            Self::Green => (RGBColor(0, 125, 92), RGBColor(80, 205, 165)),
            Self::Gray => (RGBColor(117, 121, 128), RGBColor(150, 155, 163)),
        }
    }

    /// Its lines are dashed: without colours, in print, it is as dark as blue.
    pub fn is_dashed(self) -> bool {
        self == Self::Green
    }

    /// What it is drawn in.
    pub fn light(self) -> RGBColor {
        self.pair().0
    }
}

/// The SVG with a style sheet that exchanges the colours where dark is preferred; never on paper.
pub fn for_dark_too(svg: &str) -> String {
    let hex = |RGBColor(r, g, b): RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    let mut rules = String::new();
    for (light, dark) in PAIRS.map(|(light, dark)| (hex(light), hex(dark))) {
        for property in ["fill", "stroke"] {
            let _ = write!(rules, "[{property}=\"{light}\"]{{{property}:{dark}}}");
        }
    }
    let style = format!("<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>\n");
    let at = svg.find('\n').map_or(svg.len(), |line| line + 1);
    format!("{}{style}{}", &svg[..at], &svg[at..])
}

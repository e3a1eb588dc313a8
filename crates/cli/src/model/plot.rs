//! Where is a chart drawn? Into files, as SVG or PNG by their names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use trellis_plot::Chart;

/// A file that can be drawn.
#[derive(Debug, Clone)]
pub struct File {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Svg,
    Png,
}

impl File {
    /// Of this name, which must end in .svg or .png.
    pub fn new(path: &Path) -> Result<Self, String> {
        let ends = |extension: &str| path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension));
        let kind = match () {
            () if ends("svg") => Kind::Svg,
            () if ends("png") => Kind::Png,
            () => return Err("the file's name must end in .svg or .png".into()),
        };
        Ok(Self { path: path.into(), kind })
    }

    /// Draws it.
    pub fn write(&self, chart: &Chart) -> Result<()> {
        let drawn = match self.kind {
            Kind::Svg => chart.svg()?.into_bytes(),
            Kind::Png => chart.png()?,
        };
        std::fs::write(&self.path, drawn).with_context(|| self.path.display().to_string())
    }
}

impl std::str::FromStr for File {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(Path::new(text))
    }
}

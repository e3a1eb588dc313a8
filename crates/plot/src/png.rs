//! How does an SVG become a PNG? With the fonts of this machine.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Family, Query};
use resvg::usvg::{Options, Tree};

use crate::PlotError;

/// What is looked for first; else the first font found.
const FAMILIES: [&str; 6] = ["DejaVu Sans", "Noto Sans", "Liberation Sans", "Segoe UI", "Helvetica", "Arial"];

/// Draws it.
pub fn of(svg: &str) -> Result<Vec<u8>, PlotError> {
    let wrong = |why: &dyn std::fmt::Display| PlotError::Draw(why.to_string());
    let (fonts, family) = fonts().as_ref().ok_or(PlotError::NoFont)?;
    let options = Options { fontdb: fonts.clone(), font_family: family.clone(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|why| wrong(&why))?;
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| wrong(&"no size"))?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(|why| wrong(&why))
}

/// The fonts, and the family for what has no serifs; looked for once.
fn fonts() -> &'static Option<(Arc<Database>, String)> {
    static FONTS: OnceLock<Option<(Arc<Database>, String)>> = OnceLock::new();
    FONTS.get_or_init(|| {
        let mut fonts = Database::new();
        fonts.load_system_fonts();
        let there = |name: &&str| fonts.query(&Query { families: &[Family::Name(name)], ..Query::default() }).is_some();
        let any = || fonts.faces().find_map(|face| face.families.first().map(|(name, _)| name.clone()));
        let family = FAMILIES.iter().copied().find(there).map(str::to_owned).or_else(any)?;
        fonts.set_sans_serif_family(&family);
        Some((Arc::new(fonts), family))
    })
}

//! Does every public function show how it is used? Examples run as doctests.

use std::fs;
use std::path::Path;

#[test]
fn every_public_function_has_an_example() {
    let (mut functions, mut without) = (0, Vec::new());
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        // What stands above it since the last line of code.
        let mut above = String::new();
        for line in text.lines().map(str::trim) {
            if let Some((_, name)) = line.split_once("pub fn ").filter(|(before, _)| before.is_empty()) {
                functions += 1;
                if !["```", "!(\""].iter().any(|example| above.contains(example)) {
                    without.push(format!("{}: {}", file.display(), name.split('(').next().unwrap_or(name)));
                }
            }
            let belongs = ["///", "#[", "\\\"", "assert", "&&"].iter().any(|begin| line.starts_with(begin));
            above = if belongs { above + line + "\n" } else { String::new() };
        }
    }
    assert!(functions > 80, "{functions} functions found");
    assert!(without.is_empty(), "{without:#?}");
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

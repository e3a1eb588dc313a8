//! The rules of the house, as tests: who may use whom, what the brain may not see, what may not stand in the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may depend on (ARCHITECTURE.md, "Crates and directions").
const DIRECTIONS: [(&str, &[&str]); 11] = [
    ("proto", &[]),
    ("model", &[]),
    ("plot", &[]),
    ("core", &["trellis-proto"]),
    ("sim", &["trellis-proto", "trellis-core", "trellis-model", "trellis-plot"]),
    ("media", &["trellis-proto"]),
    ("ingest", &["trellis-media"]),
    ("server", &["trellis-proto", "trellis-core", "trellis-media", "trellis-ingest", "trellis-model"]),
    ("node", &["trellis-proto", "trellis-core", "trellis-media", "trellis-server"]),
    ("wasm", &["trellis-proto", "trellis-core", "trellis-media"]),
    (
        "cli",
        &[
            "trellis-proto",
            "trellis-server",
            "trellis-ingest",
            "trellis-node",
            "trellis-sim",
            "trellis-model",
            "trellis-plot",
        ],
    ),
];

/// Words that may not stand in the code of a folder, and why.
const FORBIDDEN: [(&str, &[&str], &str); 7] = [
    ("crates/proto/src", &["std::", "HashMap"], "proto is no_std and deterministic"),
    (
        "crates/core/src",
        &["std::", "HashMap", "async ", "tokio", "rand::"],
        "core sees no clock, socket, thread, async, RNG or HashMap",
    ),
    (
        "crates/model/src",
        &["std::time", "std::fs", "std::net", "rand::"],
        "the model is arithmetic: numbers in, numbers out",
    ),
    ("crates/media/src", &["tokio", "reqwest", "std::fs", "std::net"], "media is pure: it also runs in the browser"),
    (
        "crates/server/src/manager",
        &["trellis_media", "trellis_ingest", "crate::shelf", "crate::origin", "crate::edge"],
        "the manager never touches media",
    ),
    (
        "crates/server/src/edge",
        &["crate::manager", "crate::origin", "jsonwebtoken"],
        "an edge never decides who may watch",
    ),
    ("crates/server/src/origin", &["crate::manager", "crate::edge"], "roles talk over HTTP, not in memory"),
];

/// A hallway dispatches; what grows beyond this is a room.
const HALLWAY_LINES_MAX: usize = 500;

#[test]
fn crates_depend_in_one_direction() {
    for (folder, allowed) in DIRECTIONS {
        let manifest = fs::read_to_string(root().join("crates").join(folder).join("Cargo.toml")).unwrap();
        let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        let ours: Vec<_> = section
            .lines()
            .filter_map(|l| l.split(['.', ' ', '=']).next())
            .filter(|n| n.starts_with("trellis"))
            .collect();
        for name in ours {
            assert!(allowed.contains(&name), "crates/{folder} may not use {name}");
        }
    }
    let folders: Vec<_> =
        fs::read_dir(root().join("crates")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    for folder in folders {
        assert!(DIRECTIONS.iter().any(|(known, _)| *known == folder), "crates/{folder} has no line in DIRECTIONS");
    }
}

#[test]
fn rooms_do_not_reach_where_they_may_not() {
    for (folder, words, why) in FORBIDDEN {
        for file in rust_files(&root().join(folder)).iter().filter(|file| !file.ends_with("tests.rs")) {
            let text = fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
            for (number, line) in lines.enumerate() {
                for word in words {
                    assert!(!line.contains(word), "{}:{}: `{word}`: {why}", file.display(), number + 1);
                }
            }
        }
    }
}

#[test]
fn every_file_says_which_question_it_answers() {
    for file in rust_files(&root().join("crates")).iter().chain(&rust_files(&root().join("tests"))) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with("//!"), "{} does not begin with a module doc", file.display());
    }
}

#[test]
fn hallways_stay_short() {
    for file in rust_files(&root().join("crates")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        let hallway = file.file_name().is_some_and(|name| name == "mod.rs");
        assert!(
            !hallway || lines <= HALLWAY_LINES_MAX,
            "{} has {lines} lines; a hallway has at most {HALLWAY_LINES_MAX}",
            file.display()
        );
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for file in rust_files(&root().join("crates")) {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            assert!(!text.contains(word), "{} contains {word}", file.display());
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

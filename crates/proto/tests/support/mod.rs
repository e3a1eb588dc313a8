//! Reading the JSON beside golden bytes: shared by the tests of tables and of frames.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

pub fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

pub fn path(name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors").join(name).with_extension(extension)
}

pub fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name, "json")).unwrap()).unwrap()
}

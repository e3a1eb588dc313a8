//! Reading the golden numbers, for every test of them.

#![allow(dead_code, missing_docs)] // Each test uses some.

use serde_json::Value;
use trellis_model::{Bps, Growth, Offer, PerSecond, Seconds};

/// A cluster of the vectors.
pub fn growth(v: &Value) -> Growth {
    Growth::new(Offer {
        server: bps(&v["B"]),
        session: bps(&v["beta"]),
        support: bps(&v["alpha"]),
        arrivals: PerSecond::new(number(&v["lam"])).unwrap(),
        length: Seconds::new(number(&v["L"])).unwrap(),
    })
    .unwrap()
}

/// A bandwidth of the vectors, as it stands.
pub fn bps(v: &Value) -> Bps {
    Bps::new(number(v)).unwrap()
}

/// A number, or "inf".
pub fn number(v: &Value) -> f64 {
    if v == "inf" { f64::INFINITY } else { v.as_f64().unwrap() }
}

/// Within 1e-9 of it; of 0, within 1e-15.
pub fn near(found: f64, expected: &Value, what: &str) {
    let expected = number(expected);
    let same = found == expected || (found - expected).abs() <= 1e-9 * expected.abs() + 1e-15;
    assert!(same, "{what}: {found} is not {expected}");
}

/// All of them.
pub fn json() -> Value {
    serde_json::from_str(include_str!("../vectors.json")).unwrap()
}

/// Those that were only printed: to their last digit.
pub fn printed(found: f64, expected: &Value, digits: i32, what: &str) {
    let expected = number(expected);
    assert!((found - expected).abs() <= 0.500001 * 10f64.powi(-digits), "{what}: {found} is not {expected}");
}

//! The committed API document is the one that is served.

use http::StatusCode;
use serde_json::Value;

use super::House;
use crate::manager::openapi;

#[tokio::test]
async fn the_committed_document_is_the_served_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = openapi::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("TRELLIS_TEST_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/openapi.json is stale: run the tests once with TRELLIS_TEST_BLESS=1 and commit it"
    );
    let house = House::new().await;
    let got = house.send("GET", "/v1/openapi.json", "", &Value::Null).await;
    assert_eq!((got.status, got.body), (StatusCode::OK, serde_json::from_str(&committed).unwrap()));
}

#[test]
fn every_path_is_documented_with_its_errors() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let join = &document["paths"]["/v1/streams/{stream}/join"]["post"]["responses"];
    for status in ["200", "401", "403", "404", "503"] {
        assert!(join[status].is_object(), "{status}");
    }
    assert_eq!(document["paths"].as_object().unwrap().len(), 11);
}

//! Which tokens are believed.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{START_S, claims, signed_with};
use crate::cluster_api::ViewerClass;
use crate::manager::auth::{ApiKey, Denied, TOKEN_BYTES_MAX, Verifier, Viewer, authenticate, mint, read_public_key};

const SECRET: &[u8] = b"a secret of the operator's app";

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// Keys `mac` and `pair`.
fn find(kid: &str) -> Option<Arc<ApiKey>> {
    let verifier = match kid {
        "mac" => Verifier::hs256(SECRET),
        "pair" => Verifier::eddsa(pair().public_key().as_ref()).unwrap(),
        _ => return None,
    };
    Some(Arc::new(ApiKey::new(kid.into(), verifier, None)))
}

fn check(token: &str) -> Result<Viewer, Denied> {
    authenticate(token, START_S, find).map(|(_, viewer)| viewer)
}

/// A word of the reason, or what was accepted.
fn verdict(token: &str) -> String {
    match check(token) {
        Ok(viewer) => format!("accepted {}", viewer.id),
        Err(Denied::Expired) => "expired".into(),
        Err(Denied::Invalid(why)) => why.into_owned(),
    }
}

fn good_claims() -> String {
    json!({"sub": "v", "stream": "live", "exp": START_S + 60}).to_string()
}

fn mac(claims: &str) -> String {
    signed_with(SECRET, r#"{"alg":"HS256","typ":"JWT","kid":"mac"}"#, claims)
}

#[test]
fn what_another_implementation_makes_is_understood() {
    let minted = mint("mac", std::str::from_utf8(SECRET).unwrap(), &claims("anna", "live"));
    let viewer = Viewer {
        id: "anna".into(),
        stream: "live".into(),
        expires_s: START_S + 3600,
        class: ViewerClass::Standard,
        max_rate: None,
    };
    assert_eq!(check(&minted), Ok(viewer.clone()));

    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some("pair".into());
    let pkcs8 = pair().to_pkcs8v1().unwrap();
    let key = jsonwebtoken::EncodingKey::from_ed_der(pkcs8.as_ref());
    let claims = json!({"sub": "anna", "stream": "live", "exp": (START_S + 3600) as f64 + 0.5, "nbf": START_S,
        "class": "premium", "max_rate": 3, "aud": "other", "iat": START_S});
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    assert_eq!(check(&token), Ok(Viewer { class: ViewerClass::Premium, max_rate: Some(3), ..viewer }));
}

#[test]
fn a_token_does_not_choose_how_it_is_checked() {
    let public = pair().public_key().as_ref().to_vec();
    let claims = good_claims();
    let confusion = "the token's `alg` is not that of the key its `kid` names";
    // The classic: the public key, which everybody may know, as MAC secret.
    assert_eq!(verdict(&signed_with(&public, r#"{"alg":"HS256","kid":"pair"}"#, &claims)), confusion);
    for alg in ["none", "None", "HS512", "hs256", "RS256", "EdDSA", ""] {
        let header = json!({"alg": alg, "kid": "mac"}).to_string();
        assert_eq!(verdict(&signed_with(SECRET, &header, &claims)), confusion, "{alg}");
    }
    let unsigned = mac(&claims);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    assert_eq!(verdict(&format!("{unsigned}.")), "the token's signature is not by the key its `kid` names");
    let crit = r#"{"alg":"HS256","kid":"mac","crit":["b64"],"b64":false}"#;
    assert!(verdict(&signed_with(SECRET, crit, &claims)).contains("`crit`"));
    let twice = r#"{"alg":"HS256","kid":"mac","kid":"pair"}"#;
    assert!(verdict(&signed_with(SECRET, twice, &claims)).contains("header"));
}

#[test]
fn every_flaw_is_named() {
    let other = signed_with(b"another secret", r#"{"alg":"HS256","kid":"mac"}"#, &good_claims());
    assert!(verdict(&other).contains("signature"));
    let mut changed = mac(&good_claims());
    changed.replace_range(60..61, if &changed[60..61] == "A" { "B" } else { "A" });
    assert!(verdict(&changed).contains("signature"));
    let stranger = signed_with(SECRET, r#"{"alg":"HS256","kid":"who"}"#, &good_claims());
    assert!(verdict(&stranger).contains("names no key"));
    assert!(verdict(&signed_with(SECRET, r#"{"alg":"HS256"}"#, &good_claims())).contains("`kid`"));
    for garbage in ["", ".", "..", "...", "a.b", "a.b.c", "ü.ü.ü", &"A".repeat(TOKEN_BYTES_MAX)] {
        assert!(check(garbage).is_err(), "{garbage}");
    }
    assert!(verdict(&"A".repeat(TOKEN_BYTES_MAX + 1)).contains("longer"));
}

#[test]
fn claims_are_checked_behind_a_good_signature() {
    let with = |key: &str, value: serde_json::Value| {
        let mut claims: serde_json::Value = serde_json::from_str(&good_claims()).unwrap();
        claims[key] = value;
        verdict(&mac(&claims.to_string()))
    };
    assert_eq!(with("exp", json!(START_S + 1)), "accepted v");
    assert_eq!(with("exp", json!(START_S)), "expired");
    assert_eq!(with("exp", json!(-1)), "expired");
    assert_eq!(with("exp", json!(1e300)), "accepted v");
    assert!(with("exp", json!(null)).contains("the token's claims"));
    assert_eq!(with("nbf", json!(START_S + 10)), "accepted v");
    assert!(with("nbf", json!(START_S + 11)).contains("nbf"));
    assert!(with("sub", json!("")).contains("sub"));
    assert_eq!(with("sub", json!("ü".repeat(128))), format!("accepted {}", "ü".repeat(128)));
    assert!(with("sub", json!("x".repeat(129))).contains("sub"));
    assert!(with("class", json!("gold")).contains("standard"));
    assert!(with("max_rate", json!(0)).contains("max_rate"));
    assert!(with("max_rate", json!(-5)).contains("the token's claims"));
    for missing in ["sub", "stream", "exp"] {
        let mut claims: serde_json::Value = serde_json::from_str(&good_claims()).unwrap();
        claims.as_object_mut().unwrap().remove(missing);
        assert!(verdict(&mac(&claims.to_string())).contains(&format!("missing field `{missing}`")));
    }
}

#[test]
fn public_keys_come_as_pem_or_base64url() {
    let raw: [u8; 32] = pair().public_key().as_ref().try_into().unwrap();
    // Of `openssl pkey -pubout` over the same seed.
    let der = base64::engine::general_purpose::STANDARD.decode("MCowBQYDK2VwAyEA").unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode([der.as_slice(), raw.as_slice()].concat())
    );
    assert_eq!(read_public_key(&pem), Some(raw));
    assert_eq!(read_public_key(&URL_SAFE_NO_PAD.encode(raw)), Some(raw));
    for bad in
        ["", "AAAA", "-----BEGIN PUBLIC KEY-----", &pem.replace("MCow", "MCox"), &pem.replace("PUBLIC", "PRIVATE")]
    {
        assert_eq!(read_public_key(bad), None, "{bad}");
    }
}

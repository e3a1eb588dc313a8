//! Bodies that any bytes may be thrown at; what holds for all of them is asserted here.

use std::sync::Arc;

use super::auth::{ApiKey, Denied, Verifier, authenticate, read_public_key};

/// A token is refused unless it was signed with the key, whatever stands in it.
pub fn token(text: &str) {
    let find = |kid: &str| (kid == "k").then(|| Arc::new(ApiKey::new("k".into(), Verifier::hs256(b"secret"), None)));
    match authenticate(text, 1_000, find) {
        Ok((_, viewer)) => assert!(viewer.expires_s > 1_000 && !viewer.id.is_empty()),
        Err(Denied::Expired | Denied::Invalid(_)) => {}
    }
}

/// Claims behind a good signature still come from outside.
pub fn claims(json: &str) {
    token(&super::tests::signed_with(b"secret", r#"{"alg":"HS256","kid":"k"}"#, json));
}

/// A public key is read or not.
pub fn public_key(text: &str) {
    if let Some(raw) = read_public_key(text) {
        let _ = Verifier::eddsa(&raw);
    }
}

mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn anything(text in "\\PC{0,300}") {
            super::token(&text);
            super::claims(&text);
            super::public_key(&text);
        }

        #[test]
        fn nearly_tokens(header in r#"\{("(alg|kid|crit|typ)":("HS256"|"k"|"none"|null|1|\[\]),?){0,4}\}?"#, tail in "[A-Za-z0-9_=.-]{0,100}") {
            super::token(&super::super::tests::signed_with(b"secret", &header, &tail));
            super::token(&format!("{header}.{tail}"));
        }

        #[test]
        fn nearly_claims(json in r#"\{("(sub|stream|exp|nbf|class|max_rate)":("v"|"\*"|"premium"|-?[0-9]{1,30}|1e[0-9]{1,3}|null|\{\}),?){0,7}\}"#) {
            super::claims(&json);
        }

        #[test]
        fn nearly_keys(body in "[A-Za-z0-9+/=\\s]{0,80}") {
            super::public_key(&format!("-----BEGIN PUBLIC KEY-----{body}-----END PUBLIC KEY-----"));
        }
    }
}

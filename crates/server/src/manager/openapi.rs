//! How does a program talk to the manager? The OpenAPI document, made from the handlers themselves. The copy in
//! `docs/openapi.json` is held equal by a test; `TRELLIS_TEST_BLESS=1` rewrites it.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::api::{accounts, api_keys, servers, streams, viewer};

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Trellis manager",
        description = "Joining streams, and running them. Errors are `{error, message, retry_after}`: a stable word, a \
            sentence that says what to do, and perhaps seconds after which to try again.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        viewer::join,
        viewer::play,
        viewer::openapi,
        streams::list_streams,
        streams::create_stream,
        streams::update_stream,
        streams::delete_stream,
        api_keys::list_keys,
        api_keys::create_key,
        api_keys::revoke_key,
        accounts::accounts,
        servers::edges,
        servers::model,
        servers::origins,
    ),
    tags(
        (name = "viewer", description = "For viewers' apps and players"),
        (name = "admin", description = "For operators, with the admin key"),
    ),
    modifiers(&Bearers),
)]
struct Document;

/// The two bearer tokens.
struct Bearers;

impl Modify for Bearers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |format: &str, description: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
            SecurityScheme::Http(scheme.description(Some(description)).build())
        };
        let components = document.components.get_or_insert_default();
        let viewer = "JWT of HS256 or EdDSA, with `kid`; claims `sub`, `stream`, `exp`, and `nbf`, `class`, `max_rate`";
        components.add_security_scheme("viewer_token", bearer("JWT", viewer));
        components.add_security_scheme("admin_key", bearer("text", "The content of `admin.key` in the data directory"));
    }
}

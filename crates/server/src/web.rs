//! The watch page: the built bundle of `web/`, embedded in the binary.

use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use rust_embed::RustEmbed;
use tower_http::compression::CompressionLayer;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Bundle;

/// Routes of the watch page.
pub fn router() -> axum::Router {
    axum::Router::new()
        .route("/", get(page))
        .route("/watch/{stream}", get(page))
        .route("/assets/{*path}", get(asset))
        .layer(CompressionLayer::new())
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
}

async fn page() -> impl IntoResponse {
    let mut response = file("index.html", "no-cache");
    let headers = response.headers_mut();
    // The address may carry a viewer token until the page has removed it: it must not leak as a referrer.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

async fn asset(Path(path): Path<String>) -> impl IntoResponse {
    // Names carry a hash of their content.
    file(&format!("assets/{path}"), "public, max-age=31536000, immutable")
}

fn file(name: &str, cache: &'static str) -> axum::response::Response {
    let Some(file) = Bundle::get(name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let kind =
        HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, HeaderValue::from_static(cache)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, file.data).into_response()
}

/// Edges may be any host; hls.js plays through blob URLs and may use a blob worker. The page may be framed: embedding is
/// a feature.
const POLICY: &str = "default-src 'self'; connect-src *; media-src * blob:; img-src 'self' data: blob:; worker-src 'self' blob:; \
     style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'";

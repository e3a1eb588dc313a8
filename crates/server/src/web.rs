//! The watch page: the built bundle of `web/`, embedded in the binary.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Uri};
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

/// The watch page is at the manager: where a publisher's or viewer's URL names another server, it is shown the way.
pub fn elsewhere(manager_url: &str) -> axum::Router {
    let base = manager_url.trim_end_matches('/').to_owned();
    let there = move |uri: Uri| {
        let to = format!("{base}{}", uri.path_and_query().map_or("/", PathAndQuery::as_str));
        async move { Redirect::temporary(&to) }
    };
    axum::Router::new().route("/watch/{stream}", get(there))
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_server_without_the_page_shows_the_way_to_it() {
        let request = Request::head("/watch/town?token=t").body(Body::empty()).unwrap();
        let reply = super::elsewhere("https://manager.example/").oneshot(request).await.unwrap();
        assert_eq!(reply.status(), 307);
        assert_eq!(reply.headers()["location"], "https://manager.example/watch/town?token=t");
    }
}

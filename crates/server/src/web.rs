//! The watch page: the built bundle of `web/`, embedded in the binary, compressed once.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::Compression;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use rust_embed::RustEmbed;

use crate::http::Coded;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Bundle;

/// A file of the bundle, both ways it is sent.
struct File {
    kind: HeaderValue,
    text: Coded,
}

static FILES: LazyLock<HashMap<String, File>> =
    LazyLock::new(|| Bundle::iter().filter_map(|name| Some((name.to_string(), File::read(&name)?))).collect());

/// Routes of the watch page.
pub fn router() -> axum::Router {
    // Compressing takes longer than a request may: it is done when the first one comes.
    std::thread::spawn(|| LazyLock::force(&FILES));
    axum::Router::new()
        .route("/", get(page))
        .route("/watch/{stream}", get(page))
        .route("/assets/{*path}", get(asset))
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

async fn page(headers: HeaderMap) -> Response {
    let mut response = file("index.html", "no-cache", &headers);
    let headers = response.headers_mut();
    // The address may carry a viewer token until the page has removed it: it must not leak as a referrer.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    // Names carry a hash of their content.
    file(&format!("assets/{path}"), "public, max-age=31536000, immutable", &headers)
}

fn file(name: &str, cache: &'static str, asked: &HeaderMap) -> Response {
    let Some(file) = FILES.get(name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let headers = [
        (CONTENT_TYPE, file.kind.clone()),
        (CACHE_CONTROL, HeaderValue::from_static(cache)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut coding = HeaderMap::new();
    let body = file.text.body(asked, &mut coding);
    (headers, coding, body).into_response()
}

impl File {
    fn read(name: &str) -> Option<Self> {
        let file = Bundle::get(name)?;
        let kind = HeaderValue::from_str(file.metadata.mimetype());
        let text = Coded::new(file.data.into_owned(), Compression::best());
        Some(Self { kind: kind.unwrap_or(HeaderValue::from_static("application/octet-stream")), text })
    }
}

/// Edges may be any host; hls.js plays through blob URLs, the mesh's timer is a blob worker, its engine WebAssembly. The page may be framed: embedding is
/// a feature.
const POLICY: &str = "default-src 'self'; connect-src *; media-src * blob:; img-src 'self' data: blob:; worker-src 'self' blob:; \
     style-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; form-action 'none'; object-src 'none'";

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::Body;
    use flate2::read::GzDecoder;
    use http::Request;
    use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
    use tower::ServiceExt;

    use super::*;

    fn asked(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))])
    }

    #[tokio::test]
    async fn both_ways_give_the_same_file_and_are_made_once() {
        let body = async |accept| {
            let response = page(asked(accept)).await;
            let gzip = response.headers().contains_key(CONTENT_ENCODING);
            assert_eq!(response.headers()[VARY], "accept-encoding");
            (gzip, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap())
        };
        let ((_, plain), (gzip, small)) = (body("identity").await, body("gzip").await);
        assert!(gzip && small.len() < plain.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(&small[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        assert_eq!(body("gzip").await.1.as_ptr(), small.as_ptr());
    }

    #[tokio::test]
    async fn a_server_without_the_page_shows_the_way_to_it() {
        let request = Request::head("/watch/town?token=t").body(Body::empty()).unwrap();
        let reply = super::elsewhere("https://manager.example/").oneshot(request).await.unwrap();
        assert_eq!(reply.status(), 307);
        assert_eq!(reply.headers()["location"], "https://manager.example/watch/town?token=t");
    }
}

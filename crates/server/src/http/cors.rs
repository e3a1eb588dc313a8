//! Which web pages may read our answers? Configured origins, `*` by default, never credentials.
//!
//! Media requests are "simple" requests, so no preflight stands before a segment.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::lane::head::fields;
use super::{Body, Reply};

/// The configured policy.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
    /// What [`Cors::allow`] lays on an answer, as it stands in a head: to each of the origins, and to others.
    fields: Vec<(HeaderValue, Vec<u8>)>,
    fields_other: Vec<u8>,
}

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

impl Cors {
    /// From the configured list; `*` allows all.
    pub fn new(origins: &[String]) -> Self {
        let mut cors = Self {
            any: origins.iter().any(|o| o == "*"),
            origins: origins.iter().filter_map(|o| o.trim_end_matches('/').parse().ok()).collect(),
            ..Self::default()
        };
        cors.fields = cors.origins.iter().map(|origin| (origin.clone(), cors.written(Some(origin)))).collect();
        cors.fields_other = cors.written(None);
        cors
    }

    fn written(&self, origin: Option<&HeaderValue>) -> Vec<u8> {
        let (mut headers, mut text) = (HeaderMap::new(), Vec::new());
        self.allow(origin.cloned(), &mut headers);
        fields(&mut text, &headers);
        text
    }

    /// The headers [`Cors::allow`] lays on an answer, as they stand in a head.
    pub fn fields(&self, request_origin: Option<&[u8]>) -> &[u8] {
        let of = |origin| self.fields.iter().find(|(known, _)| known.as_bytes() == origin);
        request_origin.and_then(of).map_or(&self.fields_other, |(_, fields)| fields)
    }

    /// The answer to a preflight; none when the request is not one.
    pub fn preflight(&self, method: &Method) -> Option<Reply> {
        (method == Method::OPTIONS).then(|| {
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = StatusCode::NO_CONTENT;
            let headers = reply.headers_mut();
            headers
                .insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
            headers
                .insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, Range"));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
            reply
        })
    }

    /// Lays the headers on an answer.
    pub fn allow(&self, request_origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        let allowed = if self.any {
            HeaderValue::from_static("*")
        } else {
            headers.append(VARY, ORIGIN.into());
            match request_origin.filter(|origin| self.origins.contains(origin)) {
                Some(origin) => origin,
                None => return,
            }
        };
        headers.insert(TIMING_ALLOW_ORIGIN, allowed.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Date, Content-Length, Content-Range, ETag, Retry-After"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_use_every_method_of_the_api() {
        let reply = Cors::new(&["*".to_owned()]).preflight(&Method::OPTIONS).unwrap();
        let allowed = reply.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
        // Those of the manager's routes.
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(allowed.split(", ").any(|one| one == method), "{method}");
        }
    }
}

//! Which stream is meant by the URL a person has at hand?

use trellis_proto::StreamId;
use url::Url;

/// A stream and its manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The manager's base URL, ending with a slash.
    pub manager: Url,
    /// The stream.
    pub stream: StreamId,
    /// The viewer token that stood in the URL.
    pub token: Option<String>,
}

/// Why a URL is none, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; give the address of the watch page, as http://host:8080/watch/demo")]
pub struct WrongAddress(String);

impl Address {
    /// Reads a watch page's URL, or that of `play.m3u8`, or a manager's together with the `stream` named apart.
    pub fn parse(url: &str, stream: Option<&str>) -> Result<Self, WrongAddress> {
        let wrong = |why: String| Err(WrongAddress(why));
        let mut url = match Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => parsed,
            Ok(_) => return wrong(format!("`{url}` is neither http nor https")),
            Err(_) => return wrong(format!("`{url}` is no URL")),
        };
        let token = url.query_pairs().find(|(key, _)| key == "token").map(|(_, token)| token.into_owned());
        let path = url.path().trim_matches('/').to_owned();
        let steps: Vec<_> = path.split('/').collect();
        let (base, named) = match *steps.as_slice() {
            [ref base @ .., "watch", name] => (base.join("/"), Some(name)),
            [ref base @ .., "v1", "streams", name, "play.m3u8" | "join"] => (base.join("/"), Some(name)),
            [.., "index.m3u8"] if path.contains("v/") => {
                return wrong("this URL belongs to one viewer's session, a peer needs one of its own".into());
            }
            ref base => (base.join("/"), None),
        };
        let Some(name) = stream.or(named) else { return wrong(format!("`{url}` names no stream")) };
        let stream = match name.parse() {
            Ok(stream) => stream,
            Err(_) => return wrong(format!("`{name}` is no name of a stream")),
        };
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&if base.is_empty() { "/".into() } else { format!("/{base}/") });
        Ok(Self { manager: url, stream, token })
    }

    /// A path on the manager.
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.manager.clone();
        url.set_path(&format!("{}{path}", self.manager.path()));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_of_a_stream_leads_to_it() {
        for (url, stream, manager, token) in [
            ("http://h:8080/watch/demo", None, "http://h:8080/", None),
            ("http://h:8080/watch/demo?token=a%2Bb", None, "http://h:8080/", Some("a+b")),
            ("https://tv.example/live/watch/demo/", None, "https://tv.example/live/", None),
            ("http://h/v1/streams/demo/play.m3u8?token=t", None, "http://h/", Some("t")),
            ("http://h:8080", Some("demo"), "http://h:8080/", None),
        ] {
            let address = Address::parse(url, stream).unwrap();
            assert_eq!((address.manager.as_str(), address.token.as_deref()), (manager, token), "{url}");
            assert_eq!(address.stream.as_str(), "demo", "{url}");
        }
        let join = Address::parse("https://h/live/watch/demo", None).unwrap().at("v1/streams/demo/join");
        assert_eq!(join.as_str(), "https://h/live/v1/streams/demo/join");
        for (url, word) in [
            ("demo", "no URL"),
            ("rtmp://h/watch/demo", "neither http"),
            ("http://h:8080/", "names no stream"),
            ("http://h/watch/No%20Name", "no name of a stream"),
            ("http://h/v/abc/s/demo/index.m3u8", "session"),
        ] {
            let why = Address::parse(url, None).unwrap_err().to_string();
            assert!(why.contains(word) && why.contains("/watch/demo"), "{why}");
        }
    }
}

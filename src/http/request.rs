//! A request to be sent.

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

/// A request. Its URL is parsed by the caller: the parsed URL is checked and called, because a second parser could read another
/// host from the same text.
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl HttpRequest {
    /// A request without headers.
    pub fn new(method: Method, url: Url, body: Bytes) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body,
        }
    }

    /// A GET request.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Bytes::new())
    }

    /// Asks for a gzip response.
    #[must_use]
    pub(crate) fn accept_gzip(mut self) -> Self {
        let gzip = HeaderValue::from_static("gzip");
        self.headers.insert(ACCEPT_ENCODING, gzip);
        self
    }

    /// Whether it asks for an encoded response.
    pub(super) fn is_encoding_requested(&self) -> bool {
        self.headers.contains_key(ACCEPT_ENCODING)
    }
}

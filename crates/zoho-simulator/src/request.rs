//! A parsed client request.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::endpoint::Endpoint;

/// A parsed HTTP request.
#[derive(Debug)]
pub(crate) struct Request {
    /// Index of the data centre that received it.
    pub(crate) data_center: usize,
    pub(crate) endpoint: Endpoint,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The first query parameter with this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The parameters of the query and of a form body. The body takes precedence.
    pub(crate) fn form_parameters(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = self.query.iter().cloned().collect();
        all.extend(form_urlencoded::parse(&self.body).into_owned());
        all
    }
}

//! A parsed client request.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::endpoint::{ApiVersion, Endpoint};
use crate::form;

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
    /// The version of the API that its path names.
    pub(crate) fn api_version(&self) -> ApiVersion {
        ApiVersion::of_path(&self.path)
    }

    /// The first query parameter with this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The parameters of the query, of a form body and of a Basic header. The body takes precedence over the query, both
    /// over the header.
    pub(crate) fn form_parameters(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        if let Some((id, secret)) = form::basic_credentials(&self.headers) {
            all.insert("client_id".to_owned(), id);
            all.insert("client_secret".to_owned(), secret);
        }
        all.extend(self.query.iter().cloned());
        all.extend(form::body_parameters(&self.headers, &self.body));
        all
    }
}

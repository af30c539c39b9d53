//! Fetches the keys that senders publish.

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;
use webhook_verify::verify::{KeyFetcher, sns_url};

use crate::http::{BodyLimit, Http};

/// Maximum bytes of a certificate or a key set.
pub(super) const MAX_KEY_BYTES: usize = 64 << 10;

/// Fetches published keys, and confirms subscriptions, over HTTPS.
#[derive(Clone, Debug)]
pub(super) struct HttpKeyFetcher {
    pub(super) http: Http,
    /// Replaces the host of Amazon SNS.
    pub(super) sns_endpoint: Option<Url>,
}

impl HttpKeyFetcher {
    /// Sends a GET request. A URL of Amazon SNS goes to `sns_endpoint`, if there is one.
    pub(super) async fn get(
        &self,
        url: &Url,
        limit: BodyLimit,
    ) -> Result<http::Response<Bytes>, String> {
        let mut target = url.clone();
        if let Some(endpoint) = &self.sns_endpoint
            && sns_url(url.as_str()).is_some()
        {
            target = endpoint.clone();
            target.set_path(url.path());
            target.set_query(url.query());
        }
        let request = http::Request::get(target.as_str())
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let response = self.http.send(request, limit).await;
        response.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl KeyFetcher for HttpKeyFetcher {
    async fn fetch(&self, url: &str) -> Result<String, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        if url.scheme() != "https" {
            return Err("keys are fetched over https only".to_owned());
        }
        let response = self.get(&url, BodyLimit::Refuse(MAX_KEY_BYTES)).await?;
        if !response.status().is_success() {
            return Err(format!("the server answered {}", response.status()));
        }
        String::from_utf8(response.into_body().into())
            .map_err(|_| "the keys are not text".to_owned())
    }
}

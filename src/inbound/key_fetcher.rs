//! Fetches the keys that senders publish.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use url::Url;
use webhook_verify::verify::{FetchError, KeyFetcher, sns_url};

use crate::http::{BodyLimit, Http, HttpRequest};

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
        let response = self.http.send(HttpRequest::get(target), limit).await;
        response.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl KeyFetcher for HttpKeyFetcher {
    async fn fetch(&self, url: &str) -> Result<String, FetchError> {
        let url = Url::parse(url).map_err(|error| FetchError::Absent(error.to_string()))?;
        if url.scheme() != "https" {
            let reason = "keys are fetched over https only";
            return Err(FetchError::Absent(reason.to_owned()));
        }
        let response = self.get(&url, BodyLimit::Refuse(MAX_KEY_BYTES)).await;
        let response = response.map_err(FetchError::Unavailable)?;
        let status = response.status();
        if !status.is_success() {
            let reason = format!("the server answered {status}");
            // Amazon answers 403 for a file that does not exist.
            return Err(match status {
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                    FetchError::Unavailable(reason)
                }
                status if status.is_client_error() => FetchError::Absent(reason),
                _ => FetchError::Unavailable(reason),
            });
        }
        String::from_utf8(response.into_body().into())
            .map_err(|_| FetchError::Absent("it is not text".to_owned()))
    }
}

//! The client for endpoints that only the environment of the process names, such as AWS's. No request can choose its host.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::{IDLE, SendError, USER_AGENT, classify, innermost, read_body, tls};
use crate::http::BodyLimit;

/// Time limit for establishing a connection: AWS's own clients have the same.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// A client without an address policy: such endpoints may be private. It is set up at the first request. Clones share their
/// connections.
#[derive(Clone, Debug, Default)]
pub struct DirectHttp(Arc<OnceLock<Result<reqwest::Client, String>>>);

impl DirectHttp {
    /// Sends one request and reads the response body up to `limit`. All of it takes `time` at most. A redirect is returned, not
    /// followed.
    ///
    /// # Errors
    /// [`SendError`] if there is no complete response. A response with an error status is not an error.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        limit: BodyLimit,
        time: Duration,
    ) -> Result<http::Response<Bytes>, SendError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let no_client = |cause: &String| SendError::Connect {
            host: host.clone(),
            cause: cause.clone(),
        };
        let client = self.0.get_or_init(build).as_ref().map_err(no_client)?;
        let failed = |error| classify(&host, error, time);
        let mut outgoing = reqwest::Request::try_from(request).map_err(failed)?;
        *outgoing.timeout_mut() = Some(time);
        let mut incoming = client.execute(outgoing).await.map_err(failed)?;
        let (body, _) = read_body(&host, &mut incoming, limit, time).await?;
        let mut response = http::Response::new(body);
        *response.status_mut() = incoming.status();
        *response.headers_mut() = std::mem::take(incoming.headers_mut());
        Ok(response)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "no request can choose the host of this client"
)]
fn build() -> Result<reqwest::Client, String> {
    let tls = tls::client_config().map_err(|error| error.to_string())?;
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .build();
    client.map_err(|error| innermost(&error))
}

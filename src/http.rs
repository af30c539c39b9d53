//! The HTTP client for Zoho and callbacks: guarded, without redirects, with bounded responses, which may be gzip.
//!
//! A host is resolved once, [`Policy`] checks every resolved address, and the client connects only to those addresses. A
//! name that resolves to another address after the check (DNS rebinding) has no effect.

mod content_encoding;
mod direct;
mod request;
pub mod target;
mod tls;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use tokio::sync::Semaphore;

use crate::http::content_encoding::DecodeError;
pub use crate::http::direct::DirectHttp;
pub use crate::http::request::HttpRequest;
use crate::http::target::{CONTAINER_HOST, Policy, UrlDenied};
pub use crate::http::tls::read_root_certificates;

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("masshook/", env!("CARGO_PKG_VERSION"));

/// How long an idle connection is kept. A Lambda function that was frozen resumes with connections that the server has
/// closed, and the outcome of a request on such a connection is unknown.
const IDLE: Duration = Duration::from_secs(15);

/// Host names of one client that are resolved at once. The system's resolver blocks a thread until it gives up, even if
/// nobody waits for its answer any more, and those threads also serve the store.
const LOOKUPS: usize = 128;

/// Bytes of a body that are read to reuse the connection, if nothing but the status is needed.
const DRAINED: usize = 4 << 10;

/// How long reading them may take.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// Settings of the client.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Whether this machine may be called, also over plain http. For local development only.
    pub allow_loopback: bool,
    /// Hosts of the configuration that may be this machine, such as a simulator of Zoho: in lower case and without port, as
    /// [`url::Url::host_str`] returns them.
    pub trusted_hosts: BTreeSet<String>,
    /// The address of the Lambda runtime API, which is never called.
    pub runtime_api: Option<SocketAddr>,
    /// Time limit for establishing a connection, with name resolution and TLS.
    pub connect_timeout: Duration,
    /// Time limit for the whole request, until the response is complete.
    pub request_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            allow_loopback: false,
            trusted_hosts: BTreeSet::new(),
            runtime_api: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl HttpSettings {
    /// Returns the policy for a host.
    fn policy(&self, host: &str) -> Policy {
        let host = host.strip_suffix('.').unwrap_or(host);
        let allow_loopback = self.allow_loopback || self.trusted_hosts.contains(host);
        Policy {
            allowed_hosts: Vec::new(),
            allow_loopback,
            allow_private: allow_loopback && host == CONTAINER_HOST,
            runtime_api: self.runtime_api,
        }
    }
}

/// The limit of a response body, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// A longer body is [`SendError::TooLarge`].
    Refuse(usize),
    /// The rest of a longer body is not read, and the response has [`Truncated`] among its extensions.
    Truncate(usize),
}

impl BodyLimit {
    /// The largest body that a response has, in bytes.
    fn bytes(self) -> usize {
        match self {
            Self::Refuse(limit) | Self::Truncate(limit) => limit,
        }
    }
}

/// Marks a response whose body was cut at [`BodyLimit::Truncate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// Why there is no response. `Display` contains the host, but no query, body, header or user name.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The URL, or an address to which its host resolves, must not be called. Nothing was sent, and a retry fails until the
    /// URL is changed.
    #[error("{host} was not called: {denied}")]
    Refused {
        /// The host.
        host: String,
        /// The reason.
        denied: UrlDenied,
    },
    /// No connection could be established. Nothing was sent.
    #[error("no connection to {host}: {cause}")]
    Connect {
        /// The host.
        host: String,
        /// The cause.
        cause: String,
    },
    /// The response did not arrive in time. The server may have performed the request.
    #[error("{host} did not answer within {} s", (limit.as_secs_f64() * 10.0).round() / 10.0)]
    Timeout {
        /// The host.
        host: String,
        /// The time limit.
        limit: Duration,
    },
    /// The connection broke after sending had begun. The server may have performed the request.
    #[error("the connection to {host} broke before the answer was complete: {cause}")]
    Broken {
        /// The host.
        host: String,
        /// The cause.
        cause: String,
    },
    /// The response is larger than [`BodyLimit::Refuse`] allows. The server has performed the request.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl SendError {
    /// Whether the server certainly did not receive the request, so that a retry cannot perform it twice.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Connect { .. } => true,
            Self::Timeout { .. } | Self::Broken { .. } | Self::TooLarge { .. } => false,
        }
    }
}

/// The guarded client. It is set up by [`Http::prepare`] or at the first request. Clones share their connections.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    settings: Arc<HttpSettings>,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl fmt::Debug for Http {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Http")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Creates a client with these settings.
    pub fn new(settings: HttpSettings) -> Self {
        Self(Arc::new(Inner {
            settings: Arc::new(settings),
            client: OnceLock::new(),
        }))
    }

    /// Sets the client up. Otherwise the first request does, and it also reports why that is not possible.
    pub fn prepare(&self) {
        let _ = self.client();
    }

    /// Sends one request and reads the response body up to `limit`. A redirect is returned, not followed. The response to
    /// a request that asks for gzip is decoded, and `limit` applies to the decoded body as well.
    ///
    /// # Errors
    /// [`SendError`] if there is no complete response. A response with an error status is not an error.
    pub async fn send(
        &self,
        request: HttpRequest,
        limit: BodyLimit,
    ) -> Result<http::Response<Bytes>, SendError> {
        let is_encoding_requested = request.is_encoding_requested();
        let time = self.0.settings.request_timeout;
        let (host, mut incoming) = self.execute(request, time).await?;
        let (body, truncated) = read_body(&host, &mut incoming, limit, time).await?;
        let mut response = http::Response::new(body);
        *response.status_mut() = incoming.status();
        *response.headers_mut() = std::mem::take(incoming.headers_mut());
        if truncated {
            response.extensions_mut().insert(Truncated);
        }
        if !is_encoding_requested {
            return Ok(response);
        }
        content_encoding::decode(response, limit).map_err(|error| match error {
            DecodeError::TooLarge(limit) => SendError::TooLarge { host, limit },
            DecodeError::Corrupt(cause) => SendError::Broken { host, cause },
        })
    }

    /// Sends one request and waits up to `time` for the head of the response. The body is not needed: what arrives of it is
    /// read for a moment, so that the connection can be used again, and its errors are ignored.
    ///
    /// # Errors
    /// [`SendError`] if there is no head.
    pub async fn send_for_head(
        &self,
        request: HttpRequest,
        time: Duration,
    ) -> Result<http::Response<()>, SendError> {
        let (_, mut incoming) = self.execute(request, time).await?;
        let mut response = http::Response::new(());
        *response.status_mut() = incoming.status();
        *response.headers_mut() = std::mem::take(incoming.headers_mut());
        let drain = async {
            let mut read = 0;
            while let Ok(Some(chunk)) = incoming.chunk().await {
                read += chunk.len();
                if read > DRAINED {
                    break;
                }
            }
        };
        // The connection is closed if the body takes longer.
        let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
        Ok(response)
    }

    /// Sends one request. Returns the host and the response, whose body is to be read within `time` of the start.
    async fn execute(
        &self,
        request: HttpRequest,
        time: Duration,
    ) -> Result<(String, reqwest::Response), SendError> {
        let settings = &self.0.settings;
        let refused = |host: &str, denied| SendError::Refused {
            host: host.to_owned(),
            denied,
        };
        let HttpRequest {
            method,
            url,
            headers,
            body,
        } = request;
        let host = url.host_str().unwrap_or_default().to_owned();
        let form = settings.policy(&host).check_form(&url);
        form.map_err(|denied| refused(&host, denied))?;

        let no_client = |cause: &dyn fmt::Display| SendError::Connect {
            host: host.clone(),
            cause: cause.to_string(),
        };
        let client = self.client().map_err(|cause| no_client(&cause))?;
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = headers;
        *outgoing.body_mut() = Some(body.into());
        *outgoing.timeout_mut() = Some(time);
        match client.execute(outgoing).await {
            Ok(incoming) => Ok((host, incoming)),
            Err(error) => Err(classify(&host, error, time)),
        }
    }

    fn client(&self) -> Result<&reqwest::Client, &str> {
        let client = self.0.client.get_or_init(|| build(&self.0.settings));
        client.as_ref().map_err(String::as_str)
    }
}

/// Reads the body of a response that takes up to `time`, up to `limit`. Returns it and whether it was truncated.
async fn read_body(
    host: &str,
    incoming: &mut reqwest::Response,
    limit: BodyLimit,
    time: Duration,
) -> Result<(Bytes, bool), SendError> {
    let (limit, truncate) = match limit {
        BodyLimit::Refuse(limit) => (limit, false),
        BodyLimit::Truncate(limit) => (limit, true),
    };
    let mut body = Vec::new();
    let failed = |error| classify(host, error, time);
    while let Some(chunk) = incoming.chunk().await.map_err(failed)? {
        let remaining = limit - body.len();
        if chunk.len() <= remaining {
            body.extend_from_slice(&chunk);
            continue;
        }
        if !truncate {
            let host = host.to_owned();
            return Err(SendError::TooLarge { host, limit });
        }
        body.extend_from_slice(&chunk[..remaining]);
        return Ok((body.into(), true));
    }
    Ok((body.into(), false))
}

/// Why a request that took up to `limit` has no response.
fn classify(host: &str, error: reqwest::Error, limit: Duration) -> SendError {
    let host = host.to_owned();
    // The query of the URL may contain a secret.
    let error = error.without_url();
    if let Some(denied) = find_denied(&error) {
        let denied = denied.clone();
        return SendError::Refused { host, denied };
    }
    if error.is_builder() {
        let denied = UrlDenied::NotForHttp;
        return SendError::Refused { host, denied };
    }
    let cause = innermost(&error);
    // A timeout during connecting is checked first, because nothing was sent.
    if error.is_connect() {
        return SendError::Connect { host, cause };
    }
    if error.is_timeout() {
        return SendError::Timeout { host, limit };
    }
    SendError::Broken { host, cause }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only this function creates an HTTP client"
)]
fn build(settings: &Arc<HttpSettings>) -> Result<reqwest::Client, String> {
    let tls = tls::client_config().map_err(|error| error.to_string())?;
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        // A proxy would resolve names itself, which bypasses the guard.
        .no_proxy()
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(GuardedResolver {
            settings: Arc::clone(settings),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }))
        .build();
    client.map_err(|error| innermost(&error))
}

/// Returns the root cause of an error. The errors around it only state that a request failed.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn find_denied<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a UrlDenied> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(denied) = error.downcast_ref() {
            return Some(denied);
        }
        next = error.source();
    }
    None
}

/// A DNS resolver that returns only addresses that the policy admits.
#[derive(Debug)]
struct GuardedResolver {
    settings: Arc<HttpSettings>,
    /// Limits the threads that wait for the system's resolver.
    lookups: Arc<Semaphore>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.settings.policy(name.as_str());
        let lookups = Arc::clone(&self.lookups);
        Box::pin(async move {
            let permit = lookups.acquire_owned().await?;
            let lookup = move || {
                // Until the resolver has answered, whether or not its caller still waits.
                let _permit = permit;
                // The connector replaces the port by that of the URL.
                let resolved = (name.as_str(), 0).to_socket_addrs()?;
                Ok::<_, std::io::Error>(resolved.collect::<Vec<SocketAddr>>())
            };
            let addresses = tokio::task::spawn_blocking(lookup).await??;
            // A public host has no private address among its addresses, so one denied address denies all.
            for address in &addresses {
                policy.check_address(address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;

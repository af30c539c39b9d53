//! The one HTTP client for Zoho and callbacks: guarded, without redirects, with capped answers.
//!
//! A host is resolved once, every address found is judged by [`Policy`], and exactly the judged addresses are dialled: a
//! name that changes its mind between check and connect gains nothing.

pub mod target;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use url::Url;

use crate::http::target::{AROUND_THE_CONTAINER, Policy, UrlDenied};

/// What we call ourselves towards servers.
const USER_AGENT: &str = concat!("masshook/", env!("CARGO_PKG_VERSION"));

/// How long an unused connection is kept. A frozen Lambda function wakes up with connections that the other side has
/// closed long ago, and a request on such a one fails ambiguously; fresh ones cost little against that.
const IDLE: Duration = Duration::from_secs(15);

/// How the client behaves.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Whether this machine itself may be called, over plain http too. Only for local work.
    pub allow_loopback: bool,
    /// Hosts that the operator named in the configuration (such as a simulator in Zoho's place) and that may be this
    /// machine; lower-case, without port, as [`Url::host_str`] writes them.
    pub trusted_hosts: BTreeSet<String>,
    /// Where the Lambda runtime API listens; it is never called.
    pub runtime_api: Option<SocketAddr>,
    /// Until a connection must stand, TLS and name resolution included.
    pub connect_timeout: Duration,
    /// Until an answer must be complete, from the beginning.
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
    /// What holds for this host.
    fn policy(&self, host: &str) -> Policy {
        let host = host.strip_suffix('.').unwrap_or(host);
        let allow_loopback = self.allow_loopback || self.trusted_hosts.contains(host);
        Policy {
            allowed_hosts: Vec::new(),
            allow_loopback,
            allow_private: allow_loopback && host == AROUND_THE_CONTAINER,
            runtime_api: self.runtime_api,
        }
    }
}

/// How much of an answer's body is wanted, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// All of it, up to this many; more is [`SendError::TooLarge`].
    Refuse(usize),
    /// The first so many; the rest is not read. An answer that was cut carries [`Truncated`] among its extensions.
    Truncate(usize),
}

/// Marks an answer whose body was cut at [`BodyLimit::Truncate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// Why there is no answer. `Display` names the host and never a query, a body, a header or who logs in.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The URL, or an address that its host resolves to, must not be called. Nothing was sent, and a retry would end
    /// the same way until somebody changes the URL.
    #[error("{host} was not called: {denied}")]
    Refused {
        /// The host.
        host: String,
        /// Why not.
        denied: UrlDenied,
    },
    /// There is no connection: nothing was sent.
    #[error("no connection to {host}: {cause}")]
    Connect {
        /// The host.
        host: String,
        /// What went wrong.
        cause: String,
    },
    /// The answer did not come in time. The request may have been carried out.
    #[error("{host} did not answer within {} s", limit.as_secs_f32())]
    Timeout {
        /// The host.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// The connection broke after sending had begun. The request may have been carried out.
    #[error("the connection to {host} broke before the answer was complete: {cause}")]
    Broken {
        /// The host.
        host: String,
        /// What went wrong.
        cause: String,
    },
    /// The answer is larger than [`BodyLimit::Refuse`] allows. The request was carried out.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The cap.
        limit: usize,
    },
}

impl SendError {
    /// Whether it is certain that the server never saw the request, so that sending it again cannot do a thing twice.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Connect { .. } => true,
            Self::Timeout { .. } | Self::Broken { .. } | Self::TooLarge { .. } => false,
        }
    }
}

/// The guarded client. Making one costs nothing; TLS is set up at the first request. Clones share their connections.
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
    /// A client that behaves as the settings say.
    pub fn new(settings: HttpSettings) -> Self {
        Self(Arc::new(Inner {
            settings: Arc::new(settings),
            client: OnceLock::new(),
        }))
    }

    /// Sends one request and reads the answer's body as far as `limit` allows. Redirects are answers like any other.
    ///
    /// # Errors
    /// Only if there is no complete answer; an answer with an error status is an answer.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        limit: BodyLimit,
    ) -> Result<http::Response<Bytes>, SendError> {
        let settings = &self.0.settings;
        let refused = |host: &str, denied| SendError::Refused {
            host: host.to_owned(),
            denied,
        };
        let url = Url::parse(&request.uri().to_string());
        let url = url.map_err(|_| refused("the URL", UrlDenied::NotAUrl))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let form = settings.policy(&host).check_form(&url);
        form.map_err(|denied| refused(&host, denied))?;

        let no_client = |cause: &dyn fmt::Display| SendError::Connect {
            host: host.clone(),
            cause: cause.to_string(),
        };
        let client = self.client().map_err(|cause| no_client(&cause))?;
        // What was judged is what is called: no second parser reads the URL.
        let mut outgoing = reqwest::Request::new(request.method().clone(), url);
        let (parts, body) = request.into_parts();
        *outgoing.headers_mut() = parts.headers;
        *outgoing.body_mut() = Some(body.into());
        let failed = |error| self.classify(&host, error);
        let mut answer = client.execute(outgoing).await.map_err(failed)?;

        let (limit, truncate) = match limit {
            BodyLimit::Refuse(limit) => (limit, false),
            BodyLimit::Truncate(limit) => (limit, true),
        };
        let mut body = Vec::new();
        let mut cut = false;
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            let room = limit - body.len();
            if chunk.len() > room && !truncate {
                return Err(SendError::TooLarge { host, limit });
            }
            cut = chunk.len() > room;
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if cut {
                break;
            }
        }
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        if cut {
            response.extensions_mut().insert(Truncated);
        }
        Ok(response)
    }

    fn client(&self) -> Result<&reqwest::Client, &str> {
        let client = self
            .0
            .client
            .get_or_init(|| build(&self.0.settings).map_err(|error| innermost(&error)));
        client.as_ref().map_err(String::as_str)
    }

    fn classify(&self, host: &str, error: reqwest::Error) -> SendError {
        let host = host.to_owned();
        // The URL may hold a secret in its query.
        let error = error.without_url();
        if let Some(denied) = find_denied(&error) {
            let denied = denied.clone();
            return SendError::Refused { host, denied };
        }
        let cause = innermost(&error);
        // A connection that takes too long is also a timeout; nothing was sent then.
        if error.is_connect() || error.is_builder() {
            return SendError::Connect { host, cause };
        }
        if error.is_timeout() {
            let limit = self.0.settings.request_timeout;
            return SendError::Timeout { host, limit };
        }
        SendError::Broken { host, cause }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that makes an HTTP client"
)]
fn build(settings: &Arc<HttpSettings>) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        // A proxy would resolve names itself, out of the guard's sight.
        .no_proxy()
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(Guard(Arc::clone(settings))))
        .build()
}

/// The root of an error: what stands around it only says that a request failed.
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

/// Resolves names, and hands on only what the policy admits.
#[derive(Debug)]
struct Guard(Arc<HttpSettings>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.policy(name.as_str());
        Box::pin(async move {
            // The port stands in the URL; the connector puts it in.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            // One bad address among good ones is no accident of a public host: refuse them all.
            for address in &addresses {
                policy.admits(address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;

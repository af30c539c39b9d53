//! Decides which URLs may be called. Pure: host names are resolved elsewhere, and each resolved address is checked here.
//!
//! This prevents server-side request forgery: a URL in a request must not make masshook call cloud metadata, hosts in a
//! private network, or the Lambda runtime.

mod address;
mod host_name;
mod host_pattern;

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

pub use address::{AddressKind, EmbeddedForm, classify};
pub use host_name::HostNameProblem;
pub use host_pattern::{HostPattern, InvalidHostPattern};

/// The rules that a URL must satisfy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Hosts that callbacks may be sent to; empty for any public host. The address of a listed host is checked too.
    pub allowed_hosts: Vec<HostPattern>,
    /// Whether this machine may be called, also over plain http and on any port. For local development only.
    pub allow_loopback: bool,
    /// Whether private addresses may be called. Set for the host machine as a container sees it.
    pub allow_private: bool,
    /// The address of the Lambda runtime API (`AWS_LAMBDA_RUNTIME_API`). It is never called, even if loopback is allowed:
    /// a request to it could answer an invocation.
    pub runtime_api: Option<SocketAddr>,
}

/// Why a URL or an address must not be called. `Display` contains hosts and addresses, but no other part of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlDenied {
    /// The text is not a URL, or the URL has no host.
    #[error("it is not an absolute URL with a host")]
    NotAUrl,
    /// HTTP does not allow the URL.
    #[error("it is too long, or has a character that HTTP does not allow")]
    NotForHttp,
    /// The scheme is not https.
    #[error("it must be https")]
    NotHttps,
    /// The port is not 443, and no pattern contains it.
    #[error(
        "port {0} is not allowed; https uses 443, and a pattern in allowed_hosts may name another"
    )]
    Port(u16),
    /// The URL contains a user name or password.
    #[error("it must not contain a user name or password")]
    UserInfo,
    /// The URL has a fragment, which is never sent.
    #[error("it must not have a fragment (#…)")]
    Fragment,
    /// No public host can have the name.
    #[error("host {host} cannot be called: {problem}")]
    HostName {
        /// The host.
        host: String,
        /// What is wrong with the name.
        problem: HostNameProblem,
    },
    /// The host matches no pattern of the allowed hosts.
    #[error("host {0} is not in allowed_hosts")]
    Host(String),
    /// The host is, or resolves to, an address that must not be called.
    #[error("address {address} must not be called: {kind}")]
    Address {
        /// The address.
        address: IpAddr,
        /// Its kind.
        kind: AddressKind,
    },
    /// The URL or address is that of the Lambda runtime API.
    #[error("it is the Lambda runtime API of this very function")]
    RuntimeApi,
}

impl Policy {
    /// Checks what is known of a URL before its host is resolved: form, scheme, host and port. A host that is an address, in
    /// any notation, is checked as an address.
    ///
    /// # Errors
    /// The first rule that the URL breaks.
    pub fn check(&self, url: &Url) -> Result<(), UrlDenied> {
        self.check_form(url)?;
        let host = url.host().ok_or(UrlDenied::NotAUrl)?;
        if self.allow_loopback && is_this_machine(&host) {
            return Ok(());
        }
        let name = normal_name(&host);
        if let Host::Domain(_) = host {
            let is_listed = self
                .allowed_hosts
                .iter()
                .any(|pattern| pattern.matches_name(&name));
            if let Some(problem) = HostNameProblem::of(&name, is_listed) {
                return Err(UrlDenied::HostName {
                    host: name,
                    problem,
                });
            }
        }
        let port = url.port_or_known_default().unwrap_or(HTTPS_PORT);
        if self.allowed_hosts.is_empty() {
            return if port == HTTPS_PORT {
                Ok(())
            } else {
                Err(UrlDenied::Port(port))
            };
        }
        let mut matching = self
            .allowed_hosts
            .iter()
            .filter(|pattern| pattern.matches_name(&name))
            .peekable();
        if matching.peek().is_none() {
            return Err(UrlDenied::Host(name));
        }
        if matching.any(|pattern| pattern.port.unwrap_or(HTTPS_PORT) == port) {
            Ok(())
        } else {
            Err(UrlDenied::Port(port))
        }
    }

    /// Checks a callback URL as [`Policy::check`] does.
    ///
    /// # Errors
    /// The first rule that the URL breaks, and for this machine what allows it.
    pub fn check_callback(&self, url: &Url) -> Result<(), String> {
        self.check(url).map_err(|denied| {
            let is_local = url.host().is_some_and(|host| is_this_machine(&host));
            match is_local && !self.allow_loopback {
                true => format!(
                    "{denied}; for a receiver on this machine use `masshook dev`, or set `callbacks.allow_loopback: true` in \
                     local development"
                ),
                false => denied.to_string(),
            }
        })
    }

    /// Checks the rules of [`Policy::check`] that apply to every outgoing request: all but the allowed hosts and their ports.
    ///
    /// # Errors
    /// The first rule that the URL breaks.
    pub fn check_form(&self, url: &Url) -> Result<(), UrlDenied> {
        let host = url.host().ok_or(UrlDenied::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlDenied::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlDenied::Fragment);
        }
        if let Some(address) = address_of(&host) {
            self.check_address(address)?;
        }
        self.check_runtime_api(&host, url.port_or_known_default())?;
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_loopback && is_this_machine(&host) => Ok(()),
            _ => Err(UrlDenied::NotHttps),
        }
    }

    /// Checks an address that is a URL's host, or to which the host resolves.
    ///
    /// # Errors
    /// [`UrlDenied::Address`] or [`UrlDenied::RuntimeApi`].
    pub fn check_address(&self, address: IpAddr) -> Result<(), UrlDenied> {
        let kind = classify(address);
        let runtime = self.runtime_api.map(|runtime| runtime.ip());
        // Other programs share a loopback address, so there the port decides: see `check_runtime_api`.
        if runtime == Some(address) && kind != AddressKind::Loopback {
            return Err(UrlDenied::RuntimeApi);
        }
        let private = matches!(kind, AddressKind::Private | AddressKind::UniqueLocal);
        if kind.is_public()
            || (self.allow_loopback && kind == AddressKind::Loopback)
            || (self.allow_private && private)
        {
            Ok(())
        } else {
            Err(UrlDenied::Address { address, kind })
        }
    }

    /// Denies the port of the runtime API on hosts that may be this machine. A name may resolve to a loopback address only
    /// if loopback is allowed.
    fn check_runtime_api(&self, host: &Host<&str>, port: Option<u16>) -> Result<(), UrlDenied> {
        let same_port = self
            .runtime_api
            .is_some_and(|runtime| Some(runtime.port()) == port);
        let may_be_this_machine = match address_of(host) {
            Some(address) => classify(address) == AddressKind::Loopback,
            None => self.allow_loopback,
        };
        if same_port && may_be_this_machine {
            return Err(UrlDenied::RuntimeApi);
        }
        Ok(())
    }
}

const HTTPS_PORT: u16 = 443;

fn address_of(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        Host::Domain(_) => None,
    }
}

/// The name by which a container reaches the machine that it runs on, as under `sam local`. It resolves to a private address.
pub const CONTAINER_HOST: &str = "host.docker.internal";

/// Whether a host is this machine by its name (RFC 6761 section 6.3) or address, or is [`CONTAINER_HOST`].
pub fn is_this_machine(host: &Host<&str>) -> bool {
    match address_of(host) {
        Some(address) => classify(address) == AddressKind::Loopback,
        None => {
            let name = normal_name(host);
            name == "localhost" || name.ends_with(".localhost") || name == CONTAINER_HOST
        }
    }
}

/// Returns the host without the trailing full stop of a fully qualified name.
fn normal_name(host: &Host<&str>) -> String {
    let name = host.to_string();
    name.strip_suffix('.').unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests;

//! Patterns of hosts to which callbacks may be sent.

use std::fmt;
use std::str::FromStr;

use url::Host;

/// A host that callbacks may be sent to: `hooks.example.com`, `*.example.com` (any subdomain, but not the domain itself),
/// or an address; with `:port` for another port than 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Whether the pattern matches the subdomains of `name` instead of `name`.
    subdomains: bool,
    name: String,
    pub(super) port: Option<u16>,
}

impl HostPattern {
    pub(super) fn matches_name(&self, host: &str) -> bool {
        if !self.subdomains {
            return host == self.name;
        }
        host.strip_suffix(&self.name)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.subdomains { "*." } else { "" };
        write!(formatter, "{prefix}{}", self.name)?;
        self.port
            .map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

/// The text is not a host pattern.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a host: write `hooks.example.com`, `*.example.com` or either with `:port`, without https:// and path"
)]
pub struct InvalidHostPattern(String);

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let invalid = || InvalidHostPattern(text.chars().take(80).collect());
        let (subdomains, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // The colons of an IPv6 address are inside brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (
                host,
                Some(
                    port.parse()
                        .ok()
                        .filter(|port| *port != 0)
                        .ok_or_else(invalid)?,
                ),
            ),
            _ => (rest, None),
        };
        // The URL parser strips tabs and line ends and decodes `%41`; a pattern with them is a mistake.
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "*%/?#@\\".contains(c)) {
            return Err(invalid());
        }
        let host = Host::parse(host).map_err(|_| invalid())?;
        if subdomains && !matches!(host, Host::Domain(_)) {
            return Err(invalid());
        }
        let name = host.to_string();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        Ok(Self {
            subdomains,
            name,
            port,
        })
    }
}

//! Access to the console from other machines.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;

use crate::secrets::SecretRef;
use strict_reader::{Node, Problems};

/// Access to the console.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Console {
    /// The key of the console, at least 16 characters, in place of a random token for each start. An address other than
    /// loopback requires it.
    pub key: Option<SecretRef>,
    /// A key that may read `/metrics` of the console and nothing else, at least 16 characters. It is for Prometheus.
    pub metrics_key: Option<SecretRef>,
    /// Names under which a proxy or a DNS entry publishes the console: `console.example.com`, with `:port` if only that port
    /// is meant.
    #[schemars(
        default,
        with = "Vec<String>",
        inner(regex(pattern = "^[A-Za-z0-9._:\\[\\]-]+$"))
    )]
    pub hosts: Vec<HostAndPort>,
}

impl Console {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let key = object.optional("key").map(|node| node.parse(problems));
        let metrics_key = object.optional("metrics_key");
        let metrics_key = metrics_key.map(|node| node.parse(problems));
        let hosts = object
            .optional("hosts")
            .and_then(|node| node.list(problems));
        let hosts = hosts.unwrap_or_default();
        let hosts = hosts.iter().filter_map(|node| node.parse(problems));
        let hosts = hosts.collect();
        object.finish(problems);
        Some(Self {
            key: key.flatten(),
            metrics_key: metrics_key.flatten(),
            hosts,
        })
    }
}

/// A host of a URL, in one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostName {
    Address(IpAddr),
    /// A name in lower case.
    Name(String),
}

/// A host with an optional port, as the `Host` header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAndPort {
    host: HostName,
    port: Option<u16>,
}

/// The text is no host.
#[derive(Debug, thiserror::Error)]
#[error("is not a host name: write `console.example.com`, with `:port` if only that port is meant")]
pub struct InvalidHost;

impl FromStr for HostAndPort {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or(InvalidHost)?;
                let address: Ipv6Addr = address.parse().map_err(|_| InvalidHost)?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':').ok_or(InvalidHost)?),
                };
                (HostName::Address(address.into()), port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                (parse_name(host)?, port)
            }
        };
        let port = port.map(parse_port).transpose()?;
        Ok(Self { host, port })
    }
}

fn parse_name(text: &str) -> Result<HostName, InvalidHost> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(HostName::Address(address.into()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(allowed);
    match text.split('.').all(is_label) {
        true => Ok(HostName::Name(text.to_ascii_lowercase())),
        false => Err(InvalidHost),
    }
}

fn parse_port(text: &str) -> Result<u16, InvalidHost> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or(InvalidHost)
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostName::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]")?,
            HostName::Address(IpAddr::V4(address)) => write!(formatter, "{address}")?,
            HostName::Name(name) => formatter.write_str(name)?,
        }
        match self.port {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

impl HostAndPort {
    /// The address, if the host is none by name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            HostName::Address(address) => Some(address),
            HostName::Name(_) => None,
        }
    }

    /// Whether the host is the name `localhost`.
    pub fn is_localhost(&self) -> bool {
        self.host == HostName::Name("localhost".to_owned())
    }

    /// Whether another host is this one, with this port if this one names a port.
    pub fn covers(&self, other: &Self) -> bool {
        self.host == other.host && (self.port.is_none() || self.port == other.port)
    }

    /// Whether an origin such as `http://localhost:8081` has this host and port.
    pub fn is_origin(&self, origin: &str) -> bool {
        let schemes = [("http://", 80), ("https://", 443)];
        let found = schemes.into_iter().find_map(|(scheme, default)| {
            let rest = origin.strip_prefix(scheme)?;
            Some((rest.parse::<Self>().ok()?, default))
        });
        found.is_some_and(|(other, default)| {
            other.host == self.host && other.port.unwrap_or(default) == self.port.unwrap_or(default)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_must_equal_host_and_port() {
        let is_origin =
            |host: &str, origin: &str| host.parse::<HostAndPort>().unwrap().is_origin(origin);
        assert!(is_origin("localhost:8081", "http://localhost:8081"));
        assert!(is_origin("ops.example", "https://ops.example"));
        assert!(is_origin("ops.example:443", "https://ops.example"));
        assert!(is_origin("localhost", "http://localhost:80"));
        for origin in [
            "null",
            "",
            "http://localhost:3000",
            "http://localhost",
            "https://localhost",
            "http://127.0.0.1:8081",
            "http://evil.example",
            "http://localhost:8081.evil.example",
            "http://localhost:8081/",
            "http://evil@localhost:8081",
            "file://",
            "HTTP://localhost:8081x",
        ] {
            assert!(!is_origin("localhost:8081", origin), "{origin}");
        }
    }
}

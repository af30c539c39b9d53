//! The hosts under which the console may be addressed. Pure.
//!
//! A browser that was lured by DNS rebinding sends the attacker's name as `Host`.

use std::net::{IpAddr, SocketAddr};

use crate::config::HostAndPort;

/// The hosts under which the console may be addressed.
#[derive(Clone, Debug)]
pub(super) struct AllowedHosts {
    bound: IpAddr,
    configured: Vec<HostAndPort>,
}

impl AllowedHosts {
    pub(super) fn new(bound: SocketAddr, configured: &[HostAndPort]) -> Self {
        Self {
            bound: bound.ip(),
            configured: configured.to_vec(),
        }
    }

    /// Whether the console may be addressed under a host. The port is free unless the config names one: a tunnel such as
    /// `ssh -L` changes it.
    pub(super) fn allows(&self, given: &HostAndPort) -> bool {
        let is_configured = self.configured.iter().any(|host| host.covers(given));
        is_configured
            || match given.address() {
                None => given.is_localhost(),
                // An address in place of a name cannot be rebound, so all addresses of this machine are allowed if the
                // console listens on all of them.
                Some(address) => {
                    address.is_loopback() || address == self.bound || self.bound.is_unspecified()
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(bound: &str, configured: &[&str]) -> AllowedHosts {
        let configured: Vec<HostAndPort> = configured
            .iter()
            .map(|host| host.parse().unwrap())
            .collect();
        AllowedHosts::new(bound.parse().unwrap(), &configured)
    }

    fn allows(hosts: &AllowedHosts, text: &str) -> bool {
        text.parse().is_ok_and(|host| hosts.allows(&host))
    }

    #[test]
    fn loopback_console_allows_names_of_this_machine_only() {
        let local = hosts("127.0.0.1:8081", &[]);
        for host in [
            "localhost",
            "LOCALHOST:8081",
            "localhost:9000",
            "127.0.0.1:8081",
            "127.0.0.2",
            "[::1]:8081",
            "[0:0:0:0:0:0:0:1]",
        ] {
            assert!(allows(&local, host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.",
            "localhost.:8081",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "192.168.1.7",
            "[::ffff:192.168.1.7]",
            "[::1",
            "[::1]8081",
            "::1",
            "[fe80::1%25eth0]",
            "localhost:",
            "localhost:+80",
            "localhost:99999",
            "localhost:80:80",
            "user@localhost",
            "localhost/evil.example",
            "localhost,evil.example",
            "localhost evil.example",
            "0.0.0.0",
        ] {
            assert!(!allows(&local, host), "{host}");
        }
    }

    #[test]
    fn other_consoles_allow_addresses_and_configured_names() {
        let one = hosts(
            "192.168.1.7:8081",
            &["Console.Example.com", "x.example:8443"],
        );
        assert!(allows(&one, "192.168.1.7:8081"));
        assert!(allows(&one, "console.example.com:443"));
        assert!(allows(&one, "x.example:8443"));
        assert!(!allows(&one, "x.example"));
        assert!(!allows(&one, "192.168.1.8"));
        let all = hosts("0.0.0.0:8081", &[]);
        assert!(allows(&all, "192.168.1.8") && allows(&all, "[2001:db8::1]"));
        assert!(!allows(&all, "evil.example"));
    }
}

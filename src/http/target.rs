//! Which URLs a callback may go to. Pure verdicts: names are resolved elsewhere, and every address found is judged here.
//!
//! Whoever may name a callback URL could otherwise make us post to our own surroundings (server-side request forgery):
//! to cloud metadata, to neighbours in a private network, or to the Lambda runtime itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// What a callback URL must satisfy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Hosts that callbacks may go to; empty: any public host. An address is judged even if its host is named here.
    pub allowed_hosts: Vec<HostPattern>,
    /// Whether this machine itself may be called, also over plain http and on any port. Only for local work.
    pub allow_loopback: bool,
    /// Whether private addresses may be called: for a host that is this machine as a container sees it.
    pub allow_private: bool,
    /// Where the Lambda runtime API listens (`AWS_LAMBDA_RUNTIME_API`). It is never called, loopback or not: a post
    /// to it could answer invocations in our name.
    pub runtime_api: Option<SocketAddr>,
}

/// Why a URL or an address may not be called. `Display` names hosts and addresses, and no other part of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlDenied {
    /// It is not a URL, or has no host.
    #[error("it is not an absolute URL with a host")]
    NotAUrl,
    /// It is not https.
    #[error("it must be https")]
    NotHttps,
    /// The port is not 443 and no pattern names it.
    #[error(
        "port {0} is not allowed; https uses 443, and a pattern in allowed_hosts may name another"
    )]
    Port(u16),
    /// It carries a user name or password.
    #[error("it must not contain a user name or password")]
    UserInfo,
    /// It has a fragment, which is never sent.
    #[error("it must not have a fragment (#…)")]
    Fragment,
    /// The host is not among those that are allowed.
    #[error("host {0} is not in allowed_hosts")]
    Host(String),
    /// The host is, or resolves to, an address that must not be called.
    #[error("address {address} must not be called: {kind}")]
    Address {
        /// The address.
        address: IpAddr,
        /// What it is.
        kind: AddressKind,
    },
    /// It is where the Lambda runtime API listens.
    #[error("it is the Lambda runtime API of this very function")]
    RuntimeApi,
}

impl Policy {
    /// Judges a URL as far as it can be judged before its host is resolved: form, scheme, host and port, and the
    /// address if the host is one, in whatever spelling.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn check(&self, url: &Url) -> Result<(), UrlDenied> {
        self.check_form(url)?;
        let host = url.host().ok_or(UrlDenied::NotAUrl)?;
        if self.allow_loopback && is_this_machine(&host) {
            return Ok(());
        }
        let name = normal_name(&host);
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

    /// The part of [`Policy::check`] that holds for every outward request, whoever named its URL: all but the list of
    /// allowed hosts and their ports.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn check_form(&self, url: &Url) -> Result<(), UrlDenied> {
        let host = url.host().ok_or(UrlDenied::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlDenied::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlDenied::Fragment);
        }
        if let Some(address) = literal(&host) {
            self.admits(address)?;
        }
        self.check_runtime_api(&host, url.port_or_known_default())?;
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_loopback && is_this_machine(&host) => Ok(()),
            _ => Err(UrlDenied::NotHttps),
        }
    }

    /// Judges an address that a host is or resolves to.
    ///
    /// # Errors
    /// If it must not be called.
    pub fn admits(&self, address: IpAddr) -> Result<(), UrlDenied> {
        let kind = classify(address);
        let runtime = self.runtime_api.map(|runtime| runtime.ip());
        // A loopback address is shared with whatever else runs here; there the port decides, in `check_runtime_api`.
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

    /// A name may resolve to a loopback address only where loopback is allowed, so only there its port matters.
    fn check_runtime_api(&self, host: &Host<&str>, port: Option<u16>) -> Result<(), UrlDenied> {
        let at_its_port = self
            .runtime_api
            .is_some_and(|runtime| Some(runtime.port()) == port);
        let could_be_here = match literal(host) {
            Some(address) => classify(address) == AddressKind::Loopback,
            None => self.allow_loopback,
        };
        if at_its_port && could_be_here {
            return Err(UrlDenied::RuntimeApi);
        }
        Ok(())
    }
}

const HTTPS_PORT: u16 = 443;

fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        Host::Domain(_) => None,
    }
}

/// What a container calls the machine that it runs on, as under `sam local`. It has a private address there.
pub const AROUND_THE_CONTAINER: &str = "host.docker.internal";

/// Whether a host says by itself that it is this machine (RFC 6761 section 6.3 for the name), or the one around the
/// container.
pub fn is_this_machine(host: &Host<&str>) -> bool {
    match literal(host) {
        Some(address) => classify(address) == AddressKind::Loopback,
        None => {
            let name = normal_name(host);
            name == "localhost" || name.ends_with(".localhost") || name == AROUND_THE_CONTAINER
        }
    }
}

/// The host without the trailing full stop that a fully qualified name may have.
fn normal_name(host: &Host<&str>) -> String {
    let name = host.to_string();
    name.strip_suffix('.').unwrap_or(&name).to_owned()
}

/// A host that callbacks may go to: `hooks.example.com`, `*.example.com` (any name below it, but not itself), or an
/// address; with `:port` for another port than 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Whether names below `name` are meant.
    below: bool,
    name: String,
    port: Option<u16>,
}

impl HostPattern {
    fn matches_name(&self, host: &str) -> bool {
        if !self.below {
            return host == self.name;
        }
        host.strip_suffix(&self.name)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(formatter, "{below}{}", self.name)?;
        self.port
            .map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

/// Not a host pattern.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a host: write `hooks.example.com`, `*.example.com` or either with `:port`, without https:// and path"
)]
pub struct InvalidHostPattern(String);

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let invalid = || InvalidHostPattern(text.chars().take(80).collect());
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // The colons of an IPv6 address stand in brackets.
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
        // The URL parser strips tabs and line ends and decodes `%41`: nobody means that in a pattern.
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "*%/?#@\\".contains(c)) {
            return Err(invalid());
        }
        let host = Host::parse(host).map_err(|_| invalid())?;
        if below && !matches!(host, Host::Domain(_)) {
            return Err(invalid());
        }
        let name = host.to_string();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        Ok(Self { below, name, port })
    }
}

/// What an address is, by the IANA special-purpose registries and the clouds' own habits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// A host on the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918).
    Private,
    /// The local link (RFC 3927, RFC 4291).
    LinkLocal,
    /// A cloud's service for its own instances: metadata, credentials.
    Metadata,
    /// Shared between a carrier and its customers (RFC 6598).
    CarrierGradeNat,
    /// A group of hosts.
    Multicast,
    /// No address, or "this network" (RFC 791).
    Unspecified,
    /// Set aside for protocols or for later.
    Reserved,
    /// For examples in documents.
    Documentation,
    /// For benchmarks of network devices (RFC 2544).
    Benchmark,
    /// A private network in IPv6 (RFC 4193).
    UniqueLocal,
    /// The old private networks of IPv6 (RFC 3879).
    SiteLocal,
    /// An IPv6 address that stands for an IPv4 address.
    EmbedsIpv4 {
        /// By which mechanism.
        form: EmbeddedForm,
        /// The IPv4 address.
        address: Ipv4Addr,
        /// What that one is.
        kind: Box<AddressKind>,
    },
}

/// How an IPv6 address carries an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddedForm {
    /// `::ffff:0:0/96`, the same host in another notation (RFC 4291 section 2.5.5.2).
    Mapped,
    /// `::/96`, long deprecated (RFC 4291 section 2.5.5.1).
    Compatible,
    /// `64:ff9b::/96`, how networks without IPv4 reach it (RFC 6052).
    Nat64,
    /// `2002::/16`, deprecated (RFC 7526).
    SixToFour,
    /// `2001::/32` (RFC 4380).
    Teredo,
}

impl AddressKind {
    /// Whether a stranger's URL may lead there. Tunnels are not public even if they end at a public address; an address
    /// in another notation, or behind the translator of an IPv6-only network, is what it stands for.
    pub fn is_public(&self) -> bool {
        match self {
            Self::Public => true,
            Self::EmbedsIpv4 { form, kind, .. } => match form {
                EmbeddedForm::Mapped | EmbeddedForm::Nat64 => kind.is_public(),
                EmbeddedForm::Compatible | EmbeddedForm::SixToFour | EmbeddedForm::Teredo => false,
            },
            Self::Loopback
            | Self::Private
            | Self::LinkLocal
            | Self::Metadata
            | Self::CarrierGradeNat
            | Self::Multicast
            | Self::Unspecified
            | Self::Reserved
            | Self::Documentation
            | Self::Benchmark
            | Self::UniqueLocal
            | Self::SiteLocal => false,
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Public => "it is a public address",
            Self::Loopback => "it is this machine (loopback)",
            Self::Private => "it is in a private network",
            Self::LinkLocal => "it is a link-local address",
            Self::Metadata => "it is a cloud's metadata service",
            Self::CarrierGradeNat => "it is in a carrier's shared network",
            Self::Multicast => "it is a multicast address",
            Self::Unspecified => "it is no address of a host",
            Self::Reserved => "it is reserved",
            Self::Documentation => "it is an address for documentation",
            Self::Benchmark => "it is an address for benchmarks",
            Self::UniqueLocal => "it is in a private network (unique local)",
            Self::SiteLocal => "it is in a private network (site local)",
            Self::EmbedsIpv4 {
                form,
                address,
                kind,
            } => {
                let form = match form {
                    EmbeddedForm::Mapped => "mapped",
                    EmbeddedForm::Compatible => "compatible",
                    EmbeddedForm::Nat64 => "NAT64",
                    EmbeddedForm::SixToFour => "6to4",
                    EmbeddedForm::Teredo => "Teredo",
                };
                return write!(formatter, "it stands for {address} ({form}), and {kind}");
            }
        };
        formatter.write_str(words)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// What is not public in IPv4 (IANA's special-purpose registry); the first match counts.
const SPECIAL_V4: [(Ipv4Net, AddressKind); 26] = [
    // EC2, Azure and Google; ECS task credentials; EKS pod identity; Alibaba; Oracle; Azure's wire server, which is the
    // odd one among otherwise public addresses.
    (v4(169, 254, 169, 254, 32), AddressKind::Metadata),
    (v4(169, 254, 170, 2, 32), AddressKind::Metadata),
    (v4(169, 254, 170, 23, 32), AddressKind::Metadata),
    (v4(100, 100, 100, 200, 32), AddressKind::Metadata),
    (v4(192, 0, 0, 192, 32), AddressKind::Metadata),
    (v4(168, 63, 129, 16, 32), AddressKind::Metadata),
    (v4(0, 0, 0, 0, 8), AddressKind::Unspecified),
    (v4(10, 0, 0, 0, 8), AddressKind::Private),
    (v4(100, 64, 0, 0, 10), AddressKind::CarrierGradeNat),
    (v4(127, 0, 0, 0, 8), AddressKind::Loopback),
    (v4(169, 254, 0, 0, 16), AddressKind::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressKind::Private),
    (v4(192, 0, 0, 0, 24), AddressKind::Reserved),
    (v4(192, 0, 2, 0, 24), AddressKind::Documentation),
    (v4(192, 31, 196, 0, 24), AddressKind::Reserved),
    (v4(192, 52, 193, 0, 24), AddressKind::Reserved),
    (v4(192, 88, 99, 0, 24), AddressKind::Reserved),
    (v4(192, 168, 0, 0, 16), AddressKind::Private),
    (v4(192, 175, 48, 0, 24), AddressKind::Reserved),
    (v4(198, 18, 0, 0, 15), AddressKind::Benchmark),
    (v4(198, 51, 100, 0, 24), AddressKind::Documentation),
    (v4(203, 0, 113, 0, 24), AddressKind::Documentation),
    (v4(233, 252, 0, 0, 24), AddressKind::Documentation),
    (v4(224, 0, 0, 0, 4), AddressKind::Multicast),
    (v4(240, 0, 0, 0, 4), AddressKind::Reserved),
    (v4(255, 255, 255, 255, 32), AddressKind::Reserved),
];

const fn v6(segments: [u16; 4], prefix: u8) -> Ipv6Net {
    let [a, b, c, d] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// What is not public in IPv6 and embeds no IPv4 address; the first match counts. Beyond `2000::/3` nothing is public,
/// so only kinds that deserve a name of their own stand here.
const SPECIAL_V6: [(Ipv6Net, AddressKind); 9] = [
    // EC2's metadata, DNS, time and pod identity services in IPv6; Google's metadata.
    (v6([0xfd00, 0xec2, 0, 0], 32), AddressKind::Metadata),
    (v6([0xfd20, 0xce, 0, 0], 32), AddressKind::Metadata),
    (v6([0xfc00, 0, 0, 0], 7), AddressKind::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], 10), AddressKind::LinkLocal),
    (v6([0xfec0, 0, 0, 0], 10), AddressKind::SiteLocal),
    (v6([0xff00, 0, 0, 0], 8), AddressKind::Multicast),
    (v6([0x2001, 0xdb8, 0, 0], 32), AddressKind::Documentation),
    (v6([0x3fff, 0, 0, 0], 20), AddressKind::Documentation),
    // Protocol assignments, with benchmarks and ORCHID among them; AS112 and its kin are no callback's home either.
    (v6([0x2001, 0, 0, 0], 23), AddressKind::Reserved),
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// What an address is.
pub fn classify(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressKind {
    SPECIAL_V4
        .into_iter()
        .find(|(net, _)| net.contains(&address))
        .map_or(AddressKind::Public, |(_, kind)| kind)
}

fn classify_v6(address: Ipv6Addr) -> AddressKind {
    if address.is_loopback() {
        return AddressKind::Loopback;
    }
    if address.is_unspecified() {
        return AddressKind::Unspecified;
    }
    if let Some((form, inner)) = embedded(address) {
        return AddressKind::EmbedsIpv4 {
            form,
            address: inner,
            kind: Box::new(classify_v4(inner)),
        };
    }
    let special = SPECIAL_V6
        .into_iter()
        .find(|(net, _)| net.contains(&address));
    match special {
        Some((_, kind)) => kind,
        None if GLOBAL_UNICAST.contains(&address) => AddressKind::Public,
        None => AddressKind::Reserved,
    }
}

/// The IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<(EmbeddedForm, Ipv4Addr)> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let from = |high: u16, low: u16| {
        let [p, q] = high.to_be_bytes();
        let [r, s] = low.to_be_bytes();
        Ipv4Addr::new(p, q, r, s)
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] => Some((EmbeddedForm::Mapped, from(g, h))),
        [0, 0, 0, 0, 0, 0] => Some((EmbeddedForm::Compatible, from(g, h))),
        [0x64, 0xff9b, 0, 0, 0, 0] => Some((EmbeddedForm::Nat64, from(g, h))),
        [0x2002, high, low, ..] => Some((EmbeddedForm::SixToFour, from(high, low))),
        // Teredo hides its client's address by inverting it.
        [0x2001, 0, ..] => Some((EmbeddedForm::Teredo, from(!g, !h))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

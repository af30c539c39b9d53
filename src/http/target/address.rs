//! The kinds of IP addresses, by the IANA special-purpose registries.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The kind of an address, by the IANA special-purpose registries and the cloud providers' documentation.
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
    /// The unspecified address, or "this network" (RFC 791).
    Unspecified,
    /// Reserved for protocols or for future use.
    Reserved,
    /// For examples in documentation.
    Documentation,
    /// For benchmarks of network devices (RFC 2544).
    Benchmark,
    /// A private network in IPv6 (RFC 4193).
    UniqueLocal,
    /// A private network in IPv6, deprecated (RFC 3879).
    SiteLocal,
    /// An IPv6 address that embeds an IPv4 address.
    EmbedsIpv4 {
        /// The mechanism.
        form: EmbeddedForm,
        /// The IPv4 address.
        address: Ipv4Addr,
        /// The kind of the IPv4 address.
        kind: Box<AddressKind>,
    },
}

/// A mechanism by which an IPv6 address embeds an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddedForm {
    /// `::ffff:0:0/96`, the same host in another notation (RFC 4291 section 2.5.5.2).
    Mapped,
    /// `::/96`, deprecated (RFC 4291 section 2.5.5.1).
    Compatible,
    /// `64:ff9b::/96`, by which IPv6-only networks reach IPv4 hosts (RFC 6052).
    Nat64,
    /// `2002::/16`, deprecated (RFC 7526).
    SixToFour,
    /// `2001::/32` (RFC 4380).
    Teredo,
}

impl AddressKind {
    /// Whether a URL from outside may point to the address. A mapped or NAT64 address has the kind of the IPv4 address. A
    /// tunnel is never public, even if it ends at a public address.
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
        let text = match self {
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
        formatter.write_str(text)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// The IPv4 networks that are not public (IANA's special-purpose registry). The first match counts.
static SPECIAL_V4: [(Ipv4Net, AddressKind); 26] = [
    // EC2, Azure and Google; ECS task credentials; EKS pod identity; Alibaba; Oracle; Azure's wire server, whose network is
    // otherwise public.
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

/// The IPv6 networks that are not public and embed no IPv4 address. The first match counts. Outside `2000::/3` nothing is
/// public, so the table contains only those whose kind is not `Reserved`.
static SPECIAL_V6: [(Ipv6Net, AddressKind); 9] = [
    // EC2's metadata, DNS, time and pod identity services in IPv6; Google's metadata.
    (v6([0xfd00, 0xec2, 0, 0], 32), AddressKind::Metadata),
    (v6([0xfd20, 0xce, 0, 0], 32), AddressKind::Metadata),
    (v6([0xfc00, 0, 0, 0], 7), AddressKind::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], 10), AddressKind::LinkLocal),
    (v6([0xfec0, 0, 0, 0], 10), AddressKind::SiteLocal),
    (v6([0xff00, 0, 0, 0], 8), AddressKind::Multicast),
    (v6([0x2001, 0xdb8, 0, 0], 32), AddressKind::Documentation),
    (v6([0x3fff, 0, 0, 0], 20), AddressKind::Documentation),
    // Protocol assignments, among them benchmarks and ORCHID.
    (v6([0x2001, 0, 0, 0], 23), AddressKind::Reserved),
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// Returns the kind of an address.
pub fn classify(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressKind {
    SPECIAL_V4
        .iter()
        .find(|(net, _)| net.contains(&address))
        .map_or(AddressKind::Public, |(_, kind)| kind.clone())
}

fn classify_v6(address: Ipv6Addr) -> AddressKind {
    if address.is_loopback() {
        return AddressKind::Loopback;
    }
    if address.is_unspecified() {
        return AddressKind::Unspecified;
    }
    if let Some((form, inner)) = embedded_ipv4(address) {
        return AddressKind::EmbedsIpv4 {
            form,
            address: inner,
            kind: Box::new(classify_v4(inner)),
        };
    }
    let special = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address));
    match special {
        Some((_, kind)) => kind.clone(),
        None if GLOBAL_UNICAST.contains(&address) => AddressKind::Public,
        None => AddressKind::Reserved,
    }
}

/// Returns the IPv4 address that an IPv6 address embeds.
fn embedded_ipv4(address: Ipv6Addr) -> Option<(EmbeddedForm, Ipv4Addr)> {
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
        // Teredo inverts the bits of the client's address.
        [0x2001, 0, ..] => Some((EmbeddedForm::Teredo, from(!g, !h))),
        _ => None,
    }
}

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;

fn kind(address: &str) -> AddressKind {
    classify(address.parse().expect("an address"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn address_in_special_network_has_its_kind() {
    use AddressKind::*;
    for (expected, addresses) in [
        (
            Public,
            &[
                "1.1.1.1",
                "8.8.8.8",
                "100.63.255.255",
                "100.128.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.167.255.255",
                "192.0.1.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "11.0.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "2606:4700:4700::1111",
                "2001:4860:4860::8888",
                "2600:1f18::1",
                "2a00::1",
                "3ffe:ffff::1",
            ][..],
        ),
        (
            Loopback,
            &["127.0.0.1", "127.0.0.2", "127.255.255.255", "::1"],
        ),
        (
            Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.0.1",
                "192.168.255.255",
            ],
        ),
        (
            LinkLocal,
            &[
                "169.254.0.1",
                "169.254.100.1",
                "169.254.255.255",
                "fe80::1",
                "febf:ffff::1",
            ],
        ),
        (
            Metadata,
            &[
                "169.254.169.254",
                "169.254.170.2",
                "169.254.170.23",
                "100.100.100.200",
                "192.0.0.192",
                "168.63.129.16",
                "fd00:ec2::254",
                "fd00:ec2::23",
                "fd20:ce::254",
            ],
        ),
        (CarrierGradeNat, &["100.64.0.0", "100.127.255.255"]),
        (
            Multicast,
            &["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
        ),
        (Unspecified, &["0.0.0.0", "0.1.2.3", "0.255.255.255", "::"]),
        (
            Reserved,
            &[
                "192.0.0.1",
                "192.88.99.1",
                "240.0.0.1",
                "255.255.255.255",
                "100::1",
                "5f00::1",
                "64:ff9b:1::1",
                "4000::1",
                "2001:1::1",
                "2001:20::1",
                "::1:0:0:1",
                "::ffff:0:1.2.3.4",
                "fe00::1",
                "200::1",
            ],
        ),
        (
            Documentation,
            &[
                "192.0.2.1",
                "198.51.100.1",
                "203.0.113.255",
                "2001:db8::1",
                "3fff::1",
                "3fff:fff::1",
            ],
        ),
        (Benchmark, &["198.18.0.1", "198.19.255.255"]),
        (UniqueLocal, &["fc00::1", "fd12:3456::1"]),
        (SiteLocal, &["fec0::1", "feff::1"]),
    ] {
        for address in addresses {
            assert_eq!(kind(address), expected, "{address}");
        }
    }
}

#[test]
fn embedded_ipv4_address_decides_whether_admitted() {
    let check =
        |address: &str| Policy::default().check_address(address.parse().expect("an address"));
    for admitted in ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
        assert_eq!(check(admitted), Ok(()), "{admitted}");
    }
    for refused in [
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "::8.8.8.8",
        "::127.0.0.1",
        "2002:0808:0808::1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ] {
        assert!(check(refused).is_err(), "{refused}");
    }
    insta::assert_snapshot!(check("::ffff:169.254.169.254").expect_err("denied"), @"address ::ffff:169.254.169.254 must not be called: it stands for 169.254.169.254 (mapped), and it is a cloud's metadata service");
    insta::assert_snapshot!(check("2002:7f00:1::").expect_err("denied"), @"address 2002:7f00:1:: must not be called: it stands for 127.0.0.1 (6to4), and it is this machine (loopback)");
    insta::assert_snapshot!(check("2001:0:4136:e378:8000:63bf:3f57:fed5").expect_err("denied"), @"address 2001:0:4136:e378:8000:63bf:3f57:fed5 must not be called: it stands for 192.168.1.42 (Teredo), and it is in a private network");
    // `allow_loopback` does not extend to embedded loopback addresses.
    let local = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    assert!(
        local
            .check_address("::ffff:127.0.0.1".parse().expect("an address"))
            .is_err()
    );
}

fn check(policy: &Policy, url: &str) -> String {
    match policy.check(&Url::parse(url).expect("a URL")) {
        Ok(()) => "ok".to_owned(),
        Err(denied) => denied.to_string(),
    }
}

#[test]
fn empty_allowed_hosts_accept_any_public_https_host() {
    let policy = Policy::default();
    for (url, expected) in [
        ("https://hooks.example.com/a?b=c", "ok"),
        ("https://hooks.example.com:443/", "ok"),
        ("https://8.8.8.8/", "ok"),
        ("http://hooks.example.com/", "it must be https"),
        ("ftp://hooks.example.com/", "it must be https"),
        (
            "mailto:a@example.com",
            "it is not an absolute URL with a host",
        ),
        (
            "https://user@hooks.example.com/",
            "it must not contain a user name or password",
        ),
        (
            "https://:pw@hooks.example.com/",
            "it must not contain a user name or password",
        ),
        (
            "https://hooks.example.com/#top",
            "it must not have a fragment (#…)",
        ),
        (
            "https://hooks.example.com:8443/",
            "port 8443 is not allowed; https uses 443, and a pattern in allowed_hosts may name another",
        ),
    ] {
        assert_eq!(check(&policy, url), expected, "{url}");
    }
}

#[test]
fn address_in_any_notation_is_denied() {
    for url in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://\u{ff11}27.0.0.1/",
        "https://0/",
        "https://%31%32%37.0.0.1/",
        "https://169.254.169.254/",
        "https://[fd00:ec2::254]/",
        "http://127.0.0.1:9001/",
    ] {
        assert!(
            check(&Policy::default(), url).starts_with("address "),
            "{url}"
        );
    }
}

#[test]
fn loopback_is_denied_unless_allowed() {
    let policy = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    for url in [
        "http://127.0.0.1:8080/",
        "http://localhost:9090/x",
        "http://LOCALHOST./",
        "https://[::1]:3000/",
        "http://app.localhost:1/",
        "http://host.docker.internal:9191/",
        "https://hooks.example.com/",
    ] {
        assert_eq!(check(&policy, url), "ok", "{url}");
    }
    for url in [
        "http://hooks.example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://169.254.169.254/",
    ] {
        assert_ne!(check(&policy, url), "ok", "{url}");
    }
    for url in [
        "http://localhost:8080/",
        "http://app.localhost/",
        "http://host.docker.internal/",
    ] {
        assert_ne!(check(&Policy::default(), url), "ok", "{url}");
    }
}

#[test]
fn runtime_api_is_always_denied() {
    let at = |runtime: &str, allow_loopback| Policy {
        allow_loopback,
        runtime_api: Some(runtime.parse().expect("an address")),
        ..Policy::default()
    };
    let local = at("127.0.0.1:9001", true);
    for url in [
        "http://127.0.0.1:9001/",
        "http://localhost:9001/",
        "http://127.0.0.2:9001/",
        "http://[::1]:9001/",
        "https://rebound.example.com:9001/",
    ] {
        assert_eq!(
            check(&local, url),
            UrlDenied::RuntimeApi.to_string(),
            "{url}"
        );
    }
    assert_eq!(check(&local, "http://127.0.0.1:9002/"), "ok");
    assert_eq!(
        check(&at("169.254.100.1:9001", true), "http://169.254.100.1/"),
        UrlDenied::RuntimeApi.to_string()
    );
    assert_eq!(
        check(&at("127.0.0.1:9001", false), "https://hooks.example.com/"),
        "ok"
    );
}

#[test]
fn host_outside_allowed_hosts_is_denied() {
    let patterns = [
        "hooks.example.com",
        "*.example.org",
        "*.example.net:8443",
        "10.0.0.5",
        "BÜCHER.example",
    ];
    let policy = Policy {
        allowed_hosts: patterns
            .iter()
            .map(|text| text.parse().expect("a pattern"))
            .collect(),
        ..Policy::default()
    };
    for url in [
        "https://hooks.example.com/",
        "https://HOOKS.example.com./",
        "https://a.example.org/",
        "https://a.b.example.org/",
        "https://a.example.net:8443/",
        "https://xn--bcher-kva.example/",
    ] {
        assert_eq!(check(&policy, url), "ok", "{url}");
    }
    for url in [
        "https://example.com/",
        "https://example.org/",
        "https://badexample.org/",
        "https://hooks.example.com:8443/",
        "https://a.example.net/",
        "https://hooks.example.com.evil.example/",
        "https://10.0.0.5/",
    ] {
        assert_ne!(check(&policy, url), "ok", "{url}");
    }
    assert_eq!(policy.allowed_hosts[2].to_string(), "*.example.net:8443");
}

#[test]
fn pattern_other_than_host_is_invalid() {
    for text in [
        "",
        "*",
        "*.",
        "https://example.com",
        "example.com/path",
        "a*.example.com",
        "*.*.example.com",
        "*.10.0.0.1",
        "example.com:",
        "example.com:0",
        "example.com:99999",
        "user@example.com",
        "exa mple.com",
        "%65xample.com",
    ] {
        assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
    }
    assert!("[2606:4700::1]:8443".parse::<HostPattern>().is_ok());
    assert!("[2606:4700::1]".parse::<HostPattern>().is_ok());
}

fn non_public_ipv4() -> impl Strategy<Value = Ipv4Addr> {
    let nets = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "0.0.0.0/8",
    ];
    (0..nets.len(), any::<u32>()).prop_map(move |(index, bits)| {
        let net: Ipv4Net = nets[index].parse().expect("a net");
        Ipv4Addr::from(u32::from(net.network()) | (bits & u32::from(net.hostmask())))
    })
}

proptest! {
    #[test]
    fn ipv6_form_of_non_public_ipv4_is_denied(address in non_public_ipv4(), allow_loopback: bool, tail: u64) {
        let policy = Policy { allow_loopback, ..Policy::default() };
        let bits = u128::from(u32::from(address));
        let forms = [
            0xffff_0000_0000 | bits,
            bits,
            0x0064_ff9b << 96 | bits,
            0x2002 << 112 | bits << 80 | u128::from(tail),
            0x2001 << 112 | u128::from(tail) << 32 | (!bits & 0xffff_ffff),
        ];
        for form in forms {
            let form = Ipv6Addr::from(form);
            // `::1` has the form of a compatible address, but is the loopback address.
            prop_assume!(!form.is_loopback());
            prop_assert!(policy.check_address(IpAddr::V6(form)).is_err(), "{}", form);
            let url = Url::parse(&format!("https://[{form}]/")).expect("a URL");
            prop_assert!(policy.check(&url).is_err(), "{}", url);
        }
        if !address.is_loopback() {
            prop_assert!(policy.check_address(IpAddr::V4(address)).is_err());
        }
    }

    #[test]
    fn ipv4_not_public_by_std_is_not_public(bits: u32) {
        let address = Ipv4Addr::from(bits);
        if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_broadcast()
            || address.is_documentation() || address.is_unspecified() || address.is_multicast() {
            prop_assert!(!classify(IpAddr::V4(address)).is_public());
        }
    }
}

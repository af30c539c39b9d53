//! Host names to which no callback can ever be delivered. They are refused before a job is accepted. Pure.

/// Why no public host can have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostNameProblem {
    /// A label is empty.
    #[error("a part between its full stops is empty")]
    EmptyLabel,
    /// A label has more than 63 bytes, or the name more than 253.
    #[error("DNS allows 63 characters between two full stops, and 253 in total")]
    TooLong,
    /// A character that no host name has.
    #[error("a host name has only letters, digits, hyphens and underscores between its full stops")]
    Character,
    /// The name has one label only.
    #[error("it is not a full name such as hooks.example.com")]
    SingleLabel,
    /// This machine, by RFC 6761.
    #[error("it is this machine (loopback)")]
    Loopback,
    /// A cloud's metadata service.
    #[error("it is a cloud's metadata service")]
    Metadata,
    /// A top-level domain that the public DNS never has, or that is reserved for private networks.
    #[error("names under this domain are not in the public DNS")]
    NotPublic,
}

/// The names of metadata services, which no configuration allows.
const METADATA: [&str; 4] = [
    "metadata.google.internal",
    "metadata.goog",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
];

/// Domains that the public DNS does not have: RFC 2606 and 6761 (example, invalid, localhost, test), RFC 6762 with its
/// appendix G (local and the others that private networks use), RFC 7686 (onion), RFC 8375 (home.arpa), RFC 9476 (alt), and
/// ICANN's reservation of `internal`.
const NOT_PUBLIC: [&str; 16] = [
    "alt",
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
];

const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;

impl HostNameProblem {
    /// What is wrong with a host name in lower case and without the full stop of its root. A name that the operator has
    /// listed may be one of a private DNS.
    pub(super) fn of(name: &str, is_listed: bool) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_below = |domain: &&str| {
            let rest = name.strip_suffix(*domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if name.split('.').any(str::is_empty) {
            return Some(Self::EmptyLabel);
        }
        if name.len() > MAX_NAME || name.split('.').any(|label| label.len() > MAX_LABEL) {
            return Some(Self::TooLong);
        }
        if !name.bytes().all(is_allowed) {
            return Some(Self::Character);
        }
        if is_below(&"localhost") {
            return Some(Self::Loopback);
        }
        if METADATA.iter().any(is_below) {
            return Some(Self::Metadata);
        }
        if is_listed {
            return None;
        }
        if !name.contains('.') {
            return Some(Self::SingleLabel);
        }
        NOT_PUBLIC.iter().any(is_below).then_some(Self::NotPublic)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;
    use crate::http::target::{HostPattern, Policy, UrlDenied};

    fn problem(policy: &Policy, url: &str) -> Option<HostNameProblem> {
        match policy.check(&Url::parse(url).expect("a URL")) {
            Err(UrlDenied::HostName { problem, .. }) => Some(problem),
            _ => None,
        }
    }

    #[test]
    fn host_that_can_never_answer_is_denied() {
        use HostNameProblem::*;
        let long = format!("https://{}.example.com/", "a".repeat(64));
        let total = format!("https://{}example.com/", "abcdefgh.".repeat(30));
        for (url, expected) in [
            ("https://./", EmptyLabel),
            ("https://../", EmptyLabel),
            ("https://.example.com/", EmptyLabel),
            ("https://hooks..example.com/", EmptyLabel),
            ("https://hooks.example.com../", EmptyLabel),
            ("https://hooks.example.com\u{3002}\u{3002}/", EmptyLabel),
            (&long, TooLong),
            (&total, TooLong),
            ("https://*.example.com/", Character),
            ("https://a!b.example.com/", Character),
            ("https://hooks/", SingleLabel),
            ("https://com./", SingleLabel),
            ("https://localhost/", Loopback),
            ("https://LocalHost./", Loopback),
            ("https://a.localhost/", Loopback),
            ("https://metadata.google.internal/", Metadata),
            (
                "https://METADATA.google.internal./computeMetadata/v1/",
                Metadata,
            ),
            ("https://metadata.goog/", Metadata),
            ("https://host.docker.internal/", NotPublic),
            ("https://ip-10-0-0-1.ec2.internal/", NotPublic),
            ("https://printer.local/", NotPublic),
            ("https://nas.lan./", NotPublic),
            ("https://router.home.arpa/", NotPublic),
            ("https://hooks.example/", NotPublic),
            ("https://a.test/", NotPublic),
            ("https://abc.onion/", NotPublic),
        ] {
            assert_eq!(problem(&Policy::default(), url), Some(expected), "{url}");
        }
        for url in [
            "https://hooks.example.com./",
            "https://my_hooks.example.com/",
            "https://xn--bcher-kva.example.com/",
            "https://b\u{fc}cher.example.com/",
            "https://local.example.com/",
            "https://notlocal.notinternal.com/",
            "https://internal.co/",
            "https://8.8.8.8/",
        ] {
            let checked = Policy::default().check(&Url::parse(url).expect("a URL"));
            assert_eq!(checked, Ok(()), "{url}");
        }
    }

    #[test]
    fn listed_private_name_is_allowed_except_metadata() {
        let list = |text: &str| Policy {
            allowed_hosts: vec![text.parse::<HostPattern>().expect("a pattern")],
            ..Policy::default()
        };
        assert_eq!(problem(&list("hooks"), "https://hooks/"), None);
        let internal = list("*.internal");
        assert_eq!(problem(&internal, "https://hooks.corp.internal/"), None);
        assert_eq!(
            problem(&internal, "https://metadata.google.internal/"),
            Some(HostNameProblem::Metadata)
        );
        let local = Policy {
            allow_loopback: true,
            ..Policy::default()
        };
        for url in ["http://localhost:1/", "http://host.docker.internal:1/"] {
            assert_eq!(
                local.check(&Url::parse(url).expect("a URL")),
                Ok(()),
                "{url}"
            );
        }
    }

    proptest! {
        /// Whatever the labels are: a name below a private domain is denied, and so is one with an empty label. The root's
        /// full stop and the case change nothing.
        #[test]
        fn name_below_private_domain_is_denied(
            labels in prop::collection::vec("[a-z0-9_]([a-z0-9-]{0,20}[a-z0-9])?", 0..4),
            domain in prop::sample::select(NOT_PUBLIC.to_vec()),
        ) {
            let name = labels.iter().map(String::as_str).chain([domain]).collect::<Vec<_>>().join(".");
            for host in [name.clone(), name.to_uppercase(), format!("{name}.")] {
                let url = format!("https://{host}/");
                if let Ok(parsed) = Url::parse(&url) {
                    prop_assert!(Policy::default().check(&parsed).is_err(), "{}", url);
                }
            }
            let public = HostNameProblem::of(&format!("{name}.example.com"), false);
            prop_assert_eq!(public, None);
            let empty = HostNameProblem::of(&format!(".{name}.example.com"), true);
            prop_assert_eq!(empty, Some(HostNameProblem::EmptyLabel));
        }
    }
}

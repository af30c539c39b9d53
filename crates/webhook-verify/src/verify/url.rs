//! URLs and forms in the form in which senders sign them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::request::{WebhookRequest, percent_decoded};
use crate::scheme::UrlVariant;

/// The URLs and their variants, without duplicates.
pub(super) fn variants(urls: &[String], kinds: &[UrlVariant]) -> Vec<String> {
    let mut found = urls.to_vec();
    let pairs = urls
        .iter()
        .flat_map(|url| kinds.iter().map(move |kind| (url, kind)));
    for (url, variant) in pairs {
        let other = match variant {
            UrlVariant::WithoutPort => with_port(url, |host, _| host.to_owned()),
            UrlVariant::WithDefaultPort => with_port(url, |host, port| match port {
                Some(port) => format!("{host}:{port}"),
                None if url.starts_with("http:") => format!("{host}:80"),
                None => format!("{host}:443"),
            }),
            UrlVariant::PercentDecoded => Some(percent_decoded(url).into_owned()),
        };
        found.extend(other.filter(|other| !found.contains(other)));
    }
    found
}

/// Replaces host and port of a URL. Uses no URL parser, because that would normalize the signed text.
fn with_port(url: &str, change: impl Fn(&str, Option<&str>) -> String) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if digits(port) => (name, Some(port)),
        _ => (host, None),
    };
    let host = change(host, port);
    Some(format!("{scheme}://{user}{host}{tail}"))
}

/// The URL that a sender calls: the public URL of the receiver, to the letter, with the path and query of the delivery. A
/// query of the public URL comes first, and is not repeated.
pub fn request_url(public_url: &str, path: &str, query: &str) -> String {
    let (address, own_query) = public_url.split_once('?').unwrap_or((public_url, ""));
    let rest = without_pairs(query, own_query);
    with_query(&with_path(address, path), &[own_query, &rest])
}

/// The URLs that a sender may have signed for a delivery with this path and query, without duplicates. Each contains every
/// parameter of the delivery.
///
/// If the public URL has a query of its own, the sender calls it with that query, so the delivery usually contains it. A
/// gateway may have removed it, or may have changed its encoding or order.
pub fn signed_urls(public_url: &str, path: &str, query: &str) -> Vec<String> {
    let as_registered = request_url(public_url, path, query);
    let (address, own_query) = public_url.split_once('?').unwrap_or((public_url, ""));
    let as_sent = with_query(&with_path(address, path), &[query]);
    let contains_own = without_pairs(own_query, query).is_empty();
    match contains_own && as_sent != as_registered {
        true => vec![as_sent, as_registered],
        false => vec![as_registered],
    }
}

fn with_path<'a>(address: &'a str, path: &str) -> Cow<'a, str> {
    match (path.is_empty(), address.ends_with('/')) {
        (true, _) => Cow::Borrowed(address),
        (false, true) => Cow::Owned(format!("{address}{path}")),
        (false, false) => Cow::Owned(format!("{address}/{path}")),
    }
}

fn with_query(url: &str, parts: &[&str]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    match parts.is_empty() {
        true => url.to_owned(),
        false => format!("{url}?{}", parts.join("&")),
    }
}

/// The pairs of a query as sent, without those that `other` contains. Each pair of `other` removes one.
fn without_pairs(query: &str, other: &str) -> String {
    let mut removed: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        form_urlencoded::parse(other.as_bytes()).collect();
    let is_kept = |raw: &&str| {
        let Some(pair) = form_urlencoded::parse(raw.as_bytes()).next() else {
            return false;
        };
        let found = removed.iter().position(|own| *own == pair);
        found.map(|index| removed.swap_remove(index)).is_none()
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    kept.join("&")
}

/// Whether the content type is that of a URL-encoded form.
pub(super) fn is_plain_form(request: &WebhookRequest<'_>) -> bool {
    let essence = request.content_type().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Concatenates the names and values of all fields: sorted by name, then by value, without duplicates.
pub(super) fn form_sorted(request: &WebhookRequest<'_>) -> Vec<u8> {
    if !is_plain_form(request) {
        return Vec::new();
    }
    let mut fields: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(request.body) {
        fields.entry(name).or_default().insert(value);
    }
    let mut text = Vec::with_capacity(request.body.len());
    for (name, values) in &fields {
        for value in values {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value.as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn public_url_is_signed_to_the_letter() {
        for (public_url, path, query, expected) in [
            ("https://a/hooks/x", "", "", &["https://a/hooks/x"][..]),
            ("https://a/hooks/x/", "", "", &["https://a/hooks/x/"]),
            (
                "HTTPS://Example.COM:443/a%2fb",
                "",
                "",
                &["HTTPS://Example.COM:443/a%2fb"],
            ),
            (
                "https://a/hooks/x",
                "b%20c",
                "",
                &["https://a/hooks/x/b%20c"],
            ),
            (
                "https://a/hooks/x/",
                "b/",
                "q=1",
                &["https://a/hooks/x/b/?q=1"],
            ),
            ("https://a/x", "", "q=1&q=2", &["https://a/x?q=1&q=2"]),
            // The query of the public URL arrives with the delivery.
            ("https://a/x?k=1", "", "k=1", &["https://a/x?k=1"]),
            (
                "https://a/x?k=1",
                "",
                "k=1&sha=2",
                &["https://a/x?k=1&sha=2"],
            ),
            ("https://a/x?k=1", "b", "k=1", &["https://a/x/b?k=1"]),
            // A gateway has removed it, or encodes it differently.
            ("https://a/x?k=1", "", "", &["https://a/x?k=1"]),
            ("https://a/x?k=1", "", "sha=2", &["https://a/x?k=1&sha=2"]),
            (
                "https://a/x?k=a%20b",
                "",
                "k=a+b",
                &["https://a/x?k=a+b", "https://a/x?k=a%20b"],
            ),
            (
                "https://a/x?k=1&l=2",
                "",
                "l=2&k=1&m=3",
                &["https://a/x?l=2&k=1&m=3", "https://a/x?k=1&l=2&m=3"],
            ),
            // Another value of the same parameter is kept.
            ("https://a/x?k=1", "", "k=2", &["https://a/x?k=1&k=2"]),
            ("https://a/x?k=1", "", "k=1&k=1", &["https://a/x?k=1&k=1"]),
        ] {
            assert_eq!(
                signed_urls(public_url, path, query),
                expected,
                "{public_url} {path} {query}"
            );
        }
    }

    proptest! {
        /// No parameter of a delivery is left out of a URL, so none is left unsigned.
        #[test]
        fn every_parameter_is_in_every_signed_url(
            own in "([ab]=[12%+ ]{0,2}&?){0,3}",
            query in "([ab]=[12%+ ]{0,2}&?){0,4}",
        ) {
            let pairs = |text: &str| {
                let mut pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
                pairs.sort();
                pairs
            };
            for url in signed_urls(&format!("https://a/x?{own}"), "", &query) {
                let mut signed = pairs(url.split_once('?').map_or("", |(_, query)| query));
                for pair in pairs(&query) {
                    let index = signed.iter().position(|other| *other == pair);
                    prop_assert!(index.is_some(), "{pair:?} in {url}");
                    signed.remove(index.unwrap_or_default());
                }
            }
        }
    }
}

//! URLs and forms in the form in which senders sign them.

use std::collections::{BTreeMap, BTreeSet};

use super::request::{WebhookRequest, percent_decoded};
use crate::scheme::UrlVariant;

/// The URL and its variants, without duplicates.
pub(super) fn variants(url: &str, kinds: &[UrlVariant]) -> Vec<String> {
    let mut found = vec![url.to_owned()];
    for variant in kinds {
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

/// The URL that a sender calls: the public URL of the receiver with the path and query of the delivery.
pub fn request_url(public_url: &str, path: &str, query: &str) -> String {
    let mut url = public_url.trim_end_matches('/').to_owned();
    if !path.is_empty() {
        url = format!("{url}/{path}");
    }
    if !query.is_empty() {
        let separator = if url.contains('?') { '&' } else { '?' };
        url = format!("{url}{separator}{query}");
    }
    url
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

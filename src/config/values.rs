//! Reads values that occur in several parts of the config.

use url::Url;

use crate::secrets::SecretRef;
use strict_reader::{Node, Object, Problems};

/// Reads a key that has a default. Returns `None` if its value is invalid.
pub(super) fn read_or<'a, T>(
    object: &mut Object<'a>,
    key: &'static str,
    default: T,
    problems: &mut Problems,
    read: impl FnOnce(&Node<'a>, &mut Problems) -> Option<T>,
) -> Option<T> {
    match object.optional(key) {
        Some(node) => read(&node, problems),
        None => Some(default),
    }
}

/// Reads a URL that has a host.
pub(super) fn read_url(node: &Node<'_>, problems: &mut Problems) -> Option<Url> {
    let url = node.string(problems)?.parse().ok().filter(Url::has_host);
    if url.is_none() {
        node.problem(problems, "is not a URL");
    }
    url
}

/// Reads a key that takes one secret reference or a list of them.
pub(super) fn read_secrets(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<SecretRef> {
    let nodes = object
        .optional(key)
        .map(|node| node.one_or_many())
        .unwrap_or_default();
    nodes
        .iter()
        .filter_map(|node| node.parse(problems))
        .collect()
}

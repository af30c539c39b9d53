//! Notes on a config that is valid, but not ready for real deliveries.

use url::{Host, Url};

use crate::cli::finding::{Finding, Severity};
use crate::config::{BinaryEventId, Config, Route};

/// All notes on a config.
pub(super) fn notes(config: &Config) -> Vec<Finding> {
    let note = |(at, message): (String, String)| Finding::new(at, Severity::Note, message);
    let examples = example_urls(config).into_iter().map(|(at, url)| {
        let message =
            format!("{url} is a reserved example address; set it to your own, or remove the key");
        (at, message)
    });
    let events = config.routes.iter().filter_map(|(name, route)| {
        let message = unsigned_events(route)?;
        Some((format!("routes.{name}.cloudevents"), message))
    });
    examples.chain(events).map(note).collect()
}

/// The URLs of a config whose host is reserved for examples, each with its key.
pub(in crate::cli) fn example_urls(config: &Config) -> Vec<(String, String)> {
    let routes = config.routes.iter();
    let urls = routes.flat_map(|(name, route)| {
        let public = route.public_url.as_ref().map(ToString::to_string);
        let callback = route.callback_url.as_ref().map(ToString::to_string);
        [("callback_url", callback), ("public_url", public)]
            .into_iter()
            .filter_map(move |(key, url)| Some((format!("routes.{name}.{key}"), url?)))
    });
    urls.filter(|(_, url)| is_example(url)).collect()
}

/// Whether the host of a URL is reserved for examples and tests (RFC 2606).
fn is_example(url: &str) -> bool {
    let parsed = Url::parse(url);
    let Some(Host::Domain(host)) = parsed.as_ref().ok().and_then(Url::host) else {
        return false;
    };
    let labels: Vec<&str> = host.trim_end_matches('.').rsplit('.').take(2).collect();
    match labels[..] {
        ["example" | "test" | "invalid", ..] => true,
        ["com" | "net" | "org", name] => name == "example",
        _ => false,
    }
}

/// Why a delivery of CloudEvents that was seen can be sent again as another event.
fn unsigned_events(route: &Route) -> Option<String> {
    route.cloudevents.as_ref()?;
    match route.verify.binary_event_id() {
        BinaryEventId::Unsigned(scheme) => Some(format!(
            "{} covers neither `ce-source` and `ce-id` nor another id, so anyone who has seen an event in binary mode can send it again \
             as another event; use structured mode, or a scheme that signs an id",
            scheme.scheme.name()
        )),
        BinaryEventId::Event | BinaryEventId::Signature => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_hosts_are_examples() {
        for url in [
            "https://ops.example.com/zoho",
            "https://example.org",
            "https://a.test/",
            "https://HOOKS.EXAMPLE.COM./x",
            "https://x.invalid",
        ] {
            assert!(is_example(url), "{url}");
        }
        for url in [
            "https://myexample.com",
            "https://example.com.de",
            "https://test.de",
            "https://192.0.2.1",
            "http://localhost",
            "no url",
        ] {
            assert!(!is_example(url), "{url}");
        }
    }
}

//! The parts that the events of all triggers share.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_LENGTH;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cli::sample_delivery::SampleDelivery;

/// Host of HTTP events, unless the route has a public URL.
const DEFAULT_HOST: &str = "hooks.example.com";

/// AWS account and region of the events.
pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "us-east-1";

/// Builds the events of a delivery.
pub(super) struct EnvelopeBuilder<'a> {
    pub(super) sample: &'a SampleDelivery,
    pub(super) source: &'a str,
    pub(super) now: Timestamp,
    pub(super) host: String,
    pub(super) path: String,
    /// The headers, repeated ones joined.
    pub(super) headers: Map<String, Value>,
    text: Option<&'a str>,
}

impl<'a> EnvelopeBuilder<'a> {
    pub(super) fn new(sample: &'a SampleDelivery, now: Timestamp) -> Self {
        let delivery = &sample.delivery;
        let url = delivery
            .public_url
            .as_deref()
            .and_then(|url| url::Url::parse(url).ok());
        let host = url
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let rest = if delivery.path.is_empty() { "" } else { "/" };
        let mut headers = Map::new();
        headers.insert("host".to_owned(), host.clone().into());
        for (name, value) in &delivery.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers.insert(name.to_string(), value.into_owned().into());
        }
        headers.insert(
            CONTENT_LENGTH.to_string(),
            delivery.body.len().to_string().into(),
        );
        headers.insert("x-forwarded-for".to_owned(), "203.0.113.9".into());
        headers.insert("x-forwarded-port".to_owned(), "443".into());
        headers.insert("x-forwarded-proto".to_owned(), "https".into());
        Self {
            path: format!("/hooks/{}{rest}{}", sample.route, delivery.path),
            source: &sample.sender,
            sample,
            now,
            host,
            headers,
            text: std::str::from_utf8(&delivery.body).ok(),
        }
    }

    /// The body as text, and whether it is base64.
    pub(super) fn body(&self) -> (String, bool) {
        self.text.map_or_else(
            || (STANDARD.encode(&self.sample.delivery.body), true),
            |text| (text.to_owned(), false),
        )
    }

    /// The decoded query parameters by name.
    pub(super) fn parameters(&self) -> BTreeMap<String, Vec<String>> {
        let mut parameters = BTreeMap::<String, Vec<String>>::new();
        let query = self.sample.delivery.query.as_bytes();
        for (name, value) in form_urlencoded::parse(query).into_owned() {
            parameters.entry(name).or_default().push(value);
        }
        parameters
    }
}

/// A time in the format of EventBridge.
pub(super) fn event_bridge_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random id in the format of AWS event ids.
pub(super) fn random_uuid() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

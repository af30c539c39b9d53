//! A sample delivery: masking of its secrets, changes of its body.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use webhook_verify::scheme::Pointer;
use webhook_verify::verify::OutgoingWebhook;

/// A signed sample delivery for a route.
pub(super) struct SampleDelivery {
    pub(super) route: String,
    /// The sender's scheme.
    pub(super) sender: String,
    pub(super) delivery: OutgoingWebhook,
    pub(super) secrets: Vec<SecretString>,
}

impl SampleDelivery {
    /// A text with its secrets replaced: as plain text, URL-encoded or in base64.
    pub(super) fn masked(&self, text: &str) -> String {
        let spellings = self.secrets.iter().flat_map(|secret| {
            let plain = secret.expose_secret();
            let escaped = form_urlencoded::byte_serialize(plain.as_bytes()).collect();
            [plain.to_owned(), escaped, STANDARD.encode(plain)]
        });
        spellings
            .filter(|spelling| !spelling.is_empty())
            .fold(text.to_owned(), |text, spelling| {
                text.replace(&spelling, "***")
            })
    }
}

/// The example of a route: a body, or a whole delivery.
pub(super) struct Example(Value);

impl Example {
    /// The example beside a config: `examples/{route}/event.json`, or `event.json` if it is for the route.
    pub(super) fn of_route(folder: &Path, route: &str, is_only: bool) -> Option<Self> {
        let own = folder.join("examples").join(route).join("event.json");
        let read = |path: &Path| -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
        };
        let beside = || {
            let event = read(&folder.join("event.json"))?;
            let is_for_route = match event["route"].as_str() {
                Some(named) if event.get("body").is_some() => named == route,
                _ => is_only,
            };
            is_for_route.then_some(event)
        };
        read(&own).or_else(beside).map(Self)
    }

    /// Replaces the body of a delivery, and its headers if the example has some.
    pub(super) fn apply_to(&self, delivery: &mut OutgoingWebhook) -> Result<(), String> {
        let whole = self.0.get("route").and(self.0.get("body"));
        for (name, value) in self.0["headers"].as_object().into_iter().flatten() {
            let (Some(_), Ok(name), Some(value)) = (whole, name.parse(), value.as_str()) else {
                continue;
            };
            delivery
                .set_header(&name, value)
                .map_err(|error| error.to_string())?;
        }
        let body = whole.unwrap_or(&self.0);
        delivery.body = match body.as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => body.to_string().into_bytes(),
        };
        Ok(())
    }
}

/// Sets a value in the body: a form field, or a JSON value by its path.
pub(super) fn set_value(
    delivery: &mut OutgoingWebhook,
    key: &str,
    value: &str,
) -> Result<(), String> {
    let content_type = delivery
        .headers
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    let is_form = content_type.is_some_and(|text| {
        text.starts_with(b"application/x-www-form-urlencoded") || text.starts_with(b"multipart/")
    });
    if is_form {
        return delivery
            .set_field(key, value)
            .map_err(|error| error.to_string());
    }
    let pointer = if key.starts_with('/') {
        key.to_owned()
    } else {
        let escaped = key
            .trim_start_matches('.')
            .replace('~', "~0")
            .replace('/', "~1");
        format!("/{}", escaped.replace('.', "/"))
    };
    let pointer: Pointer = pointer
        .parse()
        .map_err(|error| format!("`{key}` {error}"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    delivery
        .set_json(&pointer, &value)
        .map_err(|error| error.to_string())
}

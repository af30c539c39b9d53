//! A sample delivery: masking of its secrets, changes of its body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use webhook_verify::scheme::Pointer;
use webhook_verify::verify::OutgoingWebhook;

use crate::config::RouteExample;

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

/// Replaces the body of a delivery by that of an example, and its headers if the example has some.
pub(super) fn apply_example(
    example: &RouteExample,
    delivery: &mut OutgoingWebhook,
) -> Result<(), String> {
    for (name, value) in example.headers() {
        let Ok(name) = name.parse() else {
            continue;
        };
        delivery
            .set_header(&name, value)
            .map_err(|error| error.to_string())?;
    }
    delivery.body = example.body().into_bytes();
    Ok(())
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

//! A delivery to send, whose parts can be set: the counterpart of [`super::request`].

use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::request::{WebhookRequest, debug_delivery};
use super::url;
use crate::body;
use crate::scheme::{Pointer, Scheme, ValueSelector};

/// A delivery to send.
#[derive(Clone)]
pub struct OutgoingWebhook {
    /// Delivery id, for senders with a header for it.
    pub id: String,
    /// HTTP method.
    pub method: Method,
    /// Public URL of the receiver, for senders that sign it.
    pub public_url: Option<String>,
    /// Path below the receiver's URL, without the leading slash.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl fmt::Debug for OutgoingWebhook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_delivery("OutgoingWebhook", &self.headers, &self.body, formatter)
    }
}

/// Reason why a part of a delivery cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// The text is not a valid header value.
    #[error("the value for header {0} is not a valid header value")]
    NotAHeaderValue(String),
    /// The body has no such field, or is of another kind.
    #[error("the body has no place for {0}")]
    NoPlace(String),
}

impl OutgoingWebhook {
    /// A POST request with a body.
    pub fn new(id: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            id: id.into(),
            method: Method::POST,
            public_url: None,
            path: String::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// The delivery as the receiver sees it. `urls` is [`Self::url`].
    pub(super) fn received<'a>(&'a self, urls: &'a [String]) -> WebhookRequest<'a> {
        WebhookRequest::new(&self.headers, &self.body)
            .method(self.method.as_str())
            .path(&self.path)
            .query(&self.query)
            .urls(urls)
    }

    /// The URL to call: the public URL with path and query.
    pub fn url(&self) -> Option<String> {
        let url = self.public_url.as_deref()?;
        Some(url::request_url(url, &self.path, &self.query))
    }

    /// Sets a part, and replaces its previous value.
    ///
    /// # Errors
    /// [`PlacementError`].
    pub fn set(&mut self, part: &ValueSelector, text: &str) -> Result<(), PlacementError> {
        match part {
            ValueSelector::Header(name) => match part.numbered_stem() {
                Some(stem) => self.set_numbered_header(stem, text),
                None => self.set_header(name, text),
            },
            ValueSelector::Query(name) => {
                self.query = with_pair(self.query.as_bytes(), name, text);
                Ok(())
            }
            ValueSelector::Form(name) => self.set_field(name, text),
            ValueSelector::Json(pointer) => self.set_json(pointer, &Value::from(text)),
            ValueSelector::Path(index) => {
                let mut segments: Vec<&str> = self
                    .path
                    .split('/')
                    .filter(|part| !part.is_empty())
                    .collect();
                let escaped: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                let escaped = escaped.replace('+', "%20");
                segments.resize(segments.len().max(index + 1), "-");
                segments[*index] = &escaped;
                self.path = segments.join("/");
                Ok(())
            }
        }
    }

    /// Sets a header.
    ///
    /// # Errors
    /// [`PlacementError::NotAHeaderValue`].
    pub fn set_header(&mut self, name: &HeaderName, text: &str) -> Result<(), PlacementError> {
        let value = HeaderValue::from_str(text)
            .map_err(|_| PlacementError::NotAHeaderValue(name.to_string()))?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Sets the first of the numbered headers, and removes the others.
    fn set_numbered_header(&mut self, stem: &str, text: &str) -> Result<(), PlacementError> {
        let names: Vec<HeaderName> = self.headers.keys().cloned().collect();
        for name in names.iter().filter(|name| name.as_str().starts_with(stem)) {
            self.headers.remove(name);
        }
        let first: HeaderName = format!("{stem}1")
            .parse()
            .map_err(|_| PlacementError::NotAHeaderValue(stem.to_owned()))?;
        self.set_header(&first, text)
    }

    /// Sets a value of a JSON body.
    ///
    /// # Errors
    /// [`PlacementError::NoPlace`].
    pub fn set_json(&mut self, pointer: &Pointer, value: &Value) -> Result<(), PlacementError> {
        let no_place = || PlacementError::NoPlace(ValueSelector::Json(pointer.clone()).to_string());
        let mut root: Value = serde_json::from_slice(&self.body).map_err(|_| no_place())?;
        if !pointer.set(&mut root, value) {
            return Err(no_place());
        }
        self.body = root.to_string().into_bytes();
        Ok(())
    }

    /// Sets a field of a URL-encoded or multipart form.
    ///
    /// # Errors
    /// [`PlacementError::NoPlace`].
    pub fn set_field(&mut self, name: &str, text: &str) -> Result<(), PlacementError> {
        let no_place = || PlacementError::NoPlace(ValueSelector::Form(name.to_owned()).to_string());
        if url::is_plain_form(&self.received(&[])) {
            self.body = with_pair(&self.body, name, text).into_bytes();
            return Ok(());
        }
        let content_type = self.headers.get(CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let boundary = body::multipart_boundary(content_type, &self.body)
            .filter(|_| !name.contains(['"', '\r', '\n']))
            .ok_or_else(no_place)?;
        let (rule, head) = (
            format!("--{boundary}"),
            format!("; name=\"{name}\"\r\n\r\n"),
        );
        let body = String::from_utf8(self.body.clone()).map_err(|_| no_place())?;
        let part = format!("\r\nContent-Disposition: form-data{head}{text}\r\n");
        let mut parts: Vec<&str> = body.split(rule.as_str()).collect();
        match parts.iter().position(|part| part.contains(&head)) {
            Some(index) => parts[index] = &part,
            None => parts.insert(parts.len().saturating_sub(1).max(1), &part),
        }
        let body = parts.join(&rule).into_bytes();
        // A form with another error cannot be read back.
        body::fields(Some(content_type), &body)
            .unwrap_or_default()
            .iter()
            .find(|(field, value)| field == name && value == text)
            .ok_or_else(no_place)?;
        self.body = body;
        Ok(())
    }

    /// Replaces an existing delivery id in the body or the query, so that the delivery is not a duplicate of an earlier one.
    ///
    /// # Errors
    /// [`PlacementError`].
    pub fn replace_delivery_id(&mut self, scheme: &Scheme) -> Result<(), PlacementError> {
        for spec in scheme.specs() {
            for part in &spec.delivery_id {
                // One new part makes the whole id new, and the others may be of interest to the receiver.
                if self.replace_part(part)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Replaces a part of the delivery id, if the delivery has it once. Returns whether it has.
    fn replace_part(&mut self, part: &ValueSelector) -> Result<bool, PlacementError> {
        let has_id = {
            let request = self.received(&[]);
            let parts = super::RequestParts::new(&request);
            parts.all(part).is_some_and(|found| found.len() == 1)
        };
        if !has_id {
            return Ok(false);
        }
        let is_number = |pointer: &Pointer| {
            let root = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
            let found = pointer.find(&root).unwrap_or_default();
            found.iter().all(|value| value.is_number())
        };
        match part {
            ValueSelector::Json(pointer) if is_number(pointer) => {
                let number = self.id.bytes().fold(1_u64, |number, byte| {
                    number.wrapping_mul(31).wrapping_add(byte.into())
                });
                // 12 digits are exact in every JSON parser.
                self.set_json(pointer, &Value::from(number % 1_000_000_000_000))?;
            }
            ValueSelector::Header(_)
            | ValueSelector::Query(_)
            | ValueSelector::Form(_)
            | ValueSelector::Json(_)
            | ValueSelector::Path(_) => self.set(part, &self.id.clone())?,
        }
        Ok(true)
    }
}

/// Sets a pair of a URL-encoded text, at its old position or at the end.
fn with_pair(pairs: &[u8], name: &str, text: &str) -> String {
    let mut found = false;
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(pairs)
        .into_owned()
        .filter_map(|(key, value)| {
            let matches = key == name;
            let is_repeated = matches && std::mem::replace(&mut found, true);
            (!is_repeated).then(|| {
                if matches {
                    (key, text.to_owned())
                } else {
                    (key, value)
                }
            })
        })
        .collect();
    if !found {
        pairs.push((name.to_owned(), text.to_owned()));
    }
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

//! An unverified request and its parts.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::error::VerifyError;
use crate::body;
use crate::scheme::{Pointer, ValueSelector};

/// An unverified request.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct WebhookRequest<'a> {
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body as received, byte for byte.
    pub body: &'a [u8],
    method: &'a str,
    query: Option<&'a str>,
    path: &'a str,
    urls: &'a [String],
    keys: Option<&'a str>,
}

impl fmt::Debug for WebhookRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_delivery("WebhookRequest", self.headers, self.body, formatter)
    }
}

/// Prints names and lengths only: values may be signatures, and bodies may be personal data.
pub(super) fn debug_delivery(
    name: &str,
    headers: &HeaderMap,
    body: &[u8],
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    formatter
        .debug_struct(name)
        .field("headers", &names)
        .field("body_bytes", &body.len())
        .finish_non_exhaustive()
}

impl<'a> WebhookRequest<'a> {
    /// A POST request.
    pub fn new(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self {
            headers,
            body,
            method: "POST",
            query: None,
            path: "",
            urls: &[],
            keys: None,
        }
    }

    /// Sets the method.
    #[must_use]
    pub fn method(self, method: &'a str) -> Self {
        Self { method, ..self }
    }

    /// Sets the query as sent, without its `?`. The default is the query of the first URL.
    #[must_use]
    pub fn query(self, query: &'a str) -> Self {
        let query = Some(query);
        Self { query, ..self }
    }

    /// Sets the path below the route, as sent.
    #[must_use]
    pub fn path(self, path: &'a str) -> Self {
        Self { path, ..self }
    }

    /// Sets the public URL that the sender called, with its query, in each form in which the sender may have signed it
    /// ([`super::signed_urls`]).
    #[must_use]
    pub fn urls(self, urls: &'a [String]) -> Self {
        Self { urls, ..self }
    }

    /// Sets the keys that the sender publishes: a certificate in PEM, or a JSON Web Key Set. They must come from the URL that
    /// [`super::keys_url`] returns.
    #[must_use]
    pub fn keys(self, keys: &'a str) -> Self {
        let keys = Some(keys);
        Self { keys, ..self }
    }

    pub(super) fn fetched_keys(&self) -> Option<&'a str> {
        self.keys
    }

    pub(super) fn public_urls(&self) -> &'a [String] {
        self.urls
    }

    pub(crate) fn method_name(&self) -> &'a str {
        self.method
    }

    pub(super) fn content_type(&self) -> Option<&'a str> {
        let value = self.headers.get(CONTENT_TYPE)?;
        value.to_str().ok()
    }

    fn query_text(&self) -> &'a str {
        let of_url = || {
            let url = self.urls.first().map_or("", String::as_str);
            let url = url.split('#').next().unwrap_or_default();
            url.split_once('?').map_or("", |(_, query)| query)
        };
        self.query.unwrap_or_else(of_url)
    }
}

/// The parts of a request, each decoded at most once.
pub(crate) struct RequestParts<'a> {
    pub(crate) request: &'a WebhookRequest<'a>,
    json: OnceCell<Option<Value>>,
    fields: OnceCell<Vec<(String, String)>>,
}

impl<'a> RequestParts<'a> {
    pub(crate) fn new(request: &'a WebhookRequest<'a>) -> Self {
        Self {
            request,
            json: OnceCell::new(),
            fields: OnceCell::new(),
        }
    }

    /// The body, if it is JSON, independent of its content type.
    pub(crate) fn json(&self) -> Option<&Value> {
        let parse = || {
            let body = body::strip_bom(self.request.body);
            let repaired = strict_reader::replace_lone_surrogates(body);
            serde_json::from_slice(&repaired.text).ok()
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// The fields of the body, if it is a URL-encoded or multipart form.
    pub(super) fn fields(&self) -> &[(String, String)] {
        let decode = || body::fields(self.request.content_type(), self.request.body);
        self.fields.get_or_init(|| decode().unwrap_or_default())
    }

    /// The single value of a part; `None` if it is absent. Equal values count as one.
    pub(crate) fn one(
        &self,
        selector: &ValueSelector,
    ) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        self.one_below(selector, None)
    }

    /// The single value of a part, with JSON pointers relative to `root`.
    pub(super) fn one_below<'b>(
        &'b self,
        selector: &ValueSelector,
        root: Option<&'b Value>,
    ) -> Result<Option<Cow<'b, [u8]>>, VerifyError> {
        if let ValueSelector::Header(name) = selector {
            let value = single_header(self.request.headers, name)?;
            return Ok(value.map(|value| Cow::Borrowed(value.as_bytes())));
        }
        let mut values = self
            .all_below(selector, root)
            .unwrap_or_default()
            .into_iter();
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            let part = selector.to_string();
            return Err(VerifyError::RepeatedPart { part });
        }
        Ok(first.map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }))
    }

    /// All values of a part; `None` if it is absent or not text.
    pub(super) fn all(&self, selector: &ValueSelector) -> Option<Vec<Cow<'_, str>>> {
        self.all_below(selector, None)
    }

    fn all_below<'b>(
        &'b self,
        selector: &ValueSelector,
        root: Option<&'b Value>,
    ) -> Option<Vec<Cow<'b, str>>> {
        let found: Vec<Cow<'b, str>> = match selector {
            ValueSelector::Header(name) => {
                let values = self.request.headers.get_all(name).iter();
                let texts = values.map(|value| value.to_str().map(Cow::Borrowed).ok());
                texts.collect::<Option<_>>()?
            }
            ValueSelector::Query(name) => {
                form_urlencoded::parse(self.request.query_text().as_bytes())
                    .filter(|(key, _)| key == name)
                    .map(|(_, value)| value)
                    .collect()
            }
            ValueSelector::Form(name) => self
                .fields()
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| Cow::Borrowed(value.as_str()))
                .collect(),
            ValueSelector::Json(pointer) => {
                let found = pointer.find(root.or_else(|| self.json())?)?;
                found.into_iter().map(scalar).collect::<Option<_>>()?
            }
            ValueSelector::Path(index) => {
                let mut segments = self.request.path.split('/').filter(|part| !part.is_empty());
                segments
                    .nth(*index)
                    .map(percent_decoded)
                    .into_iter()
                    .collect()
            }
        };
        Some(found).filter(|found| !found.is_empty())
    }

    /// An optional value of a JSON body; empty if it is absent.
    pub(super) fn optional_text<'b>(
        &'b self,
        pointer: &Pointer,
        root: Option<&'b Value>,
    ) -> Cow<'b, str> {
        let root = root.or_else(|| self.json());
        let found = root.and_then(|root| pointer.find(root));
        match found.as_deref() {
            Some([value]) => scalar(value).unwrap_or_default(),
            _ => Cow::default(),
        }
    }
}

/// A value as text. Floats have no exact text; objects and lists have none.
fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The value of a header. Equal lines count as one; different ones are an error.
pub(super) fn single_header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Err(VerifyError::RepeatedHeader {
            header: name.to_string(),
        });
    }
    Ok(first)
}

/// The error for a missing part.
pub(super) fn missing(selector: &ValueSelector) -> VerifyError {
    if let ValueSelector::Header(name) = selector {
        let header = name.to_string();
        return VerifyError::MissingHeader { header };
    }
    let part = selector.to_string();
    VerifyError::MissingPart { part }
}

/// Percent-decodes a text. Plus signs do not change, nor does a text whose decoded bytes are not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = body::percent_decoded(text.as_bytes());
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

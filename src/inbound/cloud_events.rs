//! CloudEvents 1.0 over HTTP: the attributes and the data of an event in binary or structured mode, and the handshake by which
//! its sender asks for permission. Pure.
//!
//! Specifications: [core](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md),
//! [HTTP](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md),
//! [JSON](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
//! [webhooks](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use webhook_verify::body::percent_decoded;

use crate::mapping::{Document, InvalidJson};

/// The prefix of headers with attributes.
const HEADER_PREFIX: &str = "ce-";

/// The header that marks binary mode.
const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// The start of the content types of structured and batched events.
const MEDIA_TYPE: &str = "application/cloudevents";

/// The content type of structured mode.
pub const STRUCTURED_TYPE: &str = "application/cloudevents+json";

/// The longest name of an attribute. The specification advises at most 20 characters.
const MAX_NAME: usize = 100;

/// Characters of an input that an error shows.
const SHOWN: usize = 80;

/// Why a request is no CloudEvent that can be read.
#[derive(Debug, thiserror::Error)]
pub enum CloudEventError {
    /// It is a batch.
    #[error("this is a batch of CloudEvents; send each event in a request of its own")]
    Batch,
    /// The event is not written in JSON.
    #[error(
        "the event format `{0}` is not read; send application/cloudevents+json, or binary mode"
    )]
    Format(String),
    /// It has several content types.
    #[error("it has several headers `Content-Type`")]
    SeveralTypes,
    /// It has no sign of an event.
    #[error(
        "it has neither the content type application/cloudevents+json nor the header `ce-specversion`"
    )]
    NoEvent,
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(InvalidJson),
    /// It is JSON, but no object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// It is of another version.
    #[error("its `specversion` is `{0}`; only 1.0 is read")]
    Version(String),
    /// A required attribute is missing or empty.
    #[error("its attribute `{0}` is missing or empty")]
    Missing(&'static str),
    /// The name of an attribute has other characters than a-z and 0-9.
    #[error("`{0}` is not a name of an attribute; names have lower-case letters and digits only")]
    Name(String),
    /// The value of an attribute is not valid.
    #[error("its attribute `{name}` {problem}")]
    Value {
        /// The attribute.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It has `data` and `data_base64`.
    #[error("it has both `data` and `data_base64`")]
    TwoBodies,
    /// `data_base64` is not base64.
    #[error("its `data_base64` is not a string in base64")]
    NotBase64,
}

impl CloudEventError {
    /// Whether the media type is the problem.
    pub fn is_about_media_type(&self) -> bool {
        matches!(self, Self::Batch | Self::Format(_))
    }
}

/// How a request contains an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentMode {
    /// The attributes are in headers, and the body is the data.
    Binary,
    /// The body is the event in JSON.
    Structured,
}

impl ContentMode {
    /// The mode of a request with these headers.
    ///
    /// # Errors
    /// [`CloudEventError`] if it contains no single event that can be read.
    pub fn of(headers: &HeaderMap) -> Result<Self, CloudEventError> {
        if headers.get_all(CONTENT_TYPE).iter().nth(1).is_some() {
            return Err(CloudEventError::SeveralTypes);
        }
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let content_type = String::from_utf8_lossy(content_type.unwrap_or_default());
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let media_type = media_type.to_ascii_lowercase();
        match media_type.strip_prefix(MEDIA_TYPE) {
            Some("+json") => Ok(Self::Structured),
            Some(rest) if rest.starts_with("-batch") => Err(CloudEventError::Batch),
            Some(_) => Err(CloudEventError::Format(shown(&media_type))),
            None if headers.contains_key(SPEC_VERSION) => Ok(Self::Binary),
            None => Err(CloudEventError::NoEvent),
        }
    }
}

/// Whether a body is an event in JSON, whatever its content type is.
pub fn is_structured(body: &[u8]) -> bool {
    let members = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body);
    members.is_ok_and(|members| members.contains_key("specversion"))
}

/// The attributes of an event, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// Reads the attributes of an event in binary mode.
    ///
    /// # Errors
    /// [`CloudEventError`].
    pub fn of_headers(headers: &HeaderMap) -> Result<Self, CloudEventError> {
        let mut attributes = BTreeMap::new();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) else {
                continue;
            };
            let problem = "is not percent-encoded UTF-8, or repeated";
            let invalid = || CloudEventError::Value {
                name: shown(name),
                problem,
            };
            let value = header_text(value.as_bytes()).ok_or_else(invalid)?;
            if attributes.insert(name.to_owned(), value).is_some() {
                return Err(invalid());
            }
        }
        // The content type of the request says what the data is.
        attributes.remove("datacontenttype");
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if let Some(content_type) = content_type {
            attributes.insert("datacontenttype".to_owned(), content_type.to_owned());
        }
        Self(attributes).checked()
    }

    /// The attributes by their names.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The id of the delivery: source and id together identify an event. A source is a URI-reference, which has no spaces.
    pub fn delivery_id(&self) -> String {
        let part = |name| self.0.get(name).map_or("", String::as_str);
        format!("{} {}", part("source"), part("id"))
    }

    /// The content type of the data.
    pub fn content_type(&self) -> Option<&str> {
        self.0.get("datacontenttype").map(String::as_str)
    }

    fn checked(self) -> Result<Self, CloudEventError> {
        match self.0.get("specversion").map(String::as_str) {
            Some("1.0") => {}
            Some(other) => return Err(CloudEventError::Version(shown(other))),
            None => return Err(CloudEventError::Missing("specversion")),
        }
        for name in ["id", "source", "type"] {
            if self.0.get(name).is_none_or(String::is_empty) {
                return Err(CloudEventError::Missing(name));
            }
        }
        for (name, value) in &self.0 {
            check_attribute(name, value)?;
        }
        Ok(self)
    }
}

fn check_attribute(name: &str, value: &str) -> Result<(), CloudEventError> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name) {
        return Err(CloudEventError::Name(shown(name)));
    }
    let problem = match name {
        "source" | "dataschema" if value.is_empty() || value.contains(char::is_whitespace) => {
            Some("is not a URI")
        }
        "subject" if value.is_empty() => Some("is empty"),
        "time" if value.parse::<Timestamp>().is_err() => Some("is not a time in RFC 3339"),
        _ if value.contains(char::is_control) => Some("has a control character"),
        _ => None,
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(CloudEventError::Value {
            name: shown(name),
            problem,
        }),
    }
}

/// The data of an event in structured mode.
#[derive(Debug)]
pub enum EventData {
    /// A JSON value; null if there is no data.
    Json(Document),
    /// Bytes, which [`Attributes::content_type`] describes.
    Bytes(Vec<u8>),
}

/// An event in structured mode.
#[derive(Debug)]
pub struct StructuredEvent {
    /// Its attributes.
    pub attributes: Attributes,
    /// Its data.
    pub data: EventData,
}

impl StructuredEvent {
    /// Reads an event in JSON.
    ///
    /// # Errors
    /// [`CloudEventError`].
    pub fn read(body: &[u8]) -> Result<Self, CloudEventError> {
        // It refuses duplicate keys.
        let document = Document::from_json(body).map_err(CloudEventError::NotJson)?;
        let members: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(document.text());
        let mut members = members.map_err(|_| CloudEventError::NotAnObject)?;
        let data = members.remove("data");
        let data_base64 = members
            .remove("data_base64")
            .filter(|raw| raw.get() != "null");
        let mut attributes = BTreeMap::new();
        for (name, raw) in members {
            attributes.extend(attribute_text(&name, raw)?.map(|value| (name, value)));
        }
        let attributes = Attributes(attributes).checked()?;
        let data = match (data, data_base64) {
            (Some(data), Some(_)) if data.get() != "null" => {
                return Err(CloudEventError::TwoBodies);
            }
            (_, Some(encoded)) => {
                let text: String =
                    serde_json::from_str(encoded.get()).map_err(|_| CloudEventError::NotBase64)?;
                let bytes = STANDARD.decode(text);
                EventData::Bytes(bytes.map_err(|_| CloudEventError::NotBase64)?)
            }
            (Some(data), None) => json_data(data, attributes.content_type())?,
            (None, None) => EventData::Json(Document::from_value(&Value::Null)),
        };
        Ok(Self { attributes, data })
    }
}

/// The member `data`. A string is the text of the data itself if its content type is not JSON.
fn json_data(data: &RawValue, content_type: Option<&str>) -> Result<EventData, CloudEventError> {
    let is_decoded = content_type.is_some_and(|kind| !is_json(kind) && !is_plain_text(kind));
    if is_decoded && let Ok(text) = serde_json::from_str::<String>(data.get()) {
        return Ok(EventData::Bytes(text.into_bytes()));
    }
    let document = Document::from_json(data.get().as_bytes());
    Ok(EventData::Json(document.map_err(CloudEventError::NotJson)?))
}

fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// Whether a content type is JSON.
pub fn is_json(content_type: &str) -> bool {
    let media_type = media_type(content_type);
    let subtype = media_type
        .split_once('/')
        .map_or("", |(_, subtype)| subtype);
    subtype == "json" || subtype.ends_with("+json")
}

fn is_plain_text(content_type: &str) -> bool {
    media_type(content_type) == "text/plain"
}

/// The value of an attribute in JSON; none if it is null, which counts as absent.
fn attribute_text(name: &str, raw: &RawValue) -> Result<Option<String>, CloudEventError> {
    let invalid = || CloudEventError::Value {
        name: shown(name),
        problem: "is neither a string nor a boolean nor a whole number",
    };
    match serde_json::from_str(raw.get()) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::String(text)) => Ok(Some(text)),
        Ok(Value::Bool(value)) => Ok(Some(value.to_string())),
        Ok(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Ok(Value::Number(_) | Value::Array(_) | Value::Object(_)) | Err(_) => Err(invalid()),
    }
}

/// The text in a header: percent-encoded, and quoted by some senders.
fn header_text(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let unquoted = match text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    {
        None => text.to_owned(),
        Some(quoted) => {
            let mut characters = quoted.chars();
            let mut plain = String::with_capacity(quoted.len());
            while let Some(character) = characters.next() {
                match character {
                    '\\' => plain.push(characters.next()?),
                    other => plain.push(other),
                }
            }
            plain
        }
    };
    String::from_utf8(percent_decoded(unquoted.as_bytes())).ok()
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;

//! Decodes the body of a delivery, or the data of a CloudEvent.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Value;
use webhook_verify::body::{self, Body, BodyError, Unpacked};

use super::cloud_events::{Attributes, CloudEventError, ContentMode, EventData, StructuredEvent};
use super::delivery::DeliveryContent;
use super::rejection::Rejection;
use crate::mapping::Document;

/// A decoded body.
pub(super) struct DecodedBody<'a> {
    pub(super) document: Document,
    /// The body without its content encoding.
    pub(super) unpacked: Cow<'a, [u8]>,
    /// The parts of a multipart form that are not fields, each with the reason.
    pub(super) part_problems: Vec<String>,
    /// The attributes of a CloudEvent.
    pub(super) attributes: Option<Attributes>,
}

impl DeliveryContent {
    /// Decodes the body, or the data of a CloudEvent.
    pub(super) fn decode(&self, route: &str, limit: usize) -> Result<DecodedBody<'_>, Rejection> {
        if !self.is_cloud_event {
            return self.decode_body(limit);
        }
        let rejected = |error| Rejection::NotACloudEvent {
            route: route.to_owned(),
            error,
        };
        // A message of AWS has no headers, so it contains the whole event.
        let mode = match self.origin.trigger.has_signatures() {
            true => ContentMode::of(&self.headers).map_err(rejected)?,
            false => ContentMode::Structured,
        };
        match mode {
            ContentMode::Binary => {
                let attributes = Attributes::of_headers(&self.headers).map_err(rejected)?;
                let decoded = match self.body.is_empty() {
                    true => DecodedBody::of(Document::from_value(&Value::Null), &[]),
                    false => self.decode_body(limit)?,
                };
                Ok(DecodedBody {
                    attributes: Some(attributes),
                    ..decoded
                })
            }
            ContentMode::Structured => self.decode_structured(limit, rejected),
        }
    }

    /// Decodes the data of a CloudEvent in structured mode.
    fn decode_structured(
        &self,
        limit: usize,
        rejected: impl Fn(CloudEventError) -> Rejection,
    ) -> Result<DecodedBody<'_>, Rejection> {
        let encoding = self.headers.get(CONTENT_ENCODING);
        let encoding = encoding.and_then(|value| value.to_str().ok());
        let unpacked = body::unpack(Some("application/json"), encoding, &self.body, limit);
        let unpacked = unpacked.map_err(Rejection::Body)?.bytes;
        let event = StructuredEvent::read(&unpacked).map_err(rejected)?;
        let mut part_problems = Vec::new();
        let document = match event.data {
            EventData::Json(document) => document,
            EventData::Bytes(bytes) => {
                let kind = event.attributes.content_type();
                let data = body::unpack(kind, None, &bytes, limit).map_err(Rejection::Body)?;
                document_of(&data, &mut part_problems)?
            }
        };
        Ok(DecodedBody {
            document,
            unpacked,
            part_problems,
            attributes: Some(event.attributes),
        })
    }

    /// Decodes the body.
    fn decode_body(&self, limit: usize) -> Result<DecodedBody<'_>, Rejection> {
        if !self.origin.trigger.has_signatures() {
            if self.body.len() > limit {
                return Err(Rejection::Body(BodyError::TooLarge { limit }));
            }
            return Ok(DecodedBody::of(message_document(&self.body)?, &self.body));
        }
        let header = |name| {
            let value = self.headers.get(name)?;
            value.to_str().ok()
        };
        let (content_type, encoding) = (header(CONTENT_TYPE), header(CONTENT_ENCODING));
        let unpacked =
            body::unpack(content_type, encoding, &self.body, limit).map_err(Rejection::Body)?;
        let mut part_problems = Vec::new();
        let document = document_of(&unpacked, &mut part_problems)?;
        Ok(DecodedBody {
            part_problems,
            document,
            unpacked: unpacked.bytes,
            attributes: None,
        })
    }
}

impl<'a> DecodedBody<'a> {
    /// A document, and the bytes that it was read from.
    fn of(document: Document, bytes: &'a [u8]) -> Self {
        Self {
            document,
            unpacked: Cow::Borrowed(bytes),
            part_problems: Vec::new(),
            attributes: None,
        }
    }
}

/// The document in an unpacked body. Parts of a form that cannot be read are added to `part_problems`.
fn document_of(
    unpacked: &Unpacked<'_>,
    part_problems: &mut Vec<String>,
) -> Result<Document, Rejection> {
    Ok(match unpacked.decode().map_err(Rejection::Body)? {
        Body::Json(text) => Document::from_json(text).map_err(Rejection::NotJson)?,
        Body::Tree(tree) => {
            *part_problems = body::part_problems(&tree);
            Document::from_value(&tree)
        }
    })
}

/// The document in a message of a queue or a topic: JSON if it is JSON or looks like an object or a list, else the text
/// itself.
fn message_document(body: &[u8]) -> Result<Document, Rejection> {
    let looks_like_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    match (Document::from_json(body), std::str::from_utf8(body)) {
        (Ok(document), _) => Ok(document),
        (Err(_), Ok(text)) if !looks_like_json => {
            Ok(Document::from_value(&Value::String(text.to_owned())))
        }
        (Err(not_json), _) => Err(Rejection::NotJson(not_json)),
    }
}

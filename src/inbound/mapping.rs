//! Runs a route's programs over a verified delivery.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use jiff::Timestamp;
use serde_json::Value;
use webhook_verify::body::{self, Body, BodyError};

use super::Delivery;
use super::rejection::Rejection;
use crate::config::Limits;
use crate::mapping::{self, Document, MappingInput, Program, ProgramKey};
use crate::update::UpdateRequest;

/// Result of mapping a delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingOutcome {
    /// The id that distinguishes the delivery from all others of its route.
    pub delivery_id: String,
    /// The update requests; empty if the route ignores the delivery.
    pub updates: Vec<UpdateRequest>,
    /// Why the route ignores the delivery.
    pub ignored: Option<IgnoreReason>,
}

/// Why a route ignores a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreReason {
    /// An expression of `when` is false.
    When(ProgramKey),
    /// `map` has no output.
    Map,
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::When(key) => write!(formatter, "`{key}` is false"),
            Self::Map => formatter.write_str("`map` yields nothing"),
        }
    }
}

/// The values that a route's programs are given.
pub struct DecodedDelivery<'a> {
    body: Document,
    unpacked: Cow<'a, [u8]>,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    trigger: BTreeMap<String, String>,
    route: &'a str,
    received_at: Timestamp,
}

impl DecodedDelivery<'_> {
    /// The input of the route's programs.
    pub fn input(&self) -> MappingInput<'_> {
        MappingInput {
            body: &self.body,
            headers: &self.headers,
            query: &self.query,
            route: self.route,
            received_at: self.received_at,
            raw: std::str::from_utf8(&self.unpacked).ok(),
            trigger: &self.trigger,
        }
    }
}

impl Delivery<'_> {
    /// Maps the delivery to update requests.
    ///
    /// # Errors
    /// [`Rejection`] if the body cannot be read or a program fails.
    pub async fn map(&self, limits: &Limits) -> Result<MappingOutcome, Rejection> {
        let decoded = self.decode(limits)?;
        let input = decoded.input();
        let when = &self.route().settings.when;
        for (index, expression) in when.iter().enumerate() {
            let key = ProgramKey::of_when(index, when.len());
            if !holds(key, expression, &input, limits).await? {
                return Ok(MappingOutcome {
                    delivery_id: String::new(),
                    updates: Vec::new(),
                    ignored: Some(IgnoreReason::When(key)),
                });
            }
        }
        self.map_decoded(&input, limits).await
    }

    /// Maps a delivery for which `when` holds.
    ///
    /// # Errors
    /// [`Rejection`] if a program fails or an output is not an update request.
    pub(crate) async fn map_decoded(
        &self,
        input: &MappingInput<'_>,
        limits: &Limits,
    ) -> Result<MappingOutcome, Rejection> {
        let route = self.route().settings;
        let own_id = match &route.delivery_id {
            Some(program) => {
                let outputs = run(ProgramKey::DeliveryId, program, input, limits).await?;
                outputs.into_iter().next().and_then(as_id)
            }
            None => None,
        };
        let delivery_id = own_id
            .or_else(|| self.id().map(str::to_owned))
            .unwrap_or_else(|| self.fingerprint());
        let outputs = run(ProgramKey::Map, &route.map, input, limits).await?;
        let unmappable = |outputs| Rejection::Unmappable {
            route: input.route.to_owned(),
            outputs,
        };
        let updates = mapping::update_requests(&outputs, route.update_by).map_err(unmappable)?;
        Ok(MappingOutcome {
            delivery_id,
            ignored: updates.is_empty().then_some(IgnoreReason::Map),
            updates,
        })
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`Rejection::Body`], [`Rejection::NotJson`].
    pub(crate) fn decode(&self, limits: &Limits) -> Result<DecodedDelivery<'_>, Rejection> {
        let (body, unpacked) = self.decode_body(limits.max_body_bytes)?;
        Ok(DecodedDelivery {
            body,
            unpacked,
            headers: self.header_values(),
            query: self.parameters(),
            trigger: self.origin().variable(),
            route: self.route().name,
            received_at: self.received_at(),
        })
    }

    /// The document in the body, and the body without its content encoding.
    fn decode_body(&self, limit: usize) -> Result<(Document, Cow<'_, [u8]>), Rejection> {
        if !self.origin().trigger.has_signatures() {
            if self.body().len() > limit {
                return Err(Rejection::Body(BodyError::TooLarge { limit }));
            }
            let document = message_document(self.body())?;
            return Ok((document, Cow::Borrowed(self.body())));
        }
        let header = |name| {
            let value = self.headers().get(name)?;
            value.to_str().ok()
        };
        let (content_type, encoding) = (header(CONTENT_TYPE), header(CONTENT_ENCODING));
        let unpacked =
            body::unpack(content_type, encoding, self.body(), limit).map_err(Rejection::Body)?;
        let document = match unpacked.decode().map_err(Rejection::Body)? {
            Body::Json(text) => Document::from_json(text).map_err(Rejection::NotJson)?,
            Body::Tree(tree) => Document::from_value(&tree),
        };
        Ok((document, unpacked.bytes))
    }

    /// Headers with lower-case names; repeated ones are joined by commas (RFC 9110 section 5.3). A message has attributes
    /// instead, under their own names.
    fn header_values(&self) -> BTreeMap<String, String> {
        let mut values = self.origin().attributes.clone();
        for (name, value) in self.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            values
                .entry(name.as_str().to_owned())
                .and_modify(|joined| {
                    joined.push_str(", ");
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        values
    }
}

/// Whether an expression of `when` is true.
///
/// # Errors
/// [`Rejection::Mapping`], [`Rejection::NotBoolean`].
pub(crate) async fn holds(
    key: ProgramKey,
    expression: &Program,
    input: &MappingInput<'_>,
    limits: &Limits,
) -> Result<bool, Rejection> {
    let outputs = run(key, expression, input, limits).await?;
    mapping::to_boolean(expression, &outputs).map_err(|error| Rejection::NotBoolean {
        route: input.route.to_owned(),
        key,
        error,
    })
}

async fn run(
    key: ProgramKey,
    program: &Program,
    input: &MappingInput<'_>,
    limits: &Limits,
) -> Result<Vec<Value>, Rejection> {
    let result = input.run(program, &limits.mapping()).await;
    result.map_err(|error| Rejection::Mapping {
        route: input.route.to_owned(),
        key,
        error,
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

/// The delivery id in the output of a `delivery_id` program. Only strings and numbers distinguish deliveries:
/// `.a // false` must not give all of them the same job.
fn as_id(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

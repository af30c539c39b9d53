//! Deliveries that ended nowhere, kept with the reason, so that they can be replayed once the cause is mended.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store::StoreError;
use super::stored;
use crate::inbound::trigger::Origin;

/// One inbound event as it came in, and why nothing came of it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptDelivery {
    /// Its id: the same delivery has the same one.
    pub id: String,
    /// The route that it was sent to.
    pub route: String,
    /// When it came in.
    pub at: Timestamp,
    /// Why nothing came of it, for machines.
    pub code: String,
    /// Why nothing came of it, for people.
    pub reason: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query parameters.
    pub query: BTreeMap<String, String>,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// What brought it.
    pub origin: Origin,
}

impl fmt::Debug for KeptDelivery {
    /// Neither headers nor query nor body are shown: signatures and keys travel in them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeptDelivery")
            .field("id", &self.id)
            .field("route", &self.route)
            .field("at", &self.at)
            .field("code", &self.code)
            .field("reason", &self.reason)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A kept delivery in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliverySummary {
    /// Its id.
    pub id: String,
    /// The route that it was sent to.
    pub route: String,
    /// When it came in.
    pub at: Timestamp,
    /// Why nothing came of it, for machines.
    pub code: String,
    /// Why nothing came of it, for people.
    pub reason: String,
    /// The size of its body.
    pub body_bytes: u64,
}

impl DeliverySummary {
    /// The summary of a delivery.
    pub fn of(delivery: &KeptDelivery) -> Self {
        Self {
            id: delivery.id.clone(),
            route: delivery.route.clone(),
            at: delivery.at,
            code: delivery.code.clone(),
            reason: delivery.reason.clone(),
            body_bytes: delivery.body.len() as u64,
        }
    }
}

/// What is stored beside the summary and the body.
#[derive(Serialize, Deserialize)]
struct Envelope {
    /// Names and values; each byte of a value is one character, because values need not be UTF-8.
    headers: Vec<(String, String)>,
    query: BTreeMap<String, String>,
    #[serde(default)]
    origin: Origin,
}

/// The stored form of headers and query.
pub(crate) fn envelope(delivery: &KeptDelivery) -> Result<String, StoreError> {
    let text = |value: &HeaderValue| {
        value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect()
    };
    let headers = delivery.headers.iter();
    stored::wrap(&Envelope {
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        query: delivery.query.clone(),
        origin: delivery.origin.clone(),
    })
}

/// The delivery of its three stored pieces.
pub(crate) fn restore(
    summary: DeliverySummary,
    envelope: &str,
    body: Vec<u8>,
) -> Result<KeptDelivery, StoreError> {
    let unreadable =
        |why: String| StoreError::Failed(format!("delivery {} cannot be read: {why}", summary.id));
    let Envelope {
        headers,
        query,
        origin,
    } = stored::open(envelope).map_err(unreadable)?;
    let header = |(name, value): (String, String)| {
        let value: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value.unwrap_or_default());
        value
            .map(|value| (name, value))
            .map_err(|error| error.to_string())
    };
    // Headers may repeat, and collecting into a map would keep the last one only.
    let mut map = HeaderMap::new();
    for pair in headers {
        let (name, value) = header(pair).map_err(unreadable)?;
        map.append(name, value);
    }
    Ok(KeptDelivery {
        headers: map,
        query,
        origin,
        body: Bytes::from(body),
        id: summary.id,
        route: summary.route,
        at: summary.at,
        code: summary.code,
        reason: summary.reason,
    })
}

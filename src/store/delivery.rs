//! Stored deliveries. A delivery is stored with its first job and deleted once its jobs have finished and their callbacks are
//! delivered. A delivery is a dead letter if it has no job, or if a job of it failed, was parked, or could not deliver its
//! callback. A dead letter can be replayed once its cause is fixed.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document;
use super::error::StoreError;
use crate::job::{DeadLetterReason, JobId};
use crate::trigger::{Origin, Trigger};

/// How the ids of jobs and of deliveries begin.
const JOB_PREFIX: &str = "job_";
const PREFIX: &str = "dlv_";

/// One inbound event, and why it is a dead letter if it is one.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDelivery {
    /// The id: the same delivery always has the same one.
    pub id: String,
    /// The route.
    pub route: String,
    /// When it arrived.
    pub at: Timestamp,
    /// Why it is a dead letter; none while its jobs are in progress.
    pub dead_letter: Option<DeadLetterReason>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query parameters.
    pub query: BTreeMap<String, String>,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// The trigger that it came through.
    pub origin: Origin,
}

impl StoredDelivery {
    /// The id of a delivery: that of its first job, with another prefix.
    pub fn id_of(route: &str, delivery_id: &str) -> String {
        Self::id_for(&JobId::derive(route, delivery_id, 1))
    }

    /// The id of the delivery whose first job is this one.
    pub(crate) fn id_for(job: &JobId) -> String {
        job.as_str().replacen(JOB_PREFIX, PREFIX, 1)
    }

    /// The id of the first job of the delivery with this id, if it has jobs.
    pub(crate) fn first_job(id: &str) -> Option<JobId> {
        let suffix = id.strip_prefix(PREFIX)?;
        Some(JobId::from_outside(&format!("{JOB_PREFIX}{suffix}")))
    }
}

impl fmt::Debug for StoredDelivery {
    /// Headers, query and body are left out, because they may contain signatures and keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredDelivery")
            .field("id", &self.id)
            .field("route", &self.route)
            .field("at", &self.at)
            .field("dead_letter", &self.dead_letter)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A dead letter in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterSummary {
    /// The delivery's id.
    pub id: String,
    /// The route.
    pub route: String,
    /// When it arrived.
    pub at: Timestamp,
    /// Why it is a dead letter.
    #[serde(flatten)]
    pub dead_letter: DeadLetterReason,
    /// The size of its body.
    pub body_bytes: u64,
}

/// The document that is stored beside the summary and the body.
#[derive(Serialize, Deserialize)]
struct Envelope {
    /// Names and values. Each byte of a value is one character, because a value need not be UTF-8.
    headers: Vec<(String, String)>,
    query: BTreeMap<String, String>,
    #[serde(default)]
    origin: Origin,
}

/// Encodes headers, query and origin.
pub(crate) fn encode_envelope(delivery: &StoredDelivery) -> Result<String, StoreError> {
    let text = |value: &HeaderValue| {
        value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect()
    };
    let headers = delivery.headers.iter();
    document::encode(&Envelope {
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        query: delivery.query.clone(),
        origin: delivery.origin.clone(),
    })
}

/// The trigger in an encoded envelope.
pub(crate) fn envelope_trigger(envelope: &str) -> Option<Trigger> {
    let envelope: Envelope = document::decode(envelope).ok()?;
    Some(envelope.origin.trigger)
}

/// A delivery as a store reads it.
pub(crate) struct EncodedDelivery {
    pub(crate) id: String,
    pub(crate) route: String,
    pub(crate) at: Timestamp,
    pub(crate) dead_letter: Option<DeadLetterReason>,
    pub(crate) envelope: String,
    pub(crate) body: Vec<u8>,
}

impl EncodedDelivery {
    /// Decodes the envelope.
    pub(crate) fn decode(self) -> Result<StoredDelivery, StoreError> {
        let unreadable = |reason: String| {
            StoreError::Failed(format!("delivery {} cannot be read: {reason}", self.id))
        };
        let Envelope {
            headers,
            query,
            origin,
        } = document::decode(&self.envelope).map_err(unreadable)?;
        // Header names may repeat, so the pairs are appended instead of collected into a map.
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let (name, value) = decode_header(name, &value).map_err(unreadable)?;
            map.append(name, value);
        }
        Ok(StoredDelivery {
            headers: map,
            query,
            origin,
            body: Bytes::from(self.body),
            id: self.id,
            route: self.route,
            at: self.at,
            dead_letter: self.dead_letter,
        })
    }
}

fn decode_header(name: String, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
    let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
    let value = HeaderValue::try_from(bytes.unwrap_or_default());
    value
        .map(|value| (name, value))
        .map_err(|error| error.to_string())
}

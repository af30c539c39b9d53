//! Deliveries as they came in. Each is kept while its jobs are under way, and forgotten when they have ended and told so.
//! One that came to no job, or whose job failed, was put aside or could not tell how it ended, is a dead letter: it is kept
//! with the reason, and can be replayed once the cause is mended.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store::StoreError;
use super::{CallbackStatus, Job, JobId, JobStatus, stored};
use crate::inbound::trigger::Origin;

/// One inbound event as it came in, and what is wrong with it, if anything is.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDelivery {
    /// Its id: the same delivery has the same one.
    pub id: String,
    /// The route that it was sent to.
    pub route: String,
    /// When it came in.
    pub at: Timestamp,
    /// Why it is a dead letter; none while its jobs are under way.
    pub dead_letter: Option<DeadLetterReason>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query parameters.
    pub query: BTreeMap<String, String>,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// What brought it.
    pub origin: Origin,
}

impl StoredDelivery {
    /// The id of a delivery whose jobs are known: it is told from every other as they are.
    pub fn id_of(route: &str, delivery_id: &str) -> String {
        let id = JobId::derive(route, delivery_id, 0);
        id.as_str().replacen("job_", "dlv_", 1)
    }
}

impl fmt::Debug for StoredDelivery {
    /// Neither headers nor query nor body are shown: signatures and keys travel in them.
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

/// Why a delivery is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterReason {
    /// For machines.
    pub code: String,
    /// For people.
    pub reason: String,
    /// The job that ended otherwise than it should; none if there was never one.
    pub job: Option<JobId>,
    /// Since when.
    pub since: Timestamp,
}

/// How much of a reason is kept: enough for a person to go on, and little to a store.
const REASON_CHARS: usize = 2_000;

impl DeadLetterReason {
    /// That something is wrong with a delivery, and if it is with a job of it, with which.
    pub fn new(code: &str, reason: &str, job: Option<&JobId>, since: Timestamp) -> Self {
        let mut chars = reason.chars();
        let mut reason: String = chars.by_ref().take(REASON_CHARS).collect();
        if chars.next().is_some() {
            reason.push('…');
        }
        Self {
            code: code.to_owned(),
            reason,
            job: job.cloned(),
            since,
        }
    }

    /// What is wrong with a job that is never driven again: it failed, or could not tell how it ended. Records that Zoho
    /// refused one by one are told of, and nothing is wrong with the job.
    pub fn for_job(job: &Job, now: Timestamp) -> Option<Self> {
        let failed = (job.status() == JobStatus::Failed).then(|| match &job.error {
            Some(error) => format!("{}: {}", error.code, error.message),
            None => format!("none of {} records was updated", job.counts().total),
        });
        let callback = job.callback.as_ref();
        let untold = callback.filter(|callback| callback.status == CallbackStatus::Undeliverable);
        let untold = untold.map(|callback| {
            let why = callback.error.as_deref().unwrap_or("no reason is known");
            format!("its callback was given up: {why}")
        });
        let (code, reason) = match (failed, untold) {
            (None, None) => return None,
            (None, Some(untold)) => ("CALLBACK_UNDELIVERABLE", untold),
            (Some(failed), None) => ("JOB_FAILED", failed),
            (Some(failed), Some(untold)) => ("JOB_FAILED", format!("{failed}; {untold}")),
        };
        Some(Self::new(code, &reason, Some(&job.id), now))
    }

    /// That a job was put aside.
    pub fn for_parked_job(id: &JobId, reason: &str, now: Timestamp) -> Self {
        Self::new("JOB_PARKED", reason, Some(id), now)
    }
}

/// Which delivery a job came of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSource {
    /// The id of the kept delivery.
    pub delivery: String,
    /// Whether other jobs came of it, too: then the end of one is not the end of the delivery.
    pub shared: bool,
}

/// A dead letter in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterSummary {
    /// Its id.
    pub id: String,
    /// The route that it was sent to.
    pub route: String,
    /// When it came in.
    pub at: Timestamp,
    /// Why it is a dead letter.
    #[serde(flatten)]
    pub dead_letter: DeadLetterReason,
    /// The size of its body.
    pub body_bytes: u64,
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
pub(crate) fn envelope(delivery: &StoredDelivery) -> Result<String, StoreError> {
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

/// What a store has of a delivery.
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) route: String,
    pub(crate) at: Timestamp,
    pub(crate) dead_letter: Option<DeadLetterReason>,
    pub(crate) envelope: String,
    pub(crate) body: Vec<u8>,
}

/// The delivery of its stored parts.
pub(crate) fn restore(parts: Parts) -> Result<StoredDelivery, StoreError> {
    let unreadable =
        |why: String| StoreError::Failed(format!("delivery {} cannot be read: {why}", parts.id));
    let Envelope {
        headers,
        query,
        origin,
    } = stored::open(&parts.envelope).map_err(unreadable)?;
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
    Ok(StoredDelivery {
        headers: map,
        query,
        origin,
        body: Bytes::from(parts.body),
        id: parts.id,
        route: parts.route,
        at: parts.at,
        dead_letter: parts.dead_letter,
    })
}

//! Operations on all jobs or deliveries that match a filter. The caller names the number that it expects, so that nothing
//! happens to entries that it has not seen.

use std::sync::Mutex;

use futures_util::future::join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::deliveries::discard_delivery;
use super::jobs::{JobOperations, JobReplay};
use super::query::{DELIVERY_PARAMETERS, InvalidParameter, JOB_PARAMETERS, Parameters};
use crate::app::App;
use crate::inbound::rejection::Rejection;
use crate::job::JobId;
use crate::store::delivery_log::{DeliveryFilter, OutcomeFilter};
use crate::store::{JobFilter, PageRequest, Store};

/// Items on which one call acts at most.
pub const MAX_BULK_ITEMS: usize = 1_000;

/// Entries that one call counts at most.
const MAX_COUNTED: usize = 10_000;

/// Entries that are read at once.
const PAGE: usize = 1_000;

/// Items that are in progress at the same time.
const CONCURRENT: usize = 16;

/// The outcome of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkOutcome {
    /// It was replayed, or its callback will be sent again.
    Replayed,
    /// It was discarded.
    Discarded,
    /// Its state does not allow it, or it was done before.
    Skipped,
    /// It failed.
    Failed,
}

impl BulkOutcome {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One item of a bulk operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BulkItem {
    /// The id of the job or delivery.
    pub id: String,
    /// Its outcome.
    pub outcome: BulkOutcome,
    /// The new job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why it was skipped, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl BulkItem {
    fn of(id: String, done: Result<(BulkOutcome, Option<String>), Rejection>) -> Self {
        let (outcome, job, reason) = match done {
            Ok((outcome, job)) => (outcome, job, None),
            Err(
                refused @ (Rejection::NotPossible(_)
                | Rejection::NoSuchJob(_)
                | Rejection::NoSuchDelivery(_)),
            ) => (BulkOutcome::Skipped, None, Some(refused.to_string())),
            Err(failed) => (BulkOutcome::Failed, None, Some(failed.to_string())),
        };
        Self {
            id,
            outcome,
            job,
            reason,
        }
    }
}

/// Result of a bulk operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BulkResult {
    /// The items, the latest first.
    #[serde(rename = "results")]
    pub items: Vec<BulkItem>,
    /// Matching entries that this call did not reach, because it acts on at most [`MAX_BULK_ITEMS`].
    pub remaining: usize,
}

impl BulkResult {
    /// The JSON of the operator API.
    pub fn to_json(&self) -> Value {
        json!(self)
    }

    /// The number of items with an outcome.
    pub fn count(&self, outcome: BulkOutcome) -> usize {
        let items = self.items.iter();
        items.filter(|item| item.outcome == outcome).count()
    }
}

/// A filter, and the number of entries that match it.
#[derive(Clone, Debug)]
pub struct BulkRequest<F> {
    /// Which entries.
    pub filter: F,
    /// How many of them the caller expects.
    pub expected: usize,
}

/// Splits the body of a bulk request into the texts of its filter and the expected number.
fn read_body(body: &Value) -> Result<(Vec<(String, String)>, usize), InvalidParameter> {
    let invalid = |parameter: &str, detail: &str| InvalidParameter::new(parameter, detail);
    let object = body
        .as_object()
        .ok_or_else(|| invalid("body", "is no object with `filter` and `expected`"))?;
    if let Some(unknown) = object
        .keys()
        .find(|key| !["filter", "expected"].contains(&key.as_str()))
    {
        return Err(invalid(unknown, "is unknown; known: filter, expected"));
    }
    let expected = object.get("expected").and_then(whole_number);
    let expected = expected.ok_or_else(|| {
        invalid(
            "expected",
            "is missing, or no whole number: give the number of entries that match",
        )
    })?;
    let filter = object.get("filter").and_then(Value::as_object);
    let filter = filter.ok_or_else(|| invalid("filter", "is missing, or no object"))?;
    let pairs = filter.iter().map(|(name, value)| match value {
        Value::Null => Ok((name.clone(), String::new())),
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(invalid(name, "is not a text"))
        }
    });
    Ok((pairs.collect::<Result<_, _>>()?, expected))
}

/// A whole number. JSON does not distinguish `12` and `12.0`.
fn whole_number(value: &Value) -> Option<usize> {
    let text = value.as_number()?.to_string();
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}

impl BulkRequest<JobFilter> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn of_jobs(body: &Value, now: Timestamp) -> Result<Self, InvalidParameter> {
        let (pairs, expected) = read_body(body)?;
        let filter = Parameters::of_pairs(pairs, &JOB_PARAMETERS)?.job_filter(now)?;
        Ok(Self { filter, expected })
    }
}

impl BulkRequest<DeliveryFilter> {
    /// Reads the body of a request. Only dead letters can be replayed or discarded.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn of_deliveries(body: &Value, now: Timestamp) -> Result<Self, InvalidParameter> {
        let (pairs, expected) = read_body(body)?;
        let filter = Parameters::of_pairs(pairs, &DELIVERY_PARAMETERS)?.delivery_filter(now)?;
        let filter = only_dead_letters(filter)?;
        Ok(Self { filter, expected })
    }
}

/// The filter among dead letters.
///
/// # Errors
/// [`InvalidParameter`] if it is for another outcome.
pub fn only_dead_letters(filter: DeliveryFilter) -> Result<DeliveryFilter, InvalidParameter> {
    match filter.outcome {
        None | Some(OutcomeFilter::DeadLetter) => Ok(DeliveryFilter {
            outcome: Some(OutcomeFilter::DeadLetter),
            ..filter
        }),
        Some(OutcomeFilter::Outcome(_)) => {
            let detail =
                "can only be `dead_letter` here: other deliveries cannot be replayed or discarded";
            Err(InvalidParameter::new("outcome", detail))
        }
    }
}

/// The ids of all jobs that match.
///
/// # Errors
/// [`Rejection::Store`], [`Rejection::NotPossible`] if there are too many.
pub async fn matching_jobs(
    store: &dyn Store,
    filter: &JobFilter,
) -> Result<Vec<String>, Rejection> {
    let (mut ids, mut position) = (Vec::new(), None);
    loop {
        let request = PageRequest::at(PAGE, position.as_deref());
        let page = store
            .list(filter, &request)
            .await
            .map_err(Rejection::Store)?;
        ids.extend(page.entries.iter().map(|job| job.id.to_string()));
        check_count(ids.len())?;
        match page.next {
            Some(next) => position = Some(next),
            None => return Ok(ids),
        }
    }
}

/// The ids of all deliveries that match.
///
/// # Errors
/// [`Rejection::Store`], [`Rejection::NotPossible`] if there are too many.
pub async fn matching_deliveries(
    store: &dyn Store,
    filter: &DeliveryFilter,
) -> Result<Vec<String>, Rejection> {
    let (mut ids, mut position) = (Vec::new(), None);
    loop {
        let request = PageRequest::at(PAGE, position.as_deref());
        let page = store.list_deliveries(filter, &request).await;
        let page = page.map_err(Rejection::Store)?;
        ids.extend(page.entries.into_iter().map(|summary| summary.entry.id));
        check_count(ids.len())?;
        match page.next {
            Some(next) => position = Some(next),
            None => return Ok(ids),
        }
    }
}

fn check_count(count: usize) -> Result<(), Rejection> {
    match count <= MAX_COUNTED {
        true => Ok(()),
        false => Err(Rejection::NotPossible(format!(
            "more than {MAX_COUNTED} entries match; narrow the filter, for instance with `since` and `until`"
        ))),
    }
}

fn check_expected(found: usize, expected: usize) -> Result<(), Rejection> {
    match found == expected {
        true => Ok(()),
        false => Err(Rejection::CountDiffers { expected, found }),
    }
}

/// Acts on the ids until enough of them were acted on. Skipped ones do not count, so that a repeated call gets further.
async fn act<F>(ids: Vec<String>, act: impl Fn(String) -> F) -> BulkResult
where
    F: Future<Output = BulkItem>,
{
    let mut items = Vec::with_capacity(ids.len().min(MAX_BULK_ITEMS));
    let (mut rest, mut acted) = (ids.into_iter(), 0);
    while acted < MAX_BULK_ITEMS {
        let batch: Vec<String> = rest
            .by_ref()
            .take(CONCURRENT.min(MAX_BULK_ITEMS - acted))
            .collect();
        if batch.is_empty() {
            break;
        }
        let done = join_all(batch.into_iter().map(&act)).await;
        let skipped = done
            .iter()
            .filter(|item| item.outcome == BulkOutcome::Skipped);
        acted += done.len() - skipped.count();
        items.extend(done);
    }
    let remaining = rest.len();
    BulkResult { items, remaining }
}

impl JobOperations<'_> {
    /// Replays all jobs that match.
    ///
    /// # Errors
    /// [`Rejection::CountDiffers`], [`Rejection::NotPossible`], [`Rejection::Store`].
    pub async fn replay_all(
        &self,
        request: &BulkRequest<JobFilter>,
    ) -> Result<BulkResult, Rejection> {
        let ids = matching_jobs(self.store, &request.filter).await?;
        check_expected(ids.len(), request.expected)?;
        let made = &Mutex::default();
        let replay = |id: String| async move {
            let replayed = self.replay_once(&JobId::from_outside(&id), made).await;
            let done = replayed.map(|replay| match replay {
                JobReplay::Resumed(job) | JobReplay::Created { job, .. } => {
                    (BulkOutcome::Replayed, Some(job.to_string()))
                }
            });
            BulkItem::of(id, done)
        };
        Ok(act(ids, replay).await)
    }

    /// Sends the callbacks of all jobs that match again.
    ///
    /// # Errors
    /// [`Rejection::CountDiffers`], [`Rejection::NotPossible`], [`Rejection::Store`].
    pub async fn redeliver_all(
        &self,
        request: &BulkRequest<JobFilter>,
    ) -> Result<BulkResult, Rejection> {
        let ids = matching_jobs(self.store, &request.filter).await?;
        check_expected(ids.len(), request.expected)?;
        let redeliver = |id: String| async move {
            let redelivered = self.redeliver(&JobId::from_outside(&id)).await;
            BulkItem::of(id, redelivered.map(|()| (BulkOutcome::Replayed, None)))
        };
        Ok(act(ids, redeliver).await)
    }
}

/// Discards all dead letters that match.
///
/// # Errors
/// [`Rejection::CountDiffers`], [`Rejection::NotPossible`], [`Rejection::Store`].
pub async fn discard_deliveries(
    store: &dyn Store,
    request: &BulkRequest<DeliveryFilter>,
) -> Result<BulkResult, Rejection> {
    let ids = matching_deliveries(store, &request.filter).await?;
    check_expected(ids.len(), request.expected)?;
    let discard = |id: String| async move {
        let discarded = discard_delivery(store, &id).await;
        BulkItem::of(id, discarded.map(|()| (BulkOutcome::Discarded, None)))
    };
    Ok(act(ids, discard).await)
}

impl App {
    /// Replays all dead letters that match.
    ///
    /// # Errors
    /// [`Rejection::CountDiffers`], [`Rejection::NotPossible`], [`Rejection::Store`].
    pub async fn replay_deliveries(
        &self,
        request: &BulkRequest<DeliveryFilter>,
    ) -> Result<BulkResult, Rejection> {
        let ids = matching_deliveries(self.store(), &request.filter).await?;
        check_expected(ids.len(), request.expected)?;
        let replay = |id: String| async move {
            let replayed = self.replay_delivery(&id).await;
            let done = replayed.map(|accepted| {
                let job = accepted.jobs().first().map(|job| job.id.to_string());
                (BulkOutcome::Replayed, job)
            });
            BulkItem::of(id, done)
        };
        Ok(act(ids, replay).await)
    }
}

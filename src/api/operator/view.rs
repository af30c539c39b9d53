//! The JSON of the operator API.

use ::http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::operations::DeliveryDetails;
use crate::store::JobSummary;
use crate::store::Page;
use crate::store::delivery_log::{DeliveryError, DeliverySummary, Step};
use crate::store::view::{DeliveryOverview, DeliverySummaryView, JobSummaryView, Moment};

/// One page of a list of jobs, the latest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobList")]
pub(in crate::api) struct JobListView<'a> {
    /// The jobs.
    jobs: Vec<JobSummaryView<'a>>,
    /// The `cursor` of the next page; null at the end.
    next: Option<&'a str>,
    /// The position behind which jobs are newer than this page, for `after`.
    latest: Option<&'a str>,
}

impl<'a> JobListView<'a> {
    pub(super) fn of(page: &'a Page<JobSummary>) -> Self {
        Self {
            jobs: page.entries.iter().map(JobSummary::view).collect(),
            next: page.next.as_deref(),
            latest: page.latest.as_deref(),
        }
    }
}

/// One page of a list of deliveries, the latest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryList")]
pub(in crate::api) struct DeliveryListView<'a> {
    /// The deliveries.
    deliveries: Vec<DeliverySummaryView<'a>>,
    /// The `cursor` of the next page; null at the end.
    next: Option<&'a str>,
    /// The position behind which deliveries are newer than this page, for `after`.
    latest: Option<&'a str>,
}

impl<'a> DeliveryListView<'a> {
    pub(super) fn of(page: &'a Page<DeliverySummary>) -> Self {
        Self {
            deliveries: page.entries.iter().map(DeliverySummary::view).collect(),
            next: page.next.as_deref(),
            latest: page.latest.as_deref(),
        }
    }
}

/// One delivery.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(in crate::api) struct DeliveryView<'a> {
    #[serde(flatten)]
    overview: DeliveryOverview<'a>,
    /// What was done with it.
    steps: &'a [Step],
    /// Why it failed, and where.
    error: Option<&'a DeliveryError>,
    /// Its body.
    body: BodyView<'a>,
    /// When it is deleted, if that is known.
    kept_until: Option<Moment>,
    /// Its jobs.
    jobs: Vec<JobSummaryView<'a>>,
}

/// The body of a delivery, without its content.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryBody")]
struct BodyView<'a> {
    /// Whether it is stored.
    stored: bool,
    /// Its size, if it is known.
    bytes: Option<u64>,
    /// Its content type.
    content_type: Option<&'a str>,
}

impl<'a> DeliveryView<'a> {
    fn of(details: &'a DeliveryDetails) -> Self {
        let entry = &details.summary.entry;
        let stored = details.stored.as_ref();
        let content_type = stored
            .and_then(|stored| stored.headers.get(CONTENT_TYPE)?.to_str().ok())
            .or(entry.content_type.as_deref());
        Self {
            overview: details.summary.overview(),
            steps: &entry.steps,
            error: entry.error.as_ref(),
            body: BodyView {
                stored: stored.is_some(),
                bytes: stored.map_or(entry.bytes, |stored| Some(stored.body.len() as u64)),
                content_type,
            },
            kept_until: details.kept_until.map(Moment::from),
            jobs: details.jobs.iter().map(JobSummary::view).collect(),
        }
    }
}

/// The JSON of a delivery.
pub fn delivery_json(details: &DeliveryDetails) -> Value {
    json!(DeliveryView::of(details))
}

/// A body that is not text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BinaryBody")]
pub(in crate::api) struct BinaryBodyView {
    /// The bytes in base64.
    pub(super) base64: String,
}

/// A delivery that was discarded.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DiscardedDelivery")]
pub(in crate::api) struct DiscardedView {
    /// Its id.
    pub(super) discarded: String,
}

//! Groups dead letters by their code.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::inbound::rejection::Rejection;
use crate::store::PageRequest;
use crate::store::delivery_log::{DeliveryFilter, DeliverySummary};
use crate::store::view::Moment;

/// Dead letters that are read at most. The latest ones matter.
const MAX_READ: usize = 5_000;

/// Dead letters that are read at once.
const PAGE: usize = 1_000;

/// Dead letters with the same code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterGroup {
    /// The code.
    pub code: String,
    /// How many there are.
    pub count: usize,
    /// When the first of them became a dead letter.
    pub oldest: Timestamp,
    /// When the last of them became a dead letter.
    pub newest: Timestamp,
    /// Their routes.
    pub routes: BTreeSet<String>,
    /// The latest reason.
    pub reason: String,
    /// The id of the latest one.
    pub sample: String,
}

/// All dead letters by their code, the most frequent code first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterGroups {
    /// The groups.
    pub groups: Vec<DeadLetterGroup>,
    /// Whether there are older dead letters that were not read.
    pub is_partial: bool,
}

/// Dead letters with the same code, with advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterGroup")]
pub struct DeadLetterGroupView<'a> {
    /// The code.
    code: &'a str,
    /// What the code means.
    title: &'a str,
    /// How many there are.
    count: usize,
    /// When the first of them became a dead letter.
    oldest: Moment,
    /// When the last of them became a dead letter.
    newest: Moment,
    /// Their routes.
    routes: &'a BTreeSet<String>,
    /// The latest reason.
    reason: &'a str,
    /// What to do.
    advice: &'a str,
    /// The id of the latest one.
    sample: &'a str,
}

/// All dead letters by their code, the most frequent code first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterGroups")]
pub struct DeadLetterGroupsView<'a> {
    /// The groups.
    groups: Vec<DeadLetterGroupView<'a>>,
    /// Whether there are older dead letters that were not read.
    partial: bool,
}

impl DeadLetterGroups {
    /// The JSON of the operator API.
    pub fn view(&self) -> DeadLetterGroupsView<'_> {
        DeadLetterGroupsView {
            groups: self.groups.iter().map(DeadLetterGroup::view).collect(),
            partial: self.is_partial,
        }
    }

    fn add(&mut self, summary: DeliverySummary) {
        let Some(dead) = summary.dead_letter else {
            return;
        };
        let (id, route) = (summary.entry.id, summary.entry.route);
        if let Some(group) = self.groups.iter_mut().find(|group| group.code == dead.code) {
            group.count += 1;
            // The latest one came first.
            group.oldest = dead.since;
            group.routes.insert(route);
            return;
        }
        self.groups.push(DeadLetterGroup {
            code: dead.code,
            count: 1,
            oldest: dead.since,
            newest: dead.since,
            routes: BTreeSet::from([route]),
            reason: dead.reason,
            sample: id,
        });
    }
}

impl DeadLetterGroup {
    fn view(&self) -> DeadLetterGroupView<'_> {
        let (title, advice) = title_and_advice(&self.code);
        DeadLetterGroupView {
            code: &self.code,
            title,
            count: self.count,
            oldest: self.oldest.into(),
            newest: self.newest.into(),
            routes: &self.routes,
            reason: &self.reason,
            advice,
            sample: &self.sample,
        }
    }
}

/// What a code of a dead letter means, and what to do.
fn title_and_advice(code: &str) -> (&'static str, &'static str) {
    let texts = BTreeMap::from([
        (
            "JOB_FAILED",
            (
                "No record was updated",
                "Open the job: each failure has advice. Mend the cause in Zoho or in the route, then replay.",
            ),
        ),
        (
            "JOB_PARKED",
            (
                "No running version can drive the job",
                "Install the version that stored the job, or mend what its reason names, then replay.",
            ),
        ),
        (
            "CALLBACK_UNDELIVERABLE",
            (
                "The records are updated, but the callback was given up",
                "Mend the receiver, then redeliver the job's callback.",
            ),
        ),
        (
            "mapping_failed",
            (
                "A program of the route failed",
                "Try the delivery in the playground, mend `when` or `map`, reload the config, then replay.",
            ),
        ),
        (
            "not_mappable",
            (
                "The output of `map` is no update request",
                "Try the delivery in the playground, mend `map`, reload the config, then replay.",
            ),
        ),
        (
            "body_not_readable",
            (
                "The body is not what its content type promises",
                "Look at the body and the content type. If the sender is wrong, discard; else mend the route and replay.",
            ),
        ),
        (
            "not_a_cloudevent",
            (
                "The route takes CloudEvents, and the delivery is none",
                "Look at the reason. If the sender is right, remove `cloudevents` from the route, then replay; else discard.",
            ),
        ),
        (
            "event_format",
            (
                "The delivery is a batch of CloudEvents, or not in JSON",
                "Let the sender send single events in JSON, then discard.",
            ),
        ),
        (
            "callback_refused",
            (
                "The callback URL is not allowed",
                "Add the host to `callbacks`, or mend the URL in the route, then replay.",
            ),
        ),
    ]);
    let unknown = (
        "The delivery could not be completed",
        "Look at the reason, mend its cause, then replay.",
    );
    texts.get(code).copied().unwrap_or(unknown)
}

impl App {
    /// Groups the latest dead letters.
    ///
    /// # Errors
    /// [`Rejection::Store`].
    pub async fn dead_letter_groups(&self) -> Result<DeadLetterGroups, Rejection> {
        let filter = DeliveryFilter::dead_letters();
        let (mut groups, mut position, mut read) = (DeadLetterGroups::default(), None, 0);
        loop {
            let request = PageRequest::at(PAGE, position.as_deref());
            let page = self.store().list_deliveries(&filter, &request).await;
            let page = page.map_err(Rejection::Store)?;
            read += page.entries.len();
            page.entries
                .into_iter()
                .for_each(|summary| groups.add(summary));
            position = page.next;
            groups.is_partial = position.is_some();
            if position.is_none() || read >= MAX_READ {
                break;
            }
        }
        groups.groups.sort_by_key(|group| Reverse(group.count));
        Ok(groups)
    }
}

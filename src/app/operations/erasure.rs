//! Finds what is stored about a person, and erases it: jobs, deliveries and entries of the log of deliveries.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::inbound::rejection::Rejection;
use crate::job::view::JobView;
use crate::job::{CallbackStatus, Job, JobId};
use crate::store::delivery::StoredDelivery;
use crate::store::delivery_log::{DeliveryFilter, DeliverySummary, OutcomeFilter};
use crate::store::{JobFilter, JobSummary, PageRequest, Store, StoreError};

/// Entries that are read at once.
const PAGE: usize = 500;

/// Which data is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasureQuery {
    /// Jobs with this reference, and their deliveries.
    Reference(String),
    /// Everything that contains this value, without regard to case: an e-mail address, a phone number, an id.
    Value(String),
}

/// What is stored about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// The jobs.
    pub jobs: BTreeSet<JobId>,
    /// Those of them that have not ended, or whose callback is not delivered.
    pub unfinished: BTreeSet<JobId>,
    /// The stored deliveries, dead letters among them.
    pub deliveries: BTreeSet<String>,
    /// The entries of the log.
    pub log_entries: BTreeSet<String>,
    /// Jobs that this version cannot read, so that they were not searched.
    pub unreadable: BTreeSet<JobId>,
}

impl Erasure {
    /// Searches the store. Changes nothing.
    ///
    /// # Errors
    /// [`Rejection::Store`].
    pub async fn find(store: &dyn Store, query: &ErasureQuery) -> Result<Self, Rejection> {
        let mut found = Self::default();
        let search = async {
            found.find_jobs(store, query).await?;
            if let ErasureQuery::Value(value) = query {
                found.find_dead_letters(store, value).await?;
            }
            found.find_log_entries(store, query).await
        };
        search.await.map_err(Rejection::Store)?;
        Ok(found)
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.deliveries.is_empty() && self.log_entries.is_empty()
    }

    /// The number of jobs, deliveries and entries.
    pub fn count(&self) -> usize {
        self.jobs.len() + self.deliveries.len() + self.log_entries.len()
    }

    /// Erases what was found.
    ///
    /// # Errors
    /// [`Rejection::Store`]; a part may be erased then.
    pub async fn erase(&self, store: &dyn Store) -> Result<(), Rejection> {
        let erase = async {
            // The deliveries first: without their jobs they could not be found again.
            for id in &self.deliveries {
                store.delete_delivery(id, None).await?;
            }
            for id in &self.jobs {
                store.delete_job(id).await?;
            }
            let entries: Vec<String> = self.log_entries.iter().cloned().collect();
            store.delete_log_entries(&entries).await?;
            store.scrub().await
        };
        erase.await.map_err(Rejection::Store)
    }

    /// The ids, for machines.
    pub fn to_json(&self) -> Value {
        json!({
            "jobs": self.jobs,
            "unfinished": self.unfinished,
            "deliveries": self.deliveries,
            "log_entries": self.log_entries,
            "unreadable": self.unreadable,
        })
    }

    async fn find_jobs(
        &mut self,
        store: &dyn Store,
        query: &ErasureQuery,
    ) -> Result<(), StoreError> {
        let filter = match query {
            ErasureQuery::Reference(reference) => JobFilter {
                reference: Some(reference.clone()),
                ..JobFilter::default()
            },
            ErasureQuery::Value(_) => JobFilter::default(),
        };
        let mut from = None;
        loop {
            let page = store
                .list(&filter, &PageRequest::at(PAGE, from.as_deref()))
                .await?;
            for summary in &page.entries {
                self.check_job(store, summary, query).await?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn check_job(
        &mut self,
        store: &dyn Store,
        summary: &JobSummary,
        query: &ErasureQuery,
    ) -> Result<(), StoreError> {
        let job = match store.get(&summary.id).await {
            Ok(Some(job)) => job,
            Ok(None) => return Ok(()),
            Err(StoreError::Unreadable { .. }) => {
                match query {
                    ErasureQuery::Reference(_) => self.jobs.insert(summary.id.clone()),
                    ErasureQuery::Value(_) => self.unreadable.insert(summary.id.clone()),
                };
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let source = job.source.as_ref();
        let delivery = match source {
            Some(source) => store.delivery(&source.delivery).await?,
            None => None,
        };
        let (in_job, in_delivery) = match query {
            ErasureQuery::Reference(_) => (true, true),
            ErasureQuery::Value(value) => (
                job_contains(&job, value),
                delivery
                    .as_ref()
                    .is_some_and(|delivery| delivery_contains(delivery, value)),
            ),
        };
        // Another job of the same delivery may be about another person.
        let is_alone = source.is_some_and(|source| !source.shared);
        if in_job || (in_delivery && is_alone) {
            if is_unfinished(&job) {
                self.unfinished.insert(job.id.clone());
            }
            self.jobs.insert(job.id.clone());
        }
        if in_job || in_delivery {
            self.deliveries.extend(delivery.map(|delivery| delivery.id));
        }
        Ok(())
    }

    async fn find_dead_letters(
        &mut self,
        store: &dyn Store,
        value: &str,
    ) -> Result<(), StoreError> {
        let filter = DeliveryFilter {
            outcome: Some(OutcomeFilter::DeadLetter),
            ..DeliveryFilter::default()
        };
        for summary in all_deliveries(store, &filter).await? {
            let id = summary.entry.delivery.unwrap_or(summary.entry.id);
            if self.deliveries.contains(&id) {
                continue;
            }
            let stored = store.delivery(&id).await?;
            let is_found = stored.is_some_and(|stored| delivery_contains(&stored, value));
            if is_found {
                self.deliveries.insert(id);
            }
        }
        Ok(())
    }

    async fn find_log_entries(
        &mut self,
        store: &dyn Store,
        query: &ErasureQuery,
    ) -> Result<(), StoreError> {
        if !store.has_delivery_log() {
            return Ok(());
        }
        for summary in all_deliveries(store, &DeliveryFilter::default()).await? {
            let entry = &summary.entry;
            let of_delivery = entry.delivery.as_ref().unwrap_or(&entry.id);
            let is_found = self.deliveries.contains(of_delivery)
                || entry
                    .jobs
                    .iter()
                    .any(|id| self.jobs.contains(&JobId::from_outside(id)))
                || match query {
                    ErasureQuery::Reference(_) => false,
                    ErasureQuery::Value(value) => json!(entry)
                        .as_object()
                        .is_some_and(|entry| entry.values().any(|part| json_contains(part, value))),
                };
            if is_found {
                self.log_entries.insert(entry.id.clone());
            }
        }
        Ok(())
    }
}

/// Every entry of the list of deliveries.
async fn all_deliveries(
    store: &dyn Store,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliverySummary>, StoreError> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = PageRequest::at(PAGE, from.as_deref());
        let page = store.list_deliveries(filter, &page).await?;
        all.extend(page.entries);
        from = page.next;
        if from.is_none() {
            return Ok(all);
        }
    }
}

/// Whether something is left to do with a job.
fn is_unfinished(job: &Job) -> bool {
    let summary = JobSummary::of(job);
    !summary.status.is_final() || summary.callback == Some(CallbackStatus::Pending)
}

/// Whether the request or the results of a job contain a value.
fn job_contains(job: &Job, value: &str) -> bool {
    let view = serde_json::to_value(JobView::in_full(job)).unwrap_or_default();
    json_contains(&job.request.to_json(), value) || json_contains(&view, value)
}

/// Whether a delivery contains a value: in its body, query, headers or origin.
fn delivery_contains(delivery: &StoredDelivery, value: &str) -> bool {
    let headers = delivery.headers.values();
    let headers = headers.map(|header| String::from_utf8_lossy(header.as_bytes()).into_owned());
    let query = delivery.query.values().cloned();
    let attributes = delivery.origin.attributes.values().cloned();
    let body = String::from_utf8_lossy(&delivery.body);
    let decoded: String = form_urlencoded::parse(body.as_bytes())
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()])
        .collect::<Vec<_>>()
        .join("\n");
    let json: Option<Value> = serde_json::from_str(&body).ok();
    json.is_some_and(|json| json_contains(&json, value))
        || headers
            .chain(query)
            .chain(attributes)
            .chain([body.into_owned(), decoded])
            .any(|text| text_contains(&text, value))
}

/// Whether a text or a number in a document contains a value.
fn json_contains(document: &Value, value: &str) -> bool {
    match document {
        Value::Object(entries) => entries
            .iter()
            .any(|(key, part)| text_contains(key, value) || json_contains(part, value)),
        Value::Array(items) => items.iter().any(|part| json_contains(part, value)),
        Value::String(text) => text_contains(text, value),
        Value::Number(number) => text_contains(&number.to_string(), value),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Whether a text contains a value that is not a part of a longer one: `ada@example.com` is not in `xada@example.com`.
fn text_contains(text: &str, value: &str) -> bool {
    let (text, value) = (text.to_lowercase(), value.to_lowercase());
    if value.is_empty() {
        return false;
    }
    text.match_indices(&value).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let mut after = text[start + value.len()..].chars();
        let continues = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
        let follows = match after.next() {
            // A point may end a sentence.
            Some('.' | '-' | '_') => continues(after.next()),
            next => continues(next),
        };
        let precedes = before.is_some_and(|before| {
            before.is_alphanumeric() || ['.', '_', '+', '-'].contains(&before)
        });
        !precedes && !follows
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_found_whole_and_in_any_case() {
        for (text, is_found) in [
            ("ada@example.com", true),
            ("Ada@Example.com", true),
            ("mail: <ada@example.com>.", true),
            ("to=ada@example.com&x=1", true),
            ("xada@example.com", false),
            ("b.ada@example.com", false),
            ("ada@example.com.au", false),
            ("ada@example.company", false),
            ("", false),
        ] {
            assert_eq!(text_contains(text, "ada@example.com"), is_found, "{text}");
        }
        assert!(!text_contains("anything", ""));
        assert!(json_contains(
            &json!({"a": [1, {"b": 5_725_767}]}),
            "5725767"
        ));
    }
}

//! Writes of leased jobs: checkpoints and releases.

use jiff::Timestamp;

use super::change::Change;
use super::index::DueKind;
use super::job_summary::progress_attribute;
use super::jobs::{MAX_INLINE_REQUEST, MAX_INLINE_STATE, due_attributes, pk};
use super::{DynamoStore, UpdateResult, deliveries, item, packing};
use crate::job::{DeadLetterReason, Job, JobSource};
use crate::store::{JobSummary, Lease, StoreError, document};

/// What a write means for the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobWrite {
    /// The job stays leased.
    Checkpoint,
    /// The lease ends, and the job is due next at this moment, or never.
    Release(Option<Timestamp>),
}

impl DynamoStore {
    /// Writes a job and its lease.
    pub(super) async fn write_job(
        &self,
        job: &Job,
        lease: &mut Lease,
        write: JobWrite,
    ) -> Result<(), StoreError> {
        let pk = pk(&job.id);
        let (mut change, ends) = self.head_change(job, lease, write);
        let is_finished = write == JobWrite::Release(None);
        let state = packing::pack(document::encode_state(job)?.as_bytes());
        let until = self.unfinished_until();
        let state = self.put_document(&pk, state, MAX_INLINE_STATE, until);
        let (mut state_at, state) = state.await?;
        change = change
            .set_or_remove("state", state)
            .set_or_remove("state_parts", item::location_text(&state_at));
        let mut request_at = lease.stored.request_at.clone();
        let changed = lease.stored.request != job.request;
        if changed {
            let request = packing::pack(document::encode_request(job)?.as_bytes());
            let request = self.put_document(&pk, request, MAX_INLINE_REQUEST, until);
            let (location, request) = request.await?;
            change = change
                .set_or_remove("request", request)
                .set_or_remove("request_parts", item::location_text(&location));
            request_at = location;
        }
        if let Some(ends) = ends {
            // Before the head: after the last release nothing maintains the parts.
            self.end_parts(&pk, &mut request_at, ends).await?;
            self.end_parts(&pk, &mut state_at, ends).await?;
        }
        let finished_source = job.source.as_ref().filter(|_| is_finished);
        let dead_letter = finished_source
            .and_then(|_| DeadLetterReason::for_job(job, self.retention.clock.now()));
        if let (Some(source), Some(reason)) = (finished_source, &dead_letter) {
            self.dead_letter_if_current(&pk, lease, source, reason, ends)
                .await?;
        }
        let has_delivery = lease.stored.has_delivery;
        if is_finished && has_delivery {
            change = deliveries::OWN.into_iter().fold(change, Change::remove);
        }
        let updated = self
            .update(item::key(&pk), change, Some(super::write_id()))
            .await?;
        if let UpdateResult::Refused(_) = updated {
            self.delete_parts(&pk, &state_at).await;
            if changed {
                self.delete_parts(&pk, &request_at).await;
            }
            return Err(StoreError::LeaseLost(job.id.clone()));
        }
        lease.version += 1;
        let old_state = std::mem::replace(&mut lease.stored.state_at, state_at);
        self.delete_parts(&pk, &old_state).await;
        let old_request = std::mem::replace(&mut lease.stored.request_at, request_at);
        if changed {
            lease.stored.request = job.request.clone();
            self.delete_parts(&pk, &old_request).await;
        }
        // After the head: until then another driver may have taken the job over.
        if let (Some(source), None) = (finished_source, dead_letter) {
            self.release_delivery(source, has_delivery).await;
        }
        Ok(())
    }

    /// The change of everything in a job's head item but its documents, and when the item expires.
    fn head_change(
        &self,
        job: &Job,
        lease: &Lease,
        write: JobWrite,
    ) -> (Change, Option<Timestamp>) {
        let summary = JobSummary::of(job);
        let change = Change::when("#version = :version", &["version"])
            .value("version", item::number(lease.version))
            .increment("version")
            .set_or_remove("progress", progress_attribute(&summary));
        // An index entry is a write of its own, so a checkpoint changes none.
        let due = match write {
            JobWrite::Checkpoint => return (change.set("lease", item::ms(lease.until)), None),
            JobWrite::Release(due) => due,
        };
        let ends = due.is_none().then(|| self.retention.expires_at());
        let kind = match job.needs_patience() {
            true => DueKind::SlowCallback,
            false => DueKind::Any,
        };
        let change = due_attributes(&job.id, due, kind).into_iter().fold(
            change.set("lease", item::number(0)),
            |change, (name, value)| change.set_or_remove(name, value),
        );
        (change.set_or_remove("ends", ends.map(item::seconds)), ends)
    }

    /// Turns the delivery of a finished job into a dead letter, unless another driver has taken the job over. This happens
    /// before the head is written, because a finished job is never driven again.
    async fn dead_letter_if_current(
        &self,
        pk: &str,
        lease: &Lease,
        source: &JobSource,
        reason: &DeadLetterReason,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let current = self.head(pk).await?.unwrap_or_default();
        if item::get_number(&current, "version") == Some(lease.version) {
            let version = Some(lease.version);
            self.dead_letter_of_job(&current, &source.delivery, reason, ends, version)
                .await?;
        }
        Ok(())
    }
}

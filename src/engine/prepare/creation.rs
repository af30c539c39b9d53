//! The records that jobs create. Jobs of one turn do not create records of the same value with different fields at once: the
//! first job creates the record, and the others look it up again once it exists.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::matching::MatchQuery;
use crate::codes::Cause;
use crate::guard::CreationCheck;
use crate::job::{Job, PreparationOutcome, PreparationResult};
use crate::lookup::LookupField;
use crate::outcome::Refusal;
use crate::update::{Assignment, Match, MatchValue, NewRecords, RecordId};

/// A value of which another job is creating the record: the field, and the key of the value.
pub(in crate::engine) type ClaimedValue = (LookupField, String);

/// The values of which a job is about to create records.
pub(in crate::engine) fn claimed_values(job: &Job) -> Vec<ClaimedValue> {
    let Some(new) = &job.request.new_records else {
        return Vec::new();
    };
    let open = job.calls.iter().filter(|call| !call.status.is_final());
    let values = open.flat_map(|state| state.call.new_values(&job.request));
    let column = LookupField {
        module: job.request.module.clone(),
        field: new.query.field.clone(),
    };
    values
        .map(|value| (column.clone(), new.key(value)))
        .collect()
}

impl MatchQuery {
    /// The records to create for the values without a record, if the job can create any.
    pub(super) fn new_records(
        &self,
        missing: Vec<MatchValue>,
        found: &[(usize, RecordId)],
    ) -> Option<NewRecords> {
        let creation = self.creation.as_ref()?;
        // A new record has its owner from the start.
        let owner = self.owner.and_then(NewRecords::owner);
        let is_owner = |set: &Assignment| Some(&set.field) == owner.as_ref().map(|own| &own.field);
        let create = creation.create.iter().filter(|set| !is_owner(set));
        let create = create.cloned().collect::<Vec<_>>();
        let query = Match {
            create: create.into_iter().chain(owner.clone()).collect(),
            values: Vec::new(),
            ..self.wanted.clone()
        };
        let CreationCheck {
            numeric,
            case_sensitive,
            ..
        } = *creation;
        let mut new = NewRecords::new(&query, missing, numeric, case_sensitive);
        if let Some(known) = &self.found {
            let mut names = known.clone();
            for (place, id) in found {
                let value = self.wanted.values.get(*place);
                let name = value.map(|value| new.order_name(&self.column.module, value));
                names.entry(*id).or_default().extend(name);
            }
            new.found = names;
        }
        Some(new)
    }
}

/// The values of which records are being created, each with what its record gets; nothing if that is another job's matter.
pub(super) struct Claims(HashMap<ClaimedValue, Option<Map<String, Value>>>);

impl Claims {
    pub(super) fn of(claimed: Vec<ClaimedValue>) -> Self {
        Self(claimed.into_iter().map(|value| (value, None)).collect())
    }

    /// Claims the values of a prepared job. The job is postponed if another one creates a record of one of them with other
    /// fields. Jobs that create equal records share them.
    pub(super) fn claim(
        &mut self,
        column: &LookupField,
        fields: &[Assignment],
        prepared: &mut PreparationResult,
    ) {
        let Self(claims) = self;
        let PreparationOutcome::Ready {
            new_records: Some(new),
            ..
        } = &prepared.outcome
        else {
            return;
        };
        let data = new.data(fields);
        let keys: Vec<ClaimedValue> = new
            .values()
            .iter()
            .map(|value| (column.clone(), new.key(value)))
            .collect();
        let is_other = |key| {
            claims
                .get(key)
                .is_some_and(|other| other.as_ref() != Some(&data))
        };
        if keys.iter().any(is_other) {
            let cause = Cause::RecordBeingCreated;
            prepared.outcome = PreparationOutcome::Postponed {
                reason: Refusal::of(cause),
                wait: cause.row().class.wait().unwrap_or(Duration::ZERO),
            };
            return;
        }
        claims.extend(keys.into_iter().map(|key| (key, Some(data.clone()))));
    }
}

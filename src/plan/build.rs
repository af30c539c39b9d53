//! The calls that an update request takes: for its fields by one update method or the other, then for its tags and its owner.

use std::ops::Range;

use super::{Call, MethodComparison, PlanLimits, Target};
use crate::update::{FieldName, NewRecords, UpdateRequest};

/// Fields of Deals that Zoho validates against each other: a stage must belong to the pipeline, and both to the layout.
/// They travel in one call, as Zoho would refuse the first of two calls.
const DEPENDENT_FIELDS: [&str; 3] = ["Layout", "Pipeline", "Stage"];

/// The number of records that an update request selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordCount {
    /// This many records, by their ids.
    Ids(usize),
    /// The records of a custom view, whose number only Zoho knows.
    View,
}

/// Builds all calls of a request, with the comparison of the update methods if it sets fields.
pub(super) fn all_calls(
    request: &UpdateRequest,
    records: RecordCount,
    limits: &PlanLimits,
) -> (Option<MethodComparison>, Vec<Call>) {
    let new = request.new_records.as_ref();
    let upserts = new.map_or_else(Vec::new, |new| upserts(request, new, limits));
    let (comparison, updates) = match request.fields.is_empty() {
        true => (None, Vec::new()),
        false => {
            let (comparison, calls) = MethodComparison::choose(request, records, limits);
            (Some(comparison), calls)
        }
    };
    // Upserts run beside the first updates: both have group 1.
    let calls = upserts.into_iter().chain(updates).zip(1..);
    let mut calls: Vec<Call> = calls.map(|(call, seq)| Call { seq, ..call }).collect();
    for targets in action_targets(request, records, limits) {
        let group = calls.last().map_or(1, |call| call.group + 1);
        for target in targets {
            calls.push(Call {
                seq: calls.len() + 1,
                group,
                fields: Vec::new(),
                target,
            });
        }
    }
    (comparison, calls)
}

/// The targets of each step after the fields, in the order of the steps.
fn action_targets(
    request: &UpdateRequest,
    records: RecordCount,
    limits: &PlanLimits,
) -> Vec<Vec<Target>> {
    let each = |target: fn(Range<usize>) -> Target, new: usize| match records {
        RecordCount::Ids(count) => chunks(count + new, limits.ids_per_call)
            .map(target)
            .collect(),
        // No request tags the records of a custom view.
        RecordCount::View => Vec::new(),
    };
    let creation = request.creation();
    let new = creation.map_or(0, |query| query.values.len());
    let mut steps = Vec::new();
    if !request.tags.add.is_empty() {
        steps.push(each(Target::AddTags, new));
    }
    if !request.tags.remove.is_empty() {
        steps.push(each(Target::RemoveTags, new));
    }
    if request.owner.is_some() {
        let last = creation.filter(|query| NewRecords::get_owner_last(&request.tags, query));
        steps.push(match records {
            RecordCount::Ids(_) => each(Target::ChangeOwner, last.map_or(0, |_| new)),
            RecordCount::View => vec![Target::MassChangeOwner],
        });
    }
    steps
}

/// Builds mass updates: one group of fields after the other, each for all records.
pub(super) fn mass_updates(
    request: &UpdateRequest,
    records: RecordCount,
    limits: &PlanLimits,
) -> Vec<Call> {
    let targets: Vec<Target> = match records {
        RecordCount::Ids(count) => chunks(count, limits.ids_per_call)
            .map(Target::Immediate)
            .collect(),
        RecordCount::View => vec![Target::Scheduled],
    };
    let groups = field_groups(request, limits);
    let groups = groups.into_iter().zip(1..);
    let calls = groups.flat_map(|(fields, group)| {
        let targets = targets.iter().cloned();
        targets.map(move |target| (group, fields.clone(), target))
    });
    let calls = calls.zip(1..).map(|((group, fields, target), seq)| Call {
        seq,
        group,
        fields,
        target,
    });
    calls.collect()
}

/// Builds record updates: all fields at once, for one chunk of the records after the other.
pub(super) fn record_updates(
    request: &UpdateRequest,
    count: usize,
    limits: &PlanLimits,
) -> Vec<Call> {
    let fields = field_names(request);
    let targets = chunks(count, limits.records_per_call).map(Target::Records);
    let calls = targets.zip(1..).map(|(target, seq)| Call {
        seq,
        group: 1,
        fields: fields.clone(),
        target,
    });
    calls.collect()
}

/// Builds upserts of new records: all of their fields at once, for one chunk of them after the other.
pub(super) fn upserts(request: &UpdateRequest, new: &NewRecords, limits: &PlanLimits) -> Vec<Call> {
    let own = std::iter::once(new.query.field.clone());
    let create = new.query.create.iter();
    let fields: Vec<FieldName> = own
        .chain(field_names(request))
        .chain(create.map(|assignment| assignment.field.clone()))
        .collect();
    let targets = chunks(new.values().len(), limits.records_per_call).map(Target::Upsert);
    let calls = targets.zip(1..).map(|(target, seq)| Call {
        seq,
        group: 1,
        fields: fields.clone(),
        target,
    });
    calls.collect()
}

fn field_names(request: &UpdateRequest) -> Vec<FieldName> {
    let fields = request.fields.iter();
    fields.map(|assignment| assignment.field.clone()).collect()
}

/// Groups the fields so that each group fits into one mass update.
fn field_groups(request: &UpdateRequest, limits: &PlanLimits) -> Vec<Vec<FieldName>> {
    let mut fields = field_names(request);
    let size = limits.fields(&request.module);
    if size >= DEPENDENT_FIELDS.len() && request.module.as_str() == "Deals" {
        fields.sort_by_key(|field| !DEPENDENT_FIELDS.contains(&field.as_str()));
    }
    fields.chunks(size).map(<[FieldName]>::to_vec).collect()
}

fn chunks(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let size = size.max(1);
    let starts = (0..count).step_by(size);
    starts.map(move |start| start..count.min(start + size))
}

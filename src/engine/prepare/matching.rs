//! Looks up records by the value of a field (`match`). Jobs of one connection that match the same field share queries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use jiff::Timestamp;

use super::{CheckedFields, PrepareOutput};
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::job::preparation::Lookup;
use crate::job::{PreparationOutcome, PreparationResult};
use crate::lookup::{self, LookupField, LookupRequest, MatchIndex};
use crate::outcome::Refusal;
use crate::sync;
use crate::update::{FieldName, MAX_IDS, Match, MatchValue, Records};
use crate::zoho::{self, Client};

/// Concurrent look-ups per connection; Zoho allows ten.
const CONCURRENT_LOOKUPS: usize = 10;

/// A job's `match`.
pub(super) struct MatchQuery {
    pub(super) column: LookupField,
    pub(super) wanted: Match,
}

/// The result of a job's `match`.
pub(super) struct MatchResult {
    pub(super) attempts: u32,
    pub(super) prepared: PreparationResult,
}

impl MatchResult {
    /// Combines the records with the validated fields.
    pub(super) fn into_output(self, place: usize, checked: CheckedFields) -> PrepareOutput {
        let Self {
            attempts,
            mut prepared,
        } = self;
        if let Some(lookup) = prepared.lookup.as_ref().filter(|found| found.matched == 0)
            && !checked.known
        {
            prepared.notes.push(unreadable_fields_note(&lookup.field));
        }
        let (outcome, notes) = match prepared.outcome {
            PreparationOutcome::Ready { records, .. } => {
                let outcome = PreparationOutcome::Ready {
                    fields: checked.fields,
                    records,
                    update_by: checked.method,
                };
                (outcome, checked.notes)
            }
            // Nothing is sent, so notes on the fields do not apply.
            other @ (PreparationOutcome::Nothing
            | PreparationOutcome::Postponed { .. }
            | PreparationOutcome::Refused(_)) => (other, prepared.notes),
        };
        PrepareOutput {
            place,
            attempts,
            prepared: PreparationResult {
                lookup: prepared.lookup,
                notes,
                outcome,
            },
        }
    }
}

/// The note if no record was found, and the field may be of a type that never matches.
fn unreadable_fields_note(field: &FieldName) -> String {
    format!(
        "no record was found by `{field}`, and the org's fields were not read (`guard: off`, or a token without ZohoCRM.settings.fields.READ): multi-select and multi-line fields never match; if it may be one, match another field, or let `guard` be `strict`, which refuses those"
    )
}

/// The result of one query.
struct QuestionResult {
    attempts: u32,
    failed: Option<zoho::Error>,
}

/// The answer to one query, with its field and values.
struct Reply<'a> {
    column: &'a LookupField,
    values: Vec<&'a MatchValue>,
    result: QuestionResult,
    hits: MatchIndex,
}

/// What the first answers show about all further look-ups of the turn.
#[derive(Default)]
struct Learned<'a> {
    /// Fields whose look-ups are denied. No further query is sent for them.
    denied: Mutex<HashMap<&'a LookupField, zoho::Error>>,
    /// Whether queries of the org do not know the field `Converted__s`.
    no_converted_field: AtomicBool,
}

/// The results of all queries on one field.
#[derive(Default)]
struct FieldInfo<'a> {
    hits: MatchIndex,
    results: Vec<QuestionResult>,
    /// The index in `results` for each value.
    of: HashMap<&'a MatchValue, usize>,
}

/// Sends all look-ups, and returns the result for each job, in their order.
pub(super) async fn look_up(
    client: &Client,
    all: &[MatchQuery],
    give_up: Timestamp,
) -> Vec<MatchResult> {
    let mut columns: BTreeMap<&LookupField, Vec<&MatchValue>> = BTreeMap::new();
    for MatchQuery { column, wanted } in all {
        if lookup::refuse(wanted).is_none() {
            columns.entry(column).or_default().extend(&wanted.values);
        }
    }
    let learned = Learned::default();
    let mut asking = Vec::new();
    for (column, values) in columns {
        for (question, values) in lookup::lookup_requests(column, values) {
            asking.push(ask(client, &learned, column, question, values, give_up));
        }
    }
    let mut answers = futures_util::stream::iter(asking).buffer_unordered(CONCURRENT_LOOKUPS);
    let mut known: BTreeMap<&LookupField, FieldInfo<'_>> = BTreeMap::new();
    while let Some(Reply {
        column,
        values,
        result,
        hits,
    }) = answers.next().await
    {
        let known = known.entry(column).or_default();
        let place = known.results.len();
        known.results.push(result);
        known.hits.merge(hits);
        known
            .of
            .extend(values.into_iter().map(|value| (value, place)));
    }
    let nothing = FieldInfo::default();
    all.iter()
        .map(|MatchQuery { column, wanted }| answer(wanted, known.get(column).unwrap_or(&nothing)))
        .collect()
}

/// Sends one query, unless its field is denied.
async fn ask<'a>(
    client: &Client,
    learned: &Learned<'a>,
    column: &'a LookupField,
    question: LookupRequest,
    values: Vec<&'a MatchValue>,
    give_up: Timestamp,
) -> Reply<'a> {
    let known = || sync::lock(&learned.denied);
    let denied_before = known().get(column).cloned();
    let mut attempts = 0;
    let outcome = match denied_before {
        Some(failed) => Err(failed),
        None => pages(client, learned, question, column, give_up, &mut attempts).await,
    };
    let (hits, failed) = match outcome {
        Ok(hits) => (hits, None),
        Err(failed) => (MatchIndex::default(), Some(failed)),
    };
    if let Some(failed @ zoho::Error::Denied(_)) = &failed {
        known().insert(column, failed.clone());
    }
    Reply {
        column,
        values,
        result: QuestionResult { attempts, failed },
        hits,
    }
}

/// Reads all pages of an answer.
async fn pages(
    client: &Client,
    learned: &Learned<'_>,
    mut question: LookupRequest,
    column: &LookupField,
    give_up: Timestamp,
    attempts: &mut u32,
) -> Result<MatchIndex, zoho::Error> {
    let (mut hits, mut count) = (MatchIndex::default(), 0);
    loop {
        if learned.no_converted_field.load(Ordering::Relaxed) {
            question = question.with_converted().unwrap_or(question);
        }
        let sent = client.find(&question, give_up).await;
        *attempts += sent.attempts;
        fail_point("lookup.answered");
        let page = match sent.outcome {
            // Zoho then refuses the update of each converted lead.
            Err(error) if lacks_converted_field(&error) && question.with_converted().is_some() => {
                learned.no_converted_field.store(true, Ordering::Relaxed);
                continue;
            }
            outcome => outcome?,
        };
        count += page.rows.len();
        let next = question.next(&page.rows);
        hits.add(page.rows);
        // A job with more than the limit is refused later, and there may be millions.
        if !page.more || count > MAX_IDS {
            return Ok(hits);
        }
        question = next.ok_or_else(|| {
            let message = format!(
                "Zoho says that more records have the values of `{}` that were asked for, and does not give them",
                column.field
            );
            zoho::Error::Refused(Refusal::with(Cause::LookupStuck, message))
        })?;
    }
}

fn lacks_converted_field(error: &zoho::Error) -> bool {
    error.refusal().cause() == Some(Cause::ConvertedUnknown)
}

/// The result for one job. If a single answer is missing, its records are unknown.
fn answer(wanted: &Match, known: &FieldInfo<'_>) -> MatchResult {
    if let Some(refusal) = lookup::refuse(wanted) {
        return MatchResult {
            attempts: 0,
            prepared: PreparationOutcome::Refused(refusal).into(),
        };
    }
    let places: HashSet<usize> = wanted
        .values
        .iter()
        .filter_map(|value| known.of.get(value).copied())
        .collect();
    let results = || places.iter().filter_map(|place| known.results.get(*place));
    let attempts = results().map(|result| result.attempts).sum();
    // A permanent failure takes precedence over a temporary one.
    let failed = results()
        .filter_map(|result| result.failed.clone())
        .min_by_key(|failed| failed.retry_after().is_some());
    if let Some(failed) = failed {
        return MatchResult {
            attempts,
            prepared: PreparationOutcome::from(failed).into(),
        };
    }
    let settled = lookup::settle(wanted, &known.hits);
    let found = Lookup {
        field: wanted.field.clone(),
        values: wanted.values.len() as u64,
        matched: settled.matched as u64,
        ids: settled.ids.len() as u64,
    };
    let outcome = match settled.refusal {
        Some(refusal) => PreparationOutcome::Refused(refusal),
        None if settled.ids.is_empty() => PreparationOutcome::Nothing,
        None => PreparationOutcome::Ready {
            fields: None,
            records: Some(Records::Ids(settled.ids)),
            update_by: None,
        },
    };
    MatchResult {
        attempts,
        prepared: PreparationResult {
            lookup: Some(found),
            ..outcome.into()
        },
    }
}

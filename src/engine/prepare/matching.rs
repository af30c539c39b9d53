//! The look-ups of records by the value of a field, for all jobs of a connection together: jobs that ask for values of the
//! same field share its queries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use jiff::Timestamp;

use super::{Checked, PrepareOutput};
use crate::codes::Cause;
use crate::failpoint::reach;
use crate::job::preparation::Lookup;
use crate::job::{PreparationOutcome, PreparationResult};
use crate::lookup::{self, Column, Hits, Question};
use crate::outcome::Refusal;
use crate::update::{FieldName, MAX_IDS, Match, MatchValue, Records};
use crate::zoho::{self, Client};

/// StatusPoll-ups of one connection that are under way at once. Zoho allows ten of the kind.
const AT_ONCE: usize = 10;

/// A job's `match`.
pub(super) struct MatchQuery {
    pub(super) column: Column,
    pub(super) wanted: Match,
}

/// What came of a job's `match`, and of how many requests.
pub(super) struct MatchResult {
    pub(super) attempts: u32,
    pub(super) prepared: PreparationResult,
}

impl MatchResult {
    /// The same with what was found out for the job before its look-up.
    pub(super) fn into_found(self, place: usize, checked: Checked) -> PrepareOutput {
        let Self {
            attempts,
            mut prepared,
        } = self;
        if let Some(lookup) = prepared.lookup.as_ref().filter(|found| found.matched == 0)
            && !checked.known
        {
            prepared.notes.push(unsure(&lookup.field));
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
            // Nothing is sent, so nothing is to be said of how.
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

/// What is said where nothing was found, and nobody knows whether anything ever will be.
fn unsure(field: &FieldName) -> String {
    format!(
        "no record was found by `{field}`, and the org's fields were not read (`guard: off`, or a token without ZohoCRM.settings.fields.READ): multi-select and multi-line fields never match; if it may be one, match another field, or let `guard` be `strict`, which refuses those"
    )
}

/// What came of one question.
struct Told {
    attempts: u32,
    failed: Option<zoho::Error>,
}

/// What came of one question, with its field and the values that it was about.
struct Reply<'a> {
    column: &'a Column,
    values: Vec<&'a MatchValue>,
    told: Told,
    hits: Hits,
}

/// Fields of which no question will ever be answered: what is denied once is not asked again.
type Denied<'a> = Mutex<HashMap<&'a Column, zoho::Error>>;

/// What is known of one field.
#[derive(Default)]
struct FieldInfo<'a> {
    hits: Hits,
    told: Vec<Told>,
    /// Which of `told` is about the value.
    of: HashMap<&'a MatchValue, usize>,
}

/// Looks everything up, and says what it means for each job, in their order.
pub(super) async fn look_up(
    client: &Client,
    all: &[MatchQuery],
    give_up: Timestamp,
) -> Vec<MatchResult> {
    let mut columns: BTreeMap<&Column, Vec<&MatchValue>> = BTreeMap::new();
    for MatchQuery { column, wanted } in all {
        if lookup::refuse(wanted).is_none() {
            columns.entry(column).or_default().extend(&wanted.values);
        }
    }
    let denied = Denied::default();
    let mut asking = Vec::new();
    for (column, values) in columns {
        for (question, values) in lookup::questions(column, values) {
            asking.push(ask(client, &denied, column, question, values, give_up));
        }
    }
    let mut answers = futures_util::stream::iter(asking).buffer_unordered(AT_ONCE);
    let mut known: BTreeMap<&Column, FieldInfo<'_>> = BTreeMap::new();
    while let Some(Reply {
        column,
        values,
        told,
        hits,
    }) = answers.next().await
    {
        let known = known.entry(column).or_default();
        let place = known.told.len();
        known.told.push(told);
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

/// Asks one question, unless it is known to be hopeless.
async fn ask<'a>(
    client: &Client,
    denied: &Denied<'a>,
    column: &'a Column,
    question: Question,
    values: Vec<&'a MatchValue>,
    give_up: Timestamp,
) -> Reply<'a> {
    let known = || denied.lock().unwrap_or_else(PoisonError::into_inner);
    let hopeless = known().get(column).cloned();
    let mut attempts = 0;
    let outcome = match hopeless {
        Some(failed) => Err(failed),
        None => pages(client, question, column, give_up, &mut attempts).await,
    };
    let (hits, failed) = match outcome {
        Ok(hits) => (hits, None),
        Err(failed) => (Hits::default(), Some(failed)),
    };
    if let Some(failed @ zoho::Error::Denied(_)) = &failed {
        known().insert(column, failed.clone());
    }
    Reply {
        column,
        values,
        told: Told { attempts, failed },
        hits,
    }
}

/// All pages of an answer.
async fn pages(
    client: &Client,
    mut question: Question,
    column: &Column,
    give_up: Timestamp,
    attempts: &mut u32,
) -> Result<Hits, zoho::Error> {
    let (mut hits, mut count) = (Hits::default(), 0);
    loop {
        let sent = client.find(&question, give_up).await;
        *attempts += sent.attempts;
        reach("lookup.answered");
        let page = sent.outcome?;
        count += page.rows.len();
        let next = question.next(&page.rows);
        hits.add(page.rows);
        // More than fit into a job are refused in the end, and there may be millions.
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

/// What the answers mean for a job. A single one that is missing leaves open which records it is about.
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
    let told = || places.iter().filter_map(|place| known.told.get(*place));
    let attempts = told().map(|told| told.attempts).sum();
    // What can never be is said before what may be later.
    let failed = told()
        .filter_map(|told| told.failed.clone())
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

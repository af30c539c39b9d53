//! Looks up records by the value of a field (`match`). Jobs of one connection that match the same field share queries.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use jiff::Timestamp;

use super::{CheckedFields, PrepareOutput};
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::guard::CreationCheck;
use crate::job::preparation::Lookup;
use crate::job::{PreparationOutcome, PreparationResult};
use crate::lookup::{self, LetterCase, LookupField, LookupRequest, MatchIndex};
use crate::outcome::Refusal;
use crate::sync;
use crate::update::{Assignment, FieldName, MAX_IDS, Match, MatchValue, RecordId, Records, UserId};
use crate::zoho::{self, Client};

/// Concurrent look-ups per connection; Zoho allows ten.
const CONCURRENT_LOOKUPS: usize = 10;

/// A job's `match`.
pub(super) struct MatchQuery {
    pub(super) column: LookupField,
    pub(super) wanted: Match,
    /// Records that need no look-up.
    pub(super) known_ids: Vec<RecordId>,
    /// The names of the orders of these records by their values; none if the job has no order.
    pub(super) found: Option<BTreeMap<RecordId, BTreeSet<String>>>,
    /// The records to create, if the job can create any.
    pub(super) creation: Option<CreationCheck>,
    /// The owner that new records get from the start.
    pub(super) owner: Option<UserId>,
    /// What the job sets on every record.
    pub(super) fields: Vec<Assignment>,
}

impl MatchQuery {
    /// How the values are compared. A record that Zoho would take for a duplicate of a new one is found.
    fn letter_case(&self) -> LetterCase {
        match &self.creation {
            Some(creation) if !creation.case_sensitive => LetterCase::Ignored,
            Some(_) | None => LetterCase::Exact,
        }
    }
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
            PreparationOutcome::Ready {
                records,
                new_records,
                ..
            } => {
                let outcome = PreparationOutcome::Ready {
                    fields: checked.fields,
                    records,
                    new_records,
                    update_by: checked.method,
                    owner: checked.owner,
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
                ..outcome.into()
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

/// A query for values of a field.
struct Question<'a> {
    column: &'a LookupField,
    request: LookupRequest,
    values: Vec<&'a MatchValue>,
    /// The jobs that it is sent for, by their index; `None` for all jobs that have these values.
    jobs: Option<Vec<usize>>,
    /// Requests that were sent for its values before.
    attempts: u32,
}

/// The result of one query.
struct QuestionResult {
    attempts: u32,
    failed: Option<zoho::Error>,
    /// Whether there were more records than a job can have, so that further pages were not read.
    is_cut: bool,
}

/// The answer to one query, with its field and values.
struct Reply<'a> {
    column: &'a LookupField,
    values: Vec<&'a MatchValue>,
    jobs: Option<Vec<usize>>,
    result: QuestionResult,
    hits: MatchIndex,
}

impl Reply<'_> {
    /// Whether one job can be the reason why the others have no complete answer.
    fn may_fail_one_job_only(&self) -> bool {
        match &self.result.failed {
            Some(zoho::Error::Refused(refusal)) => !lookup::concerns_field(refusal),
            Some(_) => false,
            None => self.result.is_cut,
        }
    }
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
    /// The index in `results` for the values of jobs whose queries were sent apart.
    apart: HashMap<(usize, &'a MatchValue), usize>,
}

impl<'a> FieldInfo<'a> {
    fn add(&mut self, reply: Reply<'a>) {
        let place = self.results.len();
        self.results.push(reply.result);
        self.hits.merge(reply.hits);
        match reply.jobs {
            None => self
                .of
                .extend(reply.values.into_iter().map(|value| (value, place))),
            Some(jobs) => {
                for job in jobs {
                    let own = reply.values.iter().map(|value| ((job, *value), place));
                    self.apart.extend(own);
                }
            }
        }
    }

    /// The results for the values of a job.
    fn results_of(&self, job: usize, wanted: &Match) -> impl Iterator<Item = &QuestionResult> {
        let places: HashSet<usize> = wanted
            .values
            .iter()
            .filter_map(|value| self.apart.get(&(job, value)).or_else(|| self.of.get(value)))
            .copied()
            .collect();
        places
            .into_iter()
            .filter_map(|place| self.results.get(place))
    }
}

/// Sends all look-ups, and returns the result for each job, in their order. Jobs share queries; if Zoho refuses a shared
/// query, each job asks once more on its own, so that the value of one job fails only that job.
pub(super) async fn look_up(
    client: &Client,
    all: &[MatchQuery],
    give_up: Timestamp,
) -> Vec<MatchResult> {
    let learned = Learned::default();
    let mut known: BTreeMap<&LookupField, FieldInfo<'_>> = BTreeMap::new();
    let mut questions = shared_questions(all);
    while !questions.is_empty() {
        let mut asking = Vec::with_capacity(questions.len());
        for question in questions.drain(..) {
            asking.push(ask(client, &learned, question, give_up));
        }
        let mut replies = futures_util::stream::iter(asking).buffer_unordered(CONCURRENT_LOOKUPS);
        while let Some(reply) = replies.next().await {
            questions.extend(questions_apart(all, &reply));
            known.entry(reply.column).or_default().add(reply);
        }
    }
    let nothing = FieldInfo::default();
    all.iter()
        .enumerate()
        .map(|(job, query)| answer(job, query, known.get(&query.column).unwrap_or(&nothing)))
        .collect()
}

/// The queries that all jobs share.
fn shared_questions(all: &[MatchQuery]) -> Vec<Question<'_>> {
    let mut columns: BTreeMap<&LookupField, Vec<&MatchValue>> = BTreeMap::new();
    for MatchQuery { column, wanted, .. } in all {
        if lookup::refuse(wanted).is_none() {
            columns.entry(column).or_default().extend(&wanted.values);
        }
    }
    let mut questions = Vec::new();
    for (column, values) in columns {
        let requests = lookup::lookup_requests(column, values).into_iter();
        questions.extend(requests.map(|(request, values)| Question {
            column,
            request,
            values,
            jobs: None,
            attempts: 0,
        }));
    }
    questions
}

/// The queries of single jobs that replace a shared one. There are none unless jobs with different values shared it.
fn questions_apart<'a>(all: &'a [MatchQuery], reply: &Reply<'a>) -> Vec<Question<'a>> {
    if reply.jobs.is_some() || !reply.may_fail_one_job_only() {
        return Vec::new();
    }
    let mut groups: HashMap<Vec<&MatchValue>, Vec<usize>> = HashMap::new();
    for (job, MatchQuery { column, wanted, .. }) in all.iter().enumerate() {
        if column != reply.column || lookup::refuse(wanted).is_some() {
            continue;
        }
        let own: HashSet<&MatchValue> = wanted.values.iter().collect();
        let values = reply.values.iter().copied();
        let values: Vec<&MatchValue> = values.filter(|value| own.contains(value)).collect();
        if !values.is_empty() {
            groups.entry(values).or_default().push(job);
        }
    }
    if groups.len() < 2 {
        return Vec::new();
    }
    tracing::warn!(
        module = %reply.column.module,
        field = %reply.column.field,
        queries = groups.len(),
        "a query that jobs share has no complete answer, each of them asks on its own: {}",
        reply.result.failed.as_ref().map_or("it has too many records", |failed| failed.refusal().message.as_str())
    );
    let mut questions = Vec::new();
    for (values, jobs) in groups {
        let requests = lookup::lookup_requests(reply.column, values).into_iter();
        questions.extend(requests.map(|(request, values)| Question {
            column: reply.column,
            request,
            values,
            jobs: Some(jobs.clone()),
            attempts: reply.result.attempts,
        }));
    }
    questions
}

/// Sends one query, unless its field is denied.
async fn ask<'a>(
    client: &Client,
    learned: &Learned<'a>,
    question: Question<'a>,
    give_up: Timestamp,
) -> Reply<'a> {
    let Question {
        column,
        request,
        values,
        jobs,
        mut attempts,
    } = question;
    let known = || sync::lock(&learned.denied);
    let denied_before = known().get(column).cloned();
    let outcome = match denied_before {
        Some(failed) => Err(failed),
        None => pages(client, learned, request, column, give_up, &mut attempts).await,
    };
    let ((hits, is_cut), failed) = match outcome {
        Ok(found) => (found, None),
        Err(failed) => ((MatchIndex::default(), false), Some(failed)),
    };
    if let Some(failed @ zoho::Error::Denied(_)) = &failed {
        known().insert(column, failed.clone());
    }
    Reply {
        column,
        values,
        jobs,
        result: QuestionResult {
            attempts,
            failed,
            is_cut,
        },
        hits,
    }
}

/// Reads the pages of an answer. Returns the records, and whether pages were left out.
async fn pages(
    client: &Client,
    learned: &Learned<'_>,
    mut question: LookupRequest,
    column: &LookupField,
    give_up: Timestamp,
    attempts: &mut u32,
) -> Result<(MatchIndex, bool), zoho::Error> {
    let (mut hits, mut count) = (MatchIndex::default(), 0);
    loop {
        if learned.no_converted_field.load(Ordering::Relaxed) {
            question = question.with_converted().unwrap_or(question);
        }
        let sent = client.find(&question, give_up).await;
        *attempts += sent.attempts();
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
            return Ok((hits, page.more));
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
fn answer(job: usize, query: &MatchQuery, known: &FieldInfo<'_>) -> MatchResult {
    let wanted = &query.wanted;
    if let Some(refusal) = lookup::refuse(wanted) {
        return MatchResult {
            attempts: 0,
            prepared: PreparationOutcome::Refused(refusal).into(),
        };
    }
    let results = || known.results_of(job, wanted);
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
    let settled = lookup::settle(wanted, &known.hits, query.letter_case());
    let summary = Lookup {
        field: wanted.field.clone(),
        values: wanted.values.len() as u64,
        matched: settled.matched as u64,
        ids: settled.ids.len() as u64,
    };
    let new_records = query.new_records(settled.missing, &settled.found);
    let known_ids: HashSet<&RecordId> = query.known_ids.iter().collect();
    let found = settled.ids.into_iter().filter(|id| !known_ids.contains(id));
    let ids: Vec<RecordId> = query.known_ids.iter().copied().chain(found).collect();
    let outcome = match settled.refusal {
        Some(refusal) => PreparationOutcome::Refused(refusal),
        None if ids.is_empty() && new_records.is_none() => PreparationOutcome::Nothing,
        None => PreparationOutcome::Ready {
            fields: None,
            records: Some(Records::Ids(ids)),
            new_records: new_records.map(Box::new),
            update_by: None,
            owner: None,
        },
    };
    MatchResult {
        attempts,
        prepared: PreparationResult {
            lookup: Some(summary),
            ..outcome.into()
        },
    }
}

//! Prepares jobs for planning. All jobs of a connection are prepared together, so that they share requests.
//!
//! The steps: resolve the names of views and territories, validate the fields, look up records. A job that fails in one
//! step skips the others. Nothing is stored between the steps; after a crash the preparation starts again.

mod creation;
mod matching;
mod names;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::guard::{self, CreationCheck};
use crate::job::{PreparationOutcome, PreparationResult};
use crate::lookup::LookupField;
use crate::update::{
    Assignment, ChangeKind, Match, ModuleName, RecordId, Records, Selector, StepKind, UpdateMethod,
    UpdateRequest, UserId, UserReference,
};
use crate::zoho::metadata::{Field, Freshness};
use crate::zoho::{self, Client};
use creation::Claims;
pub(super) use creation::{ClaimedValue, claimed_values};
use matching::MatchQuery;

/// What the preparation of one job needs. Known ids are left out, as there may be many.
pub(super) struct PrepareInput {
    /// The job's place in the turn.
    pub(super) place: usize,
    module: ModuleName,
    fields: Vec<Assignment>,
    over_write: bool,
    way: UpdateMethod,
    open: Option<Selector>,
    /// The new owner, who may have to be looked up.
    owner: Option<UserReference>,
    /// Records of a request that is replayed, whose other records are looked up again.
    known_ids: Vec<RecordId>,
    /// The names of the orders of these records by their values; none if the job has no order.
    found: Option<BTreeMap<RecordId, BTreeSet<String>>>,
    steps: Vec<StepKind>,
}

impl PrepareInput {
    /// The input of the job at a place in the turn. `is_ordered` is whether the job has an order.
    pub(super) fn of(place: usize, request: &UpdateRequest, is_ordered: bool) -> Self {
        let found = request.new_records.iter().map(|new| new.found.clone());
        let new = request.new_records.as_ref().map(|new| &new.query);
        let new = new.filter(|query| !query.values.is_empty());
        let (open, known_ids) = match (new, &request.selector) {
            (Some(query), Selector::Records(Records::Ids(ids))) => {
                (Some(Selector::Match(query.clone())), ids.clone())
            }
            (Some(_) | None, Selector::Records(_)) => (None, Vec::new()),
            (_, open @ (Selector::Match(_) | Selector::Named(_))) => {
                (Some(open.clone()), Vec::new())
            }
        };
        Self {
            place,
            module: request.module.clone(),
            fields: request.fields.clone(),
            over_write: request.over_write,
            way: request.effective_method(),
            open,
            known_ids,
            found: is_ordered.then(|| found.flatten().collect()),
            owner: request.owner.as_ref().map(|owner| owner.user.clone()),
            steps: request.steps(),
        }
    }
}

/// The result of the preparation of one job.
pub(super) struct PrepareOutput {
    /// The job's place in the turn.
    pub(super) place: usize,
    /// Requests that were sent for it.
    pub(super) attempts: u32,
    /// The result for the job.
    pub(super) prepared: PreparationResult,
}

/// The result of one step for one job: the input of the next step, or the outcome that ends the preparation.
type Step<T> = Result<T, PreparationOutcome>;

impl From<zoho::Error> for PreparationOutcome {
    fn from(error: zoho::Error) -> Self {
        if let zoho::Error::Denied(refusal) = &error {
            // An alarm watches for this text: the connection is at fault, not the request.
            tracing::error!(zoho.code = refusal.code, "job cannot go on: {refusal}");
        }
        match error.retry_after() {
            Some(wait) => Self::Postponed {
                reason: error.into_refusal(),
                wait,
            },
            None => Self::Refused(error.into_refusal()),
        }
    }
}

/// Prepares jobs as far as possible before `give_up`. Records of the values in `claimed` are being created by other jobs.
pub(super) async fn prepare(
    client: &Client,
    inputs: Vec<PrepareInput>,
    claimed: Vec<ClaimedValue>,
    give_up: Timestamp,
) -> Vec<PrepareOutput> {
    let mut found = Vec::with_capacity(inputs.len());
    let mut field_cache = FieldCache {
        client,
        give_up,
        fresh: HashMap::new(),
    };
    // Jobs that still need their records, with the results of their earlier steps.
    let (mut queries, mut waiting) = (Vec::new(), Vec::new());
    for input in inputs {
        let place = input.place;
        let prepared = match prepare_fields(&mut field_cache, input).await {
            Ok(PrepareStage::Done(prepared)) => prepared,
            Ok(PrepareStage::NeedsRecords(needed)) => {
                let (wanted, checked) = *needed;
                queries.push(wanted);
                waiting.push((place, checked));
                continue;
            }
            Err(outcome) => outcome.into(),
        };
        found.push(PrepareOutput {
            place,
            attempts: 0,
            prepared,
        });
    }
    let answers = matching::look_up(client, &queries, give_up).await;
    let mut claims = Claims::of(claimed);
    for ((place, checked), result) in waiting.into_iter().zip(answers) {
        found.push(result.into_output(place, checked));
    }
    // In the order of the queries, which is that of the jobs.
    let outputs = found.iter_mut().rev().take(queries.len()).rev();
    for (query, output) in queries.iter().zip(outputs) {
        claims.claim(&query.column, &query.fields, &mut output.prepared);
    }
    found
}

/// Prepares a request without a job: reads from Zoho, and stores nothing.
pub async fn preview_preparation(
    client: &Client,
    request: &UpdateRequest,
    give_up: Timestamp,
) -> PreparationResult {
    let found = prepare(
        client,
        vec![PrepareInput::of(0, request, false)],
        Vec::new(),
        give_up,
    )
    .await;
    let prepared = found.into_iter().map(|found| found.prepared).next();
    prepared.unwrap_or_else(|| PreparationOutcome::UNCHANGED.into())
}

/// The state of a job before records are looked up.
enum PrepareStage {
    Done(PreparationResult),
    NeedsRecords(Box<(MatchQuery, CheckedFields)>),
}

async fn prepare_fields(
    field_cache: &mut FieldCache<'_>,
    input: PrepareInput,
) -> Step<PrepareStage> {
    let (client, give_up) = (field_cache.client, field_cache.give_up);
    let PrepareInput {
        module,
        fields,
        over_write,
        way,
        open,
        owner,
        steps,
        known_ids,
        found,
        ..
    } = input;
    let tags = steps.iter().any(|step| step.change() == ChangeKind::Tags);
    let found_owner = names::find_owner(client, owner.as_ref(), give_up).await?;
    let owner = found_owner.or(names::known_owner(owner.as_ref()));
    let (records, wanted) = match open {
        None => (None, None),
        Some(Selector::Records(records)) => (Some(records), None),
        Some(Selector::Named(named)) => {
            let records = names::resolve(client, &module, &named, give_up).await?;
            (Some(records), None)
        }
        Some(Selector::Match(wanted)) => (None, Some(wanted)),
    };
    let check = FieldCheck {
        module: &module,
        fields: &fields,
        over_write,
        way,
        query: wanted.as_ref(),
        steps: &steps,
    };
    let checked = CheckedFields {
        owner: found_owner,
        ..field_cache.check(&check).await?
    };
    Ok(match wanted {
        Some(wanted) => {
            let field = wanted.field.clone();
            let query = MatchQuery {
                column: LookupField { module, field },
                wanted,
                known_ids,
                found,
                creation: checked.creation.clone(),
                owner: owner.filter(|_| !tags),
                fields: checked.fields.clone().unwrap_or(fields),
            };
            PrepareStage::NeedsRecords(Box::new((query, checked)))
        }
        None => {
            let CheckedFields {
                fields,
                method,
                notes,
                known: _,
                owner,
                creation: _,
            } = checked;
            let outcome = PreparationOutcome::Ready {
                fields,
                records,
                new_records: None,
                update_by: method,
                owner,
            };
            PrepareStage::Done(PreparationResult {
                notes,
                ..outcome.into()
            })
        }
    })
}

/// The validated fields and the owner of a job, where they differ from the request, and notes on the changes.
#[derive(Default)]
struct CheckedFields {
    fields: Option<Vec<Assignment>>,
    method: Option<UpdateMethod>,
    notes: Vec<String>,
    /// Whether the org's fields could be read.
    known: bool,
    /// The owner that was looked up.
    owner: Option<UserId>,
    /// The records to create, if the job can create any.
    creation: Option<CreationCheck>,
}

/// The fields of modules, as read in this turn.
struct FieldCache<'a> {
    client: &'a Client,
    give_up: Timestamp,
    /// Modules whose fields were read in this turn.
    fresh: HashMap<ModuleName, Arc<[Field]>>,
}

impl FieldCache<'_> {
    /// The fields of a module: as read in this turn, or else cached.
    async fn fields(&mut self, module: &ModuleName) -> Result<Arc<[Field]>, zoho::Error> {
        if let Some(known) = self.fresh.get(module) {
            return Ok(known.clone());
        }
        let before = self.client.field_reads(module);
        let known = self
            .client
            .fields(module, Freshness::Cached, self.give_up)
            .await?;
        if self.client.field_reads(module) != before {
            self.fresh.insert(module.clone(), known.clone());
        }
        Ok(known)
    }

    /// Reads the fields of a module again; `None` if this turn has read them already.
    async fn reread(&mut self, module: &ModuleName) -> Result<Option<Arc<[Field]>>, zoho::Error> {
        if self.fresh.contains_key(module) {
            return Ok(None);
        }
        let known = self
            .client
            .fields(module, Freshness::Fresh, self.give_up)
            .await?;
        self.fresh.insert(module.clone(), known.clone());
        Ok(Some(known))
    }

    /// Validates a job, unless the connection's guard is off.
    async fn check(&mut self, check: &FieldCheck<'_>) -> Step<CheckedFields> {
        if !self.client.is_guarded() {
            return self.check_duplicates_only(check).await;
        }
        let note = match check.fields.is_empty() {
            true => None,
            false => guard::module_note(self.client.api_version(), check.module, check.way)
                .map_err(PreparationOutcome::Refused)?,
        };
        let checked = self.check_fields(check).await?;
        Ok(match note {
            None => checked,
            Some(note) => CheckedFields {
                method: Some(UpdateMethod::Records),
                notes: [note].into_iter().chain(checked.notes).collect(),
                ..checked
            },
        })
    }

    /// Validates a job against the org's fields. A field or an option may be newer than the cached list, so before a job is
    /// refused the fields are read again. If the token may not read them, the job is sent unchanged; the client logs that.
    async fn check_fields(&mut self, check: &FieldCheck<'_>) -> Step<CheckedFields> {
        let known = match self.fields(check.module).await {
            Ok(known) => known,
            Err(failed) if failed.lacks_scope() => {
                return self.check_duplicates_only(check).await;
            }
            Err(failed) => return Err(failed.into()),
        };
        let mut checked = check.run(&known);
        if checked.is_err()
            && let Some(known) = self.reread(check.module).await?
        {
            checked = check.run(&known);
        }
        checked.map_err(|problems| {
            guard::refusal(problems)
                .map_or(PreparationOutcome::UNCHANGED, PreparationOutcome::Refused)
        })
    }
}

impl FieldCache<'_> {
    /// Validates nothing of a job without a guard, except that Zoho finds duplicates of the records that it creates.
    async fn check_duplicates_only(&mut self, check: &FieldCheck<'_>) -> Step<CheckedFields> {
        let Some(query) = check.query.filter(|query| query.creates()) else {
            return Ok(CheckedFields::default());
        };
        let run = |known: &[Field]| guard::check_duplicates(known, check.module, &query.field);
        let mut checked = run(&[]);
        if checked.is_err() {
            let known = match self.fields(check.module).await {
                Ok(known) => known,
                Err(failed) if failed.lacks_scope() => [].into(),
                Err(failed) => return Err(failed.into()),
            };
            checked = run(&known);
            // The field may have become unique since the list was cached.
            if checked.is_err()
                && !known.is_empty()
                && let Some(known) = self.reread(check.module).await?
            {
                checked = run(&known);
            }
        }
        let creation = checked.map_err(|problem| PreparationOutcome::Refused(problem.refusal))?;
        Ok(CheckedFields {
            creation: Some(CreationCheck {
                create: query.create.clone(),
                ..creation
            }),
            ..CheckedFields::default()
        })
    }
}

/// The parts of a job that are validated.
struct FieldCheck<'a> {
    module: &'a ModuleName,
    fields: &'a [Assignment],
    over_write: bool,
    /// The calls that will be used.
    way: UpdateMethod,
    /// Its `match`, if it has one.
    query: Option<&'a Match>,
    /// What it changes.
    steps: &'a [StepKind],
}

impl FieldCheck<'_> {
    fn run(&self, known: &[Field]) -> Result<CheckedFields, Vec<guard::FieldProblem>> {
        let unmatchable = self
            .query
            .and_then(|query| guard::match_problem(known, &query.field));
        let steps = self.steps.iter();
        let unsupported = steps.filter_map(|step| guard::step_problem(known, self.module, *step));
        let others: Vec<guard::FieldProblem> = unmatchable.into_iter().chain(unsupported).collect();
        let creating = self.query.filter(|query| query.creates());
        let creation = creating
            .map(|query| guard::check_creation(known, self.module, query, self.fields))
            .transpose();
        match (
            guard::guard(known, self.fields, self.over_write, self.way),
            creation,
            others.is_empty(),
        ) {
            (Ok(guarded), Ok(creation), true) => {
                let notes = creation.iter().flat_map(|creation| creation.notes.clone());
                Ok(CheckedFields {
                    fields: (guarded.assignments != self.fields).then_some(guarded.assignments),
                    method: (guarded.method != self.way).then_some(guarded.method),
                    notes: guarded.notes.into_iter().chain(notes).collect(),
                    known: true,
                    owner: None,
                    creation,
                })
            }
            (guarded, creation, _) => {
                let problems = guarded.err().into_iter().chain(creation.err()).flatten();
                Err(problems.chain(others).collect())
            }
        }
    }
}

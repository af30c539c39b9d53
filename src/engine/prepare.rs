//! What has to be found out before a job can be planned, for all of a turn's jobs of one connection together: what they
//! have in common is looked up once.
//!
//! The steps: names of views and territories become ids, the fields are checked, records are looked up. A job that a step
//! ends takes no further part. Nothing of it is written down in between; a driver that is lost is made up for by doing it
//! again.

mod matching;
mod names;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::guard;
use crate::job::{PreparationOutcome, PreparationResult};
use crate::lookup::Column;
use crate::update::{Assignment, FieldName, Method, ModuleName, Selector, UpdateRequest};
use crate::zoho::metadata::{Field, Freshness};
use crate::zoho::{self, Client};
use matching::MatchQuery;

/// What one job needs to know. Ids that are known already are no part of it: there may be many.
pub(super) struct PrepareInput {
    place: usize,
    module: ModuleName,
    fields: Vec<Assignment>,
    over_write: bool,
    way: Method,
    open: Option<Selector>,
}

impl PrepareInput {
    /// The wish of the job at a place in the turn.
    pub(super) fn of(place: usize, request: &UpdateRequest) -> Self {
        Self {
            place,
            module: request.module.clone(),
            fields: request.fields.clone(),
            over_write: request.over_write,
            way: request.way(),
            open: match request.resolved() {
                Some(_) => None,
                None => Some(request.selector.clone()),
            },
        }
    }
}

/// What was found out for one job.
pub(super) struct PrepareOutput {
    /// The job's place in the turn.
    pub(super) place: usize,
    /// Requests that were sent for it.
    pub(super) attempts: u32,
    /// What it is to be told.
    pub(super) prepared: PreparationResult,
}

/// What a step of the preparation came to for one job: what the next step goes on with, or the end.
type Step<T> = Result<T, PreparationOutcome>;

impl From<zoho::Error> for PreparationOutcome {
    fn from(error: zoho::Error) -> Self {
        if let zoho::Error::Denied(refusal) = &error {
            // An alarm watches for this text: the connection is at fault, not the request.
            tracing::error!(zoho.code = refusal.code, "job cannot go on: {refusal}");
        }
        match error.retry_after() {
            Some(wait) => Self::Postponed {
                why: error.into_refusal(),
                wait,
            },
            None => Self::Refused(error.into_refusal()),
        }
    }
}

/// Prepares jobs as far as can be done before `give_up`.
pub(super) async fn prepare(
    client: &Client,
    wishes: Vec<PrepareInput>,
    give_up: Timestamp,
) -> Vec<PrepareOutput> {
    let mut found = Vec::with_capacity(wishes.len());
    let mut knowledge = Knowledge {
        client,
        give_up,
        fresh: HashMap::new(),
    };
    // Jobs that lack their records only, and what was found out for each of them before.
    let (mut sought, mut begun) = (Vec::new(), Vec::new());
    for wish in wishes {
        let place = wish.place;
        let prepared = match begin(&mut knowledge, wish).await {
            Ok(PrepareStage::Done(prepared)) => prepared,
            Ok(PrepareStage::Lacking(wanted, checked)) => {
                sought.push(wanted);
                begun.push((place, checked));
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
    let answers = matching::look_up(client, &sought, give_up).await;
    for ((place, checked), answered) in begun.into_iter().zip(answers) {
        found.push(answered.into_found(place, checked));
    }
    found
}

/// What a job of this request would be told before it is planned. Zoho is only asked, and nothing is kept.
pub async fn preview_preparation(
    client: &Client,
    request: &UpdateRequest,
    give_up: Timestamp,
) -> PreparationResult {
    let found = prepare(client, vec![PrepareInput::of(0, request)], give_up).await;
    let prepared = found.into_iter().map(|found| found.prepared).next();
    prepared.unwrap_or_else(|| PreparationOutcome::UNCHANGED.into())
}

/// How far a job is before records are looked up.
enum PrepareStage {
    Done(PreparationResult),
    Lacking(MatchQuery, Checked),
}

async fn begin(knowledge: &mut Knowledge<'_>, wish: PrepareInput) -> Step<PrepareStage> {
    let (client, give_up) = (knowledge.client, knowledge.give_up);
    let PrepareInput {
        module,
        fields,
        over_write,
        way,
        open,
        ..
    } = wish;
    let (records, wanted) = match open {
        None => (None, None),
        Some(Selector::Records(records)) => (Some(records), None),
        Some(Selector::Named(named)) => {
            let records = names::resolve(client, &module, &named, give_up).await?;
            (Some(records), None)
        }
        Some(Selector::Match(wanted)) => (None, Some(wanted)),
    };
    let asked = Asked {
        module: &module,
        fields: &fields,
        over_write,
        way,
        by: wanted.as_ref().map(|wanted| &wanted.field),
    };
    let checked = knowledge.check(&asked).await?;
    Ok(match wanted {
        Some(wanted) => {
            let field = wanted.field.clone();
            let column = Column { module, field };
            PrepareStage::Lacking(MatchQuery { column, wanted }, checked)
        }
        None => {
            let Checked {
                fields,
                method,
                notes,
                known: _,
            } = checked;
            let outcome = PreparationOutcome::Ready {
                fields,
                records,
                update_by: method,
            };
            PrepareStage::Done(PreparationResult {
                notes,
                ..outcome.into()
            })
        }
    })
}

/// The fields of a job as they are to be sent, and by what, where that is not as it was asked; and what was changed.
#[derive(Default)]
struct Checked {
    fields: Option<Vec<Assignment>>,
    method: Option<Method>,
    notes: Vec<String>,
    /// Whether the org's fields are known at all.
    known: bool,
}

/// What the CRM tells of the fields of some modules, as this turn knows it.
struct Knowledge<'a> {
    client: &'a Client,
    give_up: Timestamp,
    /// Modules of which it is not older than the turn.
    fresh: HashMap<ModuleName, Arc<[Field]>>,
}

impl Knowledge<'_> {
    /// The fields of a module: those of this turn, or else those that are kept.
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

    /// The same, read anew; none if that was done in this turn already.
    async fn renewed(&mut self, module: &ModuleName) -> Result<Option<Arc<[Field]>>, zoho::Error> {
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

    /// Checks a job against what the CRM knows of its fields, which is read once for all jobs of a while. A field or an
    /// option may be younger than that: before a job is refused, they are read once more. Where the org does not let its
    /// fields be read, they are sent as they were asked; the client says so.
    async fn check(&mut self, asked: &Asked<'_>) -> Step<Checked> {
        if !self.client.is_guarded() {
            return Ok(Checked::default());
        }
        let known = match self.fields(asked.module).await {
            Ok(known) => known,
            Err(failed) if failed.lacks_scope() => return Ok(Checked::default()),
            Err(failed) => return Err(failed.into()),
        };
        let mut checked = asked.held_against(&known);
        if checked.is_err()
            && let Some(known) = self.renewed(asked.module).await?
        {
            checked = asked.held_against(&known);
        }
        checked.map_err(|problems| {
            guard::refusal(problems)
                .map_or(PreparationOutcome::UNCHANGED, PreparationOutcome::Refused)
        })
    }
}

/// What of a job is checked.
struct Asked<'a> {
    module: &'a ModuleName,
    fields: &'a [Assignment],
    over_write: bool,
    /// By which calls.
    way: Method,
    /// The field that its records are looked up by, if they are.
    by: Option<&'a FieldName>,
}

impl Asked<'_> {
    fn held_against(&self, known: &[Field]) -> Result<Checked, Vec<guard::Problem>> {
        let unmatchable = self.by.and_then(|by| guard::unmatchable(known, by));
        match (
            guard::guard(known, self.fields, self.over_write, self.way),
            unmatchable,
        ) {
            (Ok(guarded), None) => Ok(Checked {
                fields: (guarded.assignments != self.fields).then_some(guarded.assignments),
                method: (guarded.method != self.way).then_some(guarded.method),
                notes: guarded.notes,
                known: true,
            }),
            (guarded, unmatchable) => Err(guarded
                .err()
                .into_iter()
                .flatten()
                .chain(unmatchable)
                .collect()),
        }
    }
}

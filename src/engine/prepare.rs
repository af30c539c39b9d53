//! What has to be found out before a job can be planned, for all of a turn's jobs of one connection together: what they
//! have in common is looked up once.
//!
//! The steps: names of views and territories become ids, the fields are checked, records are looked up. A job that a step
//! ends takes no further part. Nothing of it is written down in between; a driver that is lost is made up for by doing it
//! again.

mod matching;
mod names;

use jiff::Timestamp;

use crate::guard;
use crate::job::{Outcome, Prepared};
use crate::lookup::Column;
use crate::update::{Assignment, Method, ModuleName, Selector, UpdateRequest};
use crate::zoho::metadata::Reading;
use crate::zoho::{Client, Failed};
use matching::Sought;

/// What one job needs to know. Ids that are known already are no part of it: there may be many.
pub(super) struct Wish {
    place: usize,
    module: ModuleName,
    fields: Vec<Assignment>,
    over_write: bool,
    open: Option<Selector>,
}

impl Wish {
    /// The wish of the job at a place in the turn.
    pub(super) fn of(place: usize, request: &UpdateRequest) -> Self {
        Self {
            place,
            module: request.module.clone(),
            fields: request.fields.clone(),
            over_write: request.over_write,
            open: match request.resolved() {
                Some(_) => None,
                None => Some(request.selector.clone()),
            },
        }
    }
}

/// What was found out for one job.
pub(super) struct Found {
    /// The job's place in the turn.
    pub(super) place: usize,
    /// Requests that were sent for it.
    pub(super) attempts: u32,
    /// What it is to be told.
    pub(super) prepared: Prepared,
}

/// What a step of the preparation came to for one job: what the next step goes on with, or the end.
type Step<T> = Result<T, Outcome>;

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Later(why, wait) => Self::Postponed { why, wait },
            Failed::Refused(refusal) => Self::Refused(refusal),
            Failed::Denied(refusal) => {
                // Alarms look for this: it is about the connection, not about what was asked.
                tracing::error!(zoho.code = refusal.code, "job cannot go on: {refusal}");
                Self::Refused(refusal)
            }
        }
    }
}

/// Prepares jobs as far as can be done before `give_up`.
pub(super) async fn prepare(client: &Client, wishes: Vec<Wish>, give_up: Timestamp) -> Vec<Found> {
    let mut found = Vec::with_capacity(wishes.len());
    // Jobs that lack their records only, and what was found out for each of them before.
    let (mut sought, mut begun) = (Vec::new(), Vec::new());
    for wish in wishes {
        let place = wish.place;
        let prepared = match begin(client, wish, give_up).await {
            Ok(Begun::Done(prepared)) => prepared,
            Ok(Begun::Lacking(wanted, checked)) => {
                sought.push(wanted);
                begun.push((place, checked));
                continue;
            }
            Err(outcome) => outcome.into(),
        };
        found.push(Found {
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

/// How far a job is before records are looked up.
enum Begun {
    Done(Prepared),
    Lacking(Sought, Checked),
}

async fn begin(client: &Client, wish: Wish, give_up: Timestamp) -> Step<Begun> {
    let Wish {
        module,
        fields,
        over_write,
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
    let checked = check(client, &module, &fields, over_write, give_up).await?;
    Ok(match wanted {
        Some(wanted) => {
            let field = wanted.field.clone();
            let column = Column { module, field };
            Begun::Lacking(Sought { column, wanted }, checked)
        }
        None => {
            let Checked { fields, notes } = checked;
            Begun::Done(Prepared {
                notes,
                ..Outcome::Ready { fields, records }.into()
            })
        }
    })
}

/// The fields of a job as they are to be sent, where that is not as they were asked, and what was changed.
#[derive(Default)]
struct Checked {
    fields: Option<Vec<Assignment>>,
    notes: Vec<String>,
}

/// Checks the fields of a job against what the CRM knows of them, which is read once for all jobs of a while. Where the
/// org does not let its fields be read, they are sent as they were asked; the client says so.
async fn check(
    client: &Client,
    module: &ModuleName,
    fields: &[Assignment],
    over_write: bool,
    give_up: Timestamp,
) -> Step<Checked> {
    if !client.is_guarded() {
        return Ok(Checked::default());
    }
    let known = match client.fields(module, Reading::Kept, give_up).await {
        Ok(known) => known,
        Err(failed) if failed.lacks_scope() => return Ok(Checked::default()),
        Err(failed) => return Err(failed.into()),
    };
    match guard::guard(&known, fields, over_write, Method::MassUpdate) {
        Ok(guarded) => Ok(Checked {
            fields: (guarded.assignments != fields).then_some(guarded.assignments),
            notes: guarded.notes,
        }),
        Err(problems) => Err(guard::refusal(problems).map_or(Outcome::AS_ASKED, Outcome::Refused)),
    }
}

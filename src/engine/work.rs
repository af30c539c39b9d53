//! What a turn has to do, gathered from its jobs. Pure.
//!
//! **Coalescing** happens here: immediate calls that set the same fields to the same values through the same connection
//! travel in one batch of up to 500 ids, whichever jobs they are of. Updates of records each bring their own values, so
//! they travel in batches of up to 100 records, whatever they set, unless they say different things of one record. A call
//! is never split, so its answer comes in one piece. Equal calls on one custom view share one run of Zoho's.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::job::{CallState, Job, NextStep};
use crate::outcome::Failure;
use crate::plan::{Call, Limits, Target, Way, body, row, rows_body};
use crate::update::{ModuleName, RecordId, Records, Resolved};

/// A call of a job of this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CallRef {
    /// The job's place in the turn.
    pub(super) job: usize,
    /// The call's number in its job.
    pub(super) seq: usize,
}

/// One request to Zoho, for one or more calls.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) connection: String,
    pub(super) module: ModuleName,
    load: BatchPayload,
    /// Whether it must not be sent again unless it is known not to have been carried out.
    pub(super) once: bool,
    /// The calls that it carries out.
    pub(super) parts: Vec<CallRef>,
}

/// What a batch sets on which records.
#[derive(Clone, Debug, PartialEq)]
enum BatchPayload {
    /// The same on all of them.
    Change {
        data: Map<String, Value>,
        over_write: bool,
        records: Records,
    },
    /// On each what its row says, in the order of the ids.
    Rows {
        ids: Vec<RecordId>,
        rows: Vec<Value>,
    },
}

impl Batch {
    /// Which of Zoho's calls it is.
    pub(super) fn way(&self) -> Way {
        match self.load {
            BatchPayload::Change { .. } => Way::MassUpdate,
            BatchPayload::Rows { .. } => Way::Records,
        }
    }

    /// The JSON that is sent.
    pub(super) fn body(&self) -> Value {
        match &self.load {
            BatchPayload::Change {
                data,
                over_write,
                records,
            } => body(data.clone(), records, *over_write),
            BatchPayload::Rows { rows, .. } => rows_body(rows.clone()),
        }
    }

    /// The ids that it names; none for a custom view.
    pub(super) fn ids(&self) -> &[RecordId] {
        match &self.load {
            BatchPayload::Change {
                records: Records::Ids(ids),
                ..
            }
            | BatchPayload::Rows { ids, .. } => ids,
            BatchPayload::Change {
                records: Records::View { .. },
                ..
            } => &[],
        }
    }

    /// The custom view that Zoho runs it on, as a name for locking: Zoho takes one mass update at a time for each.
    pub(super) fn view(&self) -> Option<String> {
        match &self.load {
            BatchPayload::Change {
                records: Records::View { cvid, .. },
                ..
            } => Some(view_lock(&self.connection, &self.module, &cvid.to_string())),
            BatchPayload::Change {
                records: Records::Ids(_),
                ..
            }
            | BatchPayload::Rows { .. } => None,
        }
    }
}

/// The name of the lock on a custom view.
pub(super) fn view_lock(connection: &str, module: &ModuleName, cvid: &str) -> String {
    format!("view/{connection}/{module}/{cvid}")
}

/// The failures among `failures` that are of this call.
pub(super) fn share(failures: &[Failure], state: &CallState, job: &Job) -> Vec<Failure> {
    let own: HashSet<RecordId> = job.remaining_ids(state).into_iter().collect();
    failures
        .iter()
        .filter(|failure| own.contains(&failure.id))
        .cloned()
        .collect()
}

/// One status GET, for every call that shares the Zoho job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StatusPoll {
    pub(super) connection: String,
    pub(super) module: ModuleName,
    pub(super) zoho_job_id: String,
    pub(super) parts: Vec<CallRef>,
}

/// Everything that can be done now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TurnWork {
    /// Jobs to be prepared.
    pub(super) preparing: Vec<usize>,
    /// Calls of which it is to be found out whether they were carried out.
    pub(super) in_doubt: Vec<CallRef>,
    /// Calls to be sent.
    pub(super) batches: Vec<Batch>,
    /// Zoho jobs to be asked for.
    pub(super) looks: Vec<StatusPoll>,
    /// Jobs of which something is to be told.
    pub(super) callbacks: Vec<usize>,
    /// The earliest moment at which there is more to do.
    pub(super) later: Option<Timestamp>,
}

impl TurnWork {
    /// The work of `jobs`, those at the given places.
    pub(super) fn of<'a>(jobs: impl Iterator<Item = (usize, &'a Job)>, now: Timestamp) -> Self {
        let mut work = Self::default();
        let mut packer = Packer::default();
        let mut looks: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (place, job) in jobs {
            let mut wait = |at| work.later = Some(work.later.map_or(at, |known| known.min(at)));
            match job.progress_due_at(now) {
                Some(at) if at > now => wait(at),
                Some(_) => work.callbacks.push(place),
                None => {}
            }
            match job.next(now) {
                NextStep::Done => {}
                NextStep::Prepare => work.preparing.push(place),
                NextStep::Notify => work.callbacks.push(place),
                NextStep::Wait(at) => wait(at),
                NextStep::Resolve(calls) => {
                    let part = |seq| CallRef { job: place, seq };
                    work.in_doubt.extend(calls.into_iter().map(part));
                }
                NextStep::Submit(calls) => {
                    let Some(request) = job.request.resolved() else {
                        continue;
                    };
                    for state in calls.iter().filter_map(|seq| job.call(*seq)) {
                        packer.put(
                            CallRef {
                                job: place,
                                seq: state.call.seq,
                            },
                            &job.connection,
                            request,
                            &state.call,
                            job.remaining_ids(state),
                        );
                    }
                }
                NextStep::Poll(seq) => {
                    let Some(id) = job.call(seq).and_then(|state| state.zoho_job_id.clone()) else {
                        continue;
                    };
                    let part = CallRef { job: place, seq };
                    let index = *looks
                        .entry((job.connection.clone(), id.clone()))
                        .or_insert_with(|| {
                            work.looks.push(StatusPoll {
                                connection: job.connection.clone(),
                                module: job.request.module.clone(),
                                zoho_job_id: id,
                                parts: Vec::new(),
                            });
                            work.looks.len() - 1
                        });
                    work.looks[index].parts.push(part);
                }
            }
        }
        work.batches = packer.batches;
        work
    }

    /// Whether there is nothing to do now.
    pub(super) fn is_empty(&self) -> bool {
        self.preparing.is_empty()
            && self.in_doubt.is_empty()
            && self.batches.is_empty()
            && self.looks.is_empty()
            && self.callbacks.is_empty()
    }
}

/// Puts calls into batches, first fit.
#[derive(Default)]
struct Packer {
    batches: Vec<Batch>,
    /// For each key the batches with it, and what each of them says of a record.
    open: HashMap<String, Vec<(usize, Said)>>,
}

/// What a batch says of each of its records, where that is not the same for all of them.
type Said = HashMap<RecordId, Value>;

impl Packer {
    /// `ids` are those of the call's records that it is still to be sent for.
    fn put(
        &mut self,
        part: CallRef,
        connection: &str,
        request: Resolved<'_>,
        call: &Call,
        ids: Vec<RecordId>,
    ) {
        let about = request.request();
        let data = call.data(about);
        let once = call.adds_options(about);
        let open = self
            .open
            .entry(key(connection, request, call, &data))
            .or_default();
        let said = |id| match call.target.way() {
            Way::MassUpdate => (id, Value::Null),
            Way::Records => (id, row(id, &data, about.over_write)),
        };
        let said: Vec<(RecordId, Value)> = ids.into_iter().map(said).collect();
        let room = match call.target.way() {
            Way::MassUpdate => Limits::ZOHO.ids_per_call,
            Way::Records => Limits::ZOHO.records_per_call,
        };
        let fits = |known: &Said| {
            let new = said.iter().filter(|(id, _)| !known.contains_key(id));
            let free = room.saturating_sub(known.len());
            // Of a full call the first new record tells: there may be a hundred full ones before this.
            new.take(free + 1).count() <= free
                && said
                    .iter()
                    .all(|(id, row)| known.get(id).is_none_or(|known| known == row))
        };
        let place = match open.iter().position(|(_, known)| fits(known)) {
            Some(place) => place,
            None => {
                open.push((self.batches.len(), Said::new()));
                self.batches.push(Batch {
                    connection: connection.to_owned(),
                    module: about.module.clone(),
                    load: BatchPayload::of(request, call, data),
                    once,
                    parts: Vec::new(),
                });
                open.len() - 1
            }
        };
        let (index, known) = &mut open[place];
        let batch = &mut self.batches[*index];
        batch.parts.push(part);
        batch.once |= once;
        for (id, row) in said {
            if let Entry::Vacant(vacant) = known.entry(id) {
                batch.load.put(id, &row);
                vacant.insert(row);
            }
        }
    }
}

impl BatchPayload {
    /// The load of such calls as this one, without the records that they name.
    fn of(request: Resolved<'_>, call: &Call, data: Map<String, Value>) -> Self {
        let over_write = request.request().over_write;
        let records = match call.target {
            Target::Records(_) => {
                let (ids, rows) = (Vec::new(), Vec::new());
                return Self::Rows { ids, rows };
            }
            Target::Immediate(_) => Records::Ids(Vec::new()),
            Target::Scheduled => request.records().clone(),
        };
        Self::Change {
            data,
            over_write,
            records,
        }
    }

    fn put(&mut self, id: RecordId, row: &Value) {
        match self {
            Self::Change {
                records: Records::Ids(ids),
                ..
            } => ids.push(id),
            Self::Change {
                records: Records::View { .. },
                ..
            } => {}
            Self::Rows { ids, rows } => {
                ids.push(id);
                rows.push(row.clone());
            }
        }
    }
}

/// What calls must have in common to travel together. The order in which fields were written does not matter; that rows
/// say the same of a record is seen to where they meet.
fn key(connection: &str, request: Resolved<'_>, call: &Call, data: &Map<String, Value>) -> String {
    let sorted: BTreeMap<&String, &Value> = data.iter().collect();
    let module = request.request().module.as_str();
    let over_write = request.request().over_write;
    let key = match (&call.target, request.records()) {
        // What must not be sent twice does not hold up what may.
        (Target::Records(_), _) => {
            let once = call.adds_options(request.request());
            serde_json::json!([connection, module, once])
        }
        (Target::Scheduled, Records::View { cvid, territory }) => {
            let territory = territory.map(|territory| territory.to_json());
            serde_json::json!([
                connection,
                module,
                sorted,
                over_write,
                cvid.to_string(),
                territory
            ])
        }
        (Target::Scheduled, Records::Ids(_)) | (Target::Immediate(_), _) => {
            serde_json::json!([connection, module, sorted, over_write])
        }
    };
    key.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{JobId, PreparationOutcome};
    use crate::update::UpdateRequest;
    use proptest::prelude::*;
    use serde_json::json;

    fn start() -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("a moment")
    }

    fn job(number: usize, connection: &str, request: &Value) -> Job {
        let request = UpdateRequest::parse(request).expect("a request");
        let id = JobId::derive("r", &number.to_string(), 1);
        let mut job = Job::new(id, None, connection.to_owned(), request, None, start());
        let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, start());
        prepared.expect("allowed");
        job
    }

    fn work(jobs: &[Job]) -> TurnWork {
        TurnWork::of(jobs.iter().enumerate(), start())
    }

    #[test]
    fn a_thousand_jobs_of_one_record_are_two_calls() {
        let jobs: Vec<Job> = (0..1_000)
            .map(|n| {
                job(
                    n,
                    "default",
                    &json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [n + 1]}),
                )
            })
            .collect();
        let batches = work(&jobs).batches;
        assert_eq!(
            batches
                .iter()
                .map(|batch| batch.ids().len())
                .collect::<Vec<_>>(),
            [500, 500]
        );
        assert_eq!(
            batches.iter().map(|batch| batch.parts.len()).sum::<usize>(),
            1_000
        );
    }

    #[test]
    fn only_the_same_change_through_the_same_connection_travels_together() {
        let jobs = [
            job(
                0,
                "a",
                &json!({"module": "Deals", "fields": {"Stage": "Won", "Type": "New"}, "ids": ["1"]}),
            ),
            job(
                1,
                "a",
                &json!({"module": "Deals", "fields": {"Type": "New", "Stage": "Won"}, "ids": ["2", "1"]}),
            ),
            job(
                2,
                "b",
                &json!({"module": "Deals", "fields": {"Stage": "Won", "Type": "New"}, "ids": ["3"]}),
            ),
            job(
                3,
                "a",
                &json!({"module": "Leads", "fields": {"Type": "New"}, "ids": ["4"]}),
            ),
            job(
                4,
                "a",
                &json!({"module": "Leads", "fields": {"Type": "Old"}, "ids": ["4"]}),
            ),
            job(
                5,
                "a",
                &json!({"module": "Leads", "fields": {"Type": "Old"}, "ids": ["4"], "over_write": true}),
            ),
        ];
        let batches = work(&jobs).batches;
        assert_eq!(batches.len(), 5);
        assert_eq!(
            batches[0].parts,
            [CallRef { job: 0, seq: 1 }, CallRef { job: 1, seq: 1 }]
        );
        assert_eq!(
            batches[0].body()["ids"],
            json!(["1", "2"]),
            "an id that two jobs name is sent once"
        );
    }

    #[test]
    fn records_of_many_jobs_travel_together_whatever_they_set() {
        let one = |n: usize, id: usize, fields: &Value| {
            job(
                n,
                "a",
                &json!({"module": "Leads", "fields": fields, "ids": [id], "update_by": "records"}),
            )
        };
        let mut jobs: Vec<Job> = (0..250)
            .map(|n| one(n, n + 1, &json!({"Email": format!("{n}@example.com")})))
            .collect();
        // The same of the same record; something else of it; and another module.
        jobs.push(one(250, 1, &json!({"Email": "0@example.com"})));
        jobs.push(one(251, 1, &json!({"Email": "other@example.com"})));
        let other = json!({"module": "Contacts", "fields": {"Title": "x"}, "ids": ["1"], "update_by": "records"});
        jobs.push(job(252, "a", &other));
        let batches = work(&jobs).batches;
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.ids().len()).collect();
        assert_eq!(sizes, [100, 100, 51, 1]);
        assert!(batches.iter().all(|batch| batch.way() == Way::Records));
        assert!(batches[0].parts.contains(&CallRef { job: 250, seq: 1 }));
        assert!(!batches[0].parts.contains(&CallRef { job: 251, seq: 1 }));
        let body = batches[1].body();
        assert_eq!(
            body["data"][3],
            json!({"id": "104", "Email": "103@example.com"})
        );
        assert_eq!(batches[3].module.as_str(), "Contacts");
    }

    #[test]
    fn equal_calls_on_a_view_share_a_run_and_its_polls() {
        let request = json!({"module": "Leads", "fields": {"Rating": "Active"}, "cvid": "7"});
        let mut jobs = [job(0, "a", &request), job(1, "a", &request)];
        let batches = work(&jobs).batches;
        assert_eq!((batches.len(), batches[0].parts.len()), (1, 2));
        for job in &mut jobs {
            job.apply(
                1,
                crate::job::CallEvent::Accepted {
                    zoho_job_id: "9".to_owned(),
                },
                start(),
            )
            .expect("allowed");
        }
        let soon = start() + std::time::Duration::from_secs(10);
        let looks = TurnWork::of(jobs.iter().enumerate(), soon).looks;
        assert_eq!((looks.len(), looks[0].parts.len()), (1, 2));
    }

    proptest! {
        #[test]
        fn every_call_travels_once_and_whole(
            shapes in prop::collection::vec((0..3_u8, 1..1300_u64, 1..700_u64, 0..3_u8), 1..20),
        ) {
            let jobs: Vec<Job> = shapes.iter().enumerate().map(|(n, (value, first, count, kind))| {
                let fields = json!({"Rating": value.to_string()});
                let ids: Vec<u64> = (*first..first + count).collect();
                job(n, "a", &match kind {
                    0 => json!({"module": "Leads", "fields": fields, "cvid": "7"}),
                    1 => json!({"module": "Leads", "fields": fields, "ids": ids}),
                    _ => json!({"module": "Leads", "fields": fields, "ids": ids, "update_by": "records"}),
                })
            }).collect();
            let mut seen = HashSet::new();
            for batch in work(&jobs).batches {
                let most = match batch.way() { Way::MassUpdate => 500, Way::Records => 100 };
                prop_assert!(batch.ids().len() <= most);
                let ids: HashSet<_> = batch.ids().iter().collect();
                prop_assert_eq!(ids.len(), batch.ids().len(), "no id twice");
                let mut wanted = HashSet::new();
                let sent = batch.body();
                let list = sent["data"].as_array().expect("a list");
                let rows: HashMap<&str, &Value> = list
                    .iter()
                    .filter_map(|row| Some((row["id"].as_str()?, row)))
                    .collect();
                for part in &batch.parts {
                    prop_assert!(seen.insert(*part), "no call twice");
                    let job = &jobs[part.job];
                    let call = &job.call(part.seq).expect("a call").call;
                    let whole = call.body(job.request.resolved().expect("known records"));
                    match batch.way() {
                        Way::MassUpdate => prop_assert_eq!(&sent["data"], &whole["data"]),
                        Way::Records => for row in whole["data"].as_array().expect("rows") {
                            prop_assert_eq!(rows[row["id"].as_str().expect("an id")], row);
                        },
                    }
                    prop_assert_eq!(&sent["cvid"], &whole["cvid"]);
                    wanted.extend(job.ids(call));
                }
                prop_assert_eq!(wanted, ids.into_iter().copied().collect::<HashSet<_>>());
            }
            prop_assert_eq!(seen.len(), jobs.iter().map(|job| job.calls.len()).sum::<usize>());
        }
    }
}

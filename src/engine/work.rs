//! What a turn has to do, gathered from its jobs. Pure.
//!
//! **Coalescing** happens here: immediate calls that set the same fields to the same values through the same connection
//! travel in one parcel of up to 500 ids, whichever jobs they are of. A call is never split, so its answer comes in one
//! piece. Equal calls on one custom view share one run of Zoho's.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::job::{CallState, Job, Next};
use crate::outcome::Failure;
use crate::plan::{Call, Limits, Target, body};
use crate::update::{ModuleName, RecordId, Records, Resolved};

/// A call of a job of this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Part {
    /// The job's place in the turn.
    pub(super) job: usize,
    /// The call's number in its job.
    pub(super) seq: usize,
}

/// One POST, for one or more calls.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parcel {
    pub(super) connection: String,
    pub(super) module: ModuleName,
    data: Map<String, Value>,
    over_write: bool,
    records: Records,
    /// Whether it must not be sent again unless it is known not to have been carried out.
    pub(super) once: bool,
    /// The calls that it carries out.
    pub(super) parts: Vec<Part>,
}

impl Parcel {
    /// The JSON that is sent.
    pub(super) fn body(&self) -> Value {
        body(self.data.clone(), &self.records, self.over_write)
    }

    /// The ids that it names; none for a custom view.
    pub(super) fn ids(&self) -> &[RecordId] {
        match &self.records {
            Records::Ids(ids) => ids,
            Records::View { .. } => &[],
        }
    }

    /// The custom view that Zoho runs it on, as a name for locking: Zoho takes one mass update at a time for each.
    pub(super) fn view(&self) -> Option<String> {
        match &self.records {
            Records::Ids(_) => None,
            Records::View { cvid, .. } => {
                Some(view_lock(&self.connection, &self.module, &cvid.to_string()))
            }
        }
    }
}

/// The name of the lock on a custom view.
pub(super) fn view_lock(connection: &str, module: &ModuleName, cvid: &str) -> String {
    format!("view/{connection}/{module}/{cvid}")
}

/// The failures among `failures` that are of this call.
pub(super) fn share(failures: &[Failure], state: &CallState, job: &Job) -> Vec<Failure> {
    let own: HashSet<RecordId> = job.left(state).into_iter().collect();
    failures
        .iter()
        .filter(|failure| own.contains(&failure.id))
        .cloned()
        .collect()
}

/// One status GET, for every call that shares the Zoho job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) connection: String,
    pub(super) module: ModuleName,
    pub(super) zoho_job_id: String,
    pub(super) parts: Vec<Part>,
}

/// Everything that can be done now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Work {
    /// Jobs to be prepared.
    pub(super) preparing: Vec<usize>,
    /// Calls of which it is to be found out whether they were carried out.
    pub(super) in_doubt: Vec<Part>,
    /// Calls to be sent.
    pub(super) parcels: Vec<Parcel>,
    /// Zoho jobs to be asked for.
    pub(super) looks: Vec<Look>,
    /// Jobs of which something is to be told.
    pub(super) callbacks: Vec<usize>,
    /// The earliest moment at which there is more to do.
    pub(super) later: Option<Timestamp>,
}

impl Work {
    /// The work of `jobs`, those at the given places.
    pub(super) fn of<'a>(jobs: impl Iterator<Item = (usize, &'a Job)>, now: Timestamp) -> Self {
        let mut work = Self::default();
        let mut packer = Packer::default();
        let mut looks: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (place, job) in jobs {
            let mut wait = |at| work.later = Some(work.later.map_or(at, |known| known.min(at)));
            match job.news_at(now) {
                Some(at) if at > now => wait(at),
                Some(_) => work.callbacks.push(place),
                None => {}
            }
            match job.next(now) {
                Next::Nothing => {}
                Next::Prepare => work.preparing.push(place),
                Next::Notify => work.callbacks.push(place),
                Next::Wait(at) => wait(at),
                Next::Clarify(calls) => {
                    let part = |seq| Part { job: place, seq };
                    work.in_doubt.extend(calls.into_iter().map(part));
                }
                Next::Submit(calls) => {
                    let Some(request) = job.request.resolved() else {
                        continue;
                    };
                    for state in calls.iter().filter_map(|seq| job.call(*seq)) {
                        packer.put(
                            Part {
                                job: place,
                                seq: state.call.seq,
                            },
                            &job.connection,
                            request,
                            &state.call,
                            job.left(state),
                        );
                    }
                }
                Next::Poll(seq) => {
                    let Some(id) = job.call(seq).and_then(|state| state.zoho_job_id.clone()) else {
                        continue;
                    };
                    let part = Part { job: place, seq };
                    let index = *looks
                        .entry((job.connection.clone(), id.clone()))
                        .or_insert_with(|| {
                            work.looks.push(Look {
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
        work.parcels = packer.parcels;
        work
    }

    /// Whether there is nothing to do now.
    pub(super) fn is_empty(&self) -> bool {
        self.preparing.is_empty()
            && self.in_doubt.is_empty()
            && self.parcels.is_empty()
            && self.looks.is_empty()
            && self.callbacks.is_empty()
    }
}

/// Puts calls into parcels, first fit.
#[derive(Default)]
struct Packer {
    parcels: Vec<Parcel>,
    /// For each key the parcels with it, and the ids in them.
    open: HashMap<String, Vec<(usize, HashSet<RecordId>)>>,
}

impl Packer {
    /// `ids` are those of the call's records that it is still to be sent for.
    fn put(
        &mut self,
        part: Part,
        connection: &str,
        request: Resolved<'_>,
        call: &Call,
        ids: Vec<RecordId>,
    ) {
        let data = call.data(request.request());
        let open = self
            .open
            .entry(key(connection, request, call, &data))
            .or_default();
        let once = call.adds_options(request.request());
        let room = Limits::ZOHO.ids_per_call;
        let fitting = open.iter_mut().find(|(_, known)| {
            known.len() + ids.len() <= room
                || known.len() + ids.iter().filter(|id| !known.contains(id)).count() <= room
        });
        if let Some((index, known)) = fitting {
            let parcel = &mut self.parcels[*index];
            parcel.parts.push(part);
            parcel.once |= once;
            if let Records::Ids(all) = &mut parcel.records {
                all.extend(ids.iter().filter(|id| known.insert(**id)));
            }
            return;
        }
        open.push((self.parcels.len(), ids.iter().copied().collect()));
        self.parcels.push(Parcel {
            connection: connection.to_owned(),
            module: request.request().module.clone(),
            data,
            over_write: request.request().over_write,
            records: match call.target {
                Target::Immediate(_) => Records::Ids(ids),
                Target::Scheduled => request.records().clone(),
            },
            once,
            parts: vec![part],
        });
    }
}

/// What calls must have in common to travel together. The order in which fields were written does not matter.
fn key(connection: &str, request: Resolved<'_>, call: &Call, data: &Map<String, Value>) -> String {
    let sorted: BTreeMap<&String, &Value> = data.iter().collect();
    let view = match (&call.target, request.records()) {
        (Target::Scheduled, Records::View { cvid, territory }) => {
            (Some(cvid.to_string()), territory.map(|t| t.to_json()))
        }
        (Target::Scheduled, Records::Ids(_)) | (Target::Immediate(_), _) => (None, None),
    };
    let request = request.request();
    serde_json::json!([
        connection,
        request.module.as_str(),
        sorted,
        request.over_write,
        view
    ])
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{JobId, Outcome};
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
        let prepared = job.prepared(Outcome::AS_ASKED.into(), 0, start());
        prepared.expect("allowed");
        job
    }

    fn work(jobs: &[Job]) -> Work {
        Work::of(jobs.iter().enumerate(), start())
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
        let parcels = work(&jobs).parcels;
        assert_eq!(
            parcels
                .iter()
                .map(|parcel| parcel.ids().len())
                .collect::<Vec<_>>(),
            [500, 500]
        );
        assert_eq!(
            parcels
                .iter()
                .map(|parcel| parcel.parts.len())
                .sum::<usize>(),
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
        let parcels = work(&jobs).parcels;
        assert_eq!(parcels.len(), 5);
        assert_eq!(
            parcels[0].parts,
            [Part { job: 0, seq: 1 }, Part { job: 1, seq: 1 }]
        );
        assert_eq!(
            parcels[0].body()["ids"],
            json!(["1", "2"]),
            "an id that two jobs name is sent once"
        );
    }

    #[test]
    fn equal_calls_on_a_view_share_a_run_and_its_polls() {
        let request = json!({"module": "Leads", "fields": {"Rating": "Active"}, "cvid": "7"});
        let mut jobs = [job(0, "a", &request), job(1, "a", &request)];
        let parcels = work(&jobs).parcels;
        assert_eq!((parcels.len(), parcels[0].parts.len()), (1, 2));
        for job in &mut jobs {
            job.apply(
                1,
                crate::job::Event::Accepted {
                    zoho_job_id: "9".to_owned(),
                },
                start(),
            )
            .expect("allowed");
        }
        let soon = start() + std::time::Duration::from_secs(10);
        let looks = Work::of(jobs.iter().enumerate(), soon).looks;
        assert_eq!((looks.len(), looks[0].parts.len()), (1, 2));
    }

    proptest! {
        #[test]
        fn every_call_travels_once_and_whole(
            shapes in prop::collection::vec((0..3_u8, 1..1300_u64, 1..700_u64, any::<bool>()), 1..20),
        ) {
            let jobs: Vec<Job> = shapes.iter().enumerate().map(|(n, (value, first, count, view))| {
                let fields = json!({"Rating": value.to_string()});
                if *view {
                    job(n, "a", &json!({"module": "Leads", "fields": fields, "cvid": "7"}))
                } else {
                    let ids: Vec<u64> = (*first..first + count).collect();
                    job(n, "a", &json!({"module": "Leads", "fields": fields, "ids": ids}))
                }
            }).collect();
            let mut seen = HashSet::new();
            for parcel in work(&jobs).parcels {
                prop_assert!(parcel.ids().len() <= 500);
                let ids: HashSet<_> = parcel.ids().iter().collect();
                prop_assert_eq!(ids.len(), parcel.ids().len(), "no id twice");
                let mut wanted = HashSet::new();
                for part in &parcel.parts {
                    prop_assert!(seen.insert(*part), "no call twice");
                    let job = &jobs[part.job];
                    let call = &job.call(part.seq).expect("a call").call;
                    let whole = call.body(job.request.resolved().expect("known records"));
                    prop_assert_eq!(&parcel.body()["data"], &whole["data"]);
                    prop_assert_eq!(&parcel.body()["cvid"], &whole["cvid"]);
                    wanted.extend(job.ids(call));
                }
                prop_assert_eq!(wanted, ids.into_iter().copied().collect::<HashSet<_>>());
            }
            prop_assert_eq!(seen.len(), jobs.iter().map(|job| job.calls.len()).sum::<usize>());
        }
    }
}

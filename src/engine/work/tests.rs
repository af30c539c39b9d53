use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::*;
use crate::job::{JobId, PreparationOutcome};
use crate::outcome::NewRecordOutcome;
use crate::plan::CallKind;
use crate::update::{NewRecords, Records, Selector, UpdateRequest};
use proptest::prelude::*;
use serde_json::json;

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time")
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
    TurnWork::of(jobs.iter().enumerate(), |_| false, start())
}

#[test]
fn thousand_jobs_of_one_record_make_two_batches() {
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
        batches.iter().map(|batch| batch.calls.len()).sum::<usize>(),
        1_000
    );
}

#[test]
fn calls_share_a_batch_only_with_same_change() {
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
        batches[0].calls,
        [CallRef { job: 0, seq: 1 }, CallRef { job: 1, seq: 1 }]
    );
    assert_eq!(
        batches[0].body()["ids"],
        json!(["1", "2"]),
        "an id that two jobs name is sent once"
    );
}

#[test]
fn record_updates_with_different_values_share_batches() {
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
    // The same row for a record, a different row for it, and another module.
    jobs.push(one(250, 1, &json!({"Email": "0@example.com"})));
    jobs.push(one(251, 1, &json!({"Email": "other@example.com"})));
    let other = json!({"module": "Contacts", "fields": {"Title": "x"}, "ids": ["1"], "update_by": "records"});
    jobs.push(job(252, "a", &other));
    let batches = work(&jobs).batches;
    let sizes: Vec<usize> = batches.iter().map(|batch| batch.ids().len()).collect();
    assert_eq!(sizes, [100, 100, 51, 1]);
    assert!(batches.iter().all(|batch| batch.kind == CallKind::Records));
    assert!(batches[0].calls.contains(&CallRef { job: 250, seq: 1 }));
    assert!(!batches[0].calls.contains(&CallRef { job: 251, seq: 1 }));
    let body = batches[1].body();
    assert_eq!(
        body["data"][3],
        json!({"id": "104", "Email": "103@example.com"})
    );
    assert_eq!(batches[3].module.as_str(), "Contacts");
}

#[test]
fn equal_calls_on_a_view_share_one_job_and_its_polls() {
    let request = json!({"module": "Leads", "fields": {"Rating": "Active"}, "cvid": "7"});
    let mut jobs = [job(0, "a", &request), job(1, "a", &request)];
    let batches = work(&jobs).batches;
    assert_eq!((batches.len(), batches[0].calls.len()), (1, 2));
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
    let polls = TurnWork::of(jobs.iter().enumerate(), |_| false, soon).polls;
    assert_eq!((polls.len(), polls[0].calls.len()), (1, 2));
}

/// The tags in a body, in any order.
fn names(body: &Value) -> HashSet<&str> {
    let tags = body["tags"].as_array().expect("a list").iter();
    tags.filter_map(|tag| tag["name"].as_str()).collect()
}

/// A job whose look-up has found no record of these values.
fn creating(number: usize, values: &[&str], fields: &Value, create: &Value) -> Job {
    let request = json!({"module": "Leads", "fields": fields,
        "match": {"field": "Email", "values": values, "on_none": "create", "create": create}});
    let request = UpdateRequest::parse(&request).expect("a request");
    let Selector::Match(query) = &request.selector else {
        panic!("a match")
    };
    let new = NewRecords::new(query, query.values.clone(), false, false);
    let outcome = PreparationOutcome::Ready {
        fields: None,
        records: Some(Records::Ids(Vec::new())),
        new_records: Some(Box::new(new)),
        update_by: None,
        owner: None,
    };
    let id = JobId::derive("r", &number.to_string(), 1);
    let mut job = Job::new(id, None, "default".to_owned(), request, None, start());
    let prepared = job.record_preparation(outcome.into(), 1, start());
    prepared.expect("allowed");
    job
}

#[test]
fn upserts_share_calls_and_rows() {
    let name = |n: usize| json!({"Last_Name": format!("N{n}")});
    let city = json!({"City": "Bonn"});
    let mut jobs: Vec<Job> = (0..150)
        .map(|n| creating(n, &[&format!("a{n}@x.de")], &city, &name(n)))
        .collect();
    // The same row, in another letter case.
    jobs.push(creating(150, &["A7@X.de"], &city, &name(7)));
    let batches = work(&jobs).batches;
    let sizes: Vec<usize> = batches.iter().map(Batch::record_count).collect();
    assert_eq!(sizes, [100, 50]);
    assert_eq!(batches[0].calls.len(), 101);
    let body = batches[0].body();
    assert_eq!(body["duplicate_check_fields"], json!(["Email"]));
    assert_eq!(
        body["data"][7],
        json!({"Email": "a7@x.de", "City": "Bonn", "Last_Name": "N7"})
    );
    assert!(batches.iter().all(|batch| batch.ids().is_empty()));
    // The outcome of a shared row is that of both jobs.
    let id = |n: u64| n.to_string().parse().expect("an id");
    let created = |n: u64| NewRecordOutcome::Created { id: id(n + 1) };
    let rows: Vec<_> = (0..100).map(created).collect();
    for job in [&jobs[7], &jobs[150]] {
        let own = batches[0].new_records_of(&rows, job, &job.calls[0].call);
        assert_eq!(own, [(0, created(7))]);
        let part = batches[0].part(CallRef { job: 7, seq: 1 }, job, &job.calls[0]);
        assert_eq!(part.body()["data"], json!([body["data"][7]]));
    }
}

#[test]
fn upsert_of_other_row_waits_for_the_first() {
    let city = |name: &str| json!({"City": name});
    let jobs = [
        creating(0, &["a@x.de"], &city("Bonn"), &json!({})),
        creating(1, &["A@x.de", "b@x.de"], &city("Rome"), &json!({})),
        creating(2, &["c@x.de"], &city("Rome"), &json!({})),
    ];
    let batches = work(&jobs).batches;
    assert_eq!(batches.len(), 1);
    let jobs: Vec<usize> = batches[0].calls.iter().map(|call| call.job).collect();
    assert_eq!(jobs, [0, 2], "both may not create `a@x.de` at once");
}

proptest! {
    #[test]
    fn every_call_is_in_one_batch_and_complete(
        shapes in prop::collection::vec((0..3_u8, 1..1300_u64, 1..700_u64, 0..7_u8), 1..20),
    ) {
        let jobs: Vec<Job> = shapes.iter().enumerate().map(|(n, (value, first, count, kind))| {
            let fields = json!({"Rating": value.to_string()});
            let ids: Vec<u64> = (*first..first + count).collect();
            job(n, "a", &match kind {
                0 => json!({"module": "Leads", "fields": fields, "cvid": "7"}),
                1 => json!({"module": "Leads", "fields": fields, "ids": ids}),
                // In different orders, which are the same change.
                2 if *count % 2 == 0 => json!({"module": "Leads", "tags": {"add": ["a", value.to_string()]}, "ids": ids}),
                2 => json!({"module": "Leads", "tags": {"add": [value.to_string(), "a"]}, "ids": ids}),
                3 => json!({"module": "Leads", "tags": {"remove": [value.to_string()]}, "ids": ids}),
                4 => json!({"module": "Leads", "owner": {"id": *value + 1, "notify": *count % 2 == 0}, "ids": ids}),
                5 => json!({"module": "Leads", "owner": {"id": *value + 1}, "cvid": "7"}),
                _ => json!({"module": "Leads", "fields": fields, "ids": ids, "update_by": "records"}),
            })
        }).collect();
        let mut seen = HashSet::new();
        for batch in work(&jobs).batches {
            let is_small = matches!(batch.kind, CallKind::Records | CallKind::Upsert);
            let most = if is_small { 100 } else { 500 };
            prop_assert!(batch.ids().len() <= most);
            let ids: HashSet<_> = batch.ids().iter().collect();
            prop_assert_eq!(ids.len(), batch.ids().len(), "no id twice");
            let mut wanted = HashSet::new();
            let sent = batch.body();
            let list = sent["data"].as_array();
            let rows: HashMap<&str, &Value> = list
                .into_iter()
                .flatten()
                .filter_map(|row| Some((row["id"].as_str()?, row)))
                .collect();
            for call in &batch.calls {
                prop_assert!(seen.insert(*call), "no call twice");
                let job = &jobs[call.job];
                let call = &job.call(call.seq).expect("a call").call;
                let whole = call.body(job.request.resolved().expect("known records"));
                prop_assert_eq!(batch.kind, call.target.kind());
                match batch.kind {
                    CallKind::Immediate | CallKind::Scheduled => prop_assert_eq!(&sent["data"], &whole["data"]),
                    CallKind::AddTags | CallKind::RemoveTags => {
                        prop_assert_eq!(names(&sent), names(&whole));
                        prop_assert_eq!(&sent["over_write"], &whole["over_write"]);
                    }
                    CallKind::ChangeOwner | CallKind::MassChangeOwner => {
                        prop_assert_eq!(&sent["owner"], &whole["owner"]);
                        prop_assert_eq!(&sent["notify"], &whole["notify"]);
                    }
                    CallKind::Records | CallKind::Upsert => for row in whole["data"].as_array().expect("rows") {
                        prop_assert_eq!(rows[row["id"].as_str().expect("an id")], row);
                    },
                }
                prop_assert_eq!(&sent["cvid"], &whole["cvid"]);
                wanted.extend(job.ids(call).iter().copied());
            }
            prop_assert_eq!(wanted, ids.into_iter().copied().collect::<HashSet<_>>());
        }
        prop_assert_eq!(seen.len(), jobs.iter().map(|job| job.calls.len()).sum::<usize>());
    }
}

proptest! {
    // The bodies are large.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Every batch of several calls stays below the limit, and no call is lost.
    #[test]
    fn shared_batch_stays_below_byte_limit(
        sizes in prop::collection::vec(prop_oneof![4 => 1_usize..2_000, 1 => 100_000_usize..400_000, 1 => Just(1_100_000)], 1..40),
        by_records in any::<bool>(),
        escaped in any::<bool>(),
    ) {
        let way = if by_records { "records" } else { "mass_update" };
        let jobs: Vec<Job> = sizes.iter().enumerate().map(|(n, size)| {
            // A quote takes two bytes in JSON.
            let text = if escaped { "\"".repeat(size / 2) } else { "x".repeat(*size) };
            let request = json!({"module": "Leads", "fields": {"City": text}, "ids": [n + 1], "update_by": way});
            job(n, "default", &request)
        }).collect();
        let batches = work(&jobs).batches;
        for batch in &batches {
            let bytes = batch.body().to_string().len();
            prop_assert!(batch.calls.len() == 1 || bytes <= super::super::batch::MAX_BYTES, "{bytes}");
        }
        prop_assert_eq!(batches.iter().map(|batch| batch.calls.len()).sum::<usize>(), jobs.len());
        if by_records && sizes.iter().sum::<usize>() < 500_000 {
            prop_assert_eq!(batches.len(), 1, "small calls share a batch");
        }
    }
}

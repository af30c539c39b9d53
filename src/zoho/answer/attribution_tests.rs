//! Which entry concerns which record.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn ids(ids: &[u64]) -> Vec<RecordId> {
    let parse = |id: &u64| id.to_string().parse().expect("an id");
    ids.iter().map(parse).collect()
}

/// An entry of an answer.
#[derive(Clone, Debug)]
struct TestEntry {
    success: bool,
    /// The id in `details`, if there is one.
    named: Option<u64>,
}

impl TestEntry {
    fn json(&self) -> Value {
        let details = match self.named {
            Some(id) => json!({"id": id.to_string()}),
            None => json!({}),
        };
        match self.success {
            true => {
                json!({"code": "SUCCESS", "details": details, "message": "record updated", "status": "success"})
            }
            false => {
                json!({"code": "RECORD_LOCKED", "details": details, "message": "locked", "status": "error"})
            }
        }
    }
}

fn updated(named: u64) -> TestEntry {
    TestEntry {
        success: true,
        named: Some(named),
    }
}

fn refused(named: u64) -> TestEntry {
    TestEntry {
        success: false,
        named: Some(named),
    }
}

const UNNAMED: TestEntry = TestEntry {
    success: true,
    named: None,
};

/// Partial answers to a change of owners have entries with the index of their record.
#[test]
fn entry_of_partial_answer_is_found_by_index() {
    let ids = ids(&[11, 12, 13]);
    let refused = |index: u64| json!({"code": "CANNOT_PERFORM_ACTION", "index": index, "details": {}, "message": "no", "status": "error"});
    let done = json!({"code": "SUCCESS", "details": {"id": "11"}, "message": "owner is successfully updated", "status": "success"});
    let body = json!({"data": [done, refused(2)]}).to_string();
    let answer = mass_update(&RawAnswer::new(207, body.as_bytes()), &ids);
    let Ok(UpdateAnswer::Settled(failures)) = answer else {
        panic!("{answer:?}");
    };
    let failed: Vec<(String, &str)> = failures
        .iter()
        .map(|failure| (failure.id.to_string(), failure.code.as_str()))
        .collect();
    let expected = [("12", "NOT_ANSWERED"), ("13", "CANNOT_PERFORM_ACTION")];
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!((failed[1].0.as_str(), failed[1].1), expected[1]);
    assert_eq!(failed[0].0, expected[0].0);
}

/// Errors of the tags themselves come under `tags`, and concern the whole call.
#[test]
fn error_under_tags_refuses_the_call() {
    let body = json!({"tags": [{"code": "PATTERN_NOT_MATCHED", "details": {"api_name": "name"}, "message": "no", "status": "error"}]}).to_string();
    for ids in [ids(&[11]), ids(&[11, 12])] {
        let answer = mass_update(&RawAnswer::new(400, body.as_bytes()), &ids);
        let Err(Error::Refused(refusal)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(refusal.code, "PATTERN_NOT_MATCHED");
    }
}

fn body(entries: &[TestEntry]) -> String {
    let list: Vec<Value> = entries.iter().map(TestEntry::json).collect();
    json!({"data": list}).to_string()
}

/// The judgements of both kinds of call.
fn judge(entries: &[TestEntry], asked: &[u64]) -> [Result<UpdateAnswer, Error>; 2] {
    let body = body(entries);
    let raw = RawAnswer::new(200, body.as_bytes());
    [
        mass_update(&raw, &ids(asked)),
        record_update(&raw, &ids(asked)),
    ]
}

fn settled(answer: &Result<UpdateAnswer, Error>) -> Option<Vec<(String, String)>> {
    let Ok(UpdateAnswer::Settled(failures)) = answer else {
        return None;
    };
    let failures = failures
        .iter()
        .map(|failure| (failure.id.to_string(), failure.code.clone()));
    Some(failures.collect())
}

#[test]
fn confirmation_of_other_records_updates_none() {
    for entries in [
        vec![updated(98), updated(99)],
        vec![updated(98)],
        vec![UNNAMED],
        vec![UNNAMED, UNNAMED, UNNAMED],
        vec![updated(99), UNNAMED],
        vec![refused(98), updated(99)],
    ] {
        for answer in judge(&entries, &[11, 12]) {
            let Err(Error::RetryLater(refusal, _)) = &answer else {
                panic!("{entries:?}: {answer:?}")
            };
            assert_eq!(refusal.code, "ANSWER_MISMATCH", "{entries:?}");
        }
    }
}

#[test]
fn entries_are_assigned_by_id_in_any_order() {
    let open = |id: &str| (id.to_owned(), "NOT_ANSWERED".to_owned());
    let locked = |id: &str| (id.to_owned(), "RECORD_LOCKED".to_owned());
    for (entries, expected) in [
        (vec![updated(12), updated(11)], vec![]),
        (vec![updated(11), updated(11), updated(12)], vec![]),
        (vec![refused(12), updated(11)], vec![locked("12")]),
        (vec![updated(12), updated(99)], vec![open("11")]),
        // The order is unknown, so the entry without a name may be about any record.
        (vec![updated(12), UNNAMED], vec![open("11")]),
        (vec![updated(11), UNNAMED], vec![]),
        (vec![UNNAMED, UNNAMED], vec![]),
        (vec![updated(11), refused(11)], vec![open("11"), open("12")]),
    ] {
        for answer in judge(&entries, &[11, 12]) {
            assert_eq!(settled(&answer), Some(expected.clone()), "{entries:?}");
        }
    }
}

#[test]
fn refusal_without_name_hides_no_success() {
    let unnamed = TestEntry {
        success: false,
        named: None,
    };
    for answer in judge(&[updated(12), unnamed], &[11, 12, 13]) {
        let open: Vec<String> = settled(&answer)
            .expect("settled")
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(open, ["11", "13"]);
    }
}

#[test]
fn scheduled_job_is_no_update_of_named_records() {
    let body = r#"{"data":[{"code":"SUCCESS","details":{"job_id":"7"},"message":"mass update scheduled successfully","status":"success"}]}"#;
    let answer = mass_update(&RawAnswer::new(200, body.as_bytes()), &ids(&[11]));
    assert!(matches!(answer, Err(Error::RetryLater(..))), "{answer:?}");
}

#[test]
fn several_jobs_for_one_view_are_unknown() {
    let job = |id: &str| json!({"code": "SUCCESS", "details": {"job_id": id}, "message": "", "status": "success"});
    let body = json!({"data": [job("7"), job("8")]}).to_string();
    let answer = mass_update(&RawAnswer::new(200, body.as_bytes()), &[]);
    assert!(matches!(answer, Err(Error::RetryLater(..))), "{answer:?}");
}

#[test]
fn one_unreadable_entry_leaves_others_readable() {
    let body = json!({"data": [updated(11).json(), {"details": {"id": "12"}}, "?"]}).to_string();
    let raw = RawAnswer::new(200, body.as_bytes());
    for answer in [
        mass_update(&raw, &ids(&[11, 12])),
        record_update(&raw, &ids(&[11, 12])),
    ] {
        let failed = settled(&answer).expect("settled");
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, "12");
    }
}

#[test]
fn status_of_another_job_is_not_ours() {
    let counts = json!({"Status": "COMPLETED", "Failed_Count": 0, "Updated_Count": 1, "Not_Updated_Count": 0, "Total_Count": 1});
    let of = |id: Value| {
        let mut item = counts.clone();
        item["job_id"] = id;
        item
    };
    let judge = |items: Value| {
        let body = json!({"data": items}).to_string();
        job_status(&RawAnswer::new(200, body.as_bytes()), "7")
    };
    for ours in [
        json!([counts]),
        json!([of(json!("7"))]),
        json!([of(json!(7))]),
        json!([of(json!("8")), of(json!("7"))]),
    ] {
        assert!(
            matches!(judge(ours.clone()), Ok(ZohoJobStatus::Ended { .. })),
            "{ours}"
        );
    }
    for other in [json!([of(json!("8"))]), json!([counts, counts])] {
        assert!(
            matches!(judge(other.clone()), Err(Error::RetryLater(..))),
            "{other}"
        );
    }
}

fn entry() -> impl Strategy<Value = TestEntry> {
    let named = prop_oneof![
        5 => (11_u64..15).prop_map(Some),
        1 => (90_u64..93).prop_map(Some),
        2 => Just(None),
    ];
    (any::<bool>(), named).prop_map(|(success, named)| TestEntry { success, named })
}

proptest! {
    /// A record counts as updated only if an entry confirms it: by its id, or by its place in an answer whose order is
    /// known.
    #[test]
    fn only_confirmed_records_count_as_updated(
        entries in prop::collection::vec(entry(), 0..6),
        asked in prop::sample::subsequence(vec![11_u64, 12, 13, 14], 1..=4),
    ) {
        let in_order = entries.len() == asked.len()
            && entries.iter().zip(&asked).all(|(entry, id)| entry.named.is_none_or(|named| named == *id));
        for answer in judge(&entries, &asked) {
            let Some(failed) = settled(&answer) else { continue };
            for (place, id) in asked.iter().enumerate() {
                if failed.iter().any(|(failed, _)| *failed == id.to_string()) {
                    continue;
                }
                let own = || entries.iter().filter(|entry| entry.named == Some(*id));
                let by_name = own().count() > 0 && own().all(|entry| entry.success);
                let by_place = in_order && entries[place].named.is_none() && entries[place].success;
                prop_assert!(by_name || by_place, "{id} in {entries:?}");
            }
        }
    }

    /// Every record is updated if Zoho confirms each of them, in whatever order.
    #[test]
    fn confirmed_records_count_as_updated(
        asked in prop::collection::btree_set(1_u64..2000, 1..40),
        seed in any::<prop::sample::Index>(),
    ) {
        let asked: Vec<u64> = asked.into_iter().collect();
        let mut entries: Vec<TestEntry> = asked.iter().map(|id| updated(*id)).collect();
        let turn = seed.index(entries.len());
        entries.rotate_left(turn);
        for answer in judge(&entries, &asked) {
            prop_assert_eq!(settled(&answer), Some(Vec::new()));
        }
    }
}

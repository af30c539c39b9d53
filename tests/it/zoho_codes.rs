//! The table of Zoho's codes: the simulator returns every code with every known status and envelope, and the client
//! must handle it according to its class and explain it.

use std::time::Duration;

use masshook::codes::{Class, FailureScope, Origin, Row, cure, rows};
use masshook::outcome::Refusal;
use masshook::plan::CallKind;
use masshook::update::RecordId;
use masshook::zoho::answer::UpdateAnswer;
use masshook::zoho::{self, CallResult, Client, Repeat, SendWindow, UpdateCall};
use serde_json::{Value, json};

use crate::harness::{Harness, World};

/// Starts masshook with a Zoho that does not throttle token requests.
async fn generous() -> World {
    let world = Harness::new().start().await;
    world
        .faults(&json!({"mints_per_window": 100_000, "live_tokens": 100_000}))
        .await;
    world
}

fn ids(world: &World, count: u64) -> Vec<RecordId> {
    (0..count)
        .map(|place| world.id("Leads", place).parse().expect("an id"))
        .collect()
}

async fn update(world: &World, client: &Client, ids: &[RecordId]) -> CallResult<UpdateAnswer> {
    let named: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let body = json!({"data": [{"City": "Bonn"}], "ids": named});
    let give_up = world.now() + Duration::from_secs(86_400);
    let leads = "Leads".parse().expect("a module");
    let call = UpdateCall {
        module: &leads,
        kind: CallKind::Immediate,
        body: &body,
        ids,
        rows: ids.len(),
    };
    let window = SendWindow::until(give_up);
    client.update(call, Repeat::Safe, window).await
}

/// An answer that the simulator gives instead of its own.
struct Served {
    kind: &'static str,
    answer: Value,
}

impl Served {
    /// Gives the answer this many times.
    async fn times(&self, world: &World, times: u32) {
        let mut entry = self.answer.clone();
        entry["kind"] = json!(self.kind);
        entry["times"] = json!(times);
        world.faults(&json!({"next": []})).await;
        world.faults(&json!({"next": [entry]})).await;
    }
}

/// Returns every answer that carries a row's code, except codes of single records.
fn ways(row: &Row) -> Vec<Served> {
    let details: Value = serde_json::from_str(row.details).expect("details");
    let served = |kind, status: u16, body: Value| Served {
        kind,
        answer: json!({"status": status, "body": body}),
    };
    let page = |kind, status: u16| Served {
        kind,
        answer: json!({"status": status, "html": "<html><h1>an intermediary</h1></html>"}),
    };
    match row.origin {
        Origin::Crm => {
            let entry = json!({
                "code": row.code, "details": details, "message": row.message, "status": "error",
            });
            let envelopes = [
                entry.clone(),
                json!({"data": [entry]}),
                json!({"data": entry}),
            ];
            // A 304 has no body, so no code can be in it.
            let statuses = row.statuses.iter().filter(|status| **status != 304);
            statuses
                .flat_map(|status| {
                    envelopes
                        .clone()
                        .map(|body| served("mass_update_post", *status, body))
                })
                .collect()
        }
        Origin::Accounts => {
            let mut body = details;
            body["error"] = json!(row.message);
            let statuses = row.statuses.iter();
            statuses
                .map(|status| served("token", *status, body.clone()))
                .collect()
        }
        Origin::Masshook => match row.code {
            "ACCOUNTS_UNREADABLE" => vec![page("token", 200), page("token", 502)],
            "ACCOUNTS_UNAVAILABLE" => vec![served("token", 500, json!({}))],
            "FOREIGN_API_DOMAIN" => Vec::new(),
            "HTTP_2xx" => vec![page("mass_update_post", 200)],
            "HTTP_3xx" => vec![page("mass_update_post", 302)],
            "HTTP_4xx" => vec![page("mass_update_post", 418), page("mass_update_post", 403)],
            "HTTP_5xx" => [500, 502, 503, 504]
                .map(|status| page("mass_update_post", status))
                .into(),
            code => match code
                .strip_prefix("HTTP_")
                .and_then(|code| code.parse().ok())
            {
                Some(status) => vec![page("mass_update_post", status)],
                // Other tests cover local errors: secrets, addresses, timeouts.
                None => Vec::new(),
            },
        },
    }
}

/// Checks that a refusal has the row's code and advice.
fn assert_explained(row: &Row, refusal: &Refusal, way: &Value) {
    let is_code = match row.code.strip_suffix("xx") {
        Some(start) => refusal.code.starts_with(start),
        None => refusal.code == row.code,
    };
    assert!(is_code, "{:?} came as {refusal:?} for {way}", row.cause);
    assert_eq!(
        refusal.advice.as_deref(),
        Some(row.cure),
        "{:?} for {way}",
        row.cause
    );
}

/// Checks that an answer is handled according to the row's class.
async fn assert_class(world: &World, client: &Client, row: &Row, way: &Served) {
    let what = &way.answer;
    let one = ids(world, 1);
    let tokens = world.count("token").await;
    let before = world.now();
    way.times(world, 1).await;
    let once = update(world, client, &one).await;
    let tokens = world.count("token").await - tokens;
    let waited = world.now().duration_since(before);
    let waited = Duration::try_from(waited).expect("forward");
    way.times(world, 99).await;
    let mut again = None;
    if way.kind == "token" {
        // A cached token is not requested.
        again = Some(world.client());
    }
    let always = update(world, again.as_ref().unwrap_or(client), &one).await;
    match (row.class, once.outcome, always.outcome) {
        (Class::Permanent(FailureScope::Call), Err(zoho::Error::Refused(refusal)), _)
        | (Class::Permanent(FailureScope::Job), Err(zoho::Error::Denied(refusal)), _) => {
            assert_explained(row, &refusal, what);
        }
        // For the call as a whole, a record's code is a refusal of the call.
        (Class::Partial, Err(zoho::Error::Refused(refusal)), _) => {
            assert_explained(row, &refusal, what);
        }
        (Class::Reauthenticate, Ok(_), Err(zoho::Error::Denied(refusal))) => {
            assert_eq!(once.requests.len(), 2, "{:?} {what}", row.cause);
            assert!(tokens > 0, "{:?} {what}", row.cause);
            assert!(refusal.advice.is_some(), "{refusal:?}");
        }
        (Class::Retry, Ok(_), Err(zoho::Error::RetryLater(refusal, _))) => {
            assert_eq!(once.requests.len(), 2, "{:?} {what}", row.cause);
            assert_explained(row, &refusal, what);
        }
        (Class::Wait(least), once, Err(zoho::Error::RetryLater(refusal, wait))) => {
            let once = match once {
                Ok(_) => waited,
                Err(zoho::Error::RetryLater(_, wait)) => wait,
                Err(refused) => panic!("{:?} for {what}: {refused:?}", row.cause),
            };
            assert!(
                once >= least && wait >= least,
                "{:?} for {what}: {once:?}, {wait:?}",
                row.cause
            );
            assert_explained(row, &refusal, what);
        }
        (class, once, always) => {
            panic!(
                "{:?} is {class:?}, for {what}: {once:?}, {always:?}",
                row.cause
            )
        }
    }
}

#[tokio::test]
async fn every_code_ends_in_its_class() {
    let world = generous().await;
    let client = world.client();
    let mut served = 0;
    for row in rows() {
        for way in ways(row) {
            if way.kind == "token" {
                assert_class(&world, &world.client(), row, &way).await;
            } else {
                assert_class(&world, &client, row, &way).await;
            }
            served += 1;
        }
    }
    assert!(served > 200, "{served}");
}

#[tokio::test]
async fn unknown_code_is_passed_on_and_not_retried() {
    let world = generous().await;
    let body = json!({"code": "QUOTA_OF_TOMORROW", "details": {"limit": 7}, "message": "come back", "status": "error"});
    let way = Served {
        kind: "mass_update_post",
        answer: json!({"status": 400, "body": body}),
    };
    way.times(&world, 1).await;
    let sent = update(&world, &world.client(), &ids(&world, 1)).await;
    let Err(zoho::Error::Refused(refusal)) = sent.outcome else {
        panic!("{:?}", sent.outcome);
    };
    assert_eq!(
        (
            refusal.code.as_str(),
            refusal.message.as_str(),
            sent.requests.len()
        ),
        ("QUOTA_OF_TOMORROW", "come back (allowed limit 7)", 1)
    );
    let advice = refusal.advice.expect("advice");
    assert!(advice.contains("does not know this code"), "{advice}");
}

#[tokio::test]
async fn record_code_applies_to_that_record_only() {
    let world = generous().await;
    let client = world.client();
    let two = ids(&world, 2);
    let of_records = rows().filter(|row| row.class == Class::Partial && row.origin == Origin::Crm);
    for row in of_records {
        let mut details: Value = serde_json::from_str(row.details).expect("details");
        details["id"] = json!(two[1].to_string());
        let bad = json!({
            "code": row.code, "details": details, "message": row.message, "status": "error",
        });
        let good = json!({
            "code": "SUCCESS", "details": {"id": two[0].to_string()}, "message": "record updated", "status": "success",
        });
        for status in [200, 207, 400] {
            let way = Served {
                kind: "mass_update_post",
                answer: json!({"status": status, "body": {"data": [good, bad]}}),
            };
            way.times(&world, 1).await;
            let sent = update(&world, &client, &two).await;
            let Ok(UpdateAnswer::Settled(failures)) = sent.outcome else {
                panic!("{:?} under {status}: {:?}", row.cause, sent.outcome);
            };
            assert_eq!(failures.len(), 1, "{:?}", row.cause);
            assert_eq!(
                (
                    failures[0].id,
                    failures[0].code.as_str(),
                    failures[0].advice()
                ),
                (two[1], row.code, row.cure),
                "{:?} under {status}",
                row.cause
            );
        }
    }
}

#[tokio::test]
async fn refused_records_are_explained_in_the_job() {
    let world = generous().await;
    let conditions = world.zoho()["modules"]["Leads"]["conditions"].clone();
    let conditions = conditions.as_object().expect("conditions");
    let mut ids: Vec<Value> = conditions.values().cloned().collect();
    ids.push(json!("1"));
    // A blueprint controls its picklist only.
    let fields = json!({"Lead_Status": "Contacted"});
    let body = json!({"module": "Leads", "fields": fields, "ids": ids});
    let answer = world.post_job("", &body, &[]).await;
    let failures = answer.job()["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), ids.len());
    for (condition, code) in [
        ("locked", "RECORD_LOCKED"),
        ("in_blueprint", "RECORD_IN_BLUEPRINT"),
        ("not_approved", "NOT_APPROVED"),
        ("stop_processing", "CANNOT_PROCESS"),
        ("no_permission", "CANNOT_PERFORM_ACTION"),
        ("converted", "CONVERTED_RECORD"),
    ] {
        let of_record = |failure: &&Value| failure["id"] == conditions[condition];
        let failure = failures.iter().find(of_record).expect(condition);
        let message = failure["message"].as_str().expect("a message");
        assert_eq!(failure["code"], code, "{condition}");
        assert_eq!(failure["advice"], cure(code, message), "{condition}");
    }
}

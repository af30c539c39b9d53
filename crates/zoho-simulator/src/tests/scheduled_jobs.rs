//! Scheduled mass updates.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench};
use crate::Settings;

/// A bench whose jobs take 100 seconds.
async fn bench() -> TestBench {
    TestBench::with(Settings {
        job_duration: Duration::from_secs(100),
        ..Settings::default()
    })
    .await
}

/// Schedules a mass update of a view of Leads and returns the job id.
async fn schedule(bench: &TestBench, view: &str) -> String {
    let view = bench.view("Leads", view);
    let response = bench
        .update("Leads", json!({"data": [{"City": "Bonn"}], "cvid": view}))
        .await;
    assert_eq!(
        response.first(),
        (200, "SUCCESS", "mass update scheduled successfully")
    );
    response.json["data"][0]["details"]["job_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn status(bench: &TestBench, job: &str) -> Value {
    let path = format!("/crm/v7/Leads/actions/mass_update?job_id={job}");
    bench.get(&path).await.json["data"][0].clone()
}

fn counts(status: &Value) -> (&str, u64, u64, u64, u64) {
    let count = |key: &str| status[key].as_u64().unwrap();
    (
        status["Status"].as_str().unwrap(),
        count("Failed_Count"),
        count("Updated_Count"),
        count("Not_Updated_Count"),
        count("Total_Count"),
    )
}

#[tokio::test]
async fn job_is_scheduled_runs_and_completes() {
    let bench = bench().await;
    let job = schedule(&bench, "all").await;
    assert_eq!(
        counts(&status(&bench, &job).await),
        ("SCHEDULED", 0, 0, 2000, 2000)
    );
    bench.advance(20);
    assert_eq!(
        counts(&status(&bench, &job).await),
        ("RUNNING", 0, 0, 2000, 2000)
    );
    bench.advance(40);
    assert_eq!(
        counts(&status(&bench, &job).await),
        ("RUNNING", 0, 1000, 1000, 2000)
    );
    assert_eq!(
        bench.record("Leads", &bench.record_id("Leads", 999)).await["City"],
        "Bonn"
    );
    assert_ne!(
        bench.record("Leads", &bench.record_id("Leads", 1000)).await["City"],
        "Bonn"
    );
    bench.advance(39);
    let late = status(&bench, &job).await;
    assert_eq!(late["Status"], "RUNNING");
    bench.advance(1);
    assert_eq!(
        counts(&status(&bench, &job).await),
        ("COMPLETED", 5, 1995, 0, 2000)
    );
}

#[tokio::test]
async fn job_counts_always_add_up() {
    let bench = bench().await;
    bench.faults(json!({"job_queued": true})).await;
    let job = schedule(&bench, "some").await;
    let mut seen = Vec::new();
    let mut last = 0;
    for _ in 0..=100 {
        let status = status(&bench, &job).await;
        let (name, failed, updated, left, total) = counts(&status);
        assert_eq!(failed + updated + left, total);
        assert!(updated >= last);
        last = updated;
        if seen.last().is_none_or(|last: &String| last != name) {
            seen.push(name.to_owned());
        }
        bench.advance(1);
    }
    assert_eq!(seen, ["SCHEDULED", "QUEUED", "RUNNING", "COMPLETED"]);
}

#[tokio::test]
async fn second_job_of_view_is_rejected() {
    let bench = bench().await;
    schedule(&bench, "all").await;
    schedule(&bench, "some").await;
    let again = || {
        bench.update(
            "Leads",
            json!({"data": [{"City": "Kiel"}], "cvid": bench.view("Leads", "all")}),
        )
    };
    let response = again().await;
    let expected = json!({
        "code": "ALREADY_SCHEDULED",
        "details": {"api_name": "cvid"},
        "message": "Already a Mass Action scheduler is running for the given cvid",
        "status": "error",
    });
    assert_eq!((response.status, &response.json), (202, &expected));
    bench
        .faults(json!({"already_scheduled_status": 400, "already_scheduled_in_data": true}))
        .await;
    let response = again().await;
    assert_eq!(
        (response.status, response.json),
        (400, json!({"data": [expected]}))
    );
    bench.advance(100);
    assert_eq!(again().await.first().1, "SUCCESS");
}

#[tokio::test]
async fn territories_limit_view_records() {
    let bench = bench().await;
    let territory = bench.world()["territories"]["EMEA"]["id"].clone();
    for (include_child, total) in [(Value::Null, 500), (json!(true), 1000)] {
        let mut target = json!({"id": territory});
        if include_child.is_boolean() {
            target["include_child"] = include_child;
        }
        let body = json!({"data": [{"City": "Bonn"}], "cvid": bench.view("Leads", "all"), "territory": target});
        let response = bench.update("Leads", body).await;
        let job = response.json["data"][0]["details"]["job_id"]
            .as_str()
            .unwrap();
        bench.advance(100);
        assert_eq!(status(&bench, job).await["Total_Count"], total);
    }
}

#[tokio::test]
async fn job_overwrites_or_appends() {
    let bench = bench().await;
    let lead = bench.record_id("Leads", 3);
    for (over_write, expected) in [
        (false, json!(["CRM", "Billing"])),
        (true, json!(["Billing"])),
    ] {
        let view = bench.view("Leads", "all");
        let body =
            json!({"data": [{"Topics": ["Billing"]}], "cvid": view, "over_write": over_write});
        bench.update("Leads", body).await;
        bench.advance(100);
        assert_eq!(bench.record("Leads", &lead).await["Topics"], expected);
    }
}

#[tokio::test]
async fn invalid_views_are_rejected() {
    let bench = bench().await;
    let update =
        |cvid: String| bench.update("Leads", json!({"data": [{"City": "Bonn"}], "cvid": cvid}));
    let response = update("554023000000091515".to_owned()).await;
    assert_eq!(
        (response.status, response.json),
        (
            400,
            json!({"code": "INVALID_DATA", "details": {"api_name": "cvid", "json_path": "$.cvid"}, "message": "the cvid given seems to be invalid", "status": "error"})
        )
    );
    let response = update(bench.view("Deals", "all")).await;
    assert_eq!(response.code(), (400, "INVALID_DATA"));
    let response = update(bench.view("Leads", "private")).await;
    assert_eq!(
        (response.code(), &response.json["message"]),
        ((403, "NO_PERMISSION"), &json!("Customview not accessible"))
    );
    let response = update(bench.view("Leads", "empty")).await;
    assert_eq!(
        (response.status, response.json),
        (
            400,
            json!({"code": "NO_RECORDS_FOUND", "details": {}, "message": "no record found to update", "status": "error"})
        )
    );
    bench.faults(json!({"may_schedule": false})).await;
    assert_eq!(
        update(bench.view("Leads", "all")).await.code(),
        (400, "AUTHORIZATION_FAILED")
    );
    bench
        .faults(json!({"reset": true, "edition": "professional"}))
        .await;
    assert_eq!(
        update(bench.view("Leads", "all")).await.code(),
        (403, "FEATURE_NOT_SUPPORTED")
    );
}

#[tokio::test]
async fn job_record_limit_is_50000() {
    for (records, expected) in [(50_000, 200), (50_001, 400)] {
        let bench = TestBench::with(Settings {
            records: BTreeMap::from([("Leads".to_owned(), records)]),
            job_duration: Duration::ZERO,
            ..Settings::default()
        })
        .await;
        let body = json!({"data": [{"City": "Bonn"}], "cvid": bench.view("Leads", "all")});
        let response = bench.update("Leads", body).await;
        assert_eq!(response.status, expected);
        if expected == 400 {
            assert_eq!(response.code(), (400, "LIMIT_EXCEEDED"));
            assert_eq!(response.json["message"], "Record count exceeded");
        } else {
            let job = response.json["data"][0]["details"]["job_id"]
                .as_str()
                .unwrap();
            assert_eq!(
                counts(&status(&bench, job).await),
                ("COMPLETED", 5, 49_995, 0, 50_000)
            );
        }
    }
}

#[tokio::test]
async fn job_endings_are_switchable() {
    for (ending, expected) in [
        ("fail", ("FAILED", 2000, 0, 0, 2000)),
        ("stuck", ("RUNNING", 0, 1000, 1000, 2000)),
        ("suspend", ("SUSPENDED", 0, 1000, 1000, 2000)),
    ] {
        let bench = bench().await;
        bench.faults(json!({"job_fate": ending})).await;
        let job = schedule(&bench, "all").await;
        bench.advance(1000);
        assert_eq!(counts(&status(&bench, &job).await), expected);
    }
    let bench = bench().await;
    bench
        .faults(json!({"job_fate": "vanish", "job_duration_ms": 1000}))
        .await;
    let job = schedule(&bench, "all").await;
    bench.advance(1);
    assert!(status(&bench, &job).await.is_null());
    assert_eq!(bench.record("Leads", LEAD).await["City"], "Bonn");
}

#[tokio::test]
async fn unknown_job_status_is_switchable() {
    let bench = bench().await;
    let get_status = || bench.get("/crm/v7/Leads/actions/mass_update?job_id=7");
    let response = get_status().await;
    assert_eq!((response.status, response.text.as_str()), (404, ""));
    bench.faults(json!({"unknown_job": 204})).await;
    assert_eq!(get_status().await.status, 204);
    bench.faults(json!({"unknown_job": 400})).await;
    let response = get_status().await;
    assert_eq!(
        (response.status, response.json),
        (
            400,
            json!({"code": "INVALID_DATA", "details": {"param_name": "job_id"}, "message": "The jobid given seems to be invalid", "status": "error"})
        )
    );
    let response = bench.get("/crm/v7/Leads/actions/mass_update").await;
    assert_eq!(response.code(), (400, "MANDATORY_NOT_FOUND"));
    assert_eq!(
        bench
            .get("/crm/v7/Lead/actions/mass_update?job_id=7")
            .await
            .code(),
        (400, "INVALID_MODULE")
    );
    assert_eq!(
        bench
            .get("/crm/v7/Notes/actions/mass_update?job_id=7")
            .await
            .code(),
        (400, "NOT_SUPPORTED")
    );
    bench
        .faults(json!({"reset": true, "job_unknown_for_s": 5, "scheduled_as_object": true}))
        .await;
    let body = json!({"data": [{"City": "Bonn"}], "cvid": bench.view("Leads", "all")});
    let job = bench.update("Leads", body).await.json["data"]["details"]["job_id"].clone();
    let job = job.as_str().unwrap();
    assert!(status(&bench, job).await.is_null());
    bench.advance(5);
    assert_eq!(status(&bench, job).await["Status"], "SCHEDULED");
    let elsewhere = format!("/crm/v7/Deals/actions/mass_update?job_id={job}");
    assert_eq!(bench.get(&elsewhere).await.status, 404);
}

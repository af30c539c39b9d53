//! `masshook serve` as its users run it: the process, its data folder, its signals, and its failures.

mod database;
mod dead_letters;
mod health;
mod limits;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Harness, Moto, Request, Served, form, ids, text};

/// A harness whose custom views take a second.
fn harness<'a>() -> Harness<'a> {
    Harness::new().simulator(|zoho| zoho.job_duration = Duration::from_secs(1))
}

async fn served() -> Served {
    harness().served().start().await
}

/// The log names the reason and contains nothing of the delivery.
#[tokio::test]
async fn ignored_delivery_is_logged_with_reason() {
    let routes = "  nothing: { verify: { scheme: none }, map: empty }\n  picky: { verify: { scheme: none }, when: .kind == \"other\", map: empty }\n";
    let world = harness().routes(routes).served().start().await;
    let said = json!({"kind": "a-private-kind"}).to_string();
    for (route, why) in [
        ("nothing", "map yields nothing"),
        ("picky", "when is false"),
    ] {
        let ask = Request::post(&format!("/hooks/{route}"), said.clone());
        let ask = ask.with("content-type", "application/json");
        let reported = ask.send_to(&world.url("")).await;
        let expected = json!({"jobs": [], "ignored": why});
        assert_eq!(reported.body, expected, "{route}: {reported:?}");
    }
    for (route, why) in [
        ("nothing", "`map` yields nothing"),
        ("picky", "`when` is false"),
    ] {
        let log = world.wait_for_log(|line| line.contains(route) && line.contains(why));
        let log = log.await;
        assert!(!log.contains("a-private-kind"), "{log}");
    }
}

#[tokio::test]
async fn delivery_is_queued_completed_and_reported() {
    let world = served().await;
    let id = world.id("Leads", 3);
    let answer = world.deliver(&form("e1", std::slice::from_ref(&id))).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 202);
    let job = &answer.body["jobs"][0];
    assert_eq!(job["status"], "queued");
    assert_eq!(job["status_url"], format!("/jobs/{}", text(&job["id"])));

    let job = world.wait_for_job(&text(&job["id"])).await;

    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["callback"]["status"], "delivered");
    assert_eq!(world.record("Leads", &id).await["Lead_Source"], "Webinar");
    let callbacks = world.callbacks();
    let callback = callbacks.values().next().expect("a callback");
    assert_eq!(callbacks.len(), 1);
    assert_eq!(callback["type"], "job.succeeded");
    assert_eq!(callback["data"]["reference"], "e1");
    assert_eq!(callback["data"]["counts"], job["counts"]);
    // A duplicate delivery returns the same job with its current status.
    let again = world.deliver(&form("e1", &[id])).await.expect("an answer");
    assert_eq!(again.status, 202);
    assert_eq!(again.body["jobs"][0]["status"], "succeeded");
    assert_eq!(world.count("mass_update_post").await, 1);
    assert_eq!(world.job("job_unheard_of").await.status, 404);
}

#[tokio::test]
async fn callback_on_progress_reports_each_step() {
    let harness = Harness::new()
        .simulator(|zoho| zoho.job_duration = Duration::from_secs(9))
        .config(|config| config + "callback_on: progress\n");
    let world = harness.served().start().await;
    let view = world.zoho()["views"]["Leads"]["some"]["id"].clone();
    let delivery = json!({"event": "steps", "view": view});
    let job = world.submit(&delivery).await.remove(0);
    let job = world.wait_for_job(&job).await;
    assert_eq!(job["callback"]["attempts"], 1, "of the end: {job:#}");

    // In the order of arrival; each one is verified.
    let callbacks = world.callbacks();
    let reported: Vec<&Value> = world
        .receiver
        .all()
        .iter()
        .map(|callback| &callbacks[callback.header("webhook-id")])
        .collect();
    assert_eq!(reported.len(), callbacks.len(), "each delivered once");
    let kinds: Vec<&str> = reported
        .iter()
        .filter_map(|reported| reported["type"].as_str())
        .collect();
    assert_eq!((kinds[0], kinds[1]), ("job.queued", "job.running"));
    assert_eq!(kinds.last(), Some(&"job.succeeded"));
    assert!(kinds.len() <= 4, "{kinds:?}");
    for reported in reported {
        let status = text(&reported["data"]["status"]);
        assert_eq!(reported["type"], format!("job.{status}"));
    }
}

#[tokio::test]
async fn batch_window_shares_calls_and_keeps_outcomes() {
    let world = harness()
        .config(|config| {
            config
                + "batch_window: 1s
"
        })
        .served()
        .start()
        .await;
    let bad = text(&world.zoho()["modules"]["Leads"]["conditions"]["locked"]);
    let mut records: Vec<String> = (0..199).map(|place| world.id("Leads", place)).collect();
    records.insert(77, bad.clone());

    for (number, id) in records.iter().enumerate() {
        let delivery = form(&format!("e{number}"), std::slice::from_ref(id));
        world.submit(&delivery).await;
    }
    world.wait_for_jobs(200).await;

    let posts = world.count("mass_update_post").await;
    assert!(posts <= 8, "{posts} calls");
    assert_eq!(world.count("token").await, 1);
    let callbacks = world.callbacks();
    assert_eq!(callbacks.len(), 200);
    for callback in callbacks.values() {
        let data = &callback["data"];
        let number = text(&data["reference"]);
        let record: usize = number[1..].parse().expect("a number");
        let failed = u64::from(records[record] == bad);
        assert_eq!(
            data["counts"],
            json!({"total": 1, "updated": 1 - failed, "failed": failed, "pending": 0})
        );
        let named: Vec<&Value> = data["failures"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|failure| &failure["id"])
            .collect();
        assert_eq!(named, vec![&json!(bad); failed as usize]);
    }
}

#[tokio::test]
async fn view_updates_run_serially_and_equal_ones_share() {
    let world = harness()
        .config(|config| {
            config
                + "batch_window: 1s
"
        })
        .served()
        .start()
        .await;
    let view = world.zoho()["views"]["Leads"]["all"]["id"].clone();
    let delivery = |event: &str, value: &str| json!({"event": event, "view": view, "fields": {"Lead_Status": value}, "reference": event});
    let mut jobs = Vec::new();
    for (event, value) in [
        ("a", "Contacted"),
        ("b", "Contacted"),
        ("c", "Attempted to Contact"),
    ] {
        jobs.extend(world.submit(&delivery(event, value)).await);
    }
    let mut runs = BTreeSet::new();
    for id in &jobs {
        let job = world.wait_for_job(id).await;
        // Zoho does not update all records of the view.
        assert_eq!(job["status"], "partially_succeeded", "{job:#}");
        runs.insert(text(&job["calls"][0]["zoho_job_id"]));
    }
    // If the three straddle the end of a window, the equal ones run separately.
    let posts = world.count("mass_update_post").await;
    assert!(runs.len() == 2 || runs.len() == 3, "{runs:?}");
    assert_eq!(posts, runs.len() as u64, "none was refused as busy");
    assert_eq!(world.callbacks().len(), 3);
}

#[tokio::test]
async fn sigterm_finishes_turn_and_restart_resumes() {
    let mut world = served().await;
    world.faults(&json!({"latency_ms": 1500})).await;
    let job = world.submit(&form("e1", &[world.id("Leads", 0)])).await;
    while world
        .requests()
        .await
        .as_array()
        .is_none_or(|seen| seen.len() < 2)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.signal("TERM");
    let status = world.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{}", world.log());
    assert_eq!(world.list_jobs()[&job[0]]["status"], "succeeded");

    // A job that waits for Zoho continues after a restart.
    world.faults(&json!({"latency_ms": 0})).await;
    world.start(&[]).await;
    let view = world.zoho()["views"]["Leads"]["all"]["id"].clone();
    let view = json!({"event": "v", "view": view, "fields": {"Lead_Status": "Contacted"}});
    let view = world.submit(&view).await;
    world
        .wait_until(&view[0], |job| job["status"] == "running")
        .await;
    world.signal("TERM");
    assert_eq!(world.wait_for_exit().await.code(), Some(0));
    assert_eq!(world.list_jobs()[&view[0]]["status"], "running");
    world.start(&[]).await;
    let ended = world.wait_for_job(&view[0]).await;
    assert!(
        ended["counts"]["updated"].as_u64() > Some(1_000),
        "{ended:#}"
    );
    assert_eq!(world.callbacks().len(), 2);
}

#[tokio::test]
async fn second_server_on_a_folder_is_refused() {
    let world = served().await;
    let mut other = world.command(&[]);
    let status = tokio::task::spawn_blocking(move || other.status()).await;
    let status = status.expect("no panic").expect("started");
    assert_eq!(status.code(), Some(2));
    assert!(
        world.log().contains("another masshook server uses"),
        "{}",
        world.log()
    );
    let job = world.submit(&form("e1", &[world.id("Leads", 0)])).await;
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
}

/// Another process locks the database, as a backup might.
#[tokio::test]
async fn locked_store_returns_503_and_accepts_nothing() {
    let world = served().await;
    world.submit(&form("e0", &[world.id("Leads", 0)])).await;
    let database = Connection::open(world.data().join("masshook.db")).expect("opened");
    database.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let delivery = form("e1", &[world.id("Leads", 1)]);
    let answer = world.deliver(&delivery).await.expect("an answer");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.body["code"], "unavailable");
    assert!(answer.retry_after() > Some(0), "{answer:?}");
    let broken = json!({"event": "e2", "ids": ["no id"]});
    let answer = world.deliver(&broken).await.expect("an answer");
    assert_eq!(
        answer.status, 503,
        "what cannot be stored is not accepted: {answer:?}"
    );
    database.execute_batch("ROLLBACK").expect("unlocked");
    drop(database);
    let job = world.submit(&delivery).await;
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
}

/// Files cannot grow, as on a full disk. Deliveries accepted before are not lost.
#[tokio::test]
async fn full_disk_returns_503_and_loses_no_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("masshook");
    let limited = |limit: &str| {
        let masshook = env!("CARGO_BIN_EXE_masshook");
        let script = format!("#!/bin/sh\ntrap '' XFSZ\n{limit}exec {masshook} \"$@\"\n");
        std::fs::write(&program, script).expect("written");
        let owner = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&program, owner).expect("a program");
    };
    // 512 bytes each.
    limited("ulimit -f 800\n");
    let mut world = Harness::new().served().program(&program).start().await;
    let lead = |number: usize| world.id("Leads", number as u64);
    let mut taken = Vec::new();
    let refused = loop {
        let number = taken.len();
        let delivery = form(&format!("e{number}"), &[lead(number)]);
        let answer = world.deliver(&delivery).await.expect("an answer");
        match answer.status {
            202 => taken.extend(ids(&answer.body)),
            _ => break answer,
        }
        assert!(number < 1_000, "it never fills up");
    };
    let update = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [lead(0)]});
    // An update request takes less space than a delivery, so some may still fit.
    let posted = loop {
        let answer = world.request("POST", "/jobs", Some(&update)).await;
        let answer = answer.expect("an answer");
        match answer.status {
            202 => taken.extend(ids(&answer.body)),
            _ => break answer,
        }
        assert!(taken.len() < 1_000, "it never fills up");
    };
    for answer in [refused, posted] {
        assert_eq!(answer.status, 503, "{answer:?}\n{}", world.log());
        assert_eq!(answer.body["code"], "unavailable");
        assert!(answer.retry_after().is_some(), "{answer:?}");
    }
    assert!(!taken.is_empty(), "{}", world.log());
    world.kill().await;

    limited("");
    world.start(&[]).await;
    let jobs = world.wait_for_jobs(taken.len()).await;
    assert_eq!(
        jobs.keys().cloned().collect::<BTreeSet<_>>(),
        taken.into_iter().collect()
    );
    for job in jobs.values() {
        assert_eq!(job["status"], "succeeded", "{job:#}");
    }
}

/// An unusable token cache is logged once, not for every token request.
#[tokio::test]
async fn token_cache_outage_is_logged_once() {
    let (moto, name) = (Moto::shared(), "serve/outage");
    moto.create_secret(name, "something else").await;
    let cache = format!("token_cache: secretsmanager:{name}");
    let served = Harness::new().connection(&cache).served();
    let world = served.environment(moto.environment()).start().await;
    for round in 0..4 {
        if round == 3 {
            let client = aws_sdk_secretsmanager::Client::new(&moto.sdk_config());
            let emptied = client
                .put_secret_value()
                .secret_id(name)
                .secret_string("{}");
            emptied.send().await.expect("moto takes it");
        }
        world.faults(&json!({"expire_tokens": true})).await;
        let delivery = form(&format!("e{round}"), &[world.id("Leads", round)]);
        let job = world.submit(&delivery).await;
        assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
        let back = world.log().matches("tokens are shared again").count();
        assert_eq!(back, usize::from(round == 3), "{}", world.log());
    }
    assert_eq!(world.count("token").await, 4);
    let reported = world.log().matches("tokens are not shared").count();
    assert_eq!(reported, 1, "{}", world.log());
}

#[tokio::test]
async fn newer_job_version_is_parked_once_and_resumed() {
    let mut world = served().await;
    world
        .faults(&json!({"next": [{"kind": "mass_update_post", "status": 503, "times": 100}]}))
        .await;
    let job = world.submit(&form("e1", &[world.id("Leads", 0)])).await;
    world.kill().await;
    let database = Connection::open(world.data().join("masshook.db")).expect("opened");
    let version = |from: &str, to: &str| {
        let (from, to) = (format!("{{\"v\":{from},"), format!("{{\"v\":{to},"));
        let changed = database.execute(
            "UPDATE jobs SET state = replace(state, ?1, ?2) WHERE instr(state, ?1) = 1",
            [from, to],
        );
        assert_eq!(changed.expect("changed"), 1);
    };
    version("3", "99");
    world.faults(&json!({"next": []})).await;
    world.start(&[]).await;
    let other = world.submit(&form("e2", &[world.id("Leads", 1)])).await;
    assert_eq!(world.wait_for_job(&other[0]).await["status"], "succeeded");
    let (_, parked) = world.cli(&["jobs", "list", "--status", "parked"]);
    assert_eq!(ids(&parked), job);
    let reason = text(&parked["jobs"][0]["reason"]);
    assert!(reason.contains("99"), "{reason}");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let complaints = world.log().matches("job parked").count();
    assert_eq!(complaints, 1, "{}", world.log());
    let shown = world.job(&job[0]).await;
    assert_eq!(
        (shown.status, &shown.body["code"]),
        (500, &json!("job_unreadable"))
    );
    let again = world.submit(&form("e1", &[world.id("Leads", 0)])).await;
    assert_eq!(again, job, "a redelivery returns the parked job");

    version("99", "3");
    let (code, resumed) = world.cli(&["jobs", "replay", &job[0]]);
    assert_eq!((code, text(&resumed["resumed"])), (0, job[0].clone()));
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
}

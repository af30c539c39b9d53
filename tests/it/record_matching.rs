//! `match`: records that are selected by the value of a field.

use serde_json::{Value, json};

use crate::harness::{Harness, Request, World, text};

/// Makes an update request for the leads with these e-mail addresses.
fn by_mail(values: &[&str], modes: Value) -> Value {
    let mut wanted = json!({"field": "Email", "values": values});
    let more = modes.as_object().cloned().unwrap_or_default();
    wanted.as_object_mut().expect("an object").extend(more);
    json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "match": wanted})
}

/// Sends an update request; returns its job and the number of queries, searches and updates.
async fn driven(world: &World, request: &Value) -> (Value, [u64; 3]) {
    let count = async || {
        [
            world.count("coql").await,
            world.count("search").await,
            world.count("mass_update_post").await,
        ]
    };
    let before = count().await;
    let answer = world.post_job("", request, &[]).await;
    let after = count().await;
    let calls = [0, 1, 2].map(|kind| after[kind] - before[kind]);
    (answer.job().clone(), calls)
}

#[tokio::test]
async fn match_of_500_values_takes_ten_queries() {
    let world = Harness::new().start().await;
    let values: Vec<String> = (1..=500).map(|n| format!("lead{n}@example.com")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let (job, calls) = driven(&world, &by_mail(&values, json!({}))).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(calls, [10, 0, 1]);
    assert_eq!(
        job["lookup"],
        json!({"field": "Email", "values": 500, "matched": 500, "ids": 500})
    );
    assert_eq!(job["counts"]["updated"], 500);
    let last = world.record("Leads", &world.id("Leads", 499)).await;
    assert_eq!(last["Lead_Source"], "Webinar");
}

#[tokio::test]
async fn match_queries_are_shared_across_500_jobs() {
    let config = |config: String| {
        let matching = config.replace("ids: .ids,", "ids: .ids, match: .match,");
        format!("{matching}batch_window: 5s\n")
    };
    let world = Harness::new().config(config).served().start().await;
    for number in 1..=500 {
        let wanted = json!({"field": "Email", "values": [format!("lead{number}@example.com")]});
        let delivery = json!({"event": format!("e{number}"), "match": wanted, "reference": number});
        world.submit(&delivery).await;
    }
    world.wait_for_jobs(500).await;
    let (queries, updates) = (
        world.count("coql").await,
        world.count("mass_update_post").await,
    );
    assert!(
        queries <= 50 && updates <= 25,
        "{queries} queries, {updates} updates"
    );
    let callbacks = world.callbacks();
    assert_eq!(callbacks.len(), 500);
    for callback in callbacks.values() {
        assert_eq!(callback["type"], "job.succeeded");
        assert_eq!(callback["data"]["lookup"]["ids"], 1);
        assert_eq!(callback["data"]["counts"]["updated"], 1);
    }
    assert_eq!(
        world.record("Leads", &world.id("Leads", 250)).await["Lead_Source"],
        "Webinar"
    );
}

/// Delivers a job for each list of values of a field.
async fn deliver_matches(world: &World, field: &str, values: &[&[&str]]) -> Vec<Value> {
    let updates: Vec<Value> = values
        .iter()
        .map(|values| {
            let wanted = json!({"field": field, "values": values});
            json!({"module": "Leads", "fields": {"City": "Bonn"}, "match": wanted})
        })
        .collect();
    let request = Request::json("/hooks/matches", json!({"updates": updates}).to_string());
    let answer = world.send(request).await;
    answer.body["jobs"].as_array().expect("jobs").clone()
}

const MATCHES: &str =
    "  matches: { verify: { scheme: none }, delivery_id: tojson, map: '.updates[]' }\n";

/// Zoho refuses the query that jobs share, and then the query of one of them: only that job fails.
#[tokio::test]
async fn refused_shared_query_fails_one_job_only() {
    let world = Harness::new().routes(MATCHES).start().await;
    let body = json!({
        "code": "INVALID_QUERY", "details": {"column_name": "Email", "reason": "invalid value"},
        "message": "invalid query formed", "status": "error",
    });
    let fault = json!({"kind": "coql", "status": 400, "body": body});
    world.faults(&json!({"next": [fault, fault]})).await;
    let lists: [&[&str]; 5] = [
        &["lead1@example.com"],
        &["lead2@example.com", "lead3@example.com"],
        // It shares a value with the previous one, and with the next one all of them.
        &["lead3@example.com", "lead4@example.com"],
        &["lead3@example.com", "lead4@example.com"],
        &["o'brien@example.com"],
    ];
    let jobs = deliver_matches(&world, "Email", &lists).await;
    let failed = jobs.iter().filter(|job| job["status"] == "failed");
    let failed: Vec<&Value> = failed.map(|job| &job["error"]["code"]).collect();
    assert!(
        (1..=2).contains(&failed.len()) && failed.iter().all(|code| **code == "INVALID_QUERY"),
        "{jobs:#?}"
    );
    assert_eq!(jobs[4]["status"], "succeeded", "{jobs:#?}");
    assert_eq!(world.count("coql").await, 4, "one query, and three parts");
}

/// The field is at fault, so no job asks on its own.
#[tokio::test]
async fn query_on_an_unknown_field_is_not_repeated() {
    let world = Harness::new().routes(MATCHES).start().await;
    let lists: [&[&str]; 3] = [&["a"], &["b"], &["c"]];
    let jobs = deliver_matches(&world, "Nothing", &lists).await;
    assert!(
        jobs.iter()
            .all(|job| job["error"]["code"] == "INVALID_QUERY"),
        "{jobs:#?}"
    );
    assert_eq!(world.count("coql").await, 1);
}

/// The records of one job's value fill the pages of the shared query, so that those of the other job are missing.
#[tokio::test]
async fn value_with_too_many_records_fails_one_job_only() {
    let world = Harness::new()
        .routes(MATCHES)
        .simulator(|zoho| {
            zoho.records.insert("Leads".to_owned(), 56_000);
        })
        .start()
        .await;
    let last = world.id("Leads", 54_999);
    let lists: [&[&str]; 2] = [&["false"], &["true"]];
    let jobs = deliver_matches(&world, "Email_Opt_Out", &lists).await;
    assert_eq!(
        jobs[0]["error"]["code"], "MATCH_TOO_WIDE",
        "{last} {jobs:#?}"
    );
    assert_eq!(jobs[1]["status"], "succeeded", "{jobs:#?}");
}

/// Without the guard, only the values of found records show that a field is unsuitable.
#[tokio::test]
async fn unsuitable_match_field_is_noted_without_guard() {
    let world = Harness::new().start().await;
    let by = |field: &str, value: &str| {
        json!({
            "module": "Leads", "fields": {"Rating": "Active"}, "match": {"field": field, "values": [value]},
        })
    };
    let (job, calls) = driven(&world, &by("Topics", "CRM")).await;
    assert_eq!(job["error"]["code"], "MATCH_FIELD_UNSUITABLE", "{job:#}");
    assert_eq!(calls[2], 0, "nothing is updated");
    for (field, value) in [("Topics", "Billing"), ("Email", "nobody@example.com")] {
        let (job, _) = driven(&world, &by(field, value)).await;
        assert_eq!(
            (&job["status"], &job["lookup"]["matched"]),
            (&json!("succeeded"), &json!(0)),
            "{job:#}"
        );
        let note = job["notes"][0].as_str().expect("a note");
        assert!(
            note.contains(field) && note.contains("`guard`"),
            "what to do: {note}"
        );
        assert!(!note.contains(value), "{note}");
    }
    let (job, _) = driven(&world, &by("Email", "lead1@example.com")).await;
    assert_eq!(job["notes"], Value::Null, "{job:#}");
}

#[tokio::test]
async fn on_many_and_on_none_decide_the_outcome() {
    let world = Harness::new().start().await;
    let shared = "team@example.com";
    let unreachable = "nobody@example.com";
    for (values, modes, status, code, found, updates) in [
        (vec![shared], json!({}), "succeeded", None, [1, 1, 3], 1),
        (
            vec![shared, "lead1@example.com"],
            json!({"on_many": "fail"}),
            "failed",
            Some("MATCH_AMBIGUOUS"),
            [2, 2, 4],
            0,
        ),
        (
            vec![unreachable],
            json!({}),
            "succeeded",
            None,
            [1, 0, 0],
            0,
        ),
        (
            vec![unreachable, "lead2@example.com"],
            json!({}),
            "succeeded",
            None,
            [2, 1, 1],
            1,
        ),
        (
            vec![unreachable, "lead3@example.com"],
            json!({"on_none": "fail"}),
            "failed",
            Some("MATCH_NOT_FOUND"),
            [2, 1, 1],
            0,
        ),
        // Case-insensitive, and never a longer address.
        (
            vec!["ANNA.smith@example.com"],
            json!({"on_none": "fail", "on_many": "fail"}),
            "succeeded",
            None,
            [1, 1, 1],
            1,
        ),
        // A converted lead no longer matches.
        (
            vec!["lead2000@example.com"],
            json!({}),
            "succeeded",
            None,
            [1, 0, 0],
            0,
        ),
    ] {
        let (job, calls) = driven(&world, &by_mail(&values, modes)).await;
        assert_eq!(job["status"], status, "{values:?} {job:#}");
        assert_eq!(job["error"]["code"].as_str(), code, "{job:#}");
        let [asked, matched, ids] = found;
        assert_eq!(
            job["lookup"],
            json!({"field": "Email", "values": asked, "matched": matched, "ids": ids})
        );
        assert_eq!(calls, [1, 0, updates], "{values:?}");
        let updated = if updates == 1 { ids } else { 0 };
        assert_eq!(job["counts"]["updated"], updated);
        assert!(
            !job["error"].to_string().contains("@example.com"),
            "{job:#}"
        );
    }
}

#[tokio::test]
async fn hostile_values_never_enter_a_query() {
    let world = Harness::new().start().await;
    let mailboxes = world.zoho()["emails"].clone();
    let long = format!("{}'@example.com", "x".repeat(238));
    let hostile = [
        "o'brien@example.com",
        r"back\slash@example.com",
        // A part of the first value, which `equals` of the search API accepts.
        "o'brien",
        "') or (id is not null",
        "a@x.com') or (Email like '%",
        r"\",
        "(a),(b)",
        long.as_str(),
    ];
    let mut values = vec!["zoë@example.com", "p+boyle@example.com"];
    values.extend(hostile);
    let (job, calls) = driven(&world, &by_mail(&values, json!({}))).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(
        job["lookup"],
        json!({"field": "Email", "values": 10, "matched": 4, "ids": 4})
    );
    assert_eq!(calls, [1, hostile.len() as u64, 1]);
    for name in ["apostrophe", "backslash", "plus", "non_ascii"] {
        let id = text(&mailboxes[name]["ids"][0]);
        assert_eq!(
            world.record("Leads", &id).await["Lead_Source"],
            "Webinar",
            "{name}"
        );
    }
    let requests = world.requests().await;
    let requests = requests.as_array().expect("a list");
    let queries: Vec<&Value> = requests
        .iter()
        .filter(|request| request["kind"] == "coql")
        .map(|request| &request["body"]["select_query"])
        .collect();
    assert_eq!(
        queries,
        [
            "select id, Email from Leads where ((Email in ('zoë@example.com','p+boyle@example.com')) and (Converted__s = 'false')) order by id asc limit 200"
        ]
    );
    let searched: Vec<&str> = requests
        .iter()
        .filter(|request| request["kind"] == "search")
        .filter_map(|request| request["query"]["criteria"].as_str())
        .collect();
    assert!(
        searched.contains(&r"(Email:equals:'\) or \(id is not null)"),
        "{searched:?}"
    );
}

#[tokio::test]
async fn paged_results_are_read_to_the_end() {
    let world = Harness::new().start().await;
    let request = json!({
        "module": "Leads",
        "fields": {"Lead_Source": "Webinar"},
        "match": {"field": "Email_Opt_Out", "values": ["false"]},
    });
    let (job, calls) = driven(&world, &request).await;
    assert_eq!(job["lookup"]["ids"], 1_999, "{job:#}");
    assert_eq!(calls, [2, 0, 4]);
    assert_eq!(job["counts"]["updated"], 1_995);
}

#[tokio::test]
async fn missing_lookup_scope_is_named_and_sends_nothing() {
    let world = Harness::new().start().await;
    let scopes = json!({"scopes": "ZohoCRM.mass_update.UPDATE"});
    world.faults(&scopes).await;
    for (value, scope) in [
        ("lead1@example.com", "ZohoCRM.coql.READ"),
        ("o'brien@example.com", "ZohoSearch.securesearch.READ"),
    ] {
        let (job, calls) = driven(&world, &by_mail(&[value], json!({}))).await;
        assert_eq!(job["status"], "failed", "{job:#}");
        assert_eq!(job["error"]["code"], "OAUTH_SCOPE_MISMATCH");
        let advice = text(&job["error"]["advice"]);
        assert!(
            advice.contains(scope) && advice.contains("ZohoCRM.modules.leads.READ"),
            "{advice}"
        );
        assert_eq!((calls[0] + calls[1], calls[2]), (1, 0));
    }
}

#[tokio::test]
async fn failed_lookup_is_retried() {
    let world = Harness::new().start().await;
    // More failures than one turn retries.
    let trouble = json!({"next": [{"kind": "coql", "status": 500, "times": 5}]});
    world.faults(&trouble).await;
    let (job, calls) = driven(&world, &by_mail(&["lead1@example.com"], json!({}))).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(calls, [6, 0, 1]);
}

#[tokio::test]
async fn match_works_without_converted_field() {
    let world = Harness::new().start().await;
    world.faults(&json!({"coql_converted": false})).await;
    let (job, calls) = driven(&world, &by_mail(&["lead1@example.com"], json!({}))).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(calls, [2, 0, 1]);
    let requests = world.requests().await;
    let requests = requests.as_array().expect("requests").iter();
    let queries: Vec<bool> = requests
        .filter(|request| request["kind"] == "coql")
        .map(|request| request["body"].to_string().contains("Converted__s"))
        .collect();
    assert_eq!(queries, [true, false]);
    // The converted lead is found now, and Zoho refuses its update.
    let converted = by_mail(&["lead2000@example.com"], json!({}));
    let (job, _) = driven(&world, &converted).await;
    assert_eq!(job["failures"][0]["code"], "CONVERTED_RECORD", "{job:#}");
}

#[tokio::test]
async fn unknown_match_field_returns_zoho_error() {
    let world = Harness::new().start().await;
    let mut request = by_mail(&["x"], json!({}));
    request["match"]["field"] = json!("Nothing");
    let (job, calls) = driven(&world, &request).await;
    assert_eq!(job["error"]["code"], "INVALID_QUERY", "{job:#}");
    assert_eq!(calls, [1, 0, 0]);
}

//! Operations on many dead letters.

use super::*;

#[tokio::test]
async fn bulk_discard_needs_the_expected_count() {
    let operator = Operator::start().await;
    for number in 0..3 {
        operator.deliver(&unmappable(&format!("e{number}"))).await;
    }
    let request = |expected: u64| json!({"filter": {"route": "form"}, "expected": expected});
    let refused = operator.post("/deliveries/discard", &request(2)).await;
    refused.assert_problem(409, "count_differs");
    assert_eq!(refused.body["errors"][0]["found"], 3);
    assert_eq!(operator.deliveries("?outcome=dead_letter").await.len(), 3);
    for (body, parameter) in [
        (json!({"filter": {}}), "expected"),
        (json!({"expected": 3}), "filter"),
        (json!({"filter": {"rout": "form"}, "expected": 3}), "rout"),
        (
            json!({"filter": {"outcome": "accepted"}, "expected": 3}),
            "outcome",
        ),
        (json!({"filter": {}, "expected": 3, "force": true}), "force"),
    ] {
        let answer = operator.post("/deliveries/discard", &body).await;
        answer.assert_problem(400, "invalid_parameter");
        assert_eq!(answer.body["errors"][0]["parameter"], parameter);
    }
    // They still cannot be mapped, so a replay changes nothing.
    let replayed = operator.post("/deliveries/replay", &request(3)).await;
    assert_eq!(
        replayed.body["results"][0]["outcome"], "failed",
        "{replayed:?}"
    );
    let done = operator.post("/deliveries/discard", &request(3)).await;
    assert_eq!(done.status, 200, "{done:?}");
    let results = done.body["results"].as_array().expect("results");
    assert!(
        results.iter().all(|item| item["outcome"] == "discarded"),
        "{results:?}"
    );
    assert_eq!(results.len(), 3);
    assert_eq!(operator.deliveries("?outcome=dead_letter").await.len(), 0);
    // The log still shows them.
    assert_eq!(operator.deliveries("?outcome=refused").await.len(), 3);
    let again = operator.post("/deliveries/discard", &request(0)).await;
    assert_eq!(again.body, json!({"results": [], "remaining": 0}));
    let id = text(&operator.deliveries("").await[0]["id"]);
    operator
        .post(&format!("/deliveries/{id}/replay"), &json!({}))
        .await
        .assert_problem(409, "not_possible");
    operator
        .post("/deliveries/dlv_00000000/discard", &json!({}))
        .await
        .assert_problem(404, "no_such_delivery");
}

#[tokio::test]
async fn bulk_replay_skips_what_was_replayed() {
    let operator = Operator::start().await;
    let failed = operator.failed_job().await;
    let listed = operator.get("/jobs?status=failed").await.body["jobs"].clone();
    assert_eq!(listed[0]["id"], json!(failed));
    assert_eq!(listed[0]["counts"]["failed"], 1);
    assert!(
        listed[0]["code"].is_string() && listed[0]["reason"].is_string(),
        "{listed}"
    );
    let code = text(&listed[0]["code"]);
    for (query, count) in [
        (format!("?code={code}"), 1),
        ("?code=OTHER".to_owned(), 0),
        ("?status=succeeded".to_owned(), 0),
        ("?route=/jobs&connection=default".to_owned(), 1),
        (format!("?q={}", &failed[4..20]), 1),
    ] {
        let page = operator.get(&format!("/jobs{query}")).await;
        assert_eq!(
            page.body["jobs"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }
    let request = json!({"filter": {"status": "failed"}, "expected": 1});
    let done = operator.post("/jobs/replay", &request).await.body;
    assert_eq!(done["results"][0]["outcome"], "replayed", "{done}");
    assert!(done["results"][0]["job"].is_string());
    let again = operator.post("/jobs/replay", &request).await.body;
    assert_eq!(again["results"][0]["outcome"], "skipped", "{again}");
    let one = operator
        .post(&format!("/jobs/{failed}/replay"), &json!({}))
        .await;
    one.assert_problem(409, "not_possible");
    operator
        .post(&format!("/jobs/{failed}/redeliver"), &json!({}))
        .await
        .assert_problem(409, "not_possible");
    operator
        .post("/jobs/job_00000000/replay", &json!({}))
        .await
        .assert_problem(404, "no_such_job");
    let shown = operator.get(&format!("/jobs/{}", &failed[..12])).await;
    assert_eq!(shown.body["id"], json!(failed));
}

#[tokio::test]
async fn bulk_replay_counts_each_new_job_once() {
    let operator = Operator::start().await;
    let failed = operator.failed_job().await;
    let replayed = operator
        .post(&format!("/jobs/{failed}/replay"), &json!({}))
        .await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    operator.app.run_turn(&[], None).await.expect("a turn");
    let listed = operator.get("/jobs?status=failed").await;
    assert_eq!(listed.body["jobs"].as_array().map(Vec::len), Some(2));
    // The job and its failed replay lead to the same new job.
    let request = json!({"filter": {"status": "failed"}, "expected": 2});
    let done = operator.post("/jobs/replay", &request).await.body;
    let mut outcomes = [0, 1].map(|place| text(&done["results"][place]["outcome"]));
    outcomes.sort();
    assert_eq!(outcomes, ["replayed", "skipped"], "{done}");
    let all = operator.get("/jobs").await;
    assert_eq!(all.body["jobs"].as_array().map(Vec::len), Some(3));
}

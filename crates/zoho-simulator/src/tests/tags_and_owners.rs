//! `add_tags`, `remove_tags`, `change_owner` and `mass_change_owner`.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

const ALAN: &str = "5725767000000411002";
const INACTIVE: &str = "5725767000000411003";

async fn act(bench: &TestBench, action: &str, body: Value) -> TestResponse {
    let path = format!("/crm/v7/Leads/actions/{action}");
    bench.post(&path, &body).await
}

#[tokio::test]
async fn tags_are_added_once_and_removed() {
    let bench = TestBench::new().await;
    let other = bench.record_id("Leads", 5);
    let names =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    let body =
        json!({"tags": names(&["Webinar", "Hot"]), "ids": [LEAD, other], "over_write": false});
    for _ in 0..2 {
        let answer = act(&bench, "add_tags", body.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json["success_count"], "2");
        assert_eq!(
            answer.json["data"][0]["details"]["tags"],
            json!(["Webinar", "Hot"])
        );
        assert_eq!(answer.first().2, "tags updated successfully");
    }
    let body = json!({"tags": names(&["Hot", "Never"]), "ids": [LEAD]});
    let answer = act(&bench, "remove_tags", body).await;
    assert_eq!(
        answer.json["data"][0]["details"]["tags"],
        json!(["Webinar"])
    );
    let record = bench.record("Leads", LEAD).await;
    assert_eq!(record["Tag"][0]["name"], "Webinar");
    assert_eq!(bench.record("Leads", &other).await["Tag"][1]["name"], "Hot");
    let shown = bench.get(&format!("/crm/v7/Leads/{LEAD}?fields=Tag")).await;
    assert_eq!(shown.json["data"][0]["Tag"][0]["name"], "Webinar");
}

#[tokio::test]
async fn invalid_tag_is_refused_under_tags() {
    let bench = TestBench::new().await;
    for (name, code) in [
        ("x".repeat(26), "INVALID_DATA"),
        ("a,b".to_owned(), "PATTERN_NOT_MATCHED"),
    ] {
        let body = json!({"tags": [{"name": "Good"}, {"name": name}], "ids": [LEAD]});
        let answer = act(&bench, "add_tags", body).await;
        assert_eq!(
            (answer.status, &answer.json["tags"][0]["code"]),
            (400, &json!(code))
        );
    }
    assert_eq!(bench.record("Leads", LEAD).await["Tag"], json!([]));
    let ids: Vec<String> = (0..501)
        .map(|index| bench.record_id("Leads", index))
        .collect();
    let body = json!({"tags": [{"name": "Good"}], "ids": ids});
    assert_eq!(
        act(&bench, "add_tags", body).await.code(),
        (400, "INVALID_DATA")
    );
    let locked = bench.world()["modules"]["Leads"]["conditions"]["locked"].clone();
    let body = json!({"tags": [{"name": "Good"}], "ids": [LEAD, locked]});
    let answer = act(&bench, "add_tags", body).await;
    assert_eq!(
        (answer.status, &answer.json["locked_count"]),
        (207, &json!("1"))
    );
    assert_eq!(answer.json["data"][1]["code"], "RECORD_LOCKED");
}

#[tokio::test]
async fn owner_must_be_an_active_user() {
    let bench = TestBench::new().await;
    let change = |id: &str| json!({"ids": [LEAD], "owner": {"id": id}, "notify": false});
    for (id, status) in [
        (INACTIVE, "inactive"),
        ("5725767000000411004", "deleted"),
        ("123", "not_crm_user"),
    ] {
        let answer = act(&bench, "change_owner", change(id)).await;
        assert_eq!(answer.first().1, "INVALID_DATA", "{answer:?}");
        assert_eq!(answer.json["data"][0]["details"]["owner_status"], status);
    }
    let answer = act(&bench, "change_owner", change(ALAN)).await;
    assert_eq!(
        answer.first(),
        (200, "SUCCESS", "owner is successfully updated")
    );
    assert_eq!(bench.record("Leads", LEAD).await["Owner"]["id"], ALAN);
    // An owner that takes the record out of reach.
    bench.faults(json!({"owner_takes_access": true})).await;
    let answer = act(
        &bench,
        "add_tags",
        json!({"tags": [{"name": "a"}], "ids": [LEAD]}),
    )
    .await;
    assert_eq!(answer.first().1, "CANNOT_PERFORM_ACTION");
    let users = bench
        .get("/crm/v7/users?type=AllUsers&page=1&per_page=2")
        .await;
    assert_eq!(users.json["users"][1]["email"], "alan.sales@example.com");
    assert_eq!(users.json["info"]["more_records"], true);
    let inactive = bench.get("/crm/v7/users?type=DeactiveUsers").await;
    assert_eq!(inactive.json["users"][0]["status"], "inactive");
}

#[tokio::test]
async fn owners_of_a_view_change_in_a_job() {
    let bench = TestBench::new().await;
    let body = json!({"cvid": bench.view("Leads", "some"), "owner": {"id": ALAN}});
    let answer = act(&bench, "mass_change_owner", body.clone()).await;
    assert_eq!(
        answer.first(),
        (200, "SUCCESS", "change owner is successfully scheduled")
    );
    let job = answer.json["data"][0]["details"]["job_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let again = act(&bench, "mass_change_owner", body.clone()).await;
    assert_eq!(again.code().1, "ALREADY_SCHEDULED");
    bench.advance(600);
    let status = |action: &str| format!("/crm/v7/Leads/actions/{action}?job_id={job}");
    let done = bench.get(&status("mass_change_owner")).await;
    assert_eq!(done.json["data"][0]["Status"], "COMPLETED", "{done:?}");
    assert_eq!(
        bench.get(&status("mass_update")).await.status,
        404,
        "another kind of job"
    );
    bench.faults(json!({"owner_job_as_scheduled": true})).await;
    let newer = act(&bench, "mass_change_owner", body).await;
    assert_eq!((newer.status, newer.first().1), (202, "SCHEDULED"));
}

#[tokio::test]
async fn each_action_needs_its_scope() {
    let bench = TestBench::new().await;
    let tags = json!({"tags": [{"name": "a"}], "ids": [LEAD]});
    let owner = json!({"ids": [LEAD], "owner": {"id": ALAN}});
    for (scopes, tag_status, owner_status) in [
        ("ZohoCRM.modules.leads.WRITE", 200, 401),
        ("ZohoCRM.modules.ALL", 200, 401),
        ("ZohoCRM.modules.UPDATE", 401, 401),
        ("ZohoCRM.change_owner.CREATE", 401, 200),
        ("ZohoCRM.change_owner.READ", 401, 401),
    ] {
        bench.faults(json!({"scopes": scopes})).await;
        assert_eq!(
            act(&bench, "add_tags", tags.clone()).await.status,
            tag_status,
            "{scopes}"
        );
        assert_eq!(
            act(&bench, "change_owner", owner.clone()).await.status,
            owner_status,
            "{scopes}"
        );
    }
}

//! Changes of tags and owners, alone and as further steps of a job.

use serde_json::{Value, json};

use crate::harness::{Harness, World};

/// An active user, by id and by e-mail address.
const ALAN: &str = "5725767000000411002";
const ALAN_EMAIL: &str = "Alan.Sales@example.com";

/// An inactive user.
const INES: &str = "5725767000000411003";
const INES_EMAIL: &str = "ines.former@example.com";

async fn run(world: &World, request: &Value) -> Value {
    world.post_job("", request, &[]).await.job().clone()
}

/// The paths of all changes that were sent to Zoho, each without what all have in common.
async fn changes(world: &World) -> Vec<String> {
    let requests = world.requests().await;
    let requests = requests.as_array().expect("a list").iter();
    let paths = requests.filter_map(|request| {
        let path = request["path"].as_str()?;
        let is_change = request["method"] == "POST" && path.contains("/actions/");
        is_change.then(|| path.rsplit('/').next().unwrap_or_default().to_owned())
    });
    paths.collect()
}

fn tags(record: &Value) -> Vec<&str> {
    let tags = record["Tag"].as_array().expect("tags").iter();
    tags.filter_map(|tag| tag["name"].as_str()).collect()
}

fn counts(total: u64, updated: u64) -> Value {
    json!({"total": total, "updated": updated, "failed": total - updated, "pending": 0})
}

#[tokio::test]
async fn steps_run_in_order_with_their_own_outcomes() {
    let world = Harness::new().start().await;
    let (clean, locked) = (
        world.lead(3),
        world.zoho()["modules"]["Leads"]["conditions"]["locked"].clone(),
    );
    let setup = json!({"module": "Leads", "tags": {"add": ["Cold", "Kept"]}, "ids": [clean]});
    assert_eq!(run(&world, &setup).await["status"], "succeeded");
    // The owner changes last, or the other steps would fail.
    world.faults(&json!({"owner_takes_access": true})).await;
    let request = json!({
        "module": "Leads",
        "owner": {"id": ALAN},
        "tags": {"remove": ["Cold"], "add": ["Webinar", "Hot", "Webinar"]},
        "fields": {"Lead_Source": "Webinar"},
        "ids": [clean, locked],
    });
    let job = run(&world, &request).await;
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    assert_eq!(job["counts"], counts(2, 1));
    let steps = job["steps"].as_array().expect("steps");
    let names: Vec<&Value> = steps.iter().map(|step| &step["step"]).collect();
    assert_eq!(names, ["fields", "add_tags", "remove_tags", "owner"]);
    for step in steps {
        assert_eq!(step["status"], "partially_succeeded", "{step}");
        assert_eq!(step["counts"], counts(2, 1));
    }
    let failures = job["failures"].as_array().expect("failures");
    let failed: Vec<&Value> = failures.iter().map(|failure| &failure["step"]).collect();
    assert_eq!(failed, ["fields", "add_tags", "remove_tags", "owner"]);
    assert!(failures.iter().all(|failure| failure["id"] == locked));
    assert_eq!(job["calls"][1]["tags"], json!(["Webinar", "Hot"]));
    assert_eq!(job["calls"][3]["owner"], ALAN);
    assert_eq!(
        changes(&world).await[1..],
        ["mass_update", "add_tags", "remove_tags", "change_owner"]
    );
    let record = world.record("Leads", &clean).await;
    assert_eq!(record["Lead_Source"], "Webinar");
    assert_eq!(tags(&record), ["Kept", "Webinar", "Hot"]);
    assert_eq!(record["Owner"]["id"], ALAN);
}

#[tokio::test]
async fn failed_step_does_not_hide_the_others() {
    let world = Harness::new().start().await;
    let scopes = "ZohoCRM.mass_update.UPDATE ZohoCRM.change_owner.CREATE";
    world.faults(&json!({"scopes": scopes})).await;
    let request = json!({
        "module": "Leads", "ids": [world.lead(1), world.lead(2)],
        "fields": {"Lead_Source": "Webinar"}, "tags": {"add": ["Webinar"]}, "owner": {"id": ALAN},
    });
    let job = run(&world, &request).await;
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    assert_eq!(job["counts"], counts(2, 0), "no record has every step");
    let steps = &job["steps"];
    for (place, status, updated) in [(0, "succeeded", 2), (1, "failed", 0), (2, "succeeded", 2)] {
        assert_eq!(steps[place]["status"], status, "{job:#}");
        assert_eq!(steps[place]["counts"], counts(2, updated));
    }
    assert_eq!(steps[1]["error"]["code"], "OAUTH_SCOPE_MISMATCH");
    assert_eq!(steps[0].get("error"), None);
    let record = world.record("Leads", &world.lead(2)).await;
    assert_eq!(
        (&record["Lead_Source"], tags(&record)),
        (&json!("Webinar"), vec![])
    );
    assert_eq!(record["Owner"]["id"], ALAN);
}

#[tokio::test]
async fn job_with_fields_alone_has_no_steps() {
    let world = Harness::new().start().await;
    let request = json!({"module": "Leads", "ids": [world.lead(1), "5725767000999999999"], "fields": {"Lead_Source": "Webinar"}});
    let job = run(&world, &request).await;
    assert_eq!(job.get("steps"), None);
    let call: Vec<&String> = job["calls"][0]
        .as_object()
        .expect("a call")
        .keys()
        .collect();
    assert_eq!(
        call,
        [
            "seq",
            "kind",
            "fields",
            "records",
            "zoho_job_id",
            "status",
            "attempts"
        ]
    );
    let failure: Vec<&String> = job["failures"][0]
        .as_object()
        .expect("a failure")
        .keys()
        .collect();
    assert_eq!(failure, ["id", "code", "message", "advice"]);
}

#[tokio::test]
async fn equal_changes_of_jobs_share_calls() {
    let world = Harness::new().start().await;
    let updates: Vec<Value> = (0..90)
        .map(|place| {
            let ids = [world.id("Leads", place)];
            match place % 3 {
                0 => json!({"module": "Leads", "tags": {"add": ["Webinar", "Hot"]}, "ids": ids}),
                1 => json!({"module": "Leads", "tags": {"add": ["Hot", "Webinar"]}, "ids": ids}),
                _ => json!({"module": "Leads", "owner": {"id": ALAN, "notify": true}, "ids": ids}),
            }
        })
        .collect();
    let answer = world
        .deliver(&json!({"kind": "form", "event": "e1", "updates": updates}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (
            world.count("add_tags").await,
            world.count("change_owner").await
        ),
        (1, 1)
    );
    assert_eq!(
        world.receiver.all().len(),
        90,
        "each job has its own callback"
    );
    // One job of 1,100 records takes three calls.
    let ids: Vec<String> = (0..1_100).map(|place| world.id("Leads", place)).collect();
    let request = json!({"module": "Leads", "tags": {"remove": ["Hot"]}, "ids": ids});
    let job = run(&world, &request).await;
    assert_eq!(job["counts"], counts(1_100, 1_100), "{job:#}");
    assert_eq!(world.count("remove_tags").await, 3);
}

#[tokio::test]
async fn owner_of_a_view_changes_in_a_zoho_job() {
    let world = Harness::new().start().await;
    let view = world.zoho()["views"]["Leads"]["some"].clone();
    let records = view["records"].as_u64().expect("a number");
    for newer in [false, true] {
        world
            .faults(&json!({"owner_job_as_scheduled": newer}))
            .await;
        let request = json!({"module": "Leads", "cvid": view["id"], "owner": {"id": ALAN}});
        let job = run(&world, &request).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!(job["counts"], counts(records, records));
        assert_eq!(job["calls"][0]["kind"], "mass_change_owner");
        assert!(job["calls"][0]["zoho_job_id"].is_string());
    }
    assert!(world.count("mass_change_owner_get").await >= 2);
    assert_eq!(world.count("mass_update_get").await, 0);
    // Two Zoho jobs on one view run one after the other.
    let request = json!({
        "module": "Leads", "view": "Hot Webinar Leads",
        "fields": {"Industry": "Education"}, "owner": {"email": ALAN_EMAIL},
    });
    let job = run(&world, &request).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(
        changes(&world).await[2..],
        ["mass_update", "mass_change_owner"]
    );
    let steps = [&job["steps"][0]["step"], &job["steps"][1]["step"]];
    assert_eq!(steps, ["fields", "owner"]);
}

/// A step may take records out of the view before the next one sees them.
#[tokio::test]
async fn view_that_shrinks_between_steps_is_reported() {
    let world = Harness::new().start().await;
    let view = world.zoho()["views"]["Leads"]["some"].clone();
    let records = view["records"].as_u64().expect("a number");
    let request = |fields: Value| json!({"module": "Leads", "cvid": view["id"], "fields": fields, "owner": {"id": ALAN}});
    // Five records are left when the owner changes. The others are no failures.
    let left = json!({"Status": "COMPLETED", "Failed_Count": 0, "Updated_Count": 5, "Not_Updated_Count": 0, "Total_Count": 5});
    let answer = json!({"kind": "mass_change_owner_get", "status": 200, "body": {"data": [left]}});
    world.faults(&json!({"next": [answer]})).await;
    let job = run(&world, &request(json!({"City": "Bonn"}))).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["counts"], counts(records, records));
    let steps = job["steps"].as_array().expect("steps").iter();
    let steps: Vec<&Value> = steps.map(|step| &step["counts"]).collect();
    assert_eq!(steps, [&counts(records, records), &counts(5, 5)]);
    // The job itself takes all of them out of the view, so none of them gets the owner.
    let request = request(json!({"Rating": "Acquired"}));
    let preview = world.post_job("?dry_run=true", &request, &[]).await;
    let warning =
        "that of the owner last: if a field takes records out of the view, they keep their owner";
    assert!(preview.body.to_string().contains(warning), "{preview:?}");
    let job = run(&world, &request).await;
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    assert_eq!(job["counts"], counts(records, 0));
    let steps = job["steps"].as_array().expect("steps").iter();
    let steps: Vec<&Value> = steps.map(|step| &step["counts"]).collect();
    assert_eq!(steps, [&counts(records, records), &counts(records, 0)]);
    let error = &job["steps"][1]["error"];
    assert_eq!(error["code"], "NO_RECORDS_FOUND", "{job:#}");
    for (key, said) in [
        (
            "message",
            "the calls of this job before have changed the records",
        ),
        (
            "advice",
            "a view that does not ask for a field that the job sets",
        ),
    ] {
        assert!(error[key].to_string().contains(said), "{error:#}");
    }
}

#[tokio::test]
async fn owner_is_found_by_email_once() {
    let world = Harness::new().start().await;
    for place in 0..3 {
        let request =
            json!({"module": "Leads", "ids": [world.lead(place)], "owner": {"email": ALAN_EMAIL}});
        assert_eq!(run(&world, &request).await["status"], "succeeded");
    }
    assert_eq!(world.count("users").await, 1);
    assert_eq!(
        world.record("Leads", &world.lead(2)).await["Owner"]["id"],
        ALAN
    );
    for (owner, code, said) in [
        (
            json!({"email": "alan.sale@example.com"}),
            "OWNER_UNKNOWN",
            "did you mean `alan.sales@example.com`?",
        ),
        (json!({"email": INES_EMAIL}), "OWNER_INACTIVE", "not active"),
        (json!({"id": INES}), "INVALID_DATA", "owner status inactive"),
        (
            json!({"id": "12345"}),
            "INVALID_DATA",
            "owner status not_crm_user",
        ),
    ] {
        let request =
            json!({"module": "Leads", "ids": [world.lead(1), world.lead(4)], "owner": owner});
        let job = run(&world, &request).await;
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("failed"), &json!(code)),
            "{job:#}"
        );
        assert!(
            job["error"]["message"].to_string().contains(said),
            "{job:#}"
        );
        let advice = job["error"]["advice"].as_str().expect("advice");
        assert!(
            advice.contains("user") && advice.contains("Users and Control"),
            "{advice}"
        );
        assert_eq!(job["counts"], counts(2, 0));
    }
    world.faults(&json!({"may_change_owner": false})).await;
    let request = json!({"module": "Leads", "ids": [world.lead(1)], "owner": {"id": ALAN}});
    assert_eq!(
        run(&world, &request).await["error"]["code"],
        "CANNOT_ASSIGN"
    );
}

#[tokio::test]
async fn tag_that_zoho_refuses_has_advice() {
    let world = Harness::new().start().await;
    world.faults(&json!({"refused_tag_characters": "!"})).await;
    let request = json!({"module": "Leads", "ids": [world.lead(1), world.lead(2)], "tags": {"add": ["Hot!"]}});
    let job = run(&world, &request).await;
    assert_eq!(job["error"]["code"], "PATTERN_NOT_MATCHED", "{job:#}");
    assert!(
        job["error"]["advice"].to_string().contains("`tags`"),
        "{job:#}"
    );
}

#[tokio::test]
async fn matched_records_get_tags() {
    let world = Harness::new().start().await;
    let request = json!({
        "module": "Leads", "tags": {"add": ["Webinar"]}, "owner": {"email": ALAN_EMAIL},
        "match": {"field": "Email", "values": ["lead7@example.com", "nobody@example.com"]},
    });
    let job = run(&world, &request).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["counts"], counts(1, 1));
    let record = world.record("Leads", &world.id("Leads", 6)).await;
    assert_eq!(
        (tags(&record), &record["Owner"]["id"]),
        (vec!["Webinar"], &json!(ALAN))
    );
}

#[tokio::test]
async fn invalid_tags_and_owners_are_refused() {
    let world = Harness::new().start().await;
    let long = "x".repeat(26);
    for (change, at, said) in [
        (
            json!({"tags": {"add": [long]}}),
            "/tags/add/0",
            "26 characters",
        ),
        (json!({"tags": {"add": [""]}}), "/tags/add/0", "is empty"),
        (json!({"tags": {"add": ["a,b"]}}), "/tags/add/0", "comma"),
        (
            json!({"tags": {"add": ["a\nb"]}}),
            "/tags/add/0",
            "control character",
        ),
        (
            json!({"tags": {"add": ["a"], "remove": ["a"]}}),
            "/tags",
            "adds and removes",
        ),
        (json!({"tags": {"add": "a"}}), "/tags/add", "must be a list"),
        (json!({"tags": {"set": ["a"]}}), "/tags/set", "unknown key"),
        (json!({"tags": {"add": []}}), "", "changes nothing"),
        (json!({}), "", "changes nothing"),
        (
            json!({"tags": {"add": ["a"]}, "over_write": true}),
            "/over_write",
            "only with `fields`",
        ),
        (
            json!({"owner": {}}),
            "/owner",
            "needs either the `id` or the `email`",
        ),
        (
            json!({"owner": {"id": "1", "email": "a@b.de"}}),
            "/owner",
            "needs either",
        ),
        (
            json!({"owner": {"id": "zero"}}),
            "/owner/id",
            "is not an id",
        ),
        (
            json!({"owner": {"email": "nobody"}}),
            "/owner/email",
            "is not an e-mail address",
        ),
        (
            json!({"owner": {"id": "1", "notify": "yes"}}),
            "/owner/notify",
            "must be true or false",
        ),
        (
            json!({"fields": {"Owner": {"id": "1"}}}),
            "/fields/Owner",
            "`owner` beside `fields`",
        ),
        (
            json!({"fields": {"Tag": ["a"]}}),
            "/fields/Tag",
            "`tags` beside `fields`",
        ),
    ] {
        let mut request = json!({"module": "Leads", "ids": ["1"]});
        let keys = change.as_object().expect("an object").clone();
        request.as_object_mut().expect("an object").extend(keys);
        let answer = world.post_job("", &request, &[]).await;
        assert_eq!(answer.status, 422, "{change}: {answer:?}");
        let reported = answer.body.to_string();
        assert!(
            reported.contains(said) && reported.contains(at),
            "{change}: {reported}"
        );
    }
    for (change, said) in [
        (
            json!({"tags": {"add": ["a"]}}),
            "no call that tags the records of a custom view",
        ),
        (
            json!({"owner": {"id": "1", "notify": true}}),
            "notifies nobody",
        ),
    ] {
        let mut request = json!({"module": "Leads", "view": "Hot"});
        let keys = change.as_object().expect("an object").clone();
        request.as_object_mut().expect("an object").extend(keys);
        let answer = world.post_job("", &request, &[]).await;
        assert_eq!(answer.status, 422, "{change}: {answer:?}");
        assert!(answer.body.to_string().contains(said), "{answer:?}");
    }
    assert_eq!(changes(&world).await, Vec::<String>::new());
}

//! Connections to versions 7 and 8 of Zoho's API.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Harness, Request, World};

async fn world(version: &str) -> World {
    let line = format!("api_version: {version}");
    let cases = "  auto: { verify: { scheme: none }, update_by: auto, map: '.' }\n";
    Harness::new()
        .connection(&line)
        .config(|config| config.replace("guard: off", "guard: strict"))
        .routes(cases)
        .simulator(|settings| settings.job_duration = Duration::ZERO)
        .start()
        .await
}

/// The versions in the paths of all requests to the CRM.
async fn versions(world: &World) -> Vec<String> {
    let requests = world.requests().await;
    let paths = requests.as_array().expect("requests").iter();
    let paths = paths.filter_map(|request| request["path"].as_str());
    let mut versions: Vec<String> = paths
        .filter_map(|path| path.strip_prefix("/crm/")?.split('/').next())
        .map(str::to_owned)
        .collect();
    versions.sort();
    versions.dedup();
    versions
}

#[tokio::test]
async fn connection_uses_one_version_for_all_calls() {
    for version in ["v7", "v8"] {
        let world = world(version).await;
        let view = world.zoho()["views"]["Leads"]["some"]["id"].clone();
        let by_mail = json!({"field": "Email", "values": ["lead1@example.com"]});
        let by_company = json!({"field": "Company", "values": ["A (B)"], "on_none": "succeed"});
        let mixed = json!([world.lead(1), "1"]);
        for (selector, expected) in [
            (json!({"ids": mixed}), "partially_succeeded"),
            (json!({"cvid": view}), "succeeded"),
            (json!({"match": by_mail}), "succeeded"),
            (json!({"match": by_company}), "succeeded"),
        ] {
            let mut body = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}});
            let more = selector.as_object().cloned().expect("an object");
            body.as_object_mut().expect("an object").extend(more);
            let answer = world.post_job("", &body, &[]).await;
            let job = answer.job();
            assert_eq!(job["status"], expected, "{version}: {job:#}");
        }
        assert_eq!(versions(&world).await, [version]);
    }
}

#[tokio::test]
async fn modules_of_v8_are_mass_updated() {
    let world = world("v8").await;
    for (module, fields) in [
        ("Cases", json!({"Priority": "Low"})),
        ("Events", json!({"Venue": "Bonn"})),
        ("Tasks", json!({"Priority": "Low"})),
        ("Calls", json!({"Call_Type": "Inbound"})),
    ] {
        let body = json!({"module": module, "fields": fields, "ids": [world.id(module, 0)]});
        let answer = world.post_job("", &body, &[]).await;
        assert_eq!(answer.job()["status"], "succeeded", "{answer:?}");
    }
    assert_eq!(world.count("mass_update_post").await, 4);
    let requests = world.requests().await;
    let mass_updates = requests.as_array().expect("requests").iter();
    let mut bodies = mass_updates.filter(|request| request["kind"] == "mass_update_post");
    // The specification of v8 does not list `over_write`.
    assert!(bodies.all(|request| request["body"]["over_write"].is_null()));
}

#[tokio::test]
async fn cases_on_v7_need_record_updates() {
    let world = world("v7").await;
    let case = world.id("Cases", 0);
    let body = json!({"module": "Cases", "fields": {"Priority": "Low"}, "ids": [case]});
    let answer = world.post_job("", &body, &[]).await;
    let error = &answer.job()["error"];
    assert_eq!(error["code"], "NOT_SUPPORTED", "{answer:?}");
    let text = error.to_string();
    assert!(text.contains("`api_version: v8`"), "{text}");
    assert_eq!(world.count("mass_update_post").await, 0);

    let answer = world
        .send(Request::json("/hooks/auto", body.to_string()))
        .await;
    let job = &answer.body["jobs"][0];
    assert_eq!(job["status"], "succeeded", "{answer:?}");
    let notes = job["notes"].to_string();
    assert!(
        notes.contains("v7 has no mass updates of `Cases`"),
        "{job:#}"
    );
    assert_eq!(world.count("records_put").await, 1);
    assert_eq!(world.record("Cases", &case).await["Priority"], "Low");
}

#[tokio::test]
async fn plan_shows_path_of_the_version() {
    let world = world("v8").await;
    let body = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": ["1"]});
    let answer = world.post_job("?dry_run=true", &body, &[]).await;
    assert_eq!(
        answer.body["plan"]["calls"][0]["path"],
        "/crm/v8/Leads/actions/mass_update"
    );
}

//! Examples beside the config, and the routes of `examples/`.

use super::*;

#[tokio::test]
async fn examples_are_checked_against_org_metadata() {
    let bench = Bench::new().await;
    bench.configure("", MAP);
    let zoho = bench.world.zoho();
    let some = zoho["views"]["Leads"]["some"]["id"].clone();
    let by_view = json!({"cvid": some});
    let good = json!({"Lead_Source": "Webinar"});
    for (fields, selector, result, says) in [
        (
            json!({"Lead_Sauce": "Webinar"}),
            json!({"ids": [1]}),
            "bad",
            "`Lead_Source`",
        ),
        (
            json!({"Lead_Source": "Webbinar"}),
            json!({"ids": [1]}),
            "bad",
            "PICKLIST_VALUE_UNKNOWN",
        ),
        (
            json!({"Phone": "+4911"}),
            json!({"ids": [1]}),
            "bad",
            "FIELD_NOT_UPDATABLE",
        ),
        (
            json!({"Lead_Source": "Houston"}),
            json!({"ids": [1]}),
            "ok",
            "Houston Showroom",
        ),
        (
            good.clone(),
            json!({"view": "No such view"}),
            "bad",
            "NAME_UNKNOWN",
        ),
        (
            good.clone(),
            json!({"cvid": "1"}),
            "bad",
            "no custom view 1",
        ),
        (good.clone(), by_view.clone(), "ok", "custom view"),
        (
            good.clone(),
            json!({"cvid": some, "territory": {"id": "1"}}),
            "bad",
            "no territory 1",
        ),
        (
            good.clone(),
            json!({"cvid": some, "territory": {"name": "EMEA"}}),
            "ok",
            "is `EMEA`",
        ),
        (
            good.clone(),
            json!({"match": {"field": "Email", "values": ["lead1@example.com", "nobody@example.com"]}}),
            "ok",
            "1 of 2 values by Email in the org",
        ),
        (
            good.clone(),
            json!({"match": {"field": "Email", "values": ["nobody@example.com"], "on_none": "fail"}}),
            "note",
            "MATCH_NOT_FOUND",
        ),
    ] {
        bench.write("event.json", &event(fields, selector.clone()));
        let (status, document) = bench.live().await;
        let (found, said) = found(&document, "route form");
        assert!(
            found == result && said.contains(says),
            "{selector}: {found} {said}"
        );
        assert_eq!(status, Some(i32::from(result == "bad")), "{document:#}");
    }
    // An unknown module, and an edition without custom views.
    let mut leeds = event(good.clone(), json!({"ids": [1]}));
    leeds["in"] = json!("Leeds");
    bench.write("event.json", &leeds);
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1));
    for what in ["modules", "mass update", "route form"] {
        assert_eq!(found(&document, what).0, "bad", "{document:#}");
    }
    bench
        .world
        .faults(&json!({"edition": "professional"}))
        .await;
    bench.write("event.json", &event(good, by_view));
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1));
    assert!(
        found(&document, "route form").1.contains("edition"),
        "{document:#}"
    );
    assert_eq!(bench.world.count("mass_update_post").await, 0);
}

#[tokio::test]
async fn examples_are_compared_with_expected_json() {
    let bench = Bench::new().await;
    bench.configure("", MAP);
    let asked = event(json!({"City": "Bonn"}), json!({"ids": [1]}));
    let wanted = json!([{"module": "Leads", "fields": {"City": "Bonn"}, "ids": ["1"]}]);
    bench.write("examples/one/event.json", &asked);
    bench.write("examples/one/expected.json", &wanted);
    bench.write("examples/form/event.json", &asked);
    bench.write(
        "other/event.json",
        &json!({"fields": {}, "selector": {"ids": [0.5]}}),
    );
    // Examples are found beside the config and by name; offline, without requests.
    let (status, document) = bench.check(&[]).await;
    assert_eq!(status, Some(0), "{document:#}");
    let one = row(&document["examples"], "one/event.json");
    assert_eq!(
        one,
        (
            "ok",
            "1 update request of route form, matching expected.json"
        )
    );
    assert_eq!(row(&document["examples"], "form/event.json").0, "ok");
    bench.write(
        "examples/one/expected.json",
        &json!([{"module": "Leads", "fields": {"City": "Köln"}, "ids": ["1"]}]),
    );
    let (status, document) = bench.check(&[]).await;
    assert_eq!(status, Some(1));
    let (result, said) = row(&document["examples"], "one/event.json");
    assert!(
        result == "bad" && said.contains("/0/fields/City is \"Bonn\", expected \"Köln\""),
        "{said}"
    );
    // An event that cannot be mapped, and files that do not exist.
    let (status, document) = bench
        .check(&["--event", "other/event.json", "--examples", "examples/form"])
        .await;
    assert_eq!(status, Some(1));
    assert_eq!(
        document["examples"].as_array().map(Vec::len),
        Some(2),
        "{document:#}"
    );
    let (result, said) = row(&document["examples"], "other/event.json");
    assert!(
        result == "bad" && said.contains("/ids/0") && said.contains("/fields"),
        "{said}"
    );
    bench.write("empty/other.json", &json!({}));
    for arguments in [
        ["--event", "nowhere.json"],
        ["--examples", "nowhere"],
        ["--examples", "empty"],
    ] {
        assert_eq!(bench.check(&arguments).await.0, Some(2), "{arguments:?}");
    }
    assert_eq!(bench.world.count("token").await, 0);
}

#[tokio::test]
async fn bare_body_of_several_routes_names_its_folder() {
    let bench = Bench::new().await;
    bench.configure("", MAP);
    let config =
        std::fs::read_to_string(bench.folder.path().join("masshook.yaml")).expect("a config");
    let second = format!("{config}\n  second: {{ verify: {{ scheme: none }}, map: '.' }}\n");
    std::fs::write(bench.folder.path().join("masshook.yaml"), second).expect("written");
    bench.write("event.json", &json!({"some": "body"}));
    let (code, document) = bench.check(&["--skip-secrets"]).await;
    assert_eq!(code, Some(1), "{document:#}");
    let message = document["examples"].to_string();
    assert!(
        message.contains("move it and its expected.json to examples/ROUTE/"),
        "{message}"
    );
    assert!(!message.contains("--route"), "{message}");
}

#[test]
fn every_example_route_passes_check() {
    let folder = repo_path("examples/routes");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let config = entry.expect("an entry").path().join("masshook.yaml");
        let said = text_of(&config);
        assert!(said.contains(", matching expected.json"), "{said}");
        assert!(
            said.trim_end()
                .ends_with("ok: 1 route, 1 example, 1 connection"),
            "{said}"
        );
        seen += 1;
    }
    assert!(seen >= 10);
}

/// Returns the command's output without `--json`.
fn text_of(config: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    let output = command
        .args(["check", "--skip-secrets", "--config"])
        .arg(config)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[tokio::test]
async fn retired_module_is_noted() {
    let bench = Bench::new().await;
    bench.configure("guard: off", MAP);
    let mut event = event(json!({"Status": "Completed"}), json!({"ids": [1]}));
    event["in"] = json!("Activities");
    bench.write("event.json", &event);
    let (status, document) = bench.check(&[]).await;
    assert_eq!(status, Some(0), "{document:#}");
    assert!(
        document
            .to_string()
            .contains("name `Tasks`, `Calls` or `Events`"),
        "{document:#}"
    );
}

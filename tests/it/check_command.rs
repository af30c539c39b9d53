//! `masshook check`: a config, the examples beside it, and a simulated Zoho.

mod examples;
mod secrets;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Harness, World, repo_path};

/// A config in a folder, and a simulated Zoho on system time, as the command is.
struct Bench {
    world: World,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let bench = Self {
            world: Harness::new().zoho_on_system_time().start().await,
            folder: tempfile::tempdir().expect("a folder"),
        };
        bench.write("zoho.json", &bench.credentials());
        // Each run of the command requests a token.
        bench.world.faults(&json!({"mints_per_window": 100})).await;
        bench
    }

    fn credentials(&self) -> Value {
        self.world.simulator.announcement()["credentials"].clone()
    }

    fn write(&self, name: &str, content: &Value) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, content.to_string()).expect("written");
    }

    /// Writes the config: further lines of the connection, and the `map` of the route `form`.
    fn configure(&self, connection: &str, map: &str) {
        let zoho = self.world.simulator.url();
        let secret = self.folder.path().join("zoho.json");
        let secret = secret.display();
        let text = format!(
            "connections:\n  default:\n    credentials: file:{secret}\n    accounts_url: {zoho}\n    api_url: {zoho}\n    {connection}\n\
             routes:\n  form:\n    verify: {{ scheme: none }}\n    map: |\n      {map}\n"
        );
        std::fs::write(self.folder.path().join("masshook.yaml"), text).expect("written");
    }

    /// Runs the command. Checks that it prints no secret.
    async fn check(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(["check", "--json", "--config"]);
        command.arg(self.folder.path().join("masshook.yaml"));
        command.args(arguments).current_dir(self.folder.path());
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
        let output = output.await.expect("run");
        let shown = [&output.stdout[..], &output.stderr[..]].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        for secret in [&self.credentials()["client_secret"], &json!("hunter2")] {
            assert!(!shown.contains(secret.as_str().expect("a text")), "{shown}");
        }
        let document = serde_json::from_slice(&output.stdout);
        let document = document.unwrap_or_else(|error| panic!("{error}: {shown}"));
        (output.status.code(), document)
    }

    async fn live(&self) -> (Option<i32>, Value) {
        self.check(&["--live"]).await
    }
}

/// Returns result and text of one check of the connection.
fn found<'a>(document: &'a Value, what: &str) -> (&'a str, &'a str) {
    row(&document["connections"]["default"], what)
}

fn row<'a>(list: &'a Value, what: &str) -> (&'a str, &'a str) {
    let rows = list.as_array().expect("a list");
    let row = rows.iter().find(|row| {
        let name = row["check"].as_str().expect("a name");
        name == what || name.ends_with(&format!("/{what}"))
    });
    let row = row.unwrap_or_else(|| panic!("no {what}: {list:#}"));
    let text = |key: &str| row[key].as_str().expect("a text");
    (text("result"), text("found"))
}

const MAP: &str = "{module: (.in // \"Leads\"), fields: .fields} + .selector";

/// Makes an event for [`MAP`].
fn event(fields: Value, selector: Value) -> Value {
    json!({"fields": fields, "selector": selector})
}

#[tokio::test]
async fn valid_connection_passes_all_checks() {
    let bench = Bench::new().await;
    bench.configure("edition: enterprise", MAP);
    bench.write(
        "event.json",
        &event(
            json!({"Lead_Source": "Webinar"}),
            json!({"view": "Some leads"}),
        ),
    );
    let views = bench.world.zoho()["views"]["Leads"].clone();
    let name = views["some"]["name"].clone();
    bench.write(
        "event.json",
        &event(json!({"Lead_Source": "Webinar"}), json!({"view": name})),
    );
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(0), "{document:#}");
    assert_eq!(document["ok"], true);
    for what in [
        "token",
        "granted",
        "needed",
        "optional",
        "mass update",
        "edition",
        "modules",
        "territories",
        "route form",
    ] {
        assert_eq!(found(&document, what).0, "ok", "{what}: {document:#}");
    }
    let price = found(&document, "mass update").1;
    assert!(price.contains("POST 1 credit, GET 1 credit"), "{price}");
    assert!(
        found(&document, "edition")
            .1
            .contains("20 concurrent calls")
    );
    let route = found(&document, "route form").1;
    let id = views["some"]["id"].as_str().expect("an id");
    assert!(
        route.contains("Leads: Lead_Source") && route.contains(id),
        "{route}"
    );
    assert_eq!(bench.world.count("token").await, 1);
    assert_eq!(
        bench.world.count("mass_update_post").await,
        0,
        "nothing is changed"
    );
}

/// A mass update has the price that the org reports, a record update the price that Zoho documents.
#[tokio::test]
async fn both_update_methods_are_priced() {
    let bench = Bench::new().await;
    bench.world.faults(&json!({"mass_update_credits": 4})).await;
    let ids: Vec<String> = (0..25).map(|n| bench.world.id("Leads", n)).collect();
    let price = async |selector: Value, fields: Value| {
        bench.write("event.json", &event(fields, selector));
        let (status, document) = bench.live().await;
        assert_eq!(status, Some(0), "{document:#}");
        let route = found(&document, "route form").1.to_owned();
        let (_, price) = route.split_once("; by ").expect("prices");
        (price.to_owned(), document)
    };
    bench.configure("", MAP);
    let set = json!({"Lead_Source": "Webinar", "City": "Bonn"});
    let (mass_update, document) = price(json!({"ids": ids}), set.clone()).await;
    assert_eq!(
        mass_update,
        "mass_update 2 calls, 8 credits; chosen: selected by `update_by` (default: mass_update); by records 1 call, 3 credits"
    );
    let rows = document["connections"]["default"].as_array();
    let rows = rows.expect("a list").iter();
    assert!(rows.clone().all(|row| row["check"] != "record updates"));

    let auto = json!({"ids": ids, "update_by": "auto"});
    let (fewer, document) = price(auto.clone(), set).await;
    assert_eq!(
        fewer,
        "mass_update 2 calls, 8 credits; by records 1 call, 3 credits; chosen: fewer calls"
    );
    let records = found(&document, "record updates").1;
    assert_eq!(
        records,
        "PUT 1 credit for 10 records, according to Zoho's documentation"
    );
    // Only the org's metadata shows that a mass update cannot set this field.
    let (only, _) = price(auto, json!({"Phone": "+1 555 0100"})).await;
    assert!(
        only.starts_with("mass_update not possible: it does not set all of the fields; by records 1 call, 3 credits; chosen: no mass update sets all of the fields"),
        "{only}"
    );
    let view = bench.world.zoho()["views"]["Leads"]["some"]["id"].clone();
    let (view, _) = price(json!({"cvid": view}), json!({"City": "Bonn"})).await;
    assert_eq!(
        view,
        "mass_update 1 call, 4 credits; chosen: nothing else updates a custom view; by records not possible: a custom view is only mass-updated"
    );
    assert_eq!(bench.world.count("records_put").await, 0);
}

#[tokio::test]
async fn missing_scope_fails_only_if_routes_need_it() {
    let bench = Bench::new().await;
    let scopes = |leave_out: &[&str]| {
        let all = [
            "ZohoCRM.mass_update.UPDATE",
            "ZohoCRM.mass_update.READ",
            "ZohoCRM.settings.fields.READ",
            "ZohoCRM.settings.custom_views.READ",
            "ZohoCRM.modules.ALL",
            "ZohoCRM.coql.READ",
            "ZohoCRM.apis.READ",
        ];
        let kept = all.iter().filter(|scope| !leave_out.contains(scope));
        json!({"scopes": kept.copied().collect::<Vec<_>>().join(" ")})
    };
    let matching = "{module: \"Leads\", fields: .fields, match: .m}";
    for (map, missing, needed) in [
        (MAP, "ZohoCRM.mass_update.UPDATE", true),
        (MAP, "ZohoCRM.mass_update.READ", true),
        (MAP, "ZohoCRM.settings.fields.READ", true),
        (matching, "ZohoCRM.coql.READ", true),
        (matching, "ZohoCRM.modules.ALL", true),
        (MAP, "ZohoCRM.coql.READ", false),
        (MAP, "ZohoCRM.settings.custom_views.READ", false),
    ] {
        bench.configure("", map);
        bench.world.faults(&scopes(&[missing])).await;
        let (status, document) = bench.live().await;
        // `/__apis` keeps answering.
        assert_eq!(found(&document, "mass update").0, "ok");
        let (row, result, code) = match needed {
            true => ("needed", "bad", Some(1)),
            false => ("optional", "note", Some(0)),
        };
        assert_eq!(status, code, "{missing}: {document:#}");
        let said = found(&document, row);
        let name = missing.replace(".ALL", ".READ");
        assert!(
            said.0 == result && said.1.contains(&name),
            "{missing}: {said:?}"
        );
    }
    // With `guard: off` the scope for fields is not needed.
    bench.configure("guard: off", MAP);
    bench
        .world
        .faults(&scopes(&["ZohoCRM.settings.fields.READ"]))
        .await;
    assert_eq!(bench.live().await.0, Some(0));
    // An example may need a scope that the program text does not show.
    bench.configure("", MAP);
    bench.world.faults(&scopes(&["ZohoCRM.coql.READ"])).await;
    let wanted = json!({"match": {"field": "Email", "values": ["lead1@example.com"]}});
    bench.write(
        "event.json",
        &event(json!({"Lead_Source": "Webinar"}), wanted),
    );
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1));
    assert!(
        found(&document, "needed").1.contains("ZohoCRM.coql.READ"),
        "{document:#}"
    );
    assert_eq!(found(&document, "route form").0, "bad");
}

#[tokio::test]
async fn module_scopes_are_checked_against_examples() {
    let bench = Bench::new().await;
    bench.configure("guard: off", MAP);
    let scopes =
        "ZohoCRM.mass_update.leads.UPDATE ZohoCRM.mass_update.leads.READ ZohoCRM.apis.READ";
    bench.world.faults(&json!({"scopes": scopes})).await;
    let mut asked = event(json!({"City": "Bonn"}), json!({"ids": [1]}));
    bench.write("event.json", &asked);
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(0), "{document:#}");
    assert!(found(&document, "narrow").1.contains("for leads only"));
    asked["in"] = json!("Deals");
    asked["fields"] = json!({"Stage": "Closed Won"});
    bench.write("event.json", &asked);
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1), "{document:#}");
    let (result, needed) = found(&document, "needed");
    assert!(result == "bad" && needed.contains("for Deals"), "{needed}");
}

#[tokio::test]
async fn unreported_scopes_are_probed_by_reads() {
    let bench = Bench::new().await;
    bench.configure("guard: off", MAP);
    bench.world.faults(&json!({"omit_scope": true})).await;
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(0), "{document:#}");
    let (result, said) = found(&document, "scopes");
    assert!(
        result == "note" && said.contains("can only be tested by an update"),
        "{said}"
    );
    bench
        .world
        .faults(&json!({"scopes": "ZohoCRM.mass_update.UPDATE ZohoCRM.apis.READ"}))
        .await;
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1));
    assert!(
        found(&document, "scopes")
            .1
            .contains("missing: ZohoCRM.mass_update.READ")
    );
}

#[tokio::test]
async fn problems_are_named_without_secrets() {
    let bench = Bench::new().await;
    // More concurrent calls than the edition allows, and a scope that only `check` needs.
    let scopes = "ZohoCRM.mass_update.UPDATE ZohoCRM.mass_update.READ ZohoCRM.org.READ";
    bench
        .world
        .faults(&json!({"edition": "free", "scopes": scopes}))
        .await;
    bench.configure("max_concurrency: 20", MAP);
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1), "{document:#}");
    assert_eq!(found(&document, "edition").0, "bad");
    assert_eq!(found(&document, "territories").0, "note");
    // Revoked credentials.
    let mut credentials = bench.credentials();
    credentials["refresh_token"] = json!("hunter2");
    bench.write("zoho.json", &credentials);
    let (status, document) = bench.live().await;
    assert_eq!(status, Some(1));
    let (result, why) = found(&document, "token");
    assert_eq!(result, "bad");
    assert!(
        why.contains("invalid_code") && why.contains("revoked"),
        "{why}"
    );
}

#[tokio::test]
async fn wrong_clock_is_reported() {
    let bench = Bench::new().await;
    bench.configure("", MAP);
    for (shift, which, status, result) in [
        (600, "behind", Some(1), "bad"),
        (-1_200, "ahead of", Some(1), "bad"),
        (480, "ahead of", Some(0), "note"),
    ] {
        let moved = json!({"advance_s": shift});
        bench
            .world
            .zoho_request("POST", "/_sim/clock", Some(&moved))
            .await;
        let (code, document) = bench.live().await;
        assert_eq!(code, status, "{document:#}");
        let (found, said) = found(&document, "clock");
        assert!(found == result && said.contains(which), "{said}");
    }
}

#[test]
fn closed_stdout_pipe_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.arg("schema").stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

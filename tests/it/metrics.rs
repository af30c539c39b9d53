//! Metrics: the OpenMetrics text, parsed by Prometheus's own parser, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use masshook::api::router;
use masshook::app::App;
use masshook::engine::ExecutionMode;
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{
    API_KEY, Harness, Request, SENDER_SECRET, World, enqueue, free_port, openmetrics_parser,
    repo_path,
};

/// The families of OpenMetrics text, as Prometheus's parser reads it.
pub(crate) fn parsed(text: &str) -> Value {
    let mut python = Command::new(openmetrics_parser())
        .arg(repo_path("tests/tools/openmetrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut stdin = python.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("the parser reads");
    drop(stdin);
    let output = python.wait_with_output().expect("the parser ends");
    assert!(output.status.success(), "{text}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The value of a sample, if there is one.
fn value(families: &Value, name: &str, labels: &Value) -> Option<f64> {
    let families = families.as_object().expect("families").values();
    let mut samples = families.flat_map(|family| family["samples"].as_array().expect("samples"));
    let found = samples.find(|sample| sample[0] == name && sample[1] == *labels);
    found.and_then(|sample| sample[2].as_f64())
}

fn inline(world: &World) -> Arc<App> {
    let store = Arc::new(SqliteStore::in_memory());
    Arc::new(world.app(store, ExecutionMode::Inline))
}

async fn send(app: &Arc<App>, request: Request) -> u16 {
    let Ok(response) = router(app.clone()).oneshot(request.into_http()).await;
    response.status().as_u16()
}

fn form(world: &World, body: &Value) -> Request {
    let request = Request::json("/hooks/form", body.to_string());
    request.signed("typeform", SENDER_SECRET, world.now())
}

/// Every metric with its type and unit. docs/metrics.md and the dashboards name these.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("masshook_deliveries", "counter", ""),
    ("masshook_jobs_finished", "counter", ""),
    ("masshook_job_duration_seconds", "histogram", "seconds"),
    ("masshook_records", "counter", ""),
    ("masshook_zoho_requests", "counter", ""),
    (
        "masshook_zoho_request_duration_seconds",
        "histogram",
        "seconds",
    ),
    ("masshook_zoho_calls_saved", "counter", ""),
    ("masshook_zoho_throttles", "counter", ""),
    ("masshook_callback_attempts", "counter", ""),
    ("masshook_delivery_log_lost", "counter", ""),
    ("masshook_zoho_credits_remaining", "gauge", ""),
    (
        "masshook_token_expiry_timestamp_seconds",
        "gauge",
        "seconds",
    ),
    ("masshook_dead_letters", "gauge", ""),
    ("masshook_oldest_due_timestamp_seconds", "gauge", "seconds"),
    ("masshook_build", "info", ""),
];

#[tokio::test]
async fn scrape_counts_deliveries_jobs_and_callbacks() {
    let world = Harness::new().callback_statuses(&[503]).start().await;
    let app = inline(&world);
    let lead = world.lead(3);
    let accepted = json!({"kind": "form", "event": "e1", "ids": [lead]});
    assert_eq!(send(&app, form(&world, &accepted)).await, 200);
    assert_eq!(send(&app, form(&world, &accepted)).await, 200);
    assert_eq!(
        send(&app, form(&world, &json!({"kind": "test"}))).await,
        200
    );
    let unsigned = Request::json("/hooks/form", "{}");
    assert_eq!(send(&app, unsigned).await, 401);
    let unknown = Request::json("/hooks/nobody%0Aknows", "{}");
    assert_eq!(send(&app, unknown).await, 404);
    let large = Request::json("/hooks/form", " ".repeat(3_000_000));
    assert_eq!(send(&app, large).await, 413);
    // Zoho refuses the second record.
    let failing =
        json!({"kind": "form", "event": "e2", "ids": [world.lead(4), "999999999999999999"]});
    send(&app, form(&world, &failing)).await;

    let families = parsed(&app.openmetrics().await);
    let found: BTreeMap<&str, (&str, &str)> = families
        .as_object()
        .expect("families")
        .iter()
        .map(|(name, family)| {
            let text = |key: &str| family[key].as_str().expect("text");
            assert!(!text("help").is_empty(), "{name}");
            (name.as_str(), (text("type"), text("unit")))
        })
        .collect();
    let expected = FAMILIES
        .iter()
        .map(|(name, kind, unit)| (*name, (*kind, *unit)));
    assert_eq!(found, expected.collect());

    let deliveries = |route: &str, outcome: &str| {
        let labels = json!({"route": route, "trigger": "http", "outcome": outcome});
        value(&families, "masshook_deliveries_total", &labels)
    };
    assert_eq!(deliveries("form", "accepted"), Some(2.0));
    assert_eq!(deliveries("form", "duplicate"), Some(1.0));
    assert_eq!(deliveries("form", "ignored"), Some(1.0));
    assert_eq!(deliveries("form", "refused"), Some(2.0));
    assert_eq!(
        deliveries("view", "accepted"),
        Some(0.0),
        "known, and unused"
    );
    assert_eq!(deliveries("(other)", "refused"), Some(1.0));
    let jobs = |status: &str| {
        let labels = json!({"route": "form", "status": status});
        value(&families, "masshook_jobs_finished_total", &labels)
    };
    assert_eq!(jobs("succeeded"), Some(1.0));
    assert_eq!(jobs("partially_succeeded"), Some(1.0));
    assert_eq!(jobs("failed"), Some(0.0));
    let records = |outcome: &str| {
        let labels = json!({"route": "form", "module": "Leads", "outcome": outcome});
        value(&families, "masshook_records_total", &labels)
    };
    assert_eq!(
        (records("updated"), records("failed")),
        (Some(2.0), Some(1.0))
    );
    let requests = |kind: &str| {
        let labels = json!({"connection": "default", "kind": kind, "code": "SUCCESS"});
        value(&families, "masshook_zoho_requests_total", &labels)
    };
    assert_eq!(requests("token"), Some(1.0));
    assert_eq!(requests("immediate"), Some(2.0));
    let callbacks = |outcome: &str| {
        let labels = json!({ "outcome": outcome });
        value(&families, "masshook_callback_attempts_total", &labels)
    };
    assert_eq!(
        (callbacks("delivered"), callbacks("failed")),
        (Some(2.0), Some(1.0))
    );
    assert_eq!(
        value(&families, "masshook_dead_letters", &json!({})),
        Some(0.0)
    );
    let due = "masshook_oldest_due_timestamp_seconds";
    assert_eq!(value(&families, due, &json!({})), None, "nothing is due");
    let expiry = "masshook_token_expiry_timestamp_seconds";
    let expires_at = value(&families, expiry, &json!({"connection": "default"}));
    let left = expires_at.expect("a token") - world.now().as_second() as f64;
    assert!((3_000.0..=3_600.0).contains(&left), "{left}");
    let version = json!({"version": env!("CARGO_PKG_VERSION")});
    assert_eq!(value(&families, "masshook_build_info", &version), Some(1.0));
    let count = "masshook_job_duration_seconds_count";
    assert_eq!(
        value(&families, count, &json!({"route": "form"})),
        Some(2.0)
    );
}

#[tokio::test]
async fn shared_calls_and_due_jobs_are_measured() {
    let world = Harness::new().start().await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let app = world.worker(&store);
    for place in 0..3 {
        let update = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.lead(place)]});
        enqueue(&app, &update).await;
    }
    let due = "masshook_oldest_due_timestamp_seconds";
    let before = parsed(&app.openmetrics().await);
    let oldest = value(&before, due, &json!({})).expect("a due job");
    assert!(
        (oldest - world.now().as_second() as f64).abs() <= 1.0,
        "{oldest}"
    );

    app.run_turn(&[], None).await.expect("driven");
    assert_eq!(world.count("mass_update_post").await, 1);
    let after = parsed(&app.openmetrics().await);
    let saved = value(
        &after,
        "masshook_zoho_calls_saved_total",
        &json!({"connection": "default"}),
    );
    assert_eq!(saved, Some(2.0), "three calls in one");
    assert_eq!(value(&after, due, &json!({})), None);
    let labels = json!({"route": "/jobs", "status": "succeeded"});
    assert_eq!(
        value(&after, "masshook_jobs_finished_total", &labels),
        Some(3.0)
    );
    let totals = app.metrics().totals();
    assert_eq!((totals.jobs, totals.records, totals.calls_saved), (3, 3, 2));
}

#[tokio::test]
async fn throttle_is_counted_with_its_code() {
    let world = Harness::new().start().await;
    let app = inline(&world);
    world.faults(&json!({"next": [{"kind": "mass_update_post", "status": 429, "headers": {"Retry-After": "3"}}]})).await;
    let delivery = json!({"kind": "form", "event": "e1", "ids": [world.lead(1)]});
    send(&app, form(&world, &delivery)).await;
    let totals = app.metrics().totals();
    let families = parsed(&app.openmetrics().await);
    let requests = &families["masshook_zoho_requests"]["samples"];
    assert_eq!(totals.throttles, 1, "{requests:#}");
    let labels = json!({"connection": "default"});
    let throttles = value(&families, "masshook_zoho_throttles_total", &labels);
    assert_eq!(throttles, Some(1.0));
    let codes = requests.as_array().expect("samples").iter();
    let codes: BTreeSet<&str> = codes.filter_map(|one| one[1]["code"].as_str()).collect();
    assert_eq!(codes.len(), 2, "{codes:?}");
}

/// Names that look like the collective ones are routes and connections like others.
#[tokio::test]
async fn route_named_other_has_samples_of_its_own() {
    let world = Harness::new()
        .routes("\n  other:\n    verify: { scheme: none }\n    connection: other\n    map: empty\n")
        .config(|config| {
            config
                .replacen(
                    "connections:\n",
                    "connections:\n  other: { credentials: 'env:UNUSED' }\n",
                    1,
                )
                .replace("    verify:", "    connection: default\n    verify:")
                .replace(
                    "    connection: default\n    verify: { scheme: none }\n    connection: other",
                    "    verify: { scheme: none }\n    connection: other",
                )
        })
        .start()
        .await;
    let app = inline(&world);
    assert_eq!(send(&app, Request::json("/hooks/other", "{}")).await, 200);
    assert_eq!(send(&app, Request::json("/hooks/gone", "{}")).await, 404);
    // Prometheus's parser refuses a sample that occurs twice.
    let families = parsed(&app.openmetrics().await);
    let deliveries = |route: &str, outcome: &str| {
        let labels = json!({"route": route, "trigger": "http", "outcome": outcome});
        value(&families, "masshook_deliveries_total", &labels)
    };
    assert_eq!(deliveries("other", "ignored"), Some(1.0));
    assert_eq!(deliveries("other", "refused"), Some(0.0));
    assert_eq!(deliveries("(other)", "refused"), Some(1.0));
}

#[tokio::test]
async fn answer_that_refuses_every_record_is_no_success() {
    let world = Harness::new().start().await;
    let app = inline(&world);
    let unknown =
        json!({"kind": "form", "event": "e1", "ids": ["999999999999999998", "999999999999999999"]});
    send(&app, form(&world, &unknown)).await;
    let families = parsed(&app.openmetrics().await);
    let requests = |code: &str| {
        let labels = json!({"connection": "default", "kind": "immediate", "code": code});
        value(&families, "masshook_zoho_requests_total", &labels)
    };
    assert_eq!(requests("INVALID_DATA"), Some(1.0));
    assert_eq!(requests("SUCCESS"), None);
}

#[tokio::test]
async fn update_requests_count_under_no_route() {
    let world = Harness::new().start().await;
    let app = inline(&world);
    let post = |path: &str, body: &Value, key: &str| {
        Request::json(path, body.to_string()).with("authorization", format!("Bearer {key}"))
    };
    let update =
        json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.lead(1)]});
    let accepted = post("/jobs", &update, API_KEY).with("idempotency-key", "\"one\"");
    assert_eq!(send(&app, accepted).await, 200);
    let repeated = post("/jobs", &update, API_KEY).with("idempotency-key", "\"one\"");
    assert_eq!(send(&app, repeated).await, 200);
    assert_eq!(send(&app, post("/jobs", &json!({}), API_KEY)).await, 422);
    assert_eq!(send(&app, post("/jobs", &update, "wrong")).await, 401);
    // These store nothing, whatever their answer.
    let dry_run = "/jobs?dry_run=true";
    assert_eq!(send(&app, post(dry_run, &update, API_KEY)).await, 200);
    assert_eq!(send(&app, post(dry_run, &json!({}), API_KEY)).await, 422);
    assert_eq!(send(&app, Request::get("/jobs")).await, 401);
    let families = parsed(&app.openmetrics().await);
    let deliveries = |route: &str, outcome: &str| {
        let labels = json!({"route": route, "trigger": "http", "outcome": outcome});
        value(&families, "masshook_deliveries_total", &labels)
    };
    assert_eq!(deliveries("/jobs", "accepted"), Some(1.0));
    assert_eq!(deliveries("/jobs", "duplicate"), Some(1.0));
    assert_eq!(deliveries("/jobs", "refused"), Some(2.0));
    assert_eq!(deliveries("(other)", "refused"), Some(0.0));
}

/// The sender's body must not create time series.
#[tokio::test]
async fn modules_from_bodies_are_bounded() {
    let world = Harness::new().start().await;
    let app = inline(&world);
    for number in 0..40 {
        let delivery = json!({"kind": "form", "event": number, "ids": [world.lead(1)], "module": format!("Module{number}")});
        send(&app, form(&world, &delivery)).await;
    }
    let families = parsed(&app.openmetrics().await);
    let records = families["masshook_records"]["samples"]
        .as_array()
        .expect("samples");
    let modules: BTreeSet<&str> = records
        .iter()
        .filter_map(|one| one[1]["module"].as_str())
        .collect();
    assert_eq!(modules.len(), 17, "{modules:?}");
    assert!(modules.contains("(other)"), "{modules:?}");
}

/// Prometheus gets a key that opens nothing else.
#[tokio::test]
async fn metrics_key_opens_metrics_only() {
    let mut world = Harness::new().served().prepare().await;
    let key = "key-of-prometheus-in-the-tests";
    let file = world.folder().join("metrics-key");
    std::fs::write(&file, key).expect("written");
    let config = std::fs::read_to_string(world.config()).expect("the config");
    let console = format!("console: {{ metrics_key: 'file:{}' }}\n", file.display());
    std::fs::write(world.config(), console + &config).expect("written");
    let address = format!("127.0.0.1:{}", free_port());
    world.start(&["--console", &address]).await;
    let url = format!("http://{address}");
    let get = |path: &str, key: &str| {
        let request = Request::get(path).with("authorization", format!("Bearer {key}"));
        let url = url.clone();
        async move { request.send_to(&url).await }
    };
    world
        .submit(&json!({"event": "e1", "ids": [world.lead(1)]}))
        .await;
    let scraped = get("/metrics", key).await;
    assert_eq!(scraped.status, 200, "{scraped:?}");
    let content_type = scraped.header("content-type");
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let families = parsed(&scraped.text);
    let labels = json!({"route": "form", "trigger": "http", "outcome": "accepted"});
    assert_eq!(
        value(&families, "masshook_deliveries_total", &labels),
        Some(1.0)
    );
    assert_eq!(get("/api/status", key).await.status, 401);
    assert_eq!(
        get("/metrics", "another-key-of-the-tests").await.status,
        401
    );
    let anonymous = Request::get("/metrics").send_to(&url).await;
    assert_eq!(anonymous.status, 401, "{anonymous:?}");
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let parts = text.split("masshook_").skip(1);
    let names = parts.map(|rest| {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        format!("masshook_{}", &rest[..end])
    });
    names.collect()
}

/// The names under which Prometheus stores the samples of all families.
fn stored() -> BTreeSet<String> {
    let names = FAMILIES.iter().flat_map(|(name, kind, _)| match *kind {
        "counter" => vec![format!("{name}_total")],
        "histogram" => ["bucket", "count", "sum"]
            .map(|end| format!("{name}_{end}"))
            .to_vec(),
        "info" => vec![format!("{name}_info")],
        _ => vec![(*name).to_owned()],
    });
    names.collect()
}

#[test]
fn grafana_dashboard_names_existing_metrics() {
    let text =
        std::fs::read_to_string(repo_path("dashboards/grafana.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut used = BTreeSet::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            used.extend(named(target["expr"].as_str().expect("a query")));
        }
    }
    let stored = stored();
    let unknown: Vec<_> = used.difference(&stored).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let sums = |name: &&String| !name.ends_with("_sum") && !name.ends_with("_count");
    let unused: Vec<_> = stored.difference(&used).filter(sums).collect();
    assert!(unused.is_empty(), "the dashboard does not show {unused:?}");
}

#[test]
fn metrics_page_names_every_metric() {
    let page = std::fs::read_to_string(repo_path("docs/metrics.md")).expect("the page");
    let rows: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let stored = FAMILIES.iter().map(|(name, kind, _)| match *kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => (*name).to_owned(),
    });
    for name in stored {
        assert!(
            rows.contains(name.as_str()),
            "docs/metrics.md has no row for {name}"
        );
    }
    for metric in masshook::metrics::emf::METRICS {
        assert!(
            rows.contains(metric.name),
            "docs/metrics.md has no row for {}",
            metric.name
        );
    }
}

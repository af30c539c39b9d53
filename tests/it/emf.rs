//! The metrics that the Lambda program writes: their form by AWS's schema, and their values.

use std::sync::{Arc, Mutex};

use masshook::engine::ExecutionMode;
use masshook::lambda::Function;
use masshook::metrics::Metrics;
use masshook::metrics::emf::EmfSettings;
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{
    Harness, Request, SENDER_SECRET, World, durable, invoke, repo_path, sample_event, schema_errors,
};

/// CloudWatch's limits beside those of the schema.
const MAX_VALUES: usize = 100;
const MAX_LINE_BYTES: usize = 256 << 10;

/// The lines of a function.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Value>>>);

impl Lines {
    /// A function that writes to these lines.
    fn function(&self, world: &World, store: Arc<dyn Store>, mode: ExecutionMode) -> Function {
        let app = world.app_with_metrics(store, mode, Metrics::of_invocations());
        let settings = EmfSettings {
            namespace: "masshook/test".to_owned(),
            by_name: true,
        };
        let lines = self.0.clone();
        Function::new(Arc::new(app), None).with_metrics(settings, move |line| {
            assert!(
                line.len() < MAX_LINE_BYTES && !line.contains('\n'),
                "{line}"
            );
            let document = serde_json::from_str(line).expect("JSON");
            lines.lock().expect("no panic").push(document);
        })
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

/// Checks lines against AWS's schema and the rules of its text.
pub(crate) fn assert_valid(lines: &[Value]) {
    let schema = std::fs::read_to_string(repo_path("tests/it/emf/schema.json"));
    let schema: Value = serde_json::from_str(&schema.expect("the schema")).expect("JSON");
    let errors = schema_errors(&schema, lines);
    for (line, error) in lines.iter().zip(errors) {
        assert_eq!(error, None, "{line:#}");
        for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
            for dimension in list(&directive["Dimensions"]).iter().flat_map(list) {
                let name = dimension.as_str().expect("a name");
                let value = line[name].as_str().unwrap_or_default();
                assert!((1..=1024).contains(&value.len()), "{name}: {line:#}");
            }
            for metric in list(&directive["Metrics"]) {
                let name = metric["Name"].as_str().expect("a name");
                let value = &line[name];
                let is_list = value.as_array().is_some_and(|values| {
                    (1..=MAX_VALUES).contains(&values.len()) && values.iter().all(Value::is_number)
                });
                let is_value = value.is_number() || is_list;
                assert!(is_value, "{name}: {line:#}");
            }
        }
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value:#}"))
}

/// The sum of a metric in lines, for its dimension set without names.
pub(crate) fn sum_of(lines: &[Value], metric: &str) -> f64 {
    let defines = |line: &&Value| {
        list(&line["_aws"]["CloudWatchMetrics"])
            .iter()
            .any(|directive| {
                list(&directive["Dimensions"]).contains(&json!([]))
                    && list(&directive["Metrics"])
                        .iter()
                        .any(|one| one["Name"] == metric)
            })
    };
    let values = lines.iter().filter(defines).map(|line| {
        let one = line[metric].as_f64();
        let many = line[metric].as_array().into_iter().flatten();
        one.unwrap_or_else(|| many.filter_map(Value::as_f64).sum())
    });
    values.sum()
}

/// The lines of metrics in the log of the real program.
pub(crate) fn lines_in(log: &str) -> Vec<Value> {
    let documents = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    documents
        .filter(|document| !document["_aws"].is_null())
        .collect()
}

fn form(world: &World, body: &Value) -> Value {
    let request = Request::json("/hooks/form", body.to_string());
    request
        .signed("typeform", SENDER_SECRET, world.now())
        .event()
}

#[tokio::test]
async fn inline_invocation_is_one_line() {
    let world = Harness::new().start().await;
    let lines = Lines::default();
    let store = Arc::new(SqliteStore::in_memory());
    let function = lines.function(&world, store, ExecutionMode::Inline);
    let delivery = json!({"kind": "form", "event": "e1", "ids": [world.lead(1)]});
    invoke(&function, &form(&world, &delivery))
        .await
        .expect("an answer");
    let written = lines.take();
    assert_valid(&written);
    assert_eq!(written.len(), 1, "{written:#?}");
    let line = &written[0];
    assert_eq!(
        (&line["Route"], &line["Connection"]),
        (&json!("form"), &json!("default"))
    );
    assert_eq!(line["Invocation"], "http");
    for (metric, value) in [
        ("AcceptedDeliveries", 1),
        ("SucceededJobs", 1),
        ("UpdatedRecords", 1),
        ("ZohoRequests", 2),
        ("DeliveredCallbacks", 1),
    ] {
        assert_eq!(line[metric], value, "{metric}: {line:#}");
    }
    let by_route = list(&line["_aws"]["CloudWatchMetrics"])
        .iter()
        .find(|directive| directive["Dimensions"] == json!([[], ["Route"], ["Connection"]]));
    let metrics = list(&by_route.expect("a directive")["Metrics"]);
    assert!(metrics.contains(&json!({"Name": "JobDuration", "Unit": "Milliseconds"})));

    // The facts of an invocation are those of this one only.
    let unsigned = Request::json("/hooks/form", "{}").event();
    invoke(&function, &unsigned).await.expect("an answer");
    let written = lines.take();
    assert_valid(&written);
    assert_eq!(sum_of(&written, "RefusedDeliveries"), 1.0);
    assert_eq!(sum_of(&written, "AcceptedDeliveries"), 0.0);
    assert_eq!(sum_of(&written, "ZohoRequests"), 0.0);
}

#[tokio::test]
async fn worker_and_sweep_lines_match_the_schema() {
    let world = Harness::new().callback_statuses(&[410]).start().await;
    let lines = Lines::default();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let function = lines.function(&world, store, durable());
    for number in 0..3 {
        let delivery = json!({"kind": "form", "event": number, "ids": [world.lead(number)]});
        invoke(&function, &form(&world, &delivery))
            .await
            .expect("an answer");
    }
    let request =
        json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.lead(7)]});
    invoke(&function, &request).await.expect("an answer");
    // The update request counts too, under the route `/jobs`.
    assert_eq!(sum_of(&lines.take(), "AcceptedDeliveries"), 4.0);
    // The gauges of the store are read in every fifth minute.
    let minute = world.now().as_second().div_euclid(60).rem_euclid(5);
    let wait = std::time::Duration::from_secs(60 * ((5 - minute) % 5).unsigned_abs());
    world.clock.advance(wait);
    invoke(&function, &sample_event("sweep-schedule.json"))
        .await
        .expect("an answer");
    let written = lines.take();
    assert_valid(&written);
    for (metric, value) in [
        ("SucceededJobs", 4.0),
        ("UpdatedRecords", 4.0),
        ("SavedZohoCalls", 3.0),
        ("UndeliverableCallbacks", 1.0),
        ("DeliveredCallbacks", 2.0),
        ("DeadLetters", 1.0),
        ("OldestDueAge", 0.0),
    ] {
        assert_eq!(sum_of(&written, metric), value, "{metric}: {written:#?}");
    }
    assert!(sum_of(&written, "TokenLifetime") > 3_000.0, "{written:#?}");
    assert!(written.iter().all(|line| line["Invocation"] == "sweep"));
}

//! AWS triggers: how events are recognized by their shape, mapped to jobs, and reported when they fail.

mod http;
mod lists;
mod sqs;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Diagnostic;
use masshook::app::App;
use masshook::engine::ExecutionMode;
use masshook::job::{JobId, JobStatus};
use masshook::lambda::Function;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{JobFilter, PageRequest, Store};
use masshook::wakeup;
use serde_json::{Value, json};

use crate::harness::{Harness, SENDER_SECRET, World, durable, invoke};

const QUEUE_URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/wake-ups";
const WAKE_UPS: &str = "arn:aws:sqs:eu-west-1:123456789012:wake-ups";
const ORDERS: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:leads";

/// Routes that copy their mapping input into the `reference` of their jobs.
const ROUTES: &str = r#"
  request:
    verify: { scheme: custom, type: equals, token: { header: X-Token }, secret: secretsmanager:sender }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: .ids, reference: {query: $query, raw: $raw, trigger: $trigger, twice: $headers["x-twice"], cookie: $headers.cookie}}'
  partner:
    on: eventbridge
    when: .source | startswith("aws.partner/")
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: .detail.ids, reference: {type: ."detail-type", trigger: $trigger}}'
  partner-too:
    on: [eventbridge]
    when: .detail.both? == true // false
    delivery_id: .detail.order
    map: '{module: "Contacts", fields: {Lead_Source: "Webinar"}, ids: .detail.contacts}'
  schedule:
    on: [eventbridge, direct]
    when: $trigger.type == "direct" or .source == "aws.scheduler" or .source == "aws.events"
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [$ID], reference: [.detail, .at]}'
  topic:
    on: sns
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [$ID], reference: {said: ., attributes: $headers, trigger: $trigger}}'
  queue:
    on: sqs
    when:
      - $trigger.queue | contains(":orders")
      - (.kind? // "") != "foreign"
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: (.ids? // [$ID]), reference: {said: ., attributes: $headers, trigger: $trigger}}'
"#;

/// A function with its own harness.
struct Stage {
    world: World,
    function: Function,
    store: Arc<dyn Store>,
    app: Arc<App>,
}

impl Stage {
    async fn inline() -> Self {
        Self::with(ExecutionMode::Inline).await
    }

    async fn durable() -> Self {
        Self::with(durable()).await
    }

    async fn with(mode: ExecutionMode) -> Self {
        let first = Harness::new().start().await.id("Leads", 5);
        let routes = ROUTES.replace("$ID", &format!("{first:?}"));
        Self::of(Harness::new().routes(&routes), mode).await
    }

    async fn of(harness: Harness<'_>, mode: ExecutionMode) -> Self {
        let world = harness.start().await;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
        let app = Arc::new(world.app(store.clone(), mode));
        let function = Function::new(app.clone(), Some(QUEUE_URL));
        Self {
            world,
            function,
            store,
            app,
        }
    }

    async fn try_invoke(&self, event: &Value) -> Result<Value, Diagnostic> {
        invoke(&self.function, event).await
    }

    async fn invoke(&self, event: &Value) -> Value {
        let answer = self.try_invoke(event).await;
        answer.unwrap_or_else(|error| panic!("{event:#}: {error:?}"))
    }

    /// Returns the references of all jobs, sorted by their text.
    async fn references(&self) -> Vec<Value> {
        let mut references = Vec::new();
        for summary in self
            .store
            .list(&JobFilter::default(), &PageRequest::first(100))
            .await
            .expect("a list")
            .entries
        {
            let job = self.store.get(&summary.id).await.expect("read");
            references.extend(job.expect("a job").request.reference);
        }
        references.sort_by_key(Value::to_string);
        references
    }

    fn lead(&self, place: u64) -> String {
        self.world.id("Leads", place)
    }
}

fn message(id: &str, queue: &str, body: &str) -> Value {
    json!({
        "messageId": id, "receiptHandle": "handle", "body": body, "md5OfBody": "0",
        "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": "g"},
        "messageAttributes": {
            "source": {"stringValue": "tally", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "Blob": {"binaryValue": "MTEwMA==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "eventSource": "aws:sqs", "eventSourceARN": queue, "awsRegion": "eu-west-1",
    })
}

fn notification(id: &str, said: &str) -> Value {
    json!({
        "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Subject": null, "Message": said,
        "Timestamp": "2026-07-02T21:35:00Z", "SignatureVersion": "1", "Signature": "EXAMPLE",
        "SigningCertUrl": "https://sns.eu-west-1.amazonaws.com/x.pem", "UnsubscribeUrl": "https://sns.eu-west-1.amazonaws.com/",
        "MessageAttributes": {"Source": {"Type": "String", "Value": "tally\nform"}},
    })
}

fn partner_event(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "17e8dff5", "detail-type": "customer.created", "source": "aws.partner/stripe.com/ed_1",
        "account": "123456789012", "time": "2026-07-02T21:35:00Z", "region": "eu-west-1", "resources": [], "detail": detail,
    })
}

fn failures(ids: &[&str]) -> Value {
    let ids: Vec<Value> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
    json!({ "batchItemFailures": ids })
}

/// Returns the output of `masshook event schedule` for the route `schedule`.
fn scheduled(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("masshook.yaml");
    let (_, route) = ROUTES.split_once("  schedule:").expect("the route");
    let (route, _) = route.split_once("  topic:").expect("the next");
    let route = route.replace("$ID", "1");
    let text = format!(
        "connections: {{ default: {{ credentials: env:ZOHO }} }}\nroutes:\n  schedule:{route}"
    );
    std::fs::write(&config, text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["event", "schedule", "--config"])
        .arg(&config)
        .args(arguments)
        .output()
        .expect("masshook");
    let complained = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{complained}"))
}

#[tokio::test]
async fn schedule_event_from_cli_is_accepted() {
    let stage = Stage::inline().await;
    let once = scheduled(&["--id", "once"]);
    assert_eq!(
        [&once["source"], &once["resources"][0]],
        [
            "aws.scheduler",
            "arn:aws:scheduler:us-east-1:123456789012:schedule/default/schedule"
        ]
    );
    let rule = scheduled(&["--override", "source=aws.events", "--override", "detail={}"]);
    let input = scheduled(&["--trigger", "direct", "--override", "at=today"]);
    assert_eq!(input["route"], "schedule");
    // The second time it is a duplicate event and returns the same job.
    for event in [&once, &once, &rule, &input] {
        let answer = stage.invoke(event).await;
        assert_eq!(
            answer["jobs"][0]["status"], "succeeded",
            "{event:#} {answer:#}"
        );
    }
    assert_eq!(
        stage.references().await,
        [
            json!(["{}", null]),
            json!([null, "today"]),
            json!([{}, null])
        ]
    );
}

#[tokio::test]
async fn bus_event_reaches_every_matching_route() {
    let stage = Stage::inline().await;
    let detail = json!({"ids": [stage.lead(0)], "both": true, "order": 7, "contacts": [stage.world.id("Contacts", 0)]});
    let event = partner_event(&detail);
    let answer = stage.invoke(&event).await;
    assert_eq!(
        (&answer["ignored"], &answer["kept"]),
        (&json!(0), &json!(0))
    );
    let jobs = answer["jobs"].as_array().expect("jobs");
    let routes: Vec<&Value> = jobs.iter().map(|job| &job["route"]).collect();
    assert_eq!(routes, ["partner", "partner-too"]);
    assert!(
        jobs.iter().all(|job| job["status"] == "succeeded"),
        "{answer:#}"
    );
    assert_eq!(
        jobs[0]["reference"],
        json!({"type": "customer.created", "trigger": {"type": "eventbridge", "id": "17e8dff5"}})
    );
    assert_eq!(
        jobs[0]["id"],
        JobId::derive("partner", "17e8dff5", 1).as_str()
    );
    assert_eq!(jobs[1]["id"], JobId::derive("partner-too", "7", 1).as_str());

    // EventBridge delivers at least once.
    let calls = stage.world.count("mass_update_post").await;
    assert_eq!(stage.invoke(&event).await["jobs"], answer["jobs"]);
    assert_eq!(stage.world.count("mass_update_post").await, calls);

    let foreign = json!({"id": "1", "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2", "detail": {}});
    assert_eq!(
        stage.invoke(&foreign).await,
        json!({"jobs": [], "ignored": 1, "kept": 0})
    );
}

#[tokio::test]
async fn schedules_work_with_and_without_input() {
    let stage = Stage::inline().await;
    let event = |source: &str, detail: Value| {
        json!({"version": "0", "id": source, "detail-type": "Scheduled Event", "source": source, "account": "1",
            "time": "2026-07-02T21:35:00Z", "region": "eu-west-1", "resources": [], "detail": detail})
    };
    for (event, reference) in [
        (event("aws.events", json!({})), json!([{}, null])),
        (event("aws.scheduler", json!("{}")), json!(["{}", null])),
        (
            json!({"route": "schedule", "body": {"at": "2026-07-02T21:35:00Z"}}),
            json!([null, "2026-07-02T21:35:00Z"]),
        ),
    ] {
        let answer = stage.invoke(&event).await;
        assert_eq!(answer["jobs"][0]["reference"], reference, "{answer:#}");
        assert_eq!(answer["jobs"][0]["status"], "succeeded");
    }
    let input = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [stage.lead(1)]});
    assert_eq!(stage.invoke(&input).await["jobs"][0]["status"], "succeeded");
    let own = json!({"job": "retry_sweep", "execution_id": "d32c5kddcf5bb8c3"});
    let error = stage.try_invoke(&own).await.expect_err("unknown");
    assert_eq!(error.error_type, "unknown_event");
    assert!(
        error.error_message.contains("[execution_id, job]"),
        "{error:?}"
    );
    assert!(
        error.error_message.contains("a schedule's own input"),
        "{error:?}"
    );
}

#[tokio::test]
async fn sns_message_is_parsed_as_json_or_text() {
    let stage = Stage::inline().await;
    for (id, said, seen) in [
        (
            "m1",
            r#"{"a": 12345678901234567890}"#,
            json!({"a": 12_345_678_901_234_567_890_u64}),
        ),
        ("m2", "Hello\r\nworld!", json!("Hello\r\nworld!")),
        ("m3", "17", json!(17)),
    ] {
        let record = json!({"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": TOPIC, "Sns": notification(id, said)});
        let answer = stage.invoke(&json!({"Records": [record]})).await;
        let job = &answer["jobs"][0];
        assert_eq!(job["status"], "succeeded", "{answer:#}");
        assert_eq!(
            job["reference"],
            json!({"said": seen, "attributes": {"Source": "tally\nform"}, "trigger": {"type": "sns", "id": id, "topic": TOPIC}})
        );
        assert_eq!(job["id"], JobId::derive("topic", id, 1).as_str());
    }
    let broken = json!({"EventSource": "aws:sns", "Sns": notification("m4", "{\"a\": ")});
    let error = stage
        .try_invoke(&json!({"Records": [broken]}))
        .await
        .expect_err("inline mode cannot store it");
    assert_eq!(error.error_type, "body_not_readable");
}

#[tokio::test]
async fn route_rejects_triggers_it_does_not_listen_to() {
    let stage = Stage::inline().await;
    let event = |route: &str| {
        json!({"version": "2.0", "rawPath": format!("/hooks/{route}"), "rawQueryString": "", "headers": {}, "body": "{}",
            "requestContext": {"stage": "$default", "http": {"method": "POST"}}})
    };
    let answer = stage.invoke(&event("queue")).await;
    let problem: Value =
        serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(
        (&answer["statusCode"], &problem["code"]),
        (&json!(404), &json!("not_listening"))
    );
    let direct = json!({"route": "topic", "body": {}});
    let error = stage.try_invoke(&direct).await.expect_err("refused");
    assert_eq!(error.error_type, "not_listening");

    // A delivery by direct invocation must be verified, as over HTTP.
    let mut direct = json!({"route": "request", "body": {"ids": [stage.lead(0)]}});
    let error = stage.try_invoke(&direct).await.expect_err("refused");
    assert_eq!(error.error_type, "not_verified");
    direct["headers"] = json!({"X-Token": SENDER_SECRET});
    let answer = stage.invoke(&direct).await;
    assert_eq!(
        answer["jobs"][0]["reference"]["trigger"],
        json!({"type": "direct"})
    );
}

#[tokio::test]
async fn unknown_event_error_names_the_shape() {
    let stage = Stage::inline().await;
    let s3 = json!({"eventSource": "aws:s3", "s3": {}});
    let sqs = message("m1", ORDERS, "{}");
    for (event, part) in [
        (json!({"Records": [s3]}), "[aws:s3]"),
        (json!({"Records": [s3, sqs]}), "[aws:s3, aws:sqs]"),
        (json!({"Records": []}), "[]"),
        (json!({"Records": [{}]}), "[no source]"),
        (json!({"Records": 7}), "cannot be read"),
        (
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}),
            "Type",
        ),
        (
            json!({"Records": [{"eventSource": "aws:sqs"}]}),
            "messageId",
        ),
        (json!(7), "it is a number"),
        (
            json!({"requestContext": {"http": {"method": 7}}}),
            "requestContext",
        ),
        (json!({"sweep": 1}), "[sweep]"),
        (
            json!({"detail-type": "x", "source": "y"}),
            "[detail-type, source]",
        ),
        (
            json!({"detail-type": "x", "source": "y", "detail": {}, "id": 7}),
            "EventBridge",
        ),
    ] {
        let error = stage.try_invoke(&event).await.expect_err("unknown");
        assert_eq!(error.error_type, "unknown_event", "{event}");
        assert!(error.error_message.contains(part), "{event}: {error:?}");
    }
}

#[tokio::test]
async fn unfinished_event_is_reported_for_redelivery() {
    let routes = "  view-by-bus:\n    on: [eventbridge, sqs]\n    map: '{module: \"Leads\", fields: {Lead_Status: \"Contacted\"}, cvid: (.detail.view? // .view)}'\n";
    let world = Harness::new()
        .simulator(|zoho| zoho.job_duration = Duration::from_secs(3_600))
        .routes(routes)
        .start()
        .await;
    let app = Arc::new(world.app(Arc::new(SqliteStore::in_memory()), ExecutionMode::Inline));
    let function = Function::new(app, None);
    let views = world.zoho()["views"]["Leads"].clone();
    let view = &views
        .as_object()
        .expect("views")
        .values()
        .next()
        .expect("a view")["id"];
    let event = json!({"id": "1", "detail-type": "t", "source": "s", "detail": {"view": view}});
    let queued = json!({"Records": [message("m1", ORDERS, &json!({"view": view}).to_string())]});
    let error = invoke(&function, &event).await.expect_err("unfinished");
    assert_eq!(error.error_type, "unfinished");
    let answer = invoke(&function, &queued).await.expect("an answer");
    assert_eq!(answer, failures(&["m1"]));
}

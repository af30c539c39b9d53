//! The operator API: lists of jobs and deliveries, the log of deliveries, and operations on one or on all that match.

mod bulk;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use masshook::api::router;
use masshook::app::App;
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{API_KEY, Answer, Harness, Request, SENDER_SECRET, World, durable, text};

/// How long an answer may take before a test fails. It is shorter than the wait that the tests ask for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A durable masshook over a store in memory, and its router.
struct Operator {
    world: World,
    app: Arc<App>,
    router: Router,
}

impl Operator {
    async fn start() -> Self {
        let world = Harness::new().rude().start().await;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
        let app = Arc::new(world.app(store, durable()));
        Self {
            router: router(app.clone()),
            world,
            app,
        }
    }

    async fn send(&self, request: Request) -> Answer {
        send(self.router.clone(), request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).authorized()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Request::json(path, body.to_string()).authorized())
            .await
    }

    /// Sends a signed delivery.
    async fn deliver(&self, body: &Value) -> Answer {
        let request = Request::json("/hooks/form", body.to_string());
        self.send(request.signed("typeform", SENDER_SECRET, self.world.now()))
            .await
    }

    /// The deliveries of a list, once all are logged.
    async fn deliveries(&self, query: &str) -> Vec<Value> {
        self.app.flush_delivery_log().await;
        let answer = self.get(&format!("/deliveries{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["deliveries"]
            .as_array()
            .expect("a list")
            .clone()
    }

    /// Posts an update request for a record whose update Zoho refuses, and drives its job.
    async fn failed_job(&self) -> String {
        let locked = text(&self.world.zoho()["modules"]["Leads"]["conditions"]["locked"]);
        let request = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [locked]});
        let answer = self.post("/jobs", &request).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.job_id();
        self.app.run_turn(&[], None).await.expect("a turn");
        let job = self.get(&format!("/jobs/{id}")).await;
        assert_eq!(job.body["status"], "failed", "{job:?}");
        id
    }
}

async fn send(router: Router, request: Request) -> Answer {
    let Ok(response) = router.oneshot(request.into_http()).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let text = String::from_utf8(body.into()).expect("text");
    Answer::new(parts.status.as_u16(), parts.headers, text)
}

/// An event that the route cannot map.
fn unmappable(event: &str) -> Value {
    json!({"kind": "form", "event": event, "ids": ["no id"]})
}

#[tokio::test]
async fn operator_api_requires_the_key() {
    let operator = Operator::start().await;
    for path in [
        "/jobs",
        "/jobs/job_1",
        "/deliveries",
        "/deliveries/dlv_1",
        "/dead-letters",
    ] {
        let answer = operator.send(Request::get(path)).await;
        answer.assert_problem(401, "unauthorized");
        let wrong = Request::get(path).with("authorization", format!("Bearer {API_KEY}x"));
        operator
            .send(wrong)
            .await
            .assert_problem(401, "unauthorized");
    }
    for path in ["/jobs/job_1/replay", "/jobs/replay", "/deliveries/discard"] {
        let answer = operator.send(Request::json(path, "{}")).await;
        answer.assert_problem(401, "unauthorized");
        // Reading changes nothing.
        operator.get(path).await;
    }
    let answer = operator.get("/jobs").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.body["jobs"], json!([]));
    let answer = operator.get("/jobs/replay").await;
    assert_ne!(answer.status, 200, "{answer:?}");
    operator
        .get("/deliveries/dlv_1/replay")
        .await
        .assert_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn wrong_parameter_is_named_with_allowed_values() {
    let operator = Operator::start().await;
    for (path, parameter, hint) in [
        ("/jobs?status=faild", "status", "did you mean `failed`?"),
        ("/jobs?statsu=failed", "statsu", "did you mean `status`?"),
        (
            "/jobs?status=failed&status=failed",
            "status",
            "is given twice",
        ),
        ("/jobs?limit=0", "limit", "from 1 to 200"),
        ("/jobs?limit=201", "limit", "from 1 to 200"),
        ("/jobs?since=yesterday", "since", "30m, 24h or 7d"),
        ("/jobs?cursor=%21", "cursor", "is not a cursor"),
        ("/jobs?cursor=5.job_1", "cursor", "is not a cursor"),
        ("/jobs?wait=5", "wait", "needs `after`"),
        ("/jobs?after=1&wait=26", "wait", "from 0 to 25"),
        (
            "/jobs?after=1&cursor=1.job_1",
            "after",
            "together with `cursor`",
        ),
        (
            "/deliveries?outcome=dead",
            "outcome",
            "accepted, duplicate, ignored, refused, dead_letter",
        ),
        ("/deliveries?trigger=kafka", "trigger", "eventbridge"),
        ("/deliveries?connection=default", "connection", "is unknown"),
    ] {
        let answer = operator.get(path).await;
        answer.assert_problem(400, "invalid_parameter");
        let error = &answer.body["errors"][0];
        assert_eq!(error["parameter"], parameter, "{path}: {answer:?}");
        let detail = text(&answer.body["detail"]);
        assert!(detail.contains(hint), "{path}: {detail}");
    }
    let answer = operator.get("/jobs?status=faild").await;
    let allowed = answer.body["errors"][0]["allowed"]
        .as_array()
        .expect("values");
    assert!(allowed.contains(&json!("parked")), "{allowed:?}");
    // A form sends the empty filters, too.
    let answer = operator.get("/jobs?status=&route=&since=").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn log_shows_what_became_of_each_delivery() {
    let operator = Operator::start().await;
    let event = json!({"kind": "form", "event": "e1", "ids": [operator.world.id("Leads", 0)]});
    assert_eq!(operator.deliver(&event).await.status, 202);
    assert_eq!(operator.deliver(&event).await.status, 202);
    assert_eq!(
        operator.deliver(&json!({"kind": "other"})).await.status,
        200
    );
    assert_eq!(operator.deliver(&unmappable("e2")).await.status, 422);
    let unsigned = Request::json("/hooks/form", event.to_string());
    assert_eq!(operator.send(unsigned).await.status, 401);
    let unknown = Request::json("/hooks/fomr", "{}");
    assert_eq!(operator.send(unknown).await.status, 404);

    let listed = operator.deliveries("").await;
    let outcomes: Vec<(&Value, &Value, &Value)> = listed
        .iter()
        .map(|entry| (&entry["outcome"], &entry["status"], &entry["code"]))
        .collect();
    assert_eq!(
        outcomes,
        [
            (&json!("refused"), &json!(404), &json!("no_such_route")),
            (&json!("refused"), &json!(401), &json!("not_verified")),
            (&json!("refused"), &json!(422), &json!("not_mappable")),
            (&json!("ignored"), &json!(200), &Value::Null),
            (&json!("duplicate"), &json!(202), &Value::Null),
            (&json!("accepted"), &json!(202), &Value::Null),
        ]
    );
    assert_eq!(listed[3]["ignored_by"], "when");
    assert_eq!(listed[5]["jobs"], listed[4]["jobs"]);
    assert_ne!(listed[5]["id"], listed[4]["id"]);
    // A list can shorten the id of a duplicate like any other.
    assert_eq!(text(&listed[4]["id"]).len(), text(&listed[5]["id"]).len());
    assert_eq!(listed[5]["records"], 1);
    assert_eq!(listed[5]["trigger"], "http");

    let unknown = operator
        .get(&format!("/deliveries/{}", text(&listed[0]["id"])))
        .await;
    let steps = unknown.body["steps"].as_array().expect("steps");
    assert_eq!(
        (steps.len(), &steps[0]["name"], &steps[0]["ok"]),
        (1, &json!("received"), &json!(false)),
        "nothing of it was verified: {steps:?}"
    );
    let accepted = operator
        .get(&format!("/deliveries/{}", text(&listed[5]["id"])))
        .await;
    let steps = accepted.body["steps"].as_array().expect("steps");
    let names: Vec<&Value> = steps.iter().map(|step| &step["name"]).collect();
    assert_eq!(
        names,
        ["received", "verified", "accepted", "mapped", "stored"]
    );
    assert!(
        steps
            .iter()
            .all(|step| step["ok"] == true && step["took_ms"].is_u64())
    );
    assert_eq!(accepted.body["jobs"][0]["id"], listed[5]["jobs"][0]);
    assert_eq!(accepted.body["body"]["stored"], true);
    assert_eq!(accepted.body["body"]["content_type"], "application/json");
    let job = operator.get("/jobs").await.body["jobs"][0].clone();
    assert_eq!(job["delivery"], listed[5]["id"]);
    assert_eq!(
        (&job["route"], &job["counts"]["total"]),
        (&json!("form"), &json!(1))
    );

    // The unmappable one is a dead letter, with the place of the error.
    let dead = operator.deliveries("?outcome=dead_letter").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["dead_letter"]["code"], "not_mappable");
    let id = text(&dead[0]["id"]);
    let shown = operator.get(&format!("/deliveries/{id}")).await.body;
    assert_eq!(
        shown["error"]["errors"][0]["pointer"], "/ids/0",
        "{shown:#}"
    );
    let failed = &shown["steps"][3];
    assert_eq!(
        (&failed["name"], &failed["ok"]),
        (&json!("mapped"), &json!(false))
    );
    let body = operator.get(&format!("/deliveries/{id}/body")).await;
    assert_eq!(body.text, unmappable("e2").to_string());
    assert_eq!(body.header("content-type"), "text/plain; charset=utf-8");
    // The beginning of an id is enough.
    let short = operator.get(&format!("/deliveries/{}", &id[..14])).await;
    assert_eq!(short.body["id"], shown["id"]);
    let too_short = operator.get(&format!("/deliveries/{}", &id[..8])).await;
    let message = too_short.body["detail"].to_string();
    let hint = "the beginning of an id needs 6 characters after `dlv_`";
    assert!(
        too_short.status == 404 && message.contains(hint),
        "{message}"
    );
    assert!(!shown.to_string().contains("sha256="), "{shown}");
    let groups = operator.get("/dead-letters").await.body;
    assert_eq!(groups["groups"][0]["code"], "not_mappable");
    assert_eq!(
        (
            &groups["groups"][0]["count"],
            &groups["groups"][0]["sample"]
        ),
        (&json!(1), &json!(id))
    );
}

#[tokio::test]
async fn filters_and_cursors_select_deliveries() {
    let operator = Operator::start().await;
    for number in 0..7 {
        operator.deliver(&unmappable(&format!("e{number}"))).await;
        operator
            .deliver(&json!({"kind": "other", "number": number}))
            .await;
    }
    assert_eq!(operator.deliveries("?outcome=ignored").await.len(), 7);
    assert_eq!(operator.deliveries("?code=not_mappable").await.len(), 7);
    assert_eq!(operator.deliveries("?route=view").await.len(), 0);
    assert_eq!(operator.deliveries("?q=NOT_MAPP").await.len(), 7);
    assert_eq!(operator.deliveries("?until=1h").await.len(), 0);
    for filter in ["", "outcome=dead_letter&"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = operator
                .get(&format!("/deliveries?{filter}limit=3{cursor}"))
                .await
                .body;
            let entries = page["deliveries"].as_array().expect("a list");
            assert!(entries.len() <= 3);
            seen.extend(entries.iter().map(|entry| text(&entry["id"])));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected = if filter.is_empty() { 14 } else { 7 };
        assert_eq!(seen.len(), expected, "{filter}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), expected, "each entry is listed once");
    }
}

/// A cursor of another list is well-formed, but would select anything.
#[tokio::test]
async fn cursor_of_another_list_is_refused() {
    let operator = Operator::start().await;
    for number in 0..3 {
        operator.deliver(&unmappable(&format!("e{number}"))).await;
        operator.failed_job().await;
    }
    operator.app.flush_delivery_log().await;
    let lists = ["/jobs?", "/deliveries?", "/deliveries?outcome=dead_letter&"];
    for list in lists {
        let page = operator.get(&format!("{list}limit=1")).await.body;
        for other in lists {
            for (name, value, wrong) in [
                ("cursor", &page["next"], &page["latest"]),
                ("after", &page["latest"], &page["next"]),
            ] {
                let send = async |value: &Value| {
                    let path = format!("{other}{name}={}", text(value));
                    operator.get(&path).await
                };
                let answer = send(value).await;
                match list == other {
                    true => assert_eq!(answer.status, 200, "{answer:?}"),
                    false => answer.assert_problem(400, "invalid_parameter"),
                }
                send(wrong).await.assert_problem(400, "invalid_parameter");
            }
        }
        // A forged number beyond the end selects nothing new, and hides nothing that is.
        let latest = text(&page["latest"]);
        let (form, _) = latest.split_once('.').expect("a form");
        let forged = format!("{list}after={form}.999999999999999999");
        let answer = operator.get(&forged).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let name = list
            .trim_matches(['/', '?'])
            .split('?')
            .next()
            .expect("a name");
        assert_eq!(answer.body[name], json!([]), "{answer:?}");
        assert_eq!(answer.body["latest"], json!(latest), "{answer:?}");
    }
}

#[tokio::test]
async fn long_poll_wakes_on_new_delivery() {
    let operator = Operator::start().await;
    let latest = text(&operator.get("/deliveries").await.body["latest"]);
    let waiting = tokio::spawn(send(
        operator.router.clone(),
        Request::get(&format!("/deliveries?after={latest}&wait=25")).authorized(),
    ));
    let latest_job = text(&operator.get("/jobs").await.body["latest"]);
    let jobs = tokio::spawn(send(
        operator.router.clone(),
        Request::get(&format!("/jobs?after={latest_job}&wait=25")).authorized(),
    ));
    let event = json!({"kind": "form", "event": "e1", "ids": [operator.world.id("Leads", 0)]});
    assert_eq!(operator.deliver(&event).await.status, 202);
    let answer = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("woken");
    let answer = answer.expect("an answer");
    assert_eq!(
        answer.body["deliveries"][0]["outcome"], "accepted",
        "{answer:?}"
    );
    assert_ne!(answer.body["latest"], json!(latest));
    let answer = tokio::time::timeout(PATIENCE, jobs).await.expect("woken");
    assert_eq!(answer.expect("an answer").body["jobs"][0]["route"], "form");
    // A wait ends when the process stops.
    let latest = text(&operator.get("/deliveries").await.body["latest"]);
    let path = format!("/deliveries?after={latest}&wait=25");
    let waiting = tokio::spawn(send(
        operator.router.clone(),
        Request::get(&path).authorized(),
    ));
    operator.app.stop_waiting();
    let answer = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("ended");
    assert_eq!(answer.expect("an answer").body["deliveries"], json!([]));
}

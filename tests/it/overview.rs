//! The overview, the routes and the connections of the console.

use serde_json::{Value, json};

use crate::harness::Dev;

const CONFIG: &str = r#"
connections: { default: { credentials: env:Z }, spare: { credentials: env:Y, edition: professional, credit_floor: 200, max_concurrency: 3 } }
callbacks: { signing_secret: env:NOT_SET }
routes:
  shared:
    verify: { scheme: none }
    batch_window: 1s
    map: '{ module: "Leads", fields: { Rating: "Active" }, ids: [ .id ] }'
    callback_url: https://ops.example.com/zoho
  broken:
    verify: { scheme: none }
    map: '{ module: "Leads", fields: { Rating: .rating }, ids: [ .id + 1 ] }'
  form:
    verify: { scheme: typeform, secret: env:NOT_SET_EITHER }
    map: '{ module: "Leads", fields: { Rating: "Active" }, ids: [ .form_response.hidden.zoho_lead_id ] }'
  key:
    verify: { scheme: standard-webhooks-ed25519, secret: env:NO_KEY }
    map: 'empty'
"#;

#[tokio::test]
async fn overview_counts_deliveries_and_saved_calls() {
    let dev = Dev::start_with(Some(CONFIG));
    let empty = dev.get("overview").await.body;
    assert_eq!(
        empty["buckets"].as_array().map(Vec::len),
        Some(48),
        "{empty:#}"
    );
    assert_eq!(empty["totals"]["deliveries"], 0);
    assert_eq!(empty["attention"], json!([]), "{empty:#}");
    // Deliveries of one batch window share their call.
    for number in 0..10_u64 {
        let body = json!({"id": (5_725_767_000_003_000_064 + number).to_string()});
        assert_eq!(dev.deliver("shared", &body).await.status, 202);
    }
    assert_eq!(dev.deliver("broken", &json!({"id": "x"})).await.status, 422);
    assert_eq!(dev.deliver("form", &json!({})).await.status, 401);
    let overview = dev
        .wait_for("overview?hours=1", |overview| {
            overview["totals"]["records"] == 10
        })
        .await;
    let totals = &overview["totals"];
    assert_eq!(totals["deliveries"], 12, "{overview:#}");
    assert_eq!(totals["refused"], 2, "{overview:#}");
    assert!(totals["calls_saved"].as_u64() >= Some(1), "{overview:#}");
    assert_eq!(overview["buckets"].as_array().map(Vec::len), Some(12));
    let sum: u64 = overview["buckets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|bucket| bucket["deliveries"].as_u64())
        .sum();
    assert_eq!(sum, 12);
    // The dead letter needs attention, with the place to mend it.
    assert_eq!(overview["dead_letters"], 1);
    let attention = overview["attention"].as_array().expect("a list");
    let dead = attention.iter().find(|item| {
        item["text"]
            .as_str()
            .is_some_and(|text| text.contains("broken"))
    });
    let dead = dead.unwrap_or_else(|| panic!("{overview:#}"));
    assert_eq!(dead["severity"], "bad");
    assert!(
        dead["link"]
            .as_str()
            .expect("a link")
            .starts_with("/playground?route=broken"),
        "{dead:#}"
    );
    assert!(
        dead["command"]
            .as_str()
            .expect("a command")
            .starts_with("masshook deliveries "),
        "{dead:#}"
    );
}

/// Totals survive a restart of the process.
#[tokio::test]
async fn overview_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("masshook.yaml"), CONFIG).expect("written");
    let path = folder.keep();
    let free = ["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
    let in_folder = || {
        tempfile::Builder::new()
            .tempdir_in(&path)
            .expect("a folder")
    };
    let config = path.join("masshook.yaml");
    let config = config.to_str().expect("text").to_owned();
    let inner = in_folder();
    let kept = inner.path().to_owned();
    let arguments = [&["--config", &config][..], &free[..]].concat();
    let mut dev = Dev::start_in(inner, &arguments);
    assert_eq!(
        dev.deliver("shared", &json!({"id": "5725767000003000064"}))
            .await
            .status,
        202
    );
    dev.wait_for("overview", |overview| overview["totals"]["records"] == 1)
        .await;
    assert_eq!(dev.stop("INT").code(), Some(0), "{}", dev.log());
    let saved = path.join("saved");
    std::fs::rename(kept.join("masshook-dev"), &saved).expect("kept");
    drop(dev);
    let next = in_folder();
    std::fs::rename(&saved, next.path().join("masshook-dev")).expect("restored");
    let dev = Dev::start_in(next, &arguments);
    let overview = dev.get("overview").await.body;
    assert_eq!(overview["totals"]["deliveries"], 1, "{overview:#}");
    assert_eq!(overview["totals"]["records"], 1, "{overview:#}");
    drop(dev);
    std::fs::remove_dir_all(&path).expect("removed");
}

#[tokio::test]
async fn routes_show_url_proof_findings_and_samples() {
    let dev = Dev::start_with(Some(CONFIG));
    let routes = dev.get("routes").await.body;
    let names: Vec<&str> = routes["routes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|route| route["name"].as_str())
        .collect();
    assert_eq!(names, ["broken", "form", "key", "shared"]);
    let form = dev.get("routes/form").await.body;
    assert_eq!(
        form["url"],
        format!("{}/hooks/form", dev.server),
        "{form:#}"
    );
    assert!(
        form["verify"].as_str().expect("a text").contains("HMAC"),
        "{form:#}"
    );
    assert_eq!(form["samples"][0]["name"], "typeform");
    assert!(
        form["map"]
            .as_str()
            .expect("a program")
            .contains("zoho_lead_id")
    );
    assert!(
        form["example"]
            .as_str()
            .expect("YAML")
            .contains("scheme: typeform"),
        "{form:#}"
    );
    // The example names where the secret is, and no secret is in the answer.
    let secrets = std::fs::read_dir(dev.path("masshook-dev/secrets")).expect("a folder");
    for secret in secrets {
        let text = std::fs::read_to_string(secret.expect("a file").path()).expect("text");
        assert!(!form.to_string().contains(text.trim()), "{form:#}");
    }
    assert!(
        dev.get("routes/shared").await.body["is_open"]
            .as_bool()
            .expect("a flag")
    );
    assert_eq!(dev.get("routes/nowhere").await.status, 404);
}

#[tokio::test]
async fn sample_is_signed_and_delivered_to_the_server() {
    let dev = Dev::start_with(Some(CONFIG));
    let sent = dev
        .post("routes/form/sample", &json!({"sender": "typeform"}))
        .await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(sent.body["status"], 202, "{sent:?}");
    let job = sent.body["jobs"][0].as_str().expect("a job").to_owned();
    dev.wait_for(&format!("jobs/{job}"), |job| job["status"] == "succeeded")
        .await;
    // Only the sender has the private key of the other route.
    let refused = dev.post("routes/key/sample", &json!({})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.body["code"], "sample_not_signed");
    assert_eq!(
        dev.post("routes/nowhere/sample", &json!({})).await.status,
        404
    );
    assert_eq!(dev.get("routes/form/sample").await.status, 405);
}

#[tokio::test]
async fn connections_show_token_and_limits() {
    let dev = Dev::start_with(Some(CONFIG));
    let find = |answer: &Value, name: &str| -> Value {
        let connections = answer["connections"].as_array().expect("a list");
        connections
            .iter()
            .find(|one| one["name"] == name)
            .expect("a connection")
            .clone()
    };
    let before = dev.get("connections").await.body;
    assert_eq!(
        find(&before, "default")["token"]["expires_at"],
        Value::Null,
        "{before:#}"
    );
    assert_eq!(
        dev.deliver("shared", &json!({"id": "5725767000003000064"}))
            .await
            .status,
        202
    );
    let after = dev
        .wait_for("connections", |answer| {
            !find(answer, "default")["token"]["expires_at"].is_null()
        })
        .await;
    let used = find(&after, "default");
    assert_eq!(used["data_center"], "us");
    assert_eq!(used["edition"], Value::Null, "the config does not name it");
    assert!(
        used["api_domain"]
            .as_str()
            .expect("a URL")
            .starts_with("http://127.0.0.1:"),
        "{used:#}"
    );
    let spare = find(&after, "spare");
    assert_eq!(spare["in_flight"], json!({"now": 0, "limit": 3}));
    assert_eq!(spare["edition"], "professional");
    assert_eq!(spare["credits"]["floor"], 200);
    assert!(!after.to_string().contains("1000."), "no token: {after}");
}

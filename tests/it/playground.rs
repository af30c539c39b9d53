//! The playground of the console: programs run on events, errors at their place, and the difference to the deployed route.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Dev;

const CONFIG: &str = r#"
connections: { default: { credentials: env:Z } }
limits: { max_body_bytes: 200000, mapping_timeout_ms: 3000 }
routes:
  form:
    verify: { scheme: typeform, secret: env:NOT_SET }
    when:
      - .event_type == "form_response"
      - .form_response.hidden.zoho_lead_id != null
    map: |
      { module: "Leads",
        fields: { Lead_Source: "Webinar" },
        ids: [ .form_response.hidden.zoho_lead_id ] }
  open:
    verify: { scheme: none }
    map: '{ module: "Leads", fields: { Rating: .rating }, ids: [ .id ] }'
"#;

/// Runs the playground, which must answer with 200.
async fn run(dev: &Dev, request: &Value) -> Value {
    let answer = dev.post("playground", request).await;
    assert_eq!(answer.status, 200, "{request}: {answer:?}");
    answer.body
}

#[tokio::test]
async fn sample_yields_the_plan_of_the_deployed_route() {
    let dev = Dev::start_with(Some(CONFIG));
    let result = run(&dev, &json!({"route": "form", "sample": "typeform"})).await;
    assert_eq!(result["accepted"], true, "{result:#}");
    assert_eq!(result["error"], Value::Null);
    let results: Vec<&Value> = result["when"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["result"])
        .collect();
    assert_eq!(results, [true, true]);
    assert_eq!(result["requests"][0]["ids"], json!(["5725767000003000064"]));
    let call = &result["plan"]["calls"][0];
    assert_eq!(call["path"], "/crm/v7/Leads/actions/mass_update");
    assert_eq!(call["body"]["ids"], json!(["5725767000003000064"]));
    assert_eq!(result["plan"]["calls_count"], 1);
    assert_eq!(result["edited"], false);
    let differs = |result: &Value| {
        result["difference"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|one| one["op"] != "same")
    };
    assert!(!differs(&result), "{result:#}");
    // Nothing was sent and nothing stored.
    let jobs = dev.get("jobs").await.body;
    assert_eq!(jobs["jobs"], json!([]), "{jobs}");
}

#[tokio::test]
async fn edited_map_shows_difference_and_yaml() {
    let dev = Dev::start_with(Some(CONFIG));
    let map = "{ module: \"Leads\",\n  fields: { Lead_Source: \"Chat\", Rating: \"Active\" },\n  ids: [ .form_response.hidden.zoho_lead_id ] }";
    let request =
        json!({"route": "form", "sample": "typeform", "config": {"map": map, "when": "true"}});
    let result = run(&dev, &request).await;
    let difference = result["difference"].as_array().expect("a list");
    let find = |path: &str| {
        difference
            .iter()
            .find(|entry| entry["path"] == path)
            .unwrap_or_else(|| panic!("{path}: {result:#}"))
    };
    assert_eq!(find("/fields/Lead_Source")["op"], "change");
    assert_eq!(find("/fields/Lead_Source")["from"], "Webinar");
    assert_eq!(
        find("/fields/Rating"),
        &json!({"op": "add", "path": "/fields/Rating", "to": "Active"})
    );
    assert_eq!(find("/module")["op"], "same");
    assert_eq!(
        find("calls")["to"],
        2,
        "two fields of a lead take two calls"
    );
    assert_eq!(
        result["deployed"]["requests"][0]["fields"],
        json!({"Lead_Source": "Webinar"})
    );
    // Pasted into the config in place of the old keys, the YAML deploys what was seen.
    let yaml = result["yaml"].as_str().expect("YAML");
    let text = CONFIG
        .split("    when:")
        .next()
        .expect("the head")
        .to_owned()
        + yaml;
    std::fs::write(dev.path("masshook.yaml"), text).expect("written");
    dev.wait_for("routes", |routes| !routes.to_string().contains("\"open\""))
        .await;
    let deployed = run(&dev, &json!({"route": "form", "sample": "typeform"})).await;
    assert_eq!(deployed["requests"], result["requests"], "{yaml}");
}

#[tokio::test]
async fn errors_have_their_place_and_a_hint() {
    let dev = Dev::start_with(Some(CONFIG));
    let map = |source: &str| json!({"map": source});
    for (config, program, at, message, hint) in [
        (
            map("{a: 1 |\n  slect(.x)}"),
            "map",
            json!([2, 3, 5]),
            "there is no filter `slect`",
            json!("did you mean `select`?"),
        ),
        (
            map("{module: \"Leads\", fields: {}, ids: [.event_id + 1]}"),
            "map",
            json!([1, 38, 8]),
            "",
            Value::Null,
        ),
        (map("{ \"a\": "), "map", Value::Null, "", Value::Null),
        (
            json!({"when": ["true", ".event_id"]}),
            "when[1]",
            json!([1, 1, 9]),
            "yields a string",
            json!("compare the value, as in `.paid == true` or `.email != null`"),
        ),
        (
            json!({"when": ".a ="}),
            "when",
            Value::Null,
            "",
            Value::Null,
        ),
        (
            map("{module: \"Leads\", fields: {Rating: \"A\"}, ids: [1.5]}"),
            "map",
            Value::Null,
            "output 1",
            Value::Null,
        ),
    ] {
        let result = run(
            &dev,
            &json!({"route": "form", "sample": "typeform", "config": config}),
        )
        .await;
        let error = &result["error"];
        assert_eq!(error["program"], program, "{config}: {result:#}");
        assert!(
            error["message"].as_str().expect("a text").contains(message),
            "{config}: {error:#}"
        );
        if !at.is_null() {
            assert_eq!(
                json!([error["line"], error["column"], error["length"]]),
                at,
                "{config}: {error:#}"
            );
        }
        if !hint.is_null() {
            assert_eq!(error["hint"], hint, "{config}: {error:#}");
        }
        assert_eq!(result["accepted"], false);
        assert_eq!(
            result["deployed"]["accepted"], true,
            "the deployed route is as before"
        );
    }
    // A key that the event lacks is no error, but has a hint.
    let misspelled = json!({"when": ".form_respnse.token != null"});
    let result = run(
        &dev,
        &json!({"route": "form", "sample": "typeform", "config": misspelled}),
    )
    .await;
    assert_eq!(result["when"][0]["result"], false);
    assert_eq!(
        result["hints"][0]["hint"], "did you mean `form_response`?",
        "{result:#}"
    );
    assert_eq!(
        json!([
            result["hints"][0]["line"],
            result["hints"][0]["column"],
            result["hints"][0]["length"]
        ]),
        json!([1, 2, 12])
    );
    assert_eq!(result["ignored"], "`when` is false");
}

#[tokio::test]
async fn stored_delivery_is_run_as_it_was_received() {
    let dev = Dev::start_with(Some(CONFIG));
    let delivered = dev
        .deliver("open", &json!({"rating": "Active", "id": "not a record"}))
        .await;
    assert_eq!(delivered.status, 422, "{delivered:?}");
    // The log is written after the answer.
    dev.wait_for("deliveries", |answer| answer["deliveries"][0].is_object())
        .await;
    let listed = dev.run(&[
        "deliveries",
        "list",
        "--data",
        "masshook-dev/data",
        "--json",
    ]);
    let list: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let id = list["deliveries"][0]["id"].as_str();
    let id = id.unwrap_or_else(|| panic!("{list:#}")).to_owned();
    let result = run(&dev, &json!({"delivery": id})).await;
    assert_eq!(result["route"], "open");
    assert_eq!(result["event"]["source"], "delivery");
    assert_eq!(result["error"]["program"], "map", "{result:#}");
    let shortened = run(&dev, &json!({"delivery": &id[..12]})).await;
    assert_eq!(shortened["route"], "open", "{shortened:#}");
    let mended = json!({"map": "{ module: \"Leads\", fields: { Rating: .rating }, ids: [ \"5725767000003000064\" ] }"});
    let result = run(&dev, &json!({"delivery": id, "config": mended})).await;
    assert_eq!(result["accepted"], true);
    let outcome = &result["difference"][0];
    assert_eq!(outcome["path"], "outcome", "{result:#}");
    assert!(
        outcome["from"]
            .as_str()
            .expect("a text")
            .starts_with("fails: "),
        "{outcome}"
    );
}

#[tokio::test]
async fn hostile_requests_are_refused() {
    let dev = Dev::start_with(Some(CONFIG));
    let deep = format!("{{\"text\":{}}}", json!("[".repeat(100_000)));
    for (body, status, code) in [
        (String::new(), 422, "playground_input_invalid"),
        ("[1,2".to_owned(), 422, "playground_input_invalid"),
        ("{}".to_owned(), 422, "playground_input_invalid"),
        (
            json!({"route": "form"}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "nowhere", "text": "{}"}).to_string(),
            404,
            "no_such_route",
        ),
        (
            json!({"text": "{}"}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "form", "text": "{}", "sample": "typeform"}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "form", "sample": "typefrm"}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "form", "delivery": "dlv_0"}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "form", "text": "{}", "headers": {"a b": "c"}}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "form", "text": "{}", "headers": {"a": "c\r\nx: y"}}).to_string(),
            422,
            "playground_input_invalid",
        ),
        (
            json!({"route": "form", "text": "{}", "unknown": 1}).to_string(),
            422,
            "playground_input_invalid",
        ),
    ] {
        let answer = dev.post_text("playground", body.clone()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert_eq!(answer.body["code"], code, "{shown}: {answer:?}");
    }
    // The answer to a body that is too large comes before its end, and the client may find the connection closed.
    let huge = format!(
        "{{\"route\":\"form\",\"text\":\"{}\"}}",
        "x".repeat(1_000_000)
    );
    let mut refused = None;
    for _ in 0..50 {
        refused = dev.try_post_text("playground", huge.clone()).await;
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("an answer");
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(refused.body["code"], "body_too_large");
    // What is wrong with the event itself is part of the result.
    let map = json!({"map": "{module: \"Leads\", fields: {Rating: \"A\"}, ids: [.id]}"});
    for text in ["{", "\u{0}", "{\"a\":1,\"a\":2}", "[[[[[[", "nul"] {
        let result = run(&dev, &json!({"config": map, "text": text})).await;
        assert_eq!(result["error"]["program"], "body", "{text}: {result:#}");
        assert!(result["error"]["line"].is_u64(), "{text}: {result:#}");
    }
    let nested: Value = serde_json::from_str(&deep).expect("JSON");
    let result = run(&dev, &json!({"config": map, "text": nested["text"]})).await;
    assert_eq!(result["error"]["program"], "body");
}

/// Numbers of any length reach the program as they were pasted.
#[tokio::test]
async fn long_numbers_keep_their_digits() {
    let dev = Dev::start_with(Some(CONFIG));
    let map = json!({"map": "{module: \"Leads\", fields: {Rating: (.n | tostring)}, ids: [.id]}"});
    let text = format!(
        "{{\"config\":{map},\"body\":{{\"id\":5725767000003000064,\"n\":123456789012345678901234567890}}}}"
    );
    let answer = dev.post_text("playground", text).await;
    assert_eq!(
        answer.body["requests"][0]["ids"],
        json!(["5725767000003000064"]),
        "{answer:?}"
    );
    assert_eq!(
        answer.body["requests"][0]["fields"]["Rating"],
        "123456789012345678901234567890"
    );
}

#[tokio::test]
async fn large_plan_gives_a_small_answer() {
    let dev = Dev::start_with(Some(CONFIG));
    let map = json!({"map": "{module: \"Leads\", fields: {Rating: \"Active\"}, ids: [range(1000000; 1050000)]}"});
    let answer = dev
        .post(
            "playground",
            &json!({"route": "open", "config": map, "text": "{}"}),
        )
        .await;
    assert_eq!(answer.body["plan"]["calls_count"], 100, "{answer:?}");
    assert_eq!(answer.body["requests"][0]["ids"][10], "… 49990 more");
    assert!(answer.text.len() < 100_000, "{}", answer.text.len());
}

/// Programs without an end have a thread of their own, so deliveries are mapped meanwhile.
#[tokio::test]
async fn endless_program_ends_and_delays_no_delivery() {
    let dev = Dev::start_with(Some(CONFIG));
    for source in [
        "last(range(1e12))",
        "def f: f; f",
        "[range(1e9)]",
        "\"x\" * 1e9",
        "def f: [f]; f",
    ] {
        let endless = json!({"route": "open", "text": "{}", "config": {"map": source}});
        let result = run(&dev, &endless).await;
        let message = result["error"]["message"].as_str().expect("an error");
        assert!(message.contains("the program"), "{source}: {message}");
    }
    let endless = json!({"route": "open", "text": "{}", "config": {"map": "last(range(1e12))"}});
    let deliveries = async {
        for number in 0..20 {
            let body = json!({"id": "5725767000003000064", "rating": "Active", "n": number});
            assert_eq!(dev.deliver("open", &body).await.status, 202);
        }
    };
    // Many at once: each ends, by its own error or because the queue is full, and no delivery waits for them.
    let runs = async {
        futures_util::future::join_all((0..8).map(|_| dev.post("playground", &endless))).await
    };
    let (ended, ()) = tokio::time::timeout(
        Duration::from_secs(120),
        futures_util::future::join(runs, deliveries),
    )
    .await
    .expect("all end");
    for answer in ended {
        assert!([200, 503].contains(&answer.status), "{answer:?}");
    }
}

#[tokio::test]
async fn example_of_the_route_is_offered() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    let events = "  events:\n    verify: { scheme: none }\n    cloudevents: {}\n    map: '{module: \"Leads\", fields: {Rating: \"Hot\"}, ids: [.answers.lead_id]}'\n";
    write("masshook.yaml", &format!("{CONFIG}{events}"));
    let body = json!({"id": "5725767000003000064", "rating": "Hot"});
    write("examples/open/event.json", &body.to_string());
    let whole = json!({"route": "form", "headers": {"X-Kind": "a"}, "body": "text"});
    write("examples/form/event.json", &whole.to_string());
    let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {}});
    write("examples/events/event.json", &event.to_string());
    let dev = Dev::start_in(
        folder,
        &["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"],
    );
    let example =
        async |route: &str| dev.get(&format!("routes/{route}")).await.body["example_event"].clone();
    let open = example("open").await;
    assert_eq!(open["content_type"], "application/json", "{open:#}");
    let result = run(
        &dev,
        &json!({"route": "open", "text": open["body"], "headers": open["headers"]}),
    )
    .await;
    assert_eq!(result["requests"][0]["ids"], json!(["5725767000003000064"]));
    let form = example("form").await;
    assert_eq!(
        (&form["body"], &form["headers"]["x-kind"]),
        (&json!("text"), &json!("a"))
    );
    let events = example("events").await;
    assert_eq!(events["content_type"], "application/cloudevents+json");
    // What is no delivery is no example.
    let lambda = json!({"requestContext": {}, "body": "x"});
    std::fs::write(dev.path("examples/open/event.json"), lambda.to_string()).expect("written");
    assert_eq!(example("open").await, Value::Null);

    // The samples of a route that takes CloudEvents are some.
    let shown = dev.get("routes/events").await.body;
    assert_eq!(
        shown["samples"][0]["content_type"],
        "application/cloudevents+json"
    );
    let result = run(&dev, &json!({"route": "events", "sample": "custom"})).await;
    assert_eq!(result["accepted"], true, "{result:#}");
    let sent = dev.post("routes/events/sample", &json!({})).await;
    assert_eq!(sent.body["status"], 202, "{sent:?}");

    // The console knows the routes by name, without those that strangers name.
    dev.deliver("nosuchroute", &body).await;
    let status = dev.get("status").await.body;
    assert_eq!(
        status["routes"],
        json!(["events", "form", "open"]),
        "{status:#}"
    );
}

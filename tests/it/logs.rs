//! The log tells the story at its default level, readable and as JSON.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Harness, Request, Served, repo_path, text};

/// Routes beside those of the harness: one that verifies, and one that looks records up.
const ROUTES: &str = "
  signed:
    verify: { scheme: typeform, secret: 'file:/dev/null' }
    map: empty
  person:
    verify: { scheme: none }
    map: '{module: \"Leads\", fields: {Lead_Source: \"Webinar\"}, match: {field: \"Email\", values: [.email], on_none: \"succeed\"}}'
";

/// A line without what differs between runs: times, ids, ports and durations.
fn stable(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let (key, value) = word.split_once('=').unwrap_or(("", word));
        let ending = value.trim_end_matches([',', ';', ':', ')', '.']);
        let rest = &value[ending.len()..];
        let short = match ending {
            id if id.starts_with("job_") => "job_…",
            id if id.starts_with("dlv_") => "dlv_…",
            at if at.contains("-") && at.ends_with('Z') && at.contains('T') => "TIME",
            other => other,
        };
        match key {
            "" => format!("{short}{rest}"),
            key => format!("{key}={short}{rest}"),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Waits until the log contains a text.
async fn wait_for(world: &Served, part: &str) {
    let over = Instant::now() + Duration::from_secs(60);
    while !world.log().contains(part) {
        assert!(Instant::now() < over, "no `{part}`:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts a server and makes one of everything happen.
async fn story(arguments: &[&str]) -> (Served, Vec<String>) {
    let harness = Harness::new().routes(ROUTES).callback_statuses(&[500]);
    let mut world = harness.served().prepare().await;
    let secret = world.folder().join("sender");
    std::fs::write(&secret, "a-secret-of-this-sender").expect("written");
    let config = std::fs::read_to_string(world.config()).expect("the config");
    let config = config.replace("/dev/null", &secret.display().to_string());
    std::fs::write(world.config(), config).expect("written");
    world.start(arguments).await;

    let accepted = world
        .submit(&json!({"event": "e1", "ids": [world.lead(1)]}))
        .await;
    wait_for(&world, "next try at").await;
    let failed = json!({"event": "e2", "ids": ["999999999999999999"], "reference": 1});
    let failed = world.submit(&failed).await;
    world
        .wait_until(&failed[0], |job| !job["finished_at"].is_null())
        .await;
    let unmatched = world
        .request(
            "POST",
            "/hooks/person",
            Some(&json!({"email": "nobody@example.com"})),
        )
        .await;
    let unmatched = unmatched.expect("an answer").job_id();
    world
        .wait_until(&unmatched, |job| !job["finished_at"].is_null())
        .await;
    let refused = Request::json("/hooks/signed/t0ken-in-path?key=s3cret-in-query", "{}").with(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    );
    assert_eq!(refused.send_to(&world.url("")).await.status, 401);
    wait_for(&world, "4bf92f3577b34da6a3ce929d0e0e4736").await;
    let jobs = vec![accepted[0].clone(), failed[0].clone(), unmatched];
    (world, jobs)
}

#[tokio::test]
async fn readable_log_tells_the_story() {
    let (world, jobs) = story(&[]).await;
    let log = world.log();
    let lines: Vec<&str> = log.lines().collect();
    let of = |part: &str| {
        let found = lines.iter().find(|line| line.contains(part));
        let line = found.unwrap_or_else(|| panic!("no `{part}`:\n{log}"));
        stable(line)
    };
    assert_eq!(
        of(&format!("-> {}", jobs[0])),
        "TIME  INFO 202 form dlv_… -> job_… queued"
    );
    assert_eq!(
        of(&format!("{} of form succeeded", jobs[0])),
        "TIME  INFO job_… of form succeeded, 1 of 1 updated delivery.id=dlv_… connection=default records.updated=1"
    );
    let retried = of("next try at");
    assert!(
        retried.starts_with("TIME  WARN callback of job_… not delivered: ")
            && retried.ends_with("; next try at TIME delivery.id=dlv_… attempts=1"),
        "{retried}"
    );
    let failed = of(&format!("{} of form failed", jobs[1]));
    assert!(
        failed.starts_with("TIME  WARN job_… of form failed, 0 of 1 updated: INVALID_DATA: "),
        "{failed}"
    );
    assert!(failed.contains(" records.failed=1"), "{failed}");
    let unmatched = of(&format!("{} of person succeeded", jobs[2]));
    assert!(
        unmatched.starts_with("TIME  WARN job_… of person succeeded, 0 of 1 matched"),
        "{unmatched}"
    );
    let refused = of("4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(refused.starts_with("TIME  WARN 401 refused: "), "{refused}");
    for part in [
        " http.method=POST",
        " url.path=/hooks/signed/…",
        " route=signed",
        " client.address=127.0.0.1",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    // A refused delivery that is stored has its id once.
    let body = json!({"email": {"no": "address"}, "event": 1});
    let unmappable = world.request("POST", "/hooks/person", Some(&body)).await;
    assert_eq!(unmappable.expect("an answer").status, 422);
    wait_for(&world, "422 refused").await;
    let log = world.log();
    let line = log.lines().find(|line| line.contains("422 refused"));
    let line = line.expect("a line");
    assert_eq!(line.matches("delivery.id=").count(), 1, "{line}");
    for secret in ["t0ken-in-path", "s3cret-in-query", "\u{1b}"] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
}

#[tokio::test]
async fn json_log_has_the_same_story() {
    let (world, jobs) = story(&["--log-format", "json"]).await;
    let log = world.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let of = |part: &str| {
        let message = |line: &&Value| text(&line["fields"]["message"]).contains(part);
        lines
            .iter()
            .find(message)
            .unwrap_or_else(|| panic!("no `{part}`:\n{log}"))
    };
    let accepted = of(&format!("-> {}", jobs[0]));
    assert_eq!(accepted["level"], "INFO");
    let fields = &accepted["fields"];
    assert_eq!(
        (
            &fields["http.status"],
            &fields["route"],
            &fields["job.id"],
            &fields["status"]
        ),
        (
            &json!(202),
            &json!("form"),
            &json!(jobs[0]),
            &json!("queued")
        )
    );
    assert!(
        text(&fields["delivery.id"]).starts_with("dlv_"),
        "{accepted:#}"
    );
    let failed = of(&format!("{} of form failed", jobs[1]));
    assert_eq!(
        (
            &failed["level"],
            &failed["fields"]["code"],
            &failed["fields"]["records.failed"]
        ),
        (&json!("WARN"), &json!("INVALID_DATA"), &json!(1))
    );
    let refused = of("401 refused");
    let span = &refused["span"];
    assert_eq!(
        (
            &span["http.method"],
            &span["url.path"],
            &span["client.address"],
            &span["trace_id"]
        ),
        (
            &json!("POST"),
            &json!("/hooks/signed/…"),
            &json!("127.0.0.1"),
            &json!("4bf92f3577b34da6a3ce929d0e0e4736")
        )
    );
    for line in &lines {
        let message = text(&line["fields"]["message"]);
        let is_of_job = jobs.iter().any(|job| message.contains(job.as_str()));
        assert!(
            !is_of_job || line["fields"]["job.id"].is_string(),
            "{line:#}"
        );
    }
}

/// The line of each delivery has the id under which the log of deliveries shows it.
#[tokio::test]
async fn delivery_lines_have_ids_of_delivery_log() {
    let routes =
        "\n  picky:\n    verify: { scheme: none }\n    when: '.event == \"yes\"'\n    map: empty\n";
    let harness = Harness::new().routes(routes);
    let mut world = harness.served().prepare().await;
    world.start(&["--log-format", "json"]).await;
    let delivery = json!({"event": "e1", "ids": [world.lead(1)]});
    let job = world.submit(&delivery).await.remove(0);
    world.wait_for_job(&job).await;
    assert_eq!(world.submit(&delivery).await, std::slice::from_ref(&job));
    for (path, status) in [("/hooks/picky", 200), ("/hooks/nosuch", 404)] {
        let event = json!({"event": "no"});
        let answer = world.request("POST", path, Some(&event)).await;
        assert_eq!(answer.expect("an answer").status, status);
    }
    wait_for(&world, "404 refused").await;
    let log = world.log();
    let lines = log.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("JSON");
    let mut seen = Vec::new();
    for (part, place, outcome) in [
        (format!("-> {job} queued"), "fields", "accepted"),
        (format!("-> {job} succeeded"), "fields", "duplicate"),
        ("ignored by its route".to_owned(), "fields", "ignored"),
        ("404 refused".to_owned(), "span", "refused"),
    ] {
        let has = |line: &&Value| text(&line["fields"]["message"]).contains(&part);
        let line = lines.iter().find(has);
        let line = line.unwrap_or_else(|| panic!("no `{part}`:\n{log}"));
        let id = text(&line[place]["delivery.id"]);
        let over = Instant::now() + Duration::from_secs(60);
        let shown = loop {
            let (code, shown) = world.cli(&["deliveries", "show", &id]);
            if code == 0 {
                break shown;
            }
            assert!(Instant::now() < over, "{part}: {shown}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(shown["outcome"], outcome, "{line:#}");
        assert!(!seen.contains(&id), "{id} twice");
        seen.push(id);
    }
    // Everything about the job has the delivery.
    let of_job = lines
        .iter()
        .filter(|line| line["fields"]["job.id"] == job.as_str());
    let of_job: Vec<&Value> = of_job.collect();
    let callback = |line: &&Value| text(&line["fields"]["message"]).contains("callback of");
    assert!(of_job.iter().any(callback), "{of_job:#?}");
    for line in of_job {
        let message = text(&line["fields"]["message"]);
        let has_id = line["fields"]["delivery.id"] == seen[0].as_str();
        assert!(
            has_id || message.contains("duplicate") || message.contains("202"),
            "{line:#}"
        );
    }
}

#[tokio::test]
async fn failed_zoho_call_names_its_job() {
    let mut world = Harness::new().served().prepare().await;
    world.start(&["--log-format", "json"]).await;
    world.faults(&json!({"rate_5xx": 1.0})).await;
    let delivery = json!({"event": "e1", "ids": [world.lead(1)]});
    let job = world.submit(&delivery).await.remove(0);
    wait_for(&world, "\"retry\":false").await;
    world.faults(&json!({"rate_5xx": 0.0})).await;
    world.wait_for_job(&job).await;
    let mut failures = 0;
    for line in world.log().lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if text(&line["fields"]["message"]).starts_with("Zoho call failed") {
            assert_eq!(line["span"]["job.id"], job.as_str(), "{line:#}");
            assert!(text(&line["span"]["delivery.id"]).starts_with("dlv_"));
            failures += 1;
        }
    }
    assert!(failures > 1, "{}", world.log());
}

/// Values of Rust's `Debug` are not for readers of a log.
#[test]
fn log_has_no_debug_output() {
    let mut folders = vec![repo_path("src")];
    let mut checked = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let code = std::fs::read_to_string(&path).expect("a source file");
            let code = code
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            for call in code.split("tracing::").skip(1) {
                let is_macro = [
                    "error!(",
                    "warn!(",
                    "info!(",
                    "debug!(",
                    "trace!(",
                    "info_span!(",
                ]
                .iter()
                .any(|name| call.starts_with(name));
                if is_macro {
                    let call = call.split(");").next().unwrap_or_default();
                    assert!(
                        !call.contains("= ?") && !call.contains(":?}"),
                        "{}: {call}",
                        path.display()
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

/// A value whose record the job has created is not one that nobody has.
#[tokio::test]
async fn created_record_is_no_miss() {
    const CREATING: &str = r#"
  create:
    verify: { scheme: none }
    map: |
      { module: "Leads", fields: { Lead_Source: "Webinar" },
        match: { field: "Email", values: [.email], on_none: "create", create: { Last_Name: "Lovelace", Company: "Analytical Engines" } } }
"#;
    let served = Harness::new().routes(CREATING).served().start().await;
    let delivery = json!({"email": "created@example.com"});
    let answer = served
        .request("POST", "/hooks/create", Some(&delivery))
        .await;
    let id = answer.expect("an answer").job_id();
    served
        .wait_until(&id, |job| job["counts"]["created"] == 1)
        .await;
    let log = served
        .wait_for_log(|line| line.contains(&format!("{id} of create")))
        .await;
    let line = log.lines().find(|line| line.contains("of create"));
    assert_eq!(
        stable(line.expect("a line")),
        "TIME  INFO job_… of create succeeded, 0 of 1 updated, 1 created delivery.id=dlv_… connection=default records.updated=0 records.created=1"
    );
    let (code, list) = served.cli_text(&["jobs", "list"]);
    assert_eq!(code, 0, "{list}");
    assert!(list.contains("1/1") && list.contains("1 created"), "{list}");
    assert!(!list.contains("matched"), "{list}");
}

//! Dead letters on AWS: stored, replayed, redelivered.

use super::*;

#[tokio::test]
async fn unmappable_delivery_is_stored_and_replayed() {
    let mut stack = Stack::start("aws-kept").await;
    let lead = stack.lead(3);
    let answer = stack.form(&json!({"event": "e1", "lead": lead})).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    let logs = stack.inbound.logs();
    assert_eq!(counted("UnmappableDeliveries", &logs), 1, "{logs}");
    let listed = stack.command(&["deliveries", "list", "--outcome", "dead_letter"]);
    let listed = listed["deliveries"].as_array().expect("a list").clone();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (&listed[0]["route"], &listed[0]["code"]),
        (&json!("form"), &answer.body["code"])
    );

    let fixed: PathBuf = stack.folder.path().join("mended.yaml");
    let (zoho, callback) = (stack.simulator.url(), stack.receiver.url("/zoho"));
    let text = config_text("aws-kept", zoho, &callback, ".ids // [.lead]");
    std::fs::write(&fixed, text).expect("written");
    let kept = listed[0]["id"].as_str().expect("an id");
    let fixed = fixed.display().to_string();
    let replayed = stack.command(&["deliveries", "replay", kept, "--config", &fixed]);
    let id = replayed["jobs"][0]["id"]
        .as_str()
        .expect("a job")
        .to_owned();

    let job = stack.finish(&id).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert!(stack.is_updated(&lead).await);
    stack.receiver.next().await.verified();
    let left = stack.command(&["deliveries", "list", "--outcome", "dead_letter"]);
    assert_eq!(left["deliveries"], json!([]));
    let jobs = stack.command(&["jobs", "list"]);
    assert_eq!(
        (&jobs["jobs"][0]["id"], &jobs["jobs"][0]["status"]),
        (&json!(id), &json!("succeeded"))
    );
}

#[tokio::test]
async fn failed_job_delivery_is_dead_lettered_and_replayed() {
    let mut stack = Stack::start("aws-dead").await;
    let world = &stack.simulator.announcement()["world"]["modules"]["Leads"];
    let locked = world["conditions"]["locked"].clone();
    let form = json!({"event": "e1", "ids": [locked]});
    let answer = stack.form(&form).await;
    let failed = answer.body["jobs"][0]["id"].as_str().expect("a job");
    assert_eq!(stack.finish(failed).await["status"], "failed");
    let listed = stack.command(&["deliveries", "list", "--outcome", "dead_letter"]);
    let dead = &listed["deliveries"][0];
    assert_eq!(
        (&dead["dead_letter"]["code"], &dead["dead_letter"]["job"]),
        (&json!("JOB_FAILED"), &json!(failed)),
        "{listed}"
    );
    let kept = dead["id"].as_str().expect("an id");
    let shown = stack.command(&["deliveries", "show", kept]);
    assert_eq!(shown["content"]["body"], json!(form.to_string()));

    let lead = stack.lead(6);
    let fixed: PathBuf = stack.folder.path().join("mended.yaml");
    let (zoho, callback) = (stack.simulator.url(), stack.receiver.url("/zoho"));
    let text = config_text("aws-dead", zoho, &callback, &format!("[\"{lead}\"]"));
    std::fs::write(&fixed, text).expect("written");
    let fixed = fixed.display().to_string();
    let replayed = stack.command(&["deliveries", "replay", kept, "--config", &fixed]);
    let id = replayed["jobs"][0]["id"].as_str().expect("a job");
    assert_ne!(id, failed);
    assert_eq!(stack.finish(id).await["status"], "succeeded");
    assert!(stack.is_updated(&lead).await);
    let left = stack.command(&["deliveries", "list", "--outcome", "dead_letter"]);
    assert_eq!(left["deliveries"], json!([]));
}

#[tokio::test]
async fn refused_callback_url_is_dead_lettered_and_replayed() {
    let mut stack = Stack::start("aws-callback").await;
    let lead = stack.lead(4);
    let inside = [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/zoho",
        "https://[fd00::1]/zoho",
    ];
    for (number, url) in inside.iter().enumerate() {
        let form = json!({"event": format!("e{number}"), "ids": [lead], "callback": url});
        let answer = stack.form(&form).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (422, &json!("callback_refused")),
            "{answer:?}"
        );
    }
    // None created a job, and all are stored.
    assert_eq!(stack.command(&["jobs", "list"])["jobs"], json!([]));
    let listed = stack.command(&["deliveries", "list", "--outcome", "dead_letter"]);
    let listed = listed["deliveries"].as_array().expect("a list").clone();
    assert_eq!(listed.len(), inside.len(), "{listed:?}");
    for kept in &listed {
        assert_eq!(kept["code"], "callback_refused");
        let reason = kept["reason"].as_str().expect("a reason");
        assert!(reason.contains("the callback URL is refused"), "{reason}");
    }
    let logs = stack.inbound.logs();
    let counted = counted("UnmappableDeliveries", &logs);
    assert_eq!(counted, inside.len(), "{logs}");

    let fixed = stack.folder.path().join("mended.yaml");
    let (zoho, callback) = (stack.simulator.url(), stack.receiver.url("/zoho"));
    let text = config_text("aws-callback", zoho, &callback, MAP);
    let text = text.replace("if .callback then", "if false then");
    std::fs::write(&fixed, text).expect("written");
    let kept = listed[0]["id"].as_str().expect("an id");
    let fixed = fixed.display().to_string();
    let replayed = stack.command(&["deliveries", "replay", kept, "--config", &fixed]);
    let id = replayed["jobs"][0]["id"].as_str().expect("a job");
    assert_eq!(stack.finish(id).await["status"], "succeeded");
    stack.receiver.next().await.verified();
    assert!(stack.is_updated(&lead).await);
}

#[tokio::test]
async fn jobs_commands_list_redeliver_and_replay() {
    let mut stack = Stack::with("aws-commands", &[410], true).await;
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let id = stack.form(&form).await.job_id();
    let job = stack.finish(&id).await;
    assert_eq!(job["callback"]["status"], "undeliverable", "{job:#}");
    let listed = stack.command(&["jobs", "list", "--status", "undeliverable"]);
    assert_eq!(listed["jobs"][0]["id"], json!(id), "{listed:#}");
    let shown = stack.command(&["jobs", "show", &id]);
    assert_eq!(
        (&shown["id"], &shown["callback"]),
        (&job["id"], &job["callback"])
    );
    stack.command(&["jobs", "redeliver", &id]);
    assert!(stack.queue.poll(&stack.worker, 5).await);
    assert_eq!(stack.job(&id).await["callback"]["status"], "delivered");
    let reported = stack.receiver.wait_for(2).await;
    assert_eq!(
        reported[0].header("webhook-id"),
        reported[1].header("webhook-id"),
        "one id"
    );
    assert_eq!(reported[0].body, reported[1].body);

    let leads = &stack.simulator.announcement()["world"]["modules"]["Leads"];
    let locked = leads["conditions"]["locked"].clone();
    let failed = stack
        .form(&json!({"event": "e2", "ids": [locked]}))
        .await
        .job_id();
    assert_eq!(stack.finish(&failed).await["status"], "failed");
    let replayed = stack.command(&["jobs", "replay", &failed]);
    let new = replayed["job"]["id"].as_str().expect("a job").to_owned();
    assert_ne!(new, failed);
    assert_eq!(stack.finish(&new).await["status"], "failed");
}

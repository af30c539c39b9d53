//! Dead letters of a server: listed, shown, replayed and redelivered by the commands `jobs` and `deliveries`.

use super::*;

#[tokio::test]
async fn unmappable_delivery_is_replayed_after_config_fix() {
    let mut world = served().await;
    let delivery = json!({"event": "e1", "ids": ["no id"], "reference": "kept"});
    let answer = world.deliver(&delivery).await.expect("an answer");
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.body["code"], "not_mappable");

    let (code, kept) = world.cli(&["deliveries", "list", "--outcome", "dead_letter"]);
    assert_eq!(code, 0);
    let kept = &kept["deliveries"][0];
    assert_eq!(
        (&kept["route"], &kept["code"]),
        (&json!("form"), &json!("not_mappable"))
    );
    let id = text(&kept["id"]);
    let (_, listed) = world.cli_text(&["deliveries", "list", "--outcome", "dead_letter"]);
    // The text has the beginning of the id.
    assert!(listed.contains(&id[..12]), "{listed}");
    for list in ["jobs", "deliveries"] {
        let (code, refused) = world.cli(&[list, "list", "--cursor", "zzz"]);
        assert_eq!(code, 2, "{refused}");
    }
    let config = world.config();
    let config = config.to_str().expect("a path");
    let every = ["deliveries", "replay", "--all", "--yes", "--config", config];
    let (code, failed) = world.cli(&every);
    assert_eq!(code, 1, "the only one failed: {failed}");
    assert_eq!(failed["results"][0]["outcome"], "failed");
    let replay = ["deliveries", "replay", &id, "--config", config];
    let (code, refused) = world.cli(&replay);
    assert_eq!(code, 1);
    assert!(
        text(&refused["error"]).contains("not an update request"),
        "{refused}"
    );

    // What the fixed config would do with the stored delivery.
    let draft = world.folder().join("draft.yaml");
    let deployed = std::fs::read_to_string(config).expect("the config");
    let lead = world.id("Leads", 5);
    let mended = deployed.replace("ids: .ids", &format!("ids: [\"{lead}\"]"));
    std::fs::write(&draft, mended).expect("written");
    let draft = draft.display().to_string();
    let data = world.data().display().to_string();
    let (code, compared) = world.cli(&["preview", "--config", config, "--against", &draft]);
    assert_eq!(code, 1, "the stored deliveries of the folder: {compared}");
    let entry = &compared["comparisons"][0];
    assert_eq!(entry["event"], json!(id), "{data}");
    assert_eq!(entry["routes"][0]["difference"][0]["path"], "outcome");

    assert!(compared["not_compared"].to_string().contains("order_for"));
    let of_route = |route: &str| {
        world.cli(&[
            "preview",
            "--config",
            config,
            "--against",
            &draft,
            "--route",
            route,
        ])
    };
    let route = text(&entry["routes"][0]["route"]);
    let (code, same) = of_route(&route);
    assert_eq!((code, &same["compared"]), (1, &compared["compared"]));
    let (code, unknown) = of_route("nosuch");
    assert_eq!(code, 2, "{unknown}");
    assert!(text(&unknown["error"]).contains("there is no route `nosuch`"));

    // The route is fixed while the server is stopped.
    world.signal("TERM");
    world.wait_for_exit().await;
    let lead = world.id("Leads", 5);
    let fixed = std::fs::read_to_string(config).expect("the config");
    let fixed = fixed.replace("ids: .ids", &format!("ids: [\"{lead}\"]"));
    std::fs::write(config, fixed).expect("written");
    let (code, replayed) = world.cli(&replay);
    assert_eq!(code, 0, "{replayed}");
    let job = ids(&replayed);
    assert_eq!(
        world
            .cli(&["deliveries", "list", "--outcome", "dead_letter"])
            .1["deliveries"],
        json!([])
    );
    assert_eq!(world.cli(&replay).0, 1, "it is no longer stored");
    // The delivery has its replay.
    let (_, shown) = world.cli(&["deliveries", "show", &id]);
    assert_eq!(shown["jobs"][0]["id"], json!(job[0]), "{shown:#}");
    let steps = shown["steps"].as_array().expect("steps");
    let last = steps.last().expect("a step");
    assert_eq!(
        (&last["name"], &last["ok"]),
        (&json!("replayed"), &json!(true))
    );
    assert!(text(&last["detail"]).contains(&job[0]), "{last}");
    world.start(&[]).await;
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
    assert_eq!(world.record("Leads", &lead).await["Lead_Source"], "Webinar");
}

#[tokio::test]
async fn undeliverable_callback_can_be_redelivered() {
    let world = harness().callback_statuses(&[410]).served().start().await;
    let job = world.submit(&form("e1", &[world.id("Leads", 0)])).await;
    let ended = world.wait_for_job(&job[0]).await;
    assert_eq!(
        ended["status"], "succeeded",
        "the records are updated anyway"
    );
    assert_eq!(ended["callback"]["status"], "undeliverable");
    let (_, list) = world.cli(&["jobs", "list", "--status", "undeliverable"]);
    assert_eq!(ids(&list), job);
    let (code, shown) = world.cli(&["jobs", "show", &job[0]]);
    assert_eq!((code, &shown["id"]), (0, &ended["id"]));
    assert_eq!(shown["callback"], ended["callback"]);
    let dead = world
        .cli(&["deliveries", "list", "--outcome", "dead_letter"])
        .1["deliveries"]
        .clone();
    assert_eq!(dead[0]["id"], shown["delivery"]);
    assert_eq!(dead[0]["dead_letter"]["job"], json!(job[0]));
    assert_eq!(dead[0]["dead_letter"]["code"], "CALLBACK_UNDELIVERABLE");

    let (code, answer) = world.cli(&["jobs", "redeliver", &job[0]]);
    assert_eq!(code, 0, "{answer}");
    world
        .wait_until(&job[0], |job| job["callback"]["status"] == "delivered")
        .await;
    assert_eq!(world.receiver.all().len(), 2);
    assert_eq!(world.callbacks().len(), 1, "one id, one body");
    let dead = world
        .cli(&["deliveries", "list", "--outcome", "dead_letter"])
        .1["deliveries"]
        .clone();
    assert_eq!(dead, json!([]));
    let (code, _) = world.cli(&["jobs", "redeliver", "job_unheard_of"]);
    assert_eq!(code, 1);
    assert_eq!(world.cli(&["jobs", "show", "job_unheard_of"]).0, 1);
}

#[tokio::test]
async fn dead_letter_stays_until_both_jobs_are_resolved() {
    let world = harness()
        .callback_statuses(&[410, 410])
        .served()
        .start()
        .await;
    let lead = |place| json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)]});
    let pair = json!({"event": "pair", "updates": [lead(3), lead(4)]});
    let jobs = world.submit(&pair).await;
    for id in &jobs {
        let ended = world.wait_for_job(id).await;
        assert_eq!(ended["callback"]["status"], "undeliverable", "{ended:#}");
    }
    let dead = || {
        world
            .cli(&["deliveries", "list", "--outcome", "dead_letter"])
            .1["deliveries"]
            .clone()
    };
    let dead_letter = dead()[0].clone();
    let named = text(&dead_letter["dead_letter"]["job"]);
    assert_eq!(world.cli(&["jobs", "redeliver", &named]).0, 0);
    world
        .wait_until(&named, |job| job["callback"]["status"] == "delivered")
        .await;
    assert_eq!(
        dead()[0]["id"],
        dead_letter["id"],
        "the other callback is undeliverable"
    );

    let config = world.config();
    let config = config.to_str().expect("a path");
    let id = text(&dead_letter["id"]);
    let (code, replayed) = world.cli(&["deliveries", "replay", &id, "--config", config]);
    assert_eq!(code, 0, "{replayed}");
    let anew = ids(&replayed);
    let new: Vec<&String> = anew.iter().filter(|id| !jobs.contains(id)).collect();
    assert_eq!((anew.len(), new.len()), (2, 1), "{replayed}");
    let ended = world.wait_for_job(new[0]).await;
    assert_eq!(ended["callback"]["status"], "delivered", "{ended:#}");
    assert_eq!(dead(), json!([]));
}

#[tokio::test]
async fn failed_job_delivery_is_replayed_after_config_fix() {
    let world = served().await;
    let bad = text(&world.zoho()["modules"]["Leads"]["conditions"]["locked"]);
    let delivery = form("e1", &[bad]);
    let job = world.submit(&delivery).await;
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "failed");
    let dead = world
        .cli(&["deliveries", "list", "--outcome", "dead_letter"])
        .1["deliveries"][0]
        .clone();
    assert_eq!(
        (
            &dead["route"],
            &dead["dead_letter"]["code"],
            &dead["dead_letter"]["job"]
        ),
        (&json!("form"), &json!("JOB_FAILED"), &json!(job[0]))
    );
    let id = text(&dead["id"]);
    let (code, shown) = world.cli(&["deliveries", "show", &id]);
    assert_eq!(code, 0, "{shown}");
    assert_eq!(
        shown["content"]["body"],
        json!(delivery.to_string()),
        "byte for byte"
    );
    let headers = shown["content"]["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!(["content-type", "application/json"])));
    assert!(!shown.to_string().contains("Bearer"), "{shown}");

    let config = world.config();
    let lead = world.id("Leads", 5);
    let fixed = std::fs::read_to_string(&config).expect("the config");
    let fixed = fixed.replace("ids: .ids", &format!("ids: [\"{lead}\"]"));
    std::fs::write(&config, fixed).expect("written");
    let config = config.to_str().expect("a path");
    let replay = ["deliveries", "replay", &id, "--config", config];
    let (code, replayed) = world.cli(&replay);
    assert_eq!(code, 0, "{replayed}");
    let anew = ids(&replayed);
    assert_eq!(anew.len(), 1);
    assert_ne!(anew, job);
    assert_eq!(world.wait_for_job(&anew[0]).await["status"], "succeeded");
    assert_eq!(world.record("Leads", &lead).await["Lead_Source"], "Webinar");

    // Nothing is left to replay, and a redelivery returns the first job.
    let left = world
        .cli(&["deliveries", "list", "--outcome", "dead_letter"])
        .1;
    assert_eq!(left["deliveries"], json!([]));
    // The log still shows the delivery, without its body.
    let (code, logged) = world.cli(&["deliveries", "show", &id]);
    assert_eq!((code, &logged["body"]["stored"]), (0, &json!(false)));
    let listed = |place: usize| text(&logged["jobs"][place]["id"]);
    assert_eq!(
        [listed(0), listed(1)],
        [job[0].clone(), anew[0].clone()],
        "{logged:#}"
    );
    assert_eq!(world.cli(&replay).0, 1, "there is nothing to replay");
    assert_eq!(world.submit(&delivery).await, job);
    assert_eq!(world.callbacks().len(), 2);
}

#[tokio::test]
async fn replayed_job_is_a_new_job() {
    let world = served().await;
    let bad = text(&world.zoho()["modules"]["Leads"]["conditions"]["locked"]);
    let job = world.submit(&form("e1", &[bad])).await;
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "failed");
    let (code, answer) = world.cli(&["jobs", "replay", &job[0]]);
    assert_eq!(code, 0, "{answer}");
    let new = text(&answer["job"]["id"]);
    assert_ne!(new, job[0]);
    assert_eq!(world.wait_for_job(&new).await["status"], "failed");
    let (_, twice) = world.cli(&["jobs", "replay", &job[0]]);
    let third = text(&twice["job"]["id"]);
    assert_eq!(
        twice["replays"],
        json!(new),
        "a replay that failed is replayed in its turn"
    );
    assert_eq!(world.wait_for_job(&third).await["status"], "failed");
    assert_eq!(world.callbacks().len(), 3);
    let dead = world
        .cli(&["deliveries", "list", "--outcome", "dead_letter"])
        .1["deliveries"]
        .clone();
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!(
        dead[0]["dead_letter"]["job"],
        json!(third),
        "the latest job counts"
    );
    let dead = text(&dead[0]["id"]);
    let (_, shown) = world.cli(&["deliveries", "show", &dead]);
    let listed = shown["jobs"].as_array().expect("jobs").iter();
    let listed: Vec<String> = listed.map(|job| text(&job["id"])).collect();
    assert_eq!(listed, [job[0].clone(), new, third], "{shown:#}");
    let good = world.submit(&form("e2", &[world.id("Leads", 0)])).await;
    world.wait_for_job(&good[0]).await;
    assert_eq!(world.cli(&["jobs", "replay", &good[0]]).0, 1);
}

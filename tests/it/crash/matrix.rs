//! The crash matrix: the process ends at the first and at the second pass of every fail point.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures_util::StreamExt;
use masshook::failpoint::POINTS;
use serde_json::{Value, json};

use crate::harness::{Harness, Moto, Served, ids, text};

/// How many servers run at once.
const AT_ONCE: usize = 4;

/// The signal of an aborted process.
const SIGABRT: i32 = 6;

/// How many servers that share their token through a secret run at once. Most of them only wait: the lease of a dead
/// process lasts 45 s.
const SHARING_AT_ONCE: usize = 8;

/// How many jobs the deliveries create.
const JOBS: usize = 15;

/// The new owner of some leads.
const OWNER: &str = "5725767000000411002";
const OWNER_EMAIL: &str = "alan.sales@example.com";

/// After these points the token is stored, and no other is requested.
const TOKEN_IS_SAFE: [&str; 3] = ["token.cached", "token.unlocked", "token_cache.written"];

/// A route whose deliveries have an order.
const ORDERED: &str = "  ordered: { verify: { scheme: none }, delivery_id: .event, order_by: .at, map: .update, callback_url: CALLBACK }
";

/// Where the token is shared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TokenLocation {
    Store,
    Secret,
}

impl TokenLocation {
    /// Whether sharing the token there passes a fail point.
    fn has(self, point: &str) -> bool {
        match self {
            Self::Store => !point.starts_with("token_cache."),
            Self::Secret => point.starts_with("token_cache.") || point.starts_with("token."),
        }
    }
}

/// Returns deliveries of every kind: jobs that share a mass update, a record update or a Zoho job, calls in sequence,
/// records to look up, a call that must not be repeated, a newer and an older delivery for one record, a record that is created
/// in an order, and a delivery that cannot be mapped.
fn deliveries(world: &Served) -> Vec<Value> {
    let lead = |place| json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)]});
    let own = |place| {
        let fields = json!({"Email": format!("own{place}@example.com")});
        json!({"module": "Leads", "fields": fields, "ids": [world.id("Leads", place)], "update_by": "records"})
    };
    let view = json!({"module": "Leads", "fields": {"Lead_Status": "Contacted"}, "cvid": world.zoho()["views"]["Leads"]["all"]["id"]});
    let deal = json!({
        "event": "deal", "module": "Deals", "ids": [world.id("Deals", 0), world.id("Deals", 1)],
        "fields": {"Next_Step": "Call", "Type": "New Business", "Lead_Source": "Webinar", "Amount": 12.5},
    });
    let matched = json!({
        "module": "Leads", "fields": {"Lead_Source": "Advertisement"},
        "match": {"field": "Email", "values": ["lead7@example.com"]},
    });
    // Three kinds of steps, of which the owner has to be looked up.
    let steps = json!({
        "module": "Leads", "fields": {"City": "Bonn"}, "tags": {"add": ["Webinar"], "remove": ["Cold"]},
        "owner": {"email": OWNER_EMAIL}, "ids": [world.id("Leads", 8), world.id("Leads", 9)],
    });
    let ordered = |at: u8, city: &str| {
        let update =
            json!({"module": "Leads", "fields": {"City": city}, "ids": [world.id("Leads", 10)]});
        json!({"event": city, "route": "ordered", "at": at, "update": update})
    };
    let created = |email: &str| {
        let create = json!({"Last_Name": "New", "Company": "Acme"});
        json!({"module": "Leads", "fields": {"City": "Bonn"},
            "match": {"field": "Email", "values": ["new@example.com", email], "on_none": "create", "create": create}})
    };
    // A record that is created in an order, and gets a tag and its owner once its id is known.
    let mut crew = created("crew@example.com");
    crew["match"]["values"] = json!(["crew@example.com"]);
    crew["tags"] = json!({"add": ["Webinar"]});
    crew["owner"] = json!({"id": OWNER});
    let crew = json!({"event": "crew", "route": "ordered", "at": 1, "update": crew});
    vec![
        json!({"event": "broken", "ids": ["no id"]}),
        json!({"event": "sought", "updates": [matched]}),
        json!({"event": "pair", "updates": [lead(3), lead(4)]}),
        json!({"event": "own", "updates": [own(3), own(5)]}),
        json!({"event": "created", "updates": [created("one@example.com"), created("NEW@example.com")]}),
        json!({"event": "view", "updates": [view, view]}),
        json!({"event": "topics", "fields": {"Topics": ["Billing"]}, "ids": [world.id("Leads", 5)]}),
        json!({"event": "steps", "updates": [steps]}),
        deal,
        ordered(2, "new"),
        ordered(1, "old"),
        crew,
    ]
}

/// The place of the step that a request carries out on a record.
fn step_of(request: &Value, id: &str) -> Option<usize> {
    let path = request["path"].as_str()?;
    let action = path.rsplit('/').next()?;
    let steps = ["mass_update", "add_tags", "remove_tags", "change_owner"];
    let place = steps.iter().position(|step| *step == action)?;
    request["body"].to_string().contains(id).then_some(place)
}

/// Sends the open deliveries and records the ids of their jobs; stops when the server is gone. The unmappable delivery
/// is not sent again.
async fn send(world: &Served, open: &mut Vec<Value>, known: &mut BTreeSet<String>) {
    while let Some(delivery) = open.first() {
        let answer = match delivery["route"].is_null() {
            true => world.deliver(delivery).await,
            false => {
                world
                    .request("POST", "/hooks/ordered", Some(delivery))
                    .await
            }
        };
        let Some(answer) = answer else {
            return;
        };
        let wanted = if delivery["event"] == "broken" {
            422
        } else {
            202
        };
        assert_eq!(answer.status, wanted, "{answer:?}");
        if wanted == 202 {
            known.extend(ids(&answer.body));
        }
        open.remove(0);
    }
}

/// Whether every job has finished. Asks the server, because a process for each poll would slow down the others.
async fn over(world: &Served, known: &BTreeSet<String>) -> bool {
    for id in known {
        let path = format!("/jobs/{id}");
        let answer = world.request("GET", &path, None).await;
        let is_over =
            |job: &Value| !job["finished_at"].is_null() && job["callback"]["status"] != "pending";
        if !answer.is_some_and(|answer| is_over(&answer.body)) {
            return false;
        }
    }
    known.len() == JOBS
}

/// Crashes at a fail point, restarts, and checks the result. Returns whether the point was reached.
async fn crash(point: &str, times: u32, location: TokenLocation) -> bool {
    let at = format!("{point}:{times}");
    let harness = Harness::new()
        .simulator(|zoho| zoho.job_duration = Duration::from_millis(300))
        .config(|config| {
            let receiver = config.split("callback_url: ").nth(1);
            let receiver = receiver.and_then(|rest| rest.lines().next());
            let ordered = ORDERED.replace("CALLBACK", receiver.expect("a receiver"));
            config + &ordered + "callback_on: progress\non_unknown_outcome: reread\n"
        });
    let cache = format!("token_cache: secretsmanager:crash/{point}");
    let harness = match location {
        TokenLocation::Store => harness.served(),
        TokenLocation::Secret => harness
            .connection(&cache)
            .served()
            .environment(Moto::shared().environment()),
    };
    let mut world = harness.prepare().await;
    world.start(&["--crash-at", &at]).await;
    let (mut open, mut known) = (deliveries(&world), BTreeSet::new());
    send(&world, &mut open, &mut known).await;
    let mut reached = false;
    while !(reached || open.is_empty() && over(&world, &known).await) {
        reached = world.try_exit().is_some_and(|status| {
            assert_eq!(status.signal(), Some(SIGABRT), "{at}: {}", world.log());
            true
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if !reached {
        world.kill().await;
    }

    world.start(&[]).await;
    send(&world, &mut open, &mut known).await;
    assert_eq!(open, Vec::<Value>::new(), "{at}: {}", world.log());
    for id in &known {
        world.wait_for_job(id).await;
    }
    let jobs = world.wait_for_jobs(JOBS).await;

    for job in jobs.values() {
        // Zoho does not update all records of the view.
        let good = job["status"] == "succeeded" || job["status"] == "partially_succeeded";
        assert!(good, "{at}: {job:#}");
        assert_eq!(job["callback"], "delivered", "{at}: {job:#}");
    }
    let callbacks = world.callbacks();
    let ends = callbacks
        .values()
        .filter(|callback| !callback["data"]["finished_at"].is_null());
    let reported: Vec<String> = ends.map(|callback| text(&callback["data"]["id"])).collect();
    assert_eq!(
        reported.len(),
        JOBS,
        "{at}: one final callback for each job"
    );
    assert!(
        reported.iter().all(|id| jobs.contains_key(id)),
        "{at}: {reported:?}"
    );
    let mut tries: BTreeMap<String, usize> = BTreeMap::new();
    for callback in world.receiver.all() {
        *tries
            .entry(callback.header("webhook-id").to_owned())
            .or_default() += 1;
    }
    // Each job had at most one effect in progress.
    assert!(tries.values().all(|tries| *tries <= 2), "{at}: {tries:?}");
    for place in [3, 4] {
        let record = world.record("Leads", &world.id("Leads", place)).await;
        assert_eq!(
            (&record["Lead_Source"], &record["Lead_Status"]),
            (&json!("Webinar"), &json!("Contacted")),
            "{at}"
        );
    }
    for place in [3, 5] {
        let record = world.record("Leads", &world.id("Leads", place)).await;
        let own = format!("own{place}@example.com");
        assert_eq!(record["Email"], json!(own), "{at}");
    }
    let record = world.record("Leads", &world.id("Leads", 5)).await;
    let topics = record["Topics"].as_array().expect("a list");
    assert!(topics.contains(&json!("Billing")), "{at}: {record:#}");
    let requests = world.requests().await;
    let added = requests.as_array().expect("requests").iter();
    let added = added.filter(|request| request["body"].to_string().contains("Billing"));
    assert_eq!(added.count(), 1, "{at}: options are added once");
    for place in [0, 1] {
        let record = world.record("Deals", &world.id("Deals", place)).await;
        assert_eq!(
            (&record["Next_Step"], &record["Amount"]),
            (&json!("Call"), &json!(12.5)),
            "{at}"
        );
    }
    for place in [8, 9] {
        let record = world.record("Leads", &world.id("Leads", place)).await;
        assert_eq!(
            (
                &record["City"],
                &record["Tag"][0]["name"],
                &record["Owner"]["id"]
            ),
            (&json!("Bonn"), &json!("Webinar"), &json!(OWNER)),
            "{at}"
        );
    }
    let steps = requests.as_array().expect("requests").iter();
    let steps = steps.filter_map(|request| step_of(request, &world.id("Leads", 8)));
    let steps: Vec<usize> = steps.collect();
    assert!(
        steps.is_sorted(),
        "{at}: each step is over before the next begins: {steps:?}"
    );
    let record = world.record("Leads", &world.id("Leads", 6)).await;
    assert_eq!(record["Lead_Source"], "Advertisement", "{at}");
    let record = world.record("Leads", &world.id("Leads", 10)).await;
    assert_eq!(record["City"], "new", "{at}");
    let requests = requests.as_array().expect("requests").iter();
    let cities = requests.filter_map(|request| request["body"]["data"][0]["City"].as_str());
    let cities: Vec<&str> = cities.filter(|city| *city != "Bonn").collect();
    assert!(
        cities.is_sorted_by_key(|city| *city == "new"),
        "{at}: {cities:?}"
    );
    let mut emails = Vec::new();
    for place in 2_000..2_004 {
        let record = world.record("Leads", &world.id("Leads", place)).await;
        emails.extend(record["Email"].as_str().map(str::to_lowercase));
        if record["Email"] == "crew@example.com" {
            let given = (&record["Tag"][0]["name"], &record["Owner"]["id"]);
            assert_eq!(given, (&json!("Webinar"), &json!(OWNER)), "{at}");
        }
    }
    emails.sort();
    let expected = ["crew@example.com", "new@example.com", "one@example.com"];
    assert_eq!(emails, expected, "{at}: each record is created once");
    let (_, kept) = world.cli(&["deliveries", "list", "--outcome", "dead_letter"]);
    assert_eq!(kept["deliveries"].as_array().map(Vec::len), Some(1), "{at}");
    let tokens = world.count("token").await;
    let most = if TOKEN_IS_SAFE.contains(&point) { 1 } else { 2 };
    assert!(tokens <= most, "{at}: {tokens} tokens");
    reached
}

/// Crashes at every point, at its passes up to `most`; returns the points that were never reached.
async fn missed(location: TokenLocation, most: u32, at_once: usize) -> Vec<&'static str> {
    let points = POINTS.iter().copied().filter(|point| location.has(point));
    let runs = points.flat_map(|point| (1..=most).map(move |times| (point, times)));
    let outcomes: Vec<(&str, u32, bool)> = futures_util::stream::iter(runs)
        .map(|(point, times)| async move {
            let start = std::time::Instant::now();
            let run = tokio::spawn(crash(point, times, location)).await;
            let reached = run.unwrap_or_else(|error| panic!("{point}:{times}: {error}"));
            eprintln!(
                "{point}:{times} ({location:?}) reached: {reached}, {:.1?}",
                start.elapsed()
            );
            (point, times, reached)
        })
        .buffer_unordered(at_once)
        .collect()
        .await;
    let missed = outcomes
        .into_iter()
        .filter(|(_, times, reached)| *times == 1 && !reached);
    missed.map(|(point, _, _)| point).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_between_effects_loses_no_job() {
    let (mut missed, others) = tokio::join!(
        missed(TokenLocation::Store, 2, AT_ONCE),
        missed(TokenLocation::Secret, 1, SHARING_AT_ONCE)
    );
    missed.extend(others);
    assert!(missed.is_empty(), "never reached: {missed:?}");
}

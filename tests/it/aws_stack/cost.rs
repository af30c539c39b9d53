//! What AWS bills for an event: the write and read units of DynamoDB and the requests to SQS, as `tests/tools/aws_meter.py`
//! computes them. `docs/benchmarks.md` has the figures. To print them:
//! `cargo run --example stack-cost`.

#![allow(clippy::print_stdout, reason = "the bill is printed")]

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::Value;
use zoho_simulator::Settings;

use super::*;

/// US dollars for a million units or requests, on demand, in us-east-1 (aws.amazon.com/dynamodb/pricing/on-demand and
/// aws.amazon.com/sqs/pricing, read in November 2026).
const WRITE_PRICE: f64 = 0.625;
const READ_PRICE: f64 = 0.125;
const QUEUE_PRICE: f64 = 0.40;

/// What a number of events cost, for one event.
struct Bill {
    write_units: f64,
    /// The size of the largest head item of a job.
    job_bytes: u64,
}

impl Bill {
    /// Prints the bill of a table and a queue of this name.
    fn print(name: &str, events: u32, lines: &[Value]) -> Self {
        let per_event = |number: f64| number / f64::from(events);
        let sum = |key: &str| per_event(lines.iter().filter_map(|line| line[key].as_f64()).sum());
        // A worker receives and deletes a batch in two requests, and long polling costs the same for every volume.
        let is_send = |line: &&Value| {
            line["operation"]
                .as_str()
                .is_some_and(|op| op.starts_with("Send"))
        };
        let sends = lines
            .iter()
            .filter(|line| line["service"] == "sqs")
            .filter(is_send)
            .count();
        let sends = per_event(u32::try_from(sends).map(f64::from).expect("few"));
        let stored = lines.iter().filter(|line| line["service"] == "dynamodb");
        let requests = u32::try_from(stored.count()).map(f64::from).expect("few");
        let requests = per_event(requests) + sends;
        let (writes, reads) = (sum("wru"), sum("rru"));
        let dollars = writes * WRITE_PRICE + reads * READ_PRICE + sends * QUEUE_PRICE;
        println!(
            "{name}: {events} events, each {writes:.2} WRU, {reads:.2} RRU, {requests:.2} requests ({sends:.2} to SQS), \
             {dollars:.2} dollars a million"
        );
        let mut kinds: BTreeMap<String, (u32, f64, f64, u64)> = BTreeMap::new();
        for line in lines.iter().filter(|line| line["service"] == "dynamodb") {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            let key = text("key");
            let key = key.split(['#', '/']).next().unwrap_or_default();
            let part = if line["part"] == true { " part" } else { "" };
            let kind = kinds
                .entry(format!("{} {key}{part}", text("operation")))
                .or_default();
            kind.0 += 1;
            kind.1 += line["wru"].as_f64().unwrap_or_default();
            kind.2 += line["rru"].as_f64().unwrap_or_default();
            kind.3 = kind.3.max(line["bytes"].as_u64().unwrap_or_default());
        }
        for (kind, (requests, writes, reads, bytes)) in kinds {
            println!(
                "    {kind}: {requests} requests, {writes} WRU, {reads} RRU, at most {bytes} bytes"
            );
        }
        let is_job = |line: &&Value| {
            let key = line["key"].as_str().unwrap_or_default();
            key.starts_with("job#") && line["part"] != true
        };
        let heads = lines.iter().filter(is_job);
        Self {
            write_units: writes,
            job_bytes: heads
                .filter_map(|line| line["bytes"].as_u64())
                .max()
                .unwrap_or_default(),
        }
    }
}

impl Stack {
    /// Lets the queue invoke the worker until these jobs have finished and their callbacks are delivered.
    async fn finish_all(&mut self, ids: &[String]) {
        for _ in 0..PATIENCE {
            while self.queue.poll(&self.worker, 1).await {}
            if self.receiver.all().len() >= ids.len() {
                // Wake-ups that are left cost something, too.
                while self.queue.poll(&self.worker, 3).await {}
                return;
            }
        }
        panic!("unfinished:\n{}", self.worker.logs());
    }
}

/// The first event of a worker also pays for the access token, so the second one is measured.
#[tokio::test]
async fn isolated_event_costs_at_most_nine_write_units() {
    let name = "aws-cost-isolated";
    let mut stack = Stack::start(name).await;
    let first = stack
        .form(&json!({"event": "e1", "ids": [stack.lead(1)]}))
        .await;
    stack.finish_all(&[first.job_id()]).await;
    let before = Moto::shared().billed(name).len();
    let second = stack
        .form(&json!({"event": "e2", "ids": [stack.lead(2)]}))
        .await;
    stack.finish_all(&[first.job_id(), second.job_id()]).await;
    let bill = Bill::print("isolated event", 1, &Moto::shared().billed(name)[before..]);
    assert!(bill.write_units <= 9.0, "{}", bill.write_units);
    // Seven writes of the job, its index entries included, and two of the permit. The history travels with them, and an item of
    // more than a kilobyte would double four of them.
    assert!(bill.job_bytes <= 1024, "{}", bill.job_bytes);
}

/// The order of a record costs a claim, its end, and a read.
#[tokio::test]
async fn ordered_event_costs_two_write_units_more() {
    let name = "aws-cost-ordered";
    let mut stack = Stack::start(name).await;
    let path = stack.folder.path().join("ordered.yaml");
    let config = std::fs::read_to_string(stack.folder.path().join("masshook.yaml"));
    let config = config.expect("the config");
    let ordered = "delivery_id: .event\n    order_by: .at\n";
    let config = config.replacen("delivery_id: .event\n", ordered, 1);
    std::fs::write(&path, config).expect("written");
    stack.inbound = stack.another_inbound(&[("MASSHOOK_CONFIG", &path.display().to_string())]);
    let form =
        |event: &str, at: u32, lead: String| json!({"event": event, "at": at, "ids": [lead]});
    let first = stack.form(&form("e1", 1, stack.lead(1))).await;
    stack.finish_all(&[first.job_id()]).await;
    let before = Moto::shared().billed(name).len();
    let second = stack.form(&form("e2", 2, stack.lead(2))).await;
    stack.finish_all(&[first.job_id(), second.job_id()]).await;
    let lines = &Moto::shared().billed(name)[before..];
    let bill = Bill::print("isolated event with an order", 1, lines);
    assert!(bill.write_units <= 11.0, "{}", bill.write_units);
    assert!(bill.job_bytes <= 1024, "{}", bill.job_bytes);
    let is_order = |line: &&Value| {
        line["key"]
            .as_str()
            .is_some_and(|key| key.starts_with("order#"))
    };
    assert!(lines.iter().any(|line| is_order(&line)), "{lines:#?}");
}

#[tokio::test]
async fn event_in_window_costs_at_most_eight_write_units() {
    let name = "aws-cost-window";
    let mut stack = Stack::start(name).await;
    let path = stack.folder.path().join("window.yaml");
    let config = std::fs::read_to_string(stack.folder.path().join("masshook.yaml"));
    let config = format!("batch_window: 10s\n{}", config.expect("the config"));
    std::fs::write(&path, config).expect("written");
    stack.inbound = stack.another_inbound(&[("MASSHOOK_CONFIG", &path.display().to_string())]);
    // A busy machine takes them in during several windows. Each costs a few units more: the permits of its own calls.
    let forms = (0..100_u64).map(|number| {
        let stack = &stack;
        async move {
            let form = json!({"event": format!("e{number}"), "ids": [stack.lead(number)]});
            stack.form(&form).await.job_id()
        }
    });
    let ids = join_all(forms).await;
    stack.finish_all(&ids).await;
    let lines = Moto::shared().billed(name);
    let bill = Bill::print("event in a window of 10 s", 100, &lines);
    println!("    {} calls", stack.count("mass_update_post").await);
    assert!(bill.write_units <= 8.0, "{}", bill.write_units);
}

#[tokio::test]
async fn many_ids_cost_at_most_180_write_units() {
    let name = "aws-cost-many";
    let org = Settings {
        records: BTreeMap::from([("Leads".to_owned(), 50_000)]),
        ..Settings::default()
    };
    let mut stack = Stack::with_org(name, &[], true, org).await;
    let ids: Vec<String> = (0..50_000).map(|number| stack.lead(number)).collect();
    let update = json!({
        "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": ids,
        "callback_url": stack.receiver.url("/zoho"),
    });
    let job = stack.update(&update).await.job_id();
    stack.finish_all(&[job]).await;
    let bill = Bill::print("50,000 ids", 1, &Moto::shared().billed(name));
    // 158, and a few for each further turn of a busy machine.
    assert!(bill.write_units <= 180.0, "{}", bill.write_units);
}

//! The JSON of the pages: update requests, jobs, callbacks.

use masshook::job::view::JobView;
use masshook::update::UpdateRequest;
use serde_json::{Deserializer, Value, json};

use super::blocks::blocks_of_pages;
use super::body;

fn documents() -> Vec<(String, Value)> {
    let blocks = blocks_of_pages("json").into_iter();
    let documents = blocks.flat_map(|block| {
        let documents = Deserializer::from_str(&block.code).into_iter::<Value>();
        let documents = documents.map(|document| {
            let document = document.unwrap_or_else(|error| panic!("{}: {error}", block.place));
            (block.place.clone(), document)
        });
        documents.collect::<Vec<_>>()
    });
    documents.collect()
}

#[test]
fn documented_update_requests_parse_and_cover_all_keys() {
    let mut count = 0;
    for (place, document) in documents() {
        let is_request = document.get("module").is_some() && document.get("counts").is_none();
        if is_request {
            if let Err(problems) = UpdateRequest::parse(&document) {
                panic!("{place}: {document}\n{problems:#?}");
            }
            count += 1;
        }
    }
    assert!(count > 1, "{count}");
    let body = body();
    let wrong = json!({ "module": "Leads", "fields": { "Rating": "Active" }, "ids": ["1"], "qqqqqqqqqqqqqqqqqqq": 1 });
    let problems = UpdateRequest::parse(&wrong).expect_err("a problem");
    let problem = problems[0].to_string();
    let (_, known) = problem.split_once("known here: ").expect("a list");
    for key in known.split(", ") {
        let named = [format!("\"{key}\":"), format!("`{key}`")];
        let named = named.iter().any(|name| body.contains(name.as_str()));
        assert!(named, "the documents have nothing on `{key}`");
    }
}

/// Each job in the documents parses, and its counts add up.
#[test]
fn documented_job_parses() {
    let mut jobs = 0;
    for (place, shown) in documents() {
        if shown.get("counts").is_none() {
            continue;
        }
        let job: JobView = serde_json::from_value(shown.clone()).expect("a job");
        assert_eq!(serde_json::to_value(&job).expect("JSON"), shown, "{place}");
        let counts = job.counts;
        assert_eq!(
            counts.total,
            counts.updated + counts.failed + counts.pending
        );
        jobs += 1;
    }
    assert!(jobs > 0);
}

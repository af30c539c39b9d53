//! What every store guarantees about filters and positions of lists, and about the log of deliveries.

use masshook::job::{CallEvent, CallbackStatus, JobStatus};
use masshook::store::delivery_log::{
    DeliveryFilter, DeliveryOutcome, LogClass, LogEntry, OutcomeFilter, Step, StepName,
};
use masshook::store::memory::MemoryStore;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{JobFilter, ListPosition, PageRequest, StatusFilter, Store};
use masshook::trigger::Trigger;
use proptest::prelude::*;
use serde_json::json;

use super::delivery_fixture::{add_with_delivery, delivery, finish};
use super::fixture::Fixture;

/// An entry of the log.
fn entry(fixture: &Fixture, id: &str, class: LogClass) -> LogEntry {
    let outcome = match class {
        LogClass::Accepted => DeliveryOutcome::Accepted,
        LogClass::Duplicate => DeliveryOutcome::Duplicate,
        LogClass::Ignored => DeliveryOutcome::Ignored,
        LogClass::Refused | LogClass::Stranger => DeliveryOutcome::Refused,
    };
    LogEntry {
        id: id.to_owned(),
        delivery: None,
        class,
        received_at: fixture.now(),
        route: "form".to_owned(),
        trigger: Some(Trigger::Http),
        outcome,
        code: None,
        reason: None,
        ignored_by: None,
        status: Some(202),
        jobs: Vec::new(),
        jobs_count: 0,
        records: None,
        took_ms: Some(3),
        sender: Some("192.0.2.7".to_owned()),
        bytes: Some(17),
        content_type: None,
        steps: vec![Step {
            name: StepName::Received,
            ok: true,
            detail: "POST".to_owned(),
            took_ms: Some(0),
        }],
        error: None,
        replays: Vec::new(),
        left_out: 0,
    }
}

/// The ids of the jobs that a filter selects.
async fn selected(fixture: &Fixture, filter: &JobFilter) -> Vec<String> {
    let (mut ids, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let found = fixture.store.list(filter, &page).await.expect("a page");
        ids.extend(found.entries.iter().map(|job| job.id.to_string()));
        match found.next {
            Some(next) => page.from = ListPosition::Before(next),
            None => return ids,
        }
    }
}

pub(super) async fn filters_select_jobs(fixture: &Fixture) {
    let request = |reference: serde_json::Value| json!({"module": "Leads", "fields": {"Score": 1.25}, "ids": ["1"], "reference": reference});
    let first = fixture.job_for("a", &request(json!("order 7")));
    fixture.store.add(&first, None).await.expect("added");
    fixture.advance(60);
    let between = fixture.now();
    let second = fixture.job_for("b", &request(json!({"order": 8})));
    fixture.store.add(&second, None).await.expect("added");
    let mut third = fixture.add_job("c").await;
    let undeliverable = CallbackStatus::Undeliverable;
    let settled = CallEvent::Settled(Vec::new());
    let lease = finish(fixture, &mut third, settled, undeliverable).await;
    let released = fixture.store.release(&third, lease, None).await;
    released.expect("released");

    let (first, second, third) = (
        first.id.to_string(),
        second.id.to_string(),
        third.id.to_string(),
    );
    let some = |text: &str| Some(text.to_owned());
    let none = JobFilter::default();
    let status = |status| JobFilter::of_status(status);
    let cases: Vec<(JobFilter, Vec<&String>)> = vec![
        (
            status(StatusFilter::Status(JobStatus::Queued)),
            vec![&first, &second],
        ),
        (status(StatusFilter::Undeliverable), vec![&third]),
        (status(StatusFilter::Parked), vec![]),
        (
            JobFilter {
                route: some("form"),
                ..none.clone()
            },
            vec![&first, &second, &third],
        ),
        (
            JobFilter {
                route: some("/jobs"),
                ..none.clone()
            },
            vec![],
        ),
        (
            JobFilter {
                connection: some("default"),
                ..none.clone()
            },
            vec![&first, &second, &third],
        ),
        (
            JobFilter {
                connection: some("other"),
                ..none.clone()
            },
            vec![],
        ),
        (
            JobFilter {
                reference: some("order 7"),
                ..none.clone()
            },
            vec![&first],
        ),
        (
            JobFilter {
                reference: some("{\"order\":8}"),
                ..none.clone()
            },
            vec![&second],
        ),
        (
            JobFilter {
                code: some("CALLBACK_UNDELIVERABLE"),
                ..none.clone()
            },
            vec![&third],
        ),
        (
            JobFilter {
                code: some("NONE"),
                ..none.clone()
            },
            vec![],
        ),
        (
            JobFilter {
                since: Some(between),
                ..none.clone()
            },
            vec![&second, &third],
        ),
        (
            JobFilter {
                until: Some(between),
                ..none.clone()
            },
            vec![&first],
        ),
        (
            JobFilter {
                search: some("410 GONE"),
                ..none.clone()
            },
            vec![&third],
        ),
        (
            JobFilter {
                route: some("form"),
                since: Some(between),
                ..status(StatusFilter::Status(JobStatus::Queued))
            },
            vec![&second],
        ),
    ];
    for (filter, expected) in cases {
        let mut found = selected(fixture, &filter).await;
        found.sort();
        let mut expected: Vec<String> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(found, expected, "{filter:?}");
    }
    let found = fixture.store.job_ids(&first[..14], 5).await.expect("ids");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].as_str(), first);
}

pub(super) async fn newer_jobs_are_listed_after_position(fixture: &Fixture) {
    let list = async |page: PageRequest| {
        let listed = fixture.store.list(&JobFilter::default(), &page).await;
        listed.expect("a page")
    };
    let empty = list(PageRequest::first(10)).await;
    let latest = empty.latest.expect("a position");
    let first = fixture.add_job("a").await;
    let page = list(PageRequest::newer(10, &latest)).await;
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].id, first.id);
    let latest = page.latest.expect("a position");
    assert!(
        list(PageRequest::newer(10, &latest))
            .await
            .entries
            .is_empty()
    );
    fixture.advance(1);
    let second = fixture.add_job("b").await;
    let page = list(PageRequest::newer(10, &latest)).await;
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].id, second.id);
}

pub(super) async fn dead_letters_are_filtered_in_pages(fixture: &Fixture) {
    for number in 0..5 {
        let stored = delivery(fixture, &format!("dlv_{number}aaaaaa"), b"{}".to_vec());
        fixture.store.put_delivery(&stored).await.expect("stored");
        fixture.advance(1);
    }
    let (mut job, stored) = add_with_delivery(fixture, "job", false, b"{}".to_vec()).await;
    let settled = CallEvent::Settled(Vec::new());
    let lease = finish(fixture, &mut job, settled, CallbackStatus::Undeliverable).await;
    fixture
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    let list = async |filter: DeliveryFilter| {
        let (mut ids, mut page) = (Vec::new(), PageRequest::first(2));
        loop {
            let found = fixture
                .store
                .list_deliveries(&filter, &page)
                .await
                .expect("a page");
            ids.extend(found.entries.into_iter().map(|summary| summary.entry.id));
            match found.next {
                Some(next) => page.from = ListPosition::Before(next),
                None => return ids,
            }
        }
    };
    let all = list(DeliveryFilter::dead_letters()).await;
    assert_eq!(all.len(), 6, "{all:?}");
    assert_eq!(all[0], stored.id, "the latest first");
    let code = |code: &str| DeliveryFilter {
        code: Some(code.to_owned()),
        ..DeliveryFilter::dead_letters()
    };
    let undeliverable = list(code("CALLBACK_UNDELIVERABLE")).await;
    assert_eq!(undeliverable, std::slice::from_ref(&stored.id));
    assert_eq!(list(code("UNMAPPABLE")).await.len(), 5);
    let ids = fixture.store.delivery_ids("dlv_3", 5).await.expect("ids");
    assert_eq!(ids, ["dlv_3aaaaaa"]);
}

/// Only stores with a log.
pub(super) async fn log_keeps_a_share_for_each_class(fixture: &Fixture) {
    if !fixture.store.has_delivery_log() {
        return;
    }
    let accepted: Vec<LogEntry> = (0..10)
        .map(|number| entry(fixture, &format!("dlv_a{number}"), LogClass::Accepted))
        .collect();
    fixture
        .store
        .log_deliveries(&accepted, 100)
        .await
        .expect("logged");
    // A flood of strangers.
    for batch in 0..20 {
        let strangers: Vec<LogEntry> = (0..100)
            .map(|number| {
                entry(
                    fixture,
                    &format!("dlv_s{batch}_{number}"),
                    LogClass::Stranger,
                )
            })
            .collect();
        fixture
            .store
            .log_deliveries(&strangers, 100)
            .await
            .expect("logged");
    }
    let filter = DeliveryFilter {
        outcome: Some(OutcomeFilter::Outcome(DeliveryOutcome::Accepted)),
        ..DeliveryFilter::default()
    };
    let page = PageRequest::first(1_000);
    let kept = fixture
        .store
        .list_deliveries(&filter, &page)
        .await
        .expect("a page");
    assert_eq!(
        kept.entries.len(),
        10,
        "strangers push out none of the accepted"
    );
    let all = fixture
        .store
        .list_deliveries(&DeliveryFilter::default(), &page)
        .await;
    let all = all.expect("a page").entries;
    assert!(all.len() <= 10 + 10 + 64, "{}", all.len());
    assert_eq!(all[0].entry.id, "dlv_s19_99", "the latest first");
    let found = fixture.store.logged_delivery("dlv_a3").await.expect("read");
    assert_eq!(found.expect("an entry").entry, accepted[3]);
    // An id that is taken gets a suffix.
    let again = [entry(fixture, "dlv_a3", LogClass::Accepted)];
    fixture
        .store
        .log_deliveries(&again, 100)
        .await
        .expect("logged");
    let kept = fixture
        .store
        .list_deliveries(&filter, &page)
        .await
        .expect("a page");
    assert_eq!(kept.entries.len(), 11);
    assert!(
        kept.entries[0].entry.id.starts_with("dlv_a3-"),
        "{:?}",
        kept.entries[0]
    );
}

/// Adds jobs while a list is read in pages of any size. Returns the ids that were there before, in the order of the list, and
/// those of them that the pages have.
async fn page_while_adding(store: &dyn Store, limits: &[usize]) -> (Vec<String>, Vec<String>) {
    let fixture = Fixture::in_memory();
    let add = async |name: String| {
        let job = fixture.job(&name);
        store.add(&job, None).await.expect("added");
        job.id.to_string()
    };
    let mut before = Vec::new();
    for number in 0..40 {
        before.push(add(format!("before {number}")).await);
        fixture.advance(number % 2);
    }
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(limits[0]));
    for round in 0.. {
        page.limit = limits[round % limits.len()];
        let found = store
            .list(&JobFilter::default(), &page)
            .await
            .expect("a page");
        seen.extend(found.entries.iter().map(|job| job.id.to_string()));
        fixture.advance(1);
        add(format!("meanwhile {round}")).await;
        match found.next {
            Some(next) => page.from = ListPosition::Before(next),
            None => break,
        }
    }
    (before, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn paging_visits_each_job_once(limits in prop::collection::vec(1_usize..15, 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let stores: [Box<dyn Store>; 2] =
            [Box::new(MemoryStore::new()), Box::new(SqliteStore::in_memory())];
        for store in stores {
            let (mut before, mut seen) = runtime.block_on(page_while_adding(&*store, &limits));
            before.sort();
            let count = seen.len();
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len(), count, "no job is listed twice");
            prop_assert_eq!(&seen, &before);
        }
    }
}

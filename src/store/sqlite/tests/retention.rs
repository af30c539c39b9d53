//! Deletion of expired rows.

use super::*;
use crate::clock::ManualClock;
use crate::job::DeadLetterReason;
use crate::store::delivery::StoredDelivery;
use crate::store::sqlite::{deliveries, delivery_log, job_index, job_list, job_rows, maintenance};

const PERIOD: Duration = Duration::from_secs(3_600);

fn retention(clock: &ManualClock) -> Retention {
    Retention {
        clock: Arc::new(clock.clone()),
        period: PERIOD,
    }
}

fn dead_letter(id: &str, at: Timestamp) -> StoredDelivery {
    StoredDelivery {
        id: id.to_owned(),
        route: "form".to_owned(),
        at,
        dead_letter: Some(DeadLetterReason::new("not_mappable", "no module", None, at)),
        headers: http::HeaderMap::new(),
        query: std::collections::BTreeMap::new(),
        body: bytes::Bytes::from_static(b"{}"),
        origin: crate::trigger::Origin::default(),
    }
}

async fn has_dead_letter(store: &SqliteStore, id: &str) -> bool {
    let listed = store.dead_letters(10).await.expect("a list");
    let read = store.delivery(id).await.expect("read");
    assert_eq!(read.is_some(), listed.iter().any(|dead| dead.id == id));
    read.is_some()
}

async fn rows(store: &SqliteStore, table: &'static str) -> u32 {
    let count = store.read(move |session| {
        let query = format!("SELECT count(*) FROM {table}");
        session.connection.query_row(&query, [], |row| row.get(0))
    });
    count.await.expect("a count")
}

/// A clock that is set expires nothing, in this process or after a restart. Time that passes does.
#[tokio::test]
async fn clock_jump_expires_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let clock = ManualClock::at(start());
    let open = || SqliteStore::in_file(path.clone()).with_retention(retention(&clock));
    let store = open();
    store.due(start(), 1).await.expect("an answer");
    let dead = dead_letter("dlv_1", start());
    store.put_delivery(&dead).await.expect("stored");
    for jump in [31 * 24 * 3_600, -31 * 24 * 3_600_i64] {
        clock.set(start() + jiff::SignedDuration::from_secs(jump));
        store.due(clock.now(), 1).await.expect("an answer");
        assert!(has_dead_letter(&store, "dlv_1").await, "{jump}");
    }
    drop(store);
    clock.set(start() + Duration::from_secs(40 * 24 * 3_600));
    let store = open();
    store.due(clock.now(), 1).await.expect("an answer");
    assert!(has_dead_letter(&store, "dlv_1").await, "after a restart");
    clock.advance(PERIOD);
    assert!(!has_dead_letter(&store, "dlv_1").await);
}

/// What a process has seen pass counts after its restart, too.
#[tokio::test]
async fn restart_does_not_reset_retention() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let clock = ManualClock::at(start());
    for restart in 0..4 {
        let store = SqliteStore::in_file(path.clone()).with_retention(retention(&clock));
        store.due(clock.now(), 1).await.expect("an answer");
        if restart == 0 {
            let dead = dead_letter("dlv_1", start());
            store.put_delivery(&dead).await.expect("stored");
        }
        assert!(has_dead_letter(&store, "dlv_1").await, "{restart}");
        clock.advance(PERIOD / 4);
    }
    let store = SqliteStore::in_file(path).with_retention(retention(&clock));
    assert!(!has_dead_letter(&store, "dlv_1").await);
}

/// Two processes, such as a server and the command line, do not count the same time twice.
#[tokio::test]
async fn second_process_counts_no_time_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let clock = ManualClock::at(start());
    let open = || SqliteStore::in_file(path.clone()).with_retention(retention(&clock));
    let (first, second) = (open(), open());
    for store in [&first, &second] {
        store.due(clock.now(), 1).await.expect("an answer");
    }
    let dead = dead_letter("dlv_1", start());
    first.put_delivery(&dead).await.expect("stored");
    clock.advance(PERIOD - Duration::from_secs(1));
    drop((first, second));
    let store = open();
    assert!(has_dead_letter(&store, "dlv_1").await);
    clock.advance(Duration::from_secs(1));
    assert!(!has_dead_letter(&store, "dlv_1").await);
}

/// Expired rows disappear in steps, and requests are answered meanwhile.
#[tokio::test]
async fn expired_rows_are_deleted_between_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let kept = job("kept", start());
    store.add(&kept, None).await.expect("added");
    let fill = store.write(|session| {
        session.connection.execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
             INSERT INTO jobs (id, version, leased_until, ended, connection, module, status, created_at, listed, state)
             SELECT 'job_' || n, 1, 0, n, 'default', 'Leads', 'succeeded', n, printf('%015d#job_%d', n, n), '{}' FROM numbers;
             INSERT INTO requests (id, stored) SELECT id, '{}' FROM jobs WHERE ended IS NOT NULL;
             INSERT INTO deliveries (id, route, at, dead_since, code, reason, envelope, body, ended)
             SELECT 'dlv_' || id, 'form', 1, 1, 'c', 'r', '{}', x'00', ended FROM jobs WHERE ended IS NOT NULL;",
        )
    });
    fill.await.expect("filled");
    let page = store
        .list(&JobFilter::default(), &PageRequest::first(10))
        .await
        .expect("a page");
    assert_eq!(page.entries.len(), 1, "expired rows are not listed");
    assert!(store.dead_letters(10).await.expect("a list").is_empty());
    let mut added = 1;
    while rows(&store, "jobs").await
        + rows(&store, "requests").await
        + rows(&store, "deliveries").await
        > added
    {
        store.due(start(), 1).await.expect("an answer");
        let new = job(&added.to_string(), start());
        assert_eq!(store.add(&new, None).await.expect("added"), AddResult::New);
        added += 1;
        assert!(added < 100_000, "rows are never deleted");
    }
    assert_eq!(rows(&store, "jobs").await, added);
}

/// Expired rows that are not deleted yet end a page early, and the next page goes on behind them.
#[tokio::test]
async fn list_skips_expired_rows_in_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let oldest = job("oldest", Timestamp::UNIX_EPOCH);
    store.add(&oldest, None).await.expect("added");
    let fill = store.write(|session| {
        session.connection.execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000)
             INSERT INTO jobs (id, version, leased_until, ended, connection, module, status, created_at, listed, state)
             SELECT 'job_' || n, 1, 0, 1, 'default', 'Leads', 'succeeded', n, printf('%015d#job_%d', n, n), '{}' FROM numbers",
        )
    });
    fill.await.expect("filled");
    let (mut after, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = store
            .list(
                &JobFilter::default(),
                &PageRequest::at(10, after.as_deref()),
            )
            .await;
        let page = page.expect("a page");
        found.extend(page.entries.into_iter().map(|job| job.id));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, [oldest.id]);
    assert!((2..10).contains(&pages), "{pages}");
}

/// No statement that runs often, or at the start, reads a whole table or sorts it.
#[tokio::test]
async fn queries_use_indices() {
    let store = SqliteStore::in_memory();
    let mut statements = vec![
        job_rows::DUE.to_owned(),
        job_rows::BREAK_LEASES.to_owned(),
        deliveries::DEAD_LETTERS.to_owned(),
    ];
    statements.extend(maintenance::DELETE_EXPIRED.map(str::to_owned));
    statements.push(maintenance::HAS_EXPIRED.to_owned());
    statements.push(maintenance::HAS_BACKLOG.to_owned());
    statements.extend(job_list::Lead::ALL.map(job_list::Lead::query));
    statements.push(job_list::newer_query());
    statements.push(delivery_log::entries_query());
    statements.push(delivery_log::dead_letters_query());
    statements.extend(
        [
            job_index::IN_PART,
            job_index::PART_COUNT,
            job_index::PART_IDS,
            job_index::PART_BELOW,
        ]
        .map(str::to_owned),
    );
    for statement in statements {
        let plan = plan(&store, &statement).await;
        for step in &plan {
            let is_search = ["SEARCH", "USING INDEX", "USING COVERING INDEX", "SCALAR"]
                .iter()
                .any(|word| step.contains(word));
            let is_outer = step.contains("LIST SUBQUERY") || step.contains("CO-ROUTINE");
            let is_inner_result = step == "SCAN (subquery-1)" || step == "SCAN CONSTANT ROW";
            assert!(
                is_search || is_outer || is_inner_result,
                "{statement}: {plan:#?}"
            );
        }
    }
    let in_part = plan(&store, job_index::IN_PART).await;
    assert!(in_part[0].contains("(<expr>=? AND id=?)"), "{in_part:?}");
}

async fn plan(store: &SqliteStore, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let plan = store.read(move |session| {
        let mut plan = session.connection.prepare(&explain)?;
        let nulls = vec![rusqlite::types::Null; plan.parameter_count()];
        let steps = plan.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))?;
        steps.collect::<rusqlite::Result<Vec<String>>>()
    });
    plan.await.expect("a plan")
}

//! `masshook erase` on the data folder of a server: it lists, asks, refuses, and leaves nothing in the files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use masshook::clock::{Clock as _, SystemClock};
use masshook::job::{
    CallEvent, CallbackStatus, Job, JobId, JobSource, OrderKey, PreparationOutcome,
};
use masshook::store::delivery::StoredDelivery;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, Deliveries as _, Jobs as _, RecordClaim, RecordOrders as _};
use masshook::trigger::{Origin, Trigger};
use masshook::update::UpdateRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

const ADA: &str = "ada@example.com";

/// A data folder with a finished job about Ada, an unfinished one about her under another address, and one about Bob.
async fn data() -> (TempDir, [JobId; 3]) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::in_file(folder.path().join("masshook.db")));
    let finished = add(&store, "1", ADA).await;
    finish(&store, finished.clone()).await;
    let unfinished = add(&store, "2", "ada@work.example").await;
    let other = add(&store, "3", "bob@example.com").await;
    (folder, [finished.id, unfinished.id, other.id])
}

async fn add(store: &SqliteStore, name: &str, email: &str) -> Job {
    let job = new_job(name, email);
    store.add(&job, None).await.expect("added");
    job
}

fn new_job(name: &str, email: &str) -> Job {
    let request = json!({
        "module": "Leads",
        "fields": {"Email": email},
        "update_by": "records",
        "ids": ["5725767000003000064"],
        "reference": format!("customer-{name}"),
    });
    let request = UpdateRequest::parse(&request).expect("a request");
    let (id, now) = (JobId::derive("form", name, 1), SystemClock.now());
    let callback = "https://example.com/zoho".parse().expect("a URL");
    let route = Some("form".to_owned());
    let mut job = Job::new(
        id,
        route,
        "default".to_owned(),
        request,
        Some(callback),
        now,
    );
    let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, now);
    prepared.expect("allowed");
    job
}

async fn finish(store: &SqliteStore, mut job: Job) {
    let now = SystemClock.now();
    let until = now + std::time::Duration::from_secs(60);
    let Ok(Claim::Acquired(_, lease)) = store.claim(&job.id, now, until).await else {
        panic!("it is leased");
    };
    job.apply(1, CallEvent::Settled(Vec::new()), now)
        .expect("allowed");
    job.callback.as_mut().expect("a callback").status = CallbackStatus::Delivered;
    store.release(&job, lease, None).await.expect("released");
}

fn erase(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command
        .args(["erase", "--data"])
        .arg(folder)
        .args(arguments);
    command.env_clear().stdin(Stdio::null());
    command.output().expect("it runs")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a text is in a file of the folder, the free pages and the log of SQLite included.
fn is_in_files(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).expect("a folder");
    let mut contents = files.map(|file| std::fs::read(file.expect("a file").path()).expect("read"));
    contents.any(|bytes| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test]
async fn person_is_erased_from_the_files() {
    let (folder, [finished, unfinished, _]) = data().await;
    let folder = folder.path();
    assert!(is_in_files(folder, ADA));
    // Without a terminal it must be confirmed.
    let asked = erase(folder, &["--match", "ADA@example.com"]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(errors(&asked).contains(finished.as_str()), "{asked:?}");
    assert!(
        errors(&asked).contains("Erase 1 job, 0 stored deliveries, 0 log entries?"),
        "{asked:?}"
    );
    assert!(is_in_files(folder, ADA));

    let erased = erase(folder, &["--match", "ADA@example.com", "--yes", "--json"]);
    assert!(erased.status.success(), "{erased:?}");
    let document: Value = serde_json::from_slice(&erased.stdout).expect("JSON");
    assert_eq!(document["found"]["jobs"], json!([finished.as_str()]));
    assert!(!is_in_files(folder, ADA));
    assert!(is_in_files(folder, "bob@example.com"));
    assert!(is_in_files(folder, unfinished.as_str()));

    let again = erase(folder, &["--match", ADA, "--yes"]);
    assert!(again.status.success(), "{again:?}");
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(
        text.starts_with("nothing was erased\nA job whose look-up has ended"),
        "{text}"
    );
}

#[tokio::test]
async fn unfinished_job_is_erased_by_force_only() {
    let (folder, [_, unfinished, _]) = data().await;
    let folder = folder.path();
    let refused = erase(folder, &["--reference", "customer-2", "--yes"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        errors(&refused).contains("1 job is unfinished"),
        "{refused:?}"
    );
    assert!(is_in_files(folder, "ada@work.example"));
    let erased = erase(folder, &["--reference", "customer-2", "--yes", "--force"]);
    assert!(erased.status.success(), "{erased:?}");
    let text = String::from_utf8_lossy(&erased.stdout);
    assert!(text.contains("Zoho may still update its records"), "{text}");
    assert!(!is_in_files(folder, unfinished.as_str()));
    assert!(!is_in_files(folder, "ada@work.example"));
}

#[tokio::test]
async fn erasure_needs_one_value_that_is_not_empty() {
    let (folder, _) = data().await;
    for arguments in [
        &["--yes"][..],
        &["--match", " ", "--yes"],
        &["--match", "a", "--reference", "b", "--yes"],
        &["--match", ADA, "--expect", "2", "--yes"],
    ] {
        let refused = erase(folder.path(), arguments);
        if arguments == ["--yes"] {
            let names_both = errors(&refused).contains("use --match VALUE or --reference TEXT");
            assert!(names_both, "{refused:?}");
        }
        assert!(!refused.status.success(), "{arguments:?}: {refused:?}");
        assert!(is_in_files(folder.path(), ADA), "{arguments:?}");
    }
}

/// The usual removal of the delivery of a finished job overwrites nothing in the file.
#[tokio::test]
async fn body_of_a_finished_delivery_leaves_the_file() {
    let (folder, _) = data().await;
    let folder = folder.path();
    let body = format!(
        "{{\"email\":\"{ADA}\",\"note\":\"{}\"}}",
        "body of Ada ".repeat(900)
    );
    {
        let store = SqliteStore::in_file(folder.join("masshook.db"));
        let stored = StoredDelivery {
            id: StoredDelivery::id_of("form", "4"),
            route: "form".to_owned(),
            at: SystemClock.now(),
            dead_letter: None,
            headers: HeaderMap::new(),
            query: BTreeMap::new(),
            body: body.into(),
            origin: Origin::of(Trigger::Sns),
        };
        let source = JobSource {
            delivery: stored.id.clone(),
            shared: false,
        };
        let job = new_job("4", ADA).with_source(Some(source));
        store.add(&job, Some(&stored)).await.expect("added");
        finish(&store, job).await;
        let left = store.delivery(&stored.id).await.expect("read");
        assert_eq!(left, None);
    }
    assert!(is_in_files(folder, "body of Ada"));
    let erased = erase(folder, &["--match", ADA, "--yes"]);
    assert!(erased.status.success(), "{erased:?}");
    assert!(!is_in_files(folder, "body of Ada"));
    assert!(!is_in_files(folder, ADA));
    assert!(is_in_files(folder, "bob@example.com"));
}

#[tokio::test]
async fn log_that_is_read_fails_the_erasure() {
    let (folder, _) = data().await;
    let folder = folder.path();
    let reader = rusqlite::Connection::open(folder.join("masshook.db")).expect("open");
    reader.execute_batch("BEGIN").expect("a transaction");
    let count = |reader: &rusqlite::Connection| {
        reader.query_row("SELECT count(*) FROM jobs", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(count(&reader).expect("read"), 3);
    let erased = erase(folder, &["--match", ADA, "--yes", "--json"]);
    assert_eq!(erased.status.code(), Some(1), "{erased:?}");
    let document: Value = serde_json::from_slice(&erased.stdout).expect("JSON");
    assert_eq!(document["ok"], false);
    let error = document["error"].as_str().expect("a text");
    assert!(error.contains("another process reads the file"), "{error}");
    assert!(error.contains("run the same command again"), "{error}");
    reader.execute_batch("COMMIT").expect("the end");
    let again = erase(folder, &["--match", ADA, "--yes"]);
    assert!(again.status.success(), "{again:?}");
    assert!(!is_in_files(folder, ADA));
}

#[tokio::test]
async fn order_of_a_record_is_erased_by_its_id() {
    let (folder, _) = data().await;
    let folder = folder.path();
    let claim = |record: &str| RecordClaim {
        name: RecordClaim::name_of("default", "form", record),
        key: OrderKey {
            value: "7".parse().expect("a value"),
            received_at: SystemClock.now(),
        },
        changes: [masshook::update::ChangeKind::Fields].into(),
        holder: JobId::derive("form", "order", 1),
        until: SystemClock.now(),
        keep_for: Duration::from_secs(86_400),
    };
    let claims = vec![claim("5725767000003999991"), claim("5725767000003999992")];
    {
        let store = SqliteStore::in_file(folder.join("masshook.db"));
        let claimed = store.claim_records(claims, SystemClock.now()).await;
        assert_eq!(claimed.expect("claimed").len(), 2);
    }
    let erased = erase(
        folder,
        &["--match", "5725767000003999991", "--yes", "--json"],
    );
    assert!(erased.status.success(), "{erased:?}");
    let document: Value = serde_json::from_slice(&erased.stdout).expect("JSON");
    let orders = &document["found"]["orders"];
    assert_eq!(*orders, json!(["default/form/5725767000003999991"]));
    assert!(!is_in_files(folder, "5725767000003999991"));
    assert!(is_in_files(folder, "5725767000003999992"));
}

/// Statuses, counts and names of modules are not what a sender sent.
#[tokio::test]
async fn own_fields_of_masshook_do_not_match() {
    let (folder, _) = data().await;
    for value in ["1", "Leads", "queued", "Email", "202", "form"] {
        let found = erase(folder.path(), &["--match", value, "--yes"]);
        let text = String::from_utf8_lossy(&found.stdout);
        assert!(text.starts_with("nothing was erased"), "{value}: {text}");
    }
}

#[tokio::test]
async fn folder_without_a_store_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    for data in [missing.as_path(), folder.path()] {
        let refused = erase(data, &["--match", ADA, "--yes", "--json"]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let document: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
        assert_eq!(document["ok"], false);
        let error = document["error"].as_str().expect("a text");
        assert!(error.contains("has no masshook.db"), "{error}");
        assert!(!data.join("masshook.db").exists());
    }
}

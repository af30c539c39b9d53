//! `masshook erase` on the data folder of a server: it lists, asks, refuses, and leaves nothing in the files.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use masshook::clock::{Clock as _, SystemClock};
use masshook::job::{CallEvent, CallbackStatus, Job, JobId, PreparationOutcome};
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, Jobs as _};
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
    store.add(&job, None).await.expect("added");
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
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        "nothing was erased\n"
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
        assert!(!refused.status.success(), "{arguments:?}: {refused:?}");
        assert!(is_in_files(folder.path(), ADA), "{arguments:?}");
    }
}

//! What ARCHITECTURE.md says is absent, looked for in the source. It reads text: production code only, up to a file's
//! own `mod tests`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::repo_path;

/// Which room may use which. Whoever adds a row also adds it to ARCHITECTURE.md.
const MAY_USE: &[(&str, &str)] = &[
    ("clock", ""),
    ("failpoint", ""),
    ("retry", ""),
    ("telemetry", ""),
    ("http", ""),
    ("secrets", "clock"),
    ("update", ""),
    ("codes", ""),
    ("outcome", "codes update"),
    ("trigger", ""),
    ("mapping", "update"),
    ("guard", "codes outcome update zoho"),
    ("lookup", "codes outcome update"),
    ("plan", "update"),
    ("job", "clock codes outcome plan update"),
    ("store", "clock job trigger update"),
    ("wakeup", "job"),
    (
        "zoho",
        "clock codes config failpoint http lookup outcome plan retry secrets update",
    ),
    ("callback", "http job retry secrets"),
    (
        "engine",
        "callback clock codes failpoint guard job lookup outcome plan store update wakeup zoho",
    ),
    ("config", "http job mapping secrets trigger update zoho"),
    (
        "inbound",
        "config http job mapping secrets store trigger update wakeup",
    ),
    (
        "app",
        "callback clock config engine failpoint http inbound job mapping plan secrets store trigger update wakeup zoho",
    ),
    ("aws", "clock job secrets store wakeup"),
    ("api", "app config inbound job mapping trigger"),
    ("lambda", "api app engine inbound job trigger wakeup"),
    ("server", "api app clock job wakeup"),
    (
        "cli",
        "api app aws clock codes config engine failpoint http inbound job lambda plan secrets server store telemetry trigger update wakeup zoho",
    ),
];

/// Rooms and files that do no I/O, read no clock and draw no random number.
const PURE: &[&str] = &[
    "codes.rs",
    "codes/table.rs",
    "config/scopes.rs",
    "guard.rs",
    "guard/moment.rs",
    "guard/value.rs",
    "lookup.rs",
    "lookup/evidence.rs",
    "lookup/hits.rs",
    "plan.rs",
    "plan/call.rs",
    "plan/outlook.rs",
    "plan/price.rs",
    "plan/remarks.rs",
    "plan/ways.rs",
    "update.rs",
    "update/selector.rs",
    "update/way.rs",
    "outcome.rs",
    "retry.rs",
    "job.rs",
    "job/call.rs",
    "job/callback.rs",
    "job/dead_letter.rs",
    "job/preparation.rs",
    "job/state.rs",
    "job/unknown_outcome.rs",
    "job/view.rs",
    "zoho/answer.rs",
    "zoho/data_center.rs",
    "zoho/metadata/wire.rs",
    "inbound/credentials.rs",
    "inbound/delivery.rs",
    "inbound/request.rs",
    "trigger.rs",
    "callback/signature.rs",
    "http/target.rs",
    "mapping/advice.rs",
    "mapping/input.rs",
    "mapping/requests.rs",
    "mapping/when.rs",
];

/// What gives an effect away.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "tokio::",
    "reqwest",
    "fastrand",
    "std::env::",
    "Instant::now",
    "Timestamp::now",
    "SystemTime",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Every source file's production code, by its path below `src`.
fn production() -> BTreeMap<String, String> {
    let root = repo_path("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let code = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a source file");
        let text = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    paths
        .iter()
        .filter(|path| {
            !path.components().any(|part| part.as_os_str() == "tests")
                && !path.ends_with("tests.rs")
        })
        .map(|path| {
            (
                path.strip_prefix(&root)
                    .expect("below src")
                    .to_string_lossy()
                    .into_owned(),
                code(path),
            )
        })
        .collect()
}

fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn used(code: &str) -> BTreeSet<&str> {
    let names = code.split("crate::").skip(1);
    names
        .map(|rest| {
            rest.split(|c: char| !c.is_ascii_lowercase() && c != '_')
                .next()
                .unwrap_or_default()
        })
        .collect()
}

#[test]
fn rooms_use_only_the_rooms_that_they_may() {
    let table: BTreeMap<&str, BTreeSet<&str>> = MAY_USE
        .iter()
        .map(|(room, others)| (*room, others.split_whitespace().collect()))
        .collect();
    let mut seen = BTreeSet::new();
    for (file, code) in production() {
        let own = room(&file).to_owned();
        if own == "lib" || own == "bin" {
            continue;
        }
        let allowed = table
            .get(own.as_str())
            .unwrap_or_else(|| panic!("{file}: give the room `{own}` a row"));
        for other in used(&code).into_iter().filter(|other| *other != own) {
            assert!(
                allowed.contains(other),
                "{file} uses `{other}`, which `{own}` may not"
            );
        }
        seen.insert(own);
    }
    let without: Vec<&&str> = table.keys().filter(|room| !seen.contains(**room)).collect();
    assert!(without.is_empty(), "rows without a room: {without:?}");
}

/// The rooms in the back-quotes of a cell: `zoho/metadata.rs` is in `zoho`.
fn rooms(cell: &str) -> BTreeSet<&str> {
    let everybodys = ["clock", "failpoint", "retry"];
    let named = cell.split('`').skip(1).step_by(2).map(room);
    named.filter(|name| !everybodys.contains(name)).collect()
}

#[test]
fn the_architecture_says_the_same() {
    let document = std::fs::read_to_string(repo_path("ARCHITECTURE.md")).expect("the page");
    let mut compared = 0;
    for (own, others) in MAY_USE {
        let row = document
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{own}` | ")));
        // Some rooms share a row, and the conductor may use all that stands above it.
        let Some(row) = row.filter(|_| *own != "app") else {
            continue;
        };
        let cell = row.trim_end_matches('|').rsplit(" | ").next();
        let quoted: String = others
            .split_whitespace()
            .map(|other| format!("`{other}`"))
            .collect();
        assert_eq!(rooms(cell.unwrap_or_default()), rooms(&quoted), "{own}");
        compared += 1;
    }
    assert!(compared > 12, "{compared}");
}

#[test]
fn vendors_and_effects_stay_at_the_edges() {
    let production = production();
    for (file, code) in &production {
        if room(file) != "aws" {
            assert!(
                !code.contains("aws_sdk_") && !code.contains("aws_config"),
                "{file} names an AWS SDK crate"
            );
        }
        if room(file) != "http" {
            assert!(!code.contains("reqwest"), "{file} names reqwest");
        }
        if PURE.contains(&file.as_str()) {
            for effect in EFFECTS {
                assert!(!code.contains(effect), "{file} is pure, and has `{effect}`");
            }
        }
    }
    for file in PURE {
        assert!(production.contains_key(*file), "{file} is no longer there");
    }
}

/// The error reference stands in docs/codes.md between two marks, as the table of codes writes it.
#[test]
fn every_code_is_explained() {
    const MARKS: [&str; 2] = [
        "<!-- codes: written by the table, see tests/it/architecture.rs -->\n",
        "<!-- /codes -->",
    ];
    let path = repo_path("docs/codes.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(MARKS[0]).expect("the first mark");
    let (stands, after) = rest.split_once(MARKS[1]).expect("the second mark");
    let reference = masshook::codes::reference();
    if std::env::var_os("UPDATE_CODES").is_some() {
        let text = [before, MARKS[0], &reference, MARKS[1], after].concat();
        std::fs::write(&path, text).expect("the page is written");
    } else {
        assert!(
            stands == reference,
            "docs/codes.md does not say what the table of codes says: run `UPDATE_CODES=1 cargo test --test it every_code_is_explained`"
        );
    }
}

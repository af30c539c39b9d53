//! Holds the source to the rules of ARCHITECTURE.md: which module may use which, which are pure, where SDKs are named. It
//! reads the text of production code, up to the `mod tests` of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::repo_path;

/// The modules that each module may use. ARCHITECTURE.md has the same table.
const MAY_USE: &[(&str, &str)] = &[
    ("clock", "sync"),
    ("failpoint", ""),
    ("retry", ""),
    ("sync", ""),
    ("printable", ""),
    ("telemetry", "http printable"),
    ("http", ""),
    ("secrets", "clock sync"),
    ("update", ""),
    ("codes", ""),
    ("outcome", "codes update"),
    ("trigger", ""),
    ("mapping", "update"),
    ("guard", "codes outcome update zoho"),
    ("lookup", "codes outcome update"),
    ("plan", "update"),
    ("job", "clock codes outcome plan update"),
    ("metrics", "codes job outcome sync trigger"),
    ("store", "clock job outcome sync trigger update"),
    ("wakeup", "job sync"),
    (
        "zoho",
        "clock codes failpoint http lookup metrics outcome plan retry secrets sync update",
    ),
    ("callback", "http job retry secrets sync"),
    (
        "engine",
        "callback clock codes failpoint guard job lookup metrics outcome plan store sync update wakeup zoho",
    ),
    ("config", "http job mapping secrets trigger update zoho"),
    (
        "inbound",
        "config http job mapping secrets store trigger update wakeup",
    ),
    (
        "app",
        "callback clock config engine failpoint http inbound job mapping metrics outcome plan secrets store sync trigger update wakeup zoho",
    ),
    ("aws", "clock http job metrics secrets store wakeup"),
    (
        "api",
        "app config inbound job mapping metrics store telemetry trigger update",
    ),
    (
        "lambda",
        "api app engine inbound job metrics trigger wakeup",
    ),
    (
        "server",
        "api app clock engine inbound job store sync wakeup",
    ),
    ("console", "api app config inbound server sync zoho"),
    (
        "cli",
        "api app aws callback clock codes config console engine failpoint http inbound job lambda metrics plan printable secrets server store sync telemetry trigger update wakeup zoho",
    ),
];

/// Files that do no I/O, read no clock and draw no random number.
const PURE: &[&str] = &[
    "codes.rs",
    "codes/table.rs",
    "config/scopes.rs",
    "config/scopes/coverage.rs",
    "guard.rs",
    "guard/moment.rs",
    "guard/value.rs",
    "lookup.rs",
    "lookup/evidence.rs",
    "lookup/matches.rs",
    "plan.rs",
    "plan/build.rs",
    "plan/call.rs",
    "plan/comparison.rs",
    "plan/credits.rs",
    "plan/limits.rs",
    "plan/preview.rs",
    "plan/warnings.rs",
    "update.rs",
    "update/id.rs",
    "update/match_value.rs",
    "update/method.rs",
    "update/name.rs",
    "update/selector.rs",
    "outcome.rs",
    "retry.rs",
    "job.rs",
    "job/apply.rs",
    "job/call.rs",
    "job/call/deadlines.rs",
    "job/call/event.rs",
    "job/call/status.rs",
    "job/callback.rs",
    "job/counts.rs",
    "job/dead_letter.rs",
    "job/history.rs",
    "job/history/record.rs",
    "job/history/stored.rs",
    "job/history/view.rs",
    "job/id.rs",
    "job/model.rs",
    "job/notification.rs",
    "job/on_unknown_outcome.rs",
    "job/preparation.rs",
    "job/prepare.rs",
    "job/status.rs",
    "job/step.rs",
    "job/unknown_outcome.rs",
    "job/view.rs",
    "zoho/answer.rs",
    "zoho/data_center.rs",
    "zoho/metadata/wire.rs",
    "printable.rs",
    "server/diagnosis.rs",
    "inbound/credentials.rs",
    "inbound/delivery.rs",
    "inbound/request.rs",
    "trigger.rs",
    "callback/signature.rs",
    "http/target.rs",
    "http/target/address.rs",
    "http/target/host_pattern.rs",
    "mapping/advice.rs",
    "mapping/input.rs",
    "mapping/requests.rs",
    "mapping/when.rs",
];

/// Text that indicates an effect.
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

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn used_modules(code: &str) -> BTreeSet<&str> {
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
fn module_uses_only_allowed_modules() {
    let table: BTreeMap<&str, BTreeSet<&str>> = MAY_USE
        .iter()
        .map(|(module, others)| (*module, others.split_whitespace().collect()))
        .collect();
    let mut found = BTreeSet::new();
    for (file, code) in production() {
        let own = module(&file).to_owned();
        if own == "lib" || own == "bin" {
            continue;
        }
        let allowed = table
            .get(own.as_str())
            .unwrap_or_else(|| panic!("{file}: add a row for the module `{own}`"));
        for other in used_modules(&code)
            .into_iter()
            .filter(|other| *other != own)
        {
            assert!(
                allowed.contains(other),
                "{file} uses `{other}`, but the table does not allow `{own}` to"
            );
        }
        found.insert(own);
    }
    let stale: Vec<&&str> = table
        .keys()
        .filter(|module| !found.contains(**module))
        .collect();
    assert!(stale.is_empty(), "rows without a module: {stale:?}");
}

/// The modules in the back-quotes of a cell: `zoho/metadata.rs` is in `zoho`.
fn quoted_modules(cell: &str) -> BTreeSet<&str> {
    let common = ["clock", "failpoint", "retry", "sync"];
    let named = cell.split('`').skip(1).step_by(2).map(module);
    named.filter(|name| !common.contains(name)).collect()
}

#[test]
fn architecture_page_has_same_table() {
    let document = std::fs::read_to_string(repo_path("ARCHITECTURE.md")).expect("the page");
    let mut compared = 0;
    for (own, others) in MAY_USE {
        let row = document
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{own}` | ")));
        // Some modules share a row, and `app` may use all modules above it.
        let Some(row) = row.filter(|_| *own != "app") else {
            continue;
        };
        let cell = row.trim_end_matches('|').rsplit(" | ").next();
        let quoted: String = others
            .split_whitespace()
            .map(|other| format!("`{other}`"))
            .collect();
        assert_eq!(
            quoted_modules(cell.unwrap_or_default()),
            quoted_modules(&quoted),
            "{own}"
        );
        compared += 1;
    }
    assert!(compared > 12, "{compared}");
}

#[test]
fn sdk_names_and_effects_stay_at_edges() {
    let production = production();
    for (file, code) in &production {
        if module(file) != "aws" {
            assert!(
                !code.contains("aws_sdk_") && !code.contains("aws_config"),
                "{file} names an AWS SDK crate"
            );
        }
        if module(file) != "http" {
            assert!(!code.contains("reqwest"), "{file} names reqwest");
        }
        if PURE.contains(&file.as_str()) {
            for effect in EFFECTS {
                assert!(
                    !code.contains(effect),
                    "{file} must be pure, but contains `{effect}`"
                );
            }
        }
    }
    for file in PURE {
        assert!(production.contains_key(*file), "{file} does not exist");
    }
}

/// docs/codes.md contains the reference of codes between two markers, as the table of codes prints it.
#[test]
fn codes_page_matches_table() {
    const MARKERS: [&str; 2] = [
        "<!-- codes: written by the table, see tests/it/architecture.rs -->\n",
        "<!-- /codes -->",
    ];
    let path = repo_path("docs/codes.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(MARKERS[0]).expect("the first mark");
    let (stands, after) = rest.split_once(MARKERS[1]).expect("the second mark");
    let reference = masshook::codes::reference();
    if std::env::var_os("UPDATE_CODES").is_some() {
        let text = [before, MARKERS[0], &reference, MARKERS[1], after].concat();
        std::fs::write(&path, text).expect("the page is written");
    } else {
        assert!(
            stands == reference,
            "docs/codes.md differs from the table of codes: run `UPDATE_CODES=1 cargo test --test it codes_page_matches_table`"
        );
    }
}

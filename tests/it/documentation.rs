//! The documents, compared with the program: commands are run, names and paths must exist.

mod limits;
mod readme_output;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use masshook::config::{CompileMode, Config};
use masshook::job::view::JobView;
use masshook::update::UpdateRequest;
use serde_json::{Value, json};
use tempfile::TempDir;
use webhook_verify::scheme::{REPLY_TOKENS, SIGNED_TOKENS};
use zoho_simulator::{Settings, Simulator};

use crate::harness::{http_client, repo_path};

const SECRET: &str = "1de0ee27f09c7a02ea5a0ee0d1bbfd40c3d0f3d5";

fn text(path: &str) -> String {
    fs::read_to_string(repo_path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the code blocks of a language, without indentation.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start() == format!("```{language}") {
            let inside = lines.by_ref().take_while(|line| line.trim() != "```");
            let inside =
                inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n");
            found.push(inside.collect());
        }
    }
    assert!(!found.is_empty(), "no {language}");
    found
}

/// Returns the help of a command such as `jobs list`.
fn help(command: &str) -> String {
    let mut asked = Command::new(env!("CARGO_BIN_EXE_masshook"));
    asked.args(command.split_whitespace()).arg("--help");
    let output = asked.output().expect("it runs");
    assert!(output.status.success(), "there is no `masshook {command}`");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the commands of one use of `masshook`, such as `jobs list|show`, and its flags.
fn command_and_flags(line: &str) -> (Vec<String>, Vec<String>) {
    let line = line.replace("\\|", "|");
    let mut words = line.split_whitespace().peekable();
    let first = words.next().unwrap_or_default().to_owned();
    let commands = match first.as_str() {
        "jobs" | "deliveries" => {
            let kinds = words.next().unwrap_or_default().split('|');
            kinds.map(|kind| format!("{first} {kind}")).collect()
        }
        _ => vec![first],
    };
    let flags = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let flags = flags.filter(|word| word.starts_with("--") && word.len() > 2);
    (commands, flags.map(str::to_owned).collect())
}

/// The tables of docs/verify.md, compared with the tables of the program.
#[test]
fn verify_page_lists_every_token() {
    let page = text("docs/verify.md");
    let rows = |heading: &str| -> Vec<(String, String)> {
        let (_, section) = page.split_once(heading).expect("a heading");
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `{"));
        rows.map(|row| {
            let (token, meaning) = row.split_once("` | ").expect("two cells");
            let meaning = meaning.strip_suffix(" |").expect("an end");
            (format!("{{{token}"), meaning.to_owned())
        })
        .collect()
    };
    for (heading, tokens) in [
        ("\n## Tokens of `signed`\n", SIGNED_TOKENS),
        ("\n## Tokens of answers\n", REPLY_TOKENS),
    ] {
        let tokens = tokens.iter();
        let expected: Vec<(String, String)> = tokens
            .map(|token| (token.text.to_owned(), token.meaning.to_owned()))
            .collect();
        assert_eq!(rows(heading), expected, "{heading}");
    }
    for block in blocks(&page, "yaml") {
        let config = Config::parse(&block, CompileMode::Eager);
        config.unwrap_or_else(|problems| panic!("{problems:#?}\n{block}"));
    }
}

#[test]
fn readme_commands_and_flags_exist() {
    let readme = text("README.md");
    let (_, table) = readme.split_once("\n## Commands\n").expect("the table");
    let table = table.split("| `masshook ").skip(1);
    let mut uses: Vec<String> = table
        .filter_map(|row| row.split_once("` |").map(|(used, _)| used.to_owned()))
        .collect();
    assert!(uses.len() > 5);
    // A row may name two commands.
    uses = uses
        .iter()
        .flat_map(|used| used.split("`, `masshook ").map(str::to_owned))
        .collect();
    let mut in_table = BTreeSet::new();
    for used in &uses {
        in_table.extend(used.split_whitespace().next().map(str::to_owned));
    }
    for block in blocks(&readme, "sh") {
        let block = block.replace("\\\n", " ");
        for line in block.lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let line = line.split(['>', '&']).next().unwrap_or_default();
            let used = line
                .strip_prefix("masshook ")
                .or(line.strip_prefix("cargo run -- "));
            uses.extend(used.map(str::to_owned));
        }
    }
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    for used in &uses {
        let (commands, flags) = command_and_flags(used);
        for command in commands {
            let help = helps
                .entry(command.clone())
                .or_insert_with(|| help(&command));
            for flag in &flags {
                assert!(
                    help.split_whitespace().any(|word| word == flag),
                    "`masshook {command}` has no {flag}"
                );
            }
        }
    }
    let all = help("");
    let (_, list) = all.split_once("Commands:\n").expect("commands");
    let (list, _) = list.split_once("\n\n").expect("their end");
    let there = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let there: BTreeSet<String> = there
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert_eq!(in_table, there, "the README's table of commands");
}

/// Returns the anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

#[test]
fn files_in_readme_commands_exist() {
    let blocks = blocks(&text("README.md"), "sh").join("\n");
    let paths = blocks.split_whitespace().filter(|word| {
        let folders = ["events/", "examples/", "layer/"];
        folders.iter().any(|folder| word.starts_with(folder))
    });
    let mut count = 0;
    for path in paths {
        let path = path.trim_end_matches([')', '"']);
        assert!(repo_path(path).exists(), "README.md: {path}");
        count += 1;
    }
    assert!(count > 5, "{count}");
}

#[test]
fn links_resolve() {
    for document in [
        "README.md",
        "CHANGELOG.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ] {
        let text = text(document);
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let anchors: BTreeSet<String> = headings
            .map(|line| anchor(line.trim_start_matches('#').trim()))
            .collect();
        for link in text.split("](").skip(1) {
            let (link, _) = link.split_once(')').expect("the link's end");
            if let Some(name) = link.strip_prefix('#') {
                assert!(anchors.contains(name), "{document}: #{name}");
            } else if !link.starts_with("https://") {
                assert!(repo_path(link).exists(), "{document}: {link}");
            }
        }
    }
}

#[test]
fn readme_configs_parse() {
    let blocks = blocks(&text("README.md"), "yaml");
    assert!(blocks.len() > 3);
    let wanted = [
        "connections: { default: { credentials: env:ZOHO } }\n",
        "routes:\n",
    ];
    for block in blocks {
        let block = block.replace("map: …", "map: .");
        let whole = match block.trim_start().split(':').next() {
            Some("verify") => {
                format!("{}{}  acme:\n{block}    map: .\n", wanted[0], wanted[1])
            }
            Some("connections") if !block.contains("routes:") => {
                block + "routes: { a: { verify: { scheme: none }, map: . } }\n"
            }
            Some("connections") => block,
            _ => format!("{}{}{block}", wanted[0], wanted[1]),
        };
        if let Err(problems) = Config::parse(&whole, CompileMode::Eager) {
            panic!("{whole}\n{problems:#?}");
        }
    }
}

#[test]
fn readme_names_every_config_key() {
    let readme = text("README.md");
    let schema = Config::schema();
    let parts = [
        "Connection",
        "Api",
        "Callbacks",
        "Console",
        "DeliveryLogSettings",
        "Limits",
        "Route",
        "SchemeConfig",
    ];
    let parts = parts.map(|part| &schema["$defs"][part]["properties"]);
    for keys in parts.into_iter().chain([&schema["properties"]]) {
        for key in keys.as_object().expect("keys").keys() {
            let named = [format!("`{key}`"), format!("`{key}:"), format!("{key}: ")];
            let named = named.iter().any(|name| readme.contains(name.as_str()));
            assert!(
                named || readme.contains(&format!("{key}:\n")),
                "README.md has nothing on `{key}`"
            );
        }
    }
}

#[test]
fn readme_update_requests_parse_and_cover_all_keys() {
    let readme = text("README.md");
    let blocks = blocks(&readme, "json");
    let requests = blocks.iter().filter(|block| !block.contains("\"counts\""));
    for block in requests {
        let request: Value = serde_json::from_str(block).expect("JSON");
        if let Err(problems) = UpdateRequest::parse(&request) {
            panic!("{block}\n{problems:#?}");
        }
    }
    let wrong = json!({ "module": "Leads", "fields": { "Rating": "Active" }, "ids": ["1"], "qqqqqqqqqqqqqqqqqqq": 1 });
    let problems = UpdateRequest::parse(&wrong).expect_err("a problem");
    let problem = problems[0].to_string();
    let (_, known) = problem.split_once("known here: ").expect("a list");
    for key in known.split(", ") {
        let named = [format!("\"{key}\":"), format!("`{key}`")];
        let named = named.iter().any(|name| readme.contains(name.as_str()));
        assert!(named, "README.md has nothing on `{key}`");
    }
}

/// The job in the README parses, and its counts add up.
#[test]
fn readme_job_document_parses() {
    let blocks = blocks(&text("README.md"), "json");
    let shown = blocks.iter().find(|block| block.contains("\"counts\""));
    let shown: Value = serde_json::from_str(shown.expect("a job")).expect("JSON");
    let job: JobView = serde_json::from_value(shown.clone()).expect("a job");
    assert_eq!(serde_json::to_value(&job).expect("JSON"), shown);
    let counts = job.counts;
    assert_eq!(
        counts.total,
        counts.updated + counts.failed + counts.pending
    );
}

#[test]
fn readme_counts_are_correct() {
    let readme = text("README.md");
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let presets = text("crates/webhook-verify/tests/vectors/presets.yaml");
    let count = |key: &str| {
        let line = presets.lines().find_map(|line| line.strip_prefix(key));
        line.expect("a count").trim().to_owned()
    };
    // `vectors.rs` compares these two with the vectors.
    let (vectors, sources) = (count("vectors:"), count("sources:"));
    let shapes = text("crates/webhook-verify/tests/custom_schemes.yaml");
    let names = |line: &&str| line.starts_with("  ") && !line[2..].starts_with([' ', '#']);
    let shapes = shapes.lines().filter(names).count();
    for said in [
        format!("presets for {sources} senders"),
        format!("{vectors} vectors of {sources} senders"),
        format!("{shapes} vendors that do not exist"),
    ] {
        assert!(readme.contains(&said), "README.md does not say `{said}`");
    }
}

/// README.md lists every rejection code with its status.
#[test]
fn readme_lists_every_rejection_with_its_status() {
    let source = text("src/inbound/rejection.rs");
    let (_, table) = source.split_once("fn status_and_code(").expect("the table");
    let (table, _) = table.split_once("\n    }\n").expect("its end");
    let readme = text("README.md");
    let rows = readme.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let codes = cells.next()?.trim_end_matches('`').split("`, `");
        let statuses = cells.next()?.split(", ").map(str::to_owned);
        Some((codes.map(str::to_owned).collect(), statuses.collect()))
    });
    let mut documented = BTreeMap::new();
    for (codes, statuses) in rows {
        let (codes, statuses): (Vec<String>, Vec<String>) = (codes, statuses);
        for (place, code) in codes.into_iter().enumerate() {
            let status = statuses.get(place).or(statuses.first()).cloned();
            documented.insert(code, status.unwrap_or_default());
        }
    }
    let mut seen = 0;
    for pair in table.split("StatusCode::").skip(1) {
        let name = pair.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        let Some(status) = name.into_iter().next().filter(|name| !name.is_empty()) else {
            continue;
        };
        let code = pair.split('"').nth(1).expect("a code");
        let number = match status {
            "BAD_REQUEST" => "400",
            "UNAUTHORIZED" => "401",
            "FORBIDDEN" => "403",
            "NOT_FOUND" => "404",
            "METHOD_NOT_ALLOWED" => "405",
            "REQUEST_TIMEOUT" => "408",
            "CONFLICT" => "409",
            "PAYLOAD_TOO_LARGE" => "413",
            "URI_TOO_LONG" => "414",
            "UNPROCESSABLE_ENTITY" => "422",
            "REQUEST_HEADER_FIELDS_TOO_LARGE" => "431",
            "INTERNAL_SERVER_ERROR" => "500",
            "SERVICE_UNAVAILABLE" => "503",
            "HTTP_VERSION_NOT_SUPPORTED" => "505",
            other => panic!("{other}: give it its number"),
        };
        assert_eq!(
            documented.get(code).map(String::as_str),
            Some(number),
            "{code}"
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn architecture_names_every_module_and_existing_files() {
    let document = text("ARCHITECTURE.md");
    for path in document.split('`').skip(1).step_by(2) {
        let is_path =
            !path.contains([' ', '{', '(']) && (path.contains(".rs") || path.contains('/'));
        let path = path.trim_end_matches("*.yaml");
        if is_path {
            let there = [repo_path(path), repo_path("src").join(path)];
            assert!(
                there.iter().any(|path| path.exists()),
                "ARCHITECTURE.md: {path}"
            );
        }
    }
    for entry in fs::read_dir(repo_path("src")).expect("the sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a name");
        assert!(
            name == "lib" || document.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not say what {} is",
            Path::new("src").join(name).display()
        );
    }
}

/// The example is a test that runs, the table knows every test file, and the paths exist.
#[test]
fn contributing_matches_the_tests_and_files() {
    let page = text("CONTRIBUTING.md");
    let tests = text("tests/it/harness/self_tests.rs");
    for example in blocks(&page, "rust") {
        assert!(tests.contains(&example), "CONTRIBUTING.md: {example}");
    }
    for entry in fs::read_dir(repo_path("tests/it")).expect("the tests") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        let is_test = name.ends_with(".rs") && !["main.rs", "harness.rs"].contains(&&*name);
        assert!(
            !is_test || page.contains(&format!("`{name}`")),
            "CONTRIBUTING.md: {name}"
        );
    }
    for path in page.split('`').skip(1).step_by(2) {
        let roots = ["src/", "crates/", "tests/it/", "fuzz/", "events/", "docs/"];
        if roots.iter().any(|root| path.starts_with(root)) {
            assert!(repo_path(path).exists(), "CONTRIBUTING.md: {path}");
        }
    }
}

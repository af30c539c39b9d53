//! The documents, compared with the program. README.md and the pages in docs/ are one body: their commands are run or
//! compared with the command line, their configs and requests are parsed, and the facts of the tables are counted.

mod blocks;
mod body_limits;
mod commands;
mod configs;
mod excerpts;
mod facts;
mod links;
mod outputs;
mod receivers;
mod recipes;
mod reference;
mod requests;
mod signature_recipes;

use std::fs;
use std::path::Path;

use crate::harness::repo_path;
use blocks::{Page, blocks};

fn text(path: &str) -> String {
    fs::read_to_string(repo_path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README.md and the pages in docs/, by name.
fn pages() -> Vec<Page> {
    let folder = fs::read_dir(repo_path("docs")).expect("docs/");
    let names = folder.map(|entry| entry.expect("an entry").file_name());
    let mut paths: Vec<String> = names
        .map(|name| format!("docs/{}", name.to_string_lossy()))
        .filter(|path| Path::new(path).extension().is_some_and(|end| end == "md"))
        .collect();
    paths.push("README.md".to_owned());
    paths.sort();
    let pages = paths.into_iter().map(|path| {
        let text = text(&path);
        Page { path, text }
    });
    pages.collect()
}

/// All pages as one text.
fn body() -> String {
    let pages = pages();
    let texts: Vec<&str> = pages.iter().map(|page| page.text.as_str()).collect();
    texts.join("\n")
}

/// A reader decides within a minute whether a page is worth another one.
#[test]
fn readme_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 220, "README.md has {lines} lines");
}

/// Each page can be found from README.md.
#[test]
fn readme_links_every_page() {
    let readme = text("README.md");
    for page in pages() {
        let link = format!("({}", page.path);
        assert!(
            page.path == "README.md" || readme.contains(&link),
            "README.md has no link to {}",
            page.path
        );
    }
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

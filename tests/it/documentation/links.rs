//! Relative links and anchors of all Markdown files in the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::blocks::Page;
use super::text;
use crate::harness::repo_path;

/// The Markdown files that Git tracks or would add.
fn documents() -> Vec<Page> {
    let files = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.md",
        ])
        .current_dir(repo_path("."))
        .output()
        .expect("git");
    let files = String::from_utf8(files.stdout).expect("text");
    let files = files.lines().filter(|path| repo_path(path).exists());
    let pages = files.map(|path| Page {
        path: path.to_owned(),
        text: text(path),
    });
    pages.collect()
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

/// Returns the anchors of a page. GitHub numbers headings that repeat.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let prose = page.prose();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let name = anchor(line.trim_start_matches('#').trim());
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            more => format!("{name}-{}", more - 1),
        }
    });
    anchors.collect()
}

/// Returns the targets of links and pictures.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let mut found = Vec::new();
    for rest in prose.split("](").skip(1) {
        let (target, _) = rest.split_once(')').expect("the link's end");
        found.push(target.to_owned());
    }
    for attribute in ["src=\"", "srcset=\"", "href=\""] {
        for rest in prose.split(attribute).skip(1) {
            found.extend(rest.split_once('"').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// Resolves a relative path, as a browser does. `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut path = PathBuf::new();
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    for part in folder.join(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    path.to_str().map(str::to_owned)
}

/// Returns what is wrong with a link.
fn problem(
    documents: &BTreeMap<String, BTreeSet<String>>,
    from: &str,
    target: &str,
) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let path = match path {
        "" => from.to_owned(),
        path => match resolve(from, path) {
            Some(path) => path,
            None => return Some("leaves the repository".to_owned()),
        },
    };
    if !documents.contains_key(&path) && !repo_path(&path).exists() {
        return Some("does not exist".to_owned());
    }
    let anchor = anchor?;
    match documents.get(&path) {
        Some(anchors) if anchors.contains(anchor) => None,
        Some(anchors) => Some(format!("has no such heading; it has {anchors:?}")),
        None => Some("has no headings".to_owned()),
    }
}

#[test]
fn links_resolve() {
    let pages = documents();
    let documents = pages.iter().map(|page| (page.path.clone(), anchors(page)));
    let documents: BTreeMap<String, BTreeSet<String>> = documents.collect();
    for page in [
        "README.md",
        "CHANGELOG.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ] {
        assert!(documents.contains_key(page), "{page}");
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in &pages {
        for target in targets(page) {
            count += 1;
            if let Some(problem) = problem(&documents, &page.path, &target) {
                wrong.push(format!("{}: {target} {problem}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "{count}");
}

#[test]
fn broken_links_are_found() {
    let page = |path: &str, text: &str| Page {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let docs = page(
        "docs/a.md",
        "# A b\n\n## Twice\n\n## Twice\n\n```sh\n# no heading [x](y)\n```\n",
    );
    let documents = BTreeMap::from([(docs.path.clone(), anchors(&docs))]);
    for (target, is_good) in [
        ("#a-b", true),
        ("#twice-1", true),
        ("#twice-2", false),
        ("#no-heading-xy", false),
        ("../README.md", true),
        ("../LICENSE-MIT#x", false),
        ("README.md", false),
        ("../../README.md", false),
        ("/README.md", false),
        ("https://example.com/none", true),
    ] {
        let found = problem(&documents, &docs.path, target);
        assert_eq!(found.is_none(), is_good, "{target}: {found:?}");
    }
    let html = page("README.md", "<img src=\"docs/none.png\"> [a](b.md) `code`");
    assert_eq!(targets(&html), ["b.md", "docs/none.png"]);
}

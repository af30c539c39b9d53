//! The code blocks of a page.

use super::pages;

/// A page of the documentation.
pub(super) struct Page {
    /// Its path in the repository.
    pub(super) path: String,
    pub(super) text: String,
}

/// A code block.
#[derive(Debug)]
pub(super) struct Block {
    /// The page and line where it begins.
    pub(super) place: String,
    pub(super) language: String,
    /// Its text, without the indentation of the fence.
    pub(super) code: String,
}

impl Page {
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut found = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            let Some(language) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            let inside = lines.by_ref().map(|(_, line)| line);
            let inside = inside.take_while(|line| line.trim() != "```");
            let inside =
                inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n");
            found.push(Block {
                place: format!("{}:{}", self.path, index + 1),
                language: language.to_owned(),
                code: inside.collect(),
            });
        }
        found
    }

    /// Returns the text outside of code blocks.
    pub(super) fn prose(&self) -> String {
        let parts = self.text.split("```").step_by(2);
        parts.collect()
    }
}

/// Returns the code of a document's blocks of a language.
pub(super) fn blocks(document: &str, language: &str) -> Vec<String> {
    let page = Page {
        path: String::new(),
        text: document.to_owned(),
    };
    let blocks = page.blocks().into_iter();
    let blocks = blocks.filter(|block| block.language == language);
    let found: Vec<String> = blocks.map(|block| block.code).collect();
    assert!(!found.is_empty(), "no {language}");
    found
}

/// Returns the blocks of a language in all pages.
pub(super) fn blocks_of_pages(language: &str) -> Vec<Block> {
    let pages = pages();
    let blocks = pages.iter().flat_map(Page::blocks);
    let found: Vec<Block> = blocks.filter(|block| block.language == language).collect();
    assert!(!found.is_empty(), "no {language}");
    found
}

/// The languages of blocks, each with a test that runs or parses them.
const LANGUAGES: [&str; 11] = [
    "sh",         // commands.rs; docs/getting-started.md in first_route.rs
    "console",    // outputs.rs
    "yaml",       // configs.rs; signature_recipes.rs
    "json",       // requests.rs
    "jq",         // recipes.rs
    "text",       // excerpts.rs; docs/getting-started.md in first_route.rs
    "javascript", // receivers.rs
    "python",     // receivers.rs
    "go",         // receivers.rs
    "php",        // receivers.rs
    "mermaid",    // below
];

#[test]
fn every_code_block_has_a_test() {
    for page in pages() {
        for block in page.blocks() {
            assert!(
                LANGUAGES.contains(&block.language.as_str()),
                "{}: nothing tests `{}`",
                block.place,
                block.language
            );
        }
    }
}

/// GitHub draws a diagram only if each line is a node, an edge or a subgraph.
#[test]
fn diagrams_have_known_statements() {
    for block in blocks_of_pages("mermaid") {
        let mut open = 0;
        for line in block.code.lines().skip(1).map(str::trim) {
            match line.split(' ').next() {
                Some("subgraph") => open += 1,
                Some("end") => open -= 1,
                _ => assert!(
                    line.contains("--") || line.contains("-."),
                    "{}: {line}",
                    block.place
                ),
            }
            let count = |sign| line.matches(sign).count();
            assert_eq!(count('['), count(']'), "{line}");
            assert_eq!(count('('), count(')'), "{line}");
            assert_eq!(count('"') % 2, 0, "{line}");
        }
        assert_eq!(open, 0, "{}", block.place);
        assert!(block.code.starts_with("flowchart "), "{}", block.place);
    }
}

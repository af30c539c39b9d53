//! What is fuzzed: everything that reads what a stranger, a sender or Zoho wrote. Each target takes bytes and asserts what
//! must hold of them whatever they are; `cargo test` runs the same functions over the seeds and over past findings.

pub mod body;
pub mod config;
pub mod detect;
pub mod jq;
pub mod scheme;
pub mod zoho;

/// A target.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 6] = [
    ("body", body::run),
    ("config", config::run),
    ("detect", detect::run),
    ("jq", jq::run),
    ("scheme", scheme::run),
    ("zoho", zoho::run),
];

/// What stands before and after the first line that is `---`.
fn two_parts(data: &[u8]) -> Option<(&str, &[u8])> {
    const RULE: &[u8] = b"\n---\n";
    let at = data.windows(RULE.len()).position(|window| window == RULE)?;
    let before = std::str::from_utf8(&data[..at]).ok()?;
    Some((before, &data[at + RULE.len()..]))
}

//! Fuzz targets for all parsers of untrusted input: config files, requests, Lambda events, jq programs and answers of Zoho.
//!
//! Each target takes bytes and asserts properties that hold for any input. `cargo test` runs the same functions on the seeds
//! and on past findings.

pub mod body;
pub mod cloud_events;
pub mod config;
pub mod detect;
pub mod jq;
pub mod scheme;
pub mod zoho;

/// Function that runs one fuzz target on an input.
pub type Target = fn(&[u8]);

/// All targets with their names.
pub const TARGETS: [(&str, Target); 7] = [
    ("body", body::run),
    ("cloud_events", cloud_events::run),
    ("config", config::run),
    ("detect", detect::run),
    ("jq", jq::run),
    ("scheme", scheme::run),
    ("zoho", zoho::run),
];

/// Splits an input at its first line `---`.
fn two_parts(data: &[u8]) -> Option<(&str, &[u8])> {
    const RULE: &[u8] = b"\n---\n";
    let at = data.windows(RULE.len()).position(|window| window == RULE)?;
    let before = std::str::from_utf8(&data[..at]).ok()?;
    Some((before, &data[at + RULE.len()..]))
}

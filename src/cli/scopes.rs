//! The scopes that were granted, against those that a config needs.

use std::collections::BTreeSet;

use super::finding::{Bearing, Finding};
use crate::config::{Cover, Scope};
use crate::update::ModuleName;

/// Judges granted scopes. `modules` are those that are known to be updated: a scope may be narrower than masshook asks for
/// and still reach to all of them.
pub(super) fn judged(
    scopes: &[Scope],
    granted: &[String],
    modules: &BTreeSet<ModuleName>,
) -> Vec<Finding> {
    let (mut needed, mut optional, mut narrow) = (Vec::new(), Vec::new(), Vec::new());
    for scope in scopes {
        let told = format!("{} ({})", scope.name, scope.what_for);
        let cover = scope.cover(granted.iter().map(String::as_str));
        let out_of_reach = modules.iter().filter(|module| !cover.reaches(module));
        let out_of_reach: Vec<&str> = out_of_reach.map(ModuleName::as_str).collect();
        let lacking = match &cover {
            Cover::Whole => None,
            Cover::Modules(words) if out_of_reach.is_empty() => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                narrow.push(format!("{} for {} only", scope.name, words.join(", ")));
                None
            }
            Cover::Modules(_) => Some(format!("{told} for {}", out_of_reach.join(", "))),
            Cover::Nothing => Some(told),
        };
        match scope.needed {
            true => needed.extend(lacking),
            false => optional.extend(lacking),
        }
    }
    let mut findings = vec![Finding::new("granted", Bearing::Good, granted.join(" "))];
    findings.push(match needed.is_empty() {
        true => Finding::new("needed", Bearing::Good, "all granted".to_owned()),
        false => {
            let found = format!(
                "missing: {}; make a new code with the scopes of `masshook auth --scopes`",
                needed.join(", ")
            );
            Finding::new("needed", Bearing::Bad, found)
        }
    });
    if !narrow.is_empty() {
        let found = format!("{}: updates of other modules fail", narrow.join(", "));
        findings.push(Finding::new("narrow", Bearing::Note, found));
    }
    findings.push(match optional.is_empty() {
        true => Finding::new("optional", Bearing::Good, "all granted".to_owned()),
        false => {
            let found = format!("missing: {}", optional.join(", "));
            Finding::new("optional", Bearing::Note, found)
        }
    });
    findings
}

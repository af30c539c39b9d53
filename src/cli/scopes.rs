//! Compares granted scopes with the scopes that a config needs.

use std::collections::BTreeSet;

use super::finding::{Finding, Severity};
use crate::config::{Scope, ScopeCoverage};
use crate::update::ModuleName;

/// Checks granted scopes. `modules` are the modules known to be updated: a scope limited to modules is sufficient if it
/// covers all of them.
pub(super) fn check_scopes(
    scopes: &[Scope],
    granted: &[String],
    modules: &BTreeSet<ModuleName>,
) -> Vec<Finding> {
    let (mut needed, mut optional, mut limited) = (Vec::new(), Vec::new(), Vec::new());
    for scope in scopes {
        let described = format!("{} ({})", scope.name, scope.what_for);
        let coverage = scope.coverage(granted.iter().map(String::as_str));
        let uncovered = modules.iter().filter(|module| !coverage.includes(module));
        let uncovered: Vec<&str> = uncovered.map(ModuleName::as_str).collect();
        let missing = match &coverage {
            ScopeCoverage::Whole => None,
            ScopeCoverage::Modules { words, .. } if uncovered.is_empty() => {
                let names: Vec<&str> = words.iter().map(String::as_str).collect();
                limited.push(format!("{} for {} only", scope.name, names.join(", ")));
                None
            }
            ScopeCoverage::Modules { .. } => {
                Some(format!("{described} for {}", uncovered.join(", ")))
            }
            ScopeCoverage::Nothing => Some(described),
        };
        match scope.needed {
            true => needed.extend(missing),
            false => optional.extend(missing),
        }
    }
    let mut findings = vec![
        Finding::new("granted", Severity::Ok, granted.join(" ")),
        missing_scopes("needed", Severity::Bad, &needed, RENEW_ADVICE),
    ];
    if !limited.is_empty() {
        let message = format!("{}: updates of other modules fail", limited.join(", "));
        findings.push(Finding::new("narrow", Severity::Note, message));
    }
    findings.push(missing_scopes("optional", Severity::Note, &optional, ""));
    findings
}

const RENEW_ADVICE: &str =
    "; generate a new code with the scopes that `masshook auth --scopes` prints";

fn missing_scopes(check: &str, severity: Severity, missing: &[String], advice: &str) -> Finding {
    match missing.is_empty() {
        true => Finding::new(check, Severity::Ok, "all granted".to_owned()),
        false => {
            let message = format!("missing: {}{advice}", missing.join(", "));
            Finding::new(check, severity, message)
        }
    }
}

/// The scopes as one comma-separated string, the format of the API console and of the accounts server.
pub(super) fn scope_string(scopes: &[Scope]) -> String {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.name).collect();
    names.join(",")
}

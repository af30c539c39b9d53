//! What a command found out, as a line and as JSON.

use serde_json::{Value, json};

use crate::zoho;

/// How a finding bears on the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearing {
    /// As it should be.
    Good,
    /// It could not be found out, or something optional is missing.
    Note,
    /// Updates will not work so.
    Bad,
}

impl Bearing {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        }
    }
}

/// One thing that was looked at.
pub(super) struct Finding {
    what: String,
    pub(super) bearing: Bearing,
    found: String,
}

impl Finding {
    /// What asking Zoho came to.
    pub(super) fn of(
        what: impl Into<String>,
        outcome: Result<(Bearing, String), zoho::Error>,
    ) -> Self {
        let (bearing, found) = outcome.unwrap_or_else(|failed| {
            // What masshook does without is no reason to refuse the config.
            let bearing = match failed.lacks_scope() {
                true => Bearing::Note,
                false => Bearing::Bad,
            };
            let (zoho::Error::RetryLater(why, _)
            | zoho::Error::Refused(why)
            | zoho::Error::Denied(why)) = failed;
            (bearing, why.to_string())
        });
        Self::new(what, bearing, found)
    }

    pub(super) fn new(what: impl Into<String>, bearing: Bearing, found: String) -> Self {
        Self {
            what: what.into(),
            bearing,
            found,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({"check": self.what, "result": self.bearing.name().to_lowercase(), "found": self.found})
    }
}

/// Whether nothing of it is bad.
pub(super) fn are_good<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> bool {
    let mut findings = findings.into_iter();
    findings.all(|found| found.bearing != Bearing::Bad)
}

/// One line each, in columns.
pub(super) fn lines(findings: &[Finding]) -> Vec<String> {
    const NARROWEST: usize = 14;
    let widths = findings.iter().map(|found| found.what.chars().count());
    let width = widths.max().unwrap_or_default().max(NARROWEST);
    let line = |found: &Finding| {
        let Finding {
            what,
            bearing,
            found,
        } = found;
        format!("  {:<5} {what:<width$} {found}", bearing.name())
    };
    findings.iter().map(line).collect()
}

//! The checks of the demo.

/// Collects failed checks. The demo continues after a failure and reports all of them at its end.
#[derive(Default)]
pub(super) struct Checks {
    failures: Vec<String>,
}

impl Checks {
    /// Records a failure unless the condition holds.
    pub(super) fn expect(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(failure());
        }
    }

    /// Records a failure.
    pub(super) fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// The failures so far.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }
}

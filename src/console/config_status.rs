//! Where the config came from, and what prevents its latest edit from being used.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sync;

/// The state of the config in use, shared by the part that loads it and the console that shows it.
#[derive(Clone, Debug)]
pub struct ConfigStatus(Arc<Mutex<LoadState>>);

#[derive(Debug)]
struct LoadState {
    path: Option<PathBuf>,
    loaded_at: Timestamp,
    problems: Vec<String>,
}

impl ConfigStatus {
    /// The state of a config that was just loaded.
    pub fn new(path: Option<&Path>, loaded_at: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(LoadState {
            path: path.map(Path::to_owned),
            loaded_at,
            problems: Vec::new(),
        })))
    }

    /// Records that a config is in use.
    pub fn record_load(&self, now: Timestamp) {
        let mut state = sync::lock(&self.0);
        state.loaded_at = now;
        state.problems.clear();
    }

    /// Records why an edited config is not used.
    pub fn record_problems(&self, problems: Vec<String>) {
        sync::lock(&self.0).problems = problems;
    }

    /// The folder of the config, if it is a file.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let state = sync::lock(&self.0);
        let path = state.path.as_deref()?;
        path.parent().map(Path::to_owned)
    }

    pub(super) fn to_json(&self) -> Value {
        let state = sync::lock(&self.0);
        json!({
            "path": state.path.as_ref().map(|path| path.display().to_string()),
            "loaded_at": format!("{:.3}", state.loaded_at),
            "problems": state.problems,
        })
    }
}

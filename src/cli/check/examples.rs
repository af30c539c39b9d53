//! Example events: runs a config's routes on them and compares the update requests with the expected ones.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::difference::first_difference;
use crate::app::App;
use crate::cli::event_file::{RouteOutput, map_for_all_routes};
use crate::cli::finding::{Finding, Severity};
use crate::cli::text::count_of;
use crate::inbound::rejection::Rejection;
use crate::plan::Warning;
use crate::update::UpdateRequest;

/// File names of an example.
const EVENT: &str = "event.json";
const EXPECTED: &str = "expected.json";

/// The files of an example.
#[derive(Clone, Debug)]
pub(in crate::cli) struct ExampleFile {
    event: PathBuf,
    /// File with the expected update requests.
    expected: Option<PathBuf>,
}

/// The examples that the arguments name.
///
/// # Errors
/// A file or folder that does not exist or contains no example.
pub(super) fn requested_examples(
    events: &[PathBuf],
    folder: Option<&Path>,
) -> Result<Vec<ExampleFile>, String> {
    let mut files = Vec::new();
    for event in events {
        if !event.is_file() {
            return Err(format!("--event {}: no such file", event.display()));
        }
        files.push(ExampleFile {
            event: event.clone(),
            expected: None,
        });
    }
    if let Some(folder) = folder {
        let shown = folder.display();
        let found = examples_below(folder).map_err(|why| format!("--examples {shown}: {why}"))?;
        if found.is_empty() {
            return Err(format!(
                "--examples {shown}: neither it nor a subfolder contains {EVENT}"
            ));
        }
        files.extend(found);
    }
    Ok(files)
}

/// The examples beside a config file: in its own folder and in `examples` there.
pub(in crate::cli) fn examples_beside(config: &Path) -> Vec<ExampleFile> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let more = examples_below(&folder.join("examples")).unwrap_or_default();
    example_in(folder).into_iter().chain(more).collect()
}

/// The examples of a folder and of its subfolders, by name.
fn examples_below(folder: &Path) -> std::io::Result<Vec<ExampleFile>> {
    let mut folders = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder)? {
        folders.push(entry?.path());
    }
    folders.sort();
    Ok(folders
        .iter()
        .filter_map(|folder| example_in(folder))
        .collect())
}

fn example_in(folder: &Path) -> Option<ExampleFile> {
    let event = folder.join(EVENT);
    let expected = folder.join(EXPECTED);
    event.is_file().then(|| ExampleFile {
        event,
        expected: Some(expected).filter(|path| path.is_file()),
    })
}

/// The routes' output for an example, and its assessment.
pub(in crate::cli) struct ExampleResult {
    pub(super) name: String,
    /// The update requests, each with its route.
    pub(in crate::cli) updates: Vec<(Option<String>, UpdateRequest)>,
    severity: Severity,
    message: String,
}

impl ExampleResult {
    /// Runs the routes on an example.
    pub(in crate::cli) async fn of_file(app: &App, file: &ExampleFile) -> Self {
        let name = file.event.display().to_string();
        match route_outputs(app, file).await {
            Ok(outputs) => Self::assess(name, file, outputs),
            Err(why) => Self {
                name,
                updates: Vec::new(),
                severity: Severity::Bad,
                message: why,
            },
        }
    }

    fn assess(name: String, file: &ExampleFile, outputs: Vec<RouteOutput>) -> Self {
        let (mut messages, mut all) = (Vec::new(), Vec::new());
        let mut failed = false;
        for output in outputs {
            let RouteOutput {
                route,
                updates,
                unmapped,
            } = output;
            match (updates, unmapped) {
                (Ok(_), Some(unmapped)) => messages.push(unmapped),
                (Ok(updates), None) => {
                    let by = route.as_ref().map(|route| format!(" of route {route}"));
                    let count = count_of(updates.len(), "update request");
                    messages.push(format!("{count}{}", by.unwrap_or_default()));
                    all.extend(updates.into_iter().map(|update| (route.clone(), update)));
                }
                (Err(rejection), _) => {
                    failed = true;
                    messages.push(rejection_line(&rejection));
                }
            }
        }
        let summary = messages.join(", ");
        let (severity, message) = match &file.expected {
            _ if failed => (Severity::Bad, summary),
            // Without expectations, ignoring the event may be intended.
            None if all.is_empty() => (Severity::Note, summary),
            None => (Severity::Ok, summary),
            Some(expected) => compare(expected, &all, summary),
        };
        let warning = all
            .iter()
            .find_map(|(_, update)| Warning::of_module(&update.module));
        let (severity, message) = match warning {
            Some(warning) if severity == Severity::Bad => {
                (severity, format!("{message}; {warning}"))
            }
            Some(warning) => (Severity::Note, format!("{message}; {warning}")),
            None => (severity, message),
        };
        Self {
            name,
            updates: all,
            severity,
            message,
        }
    }

    pub(super) fn finding(&self) -> Finding {
        Finding::new(self.name.clone(), self.severity, self.message.clone())
    }
}

/// Runs the routes on an event file. A bare body is for the route with the name of its folder, or for the only route.
async fn route_outputs(app: &App, file: &ExampleFile) -> Result<Vec<RouteOutput>, String> {
    let text = std::fs::read_to_string(&file.event).map_err(|error| error.to_string())?;
    let routes = &app.config().routes;
    let folder = file.event.parent().and_then(Path::file_name);
    let by_folder = folder.and_then(|name| routes.get_key_value(name.to_str()?));
    let only = routes.iter().next().filter(|_| routes.len() == 1);
    let body_route = by_folder.or(only).map(|(name, _)| name.as_str());
    map_for_all_routes(app, &text, body_route).await
}

fn compare(
    expected: &Path,
    updates: &[(Option<String>, UpdateRequest)],
    summary: String,
) -> (Severity, String) {
    let actual: Value = updates.iter().map(|(_, update)| update.to_json()).collect();
    let compared =
        read_json(expected).map(|expected| first_difference(&expected, &actual, String::new()));
    match compared {
        Ok(None) => (Severity::Ok, format!("{summary}, matching {EXPECTED}")),
        Ok(Some(difference)) => (
            Severity::Bad,
            format!("{summary}, not matching {EXPECTED}: {difference}"),
        ),
        Err(why) => (Severity::Bad, why),
    }
}

fn rejection_line(rejection: &Rejection) -> String {
    match rejection.long_details() {
        Some(more) => format!("{rejection}: {}", more.replace('\n', "; ")),
        None => rejection.to_string(),
    }
}

fn read_json(path: &Path) -> Result<Value, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{shown} is not JSON: {error}"))
}

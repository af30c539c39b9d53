//! Events that a config's routes are tried with, and the update requests that are to come of them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::finding::{Bearing, Finding};
use super::super::preview::{Made, made};
use super::counted;
use crate::app::App;
use crate::app::rejection::Rejection;
use crate::update::UpdateRequest;

/// The files of an example.
const EVENT: &str = "event.json";
const EXPECTED: &str = "expected.json";

/// Characters of a value that a difference shows.
const SHOWN: usize = 120;

/// A file with an event.
#[derive(Clone, Debug)]
pub(super) struct File {
    event: PathBuf,
    /// Holds what must come of it.
    expected: Option<PathBuf>,
}

/// The files that were asked for.
///
/// # Errors
/// What cannot be read, or is empty.
pub(super) fn named(events: &[PathBuf], folder: Option<&Path>) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for event in events {
        if !event.is_file() {
            return Err(format!("--event {}: no such file", event.display()));
        }
        files.push(File {
            event: event.clone(),
            expected: None,
        });
    }
    if let Some(folder) = folder {
        let shown = folder.display();
        let found = below(folder).map_err(|why| format!("--examples {shown}: {why}"))?;
        if found.is_empty() {
            return Err(format!(
                "--examples {shown}: neither it nor a folder in it has {EVENT}"
            ));
        }
        files.extend(found);
    }
    Ok(files)
}

/// The examples that stand beside a config file: in its own folder, and in `examples` there.
pub(super) fn found_beside(config: &Path) -> Vec<File> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let more = below(&folder.join("examples")).unwrap_or_default();
    of_folder(folder).into_iter().chain(more).collect()
}

/// The example of a folder, and those of the folders in it, by their names.
fn below(folder: &Path) -> std::io::Result<Vec<File>> {
    let mut folders = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder)? {
        folders.push(entry?.path());
    }
    folders.sort();
    Ok(folders
        .iter()
        .filter_map(|folder| of_folder(folder))
        .collect())
}

fn of_folder(folder: &Path) -> Option<File> {
    let event = folder.join(EVENT);
    let expected = folder.join(EXPECTED);
    event.is_file().then(|| File {
        event,
        expected: Some(expected).filter(|path| path.is_file()),
    })
}

/// What came of an event.
pub(super) struct Example {
    pub(super) name: String,
    /// Each update request, with the route that made it.
    pub(super) updates: Vec<(Option<String>, UpdateRequest)>,
    bearing: Bearing,
    found: String,
}

impl Example {
    /// Shows an event to the routes.
    pub(super) async fn of(app: &App, file: &File) -> Self {
        let name = file.event.display().to_string();
        let (bearing, found, updates) = match routes_of(app, file).await {
            Ok(routes) => judged(file, routes),
            Err(why) => (Bearing::Bad, why, Vec::new()),
        };
        Self {
            name,
            updates,
            bearing,
            found,
        }
    }

    pub(super) fn finding(&self) -> Finding {
        Finding::new(self.name.clone(), self.bearing, self.found.clone())
    }
}

/// What the routes make of a file. A bare body is for the route that its folder is called after, or for the only one.
async fn routes_of(app: &App, file: &File) -> Result<Vec<Made>, String> {
    let text = std::fs::read_to_string(&file.event).map_err(|error| error.to_string())?;
    let routes = &app.config().routes;
    let folder = file.event.parent().and_then(Path::file_name);
    let called = folder.and_then(|name| routes.get_key_value(name.to_str()?));
    let only = routes.iter().next().filter(|_| routes.len() == 1);
    let bare = called.or(only).map(|(name, _)| name.as_str());
    made(app, &text, bare).await
}

type Judged = (Bearing, String, Vec<(Option<String>, UpdateRequest)>);

fn judged(file: &File, routes: Vec<Made>) -> Judged {
    let (mut told, mut all) = (Vec::new(), Vec::new());
    let mut failed = false;
    for Made { route, updates } in routes {
        let by = route.as_ref().map(|route| format!(" of route {route}"));
        match updates {
            Ok(updates) => {
                let count = counted(updates.len(), "update request");
                told.push(format!("{count}{}", by.unwrap_or_default()));
                all.extend(updates.into_iter().map(|update| (route.clone(), update)));
            }
            Err(rejection) => {
                failed = true;
                told.push(explained(&rejection));
            }
        }
    }
    let told = told.join(", ");
    let expected = match &file.expected {
        _ if failed => return (Bearing::Bad, told, all),
        // That nothing comes of an event may well be what is meant.
        None if all.is_empty() => return (Bearing::Note, told, all),
        None => return (Bearing::Good, told, all),
        Some(expected) => expected,
    };
    let made: Value = all.iter().map(|(_, update)| update.to_json()).collect();
    let compared = read(expected).map(|wanted| difference(&wanted, &made, String::new()));
    let (bearing, found) = match compared {
        Ok(None) => (Bearing::Good, format!("{told}, as {EXPECTED} has them")),
        Ok(Some(how)) => {
            let found = format!("{told}, but not as {EXPECTED} has them: {how}");
            (Bearing::Bad, found)
        }
        Err(why) => (Bearing::Bad, why),
    };
    (bearing, found, all)
}

fn explained(rejection: &Rejection) -> String {
    match rejection.at_length() {
        Some(more) => format!("{rejection}: {}", more.replace('\n', "; ")),
        None => rejection.to_string(),
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{shown} is not JSON: {error}"))
}

/// The first place where what was made differs from what was wanted.
fn difference(wanted: &Value, made: &Value, at: String) -> Option<String> {
    let one_of = |wanted: Option<&Value>, made: Option<&Value>, at: String| match (wanted, made) {
        (Some(wanted), Some(made)) => difference(wanted, made, at),
        (Some(wanted), None) => Some(format!("{at} is missing, wanted {}", short(wanted))),
        (None, Some(made)) => Some(format!("{at} is one too many: {}", short(made))),
        (None, None) => None,
    };
    match (wanted, made) {
        (Value::Object(wanted), Value::Object(made)) => {
            let mut keys = wanted.keys().chain(made.keys());
            keys.find_map(|key| one_of(wanted.get(key), made.get(key), format!("{at}/{key}")))
        }
        (Value::Array(wanted), Value::Array(made)) => {
            let mut places = 0..wanted.len().max(made.len());
            places.find_map(|place| {
                one_of(wanted.get(place), made.get(place), format!("{at}/{place}"))
            })
        }
        _ => (wanted != made).then(|| {
            let at = if at.is_empty() { "the whole" } else { &at };
            format!("{at} is {}, not {}", short(made), short(wanted))
        }),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_told_with_its_place() {
        let of = |ids: Value, city: &str| json!([{"ids": ids, "fields": {"City": city}}]);
        let wanted = of(json!(["1", "2"]), "Bonn");
        let mut more = wanted.clone();
        more[0]["over_write"] = json!(true);
        for (made, told) in [
            (wanted.clone(), None),
            (json!([]), Some("/0 is missing, wanted {")),
            (json!({}), Some("the whole is {}, not [")),
            (
                of(json!(["1"]), "Bonn"),
                Some("/0/ids/1 is missing, wanted \"2\""),
            ),
            (
                of(json!(["1", "2"]), "Köln"),
                Some("/0/fields/City is \"Köln\", not \"Bonn\""),
            ),
            (more, Some("/0/over_write is one too many: true")),
        ] {
            let found = difference(&wanted, &made, String::new());
            let begins = |told| {
                found
                    .as_deref()
                    .is_some_and(|found| found.starts_with(told))
            };
            assert!(told.map_or(found.is_none(), begins), "{found:?}");
        }
    }
}

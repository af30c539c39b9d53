//! `masshook preview --against`: what another config would do differently.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::config_file::report_config_error;
use super::super::event_file::EventFile;
use super::super::offline::offline_app;
use super::super::sender::no_route;
use super::super::store_location::DATABASE_FILE;
use super::super::terminal::{ExitStatus, print_error};
use super::super::text::count_of;
use super::{PreviewArgs, read_event};
use crate::app::{App, ComparedEvent, RouteComparison};
use crate::config::{CompileMode, Config};
use crate::inbound::rejection::Rejection;
use crate::store::delivery::StoredDelivery;
use crate::store::delivery_log::DeliveryFilter;
use crate::store::sqlite::SqliteStore;
use crate::store::{Deliveries, PageRequest, StoreError};

/// Stored deliveries that are compared.
const MAX_STORED: usize = 1_000;

/// Entries of the log that are read at once.
const PAGE: usize = 1_000;

/// Settings of which the comparison says nothing, because they change no update request and no call.
const NOT_COMPARED: [&str; 5] = [
    "verification and handshakes",
    "order_for",
    "the settings of connections",
    "the settings of callbacks",
    "limits",
];

/// The comparison of one event.
struct Compared {
    /// The file, or the id of the delivery.
    event: String,
    result: Result<Vec<RouteComparison>, String>,
}

/// Compares the config with another one.
pub(super) async fn run(args: &PreviewArgs, config: Config, other: &Path) -> ExitStatus {
    let loaded = Config::load(other, CompileMode::Eager);
    let other_config = match loaded {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, args.output),
    };
    let only = args.route.as_deref();
    if let Some(name) = only
        && !config.routes.contains_key(name)
        && !other_config.routes.contains_key(name)
    {
        return args.output.usage_error(&no_route(&config, name));
    }
    let (before, after) = (offline_app(config), offline_app(other_config));
    let mut compared = Vec::new();
    for file in &args.events {
        match compare_file(args, file, &before, &after).await {
            Ok(result) => compared.push(Compared {
                event: file.display().to_string(),
                result,
            }),
            Err(why) => return args.output.usage_error(&why),
        }
    }
    if let Some(folder) = &args.data {
        match stored_deliveries(folder, only).await {
            Ok((stored, is_complete)) => {
                for delivery in &stored {
                    let event = ComparedEvent::Stored(delivery);
                    let result = before.compare_with(&after, event).await;
                    compared.push(Compared {
                        event: delivery.id.clone(),
                        result: result.map_err(|rejection| text_of(&rejection)),
                    });
                }
                if !is_complete {
                    print_error(&format!(
                        "only the latest {MAX_STORED} stored deliveries are compared"
                    ));
                }
            }
            Err(why) => return args.output.usage_error(&why),
        }
    }
    args.output
        .print(&to_json(&compared), to_text(&compared, other));
    ExitStatus::from_success(!compared.iter().any(Compared::differs))
}

/// Compares an event file. The inner error is one of the comparison.
async fn compare_file(
    args: &PreviewArgs,
    file: &Path,
    before: &App,
    after: &App,
) -> Result<Result<Vec<RouteComparison>, String>, String> {
    let read = read_event(args, file, before.config()).await?;
    let shown = file.display();
    Ok(match read {
        EventFile::Request(request, _) => {
            let event = ComparedEvent::Request(&request);
            let result = before.compare_with(after, event).await;
            result.map_err(|rejection| text_of(&rejection))
        }
        EventFile::AwsEvents(events) => {
            let mut all = Vec::new();
            for event in &events {
                let result = before.compare_with(after, ComparedEvent::Aws(event)).await;
                match result {
                    Ok(comparisons) => all.extend(comparisons.into_iter().filter(|one| {
                        let only = args.route.as_ref();
                        only.is_none_or(|only| *only == one.route)
                    })),
                    Err(rejection) => return Ok(Err(text_of(&rejection))),
                }
            }
            Ok(all)
        }
        EventFile::UpdateRequest(_) => {
            return Err(format!(
                "{shown}: an update request is for no route, so no config makes a difference"
            ));
        }
        EventFile::NoUpdate(why) => return Err(format!("{shown}: {why}")),
        EventFile::Refused(rejection) => Err(text_of(&rejection)),
    })
}

fn text_of(rejection: &Rejection) -> String {
    rejection.to_string()
}

/// The stored deliveries of a data folder, for all routes or one, dead letters first, and whether these are all.
async fn stored_deliveries(
    folder: &Path,
    only: Option<&str>,
) -> Result<(Vec<StoredDelivery>, bool), String> {
    let file: PathBuf = folder.join(DATABASE_FILE);
    if !file.exists() {
        return Err(format!(
            "there is no {}: --data names the data folder of `masshook serve`",
            file.display()
        ));
    }
    let store = SqliteStore::in_file(file);
    read_stored(&store, only)
        .await
        .map_err(|error| error.to_string())
}

async fn read_stored(
    store: &dyn Deliveries,
    only: Option<&str>,
) -> Result<(Vec<StoredDelivery>, bool), StoreError> {
    let letters = store.dead_letters(MAX_STORED).await?;
    let mut ids: Vec<String> = letters.into_iter().map(|letter| letter.id).collect();
    // Deliveries in progress are in the log.
    let mut next: Option<String> = None;
    loop {
        let request = PageRequest::at(PAGE, next.as_deref());
        let page = store
            .list_deliveries(&DeliveryFilter::default(), &request)
            .await?;
        let entries = page.entries.into_iter();
        ids.extend(entries.filter_map(|summary| summary.entry.delivery));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let mut seen = HashSet::new();
    let mut stored = Vec::new();
    for id in ids {
        if !seen.insert(id.clone()) {
            continue;
        }
        let delivery = store.delivery(&id).await?;
        if let Some(delivery) = delivery.filter(|one| only.is_none_or(|only| only == one.route)) {
            if stored.len() == MAX_STORED {
                return Ok((stored, false));
            }
            stored.push(delivery);
        }
    }
    Ok((stored, true))
}

impl Compared {
    /// Whether the configs differ for the event, or cannot be compared.
    fn differs(&self) -> bool {
        match &self.result {
            Ok(comparisons) => comparisons.iter().any(RouteComparison::differs),
            Err(_) => true,
        }
    }

    fn to_json(&self) -> Value {
        match &self.result {
            Ok(comparisons) => {
                let routes: Vec<Value> = comparisons.iter().map(RouteComparison::to_json).collect();
                json!({"event": self.event, "differs": self.differs(), "routes": routes})
            }
            Err(why) => json!({"event": self.event, "differs": true, "error": why}),
        }
    }

    fn to_text(&self) -> String {
        let event = &self.event;
        match &self.result {
            Err(why) => format!("{event}\n  cannot be compared: {why}"),
            Ok(comparisons) => {
                let differing = comparisons.iter().filter(|one| one.differs());
                let texts = differing.map(|one| {
                    let lines = one.lines().into_iter();
                    let lines: String = lines.map(|line| format!("\n  {line}")).collect();
                    format!("{event} ({}){lines}", one.route)
                });
                texts.collect::<Vec<_>>().join("\n\n")
            }
        }
    }
}

fn to_json(compared: &[Compared]) -> Value {
    let comparisons: Vec<Value> = compared.iter().map(Compared::to_json).collect();
    let different = compared.iter().filter(|one| one.differs()).count();
    json!({
        "compared": compared.len(),
        "different": different,
        "comparisons": comparisons,
        "not_compared": NOT_COMPARED,
    })
}

fn to_text(compared: &[Compared], other: &Path) -> String {
    let differing: Vec<&Compared> = compared.iter().filter(|one| one.differs()).collect();
    let (all, count) = (count_of(compared.len() as u64, "event"), differing.len());
    let other = other.display();
    let head = match count {
        0 => format!("{other} does the same with {all}"),
        _ => format!("{other} does something else with {count} of {all}"),
    };
    let texts = differing.into_iter().map(Compared::to_text);
    let note = format!("Not compared: {}", NOT_COMPARED.join(", "));
    let texts: Vec<String> = [head].into_iter().chain(texts).chain([note]).collect();
    texts.join("\n\n")
}

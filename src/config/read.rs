//! Reads the top level of the config.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::duration::{BATCH_WINDOW_RANGE, TRACK_FOR_RANGE, read_duration};
use super::values::read_or;
use super::{
    Api, Callbacks, CompileMode, Config, Console, DeliveryLogSettings, Limits, Route, connection,
};
use crate::job::{CallbackOn, OnUnknownOutcome, TRACK_FOR};
use crate::zoho::Connection;
use strict_reader::{Node, Object, Problems};

impl Config {
    pub(super) fn read(
        node: &Node<'_>,
        compile: CompileMode,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut object = node.object(problems)?;
        let (connections, names) = read_connections(&mut object, problems);
        let base_path = object.optional("base_path");
        let base_path = base_path.and_then(|node| node.parse(problems));
        let api = read_or(&mut object, "api", Api::default(), problems, Api::read);
        let console = Console::default();
        let console = read_or(&mut object, "console", console, problems, Console::read);
        let callbacks = Callbacks::default();
        let callbacks = read_or(
            &mut object,
            "callbacks",
            callbacks,
            problems,
            Callbacks::read,
        );
        let batch_window = read_or(
            &mut object,
            "batch_window",
            Duration::ZERO,
            problems,
            |node, problems| read_duration(node, &BATCH_WINDOW_RANGE, problems),
        );
        let track_for = read_or(
            &mut object,
            "track_for",
            TRACK_FOR,
            problems,
            |node, problems| read_duration(node, &TRACK_FOR_RANGE, problems),
        );
        let default = OnUnknownOutcome::default();
        let on_unknown_outcome = read_or(
            &mut object,
            "on_unknown_outcome",
            default,
            problems,
            Node::parse,
        );
        let default = CallbackOn::default();
        let callback_on = read_or(&mut object, "callback_on", default, problems, Node::parse);
        let delivery_log = DeliveryLogSettings::read_key(&mut object, problems);
        let limits = read_or(
            &mut object,
            "limits",
            Limits::default(),
            problems,
            Limits::read,
        );
        let routes = object.optional("routes").map(|node| {
            read_named(&node, problems, |node, problems| {
                Route::read(node, names.as_ref(), callbacks.as_ref(), compile, problems)
            })
        });
        check_default_connection(api.as_ref(), names.as_ref(), &object, problems);
        object.finish(problems);
        let config = Self {
            connections: connections?,
            base_path,
            api: api?,
            console: console?,
            callbacks: callbacks?,
            batch_window: batch_window?,
            track_for: track_for?,
            on_unknown_outcome: on_unknown_outcome?,
            callback_on: callback_on?,
            delivery_log: delivery_log?,
            limits: limits?,
            routes: routes.unwrap_or_default(),
        };
        config.check_enrolled_secrets(problems);
        config.check_key_use(problems);
        Some(config)
    }
}

/// Reports a config whose `/jobs` is open, but whose connections include no default.
fn check_default_connection(
    api: Option<&Api>,
    names: Option<&BTreeSet<String>>,
    object: &Object<'_>,
    problems: &mut Problems,
) {
    let is_open = api.is_some_and(|api| api.key.is_some());
    if is_open && names.is_some_and(|names| names.len() > 1 && !names.contains("default")) {
        let message =
            "requests to /jobs use the connection `default`; give one connection this name";
        problems.add(&object.at, message);
    }
}

impl Api {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let key = object.optional("key").map(|node| node.parse(problems));
        object.finish(problems);
        Some(Self { key: key.flatten() })
    }
}

/// Reads the connections, and returns their names too. An invalid connection keeps its name, so that the routes which use
/// it are not reported as well.
fn read_connections(
    object: &mut Object<'_>,
    problems: &mut Problems,
) -> (
    Option<BTreeMap<String, Connection>>,
    Option<BTreeSet<String>>,
) {
    let connections = object.required("connections", problems);
    let names: Option<BTreeSet<String>> = connections
        .as_ref()
        .and_then(|node| node.value.as_object())
        .map(|map| map.keys().cloned().collect());
    let connections = connections.map(|node| read_named(&node, problems, connection::read));
    if names.as_ref().is_some_and(BTreeSet::is_empty) {
        problems.add(
            &object.at,
            "`connections` is empty; add at least one Zoho org, preferably under the name `default`",
        );
    }
    (connections, names)
}

/// Reads an object whose keys are names that the user chose.
fn read_named<T>(
    node: &Node<'_>,
    problems: &mut Problems,
    mut read: impl FnMut(&Node<'_>, &mut Problems) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(object) = node.object(problems) else {
        return BTreeMap::new();
    };
    let mut named = BTreeMap::new();
    for (name, node) in object.entries() {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            node.problem(
                problems,
                "is not a name: 1 to 64 letters, digits, hyphens and underscores",
            );
        }
        if let Some(value) = read(&node, problems) {
            named.insert(name.to_owned(), value);
        }
    }
    named
}

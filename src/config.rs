//! `masshook.yaml`, parsed into types in one pass: unknown keys are refused, and all problems are reported at once, each
//! with its place in the file.

mod callbacks;
mod connection;
mod duration;
mod enrollment;
mod limits;
mod route;
mod scopes;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde_json::Value;

use crate::job::{CallbackOn, OnUnknownOutcome, TRACK_FOR};
use crate::secrets::SecretRef;
use crate::zoho::Connection;
pub use callbacks::Callbacks;
use duration::{BATCH_WINDOW_RANGE, DurationSchema, TRACK_FOR_RANGE, read_duration};
pub use limits::{Limits, MAX_BODY_BYTES};
pub use route::Route;
pub use scopes::{Scope, ScopeCoverage, ScopedFeature};
use strict_reader::{Node, Object, Problem, Problems};
pub use verify::{SchemeConfig, VerifyConfig};

/// The whole configuration.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Config {
    /// Zoho orgs, by a name of your own; routes use the one named `default` unless they say otherwise.
    pub connections: BTreeMap<String, Connection>,
    /// Access to `/jobs`.
    #[schemars(default)]
    pub api: Api,
    /// How job statuses are forwarded.
    #[schemars(default)]
    pub callbacks: Callbacks,
    /// How long jobs of routes without a window of their own may wait for others that make the same change, so that they
    /// share calls: seconds, or a text such as `2s` or `5m`; at most 300 s. Only where jobs are durable.
    #[schemars(default, with = "DurationSchema", extend("default" = "0s"))]
    pub batch_window: Duration,
    /// How long a Zoho job (a custom view's) is tracked before its job ends `failed` with `TRACKING_TIMED_OUT`: seconds, or
    /// a text such as `90m`, `24h` or `7d`; from a minute to seven days. Time in which nobody could look does not count.
    #[schemars(default, with = "DurationSchema", extend("default" = "24h"))]
    pub track_for: Duration,
    /// What becomes of a call that adds options to multi-select picklists when no answer tells whether Zoho carried it out:
    /// its records are reported as `OUTCOME_UNKNOWN`, or read.
    #[schemars(default)]
    pub on_unknown_outcome: OnUnknownOutcome,
    /// Which of a job's steps are forwarded to its callback URL.
    #[schemars(default)]
    pub callback_on: CallbackOn,
    /// Bounds on what one delivery may cost.
    #[schemars(default)]
    pub limits: Limits,
    /// What comes in and what it becomes, by the name that stands in `/hooks/{route}`.
    #[schemars(default)]
    pub routes: BTreeMap<String, Route>,
}

/// Access to `/jobs`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Api {
    /// The bearer key of `/jobs`; without one, `/jobs` is closed.
    pub key: Option<SecretRef>,
}

/// One value or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Whether the jq programs of a config are compiled while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileMode {
    /// Each on its first use: for a function that should be up soon.
    Lazy,
    /// All, so that one that does not compile is a problem like any other.
    Eager,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file.
    #[error("no config file: looked for {}; name one with MASSHOOK_CONFIG or --config", paths(.0))]
    NotFound(Vec<PathBuf>),
    /// A file that cannot be read.
    #[error("the config file {path} cannot be read: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Everything that is wrong with its content.
    #[error("{path} has {} problem{}:{}", problems.len(), if problems.len() == 1 { "" } else { "s" }, lines(problems))]
    Invalid {
        /// Which.
        path: PathBuf,
        /// The problems.
        problems: Vec<Problem>,
    },
    /// Places that cannot take the secrets which senders hand over.
    #[error("a secret could not be kept where the config says:{}", lines(.0))]
    SecretNotWritable(Vec<Problem>),
}

fn paths(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

impl Config {
    /// Where the file is: where `MASSHOOK_CONFIG` says, or else `./masshook.yaml`, or else `/opt/masshook.yaml`, where a
    /// Lambda layer puts it.
    ///
    /// # Errors
    /// [`ConfigError`].
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that reads the environment"
    )]
    pub fn locate() -> Result<PathBuf, ConfigError> {
        if let Ok(path) = std::env::var("MASSHOOK_CONFIG") {
            return Ok(path.into());
        }
        let candidates = ["masshook.yaml", "/opt/masshook.yaml"].map(PathBuf::from);
        let found = candidates.iter().find(|path| path.exists()).cloned();
        found.ok_or_else(|| ConfigError::NotFound(candidates.to_vec()))
    }

    /// Reads the file that is in its usual place.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn find(compile: CompileMode) -> Result<Self, ConfigError> {
        Self::load(&Self::locate()?, compile)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path, compile: CompileMode) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, compile).map_err(|problems| ConfigError::Invalid {
            path: path.to_owned(),
            problems,
        })
    }

    /// Reads the text of a config file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, compile: CompileMode) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let document: Value = match serde_saphyr::from_str(text) {
            Ok(document) => document,
            Err(error) => {
                Node::root(&Value::Null).problem(&mut problems, format!("is not YAML: {error}"));
                return problems.finish(None);
            }
        };
        let config = Self::read(&Node::root(&document), compile, &mut problems);
        problems.finish(config)
    }

    fn read(node: &Node<'_>, compile: CompileMode, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let connections = object.required("connections", problems);
        // A connection that is wrong in itself still has its name: routes that use it are not wrong as well.
        let names: Option<BTreeSet<String>> = connections
            .as_ref()
            .and_then(|node| node.value.as_object())
            .map(|map| map.keys().cloned().collect());
        let connections = connections.map(|node| read_named(&node, problems, connection::read));
        if names.as_ref().is_some_and(BTreeSet::is_empty) {
            problems.add(
                &object.at,
                "`connections` is empty; name at least one Zoho org, best `default`",
            );
        }
        let api = object
            .optional("api")
            .map_or(Some(Api::default()), |node| Api::read(&node, problems));
        let callbacks = object
            .optional("callbacks")
            .map_or(Some(Callbacks::default()), |node| {
                Callbacks::read(&node, problems)
            });
        let batch_window = object
            .optional("batch_window")
            .map_or(Some(Duration::ZERO), |node| {
                read_duration(&node, &BATCH_WINDOW_RANGE, problems)
            });
        let track_for = object
            .optional("track_for")
            .map_or(Some(TRACK_FOR), |node| {
                read_duration(&node, &TRACK_FOR_RANGE, problems)
            });
        let on_unknown_outcome = object
            .optional("on_unknown_outcome")
            .map_or(Some(OnUnknownOutcome::default()), |node| {
                node.parse(problems)
            });
        let callback_on = object
            .optional("callback_on")
            .map_or(Some(CallbackOn::default()), |node| node.parse(problems));
        let limits = object
            .optional("limits")
            .map_or(Some(Limits::default()), |node| {
                Limits::read(&node, problems)
            });
        let routes = object
            .optional("routes")
            .map(|node| {
                read_named(&node, problems, |node, problems| {
                    Route::read(node, names.as_ref(), callbacks.as_ref(), compile, problems)
                })
            })
            .unwrap_or_default();
        let several = names
            .as_ref()
            .is_some_and(|names| names.len() > 1 && !names.contains("default"));
        if several && api.as_ref().is_some_and(|api| api.key.is_some()) {
            let message =
                "requests to /jobs go through the connection `default`; name one of these so";
            problems.add(&object.at, message);
        }
        object.finish(problems);
        let config = Self {
            connections: connections?,
            api: api?,
            callbacks: callbacks?,
            batch_window: batch_window?,
            track_for: track_for?,
            on_unknown_outcome: on_unknown_outcome?,
            callback_on: callback_on?,
            limits: limits?,
            routes,
        };
        config.check_enrolled_secrets(problems);
        Some(config)
    }

    /// The connection of requests that name no route: the one called `default`, or the only one.
    pub fn default_connection(&self) -> Option<&str> {
        let only = self
            .connections
            .keys()
            .next()
            .filter(|_| self.connections.len() == 1);
        self.connections
            .get_key_value("default")
            .map(|(name, _)| name)
            .or(only)
            .map(String::as_str)
    }

    /// The JSON Schema of the file, for editors.
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// Reads an object whose keys are names of the user's own.
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
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
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

impl Api {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let key = object.optional("key").map(|node| node.parse(problems));
        object.finish(problems);
        Some(Self { key: key.flatten() })
    }
}

fn read_secrets(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<SecretRef> {
    let nodes = object
        .optional(key)
        .map(|node| node.one_or_many())
        .unwrap_or_default();
    nodes
        .iter()
        .filter_map(|node| node.parse(problems))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = Config::parse(text, CompileMode::Eager).expect_err("problems");
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_broken_file_is_reported_whole() {
        let found = problems(
            r#"
conections: {}
connections:
  default: { credentials: hunter2, data_center: com, environment: prod, max_concurrency: 99, api_url: "http://crm.example.com" }
  "": { credentials: env:ZOHO }
callback_on: always
track_for: 8d
callbacks: { allowed_hosts: ["a b"], signing_secret: [env:A, 7], allow_loopback: maybe }
limits: { max_body_bytes: 0 }
routes:
  form:
    verify: { scheme: typefrom }
    map: .
    conection: other
    callback_url: ftp://x
  other:
    map: 7
    connection: defalt
  open:
    verify: { scheme: none, secret: env:A }
    map: empty
    callback_url: http://127.0.0.1/
"#,
        );
        insta::assert_snapshot!(found.join("\n"), @r#"
        connections.default.credentials: is not a secret reference: write secretsmanager:NAME, ssm:NAME, env:VAR or file:PATH, with #key for one key of a JSON secret; the secret itself does not belong here
        connections.default.data_center: `com` is none of us, eu, in, au, jp, cn, ca, sa, uk, ae; did you mean `us`?
        connections.default.environment: `prod` is none of production, sandbox, developer
        connections.default.api_url: must be https://; http:// is for this machine only
        connections.default.max_concurrency: must be a whole number from 1 to 25
        connections."": is not a name: 1 to 64 letters, digits, hyphens and underscores
        callbacks.signing_secret.1: must be a string, but is a whole number
        callbacks.allowed_hosts.0: `a b` is not a host: write `hooks.example.com`, `*.example.com` or either with `:port`, without https:// and path
        callbacks.allow_loopback: must be true or false, but is a string
        track_for: must be a duration from one minute to seven days, such as 90m, 24h or 7d
        callback_on: must be finished, accepted or progress
        limits.max_body_bytes: must be a whole number from 1 to 4500000
        routes.form.verify.scheme: there is no scheme `typefrom`; did you mean `typeform`?
        routes.form.verify: `secret` is missing: where is the key of the signature?
        routes.form.conection: unknown key; did you mean `connection`?
        routes.other: `verify` is missing; name a scheme, or write `verify: { scheme: none }` if anybody may deliver
        routes.other.map: must be a string, but is a whole number
        routes.other.connection: there is no connection `defalt`; did you mean `default`?
        routes.open.verify.secret: unknown key; known here: scheme
        conections: unknown key; did you mean `connections`?
        "#);
        assert!(
            !found.join("").contains("hunter2"),
            "a secret in the wrong place is not repeated"
        );
    }

    #[test]
    fn what_is_not_yaml_is_said_to_be_so() {
        assert!(problems("routes: [")[0].contains("is not YAML"));
        assert!(
            problems("connections: {}\nconnections: {}")[0].contains("is not YAML"),
            "a key that stands twice"
        );
        assert!(problems("")[0].contains("must be an object"));
        let bomb: String = std::iter::once("a0: &a0 [x]\n".to_owned())
            .chain((1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)))
            .collect();
        assert!(
            problems(&bomb)[0].contains("is not YAML"),
            "billions of aliases"
        );
    }

    #[test]
    fn programs_are_compiled_on_demand_and_all_errors_are_found() {
        let text = "
connections: { default: { credentials: env:ZOHO } }
routes:
  a: { verify: { scheme: none }, when: ['true', 'env.HOME'], map: '{', extra: 1 }
  b: { verify: { scheme: none }, map: '.x | halt' }
";
        let found: Vec<String> = Config::parse(text, CompileMode::Eager)
            .expect_err("errors")
            .iter()
            .map(|problem| problem.at.to_string())
            .collect();
        assert_eq!(
            found,
            [
                "routes.a.when.1",
                "routes.a.map",
                "routes.a.extra",
                "routes.b.map"
            ]
        );
        let lazily = text.replace(", extra: 1", "");
        assert!(Config::parse(&lazily, CompileMode::Lazy).is_ok());
    }

    #[test]
    fn the_samples_parse_and_compile() {
        let sample = include_str!("../events/masshook.yaml");
        // As events/Makefile makes it for a container.
        let contained = sample.replace("//127.0.0.1:", "//host.docker.internal:");
        assert_ne!(contained, sample);
        for text in [sample, &contained, include_str!("../layer/masshook.yaml")] {
            Config::parse(text, CompileMode::Eager)
                .unwrap_or_else(|problems| panic!("{problems:#?}"));
        }
    }

    /// The schema is derived from the types, the reading is written by hand; neither may know a key that the other does
    /// not.
    #[test]
    fn the_schema_and_the_reader_know_the_same_keys() {
        let schema = Config::schema();
        let definition = |name: &str| &schema["$defs"][name];
        let keys = |schema: &Value| -> BTreeSet<String> {
            schema["properties"]
                .as_object()
                .expect("properties")
                .keys()
                .cloned()
                .collect()
        };
        let known = |place: &str, text: &str| -> BTreeSet<String> {
            let found = problems(text);
            let found = found
                .iter()
                .find(|line| line.starts_with(&format!("{place}: unknown key")));
            let found = found.unwrap_or_else(|| panic!("{place} is known in {text}"));
            let (_, known) = found.split_once("known here: ").expect("a list");
            let listed: Vec<&str> = known.split(", ").collect();
            let known: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
            assert_eq!(known.len(), listed.len(), "a key listed twice: {listed:?}");
            known
        };
        let x = "qqqqqqqqqqqqqqqqqqqqqqqq";
        assert_eq!(keys(&schema), known(x, &format!("{x}: 1")));
        for (name, place, text) in [
            ("Connection", "connections.a", "connections: {a: {X: 1}}"),
            ("Api", "api", "api: {X: 1}"),
            ("Callbacks", "callbacks", "callbacks: {X: 1}"),
            ("Limits", "limits", "limits: {X: 1}"),
            ("Route", "routes.a", "routes: {a: {X: 1}}"),
        ] {
            let known = known(&format!("{place}.{x}"), &text.replace('X', x));
            assert_eq!(keys(definition(name)), known, "{name}");
        }
        let preset = known(
            &format!("routes.a.verify.{x}"),
            &format!("routes: {{a: {{verify: {{scheme: slack, {x}: 1}}}}}}"),
        );
        assert_eq!(keys(definition("SchemeConfig")), preset);
    }
}

//! The config as a document, before it is read: the problems of its YAML, and the references to files in its folder.

use std::path::Path;

use serde_json::{Value, json};
use serde_saphyr::{MessageFormatter as _, UserMessageFormatter};
use strict_reader::{Location, Node, Problem, Problems};

use super::{CompileMode, Config};

/// Keys under which a config names secrets.
const SECRET_KEYS: [&str; 7] = [
    "credentials",
    "token_cache",
    "key",
    "metrics_key",
    "signing_secret",
    "secret",
    "handshake_secret",
];

/// A config that is YAML, and may be invalid otherwise.
#[derive(Clone, Debug)]
pub struct ConfigDocument(Value);

impl ConfigDocument {
    /// Parses YAML.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let message = match serde_saphyr::from_str(text) {
            Ok(Value::Null) => {
                "the file is empty; `masshook init` starts a config for a sender".to_owned()
            }
            Ok(document) => return Ok(Self(document)),
            Err(error) => format!("is not YAML: {}", yaml_message(&error, text)),
        };
        let at = Location::default();
        Err(vec![Problem { at, message }])
    }

    /// The same config as the file `path` has it: a relative path of a secret is relative to the folder of the file.
    #[must_use]
    pub fn in_folder_of(mut self, path: &Path) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        if folder != Path::new("") {
            map_secret_references(&mut self.0, &mut |reference| {
                let file = Path::new(reference.strip_prefix("file:")?);
                file.is_relative()
                    .then(|| format!("file:{}", folder.join(file).display()))
            });
        }
        self
    }

    /// The same config with callbacks to this machine allowed.
    #[must_use]
    pub fn with_loopback_callbacks(mut self) -> Self {
        if let Value::Object(config) = &mut self.0 {
            let callbacks = config.entry("callbacks").or_insert_with(|| json!({}));
            if let Value::Object(callbacks) = callbacks {
                callbacks.insert("allow_loopback".to_owned(), json!(true));
            }
        }
        self
    }

    /// Reads the config.
    ///
    /// # Errors
    /// All problems found.
    pub fn read(&self, compile: CompileMode) -> Result<Config, Vec<Problem>> {
        let mut problems = Problems::default();
        let config = Config::read(&Node::root(&self.0), compile, &mut problems);
        problems.finish(config)
    }

    /// The document.
    pub fn into_value(self) -> Value {
        self.0
    }
}

/// What is wrong with a YAML text, and where, in the form of the errors in jq programs.
fn yaml_message(error: &serde_saphyr::Error, text: &str) -> String {
    let message = UserMessageFormatter.format_message(error).into_owned();
    let duplicate = message
        .strip_prefix("duplicate mapping key ")
        .and_then(|rest| rest.strip_suffix(" is not allowed here"));
    let message = match duplicate {
        Some(key) => format!("the key {key} is there twice"),
        None if message.starts_with("tabs disallowed") => {
            "there is a tab; YAML is indented with spaces".to_owned()
        }
        None => message.replace("simple key expected ':'", "expected `:` after a key"),
    };
    let Some(location) = error.location() else {
        return message;
    };
    let (line, column) = (location.line(), location.column());
    let index = usize::try_from(line.saturating_sub(1)).unwrap_or_default();
    let Some(shown) = text.lines().nth(index) else {
        return format!("line {line}, column {column}: {message}");
    };
    // A tab would move the mark.
    let shown = shown.replace('\t', " ");
    let margin = line.to_string().len();
    let before = usize::try_from(column.saturating_sub(1)).unwrap_or_default();
    format!(
        "line {line}, column {column}: {message}\n{line} | {shown}\n{:margin$} | {:before$}^",
        "", ""
    )
}

/// Replaces the references to secrets in a part of a config for which `replacement` returns another.
pub fn map_secret_references(
    document: &mut Value,
    replacement: &mut impl FnMut(&str) -> Option<String>,
) {
    map_below(document, false, replacement);
}

fn map_below(
    value: &mut Value,
    is_secret: bool,
    replacement: &mut impl FnMut(&str) -> Option<String>,
) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                map_below(value, SECRET_KEYS.contains(&key.as_str()), replacement);
            }
        }
        Value::Array(items) => {
            for item in items {
                map_below(item, is_secret, replacement);
            }
        }
        Value::String(text) if is_secret => {
            if let Some(other) = replacement(text) {
                *text = other;
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_errors_show_the_line_in_plain_words() {
        let message = |text: &str| {
            let problems = ConfigDocument::parse(text).expect_err("no config");
            assert_eq!(problems.len(), 1, "{problems:?}");
            problems[0].to_string()
        };
        insta::assert_snapshot!(message("a: 1\nb: 2\na: 3\n"), @r"
        (top level): is not YAML: line 3, column 1: the key `a` is there twice
        3 | a: 3
          | ^
        ");
        insta::assert_snapshot!(message("a:\n\tb: 2\n"), @r"
        (top level): is not YAML: line 2, column 2: there is a tab; YAML is indented with spaces
        2 |  b: 2
          |  ^
        ");
        insta::assert_snapshot!(message("a: 1\nroutes\nb: 2\n"), @r"
        (top level): is not YAML: line 2, column 1: expected `:` after a key
        2 | routes
          | ^
        ");
        for empty in ["", "# only a comment\n", "---\n"] {
            assert!(message(empty).contains("the file is empty"), "{empty}");
        }
        for broken in [
            "a: [1",
            "a: {b: 1",
            "a: \"x",
            "a: *b",
            "a: 1\n---\nb: 2\n",
            "\u{1}",
            "a: &b [*b]",
        ] {
            let message = message(broken);
            for foreign in ["<input>", "Options", "DuplicateKeyPolicy", "::"] {
                assert!(!message.contains(foreign), "{message}");
            }
        }
    }

    /// Every key that names a secret is known here: of a config that has them all, each reference is changed.
    #[test]
    fn relative_files_are_in_the_folder_of_the_config() {
        let text = "
connections: { default: { credentials: file:a, token_cache: 'secretsmanager:t' }, other: { credentials: file:/b } }
api: { key: file:c }
console: { key: file:d, metrics_key: file:e }
callbacks: { signing_secret: [file:f, file:g#k] }
routes:
  r:
    verify: [{ scheme: stripe, secret: file:h }, { scheme: github, secret: [file:i, env:J] }]
    handshake_secret: file:k
    map: empty
";
        let document = ConfigDocument::parse(text).expect("YAML");
        let config = document.in_folder_of(Path::new("crm/masshook.yaml"));
        let config = config.read(CompileMode::Lazy).expect("a config");
        let uses = config.secret_uses();
        assert_eq!(uses.len(), 12);
        for used in uses {
            let reference = used.reference.to_string();
            let is_moved = reference.starts_with("file:crm/");
            let stays = ["file:/b", "env:J", "secretsmanager:t"].contains(&reference.as_str());
            assert!(is_moved || stays, "{}: {reference}", used.at);
        }
        let same = ConfigDocument::parse(text).expect("YAML");
        let same = same.in_folder_of(Path::new("masshook.yaml"));
        assert_eq!(same.into_value()["api"]["key"], "file:c");
    }
}

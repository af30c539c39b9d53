//! The difference between what the deployed route and the edited one yield.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::abridged::abridged;
use super::run::ProgramRun;

/// Entries that are shown.
const MAX_ENTRIES: usize = 200;

/// Whether a part of the result was added, removed, changed, or is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Operation {
    /// Only the edited route yields it.
    Add,
    /// Only the deployed route yields it.
    Remove,
    /// Both yield it, with different values.
    Change,
    /// Both yield the same.
    Same,
}

/// One part of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    pub(super) op: Operation,
    /// A JSON pointer into the update request, after its number if there are several; `outcome` or `calls`.
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Value>,
    /// For lists of single values: how many the edited route adds and removes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) added: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) removed: Option<usize>,
}

/// The differences, changes first if there are too many entries to show.
#[derive(Debug)]
pub(super) struct Difference {
    entries: Vec<Entry>,
    /// Entries that are not shown.
    pub(super) omitted: usize,
}

impl Difference {
    /// Compares two runs on one event.
    pub(super) fn of(deployed: &ProgramRun, edited: &ProgramRun) -> Self {
        Self::of_runs(Some(deployed), Some(edited))
    }

    /// Compares two runs on one event, of which one may not have happened.
    pub(super) fn of_runs(deployed: Option<&ProgramRun>, edited: Option<&ProgramRun>) -> Self {
        let mut entries = Vec::new();
        let of_run = |run: Option<&ProgramRun>| -> Vec<Value> {
            let updates = run.into_iter().flat_map(ProgramRun::updates);
            updates.map(|update| update.to_json()).collect()
        };
        let (before, after) = (of_run(deployed), of_run(edited));
        let outcomes = [outcome(deployed), outcome(edited)];
        if outcomes[0] != outcomes[1] {
            let [from, to] = outcomes;
            compare(Some(&from), Some(&to), "outcome", &mut entries);
        }
        let is_single = before.len() <= 1 && after.len() <= 1;
        for index in 0..before.len().max(after.len()) {
            let path = match is_single {
                true => String::new(),
                false => format!("/{}", index + 1),
            };
            compare(before.get(index), after.get(index), &path, &mut entries);
        }
        let calls = |run: Option<&ProgramRun>| run?.plan().get("calls_at_most").cloned();
        let (from, to) = (calls(deployed), calls(edited));
        if from != to {
            compare(from.as_ref(), to.as_ref(), "calls", &mut entries);
        }
        let order = |run: Option<&ProgramRun>| Some(json!(run?.order()?.to_string()));
        let (from, to) = (order(deployed), order(edited));
        if from != to {
            compare(from.as_ref(), to.as_ref(), "order_by", &mut entries);
        }
        Self::bounded(entries)
    }

    fn bounded(mut entries: Vec<Entry>) -> Self {
        let all = entries.len();
        if all > MAX_ENTRIES {
            entries.retain(|entry| entry.op != Operation::Same);
            entries.truncate(MAX_ENTRIES);
        }
        Self {
            omitted: all - entries.len(),
            entries,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!(self.entries)
    }

    /// Adds what differs between two values.
    pub(super) fn compare(&mut self, path: &str, from: &Value, to: &Value) {
        if from != to {
            compare(Some(from), Some(to), path, &mut self.entries);
        }
    }

    /// The entries that differ.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.op != Operation::Same)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        let text = |value: &Option<Value>| value.as_ref().map_or(String::new(), Value::to_string);
        let (from, to) = (text(&self.from), text(&self.to));
        match (self.op, self.added.zip(self.removed)) {
            (Operation::Add, _) => write!(formatter, "+ {path}  {to}"),
            (Operation::Remove, _) => write!(formatter, "- {path}  {from}"),
            (_, Some((added, removed))) => {
                write!(formatter, "~ {path}  {added} added, {removed} removed")
            }
            (Operation::Change | Operation::Same, None) => {
                write!(formatter, "~ {path}  {from} -> {to}")
            }
        }
    }
}

/// The outcome of a run in one sentence.
fn outcome(run: Option<&ProgramRun>) -> Value {
    let Some(run) = run else {
        return "no such route, or it does not listen".into();
    };
    let text = match (run.ignored(), run.errors.first()) {
        (_, Some(error)) => format!("fails: {}", error.message()),
        (Some(reason), None) => format!("ignored: {reason}"),
        (None, None) => match run.updates().len() {
            1 => "1 update request".to_owned(),
            count => format!("{count} update requests"),
        },
    };
    text.into()
}

/// Adds the differences between two values at a path. Objects and lists of objects are compared by their entries, everything
/// else as a whole.
pub(super) fn compare(
    from: Option<&Value>,
    to: Option<&Value>,
    path: &str,
    entries: &mut Vec<Entry>,
) {
    let child = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (from, to) {
        (None, None) => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for (key, value) in before {
                compare(Some(value), after.get(key), &child(key), entries);
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                compare(None, Some(value), &child(key), entries);
            }
        }
        (Some(Value::Object(object)), None) if !object.is_empty() => {
            for (key, value) in object {
                compare(Some(value), None, &child(key), entries);
            }
        }
        (None, Some(Value::Object(object))) if !object.is_empty() => {
            for (key, value) in object {
                compare(None, Some(value), &child(key), entries);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if before.iter().chain(after).any(Value::is_object) =>
        {
            for index in 0..before.len().max(after.len()) {
                let at = format!("{path}/{index}");
                compare(before.get(index), after.get(index), &at, entries);
            }
        }
        (from, to) => entries.push(entry(from, to, path)),
    }
}

fn entry(from: Option<&Value>, to: Option<&Value>, path: &str) -> Entry {
    let op = match (from, to) {
        (from, to) if from == to => Operation::Same,
        (None, _) => Operation::Add,
        (_, None) => Operation::Remove,
        (Some(_), Some(_)) => Operation::Change,
    };
    let lists = from
        .and_then(Value::as_array)
        .zip(to.and_then(Value::as_array));
    let lists = lists.filter(|_| op == Operation::Change);
    let counts = lists.map(|(before, after)| {
        let texts = |list: &[Value]| -> std::collections::HashSet<String> {
            list.iter().map(Value::to_string).collect()
        };
        let (before, after) = (texts(before), texts(after));
        (
            after.difference(&before).count(),
            before.difference(&after).count(),
        )
    });
    Entry {
        op,
        path: path.to_owned(),
        from: from.map(abridged),
        to: to.map(abridged),
        added: counts.map(|(added, _)| added),
        removed: counts.map(|(_, removed)| removed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(from: &Value, to: &Value) -> Vec<String> {
        let mut entries = Vec::new();
        compare(Some(from), Some(to), "", &mut entries);
        let line = |entry: Entry| format!("{:?} {}", entry.op, entry.path);
        entries.into_iter().map(line).collect()
    }

    #[test]
    fn difference_has_one_entry_for_each_field() {
        let from = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": ["1", "2"], "gone": {"a/b": 1}});
        let to = json!({"module": "Leads", "fields": {"Lead_Source": "Chat", "Rating": "Active"}, "ids": ["2", "3", "4"]});
        assert_eq!(
            lines(&from, &to),
            [
                "Same /module",
                "Change /fields/Lead_Source",
                "Add /fields/Rating",
                "Change /ids",
                "Remove /gone/a~1b",
            ]
        );
        let mut entries = Vec::new();
        compare(from.get("ids"), to.get("ids"), "", &mut entries);
        assert_eq!((entries[0].added, entries[0].removed), (Some(2), Some(1)));
    }

    #[test]
    fn lists_of_objects_are_compared_by_position() {
        let from = json!([{"id": 1, "n": 1}, {"id": 2}]);
        let to = json!([{"id": 1, "n": 2}]);
        let expected = ["Same /0/id", "Change /0/n", "Remove /1/id"];
        assert_eq!(lines(&from, &to), expected);
    }

    #[test]
    fn too_many_entries_keep_the_changes() {
        let mut entries = Vec::new();
        let from: Value = (0..300)
            .map(|n| (format!("k{n}"), json!(n)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let mut to = from.clone();
        to["k299"] = json!("changed");
        compare(Some(&from), Some(&to), "", &mut entries);
        let difference = Difference::bounded(entries);
        assert_eq!((difference.entries.len(), difference.omitted), (1, 299));
        assert_eq!(difference.entries[0].path, "/k299");
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u8>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~]{1,2}", inner, 0..4)
                    .prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_documents_differ_nowhere(document in documents()) {
            let mut entries = Vec::new();
            compare(Some(&document), Some(&document), "", &mut entries);
            prop_assert!(entries.iter().all(|entry| entry.op == Operation::Same));
        }

        #[test]
        fn unequal_documents_differ_somewhere(from in documents(), to in documents()) {
            let mut entries = Vec::new();
            compare(Some(&from), Some(&to), "", &mut entries);
            let differs = entries.iter().any(|entry| entry.op != Operation::Same);
            prop_assert_eq!(differs, from != to, "{:?}", entries);
        }
    }
}

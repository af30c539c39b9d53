//! Which records an update request means: records that Zoho can be told as they are, or words that have to be looked up
//! in the CRM first.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{FieldName, MAX_IDS, RecordId, TerritoryId, ViewId};
use strict_reader::{Node, Object, Problems};

/// Values that one `match` may name: each fifty of them are a query of their own.
pub const MAX_VALUES: usize = 10_000;

/// Characters that a value of a `match` may have. No field that can be looked up holds more.
pub const MAX_VALUE_CHARS: usize = 255;

/// Bad entries of a list that are told one by one; a list of thousands helps nobody.
const SHOWN: usize = 20;

/// A territory whose records a custom view is narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Territory {
    /// Its id.
    pub id: TerritoryId,
    /// Whether the territories below it count too; Zoho's default is no.
    pub include_child: bool,
}

impl Territory {
    /// The territory as Zoho and update requests write it.
    pub fn to_json(self) -> Value {
        json!({"id": self.id.to_string(), "include_child": self.include_child})
    }
}

/// Records that Zoho can be told as they are: what a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Records {
    /// These records: at least one, none twice, at most [`MAX_IDS`].
    Ids(Vec<RecordId>),
    /// The records of a custom view, as it stands when Zoho runs the job.
    View {
        /// The custom view.
        cvid: ViewId,
        /// Narrows the view.
        territory: Option<Territory>,
    },
}

/// Which records are to be updated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Nothing has to be looked up.
    Records(Records),
    /// Records by the value of a field.
    Match(Match),
    /// A custom view or a territory by its name.
    Named(NamedView),
}

/// Records whose field has one of some values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The field.
    pub field: FieldName,
    /// The values: at least one, none twice, at most [`MAX_VALUES`].
    pub values: Vec<MatchValue>,
    /// What several records with one value mean.
    pub on_many: OnMany,
    /// What a value that no record has means.
    pub on_none: OnNone,
}

/// What several records with one value of a [`Match`] mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMany {
    /// All of them are updated.
    #[default]
    UpdateAll,
    /// The job fails before anything is updated.
    Fail,
}

/// What a value of a [`Match`] that no record has means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNone {
    /// Nothing is updated for it.
    #[default]
    Succeed,
    /// The job fails before anything is updated.
    Fail,
}

macro_rules! words {
    ($name:ident { $($word:literal => $variant:ident),+ }) => {
        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}", [$(concat!("`", $word, "`")),+].join(", "))),
                }
            }
        }

        impl $name {
            /// The word in an update request.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words!(OnMany { "update_all" => UpdateAll, "fail" => Fail });
words!(OnNone { "succeed" => Succeed, "fail" => Fail });

/// A value that records are looked up by: 1 to [`MAX_VALUE_CHARS`] characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MatchValue(String);

/// Not a value to look records up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// It is empty, which most records' fields are.
    #[error("is empty; leave it out, or most of the CRM would be meant")]
    Empty,
    /// It is longer than any field that can be looked up.
    #[error("has {0} characters; no field that can be looked up holds more than {MAX_VALUE_CHARS}")]
    TooLong(usize),
    /// It has a control character, which neither of Zoho's look-ups can carry.
    #[error("has a control character (a line break, a tab or the like), which Zoho cannot look up")]
    Control,
}

impl TryFrom<String> for MatchValue {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let characters = text.chars().count();
        match characters {
            0 => Err(InvalidValue::Empty),
            _ if characters > MAX_VALUE_CHARS => Err(InvalidValue::TooLong(characters)),
            _ if text.chars().any(char::is_control) => Err(InvalidValue::Control),
            _ => Ok(Self(text)),
        }
    }
}

impl From<MatchValue> for String {
    fn from(value: MatchValue) -> Self {
        value.0
    }
}

impl fmt::Display for MatchValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl MatchValue {
    /// The value's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A custom view, and perhaps a territory, at least one of them by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedView {
    /// The custom view.
    pub view: Named<ViewId>,
    /// Narrows the view.
    pub territory: Option<NamedTerritory>,
}

/// A territory, perhaps by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedTerritory {
    /// The territory.
    pub territory: Named<TerritoryId>,
    /// Whether the territories below it count too; Zoho's default is no.
    pub include_child: bool,
}

/// Something of the CRM's, by its id or by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named<Id> {
    /// By its id.
    Id(Id),
    /// By its name, exactly as the CRM shows it.
    Name(String),
}

impl Records {
    /// The keys by which it stands in a mass update and in an update request.
    pub fn insert_into(&self, json: &mut Map<String, Value>) {
        match self {
            Self::Ids(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                json.insert("ids".to_owned(), json!(ids));
            }
            Self::View { cvid, territory } => {
                json.insert("cvid".to_owned(), json!(cvid.to_string()));
                if let Some(territory) = territory {
                    json.insert("territory".to_owned(), territory.to_json());
                }
            }
        }
    }
}

impl Match {
    fn to_json(&self) -> Value {
        let values: Vec<&str> = self.values.iter().map(MatchValue::as_str).collect();
        json!({
            "field": self.field.as_str(),
            "values": values,
            "on_many": self.on_many.as_str(),
            "on_none": self.on_none.as_str(),
        })
    }
}

impl Selector {
    /// Whether it is a custom view, which Zoho only mass-updates.
    pub(super) fn is_view(&self) -> bool {
        match self {
            Self::Records(Records::View { .. }) | Self::Named(_) => true,
            Self::Records(Records::Ids(_)) | Self::Match(_) => false,
        }
    }

    /// Whether the selector of an update request that is still to be read is a custom view.
    pub(super) fn names_view(object: &Object<'_>) -> bool {
        let mut keys = object.entries();
        keys.any(|(key, node)| matches!(key, "cvid" | "view") && !node.value.is_null())
    }

    /// The keys by which it stands in an update request.
    pub(super) fn insert_into(&self, json: &mut Map<String, Value>) {
        match self {
            Self::Records(records) => records.insert_into(json),
            Self::Match(wanted) => {
                json.insert("match".to_owned(), wanted.to_json());
            }
            Self::Named(NamedView { view, territory }) => {
                match view {
                    Named::Id(id) => json.insert("cvid".to_owned(), json!(id.to_string())),
                    Named::Name(name) => json.insert("view".to_owned(), json!(name)),
                };
                if let Some(territory) = territory {
                    let (key, value) = match &territory.territory {
                        Named::Id(id) => ("id", id.to_string()),
                        Named::Name(name) => ("name", name.clone()),
                    };
                    let territory = json!({key: value, "include_child": territory.include_child});
                    json.insert("territory".to_owned(), territory);
                }
            }
        }
    }

    /// Reads the one selector of an update request.
    pub(super) fn read(
        node: &Node<'_>,
        object: &mut Object<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let territory = object.optional("territory");
        let given = ["ids", "cvid", "view", "match"].map(|key| (key, object.optional(key)));
        let mut given = given
            .into_iter()
            .filter_map(|(key, node)| Some((key, node?)));
        let Some((key, selector)) = given.next() else {
            let what = match territory {
                Some(_) => "`territory` narrows a custom view: add its `cvid` or `view`",
                None => "has no selector; add `ids`, `cvid`, `view` or `match`",
            };
            node.problem(problems, what);
            return None;
        };
        if let Some((other, _)) = given.next() {
            let message =
                format!("has both `{key}` and `{other}`; keep the one selector that you mean");
            node.problem(problems, message);
            return None;
        }
        if let Some(territory) = territory
            .as_ref()
            .filter(|_| matches!(key, "ids" | "match"))
        {
            let message =
                format!("goes only with `cvid` or `view`; Zoho refuses it beside `{key}`");
            territory.problem(problems, message);
        }
        match key {
            "ids" => read_ids(&selector, problems).map(|ids| Self::Records(Records::Ids(ids))),
            "match" => Match::read(&selector, problems).map(Self::Match),
            _ => {
                let view = match key {
                    "cvid" => ViewId::read(&selector, problems).map(Named::Id),
                    _ => read_name(&selector, problems).map(Named::Name),
                };
                let territory = match territory {
                    Some(territory) => Some(NamedTerritory::read(&territory, problems)?),
                    None => None,
                };
                Some(
                    NamedView {
                        view: view?,
                        territory,
                    }
                    .into(),
                )
            }
        }
    }
}

/// A view and a territory of which both ids are known need no look-up.
impl From<NamedView> for Selector {
    fn from(named: NamedView) -> Self {
        let territory = match &named.territory {
            None => Some(None),
            Some(NamedTerritory {
                territory: Named::Id(id),
                include_child,
            }) => Some(Some(Territory {
                id: *id,
                include_child: *include_child,
            })),
            Some(NamedTerritory {
                territory: Named::Name(_),
                ..
            }) => None,
        };
        match (&named.view, territory) {
            (Named::Id(cvid), Some(territory)) => Self::Records(Records::View {
                cvid: *cvid,
                territory,
            }),
            (Named::Id(_) | Named::Name(_), _) => Self::Named(named),
        }
    }
}

impl NamedTerritory {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let id = object.optional("id");
        let name = object.optional("name");
        let include_child = object
            .optional("include_child")
            .map_or(Some(false), |node| node.boolean(problems));
        object.finish(problems);
        let territory = match (id, name) {
            (Some(id), None) => TerritoryId::read(&id, problems).map(Named::Id),
            (None, Some(name)) => read_name(&name, problems).map(Named::Name),
            (Some(_), Some(_)) | (None, None) => {
                node.problem(
                    problems,
                    "needs either the `id` or the `name` of a territory",
                );
                None
            }
        };
        Some(Self {
            territory: territory?,
            include_child: include_child?,
        })
    }
}

impl Match {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let field = object
            .required("field", problems)
            .and_then(|node| node.parse(problems));
        let values = object
            .required("values", problems)
            .and_then(|node| read_values(&node, problems));
        let on_many = object
            .optional("on_many")
            .map_or(Some(OnMany::default()), |node| node.parse(problems));
        let on_none = object
            .optional("on_none")
            .map_or(Some(OnNone::default()), |node| node.parse(problems));
        object.finish(problems);
        Some(Self {
            field: field?,
            values: values?,
            on_many: on_many?,
            on_none: on_none?,
        })
    }
}

fn read_value(node: &Node<'_>, problems: &mut Problems) -> Option<MatchValue> {
    let text = match node.value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            node.problem(problems, "must be a string or a whole number");
            return None;
        }
    };
    match MatchValue::try_from(text) {
        Ok(value) => Some(value),
        Err(error) => {
            node.problem(problems, error.to_string());
            None
        }
    }
}

/// A name as people give it to a custom view or a territory.
fn read_name(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    match read_value(node, problems) {
        Some(MatchValue(name)) if node.value.is_string() => Some(name),
        Some(_) => {
            node.problem(
                problems,
                "must be a name; an id goes into `cvid` or `territory.id`",
            );
            None
        }
        None => None,
    }
}

fn read_values(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<MatchValue>> {
    let values = read_distinct(node, "value", read_value, problems)?;
    if values.len() > MAX_VALUES {
        let message = format!(
            "names {} values, and at most {MAX_VALUES} go into one job; split the list",
            values.len()
        );
        node.problem(problems, message);
    }
    Some(values)
}

fn read_ids(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<RecordId>> {
    let ids = read_distinct(node, "id", RecordId::read, problems)?;
    if ids.len() > MAX_IDS {
        let message = format!(
            "names {} records, and at most {MAX_IDS} go into one job; split the list, or update by `cvid`",
            ids.len()
        );
        node.problem(problems, message);
    }
    Some(ids)
}

/// A list with at least one entry, of which doubles are dropped.
fn read_distinct<T: Clone + Eq + std::hash::Hash>(
    node: &Node<'_>,
    what: &str,
    read: impl Fn(&Node<'_>, &mut Problems) -> Option<T>,
    problems: &mut Problems,
) -> Option<Vec<T>> {
    let items = node.list(problems)?;
    if items.is_empty() {
        let message =
            format!("is empty; name at least one {what}, or let the mapping yield nothing");
        node.problem(problems, message);
        return None;
    }
    let mut seen = HashSet::with_capacity(items.len());
    let mut entries = Vec::with_capacity(items.len());
    let mut bad = Problems::default();
    for item in &items {
        if let Some(entry) = read(item, &mut bad)
            && seen.insert(entry.clone())
        {
            entries.push(entry);
        }
    }
    if let Err(bad) = bad.finish(Some(())) {
        let more = bad.len().saturating_sub(SHOWN);
        for problem in bad.into_iter().take(SHOWN) {
            problems.add(&problem.at, problem.message);
        }
        if more > 0 {
            node.problem(problems, format!("has {more} more entries like that"));
        }
    }
    Some(entries)
}

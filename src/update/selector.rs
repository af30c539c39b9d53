//! Selectors: the records of an update request, given by id or to be looked up in the CRM.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::creation;
use super::{
    Assignment, FieldName, MAX_IDS, MatchValue, RecordId, TerritoryId, ViewId, assignments_json,
};
use strict_reader::{Node, Object, Problems};

/// Most values in one `match`. Each fifty values take one query.
pub const MAX_VALUES: usize = 10_000;

/// Most invalid entries of one list that are reported one by one.
const MAX_REPORTED: usize = 20;

/// A territory that narrows a custom view to its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Territory {
    /// The territory's id.
    pub id: TerritoryId,
    /// Whether to include the territories below it; Zoho's default is no.
    pub include_child: bool,
}

impl Territory {
    /// The JSON in calls and update requests.
    pub fn to_json(self) -> Value {
        json!({"id": self.id.to_string(), "include_child": self.include_child})
    }
}

/// Records that need no look-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Records {
    /// Distinct ids, at most [`MAX_IDS`]: at least one, unless the request creates all of its records.
    Ids(Vec<RecordId>),
    /// The records in a custom view at the time when Zoho runs the job.
    View {
        /// The custom view.
        cvid: ViewId,
        /// Narrows the view to a territory.
        territory: Option<Territory>,
    },
}

/// The records of an update request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Records that need no look-up.
    Records(Records),
    /// Records by the values of a field.
    Match(Match),
    /// A custom view of which the view or its territory is given by name.
    Named(NamedView),
}

/// Records whose field has one of these values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// The field.
    pub field: FieldName,
    /// Distinct values: at least one, at most [`MAX_VALUES`].
    pub values: Vec<MatchValue>,
    /// What to do if several records have one value.
    pub on_many: OnMany,
    /// What to do if no record has a value.
    pub on_none: OnNone,
    /// What only a record gets that is created for a value; empty unless `on_none` is [`OnNone::Create`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create: Vec<Assignment>,
}

/// What to do if several records have one value of a [`Match`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMany {
    /// Update all of them.
    #[default]
    UpdateAll,
    /// Fail the job before anything is updated.
    Fail,
}

/// What to do if no record has a value of a [`Match`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNone {
    /// Update nothing for the value.
    #[default]
    Succeed,
    /// Fail the job before anything is updated.
    Fail,
    /// Create a record with the value, the fields of the request, and those of [`Match::create`].
    Create,
}

strict_reader::keywords!(OnMany { UpdateAll = "update_all", Fail = "fail" });
strict_reader::keywords!(OnNone { Succeed = "succeed", Fail = "fail", Create = "create" });

/// A custom view with an optional territory, at least one of them given by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedView {
    /// The custom view.
    pub view: Named<ViewId>,
    /// Narrows the view to a territory.
    pub territory: Option<NamedTerritory>,
}

/// A territory by its id or name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedTerritory {
    /// The territory.
    pub territory: Named<TerritoryId>,
    /// Whether to include the territories below it; Zoho's default is no.
    pub include_child: bool,
}

/// A reference to an item of the CRM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named<Id> {
    /// Its id.
    Id(Id),
    /// Its name, exactly as the CRM shows it.
    Name(String),
}

impl Records {
    /// Inserts the selector keys of a mass update or an update request into `json`.
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
        let mut json = json!({
            "field": self.field.as_str(),
            "values": values,
            "on_many": self.on_many.as_str(),
            "on_none": self.on_none.as_str(),
        });
        if !self.create.is_empty() {
            json["create"] = assignments_json(&self.create);
        }
        json
    }

    /// Whether records are created for values that no record has.
    pub fn creates(&self) -> bool {
        self.on_none == OnNone::Create
    }
}

impl Selector {
    /// Whether this is a custom view, which can only be mass-updated.
    pub(super) fn is_view(&self) -> bool {
        match self {
            Self::Records(Records::View { .. }) | Self::Named(_) => true,
            Self::Records(Records::Ids(_)) | Self::Match(_) => false,
        }
    }

    /// Whether an update request that has not been read yet selects a custom view.
    pub(super) fn names_view(object: &Object<'_>) -> bool {
        let mut keys = object.entries();
        keys.any(|(key, node)| matches!(key, "cvid" | "view") && !node.value.is_null())
    }

    /// Inserts the selector keys of an update request into `json`.
    pub(super) fn insert_into(&self, json: &mut Map<String, Value>) {
        match self {
            Self::Records(records) => records.insert_into(json),
            Self::Match(query) => {
                json.insert("match".to_owned(), query.to_json());
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

    /// Reads the only selector of an update request.
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

/// Becomes [`Selector::Records`] if both ids are known.
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
        let create = object.optional("create");
        if let (Some(create), Some(OnNone::Succeed | OnNone::Fail)) = (&create, on_none) {
            let message = "is what a new record gets, and none is created; add `on_none: create`, or leave it out";
            create.problem(problems, message);
        }
        let create = create.map_or(Some(Vec::new()), |node| {
            creation::read_create(&node, field.as_ref(), problems)
        });
        object.finish(problems);
        Some(Self {
            field: field?,
            values: values?,
            on_many: on_many?,
            on_none: on_none?,
            create: create?,
        })
    }
}

/// Reads the name of a custom view or a territory.
fn read_name(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    match MatchValue::read(node, problems) {
        Some(name) if node.value.is_string() => Some(name.into()),
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
    let values = read_distinct(node, "value", MatchValue::read, problems)?;
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

/// Reads a list with at least one entry and drops duplicates.
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
        let more = bad.len().saturating_sub(MAX_REPORTED);
        for problem in bad.into_iter().take(MAX_REPORTED) {
            problems.add(&problem.at, problem.message);
        }
        if more > 0 {
            node.problem(problems, format!("has {more} more entries like that"));
        }
    }
    Some(entries)
}

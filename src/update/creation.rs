//! Records that an update request creates for the values of a `match` that no record has.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::method::FieldSupport;
use super::{
    Assignment, Changes, FieldName, MAX_FIELDS, Match, MatchValue, ModuleName, Selector, UserId,
};
use strict_reader::{Node, Problems};

/// The field that contains a record's owner.
const OWNER: &str = "Owner";

/// The records to create: one for each value that no record has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRecords {
    /// The field, the values without a record, and what only new records get.
    pub query: Match,
    /// Whether the field contains numbers, so that the values are sent as such.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub numeric: bool,
    /// Whether Zoho tells values apart that differ only in their letter case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub case_sensitive: bool,
}

impl NewRecords {
    /// The records for these values of a `match`. Of values that Zoho does not tell apart only the first one counts.
    pub fn new(
        query: &Match,
        values: Vec<MatchValue>,
        numeric: bool,
        case_sensitive: bool,
    ) -> Self {
        let mut new = Self {
            query: Match {
                values: Vec::new(),
                ..query.clone()
            },
            numeric,
            case_sensitive,
        };
        let mut seen = HashSet::with_capacity(values.len());
        new.query.values = values
            .into_iter()
            .filter(|value| seen.insert(new.key(value)))
            .collect();
        new
    }

    /// The assignment that gives new records an owner.
    pub fn owner(id: UserId) -> Option<Assignment> {
        Some(Assignment {
            field: OWNER.parse().ok()?,
            value: json!({"id": id.to_string()}),
        })
    }

    /// The values, one for each record.
    pub fn values(&self) -> &[MatchValue] {
        &self.query.values
    }

    /// The key under which Zoho finds duplicates of a value.
    pub fn key(&self, value: &MatchValue) -> String {
        match self.case_sensitive {
            true => value.as_str().to_owned(),
            false => value.as_str().to_lowercase(),
        }
    }

    /// What a record gets besides its value: `fields`, and what only new records get.
    pub fn data(&self, fields: &[Assignment]) -> Map<String, Value> {
        let all = fields.iter().chain(&self.query.create);
        all.map(|Assignment { field, value }| (field.to_string(), value.clone()))
            .collect()
    }

    /// The row that creates the record of a value with this data.
    pub fn row(&self, value: &MatchValue, data: &Map<String, Value>) -> Value {
        let own = match value.as_str().parse::<i64>() {
            Ok(number) if self.numeric => Value::from(number),
            _ => Value::from(value.as_str()),
        };
        let mut row = Map::from_iter([(self.query.field.to_string(), own)]);
        row.extend(data.clone());
        Value::Object(row)
    }
}

/// Reads the key `create` of a `match` by `field`.
pub(super) fn read_create(
    node: &Node<'_>,
    field: Option<&FieldName>,
    problems: &mut Problems,
) -> Option<Vec<Assignment>> {
    let object = node.object(problems)?;
    let mut create = Vec::new();
    for (name, value) in object.entries() {
        match name.parse::<FieldName>() {
            Ok(own) if Some(&own) == field => {
                let message = format!(
                    "`{own}` is the field of `match`, so a new record gets its value anyway; leave it out"
                );
                value.problem(problems, message);
            }
            Ok(own) => {
                if let FieldSupport::Never(why) = FieldSupport::of_new(&own, value.value) {
                    value.problem(problems, format!("`{own}` {why}; leave it out"));
                }
                create.push(Assignment {
                    field: own,
                    value: value.value.clone(),
                });
            }
            Err(error) => value.problem(problems, error.to_string()),
        }
    }
    if create.len() > MAX_FIELDS {
        let message = format!(
            "names {} fields; at most {MAX_FIELDS} go into one job",
            create.len()
        );
        node.problem(problems, message);
    }
    Some(create)
}

/// Checks the parts of an update request that creates records against each other.
pub(super) fn check(
    node: &Node<'_>,
    module: Option<&ModuleName>,
    changes: Option<&Changes>,
    selector: Option<&Selector>,
    problems: &mut Problems,
) {
    let Some(Selector::Match(query)) = selector else {
        return;
    };
    if !query.creates() {
        return;
    }
    if let Some(module) = module.filter(|module| !module.has_upsert()) {
        let message = format!(
            "`on_none: create` is not possible in {module}: Zoho has no upsert of this module"
        );
        node.problem(problems, message);
    }
    if query.field.as_str() == "id" {
        let message = "`on_none: create` is not possible by `id`: Zoho itself gives a new record its id; match a field of yours, such as `Email`";
        node.problem(problems, message);
    }
    if changes.is_some_and(|changes| !changes.tags.is_empty()) {
        let message = "`tags` does not go with `on_none: create`; tag the records by an update request of its own";
        node.problem(problems, message);
    }
    let creates_owner = query.create.iter().any(|set| set.field.as_str() == OWNER);
    if creates_owner && changes.is_some_and(|changes| changes.owner.is_some()) {
        let message = "`owner` and `match.create` both give a new record an owner; leave `Owner` out of `match.create`";
        node.problem(problems, message);
    }
    let fields = changes.map_or(&[][..], |changes| &changes.fields);
    for Assignment { field, .. } in fields {
        if *field == query.field {
            let message = format!(
                "`fields` and `match` both set `{field}` of a new record; leave it out of `fields`, or match another field"
            );
            node.problem(problems, message);
        }
        if query.create.iter().any(|create| create.field == *field) {
            let message = format!(
                "`fields` and `match.create` both set `{field}`; a new record gets `fields` too, so leave it out of one of them"
            );
            node.problem(problems, message);
        }
    }
}

impl FieldSupport {
    /// Whether a new record can be given a value of a field. What no call can *change* may still be given once.
    fn of_new(field: &FieldName, value: &Value) -> Self {
        match field.as_str() {
            OWNER if value.is_object() => Self::Either,
            _ => Self::of(field, value),
        }
    }
}

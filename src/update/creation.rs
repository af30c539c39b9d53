//! Records that an update request creates for the values of a `match` that no record has.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::method::FieldSupport;
use super::{
    Assignment, Changes, FieldName, MAX_FIELDS, Match, MatchValue, ModuleName, RecordId, Selector,
    TagChanges, UserId,
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
    /// The records that were found, each with the names under which the order of its values is kept. Only of jobs with an
    /// order: a delivery that was planned before may know such a record by its value only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub found: BTreeMap<RecordId, BTreeSet<String>>,
}

/// A digest of the key of a value. The store of orders outlives jobs, so it has no values.
pub fn value_digest(key: &str) -> String {
    hex::encode(&Sha256::digest(key)[..16])
}

/// What the names of the orders of records start with that are known by a value of this field.
pub fn order_field(module: &ModuleName, field: &FieldName) -> String {
    format!("{module}.{field}=")
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
            found: BTreeMap::new(),
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

    /// Whether the owner step changes the new records too: they get tags before, and another owner may take the token's user
    /// their access.
    pub fn get_owner_last(tags: &TagChanges, query: &Match) -> bool {
        !tags.is_empty() && !query.gives_owner()
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

    /// The name under which the order of the records with a value is kept, until their ids are known.
    pub fn order_name(&self, module: &ModuleName, value: &MatchValue) -> String {
        let field = order_field(module, &self.query.field);
        format!("{field}{}", value_digest(&self.key(value)))
    }

    /// Whether a new record has an owner from the start.
    pub fn gives_owner(&self) -> bool {
        self.query.gives_owner()
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

impl Match {
    /// Whether new records get an owner by `create`.
    fn gives_owner(&self) -> bool {
        self.create.iter().any(|set| set.field.as_str() == OWNER)
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
    if query.gives_owner() && changes.is_some_and(|changes| changes.owner.is_some()) {
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

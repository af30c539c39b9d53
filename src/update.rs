//! The update request: what to change (fields, tags, the owner) on which records of the CRM. Parsed once and strictly,
//! whether it comes from a route's mapping, `POST /jobs` or a direct invoke.

mod api_version;
mod creation;
mod id;
mod match_value;
mod method;
mod name;
mod order;
mod owner;
mod schema;
mod selector;
mod step;
mod tags;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

pub use api_version::ApiVersion;
pub use creation::{NewRecords, order_field, value_digest};
pub use id::{InvalidId, RecordId, TerritoryId, UserId, ViewId};
pub use match_value::{InvalidValue, MAX_VALUE_CHARS, MatchValue};
use method::FieldSupport;
pub use method::UpdateMethod;
pub use name::{FieldName, InvalidName, ModuleName};
pub use order::{InvalidOrder, MAX_ORDERED_RECORDS, OrderNumber, OrderTime, OrderValue};
pub use owner::{InvalidEmail, NewOwner, OwnerChange, UserEmail, UserReference};
pub use schema::UpdateRequestSchema;
pub use selector::{
    MAX_VALUES, Match, Named, NamedTerritory, NamedView, OnMany, OnNone, Records, Selector,
    Territory,
};
pub use step::{ChangeKind, StepKind};
use strict_reader::{Node, Object, Problem, Problems};
pub use tags::{InvalidTag, MAX_TAG_CHARS, TagChanges, TagName};

/// Most ids in one update request. Zoho has the same limit for one mass update of a view.
pub const MAX_IDS: usize = 50_000;

/// Most fields in one update request. Outside Deals each field takes another pass over all records.
const MAX_FIELDS: usize = 30;

/// Most bytes of `reference` as JSON. Every callback contains it, and receivers expect small bodies.
const MAX_REFERENCE_BYTES: usize = 4096;

/// One field and its new value, in Zoho's JSON form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The field.
    pub field: FieldName,
    /// The value to set.
    pub value: Value,
}

/// A request to change records: their fields, tags or owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The module of the records.
    pub module: ModuleName,
    /// The fields, each once, in the order of the request. Empty if only tags or the owner change.
    pub fields: Vec<Assignment>,
    /// The tags to add and to remove.
    #[serde(default, skip_serializing_if = "TagChanges::is_empty")]
    pub tags: TagChanges,
    /// The new owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerChange>,
    /// The records to update.
    pub selector: Selector,
    /// The records to create, once a look-up has found which. The selector has the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_records: Option<NewRecords>,
    /// For multi-select picklists: replace the options (`true`), or add to them (`false`, Zoho's default).
    pub over_write: bool,
    /// The requested method; [`UpdateRequest::effective_method`] takes the selector into account.
    #[serde(default, skip_serializing_if = "UpdateMethod::is_default")]
    pub update_by: UpdateMethod,
    /// Receives the job's status in place of the route's callback URL.
    pub callback_url: Option<Url>,
    /// Returned with the job and in its callbacks.
    pub reference: Option<Value>,
}

/// An update request that needs no look-up. Only such a request can be planned.
#[derive(Clone, Copy, Debug)]
pub struct Resolved<'a> {
    request: &'a UpdateRequest,
    records: &'a Records,
    owner: Option<NewOwner>,
}

impl<'a> Resolved<'a> {
    /// The whole request.
    pub fn request(self) -> &'a UpdateRequest {
        self.request
    }

    /// The records to update.
    pub fn records(self) -> &'a Records {
        self.records
    }

    /// The new owner of the records.
    pub fn owner(self) -> Option<NewOwner> {
        self.owner
    }
}

impl UpdateRequest {
    /// The request for planning; none if its records or its owner have to be looked up first.
    pub fn resolved(&self) -> Option<Resolved<'_>> {
        let owner = match &self.owner {
            Some(change) => Some(change.resolved()?),
            None => None,
        };
        match &self.selector {
            Selector::Records(records) => Some(Resolved {
                request: self,
                records,
                owner,
            }),
            Selector::Match(_) | Selector::Named(_) => None,
        }
    }

    /// Sets the id of the new owner, once it is found.
    pub fn set_owner(&mut self, id: Option<UserId>) {
        if let (Some(id), Some(owner)) = (id, &mut self.owner) {
            owner.user = UserReference::Id(id);
        }
    }

    /// What it changes, in the order in which the steps run.
    pub fn steps(&self) -> Vec<StepKind> {
        let has = |step: &StepKind| match step {
            StepKind::Create => self.creates(),
            StepKind::Fields => !self.fields.is_empty(),
            StepKind::AddTags => !self.tags.add.is_empty(),
            StepKind::RemoveTags => !self.tags.remove.is_empty(),
            StepKind::Owner => self.owner.is_some(),
        };
        StepKind::ALL.into_iter().filter(has).collect()
    }

    /// Whether it changes more than fields: tags or the owner.
    pub fn has_actions(&self) -> bool {
        !self.tags.is_empty() || self.owner.is_some()
    }

    /// The method after taking the selector into account: a custom view can only be mass-updated.
    pub fn effective_method(&self) -> UpdateMethod {
        match self.selector.is_view() {
            true => UpdateMethod::MassUpdate,
            false => self.update_by,
        }
    }

    /// Whether the request can create records.
    pub fn creates(&self) -> bool {
        self.creation().is_some()
    }

    /// The `match` that creates records; once the records are looked up, with the values that no record has.
    pub fn creation(&self) -> Option<&Match> {
        match (&self.new_records, &self.selector) {
            (Some(new), _) => Some(&new.query),
            (None, Selector::Match(query)) => Some(query).filter(|query| query.creates()),
            (None, Selector::Records(_) | Selector::Named(_)) => None,
        }
    }

    /// Whether it sets a field that no mass update can set, in any org.
    pub fn needs_records(&self) -> bool {
        self.fields.iter().any(|Assignment { field, value }| {
            matches!(FieldSupport::of(field, value), FieldSupport::RecordsOnly(_))
        })
    }

    /// The multi-select picklists to which the request adds options. Any list of strings counts as such a value.
    pub fn appended_fields(&self) -> impl Iterator<Item = &FieldName> {
        let fields = self.fields.iter().filter(|_| !self.over_write);
        let options = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_string);
        let lists = fields.filter(move |set| set.value.as_array().is_some_and(options));
        lists.map(|set| &set.field)
    }

    /// Reads an update request from JSON.
    ///
    /// # Errors
    /// All problems, each with its JSON pointer.
    pub fn parse(value: &Value) -> Result<Self, Vec<Problem>> {
        Self::parse_for(UpdateMethod::default(), value)
    }

    /// Reads an update request from JSON; `default_method` applies if it has no `update_by`.
    ///
    /// # Errors
    /// Those of [`UpdateRequest::parse`].
    pub fn parse_for(default_method: UpdateMethod, value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let request = Self::read(default_method, &Node::root(value), &mut problems);
        problems.finish(request)
    }

    /// The request as JSON that [`UpdateRequest::parse`] reads.
    pub fn to_json(&self) -> Value {
        let mut json = Map::from_iter([("module".to_owned(), json!(self.module.as_str()))]);
        if !self.fields.is_empty() {
            json.insert("fields".to_owned(), assignments_json(&self.fields));
        }
        if !self.tags.is_empty() {
            json.insert("tags".to_owned(), self.tags.to_json());
        }
        if let Some(owner) = &self.owner {
            json.insert("owner".to_owned(), owner.to_json());
        }
        self.selector.insert_into(&mut json);
        if self.over_write {
            json.insert("over_write".to_owned(), json!(true));
        }
        if !self.update_by.is_default() {
            json.insert("update_by".to_owned(), json!(self.update_by.as_str()));
        }
        if let Some(url) = &self.callback_url {
            json.insert("callback_url".to_owned(), json!(url.as_str()));
        }
        if let Some(reference) = &self.reference {
            json.insert("reference".to_owned(), reference.clone());
        }
        Value::Object(json)
    }

    fn read(
        default_method: UpdateMethod,
        node: &Node<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut object = node.object(problems)?;
        let module = object
            .required("module", problems)
            .and_then(|node| node.parse(problems));
        let update_by = object
            .optional("update_by")
            .map_or(Some(default_method), |node| node.parse(problems));
        let view = Selector::names_view(&object);
        let method = match view {
            true => UpdateMethod::MassUpdate,
            // An invalid `update_by` is a problem of its own. Then report only fields that no method can set.
            false => update_by.unwrap_or(UpdateMethod::Auto),
        };
        let changes = Changes::read(node, &mut object, method, view, problems);
        let selector = Selector::read(node, &mut object, problems);
        let over_write = object.optional("over_write");
        let over_write = over_write.map_or(Some(false), |node| {
            if changes
                .as_ref()
                .is_some_and(|changes| changes.fields.is_empty())
            {
                node.problem(problems, "goes only with `fields`; leave it out");
            }
            node.boolean(problems)
        });
        let callback_url = object
            .optional("callback_url")
            .map(|node| read_callback_url(&node, problems));
        let reference = object.optional("reference").map(|node| {
            if node.value.to_string().len() > MAX_REFERENCE_BYTES {
                node.problem(problems, format!("takes more than {MAX_REFERENCE_BYTES} bytes; keep it with you and send a key"));
            }
            node.value.clone()
        });
        object.finish(problems);
        creation::check(
            node,
            module.as_ref(),
            changes.as_ref(),
            selector.as_ref(),
            problems,
        );
        let Changes {
            fields,
            tags,
            owner,
        } = changes?;
        Some(Self {
            module: module?,
            fields,
            tags,
            owner,
            selector: selector?,
            new_records: None,
            over_write: over_write?,
            update_by: update_by?,
            callback_url: match callback_url {
                Some(url) => Some(url?),
                None => None,
            },
            reference,
        })
    }
}

/// What an update request changes.
struct Changes {
    fields: Vec<Assignment>,
    tags: TagChanges,
    owner: Option<OwnerChange>,
}

impl Changes {
    /// Reads the keys `fields`, `tags` and `owner`, which together must change something.
    fn read(
        node: &Node<'_>,
        object: &mut Object<'_>,
        method: UpdateMethod,
        view: bool,
        problems: &mut Problems,
    ) -> Option<Self> {
        let fields = object.optional("fields");
        let tags = object.optional("tags");
        let owner = object.optional("owner");
        if let Some(tags) = tags.as_ref().filter(|_| view) {
            tags.problem(
                problems,
                "Zoho has no call that tags the records of a custom view; name the records by `ids` or `match`",
            );
        }
        let tags = tags.map_or(Some(TagChanges::default()), |node| {
            TagChanges::read(&node, problems)
        });
        let owner = match owner {
            Some(node) => OwnerChange::read(&node, view, problems).map(Some),
            None => Some(None),
        };
        // An invalid change is a problem of its own.
        let has_actions = tags.as_ref().is_none_or(|tags| !tags.is_empty())
            || owner.as_ref().is_none_or(Option::is_some);
        let fields = match fields {
            Some(fields) => read_fields(&fields, method, view, has_actions, problems),
            None if has_actions => Some(Vec::new()),
            None => {
                node.problem(problems, "changes nothing; add `fields`, `tags` or `owner`");
                None
            }
        };
        Some(Self {
            fields: fields?,
            tags: tags?,
            owner: owner?,
        })
    }
}

/// Assignments as one JSON object.
fn assignments_json(assignments: &[Assignment]) -> Value {
    let fields = assignments.iter();
    fields
        .map(|Assignment { field, value }| (field.to_string(), value.clone()))
        .collect()
}

fn read_callback_url(node: &Node<'_>, problems: &mut Problems) -> Option<Url> {
    match node.string(problems)?.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Some(url),
        _ => {
            node.problem(problems, "is not an https:// URL");
            None
        }
    }
}

fn read_fields(
    node: &Node<'_>,
    method: UpdateMethod,
    view: bool,
    may_be_empty: bool,
    problems: &mut Problems,
) -> Option<Vec<Assignment>> {
    let object = node.object(problems)?;
    let mut fields = Vec::new();
    for (name, value) in object.entries() {
        match name.parse::<FieldName>() {
            Ok(field) => {
                let support = FieldSupport::of(&field, value.value);
                if let Some(refusal) = support.refusal(&field, method, view) {
                    value.problem(problems, refusal);
                }
                fields.push(Assignment {
                    field,
                    value: value.value.clone(),
                });
            }
            Err(error) => value.problem(problems, error.to_string()),
        }
    }
    if fields.len() > MAX_FIELDS {
        let message = format!(
            "names {} fields, and each takes calls of its own; at most {MAX_FIELDS} go into one job",
            fields.len()
        );
        node.problem(problems, message);
    }
    if !may_be_empty && object.entries().next().is_none() {
        node.problem(
            problems,
            "is empty; name at least one field and its new value",
        );
    }
    Some(fields)
}

#[cfg(test)]
mod tests;

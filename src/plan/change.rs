//! What a call changes, if it is the same for all of its records, and the body that says so.

use serde_json::{Map, Value, json};

use crate::update::{NewOwner, Records, TagName};

/// A change that a call makes to all of its records alike.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Sets fields.
    Fields {
        /// The fields with their values.
        data: Map<String, Value>,
        /// Whether options of multi-select picklists are replaced.
        over_write: bool,
    },
    /// Adds tags.
    AddTags(Vec<TagName>),
    /// Removes tags.
    RemoveTags(Vec<TagName>),
    /// Changes the owner.
    Owner(NewOwner),
}

impl Change {
    /// The JSON body of a call that makes this change to `records`.
    pub fn body(&self, records: &Records) -> Value {
        let mut body = match self {
            Self::Fields { data, .. } => Map::from_iter([("data".to_owned(), json!([data]))]),
            Self::AddTags(tags) | Self::RemoveTags(tags) => {
                let tags = tags.iter().map(|tag| json!({"name": tag.as_str()}));
                Map::from_iter([("tags".to_owned(), tags.collect())])
            }
            Self::Owner(owner) => {
                let owner = json!({"id": owner.id.to_string()});
                Map::from_iter([("owner".to_owned(), owner)])
            }
        };
        records.insert_into(&mut body);
        match (self, records) {
            // A false `over_write` is left out: that is Zoho's default, and the newer specification does not list the key.
            (Self::Fields { over_write, .. }, _) => {
                if *over_write {
                    body.insert("over_write".to_owned(), Value::Bool(true));
                }
            }
            // Tags that a record has stay.
            (Self::AddTags(_), _) => {
                body.insert("over_write".to_owned(), Value::Bool(false));
            }
            (Self::Owner(owner), Records::Ids(_)) => {
                body.insert("notify".to_owned(), Value::Bool(owner.notify));
            }
            // The owner of a view's records changes without a notification.
            (Self::Owner(_), Records::View { .. }) | (Self::RemoveTags(_), _) => {}
        }
        Value::Object(body)
    }

    /// A value that is the same for equal changes. The order of fields and of tags does not matter.
    pub fn key(&self) -> Value {
        let sorted = |tags: &[TagName]| {
            let mut tags = tags.to_vec();
            tags.sort();
            json!(tags)
        };
        let mut key = match self {
            Self::Fields { data, over_write } => json!(["fields", data, over_write]),
            Self::AddTags(tags) => json!(["add_tags", sorted(tags)]),
            Self::RemoveTags(tags) => json!(["remove_tags", sorted(tags)]),
            Self::Owner(owner) => json!(["owner", owner.id.to_string(), owner.notify]),
        };
        key.sort_all_objects();
        key
    }
}

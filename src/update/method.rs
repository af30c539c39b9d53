//! The update method, and the fields that each method can set.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FieldName;

/// The kind of Zoho calls that update the records.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum UpdateMethod {
    /// Mass updates: 500 records and one field a call, three fields in Deals.
    #[default]
    MassUpdate,
    /// Record updates: 100 records and any number of fields a call, including fields that mass updates cannot set. A
    /// custom view is always mass-updated.
    Records,
    /// The method with fewer calls, mass updates if both take the same number; record updates if a field needs them.
    Auto,
}

/// The methods that can set a field to a value in every org, from Zoho's page on mass update and the `mass_update` flags of
/// its field metadata. The metadata guard checks what depends on the org.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldSupport {
    /// Both methods, as far as documented.
    Either,
    /// Only record updates, for this reason.
    RecordsOnly(&'static str),
    /// No method, for this reason.
    Never(&'static str),
}

impl FieldSupport {
    pub(super) fn of(field: &FieldName, value: &Value) -> Self {
        match field.as_str() {
            "id" => Self::Never("is the record's own id: name records in `ids`"),
            "Email" | "Secondary_Email" => Self::RecordsOnly("is an e-mail field"),
            "Owner" => {
                Self::Never("is the record's owner, which the key `owner` beside `fields` changes")
            }
            "Tag" => Self::Never("is a tag list, which the key `tags` beside `fields` changes"),
            "Description" => Self::RecordsOnly("is a multi-line field"),
            "First_Name" | "Last_Name" => Self::RecordsOnly("is part of a person's name"),
            "Full_Name" => Self::Never("is put together by Zoho, of `First_Name` and `Last_Name`"),
            "Created_Time" | "Modified_Time" | "Created_By" | "Modified_By"
            | "Last_Activity_Time" => Self::Never("is kept by Zoho itself"),
            "Layout" => Self::Either,
            _ => Self::of_value(value),
        }
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::Object(_) => Self::RecordsOnly("has an object as its value, so it is a lookup"),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                match items.iter().all(|item| item.get("id").is_some()) {
                    true => Self::RecordsOnly(
                        "has objects in its list: line items, a subform or a multi-lookup",
                    ),
                    // Sending such rows twice is not idempotent.
                    false => Self::Never(
                        "has objects without an `id` in its list (line items, a subform, a multi-lookup), which would be \
                         added once more each time the call is repeated",
                    ),
                }
            }
            Value::Array(items) if !items.iter().all(Value::is_string) => {
                Self::Never("is a list, so a multi-select picklist, whose options are strings")
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Self::Either,
        }
    }

    /// Why `method` cannot set the field; none if it can. `view`: the selector is a custom view, so `method` is fixed.
    pub(super) fn refusal(
        self,
        field: &FieldName,
        method: UpdateMethod,
        view: bool,
    ) -> Option<String> {
        match (self, method) {
            (Self::Either, _)
            | (Self::RecordsOnly(_), UpdateMethod::Records | UpdateMethod::Auto) => None,
            (Self::Never(why), _) => Some(format!("`{field}` {why}; leave it out")),
            (Self::RecordsOnly(why), UpdateMethod::MassUpdate) if view => Some(format!(
                "`{field}` {why}, and no mass update sets it, which is all that a custom view takes; name the records by `ids` \
                 or `match` with `update_by: records`, or leave it out"
            )),
            (Self::RecordsOnly(why), UpdateMethod::MassUpdate) => Some(format!(
                "`{field}` {why}, and no mass update sets it; write `update_by: records` (or `auto`) in the route, or leave it out"
            )),
        }
    }
}

impl UpdateMethod {
    /// Whether this is the method of a route without `update_by`.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

strict_reader::keywords!(UpdateMethod { MassUpdate = "mass_update", Records = "records", Auto = "auto" });

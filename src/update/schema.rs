//! The JSON Schema of update requests. `UpdateRequest::parse` reads them; a test compares both.

use schemars::JsonSchema;
use serde_json::{Map, Value};
use url::Url;

use super::tags::MAX_TAGS;
use super::{
    MAX_FIELDS, MAX_IDS, MAX_TAG_CHARS, MAX_VALUE_CHARS, MAX_VALUES, OnMany, OnNone, UpdateMethod,
};

/// The form of Zoho's API names.
const API_NAME: &str = "^[A-Za-z][A-Za-z0-9_]{0,99}$";

/// The form of Zoho's ids.
const ID: &str = "^[1-9][0-9]{0,18}$";

/// A request to change records, which exactly one of `ids`, `cvid`, `view` and `match` selects. It has at least one of `fields`,
/// `tags` and `owner`.
#[derive(JsonSchema)]
#[schemars(rename = "UpdateRequest", deny_unknown_fields)]
#[schemars(extend("oneOf" = one_selector()))]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
pub struct UpdateRequestSchema {
    /// The API name of the module.
    #[schemars(regex(pattern = API_NAME))]
    module: String,
    /// The fields to set by their API names, each with its new value in Zoho's JSON form.
    #[schemars(extend("maxProperties" = MAX_FIELDS, "propertyNames" = { "pattern": API_NAME }))]
    fields: Option<Map<String, Value>>,
    /// The tags to add and to remove.
    tags: Option<TagChangesSchema>,
    /// The new owner.
    owner: Option<OwnerChangeSchema>,
    /// The ids of the records. Duplicates are dropped.
    #[schemars(length(min = 1, max = MAX_IDS))]
    ids: Option<Vec<ZohoId>>,
    /// The id of a custom view.
    cvid: Option<ZohoId>,
    /// The name of a custom view.
    #[schemars(length(min = 1, max = MAX_VALUE_CHARS))]
    view: Option<String>,
    /// Narrows the custom view to a territory.
    territory: Option<TerritorySchema>,
    /// Selects records by the values of a field.
    r#match: Option<MatchSchema>,
    /// For multi-select picklists: replace the options (`true`), or add to them.
    over_write: Option<bool>,
    /// Which calls update the records. A custom view is always mass-updated.
    update_by: Option<UpdateMethod>,
    /// Receives the job's status. It must be a URL that `callbacks` of the config allows.
    callback_url: Option<Url>,
    /// Returned with the job and in its callbacks; at most 4096 bytes of JSON.
    reference: Option<Value>,
}

/// An id of Zoho. Send it as a string: it has more digits than a float can hold.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
enum ZohoId {
    Text(#[schemars(regex(pattern = ID))] String),
    Number(#[schemars(range(min = 1, max = 9_999_999_999_999_999_999_u64))] u64),
}

/// Tags to add and to remove. No tag is in both lists.
#[derive(JsonSchema)]
#[schemars(rename = "TagChanges", deny_unknown_fields)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
struct TagChangesSchema {
    /// The tags to add.
    #[schemars(length(max = MAX_TAGS))]
    add: Option<Vec<TagNameSchema>>,
    /// The tags to remove.
    #[schemars(length(max = MAX_TAGS))]
    remove: Option<Vec<TagNameSchema>>,
}

/// The name of a tag.
#[derive(JsonSchema)]
#[schemars(rename = "TagName")]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
struct TagNameSchema(
    #[schemars(length(min = 1, max = MAX_TAG_CHARS), regex(pattern = "^[^,]*$"))] String,
);

/// A new owner by the id or the e-mail address of the user.
#[derive(JsonSchema)]
#[schemars(rename = "OwnerChange", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["id"] }, { "required": ["email"] }]))]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
struct OwnerChangeSchema {
    /// The user's id.
    id: Option<ZohoId>,
    /// The user's e-mail address, which is looked up.
    #[schemars(length(max = 254), regex(pattern = "^[^@\\s]+@[^@\\s]+$"))]
    email: Option<String>,
    /// Whether Zoho notifies the new owner by e-mail. Not with a custom view.
    notify: Option<bool>,
}

/// A territory by its id or its name.
#[derive(JsonSchema)]
#[schemars(rename = "Territory", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["id"] }, { "required": ["name"] }]))]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
struct TerritorySchema {
    /// Its id.
    id: Option<ZohoId>,
    /// Its name.
    #[schemars(length(min = 1, max = MAX_VALUE_CHARS))]
    name: Option<String>,
    /// Whether to include the territories below it.
    include_child: Option<bool>,
}

/// Records whose field has one of these values.
#[derive(JsonSchema)]
#[schemars(rename = "Match", deny_unknown_fields)]
#[schemars(extend("dependentSchemas" = { "create": { "required": ["on_none"], "properties": { "on_none": { "const": "create" } } } }))]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
struct MatchSchema {
    /// The API name of the field.
    #[schemars(regex(pattern = API_NAME))]
    field: String,
    /// The values. Duplicates are dropped.
    #[schemars(length(min = 1, max = MAX_VALUES))]
    values: Vec<MatchValueSchema>,
    /// What to do if several records have one value.
    on_many: Option<OnMany>,
    /// What to do if no record has a value.
    on_none: Option<OnNone>,
    /// What only a record gets that is created, by API names. Only with `on_none: create`.
    #[schemars(extend("maxProperties" = MAX_FIELDS, "propertyNames" = { "pattern": API_NAME }))]
    create: Option<Map<String, Value>>,
}

/// A value of a field.
#[derive(JsonSchema)]
#[schemars(rename = "MatchValue", untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
enum MatchValueSchema {
    Text(#[schemars(length(min = 1, max = MAX_VALUE_CHARS))] String),
    Number(i64),
}

/// Exactly one selector has a value. Null counts as absent.
fn one_selector() -> Vec<Value> {
    let selectors = ["ids", "cvid", "view", "match"].into_iter();
    let only = selectors.map(|key| {
        serde_json::json!({
            "required": [key],
            "properties": { key: { "not": { "type": "null" } } },
        })
    });
    only.collect()
}

//! What is to be changed in the CRM: the update request, and the words that it is made of. Parsed once and strictly,
//! wherever it comes from: a route's mapping, `POST /jobs` or a direct invoke.

mod way;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::reader::{Node, Problem, Problems};
pub use way::{Method, Unclear, UnknownWord};

/// Ids that one update request may name; Zoho's own ceiling for one mass update is the same.
pub const MAX_IDS: usize = 50_000;

/// Fields that one update request may set. Outside Deals each of them is another pass over all records.
const MAX_FIELDS: usize = 30;

/// Bytes that `reference` may take as JSON: it travels in every callback, and receivers expect small bodies.
const MAX_REFERENCE_BYTES: usize = 4096;

macro_rules! zoho_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Zoho's ids have up to 19 digits, more than a float can hold: they are read from strings or whole numbers,
        /// and always written as strings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(NonZeroU64);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let digits = (1..=19).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_digit())
                    && !text.starts_with('0');
                let number = if digits { text.parse().ok() } else { None };
                number.map(Self).ok_or_else(|| InvalidId(text.chars().take(40).collect()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.0)
            }
        }

        impl $name {
            fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
                let text = match node.value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) if number.is_u64() => number.to_string(),
                    Value::Number(_) => {
                        node.problem(problems, "is not a whole positive number; send ids as strings, never through a float");
                        return None;
                    }
                    _ => {
                        node.problem(problems, "must be an id: a string of digits, or a whole number");
                        return None;
                    }
                };
                match text.parse() {
                    Ok(id) => Some(id),
                    Err(error) => {
                        node.problem(problems, error.to_string());
                        None
                    }
                }
            }
        }
    };
}

zoho_id! {
    /// The id of a CRM record.
    RecordId
}
zoho_id! {
    /// The id of a custom view (`cvid`).
    ViewId
}
zoho_id! {
    /// The id of a territory.
    TerritoryId
}

/// Not an id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an id: an id is 1 to 19 digits without a leading zero")]
pub struct InvalidId(String);

/// Modules that Zoho documents for mass update (v7 page, and the v8 specification's `Tasks`, `Calls`, `Events`, `Cases`).
/// Custom modules have names of their own, so this list only helps against misspelt standard names.
const STANDARD_MODULES: [&str; 18] = [
    "Leads",
    "Accounts",
    "Contacts",
    "Deals",
    "Campaigns",
    "Tasks",
    "Calls",
    "Events",
    "Cases",
    "Solutions",
    "Products",
    "Vendors",
    "Price_Books",
    "Quotes",
    "Sales_Orders",
    "Purchase_Orders",
    "Invoices",
    "Activities",
];

/// The API name of a module, as it stands in Zoho's URLs: case-sensitive, `Leads`, `Price_Books`, `CustomModule3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(String);

/// The API name of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

/// Not an API name.
#[derive(Debug, thiserror::Error)]
pub enum InvalidName {
    /// It has characters that no API name has, or is too long.
    #[error(
        "`{0}` is not an API name: a letter, then letters, digits and underscores, at most 100 in all"
    )]
    Form(String),
    /// It is a standard module's name in the wrong case.
    #[error("`{0}` is not a module: API names are case-sensitive, write `{1}`")]
    Case(String, &'static str),
}

fn api_name(text: &str) -> Result<String, InvalidName> {
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if starts && text.len() <= 100 && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        Ok(text.to_owned())
    } else {
        Err(InvalidName::Form(text.chars().take(40).collect()))
    }
}

impl FromStr for ModuleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = api_name(text)?;
        let alike = |standard: &&&str| standard.eq_ignore_ascii_case(&name) && **standard != name;
        match STANDARD_MODULES.iter().find(alike) {
            Some(standard) => Err(InvalidName::Case(name, standard)),
            None => Ok(Self(name)),
        }
    }
}

impl FromStr for FieldName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        api_name(text).map(Self)
    }
}

macro_rules! name_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl $name {
            /// The name as Zoho spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

name_conversions!(ModuleName);
name_conversions!(FieldName);

/// One field and its new value, in Zoho's JSON form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The field.
    pub field: FieldName,
    /// What it is set to.
    pub value: Value,
}

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

/// Which records are to be updated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
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

/// "Set these fields on those records": the one thing that masshook does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The module that the records live in.
    pub module: ModuleName,
    /// At least one field, each once, in the order given.
    pub fields: Vec<Assignment>,
    /// Which records.
    pub selector: Selector,
    /// For multi-select picklists: replace the options (`true`) or add to them (`false`, Zoho's default).
    pub over_write: bool,
    /// Where the job's status goes, if not to the route's own callback URL.
    pub callback_url: Option<Url>,
    /// Whatever the caller wants back.
    pub reference: Option<Value>,
}

impl UpdateRequest {
    /// Reads an update request from its JSON form.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its JSON pointer.
    pub fn parse(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let request = Self::read(&Node::root(value), &mut problems);
        problems.finish(request)
    }

    /// The request in its JSON form, as [`UpdateRequest::parse`] reads it.
    pub fn to_json(&self) -> Value {
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .map(|assignment| (assignment.field.to_string(), assignment.value.clone()))
            .collect();
        let mut json = Map::from_iter([
            ("module".to_owned(), json!(self.module.as_str())),
            ("fields".to_owned(), Value::Object(fields)),
        ]);
        match &self.selector {
            Selector::Ids(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                json.insert("ids".to_owned(), json!(ids));
            }
            Selector::View { cvid, territory } => {
                json.insert("cvid".to_owned(), json!(cvid.to_string()));
                if let Some(territory) = territory {
                    json.insert("territory".to_owned(), territory.to_json());
                }
            }
        }
        if self.over_write {
            json.insert("over_write".to_owned(), json!(true));
        }
        if let Some(url) = &self.callback_url {
            json.insert("callback_url".to_owned(), json!(url.as_str()));
        }
        if let Some(reference) = &self.reference {
            json.insert("reference".to_owned(), reference.clone());
        }
        Value::Object(json)
    }

    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let module = object
            .required("module", problems)
            .and_then(|node| node.parse(problems));
        let fields = object
            .required("fields", problems)
            .and_then(|node| read_fields(&node, problems));
        let selector = read_selector(node, &mut object, problems);
        let over_write = object
            .optional("over_write")
            .map_or(Some(false), |node| node.boolean(problems));
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
        Some(Self {
            module: module?,
            fields: fields?,
            selector: selector?,
            over_write: over_write?,
            callback_url: match callback_url {
                Some(url) => Some(url?),
                None => None,
            },
            reference,
        })
    }
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

fn read_fields(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<Assignment>> {
    let object = node.object(problems)?;
    let mut fields = Vec::new();
    for (name, value) in object.entries() {
        match name.parse::<FieldName>() {
            Ok(field) => {
                if let Some(refusal) = refusal(&field, value.value) {
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
    if object.entries().next().is_none() {
        node.problem(
            problems,
            "is empty; name at least one field and its new value",
        );
    }
    Some(fields)
}

/// Why a mass update can never set this field, from Zoho's page on mass update and the `mass_update` flags of its field
/// metadata. Only what holds for every org stands here; the rest is the org's own metadata.
fn refusal(field: &FieldName, value: &Value) -> Option<String> {
    let name = field.as_str();
    let why = match name {
        "id" => "is the record's own id; name records in `ids`",
        "Email" | "Secondary_Email" => "is an e-mail field",
        "Owner" => "is the record's owner; Zoho changes owners through its change-owner calls",
        "Tag" => "is a tag list; Zoho changes tags through its tag calls",
        "Description" => "is a multi-line field",
        "First_Name" | "Last_Name" | "Full_Name" => "is part of a person's name",
        "Created_Time" | "Modified_Time" | "Created_By" | "Modified_By" | "Last_Activity_Time" => {
            "is kept by Zoho itself"
        }
        "Layout" => return None,
        _ => match value {
            Value::Object(_) => "has an object as its value: lookup fields",
            Value::Array(items) if items.iter().any(Value::is_object) => {
                "has objects in its list: line items, subforms and multi-lookups"
            }
            Value::Array(items) if !items.iter().all(Value::is_string) => {
                let message = "is a list, so a multi-select picklist, whose options are strings";
                return Some(message.to_owned());
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => return None,
        },
    };
    Some(format!(
        "`{name}` {why} cannot be changed by a Zoho mass update; leave it out, or update those records one by one"
    ))
}

fn read_selector(
    node: &Node<'_>,
    object: &mut crate::reader::Object<'_>,
    problems: &mut Problems,
) -> Option<Selector> {
    let ids = object.optional("ids");
    let cvid = object.optional("cvid");
    let territory = object.optional("territory");
    if let Some(lookup) = object.optional("match") {
        lookup.problem(problems, "looks records up by a field, which this version cannot do yet; send their `ids` or a `cvid`");
        return None;
    }
    match (&ids, &cvid) {
        (Some(_), Some(_)) => {
            node.problem(
                problems,
                "has both `ids` and `cvid`; Zoho takes one selector, keep the one you mean",
            );
            None
        }
        (None, None) => {
            let what = if territory.is_some() {
                "`territory` narrows a custom view: add its `cvid`"
            } else {
                "has no selector; add `ids` or `cvid`"
            };
            node.problem(problems, what);
            None
        }
        (Some(ids), None) => {
            if let Some(territory) = &territory {
                territory.problem(
                    problems,
                    "goes only with `cvid`; Zoho refuses it beside `ids`",
                );
            }
            read_ids(ids, problems).map(Selector::Ids)
        }
        (None, Some(cvid)) => {
            let cvid = ViewId::read(cvid, problems);
            let territory = match territory {
                Some(territory) => Some(read_territory(&territory, problems)?),
                None => None,
            };
            Some(Selector::View {
                cvid: cvid?,
                territory,
            })
        }
    }
}

fn read_ids(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<RecordId>> {
    /// So many bad ids are listed one by one; a list of thousands helps nobody.
    const SHOWN: usize = 20;
    let items = node.list(problems)?;
    if items.is_empty() {
        node.problem(
            problems,
            "is empty; name at least one record, or let the mapping yield nothing",
        );
        return None;
    }
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    let mut ids = Vec::with_capacity(items.len());
    let mut bad = Problems::default();
    for item in &items {
        if let Some(id) = RecordId::read(item, &mut bad)
            && seen.insert(id)
        {
            ids.push(id);
        }
    }
    if let Err(bad) = bad.finish(Some(())) {
        let more = bad.len().saturating_sub(SHOWN);
        for problem in bad.into_iter().take(SHOWN) {
            problems.add(&problem.at, problem.message);
        }
        if more > 0 {
            node.problem(
                problems,
                format!("has {more} more entries that are not ids"),
            );
        }
    }
    if ids.len() > MAX_IDS {
        let message = format!(
            "names {} records, and at most {MAX_IDS} go into one job; split the list, or update by `cvid`",
            ids.len()
        );
        node.problem(problems, message);
    }
    Some(ids)
}

fn read_territory(node: &Node<'_>, problems: &mut Problems) -> Option<Territory> {
    let mut object = node.object(problems)?;
    let id = object
        .required("id", problems)
        .and_then(|node| TerritoryId::read(&node, problems));
    let include_child = object
        .optional("include_child")
        .map_or(Some(false), |node| node.boolean(problems));
    object.finish(problems);
    Some(Territory {
        id: id?,
        include_child: include_child?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(value: &Value) -> Vec<(String, String)> {
        let problems = UpdateRequest::parse(value).expect_err("a refusal");
        problems
            .into_iter()
            .map(|problem| (problem.at.pointer(), problem.message))
            .collect()
    }

    #[test]
    fn reads_every_key() {
        let request = UpdateRequest::parse(&json!({
            "module": "Deals",
            "fields": {"Stage": "Closed Won", "Amount": 12.5},
            "ids": ["554023000000497007", 5540230000004970079_u64, "554023000000497007"],
            "over_write": true,
            "callback_url": "https://ops.example.com/zoho",
            "reference": {"order": 7}
        }))
        .expect("a request");
        assert_eq!(request.module.as_str(), "Deals");
        let fields: Vec<_> = request
            .fields
            .iter()
            .map(|assignment| assignment.field.as_str())
            .collect();
        assert_eq!(fields, ["Stage", "Amount"], "the order given is kept");
        assert_eq!(
            UpdateRequest::parse(&request.to_json()).as_ref(),
            Ok(&request)
        );
        let Selector::Ids(ids) = request.selector else {
            panic!("ids")
        };
        assert_eq!(
            ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["554023000000497007", "5540230000004970079"]
        );
    }

    #[test]
    fn each_refusal_says_where_and_what_to_do() {
        let cases = [
            (json!([]), "", "must be an object"),
            (
                json!({"module": "Leads", "fields": {"A": 1}}),
                "",
                "add `ids` or `cvid`",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": []}),
                "/ids",
                "is empty",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "cvid": "2"}),
                "",
                "both `ids` and `cvid`",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": [1.5]}),
                "/ids/0",
                "never through a float",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": [5.54023000000497e17]}),
                "/ids/0",
                "never through a float",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": ["0012"]}),
                "/ids/0",
                "1 to 19 digits",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": ["55402300000049700712"]}),
                "/ids/0",
                "1 to 19 digits",
            ),
            (
                json!({"module": "leads", "fields": {"A": 1}, "ids": ["1"]}),
                "/module",
                "write `Leads`",
            ),
            (
                json!({"module": "../Leads", "fields": {"A": 1}, "ids": ["1"]}),
                "/module",
                "not an API name",
            ),
            (
                json!({"module": "Leads", "fields": {}, "ids": ["1"]}),
                "/fields",
                "at least one field",
            ),
            (
                json!({"module": "Leads", "fields": {"Email": "a@b"}, "ids": ["1"]}),
                "/fields/Email",
                "e-mail",
            ),
            (
                json!({"module": "Leads", "fields": {"Account_Name": {"id": "1"}}, "ids": ["1"]}),
                "/fields/Account_Name",
                "lookup",
            ),
            (
                json!({"module": "Leads", "fields": {"Items": [{"id": "1"}]}, "ids": ["1"]}),
                "/fields/Items",
                "line items",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "territory": {"id": "1"}}),
                "",
                "add its `cvid`",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "territory": {"id": "1"}}),
                "/territory",
                "only with `cvid`",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "overwrite": true}),
                "/overwrite",
                "`over_write`",
            ),
            (
                json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "callback_url": "ftp://x"}),
                "/callback_url",
                "https",
            ),
        ];
        for (value, pointer, message) in cases {
            let found = refused(&value);
            assert!(
                found
                    .iter()
                    .any(|(at, text)| at == pointer && text.contains(message)),
                "{value} should be refused at `{pointer}` with `{message}`, but was: {found:?}"
            );
        }
    }

    #[test]
    fn more_ids_than_a_job_takes_are_refused() {
        let ids: Vec<u64> = (1..=MAX_IDS as u64 + 1).collect();
        let found = refused(&json!({"module": "Leads", "fields": {"A": 1}, "ids": ids}));
        assert!(found[0].1.contains("50000"), "{found:?}");
    }

    /// Objects that have the keys of an update request, with values that are often right and often not.
    fn request_like() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[0-9]{1,20}|Leads|Deals|Stage|https://a.example/x|.{0,8}".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("id|include_child|Stage|Rating|.{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        let keys = "module|fields|ids|cvid|territory|over_write|callback_url|reference|match";
        prop::collection::hash_map(keys, tree, 0..7).prop_map(|map| {
            let mut request = json!({"module": "Leads", "fields": {"Rating": "Active"}});
            for (key, value) in map {
                request[key] = value;
            }
            request
        })
    }

    proptest! {
        #[test]
        fn ids_survive_exactly(number in 1_u64..=9_999_999_999_999_999_999, as_string: bool) {
            let value = if as_string { json!(number.to_string()) } else { json!(number) };
            let request = UpdateRequest::parse(&json!({"module": "Leads", "fields": {"A": 1}, "ids": [value]})).expect("a request");
            let Selector::Ids(ids) = request.selector else { panic!("ids") };
            prop_assert_eq!(ids[0].to_string(), number.to_string());
        }

        #[test]
        fn no_value_makes_the_reader_panic(request in request_like()) {
            if let Ok(request) = UpdateRequest::parse(&request) {
                let again = UpdateRequest::parse(&request.to_json());
                prop_assert_eq!(again.as_ref(), Ok(&request));
            }
        }
    }
}

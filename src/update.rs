//! What is to be changed in the CRM: the update request, and the words that it is made of. Parsed once and strictly,
//! wherever it comes from: a route's mapping, `POST /jobs` or a direct invoke.

mod selector;
mod way;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

pub use selector::{
    InvalidValue, MAX_VALUE_CHARS, MAX_VALUES, Match, MatchValue, Named, NamedTerritory, NamedView,
    OnMany, OnNone, Records, Selector, Territory,
};
use strict_reader::{Node, Problem, Problems};
use way::Settable;
pub use way::{Method, UnknownWord};

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

impl ModuleName {
    /// Whether it is a module of Zoho's own, rather than one that an org made.
    pub fn is_standard(&self) -> bool {
        STANDARD_MODULES.contains(&self.0.as_str())
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
    /// By which calls, as it was asked; [`UpdateRequest::way`] is what the selector leaves of that.
    #[serde(default, skip_serializing_if = "Method::is_default")]
    pub update_by: Method,
    /// Where the job's status goes, if not to the route's own callback URL.
    pub callback_url: Option<Url>,
    /// Whatever the caller wants back.
    pub reference: Option<Value>,
}

/// An update request of which Zoho can be told the records as they are: the only thing that can be planned.
#[derive(Clone, Copy, Debug)]
pub struct Resolved<'a> {
    request: &'a UpdateRequest,
    records: &'a Records,
}

impl<'a> Resolved<'a> {
    /// The request.
    pub fn request(self) -> &'a UpdateRequest {
        self.request
    }

    /// Its records.
    pub fn records(self) -> &'a Records {
        self.records
    }
}

impl UpdateRequest {
    /// The request as it can be planned; none if its records have to be looked up first.
    pub fn resolved(&self) -> Option<Resolved<'_>> {
        match &self.selector {
            Selector::Records(records) => Some(Resolved {
                request: self,
                records,
            }),
            Selector::Match(_) | Selector::Named(_) => None,
        }
    }

    /// By which calls its records can be updated: a custom view is only mass-updated, whatever was asked.
    pub fn way(&self) -> Method {
        match self.selector.is_view() {
            true => Method::MassUpdate,
            false => self.update_by,
        }
    }

    /// Whether it sets a field that no mass update sets, in any org.
    pub fn needs_records(&self) -> bool {
        self.fields.iter().any(|Assignment { field, value }| {
            matches!(Settable::of(field, value), Settable::RecordsOnly(_))
        })
    }

    /// The fields to whose options some are added, rather than set in their place: a list of texts is what a multi-select
    /// picklist is set to.
    pub fn added(&self) -> impl Iterator<Item = &FieldName> {
        let fields = self.fields.iter().filter(|_| !self.over_write);
        let options = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_string);
        let lists = fields.filter(move |set| set.value.as_array().is_some_and(options));
        lists.map(|set| &set.field)
    }

    /// Reads an update request from its JSON form.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its JSON pointer.
    pub fn parse(value: &Value) -> Result<Self, Vec<Problem>> {
        Self::parse_for(Method::default(), value)
    }

    /// The same, for a route whose update requests are made by `method` unless they say otherwise.
    ///
    /// # Errors
    /// Those of [`UpdateRequest::parse`].
    pub fn parse_for(method: Method, value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let request = Self::read(method, &Node::root(value), &mut problems);
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

    fn read(method: Method, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let module = object
            .required("module", problems)
            .and_then(|node| node.parse(problems));
        let update_by = object
            .optional("update_by")
            .map_or(Some(method), |node| node.parse(problems));
        let view = Selector::names_view(&object);
        let way = match view {
            true => Method::MassUpdate,
            // What cannot be read is a problem already; of the fields only those are one, then, that nothing sets.
            false => update_by.unwrap_or(Method::Auto),
        };
        let fields = object
            .required("fields", problems)
            .and_then(|node| read_fields(&node, way, view, problems));
        let selector = Selector::read(node, &mut object, problems);
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
            update_by: update_by?,
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

fn read_fields(
    node: &Node<'_>,
    way: Method,
    view: bool,
    problems: &mut Problems,
) -> Option<Vec<Assignment>> {
    let object = node.object(problems)?;
    let mut fields = Vec::new();
    for (name, value) in object.entries() {
        match name.parse::<FieldName>() {
            Ok(field) => {
                let settable = Settable::of(&field, value.value);
                if let Some(refusal) = settable.refusal(&field, way, view) {
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

#[cfg(test)]
mod tests;

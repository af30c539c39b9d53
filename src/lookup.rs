//! Finds records by the value of a field: the requests to Zoho, and the assignment of the returned records to the values.
//! Pure.
//!
//! Most values are looked up by COQL, which is exact and has no index lag. Only a [`Literal`] is put into a query, and it
//! contains no character with a meaning in COQL: Zoho documents no way to escape a quote. All other values go through
//! Search, which takes a value as a parameter. Its `equals` matches like `contains`, and its `email` searches all e-mail
//! fields, so the field of each returned record is compared again.

pub mod evidence;
mod matches;

use std::collections::HashSet;
use std::fmt;

use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::update::{FieldName, MatchValue, ModuleName, RecordId};
pub use matches::{LetterCase, LookupRow, MatchIndex, ResolvedMatch, refuse, rows, settle};

/// Values of one query. Zoho's documentation has both 50 and 100.
pub const VALUES_PER_QUERY: usize = 50;

/// Rows of the first page of a query, for one credit. It is nearly always the only page.
pub const FIRST_ROWS: usize = 200;

/// Rows of each further page, for three credits: Zoho's maximum.
pub const MORE_ROWS: usize = 2_000;

/// Rows of one page of a search: Zoho's maximum.
pub const SEARCH_ROWS: usize = 200;

/// Values of one `match` that may go through Search. Each of them is a separate call.
pub const MAX_SEARCHES: usize = 500;

/// The maximum length of a [`Literal`]: that of Zoho's e-mail fields.
const LITERAL_CHARS: usize = 100;

/// The module whose converted records COQL still returns, although they cannot be updated.
const LEADS: &str = "Leads";

/// A text inside a query. It contains only letters, digits, spaces and `@ . _ + - / :`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal(String);

impl Literal {
    /// Returns the value as a literal, if it has no other characters and is not too long.
    pub fn of(value: &MatchValue) -> Option<Self> {
        let text = value.as_str();
        let is_allowed = |char: char| char.is_alphanumeric() || "@._+-/: ".contains(char);
        let short = text.chars().count() <= LITERAL_CHARS;
        (short && text.chars().all(is_allowed)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "'{}'", self.0)
    }
}

/// The field by whose values records are looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupField {
    /// The module.
    pub module: ModuleName,
    /// Its field.
    pub field: FieldName,
}

/// One look-up request to Zoho.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupRequest {
    /// By COQL.
    Query(Query),
    /// By Search.
    Search(Search),
}

/// A look-up of several values by COQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    column: LookupField,
    literals: Vec<Literal>,
    after: Option<RecordId>,
    excludes_converted: bool,
}

/// A look-up of one value by Search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    column: LookupField,
    value: MatchValue,
    page: usize,
}

/// Builds the requests for a field's values. Each is returned with its values, and each value is in one request.
pub fn lookup_requests<'a>(
    column: &LookupField,
    values: impl IntoIterator<Item = &'a MatchValue>,
) -> Vec<(LookupRequest, Vec<&'a MatchValue>)> {
    let mut seen = HashSet::new();
    let distinct = values.into_iter().filter(|value| seen.insert(*value));
    let (mut literals, mut searches) = (Vec::new(), Vec::new());
    for value in distinct {
        match Literal::of(value) {
            Some(literal) => literals.push((value, literal)),
            None => {
                let search = Search {
                    column: column.clone(),
                    value: value.clone(),
                    page: 1,
                };
                searches.push((LookupRequest::Search(search), vec![value]));
            }
        }
    }
    let queries = literals.chunks(VALUES_PER_QUERY).map(|batch| {
        let query = Query {
            column: column.clone(),
            literals: batch.iter().map(|(_, literal)| literal.clone()).collect(),
            after: None,
            excludes_converted: column.module.as_str() == LEADS,
        };
        let values = batch.iter().map(|(value, _)| *value).collect();
        (LookupRequest::Query(query), values)
    });
    queries.chain(searches).collect()
}

/// Whether Zoho refused a query because of its field or module, so that it refuses every other query on that field too.
pub fn concerns_field(refusal: &Refusal) -> bool {
    let message = refusal.message.to_lowercase();
    refusal.cause() == Some(Cause::QueryOperator)
        || message.contains("column given seems to be invalid")
}

/// Whether a value has the form of an e-mail address. Such values are compared without regard to case.
fn is_email(text: &str) -> bool {
    let sides = text.split_once('@');
    sides.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

impl Query {
    /// Returns the field of the look-up.
    pub fn column(&self) -> &LookupField {
        &self.column
    }

    /// Returns the text of the query. Pages continue after the last record's id, because an offset would skip records when
    /// others change between two pages.
    pub fn text(&self) -> String {
        let LookupField { module, field } = &self.column;
        let columns = match field.as_str() {
            "id" => "id".to_owned(),
            field => format!("id, {field}"),
        };
        let literals: Vec<String> = self.literals.iter().map(ToString::to_string).collect();
        let mut condition = format!("{field} in ({})", literals.join(","));
        if self.excludes_converted {
            condition = format!("(({condition}) and (Converted__s = 'false'))");
        }
        let mut rows = FIRST_ROWS;
        if let Some(after) = self.after {
            condition = format!("(({condition}) and (id > '{after}'))");
            rows = MORE_ROWS;
        }
        format!("select {columns} from {module} where {condition} order by id asc limit {rows}")
    }
}

impl Search {
    /// Returns the field of the look-up.
    pub fn column(&self) -> &LookupField {
        &self.column
    }

    /// Returns the URL parameters, not yet encoded.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let field = self.column.field.as_str();
        let value = self.value.as_str();
        let condition = match field {
            "Email" | "Secondary_Email" if is_email(value) => ("email", value.to_owned()),
            _ => {
                let mut escaped = String::with_capacity(value.len());
                for char in value.chars() {
                    if matches!(char, '(' | ')' | ',' | '\\') {
                        escaped.push('\\');
                    }
                    escaped.push(char);
                }
                ("criteria", format!("({field}:equals:{escaped})"))
            }
        };
        vec![
            condition,
            ("fields", format!("id,{field}")),
            // COQL returns records that await approval too. Their update then fails with Zoho's reason.
            ("approved", "both".to_owned()),
            ("page", self.page.to_string()),
            ("per_page", SEARCH_ROWS.to_string()),
        ]
    }
}

impl LookupRequest {
    /// Returns the same request without the condition that excludes converted leads, if it has that condition.
    pub fn with_converted(&self) -> Option<Self> {
        match self {
            Self::Query(query) if query.excludes_converted => Some(Self::Query(Query {
                excludes_converted: false,
                ..query.clone()
            })),
            Self::Query(_) | Self::Search(_) => None,
        }
    }

    /// Returns the request for the page after these rows, or `None` if the rows make no progress.
    pub fn next(self, rows: &[LookupRow]) -> Option<Self> {
        let last = rows.iter().map(|row| row.id).max()?;
        Some(match self {
            Self::Query(query) if query.after.is_some_and(|after| last <= after) => return None,
            Self::Query(query) => Self::Query(Query {
                after: Some(last),
                ..query
            }),
            Self::Search(search) => Self::Search(Search {
                page: search.page + 1,
                ..search
            }),
        })
    }
}

#[cfg(test)]
mod tests;

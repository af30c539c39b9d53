//! Finding records by the value of a field: what Zoho is asked, and which record of its answers belongs to which value.
//! Pure.
//!
//! Zoho is asked by COQL, which is exact and does not lag. Values are put into its queries by [`Literal`] alone, and that
//! type has only characters that mean nothing there: Zoho documents no way to write a quote inside a text. All other
//! values go through Search, where a value is a parameter. Its `equals` is rather a `contains`, and its `email` looks into
//! all e-mail fields, so whichever way a record came, its own value decides.

pub mod evidence;
mod matches;

use std::collections::HashSet;
use std::fmt;

use crate::update::{FieldName, MatchValue, ModuleName, RecordId};
pub use matches::{LookupRow, MatchIndex, ResolvedMatch, refuse, rows, settle};

/// Values of one query. Zoho's own tables say both 50 and 100.
pub const VALUES_PER_QUERY: usize = 50;

/// Rows of a query's first answer, for one credit; nearly always it is the only one.
pub const FIRST_ROWS: usize = 200;

/// Rows of its further answers, for three credits each: the most that Zoho gives.
pub const MORE_ROWS: usize = 2_000;

/// Rows of one page of a search, the most that Zoho gives.
pub const SEARCH_ROWS: usize = 200;

/// Values of one `match` that may go through Search, as each of them is a call of its own.
pub const MAX_SEARCHES: usize = 500;

/// Characters of a [`Literal`]: Zoho's e-mail fields hold no more.
const LITERAL_CHARS: usize = 100;

/// The module whose converted records are still there for COQL, and can never be updated.
const LEADS: &str = "Leads";

/// A text inside a query. It has letters, digits, spaces and `@ . _ + - / :` only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal(String);

impl Literal {
    /// The value as a literal, if it is free of all that might mean something in a query.
    pub fn of(value: &MatchValue) -> Option<Self> {
        let text = value.as_str();
        let harmless = |sign: char| sign.is_alphanumeric() || "@._+-/: ".contains(sign);
        let short = text.chars().count() <= LITERAL_CHARS;
        (short && text.chars().all(harmless)).then(|| Self(text.to_owned()))
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

/// One question to Zoho.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupRequest {
    /// By COQL.
    Query(Query),
    /// By Search.
    Search(Search),
}

/// A question by COQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    column: LookupField,
    literals: Vec<Literal>,
    after: Option<RecordId>,
}

/// A question by Search, about one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    column: LookupField,
    value: MatchValue,
    page: usize,
}

/// The lookup_requests about a field's values, and for each of them the values that it answers for. No value is asked twice.
pub fn lookup_requests<'a>(
    column: &LookupField,
    values: impl IntoIterator<Item = &'a MatchValue>,
) -> Vec<(LookupRequest, Vec<&'a MatchValue>)> {
    let mut seen = HashSet::new();
    let distinct = values.into_iter().filter(|value| seen.insert(*value));
    let (mut plain, mut lookup_requests) = (Vec::new(), Vec::new());
    for value in distinct {
        match Literal::of(value) {
            Some(literal) => plain.push((value, literal)),
            None => {
                let search = Search {
                    column: column.clone(),
                    value: value.clone(),
                    page: 1,
                };
                lookup_requests.push((LookupRequest::Search(search), vec![value]));
            }
        }
    }
    let batches = plain.chunks(VALUES_PER_QUERY).map(|batch| {
        let query = Query {
            column: column.clone(),
            literals: batch.iter().map(|(_, literal)| literal.clone()).collect(),
            after: None,
        };
        let values = batch.iter().map(|(value, _)| *value).collect();
        (LookupRequest::Query(query), values)
    });
    batches.chain(lookup_requests).collect()
}

/// Whether a value looks like an e-mail address, in which case does not count.
fn is_mail(text: &str) -> bool {
    let sides = text.split_once('@');
    sides.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

impl Query {
    /// The field.
    pub fn column(&self) -> &LookupField {
        &self.column
    }

    /// The query's text. It goes on by the last record's id, as an offset would jump when records change meanwhile.
    pub fn text(&self) -> String {
        let LookupField { module, field } = &self.column;
        let columns = match field.as_str() {
            "id" => "id".to_owned(),
            field => format!("id, {field}"),
        };
        let literals: Vec<String> = self.literals.iter().map(ToString::to_string).collect();
        let mut condition = format!("{field} in ({})", literals.join(","));
        if module.as_str() == LEADS {
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
    /// The field.
    pub fn column(&self) -> &LookupField {
        &self.column
    }

    /// The parameters, not yet encoded.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let field = self.column.field.as_str();
        let value = self.value.as_str();
        let wanted = match field {
            "Email" | "Secondary_Email" if is_mail(value) => ("email", value.to_owned()),
            _ => {
                let mut escaped = String::with_capacity(value.len());
                for sign in value.chars() {
                    if matches!(sign, '(' | ')' | ',' | '\\') {
                        escaped.push('\\');
                    }
                    escaped.push(sign);
                }
                ("criteria", format!("({field}:equals:{escaped})"))
            }
        };
        vec![
            wanted,
            ("fields", format!("id,{field}")),
            // As COQL does: that a record is not approved is told of it when it is updated.
            ("approved", "both".to_owned()),
            ("page", self.page.to_string()),
            ("per_page", SEARCH_ROWS.to_string()),
        ]
    }
}

impl LookupRequest {
    /// What to ask after an answer with these rows that is not the last one. None if it leads nowhere.
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

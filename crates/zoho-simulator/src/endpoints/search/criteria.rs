//! The criteria of a search: `((Email:equals:a@example.com)or(City:starts_with:Ber))`. A backslash escapes parentheses,
//! commas and backslashes in a value.

use serde_json::{Value, json};

use crate::endpoint::known;
use crate::org::field::FieldType;
use crate::org::schema::Schema;
use crate::response::{ApiResponse, EndpointResult, reject};

/// The largest number of comparisons in one search, and of values in one `in`.
const MAX_COMPARISONS: usize = 10;
const MAX_VALUES: usize = 100;

/// A condition on the fields of a record.
#[derive(Debug)]
pub(crate) enum Criteria {
    All(Vec<Criteria>),
    Any(Vec<Criteria>),
    Comparison {
        field: &'static str,
        /// Zoho's `equals` on text means `contains`.
        fuzzy: bool,
        operator: CriteriaOperator,
        /// In lower case.
        values: Vec<String>,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CriteriaOperator {
    Equals,
    NotEqual,
    StartsWith,
}

fn invalid<T>(reason: &str) -> EndpointResult<T> {
    reject(ApiResponse::error(
        400,
        "INVALID_QUERY",
        json!({"param_name": "criteria", "reason": reason}),
        "invalid query formed",
    ))
}

impl Criteria {
    /// Parses criteria on the fields of a module.
    pub(crate) fn parse(text: &str, schema: &Schema) -> EndpointResult<Self> {
        let mut parser = CriteriaParser {
            rest: text.trim(),
            schema,
            comparisons: 0,
        };
        let criteria = parser.group()?;
        if !parser.rest.is_empty() {
            return invalid("unbalanced");
        }
        Ok(criteria)
    }

    /// Returns true if a record with these values matches.
    pub(crate) fn matches(&self, value: &dyn Fn(&str) -> Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(value)),
            Self::Any(all) => all.iter().any(|one| one.matches(value)),
            Self::Comparison {
                field,
                fuzzy,
                operator,
                values,
            } => {
                let value = value(field);
                let text = match value.as_str() {
                    Some(text) => text.to_lowercase(),
                    None => value.to_string(),
                };
                values.iter().any(|expected| match operator {
                    CriteriaOperator::Equals if *fuzzy => text.contains(expected),
                    CriteriaOperator::Equals => text == *expected,
                    CriteriaOperator::StartsWith => text.starts_with(expected),
                    CriteriaOperator::NotEqual => text != *expected,
                })
            }
        }
    }
}

struct CriteriaParser<'a> {
    rest: &'a str,
    schema: &'a Schema,
    comparisons: usize,
}

impl CriteriaParser<'_> {
    /// Consumes `word` if it comes next.
    fn consume(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Parses `(…)`, or several of them joined by `and` or by `or`.
    fn group(&mut self) -> EndpointResult<Criteria> {
        let mut all = vec![self.parenthesized()?];
        let word = ["and", "or"].into_iter().find(|word| self.consume(word));
        let Some(word) = word else {
            return Ok(Criteria::All(all));
        };
        loop {
            all.push(self.parenthesized()?);
            if !self.consume(word) {
                break;
            }
        }
        Ok(if word == "and" {
            Criteria::All(all)
        } else {
            Criteria::Any(all)
        })
    }

    fn parenthesized(&mut self) -> EndpointResult<Criteria> {
        if !self.consume("(") {
            return invalid("unbalanced");
        }
        let inner = if self.rest.starts_with('(') {
            self.group()?
        } else {
            self.comparison()?
        };
        if !self.consume(")") {
            return invalid("unbalanced");
        }
        Ok(inner)
    }

    /// Parses `Field:operator:value`, up to the closing parenthesis.
    fn comparison(&mut self) -> EndpointResult<Criteria> {
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            return invalid("too many criteria");
        }
        let mut parts = self.rest.splitn(3, ':');
        let (Some(name), Some(operator), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return invalid("field, operator and value are expected");
        };
        let (mut values, mut value) = (Vec::new(), String::new());
        let mut chars = rest.char_indices();
        self.rest = loop {
            match chars.next() {
                None | Some((_, '(')) => return invalid("unbalanced"),
                Some((_, '\\')) => value.extend(chars.next().map(|(_, char)| char)),
                Some((at, ')')) => break &rest[at..],
                Some((_, ',')) => values.push(std::mem::take(&mut value)),
                Some((_, char)) => value.push(char),
            }
        };
        values.push(value);
        let is_unsimulated = known::is_field(name)
            || operator == "between"
            || operator.starts_with("greater_")
            || operator.starts_with("less_");
        if is_unsimulated {
            let details = json!({"api_name": name, "operator": operator});
            return reject(ApiResponse::not_simulated(details));
        }
        let Some(field) = self.schema.visible_field(name) else {
            return invalid("column given seems to be invalid");
        };
        let (operator, is_list) = match operator {
            "equals" => (CriteriaOperator::Equals, false),
            "not_equal" => (CriteriaOperator::NotEqual, false),
            "starts_with" => (CriteriaOperator::StartsWith, false),
            "in" => (CriteriaOperator::Equals, true),
            _ => return invalid("invalid operator found"),
        };
        if values.len() > if is_list { MAX_VALUES } else { 1 } {
            return invalid("too many values");
        }
        let fuzzy = !is_list
            && matches!(
                field.field_type,
                FieldType::Text
                    | FieldType::Email
                    | FieldType::Phone
                    | FieldType::Website
                    | FieldType::Textarea
            );
        Ok(Criteria::Comparison {
            field: field.name,
            fuzzy,
            operator,
            values: values.iter().map(|value| value.to_lowercase()).collect(),
        })
    }
}

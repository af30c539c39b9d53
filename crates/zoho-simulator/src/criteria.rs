//! The criteria of a search: `((Email:equals:a@example.com)or(City:starts_with:Ber))`. In a value parentheses, commas and
//! backslashes are escaped with a backslash.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::fields::Kind;
use crate::schema::Schema;

/// Criteria of one search, and values of one `in`.
const MOST: usize = 10;
const MOST_VALUES: usize = 100;

/// What a record must be like.
#[derive(Debug)]
pub(crate) enum Criteria {
    All(Vec<Criteria>),
    Any(Vec<Criteria>),
    One {
        field: &'static str,
        /// Zoho's `equals` on text is rather `contains`.
        fuzzy: bool,
        operator: Operator,
        /// In lower case.
        values: Vec<String>,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    NotEqual,
    StartsWith,
}

fn invalid<T>(reason: &str) -> Checked<T> {
    refuse(Answer::error(
        400,
        "INVALID_QUERY",
        json!({"param_name": "criteria", "reason": reason}),
        "invalid query formed",
    ))
}

impl Criteria {
    /// Reads criteria about the fields of a module.
    pub(crate) fn parse(text: &str, schema: &Schema) -> Checked<Self> {
        let mut reader = Reader {
            rest: text.trim(),
            schema,
            read: 0,
        };
        let criteria = reader.group()?;
        if !reader.rest.is_empty() {
            return invalid("unbalanced");
        }
        Ok(criteria)
    }

    /// Whether they hold for a record with these values.
    pub(crate) fn hold(&self, value: &dyn Fn(&str) -> Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.hold(value)),
            Self::Any(all) => all.iter().any(|one| one.hold(value)),
            Self::One {
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
                values.iter().any(|wanted| match operator {
                    Operator::Equals if *fuzzy => text.contains(wanted),
                    Operator::Equals => text == *wanted,
                    Operator::StartsWith => text.starts_with(wanted),
                    Operator::NotEqual => text != *wanted,
                })
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    schema: &'a Schema,
    read: usize,
}

impl Reader<'_> {
    fn eat(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `(…)`, joined to others by one of `and` and `or`.
    fn group(&mut self) -> Checked<Criteria> {
        let mut all = vec![self.bracket()?];
        let word = ["and", "or"].into_iter().find(|word| self.eat(word));
        let Some(word) = word else {
            return Ok(Criteria::All(all));
        };
        loop {
            all.push(self.bracket()?);
            if !self.eat(word) {
                break;
            }
        }
        Ok(if word == "and" {
            Criteria::All(all)
        } else {
            Criteria::Any(all)
        })
    }

    fn bracket(&mut self) -> Checked<Criteria> {
        if !self.eat("(") {
            return invalid("unbalanced");
        }
        let inner = if self.rest.starts_with('(') {
            self.group()?
        } else {
            self.one()?
        };
        if !self.eat(")") {
            return invalid("unbalanced");
        }
        Ok(inner)
    }

    /// `Field:operator:value`, up to the closing parenthesis.
    fn one(&mut self) -> Checked<Criteria> {
        self.read += 1;
        if self.read > MOST {
            return invalid("too many criteria");
        }
        let mut parts = self.rest.splitn(3, ':');
        let (Some(name), Some(operator), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return invalid("field, operator and value are expected");
        };
        let (mut values, mut value) = (Vec::new(), String::new());
        let mut signs = rest.char_indices();
        self.rest = loop {
            match signs.next() {
                None | Some((_, '(')) => return invalid("unbalanced"),
                Some((_, '\\')) => value.extend(signs.next().map(|(_, sign)| sign)),
                Some((at, ')')) => break &rest[at..],
                Some((_, ',')) => values.push(std::mem::take(&mut value)),
                Some((_, sign)) => value.push(sign),
            }
        };
        values.push(value);
        let Some(field) = self.schema.field(name) else {
            return invalid("column given seems to be invalid");
        };
        let (operator, list) = match operator {
            "equals" => (Operator::Equals, false),
            "not_equal" => (Operator::NotEqual, false),
            "starts_with" => (Operator::StartsWith, false),
            "in" => (Operator::Equals, true),
            _ => return invalid("invalid operator found"),
        };
        if values.len() > if list { MOST_VALUES } else { 1 } {
            return invalid("too many values");
        }
        let fuzzy = !list
            && matches!(
                field.kind,
                Kind::Text | Kind::Email | Kind::Phone | Kind::Website | Kind::Textarea
            );
        Ok(Criteria::One {
            field: field.name,
            fuzzy,
            operator,
            values: values.iter().map(|value| value.to_lowercase()).collect(),
        })
    }
}

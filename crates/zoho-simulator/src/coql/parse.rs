//! Reading a query.
//!
//! `select FIELDS | COUNT(id) from MODULE[#VIEW] where CONDITION [order by FIELD [asc|desc]] [limit N [offset M]]`, where
//! a condition is any `and`, `or` and parentheses around `=`, `!=`, `<`, `<=`, `>`, `>=`, `[not] in (…)`,
//! `between … and …`, `like '…'` and `is [not] null`. A quote ends a text: Zoho documents no way to write one inside.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::vec;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::fields::Kind;

/// Rows unless the query says otherwise.
const ROWS: usize = 200;

/// A query, read but not yet checked against the module.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) columns: Vec<String>,
    pub(crate) count: bool,
    pub(crate) module: String,
    pub(crate) view: Option<String>,
    pub(crate) condition: Condition,
    /// The field, and whether it descends.
    pub(crate) order: Option<(String, bool)>,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

/// What must be so of a record.
#[derive(Debug)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    One(String, Operator),
}

/// What is asked of one field. Texts are in lower case.
#[derive(Debug)]
pub(crate) enum Operator {
    Null(bool),
    /// Equal to one of these, or with `true` to none.
    In(BTreeSet<String>, bool),
    Less(String),
    AtMost(String),
    More(String),
    AtLeast(String),
    Like(String),
}

impl Operator {
    /// Whether a field of this type can be asked so. Nothing is known of multi-line texts but whether there is one.
    pub(crate) fn suits(&self, kind: Kind) -> bool {
        match self {
            Self::Null(_) => true,
            Self::In(..) => kind != Kind::Textarea,
            Self::Less(_) | Self::AtMost(_) | Self::More(_) | Self::AtLeast(_) => matches!(
                kind,
                Kind::BigInt
                    | Kind::Integer
                    | Kind::Currency
                    | Kind::Percent
                    | Kind::Date
                    | Kind::DateTime
            ),
            Self::Like(_) => matches!(
                kind,
                Kind::Text | Kind::Email | Kind::Phone | Kind::Website | Kind::Picklist
            ),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null(_) => "is null",
            Self::In(..) => "in",
            Self::Less(_) => "<",
            Self::AtMost(_) => "<=",
            Self::More(_) => ">",
            Self::AtLeast(_) => ">=",
            Self::Like(_) => "like",
        }
    }
}

impl Condition {
    /// Every comparison in it.
    pub(crate) fn comparisons(&self) -> Vec<(&str, &Operator)> {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().flat_map(Self::comparisons).collect(),
            Self::One(field, operator) => vec![(field, operator)],
        }
    }
}

impl Query {
    /// Reads a query.
    pub(crate) fn parse(text: &str) -> Checked<Self> {
        Parser::new(text)?.query()
    }
}

/// A word, a quoted text, or a sign; and where it begins, counted from 1.
#[derive(Debug)]
struct Token {
    text: String,
    column: usize,
}

impl Token {
    fn quoted(&self) -> bool {
        self.text.starts_with('\'')
    }
}

struct Parser {
    tokens: Peekable<vec::IntoIter<Token>>,
    end: usize,
}

fn syntax<T>(details: Value) -> Checked<T> {
    refuse(Answer::error(
        400,
        "SYNTAX_ERROR",
        details,
        "error occurred while parsing the query",
    ))
}

fn near<T>(token: &Token) -> Checked<T> {
    syntax(json!({"line": 1, "column": token.column, "near": token.text}))
}

impl Parser {
    fn new(text: &str) -> Checked<Self> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let column = text.len() - rest.len() + 1;
            let two = ["<=", ">=", "!="].iter().any(|sign| rest.starts_with(sign));
            let length = match first {
                '\'' => match rest[1..].find('\'') {
                    Some(at) => at + 2,
                    None => {
                        let text = rest.to_owned();
                        return near(&Token { text, column });
                    }
                },
                _ if two => 2,
                '(' | ')' | ',' | '=' | '<' | '>' | '#' => 1,
                _ => {
                    let ends = |sign: char| sign.is_whitespace() || "(),=<>!#'".contains(sign);
                    match rest.find(ends) {
                        Some(0) => first.len_utf8(),
                        Some(at) => at,
                        None => rest.len(),
                    }
                }
            };
            let text = rest[..length].to_owned();
            tokens.push(Token { text, column });
            rest = rest[length..].trim_start();
        }
        Ok(Self {
            tokens: tokens.into_iter().peekable(),
            end: text.len() + 1,
        })
    }

    fn next(&mut self) -> Checked<Token> {
        match self.tokens.next() {
            Some(token) => Ok(token),
            None => near(&self.end_of_query()),
        }
    }

    fn end_of_query(&self) -> Token {
        Token {
            text: "end of query".to_owned(),
            column: self.end,
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        self.tokens
            .next_if(|token| token.text.eq_ignore_ascii_case(word))
            .is_some()
    }

    fn must(&mut self, word: &str) -> Checked<()> {
        if self.eat(word) {
            return Ok(());
        }
        near(&self.next()?)
    }

    /// A clause that must begin here.
    fn clause(&mut self, word: &'static str) -> Checked<()> {
        if self.eat(word) {
            return Ok(());
        }
        syntax(json!({"clause": word}))
    }

    /// The name of a field or a module.
    fn name(&mut self) -> Checked<String> {
        let token = self.next()?;
        let named = |sign: char| sign.is_alphanumeric() || "_.*$".contains(sign);
        if token.text.chars().all(named) {
            return Ok(token.text);
        }
        near(&token)
    }

    fn number(&mut self) -> Checked<usize> {
        let token = self.next()?;
        match token.text.parse() {
            Ok(number) => Ok(number),
            Err(_) => near(&token),
        }
    }

    /// A value without its quotes, in lower case. Without quotes there are numbers and truth values only.
    fn value(&mut self) -> Checked<String> {
        let token = self.next()?;
        let bare = token.text.parse::<f64>().is_ok()
            || matches!(token.text.to_lowercase().as_str(), "true" | "false");
        if token.quoted() {
            Ok(token.text[1..token.text.len() - 1].to_lowercase())
        } else if bare {
            Ok(token.text.to_lowercase())
        } else {
            near(&token)
        }
    }

    fn query(mut self) -> Checked<Query> {
        self.clause("select")?;
        let (mut columns, mut count) = (Vec::new(), false);
        loop {
            if self.eat("count") {
                self.must("(")?;
                self.must("id")?;
                self.must(")")?;
                count = true;
            } else {
                columns.push(self.name()?);
            }
            if !self.eat(",") {
                break;
            }
        }
        self.clause("from")?;
        let module = self.name()?;
        let view = if self.eat("#") {
            Some(self.name()?)
        } else {
            None
        };
        // Compulsory: `where id is not null` selects everything.
        self.clause("where")?;
        let condition = self.any()?;
        let order = if self.eat("order") {
            self.must("by")?;
            let field = self.name()?;
            let descending = self.eat("desc");
            if !descending {
                self.eat("asc");
            }
            Some((field, descending))
        } else {
            None
        };
        let (mut limit, mut offset) = (ROWS, 0);
        if self.eat("limit") {
            limit = self.number()?;
            if self.eat(",") {
                offset = limit;
                limit = self.number()?;
            } else if self.eat("offset") {
                offset = self.number()?;
            }
        }
        match self.tokens.next() {
            Some(left) => near(&left),
            None => Ok(Query {
                columns,
                count,
                module,
                view,
                condition,
                order,
                limit,
                offset,
            }),
        }
    }

    fn any(&mut self) -> Checked<Condition> {
        let mut conditions = vec![self.all()?];
        while self.eat("or") {
            conditions.push(self.all()?);
        }
        Ok(Condition::Any(conditions))
    }

    fn all(&mut self) -> Checked<Condition> {
        let mut conditions = vec![self.one()?];
        while self.eat("and") {
            conditions.push(self.one()?);
        }
        Ok(Condition::All(conditions))
    }

    fn one(&mut self) -> Checked<Condition> {
        if self.eat("(") {
            let inner = self.any()?;
            self.must(")")?;
            return Ok(inner);
        }
        let field = self.name()?;
        let operator = self.operator(&field)?;
        Ok(match operator {
            Compared::With(operator) => Condition::One(field, operator),
            Compared::Between(from, to) => Condition::All(vec![
                Condition::One(field.clone(), Operator::AtLeast(from)),
                Condition::One(field, Operator::AtMost(to)),
            ]),
        })
    }

    fn operator(&mut self, field: &str) -> Checked<Compared> {
        let negated = self.eat("not");
        let token = self.next()?;
        let sign = token.text.to_lowercase();
        let operator = match (sign.as_str(), negated) {
            ("in", _) => {
                self.must("(")?;
                let mut values = BTreeSet::from([self.value()?]);
                while self.eat(",") {
                    values.insert(self.value()?);
                }
                self.must(")")?;
                Operator::In(values, negated)
            }
            ("is", false) => {
                let null = !self.eat("not");
                self.must("null")?;
                Operator::Null(null)
            }
            ("between", false) => {
                let from = self.value()?;
                self.must("and")?;
                return Ok(Compared::Between(from, self.value()?));
            }
            ("=", false) => Operator::In(BTreeSet::from([self.value()?]), false),
            ("!=", false) => Operator::In(BTreeSet::from([self.value()?]), true),
            ("<", false) => Operator::Less(self.value()?),
            ("<=", false) => Operator::AtMost(self.value()?),
            (">", false) => Operator::More(self.value()?),
            (">=", false) => Operator::AtLeast(self.value()?),
            ("like", false) => Operator::Like(self.value()?),
            _ => return syntax(json!({"operator": token.text, "column_name": field})),
        };
        Ok(Compared::With(operator))
    }
}

/// What a comparison says; `between` says two things.
enum Compared {
    With(Operator),
    Between(String, String),
}

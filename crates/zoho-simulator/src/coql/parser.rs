//! The COQL parser.
//!
//! `select FIELDS | COUNT(id) from MODULE[#VIEW] where CONDITION [order by FIELD [asc|desc]] [limit N [offset M]]`, where
//! a condition combines comparisons with `and`, `or` and parentheses: `=`, `!=`, `<`, `<=`, `>`, `>=`, `[not] in (…)`,
//! `between … and …`, `like '…'` and `is [not] null`. Strings cannot contain a quote, because Zoho
//! documents no escape for it. What Zoho has besides (other aggregates, `group by`, aliases, joins, `not like`, `not between`,
//! an order of several fields) is not simulated.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::vec;

use serde_json::{Value, json};

use crate::coql::{CoqlCondition, CoqlOperator, CoqlQuery};
use crate::response::{ApiResponse, EndpointResult, reject};

/// Zoho's functions of several rows, of which the simulator has `COUNT(id)`.
const AGGREGATES: [&str; 5] = ["avg", "count", "max", "min", "sum"];

/// The rows of a query without `limit`.
const DEFAULT_LIMIT: usize = 200;

impl CoqlQuery {
    /// Parses a query.
    pub(crate) fn parse(text: &str) -> EndpointResult<Self> {
        Parser::new(text)?.query()
    }
}

/// A word, a quoted string or a symbol, with its column counted from 1.
#[derive(Debug)]
struct Token {
    text: String,
    column: usize,
}

impl Token {
    fn is_quoted(&self) -> bool {
        self.text.starts_with('\'')
    }
}

struct Parser {
    tokens: Peekable<vec::IntoIter<Token>>,
    /// The column after the last character.
    end: usize,
}

fn syntax_error<T>(details: Value) -> EndpointResult<T> {
    reject(ApiResponse::error(
        400,
        "SYNTAX_ERROR",
        details,
        "error occurred while parsing the query",
    ))
}

/// Rejects the query at a word that Zoho knows and the simulator does not.
fn not_simulated<T>(token: &Token) -> EndpointResult<T> {
    let details = json!({"line": 1, "column": token.column, "near": token.text});
    reject(ApiResponse::not_simulated(details))
}

/// Rejects the query at this token.
fn unexpected<T>(token: &Token) -> EndpointResult<T> {
    syntax_error(json!({"line": 1, "column": token.column, "near": token.text}))
}

impl Parser {
    fn new(text: &str) -> EndpointResult<Self> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let column = text.len() - rest.len() + 1;
            let is_two_chars = ["<=", ">=", "!="]
                .iter()
                .any(|symbol| rest.starts_with(symbol));
            let length = match first {
                '\'' => match rest[1..].find('\'') {
                    Some(at) => at + 2,
                    None => {
                        let text = rest.to_owned();
                        return unexpected(&Token { text, column });
                    }
                },
                _ if is_two_chars => 2,
                '(' | ')' | ',' | '=' | '<' | '>' | '#' => 1,
                _ => {
                    let ends_word = |char: char| char.is_whitespace() || "(),=<>!#'".contains(char);
                    match rest.find(ends_word) {
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

    fn next(&mut self) -> EndpointResult<Token> {
        match self.tokens.next() {
            Some(token) => Ok(token),
            None => unexpected(&self.end_of_query()),
        }
    }

    fn end_of_query(&self) -> Token {
        Token {
            text: "end of query".to_owned(),
            column: self.end,
        }
    }

    /// Consumes `word` if it is the next token.
    fn consume(&mut self, word: &str) -> bool {
        self.tokens
            .next_if(|token| token.text.eq_ignore_ascii_case(word))
            .is_some()
    }

    fn expect(&mut self, word: &str) -> EndpointResult<()> {
        if self.consume(word) {
            return Ok(());
        }
        unexpected(&self.next()?)
    }

    /// Consumes the keyword of a mandatory clause.
    fn clause(&mut self, word: &'static str) -> EndpointResult<()> {
        if self.consume(word) {
            return Ok(());
        }
        syntax_error(json!({"clause": word}))
    }

    /// Parses the name of a field, a module or a view.
    fn name(&mut self) -> EndpointResult<String> {
        Ok(self.next_name()?.text)
    }

    fn next_name(&mut self) -> EndpointResult<Token> {
        let token = self.next()?;
        let is_name_char = |char: char| char.is_alphanumeric() || "_.*$".contains(char);
        if token.text.chars().all(is_name_char) {
            return Ok(token);
        }
        unexpected(&token)
    }

    /// Rejects the query if one of these words is the next token.
    fn refuse_unsimulated(&mut self, words: &[&str]) -> EndpointResult<()> {
        let is_word = |token: &&Token| {
            words
                .iter()
                .any(|word| token.text.eq_ignore_ascii_case(word))
        };
        match self.tokens.peek().filter(is_word) {
            Some(token) => not_simulated(token),
            None => Ok(()),
        }
    }

    fn number(&mut self) -> EndpointResult<usize> {
        let token = self.next()?;
        match token.text.parse() {
            Ok(number) => Ok(number),
            Err(_) => unexpected(&token),
        }
    }

    /// Parses a value, and returns it without quotes and in lower case. Only numbers and booleans may be unquoted.
    fn value(&mut self) -> EndpointResult<String> {
        let token = self.next()?;
        let is_literal = token.text.parse::<f64>().is_ok()
            || matches!(token.text.to_lowercase().as_str(), "true" | "false");
        if token.is_quoted() {
            Ok(token.text[1..token.text.len() - 1].to_lowercase())
        } else if is_literal {
            Ok(token.text.to_lowercase())
        } else {
            unexpected(&token)
        }
    }

    fn query(mut self) -> EndpointResult<CoqlQuery> {
        self.clause("select")?;
        let (columns, count) = self.columns()?;
        self.clause("from")?;
        let module = self.name()?;
        let view = match self.consume("#") {
            true => Some(self.name()?),
            false => None,
        };
        // Mandatory: `where id is not null` selects all records.
        self.clause("where")?;
        let condition = self.or_condition()?;
        self.refuse_unsimulated(&["group", "having"])?;
        let order = self.order()?;
        let (limit, offset) = self.limit_and_offset()?;
        match self.tokens.next() {
            Some(token) => unexpected(&token),
            None => Ok(CoqlQuery {
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

    /// Parses the columns, and whether `COUNT(id)` is one of them.
    fn columns(&mut self) -> EndpointResult<(Vec<String>, bool)> {
        let (mut columns, mut count) = (Vec::new(), false);
        loop {
            let token = self.next_name()?;
            let is_aggregate = AGGREGATES.contains(&token.text.to_lowercase().as_str());
            if !(is_aggregate && self.consume("(")) {
                columns.push(token.text);
            } else if token.text.eq_ignore_ascii_case("count") && self.consume("id") {
                self.expect(")")?;
                count = true;
            } else {
                return not_simulated(&token);
            }
            self.refuse_unsimulated(&["as"])?;
            if self.consume(",") {
                continue;
            }
            // A count beside columns needs groups.
            return match self.tokens.peek() {
                Some(token) if count && !columns.is_empty() => not_simulated(token),
                Some(_) | None => Ok((columns, count)),
            };
        }
    }

    fn order(&mut self) -> EndpointResult<Option<(String, bool)>> {
        if !self.consume("order") {
            return Ok(None);
        }
        self.expect("by")?;
        let field = self.name()?;
        let descending = self.consume("desc");
        if !descending {
            self.consume("asc");
        }
        self.refuse_unsimulated(&[","])?;
        Ok(Some((field, descending)))
    }

    /// Parses `limit N`, `limit N offset M` or `limit M, N`.
    fn limit_and_offset(&mut self) -> EndpointResult<(usize, usize)> {
        if !self.consume("limit") {
            return Ok((DEFAULT_LIMIT, 0));
        }
        let first = self.number()?;
        if self.consume(",") {
            Ok((self.number()?, first))
        } else if self.consume("offset") {
            Ok((first, self.number()?))
        } else {
            Ok((first, 0))
        }
    }

    fn or_condition(&mut self) -> EndpointResult<CoqlCondition> {
        let mut conditions = vec![self.and_condition()?];
        while self.consume("or") {
            conditions.push(self.and_condition()?);
        }
        Ok(CoqlCondition::Any(conditions))
    }

    fn and_condition(&mut self) -> EndpointResult<CoqlCondition> {
        let mut conditions = vec![self.comparison()?];
        while self.consume("and") {
            conditions.push(self.comparison()?);
        }
        Ok(CoqlCondition::All(conditions))
    }

    fn comparison(&mut self) -> EndpointResult<CoqlCondition> {
        if self.consume("(") {
            let inner = self.or_condition()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let field = self.name()?;
        let operator = self.operator(&field)?;
        Ok(match operator {
            ParsedOperator::Single(operator) => CoqlCondition::Comparison(field, operator),
            ParsedOperator::Between(from, to) => CoqlCondition::All(vec![
                CoqlCondition::Comparison(field.clone(), CoqlOperator::GreaterOrEqual(from)),
                CoqlCondition::Comparison(field, CoqlOperator::LessOrEqual(to)),
            ]),
        })
    }

    fn operator(&mut self, field: &str) -> EndpointResult<ParsedOperator> {
        let negated = self.consume("not");
        if negated {
            self.refuse_unsimulated(&["like", "between"])?;
        }
        let token = self.next()?;
        let word = token.text.to_lowercase();
        let operator = match (word.as_str(), negated) {
            ("in", _) => {
                self.expect("(")?;
                let mut values = BTreeSet::from([self.value()?]);
                while self.consume(",") {
                    values.insert(self.value()?);
                }
                self.expect(")")?;
                CoqlOperator::In(values, negated)
            }
            ("is", false) => {
                let null = !self.consume("not");
                self.expect("null")?;
                CoqlOperator::Null(null)
            }
            ("between", false) => {
                let from = self.value()?;
                self.expect("and")?;
                return Ok(ParsedOperator::Between(from, self.value()?));
            }
            ("=", false) => CoqlOperator::In(BTreeSet::from([self.value()?]), false),
            ("!=", false) => CoqlOperator::In(BTreeSet::from([self.value()?]), true),
            ("<", false) => CoqlOperator::Less(self.value()?),
            ("<=", false) => CoqlOperator::LessOrEqual(self.value()?),
            (">", false) => CoqlOperator::Greater(self.value()?),
            (">=", false) => CoqlOperator::GreaterOrEqual(self.value()?),
            ("like", false) => CoqlOperator::Like(self.value()?),
            _ => return syntax_error(json!({"operator": token.text, "column_name": field})),
        };
        Ok(ParsedOperator::Single(operator))
    }
}

/// A parsed operator. `between` stands for two comparisons.
enum ParsedOperator {
    Single(CoqlOperator),
    Between(String, String),
}

//! `POST coql`: the subset of Zoho's query language that a look-up of ids needs.
//!
//! `select FIELDS | COUNT(id) from MODULE[#VIEW] where CONDITION [and CONDITION …] [limit N [offset M]]`, where a
//! condition is `FIELD = 'x'`, `FIELD in ('x', 'y')`, `FIELD is not null`, `FIELD is null` or, for ids, `id > 'x'`, in
//! any parentheses.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::Need;
use super::records;
use super::state::State;
use super::world::Module;

/// Values that `in` takes since v7.
const MOST_VALUES: usize = 100;
/// Conditions of one query.
const MOST_CONDITIONS: usize = 25;
/// Rows unless the query says otherwise, and the most that it may say.
const ROWS: (u64, u64) = (200, 2000);

enum Condition {
    In(String, Vec<String>),
    Null(String, bool),
    After(u64),
}

struct Query {
    columns: Vec<String>,
    count: bool,
    module: String,
    view: Option<String>,
    conditions: Vec<Condition>,
    limit: u64,
    offset: u64,
}

type Parsed<T> = Result<T, Box<Answer>>;

/// Answers a query.
pub(super) fn serve(state: &State, body: &[u8], scopes: &[String]) -> Answer {
    run(state, body, scopes).unwrap_or_else(|refusal| *refusal)
}

fn run(state: &State, body: &[u8], scopes: &[String]) -> Parsed<Answer> {
    let body = records::object(body)?;
    let Some(text) = body.get("select_query").and_then(Value::as_str) else {
        return Err(Box::new(Answer::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "select_query"}),
            "required field not found",
        )));
    };
    let query = Parser::new(text)?.query()?;
    let Some(module) = state.world.module(&query.module) else {
        return Err(Box::new(records::invalid_module()));
    };
    if let Some(refusal) = state.refuse_scope(vec![Need::to_read(&query.module)], scopes) {
        return Err(Box::new(refusal));
    }
    for column in query.named() {
        if column != "id" && module.schema.field(column).is_none() {
            let details = json!({"column_name": column});
            return Err(Box::new(Answer::error(
                400,
                "INVALID_QUERY",
                details,
                "column given seems to be invalid",
            )));
        }
    }
    let view = match &query.view {
        None => None,
        Some(id) => match module.views.iter().find(|view| view.id.to_string() == *id) {
            Some(view) => Some(view),
            None => return Err(Box::new(records::invalid_module())),
        },
    };
    let found: Vec<u64> = (0..module.records)
        .filter(|place| view.is_none_or(|view| view.holds(|field| module.value(*place, field))))
        .filter(|place| {
            query
                .conditions
                .iter()
                .all(|condition| condition.holds(module, *place))
        })
        .collect();
    Ok(query.answer(module, &found))
}

impl Query {
    fn named(&self) -> impl Iterator<Item = &str> {
        let conditions = self.conditions.iter().map(|condition| match condition {
            Condition::In(field, _) | Condition::Null(field, _) => field.as_str(),
            Condition::After(_) => "id",
        });
        self.columns.iter().map(String::as_str).chain(conditions)
    }

    fn answer(&self, module: &Module, found: &[u64]) -> Answer {
        if self.count {
            let info = json!({"count": 1, "more_records": false});
            return Answer::json(
                200,
                json!({"data": [{"COUNT(id)": found.len()}], "info": info}),
            );
        }
        let rows: Vec<Value> = found
            .iter()
            .skip(self.offset as usize)
            .take(self.limit as usize)
            .map(|place| {
                let mut row: Map<String, Value> = self
                    .columns
                    .iter()
                    .map(|column| (column.clone(), module.value(*place, column)))
                    .collect();
                row.insert("id".to_owned(), json!(module.id(*place)));
                Value::Object(row)
            })
            .collect();
        if rows.is_empty() {
            return Answer::empty(204);
        }
        let more = found.len() > self.offset as usize + rows.len();
        let info = json!({"count": rows.len(), "more_records": more});
        Answer::json(200, json!({"data": rows, "info": info}))
    }
}

impl Condition {
    fn holds(&self, module: &Module, place: u64) -> bool {
        let value = |field: &str| match field {
            "id" => json!(module.id(place)),
            _ => module.value(place, field),
        };
        match self {
            Self::In(field, wanted) => {
                let value = value(field);
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                wanted
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(&text))
            }
            Self::Null(field, null) => value(field).is_null() == *null,
            Self::After(id) => module.schema.first_id + place > *id,
        }
    }
}

/// Words, quoted values and signs of a query, read one by one.
struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<String>>,
    open: usize,
}

fn syntax(near: &str) -> Box<Answer> {
    let details = json!({"line": 1, "column": 1, "near": near});
    Box::new(Answer::error(
        400,
        "SYNTAX_ERROR",
        details,
        "error occurred while parsing the query",
    ))
}

impl Parser {
    fn new(text: &str) -> Parsed<Self> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' => 2 + rest[1..].find('\'').ok_or_else(|| syntax(rest))?,
                '(' | ')' | ',' | '=' | '>' | '#' => 1,
                _ => {
                    let word = |sign: char| sign.is_whitespace() || "(),=>#'".contains(sign);
                    rest.find(word).unwrap_or(rest.len())
                }
            };
            tokens.push(rest[..length].to_owned());
            rest = rest[length..].trim_start();
        }
        Ok(Self {
            tokens: tokens.into_iter().peekable(),
            open: 0,
        })
    }

    fn next(&mut self) -> Parsed<String> {
        self.tokens.next().ok_or_else(|| syntax("end of query"))
    }

    fn eat(&mut self, word: &str) -> bool {
        self.tokens
            .next_if(|token| token.eq_ignore_ascii_case(word))
            .is_some()
    }

    fn must(&mut self, word: &str) -> Parsed<()> {
        if self.eat(word) {
            return Ok(());
        }
        Err(syntax(
            self.tokens.peek().map_or("end of query", String::as_str),
        ))
    }

    fn number(&mut self) -> Parsed<u64> {
        let token = self.next()?;
        token.parse().map_err(|_| syntax(&token))
    }

    /// A value, without its quotes.
    fn value(&mut self) -> Parsed<String> {
        Ok(self.next()?.trim_matches('\'').to_owned())
    }

    fn query(mut self) -> Parsed<Query> {
        self.must("select")?;
        let (mut columns, mut count) = (Vec::new(), false);
        loop {
            if self.eat("count") {
                self.must("(")?;
                self.must("id")?;
                self.must(")")?;
                count = true;
            } else {
                columns.push(self.next()?);
            }
            if !self.eat(",") {
                break;
            }
        }
        self.must("from")?;
        let module = self.next()?;
        let view = if self.eat("#") {
            Some(self.next()?)
        } else {
            None
        };
        // Compulsory: `where id is not null` selects everything.
        self.must("where")?;
        let mut conditions = Vec::new();
        loop {
            while self.eat("(") {
                self.open += 1;
            }
            conditions.push(self.condition()?);
            while self.open > 0 && self.eat(")") {
                self.open -= 1;
            }
            if !self.eat("and") {
                break;
            }
        }
        if conditions.len() > MOST_CONDITIONS {
            return Err(too_many("criteria", MOST_CONDITIONS));
        }
        let (mut limit, mut offset) = (ROWS.0, 0);
        if self.eat("limit") {
            limit = self.number()?;
            if self.eat(",") {
                offset = limit;
                limit = self.number()?;
            } else if self.eat("offset") {
                offset = self.number()?;
            }
        }
        if limit > ROWS.1 {
            return Err(too_many("limit", ROWS.1 as usize));
        }
        if self.open > 0 || self.tokens.peek().is_some() {
            return Err(syntax(self.tokens.peek().map_or("(", String::as_str)));
        }
        Ok(Query {
            columns,
            count,
            module,
            view,
            conditions,
            limit,
            offset,
        })
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let field = self.next()?;
        if self.eat("=") {
            return Ok(Condition::In(field, vec![self.value()?]));
        }
        if self.eat(">") && field == "id" {
            let after = self.value()?;
            return after
                .parse()
                .map(Condition::After)
                .map_err(|_| syntax(&after));
        }
        if self.eat("is") {
            let null = !self.eat("not");
            self.must("null")?;
            return Ok(Condition::Null(field, null));
        }
        self.must("in")?;
        self.must("(")?;
        let mut wanted = vec![self.value()?];
        while self.eat(",") {
            wanted.push(self.value()?);
        }
        self.must(")")?;
        if wanted.len() > MOST_VALUES {
            return Err(too_many("in", MOST_VALUES));
        }
        Ok(Condition::In(field, wanted))
    }
}

fn too_many(what: &str, limit: usize) -> Box<Answer> {
    Box::new(Answer::error(
        400,
        "LIMIT_EXCEEDED",
        json!({"by": what, "limit": limit}),
        "limit exceeded",
    ))
}

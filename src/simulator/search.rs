//! `GET {module}/search`: fuzzy and lagging, as Zoho documents it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::Answer;
use super::fields::Kind;
use super::records;
use super::seeds::Condition;
use super::state::{Request, State};
use super::world::Module;

/// Records of one page.
const PAGE: usize = 200;

/// What is searched for.
enum Wanted<'a> {
    /// A field that contains a value: Zoho's `equals` on text behaves like that.
    Field(&'a str, String),
    /// Any field of this type with exactly this value.
    Kind(Kind, &'a str),
    /// Any field that contains the word.
    Word(String),
}

/// Answers a search.
pub(super) fn serve(state: &State, request: &Request, module: &str, now: Timestamp) -> Answer {
    let Some(module) = state.world.module(module) else {
        return records::invalid_module();
    };
    let given = |name| request.parameter(name).filter(|value| !value.is_empty());
    let wanted = if let Some(criteria) = given("criteria") {
        match parse(criteria) {
            Some(wanted) => wanted,
            None => {
                let details = json!({"param_name": "criteria"});
                return Answer::error(400, "INVALID_QUERY", details, "invalid query formed");
            }
        }
    } else if let Some(email) = given("email") {
        Wanted::Kind(Kind::Email, email)
    } else if let Some(phone) = given("phone") {
        Wanted::Kind(Kind::Phone, phone)
    } else if let Some(word) = given("word") {
        Wanted::Word(word.to_lowercase())
    } else {
        return Answer::error(
            400,
            "EXPECTED_PARAM_MISSING",
            json!({"param_names": ["criteria", "email", "phone", "word"]}),
            "One of the expected parameter is missing",
        );
    };
    let number =
        |name, default| given(name).map_or(Some(default), |text| text.parse::<usize>().ok());
    let (Some(page @ 1..), Some(per_page @ 1..=PAGE)) =
        (number("page", 1), number("per_page", PAGE))
    else {
        return Answer::error(
            400,
            "INVALID_DATA",
            json!({"param_name": "page"}),
            "invalid data",
        );
    };
    let lag =
        SignedDuration::from_secs(i64::try_from(state.faults.search_lag_s).unwrap_or(i64::MAX));
    let found: Vec<u64> = (0..module.records)
        .filter(|place| {
            !matches!(
                module.condition(*place),
                Condition::Converted | Condition::NotApproved
            )
        })
        .filter(|place| lag.is_zero() || now.duration_since(module.modified(*place)) >= lag)
        .filter(|place| wanted.holds(module, *place))
        .collect();
    let skipped = page.saturating_sub(1).saturating_mul(per_page);
    let data: Vec<Value> = found
        .iter()
        .skip(skipped)
        .take(per_page)
        .map(|place| module.record(*place))
        .collect();
    if data.is_empty() {
        return Answer::empty(204);
    }
    let more = found.len() > skipped + data.len();
    let info =
        json!({"per_page": per_page, "count": data.len(), "page": page, "more_records": more});
    Answer::json(200, json!({"data": data, "info": info}))
}

impl Wanted<'_> {
    fn holds(&self, module: &Module, place: u64) -> bool {
        let text = |name: &str| {
            module
                .value(place, name)
                .as_str()
                .unwrap_or_default()
                .to_lowercase()
        };
        match self {
            Self::Field(name, value) => text(name).contains(value.as_str()),
            Self::Kind(kind, value) => module
                .schema
                .fields
                .iter()
                .any(|field| field.kind == *kind && text(field.name) == value.to_lowercase()),
            Self::Word(word) => module
                .schema
                .fields
                .iter()
                .any(|field| text(field.name).contains(word.as_str())),
        }
    }
}

/// `(Field:equals:value)`, one criterion; parentheses and commas in the value are escaped with a backslash.
fn parse(criteria: &str) -> Option<Wanted<'_>> {
    let inner = criteria.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (field, rest) = inner.split_once(':')?;
    let value = rest.strip_prefix("equals:")?;
    Some(Wanted::Field(field, value.replace('\\', "").to_lowercase()))
}

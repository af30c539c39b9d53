//! `GET {module}/search` and `GET {module}/actions/count`: fuzzy and lagging, as Zoho documents it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::criteria::Criteria;
use crate::fields::Kind;
use crate::pages::Page;
use crate::records;
use crate::seeds::Condition;
use crate::state::{Request, State};
use crate::views;
use crate::world::Module;

/// Records of one page, and of all pages together.
const PAGE: usize = 200;
const MOST: usize = 2000;

/// What is searched for.
enum Wanted {
    Criteria(Criteria),
    /// Any field of this type with exactly this value.
    Kind(Kind, String),
    /// Any field that contains the word.
    Word(String),
}

/// Answers a search.
pub(crate) fn serve(
    state: &State,
    request: &Request,
    module: &str,
    now: Timestamp,
) -> Checked<Answer> {
    let module = records::module(&state.world, module)?;
    let Some(wanted) = wanted(request, module)? else {
        return refuse(Answer::error(
            400,
            "EXPECTED_PARAM_MISSING",
            json!({"param_names": ["criteria", "email", "phone", "word"]}),
            "One of the expected parameter is missing",
        ));
    };
    let page = Page::of(request, PAGE, &state.faults)?;
    if page.skipped() >= MOST {
        return refuse(Answer::error(
            400,
            "LIMIT_REACHED",
            json!({"limit": MOST}),
            "the limit of records has been reached",
        ));
    }
    let found = found(state, request, module, &wanted, now);
    let (here, info) = page.cut(&found);
    if here.is_empty() {
        return Ok(Answer::empty(204));
    }
    let fields = request.parameter("fields").unwrap_or_default();
    let shown = |place: &u64| match (module.record(*place), fields) {
        (Value::Object(record), fields) if !fields.is_empty() => {
            let asked = |name: &str| name == "id" || fields.split(',').any(|field| field == name);
            let part: Map<_, _> = record.into_iter().filter(|(name, _)| asked(name)).collect();
            Value::Object(part)
        }
        (whole, _) => whole,
    };
    let data: Vec<Value> = here.iter().map(shown).collect();
    Ok(Answer::json(200, json!({"data": data, "info": info})))
}

/// How many records a search finds, or a view holds, or there are.
pub(crate) fn count(
    state: &State,
    request: &Request,
    module: &str,
    now: Timestamp,
) -> Checked<Answer> {
    let module = records::module(&state.world, module)?;
    let count = match (wanted(request, module)?, request.parameter("cvid")) {
        (Some(wanted), _) => found(state, request, module, &wanted, now).len(),
        (None, Some(id)) => module.members(views::find(module, id)?, None).len(),
        (None, None) => module.records as usize,
    };
    Ok(Answer::json(200, json!({"count": count})))
}

/// What the request looks for; of several parameters the first of `criteria`, `email`, `phone` and `word` counts.
fn wanted(request: &Request, module: &Module) -> Checked<Option<Wanted>> {
    let given = |name| request.parameter(name).filter(|value| !value.is_empty());
    Ok(if let Some(criteria) = given("criteria") {
        Some(Wanted::Criteria(Criteria::parse(criteria, module.schema)?))
    } else if let Some(email) = given("email") {
        Some(Wanted::Kind(Kind::Email, email.to_lowercase()))
    } else if let Some(phone) = given("phone") {
        Some(Wanted::Kind(Kind::Phone, phone.to_lowercase()))
    } else {
        given("word").map(|word| Wanted::Word(word.to_lowercase()))
    })
}

fn found(
    state: &State,
    request: &Request,
    module: &Module,
    wanted: &Wanted,
    now: Timestamp,
) -> Vec<u64> {
    let lag =
        SignedDuration::from_secs(i64::try_from(state.faults.search_lag_s).unwrap_or(i64::MAX));
    // `true`, `false` or `both`.
    let shows = |name, default, is: bool| match request.parameter(name).unwrap_or(default) {
        "both" => true,
        "true" => is,
        _ => !is,
    };
    (0..module.records)
        .filter(|place| {
            let condition = module.condition(*place);
            shows("converted", "false", condition == Condition::Converted)
                && shows("approved", "true", condition != Condition::NotApproved)
        })
        .filter(|place| lag.is_zero() || now.duration_since(module.modified(*place)) >= lag)
        .filter(|place| wanted.holds(module, *place))
        .collect()
}

impl Wanted {
    fn holds(&self, module: &Module, place: u64) -> bool {
        let text = |name: &str| {
            let value = module.value(place, name);
            value.as_str().unwrap_or_default().to_lowercase()
        };
        let mut fields = module.schema.fields.iter();
        match self {
            Self::Criteria(criteria) => criteria.hold(&|name| module.value(place, name)),
            Self::Kind(kind, value) => {
                fields.any(|field| field.kind == *kind && text(field.name) == *value)
            }
            Self::Word(word) => fields.any(|field| text(field.name).contains(word.as_str())),
        }
    }
}

//! `GET {module}/search` and `GET {module}/actions/count`: fuzzy and delayed, as Zoho documents it.

mod criteria;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::criteria::Criteria;
use crate::endpoints::pagination::Page;
use crate::endpoints::records::FieldSelection;
use crate::org::field::FieldType;
use crate::org::module::Module;
use crate::org::seed_data::RecordCondition;
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::state::State;

/// The largest number of records on one page, and on all pages together.
const MAX_PAGE_SIZE: usize = 200;
const MAX_RESULTS: usize = 2000;

/// What a record must match.
enum SearchFilter {
    Criteria(Criteria),
    /// Any field of this type with exactly this value.
    FieldType(FieldType, String),
    /// Any field that contains the word.
    Word(String),
}

/// Handles a search.
pub(super) fn search(
    state: &State,
    request: &Request,
    module: &str,
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let module = state.org.require_module(module)?;
    let Some(filter) = SearchFilter::from_request(request, module)? else {
        return reject(ApiResponse::error(
            400,
            "EXPECTED_PARAM_MISSING",
            json!({"param_names": ["criteria", "email", "phone", "word"]}),
            "One of the expected parameter is missing",
        ));
    };
    let selection = FieldSelection::of(request)?;
    let page = Page::from_request(request, MAX_PAGE_SIZE, &state.faults)?;
    if page.offset() >= MAX_RESULTS {
        return reject(ApiResponse::error(
            400,
            "LIMIT_REACHED",
            json!({"limit": MAX_RESULTS}),
            "the limit of records has been reached",
        ));
    }
    let matches = matching_records(state, request, module, &filter, now);
    let (records, info) = page.slice(&matches);
    if records.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    let data: Vec<Value> = records
        .iter()
        .map(|index| selection.of_list(module, *index))
        .collect();
    Ok(ApiResponse::json(200, json!({"data": data, "info": info})))
}

/// Counts the records that match a search or are in a view; without either, all records.
pub(super) fn count(
    state: &State,
    request: &Request,
    module: &str,
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let module = state.org.require_module(module)?;
    let filter = SearchFilter::from_request(request, module)?;
    let count = match (filter, request.parameter("cvid")) {
        (Some(filter), _) => matching_records(state, request, module, &filter, now).len(),
        (None, Some(id)) => module.view_members(module.view(id)?, None).len(),
        (None, None) => module.records as usize,
    };
    Ok(ApiResponse::json(200, json!({"count": count})))
}

/// The indexes of the matching records.
fn matching_records(
    state: &State,
    request: &Request,
    module: &Module,
    filter: &SearchFilter,
    now: Timestamp,
) -> Vec<u64> {
    let lag =
        SignedDuration::from_secs(i64::try_from(state.faults.search_lag_s).unwrap_or(i64::MAX));
    // The parameter is `true`, `false` or `both`.
    let includes = |name, default, is: bool| match request.parameter(name).unwrap_or(default) {
        "both" => true,
        "true" => is,
        _ => !is,
    };
    (0..module.records)
        .filter(|index| {
            let condition = module.condition(*index);
            includes(
                "converted",
                "false",
                condition == RecordCondition::Converted,
            ) && includes(
                "approved",
                "true",
                condition != RecordCondition::NotApproved,
            )
        })
        .filter(|index| lag.is_zero() || now.duration_since(module.modified_at(*index)) >= lag)
        .filter(|index| filter.matches(module, *index))
        .collect()
}

impl SearchFilter {
    /// Reads the filter of a request: the first of `criteria`, `email`, `phone` and `word` that is present.
    fn from_request(request: &Request, module: &Module) -> EndpointResult<Option<Self>> {
        let parameter = |name| request.parameter(name).filter(|value| !value.is_empty());
        Ok(if let Some(criteria) = parameter("criteria") {
            Some(Self::Criteria(Criteria::parse(criteria, module.schema)?))
        } else if let Some(email) = parameter("email") {
            Some(Self::FieldType(FieldType::Email, email.to_lowercase()))
        } else if let Some(phone) = parameter("phone") {
            Some(Self::FieldType(FieldType::Phone, phone.to_lowercase()))
        } else {
            parameter("word").map(|word| Self::Word(word.to_lowercase()))
        })
    }

    fn matches(&self, module: &Module, index: u64) -> bool {
        let text = |name: &str| {
            let value = module.value(index, name);
            value.as_str().unwrap_or_default().to_lowercase()
        };
        let mut fields = module.schema.visible_fields();
        match self {
            Self::Criteria(criteria) => criteria.matches(&|name| module.value(index, name)),
            Self::FieldType(field_type, value) => {
                fields.any(|field| field.field_type == *field_type && text(field.name) == *value)
            }
            Self::Word(word) => fields.any(|field| text(field.name).contains(word.as_str())),
        }
    }
}

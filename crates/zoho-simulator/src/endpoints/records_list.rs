//! `GET {module}`: pages of a module's records.
//! (<https://www.zoho.com/crm/developer/docs/api/v7/get-records.html>)

mod page_token;

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::page_token::PageToken;
use crate::endpoints::records::{FieldSelection, modified_since};
use crate::org::module::Module;
use crate::org::seed_data::{RecordCondition, format_zoho_time};
use crate::org::territories::{territory_of, with_children};
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::state::State;

/// The largest number of records on one page.
const MAX_PAGE_SIZE: usize = 200;

/// The largest number of records that `page` reaches, and that `page_token` reaches.
const MAX_BY_PAGE: usize = 2_000;
const MAX_BY_TOKEN: usize = 100_000;

/// Modules whose records have territories.
const TERRITORY_MODULES: [&str; 3] = ["Deals", "Contacts", "Accounts"];

/// The order of the records.
struct Order<'a> {
    by: &'a str,
    ascending: bool,
}

/// Where a page begins.
struct Start {
    offset: usize,
    page: usize,
    size: usize,
    is_by_token: bool,
}

/// Handles a list.
pub(super) fn list(
    state: &State,
    request: &Request,
    module: &str,
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let module = state.org.require_module(module)?;
    let since = modified_since(request)?;
    let selection = FieldSelection::required(request)?;
    let order = read_order(request)?;
    let start = read_start(state, request, now)?;
    let mut indexes = selected_records(request, module)?;
    if indexes.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    if let Some(since) = since {
        indexes.retain(|index| module.modified_at(*index) > since);
        if indexes.is_empty() {
            return Ok(ApiResponse::empty(304));
        }
    }
    sort(module, &order, &mut indexes);
    let rest = indexes.get(start.offset..).unwrap_or_default();
    let page = &rest[..rest.len().min(start.size)];
    if page.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    let data: Vec<Value> = page
        .iter()
        .map(|index| selection.of_list(module, *index))
        .collect();
    let next = start.offset + page.len();
    let more = rest.len() > page.len();
    let token_at = |offset: usize, page: usize| PageToken::new(request, offset, page, now).encode();
    let next_token = (more && next < MAX_BY_TOKEN).then(|| token_at(next, start.page + 1));
    let previous = start.offset.saturating_sub(start.size);
    let previous_token =
        (start.is_by_token && start.offset > 0).then(|| token_at(previous, start.page - 1));
    let expiry = (next_token.is_some() || previous_token.is_some())
        .then(|| format_zoho_time(PageToken::expiry(now)));
    let info = json!({
        "call": false,
        "per_page": start.size,
        "next_page_token": next_token,
        "count": page.len(),
        "sort_by": order.by,
        "page": start.page,
        "previous_page_token": previous_token,
        "page_token_expiry": expiry,
        "sort_order": if order.ascending { "asc" } else { "desc" },
        "email": false,
        "more_records": more,
    });
    Ok(ApiResponse::json(200, json!({"data": data, "info": info})))
}

fn read_order(request: &Request) -> EndpointResult<Order<'_>> {
    let by = request.parameter("sort_by").unwrap_or("id");
    if request.parameter("sort_by").is_some() && request.parameter("cvid").is_some() {
        return ambiguous("cvid", "sort_by");
    }
    let fields = ["id", "Created_Time", "Modified_Time"];
    if !fields.contains(&by) {
        return invalid_parameter("sort_by", &json!(fields));
    }
    match request.parameter("sort_order").unwrap_or("desc") {
        "asc" => Ok(Order {
            by,
            ascending: true,
        }),
        "desc" => Ok(Order {
            by,
            ascending: false,
        }),
        _ => invalid_parameter("sort_order", &json!(["asc", "desc"])),
    }
}

fn read_start(state: &State, request: &Request, now: Timestamp) -> EndpointResult<Start> {
    let number = |name: &str, default: usize, max: usize| match request.parameter(name) {
        None | Some("") => Ok(default),
        Some(text) => match text.parse() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            Ok(_) | Err(_) => reject(ApiResponse::invalid_data(json!({"param_name": name}))),
        },
    };
    let per_page = number("per_page", MAX_PAGE_SIZE, MAX_PAGE_SIZE)?;
    let size = per_page.min(state.faults.most_per_page.unwrap_or(per_page).max(1));
    if let Some(token) = request.parameter("page_token") {
        if request.parameter("page").is_some() {
            return ambiguous("page", "page_token");
        }
        let token = PageToken::decode(token, request, now)?;
        if token.offset >= MAX_BY_TOKEN {
            return limit_exceeded(
                "PAGINATION_LIMIT_EXCEEDED",
                "You can only get up to first 100000 records using page_token param",
            );
        }
        return Ok(Start {
            offset: token.offset,
            page: token.page,
            size,
            is_by_token: true,
        });
    }
    let page = number("page", 1, usize::MAX)?;
    let offset = (page - 1).saturating_mul(size);
    if offset >= MAX_BY_PAGE {
        return limit_exceeded(
            "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
            "You can only get the first 2000 records without using page_token param",
        );
    }
    Ok(Start {
        offset,
        page,
        size,
        is_by_token: false,
    })
}

/// The indexes of the records that the parameters select.
fn selected_records(request: &Request, module: &Module) -> EndpointResult<Vec<u64>> {
    let territories = read_territories(request, module)?;
    let converted = request.parameter("converted").unwrap_or("false");
    if !["true", "false", "both"].contains(&converted) {
        return invalid_parameter("converted", &json!(["true", "false", "both"]));
    }
    let view = match request.parameter("cvid") {
        None | Some("") => None,
        Some(cvid) => Some(module.view(cvid)?),
    };
    let ids: Option<Vec<u64>> = request.parameter("ids").map(|ids| {
        ids.split(',')
            .filter_map(|id| module.index_of(id.trim()))
            .collect()
    });
    let is_selected = |index: &u64| {
        let is_converted = module.condition(*index) == RecordCondition::Converted;
        (converted == "both" || (converted == "true") == is_converted)
            && ids.as_ref().is_none_or(|ids| ids.contains(index))
            && view.is_none_or(|view| view.matches(|field| module.value(*index, field)))
            && territories
                .as_ref()
                .is_none_or(|ids| ids.contains(&territory_of(*index)))
    };
    Ok((0..module.records).filter(is_selected).collect())
}

fn read_territories(request: &Request, module: &Module) -> EndpointResult<Option<Vec<u64>>> {
    let Some(id) = request.parameter("territory_id") else {
        return Ok(None);
    };
    if !TERRITORY_MODULES.contains(&module.schema.name) {
        return reject(ApiResponse::error(
            400,
            "INVALID_MODULE",
            json!({"resource_path_index": 0}),
            "Territory is not supported for the given module.",
        ));
    }
    let include_child = request.parameter("include_child") == Some("true");
    match with_children(id, include_child) {
        Some(territories) => Ok(Some(territories)),
        None => reject(ApiResponse::error(
            400,
            "INVALID_DATA",
            json!({"param_name": "territory_id"}),
            "the id given seems to be invalid",
        )),
    }
}

fn sort(module: &Module, order: &Order<'_>, indexes: &mut [u64]) {
    // The ids ascend with the index, and all records have the same creation time.
    let time = |index: u64| match order.by {
        "Modified_Time" => module.modified_at(index),
        _ => Timestamp::UNIX_EPOCH,
    };
    match order.ascending {
        true => indexes.sort_by_key(|index| (time(*index), *index)),
        false => indexes.sort_by_key(|index| Reverse((time(*index), *index))),
    }
}

fn ambiguous<T>(one: &str, other: &str) -> EndpointResult<T> {
    reject(ApiResponse::error(
        400,
        "AMBIGUITY_DURING_PROCESSING",
        json!({"param_names": [one, other]}),
        &format!("You cannot use both {one} and {other}"),
    ))
}

fn invalid_parameter<T>(name: &str, supported: &Value) -> EndpointResult<T> {
    let details = json!({"param_name": name, "supported_values": supported});
    reject(ApiResponse::invalid_data(details))
}

fn limit_exceeded<T>(code: &str, message: &str) -> EndpointResult<T> {
    reject(ApiResponse::error(400, code, json!({}), message))
}

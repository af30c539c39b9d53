//! `GET {module}/{id}`, and what it shares with lists and searches: the selection of fields.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::{Map, Value, json};

use crate::endpoint::known;
use crate::org::field::FieldType;
use crate::org::module::Module;
use crate::org::schema::TAG;
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::state::State;

/// The largest number of fields in `fields`.
const MAX_FIELDS: usize = 50;

/// Handles `GET {module}/{id}`.
pub(super) fn get(
    state: &State,
    request: &Request,
    module: &str,
    id: &str,
) -> EndpointResult<ApiResponse> {
    let module = state.org.require_module(module)?;
    let since = modified_since(request)?;
    let selection = FieldSelection::of(request)?;
    let Some(index) = module.index_of(id) else {
        return Ok(ApiResponse::empty(204));
    };
    if since.is_some_and(|since| module.modified_at(index) <= since) {
        return Ok(ApiResponse::empty(304));
    }
    let record = selection.of_record(module, index);
    Ok(ApiResponse::json(200, json!({"data": [record]})))
}

/// The time of `If-Modified-Since`, in Zoho's format or in HTTP's.
pub(super) fn modified_since(request: &Request) -> EndpointResult<Option<Timestamp>> {
    let Some(header) = request.headers.get(http::header::IF_MODIFIED_SINCE) else {
        return Ok(None);
    };
    let text = header.to_str().unwrap_or_default().trim();
    let http_date = || rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    match text.parse().ok().or_else(http_date) {
        Some(time) => Ok(Some(time)),
        None => reject(ApiResponse::invalid_data(json!({
            "header_name": "If-Modified-Since", "expected_data_type": "datetime",
        }))),
    }
}

/// The fields of a response. The id is always among them, a hidden field never.
pub(super) struct FieldSelection<'a>(Option<Vec<&'a str>>);

impl<'a> FieldSelection<'a> {
    /// The fields in the parameter `fields`; all fields without it.
    pub(super) fn of(request: &'a Request) -> EndpointResult<Self> {
        let fields = request.parameter("fields").filter(|text| !text.is_empty());
        let fields: Option<Vec<&str>> =
            fields.map(|fields| fields.split(',').map(str::trim).collect());
        if fields
            .as_ref()
            .is_some_and(|names| names.len() > MAX_FIELDS)
        {
            return reject(ApiResponse::error(
                400,
                "LIMIT_EXCEEDED",
                json!({"param_name": "fields", "limit": MAX_FIELDS}),
                "Fields limit exceeded",
            ));
        }
        let mut names = fields.iter().flatten();
        let unsimulated = names.find(|name| known::is_field(name) && **name != TAG.name);
        if let Some(name) = unsimulated {
            return reject(ApiResponse::not_simulated(json!({"api_name": name})));
        }
        Ok(Self(fields))
    }

    /// The same for lists, which require the parameter.
    pub(super) fn required(request: &'a Request) -> EndpointResult<Self> {
        let selection = Self::of(request)?;
        if selection.0.is_none() {
            return reject(ApiResponse::error(
                400,
                "REQUIRED_PARAM_MISSING",
                json!({"param_name": "fields"}),
                "One of the expected parameter is missing",
            ));
        }
        Ok(selection)
    }

    fn includes(&self, name: &str) -> bool {
        let Self(names) = self;
        names.as_ref().is_none_or(|names| names.contains(&name))
    }

    /// A single record.
    pub(super) fn of_record(&self, module: &Module, index: u64) -> Value {
        let fields = module.schema.visible_fields();
        let selected = fields.filter(|field| self.includes(field.name));
        let id = ("id".to_owned(), json!(module.record_id(index)));
        let value = |name: &str| (name.to_owned(), module.value(index, name));
        let tags = self.includes(TAG.name);
        let tags = tags.then(|| (TAG.name.to_owned(), module.tags_json(index)));
        let record: Map<String, Value> = std::iter::once(id)
            .chain(selected.map(|field| value(field.name)))
            .chain(tags)
            .collect();
        Value::Object(record)
    }

    /// A record of a list, which has no subforms.
    pub(super) fn of_list(&self, module: &Module, index: u64) -> Value {
        let mut record = self.of_record(module, index);
        if let Value::Object(record) = &mut record {
            record.retain(|name, _| {
                let field = module.schema.field(name);
                field.is_none_or(|field| field.field_type != FieldType::Subform)
            });
        }
        record
    }
}

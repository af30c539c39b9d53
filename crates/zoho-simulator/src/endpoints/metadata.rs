//! `settings/*`: fields, modules, custom views and territories.

use serde_json::{Value, json};

use crate::endpoint::known;
use crate::endpoints::pagination::Page;
use crate::faults::Faults;
use crate::org::module::Module;
use crate::org::schema::TAG;
use crate::org::seed_data::user;
use crate::org::territories::{TERRITORIES, Territory};
use crate::org::{CrmOrg, MODULES_WITHOUT_API};
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};

/// The largest page of views, and of territories.
const MAX_VIEWS: usize = 200;
const MAX_TERRITORIES: usize = 2000;

/// The module in the parameter `module`.
fn requested_module<'a>(org: &'a CrmOrg, request: &Request) -> EndpointResult<&'a Module> {
    let Some(name) = request.parameter("module") else {
        return reject(ApiResponse::error(
            400,
            "REQUIRED_PARAM_MISSING",
            json!({"param_name": "module"}),
            "One of the expected parameter is missing",
        ));
    };
    org.require_module(name)
}

/// `GET settings/fields`, or one field. All fields are in use.
pub(crate) fn fields(
    org: &CrmOrg,
    request: &Request,
    id: Option<&str>,
) -> EndpointResult<ApiResponse> {
    let module = requested_module(org, request)?;
    // Field ids derive from record ids, so that no two modules share one.
    let first = module.schema.first_id - 1_000_000 + 100_000;
    let used = match request.parameter("type") {
        None | Some("used" | "all") => true,
        Some("unused") => false,
        Some(_) => {
            let details =
                json!({"param_name": "type", "supported_values": ["used", "unused", "all"]});
            return reject(ApiResponse::invalid_data(details));
        }
    };
    let module_id = |name: &str| Some(org.module(name)?.schema.module_id());
    let mut found: Vec<Value> = (first..)
        .zip(module.schema.fields)
        .filter(|(field_id, _)| used && id.is_none_or(|id| field_id.to_string() == id))
        .map(|(field_id, field)| field.json(field_id, module_id))
        .collect();
    let tag_id = first + module.schema.fields.len() as u64;
    if used && id.is_none_or(|id| tag_id.to_string() == id) {
        let mut tag = TAG.json(tag_id, module_id);
        tag["data_type"] = json!("text");
        found.push(tag);
    }
    Ok(list_or_empty("fields", found))
}

/// `GET settings/modules`, or one module by its API name or its id.
pub(crate) fn modules(org: &CrmOrg, name: Option<&str>) -> EndpointResult<ApiResponse> {
    if let Some(name) = name
        && (known::is_module(name) || MODULES_WITHOUT_API.contains(&name))
    {
        return reject(ApiResponse::not_simulated(json!({"module": name})));
    }
    let schemas = org.modules.iter().map(|module| module.schema);
    let found: Vec<Value> = schemas
        .filter(|schema| name.is_none_or(|name| schema.name == name || schema.module_id() == name))
        .map(|schema| {
            json!({
                "api_name": schema.name,
                "module_name": schema.name,
                "plural_label": schema.name,
                "singular_label": schema.name.trim_end_matches('s'),
                "id": schema.module_id(),
                "api_supported": true,
                "generated_type": if schema.custom { "custom" } else { "default" },
                "creatable": true,
                "editable": true,
                "deletable": true,
                "viewable": true,
                "visible": true,
                "visibility": 1,
                "status": "visible",
                "isBlueprintSupported": true,
            })
        })
        .collect();
    Ok(list_or_empty("modules", found))
}

/// `GET settings/custom_views`, or one view. Only the latter has criteria.
pub(crate) fn custom_views(
    org: &CrmOrg,
    request: &Request,
    id: Option<&str>,
    faults: &Faults,
) -> EndpointResult<ApiResponse> {
    let module = requested_module(org, request)?;
    if let Some(id) = id {
        let view = module.views.iter().find(|view| view.id.to_string() == id);
        let found = view.map(|view| view.json(true)).into_iter().collect();
        return Ok(list_or_empty("custom_views", found));
    }
    let all: Vec<Value> = module.views.iter().map(|view| view.json(false)).collect();
    let (views, mut info) = Page::from_request(request, MAX_VIEWS, faults)?.slice(&all);
    if views.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    info["default"] = json!(module.views.first().map(|view| view.id.to_string()));
    info["translation"] = json!({
        "public_views": "Public Views",
        "other_users_views": "Other Users' Views",
        "shared_with_me": "Shared With Me",
        "created_by_me": "Created By Me",
    });
    Ok(ApiResponse::json(
        200,
        json!({"custom_views": views, "info": info}),
    ))
}

/// `GET settings/territories`: those that the filter accepts.
pub(crate) fn territories(
    request: &Request,
    faults: &Faults,
    filter: impl Fn(&Territory) -> bool,
) -> EndpointResult<ApiResponse> {
    let parent = |territory: &Territory| {
        TERRITORIES
            .iter()
            .find(|parent| Some(parent.id) == territory.reporting_to)
            .map(|parent| json!({"name": parent.name, "id": parent.id.to_string()}))
    };
    let all: Vec<Value> = TERRITORIES
        .iter()
        .filter(|territory| filter(territory))
        .map(|territory| {
            json!({
                "id": territory.id.to_string(),
                "name": territory.name,
                "api_name": territory.name,
                "description": null,
                "permission_type": "read_only",
                "manager": user(),
                "reporting_to": parent(territory),
            })
        })
        .collect();
    let (territories, info) = Page::from_request(request, MAX_TERRITORIES, faults)?.slice(&all);
    if territories.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    Ok(ApiResponse::json(
        200,
        json!({"territories": territories, "info": info}),
    ))
}

/// A list, or a 204 without a body if it is empty.
fn list_or_empty(key: &str, found: Vec<Value>) -> ApiResponse {
    if found.is_empty() {
        return ApiResponse::empty(204);
    }
    ApiResponse::json(200, json!({key: found}))
}

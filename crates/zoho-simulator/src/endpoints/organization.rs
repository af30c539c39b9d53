//! `org`, `users` and `__apis`: the edition, the user, and the scopes and credits of each API.

use serde_json::{Value, json};

use crate::credits;
use crate::endpoint::{ApiVersion, Endpoint};
use crate::endpoints::has_mass_update;
use crate::endpoints::pagination::Page;
use crate::faults::{Edition, Faults};
use crate::org::CrmOrg;
use crate::org::users::USERS;
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};

/// The largest page of users.
const MAX_USERS: usize = 200;

/// `GET org`.
pub(crate) fn org(faults: &Faults) -> ApiResponse {
    let edition = match faults.edition {
        Edition::Free => "free",
        Edition::Standard => "standard",
        Edition::Professional => "professional",
        Edition::Enterprise => "enterprise",
        Edition::Ultimate => "ultimate",
    };
    ApiResponse::json(
        200,
        json!({"org": [{
            "company_name": "Simulated",
            "id": "5725767000000020005",
            "zgid": "60001234567",
            "primary_email": USERS[0].email,
            "time_zone": "Asia/Kolkata",
            "country_code": "IN",
            "iso_code": "INR",
            "currency": "Indian Rupee",
            "license_details": {
                "paid": faults.edition != Edition::Free,
                "paid_type": edition,
                "paid_expiry": "2030-12-31T05:30:00+05:30",
                "trial_type": null,
                "trial_expiry": null,
                "users_license_purchased": 10,
            },
        }]}),
    )
}

/// `GET users`: those of a type, page by page.
pub(crate) fn users(
    org: &CrmOrg,
    request: &Request,
    faults: &Faults,
) -> EndpointResult<ApiResponse> {
    let kind = request.parameter("type").filter(|kind| !kind.is_empty());
    let kind = kind.unwrap_or("AllUsers");
    let mut users: Vec<Value> = Vec::new();
    for user in &org.users {
        match user.is_of_type(kind) {
            Some(true) => users.push(user.json()),
            Some(false) => {}
            None => return reject(ApiResponse::invalid_data(json!({"param_name": "type"}))),
        }
    }
    let (users, info) = Page::from_request(request, MAX_USERS, faults)?.slice(&users);
    if users.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    Ok(ApiResponse::json(
        200,
        json!({"users": users, "info": info}),
    ))
}

/// `GET __apis`: the served APIs with scopes and credits. A filter selects one service or scope.
pub(crate) fn apis(
    org: &CrmOrg,
    request: &Request,
    faults: &Faults,
) -> EndpointResult<ApiResponse> {
    let service = match request.parameter("filters") {
        None => None,
        Some(text) => match parse_filter(text) {
            Some(service) => Some(service),
            None => {
                let details = json!({"param_name": "filters"});
                return reject(ApiResponse::invalid_data(details));
            }
        },
    };
    let found: Vec<Value> = served_apis(org, request.api_version(), faults)
        .into_iter()
        .filter_map(|(path, methods, is_custom)| {
            let operations: Vec<Value> = methods
                .iter()
                .filter_map(|method| {
                    let endpoint = Endpoint::resolve(method, &path);
                    let scope = endpoint.required_scopes().first()?.narrowest(is_custom);
                    let is_selected = service.as_ref().is_none_or(|service| {
                        scope == *service || scope.split('.').nth(1) == Some(service)
                    });
                    let (min, max) = credits::cost_range(&endpoint, faults);
                    is_selected.then(|| {
                        json!({
                            "method": method,
                            "oauth_scope": scope,
                            "max_credits": max,
                            "min_credits": min,
                        })
                    })
                })
                .collect();
            (!operations.is_empty()).then(|| json!({"path": path, "operation_types": operations}))
        })
        .collect();
    if found.is_empty() {
        return Ok(ApiResponse::empty(204));
    }
    Ok(ApiResponse::json(200, json!({"__apis": found})))
}

/// Parses the service or scope of a filter: `{"field": {"api_name": "operation_types.oauth_scope"}, "comparator": "equals", "value": …}`.
fn parse_filter(text: &str) -> Option<String> {
    let filter: Value = serde_json::from_str(text).ok()?;
    let is_supported = filter["field"]["api_name"] == "operation_types.oauth_scope"
        && filter["comparator"] == "equals";
    is_supported
        .then(|| filter["value"].as_str().map(str::to_owned))
        .flatten()
}

/// The served paths with their methods, and whether the module is a custom one.
fn served_apis(
    org: &CrmOrg,
    version: ApiVersion,
    faults: &Faults,
) -> Vec<(String, &'static [&'static str], bool)> {
    let root = format!("/crm/{}", version.segment());
    let org_paths = [
        ("__apis", &["GET"][..]),
        ("org", &["GET"]),
        ("users", &["GET"]),
        ("coql", &["POST"]),
        ("settings/fields", &["GET"]),
        ("settings/modules", &["GET"]),
        ("settings/custom_views", &["GET"]),
        ("settings/territories", &["GET"]),
    ];
    let module_paths = [
        ("", &["GET", "PUT"][..]),
        ("/search", &["GET"]),
        ("/actions/count", &["GET"]),
        ("/actions/mass_update", &["POST", "GET"]),
        ("/actions/add_tags", &["POST"]),
        ("/actions/remove_tags", &["POST"]),
        ("/actions/change_owner", &["POST"]),
        ("/actions/mass_change_owner", &["POST", "GET"]),
    ];
    let all_module_paths = org.modules.iter().flat_map(|module| {
        let schema = module.schema;
        let offered = module_paths.into_iter().filter(|(path, _)| {
            !path.ends_with("/mass_update") || has_mass_update(schema.name, version, faults)
        });
        offered.map(|(path, methods)| {
            let path = format!("{root}/{}{path}", schema.name);
            (path, methods, schema.custom)
        })
    });
    org_paths
        .map(|(path, methods)| (format!("{root}/{path}"), methods, false))
        .into_iter()
        .chain(all_module_paths)
        .collect()
}

//! What an org tells of itself: its edition, its user, and what its APIs need and cost.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::endpoint::Endpoint;
use crate::faults::{Edition, Faults};
use crate::limits;
use crate::schema::MODULES;
use crate::seeds::{USER_ID, USER_NAME};
use crate::state::Request;

/// The user's e-mail address.
const EMAIL: &str = "patricia.boyle@example.com";

/// `GET org`.
pub(crate) fn org(faults: &Faults) -> Answer {
    let edition = match faults.edition {
        Edition::Free => "free",
        Edition::Standard => "standard",
        Edition::Professional => "professional",
        Edition::Enterprise => "enterprise",
        Edition::Ultimate => "ultimate",
    };
    Answer::json(
        200,
        json!({"org": [{
            "company_name": "Simulated",
            "id": "5725767000000020005",
            "zgid": "60001234567",
            "primary_email": EMAIL,
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

/// `GET users`: the one user there is, for whom the tokens act.
pub(crate) fn users() -> Answer {
    let (first, last) = USER_NAME.split_once(' ').unwrap_or(("", USER_NAME));
    Answer::json(
        200,
        json!({
            "users": [{
                "id": USER_ID,
                "full_name": USER_NAME,
                "first_name": first,
                "last_name": last,
                "email": EMAIL,
                "zuid": "60001234000",
                "status": "active",
                "confirm": true,
                "time_zone": "Asia/Kolkata",
                "role": {"name": "CEO", "id": "5725767000000026005"},
                "profile": {"name": "Administrator", "id": "5725767000000026011"},
            }],
            "info": {"per_page": 200, "count": 1, "page": 1, "more_records": false},
        }),
    )
}

/// `GET __apis`: what is served, with scopes and prices; a filter narrows it to one service's scope.
pub(crate) fn apis(request: &Request, faults: &Faults) -> Checked<Answer> {
    let service = match request.parameter("filters") {
        None => None,
        Some(text) => match filter(text) {
            Some(service) => Some(service),
            None => {
                let details = json!({"param_name": "filters"});
                return refuse(Answer::error(400, "INVALID_DATA", details, "invalid data"));
            }
        },
    };
    let found: Vec<Value> = served()
        .into_iter()
        .filter_map(|(path, methods, custom)| {
            let operations: Vec<Value> = methods
                .iter()
                .filter_map(|method| {
                    let endpoint = Endpoint::of(method, &path);
                    let scope = endpoint.needs().first()?.scope(custom);
                    let wanted = service.as_ref().is_none_or(|service| {
                        scope == *service || scope.split('.').nth(1) == Some(service)
                    });
                    let (least, most) = limits::prices(&endpoint, faults);
                    wanted.then(|| {
                        json!({
                            "method": method,
                            "oauth_scope": scope,
                            "max_credits": most,
                            "min_credits": least,
                        })
                    })
                })
                .collect();
            (!operations.is_empty()).then(|| json!({"path": path, "operation_types": operations}))
        })
        .collect();
    if found.is_empty() {
        return Ok(Answer::empty(204));
    }
    Ok(Answer::json(200, json!({"__apis": found})))
}

/// The service of a filter: `{"field": {"api_name": "operation_types.oauth_scope"}, "comparator": "equals", "value": …}`.
fn filter(text: &str) -> Option<String> {
    let filter: Value = serde_json::from_str(text).ok()?;
    let known = filter["field"]["api_name"] == "operation_types.oauth_scope"
        && filter["comparator"] == "equals";
    known
        .then(|| filter["value"].as_str().map(str::to_owned))
        .flatten()
}

/// Paths and methods that are served, and whether the scopes call their module `custom`.
fn served() -> Vec<(String, &'static [&'static str], bool)> {
    let of_org = [
        ("__apis", &["GET"][..]),
        ("org", &["GET"]),
        ("users", &["GET"]),
        ("coql", &["POST"]),
        ("settings/fields", &["GET"]),
        ("settings/modules", &["GET"]),
        ("settings/custom_views", &["GET"]),
        ("settings/territories", &["GET"]),
    ];
    let of_module = [
        ("", &["PUT"][..]),
        ("/search", &["GET"]),
        ("/actions/count", &["GET"]),
        ("/actions/mass_update", &["POST", "GET"]),
    ];
    let of_modules = MODULES.iter().flat_map(|schema| {
        of_module.map(|(path, methods)| {
            let path = format!("/crm/v7/{}{path}", schema.name);
            (path, methods, schema.custom)
        })
    });
    of_org
        .map(|(path, methods)| (format!("/crm/v7/{path}"), methods, false))
        .into_iter()
        .chain(of_modules)
        .collect()
}

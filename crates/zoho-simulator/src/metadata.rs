//! What there is: fields, modules, custom views, territories.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::faults::Faults;
use crate::pages::Page;
use crate::records;
use crate::schema::MODULES;
use crate::seeds::user;
use crate::state::Request;
use crate::views::{TERRITORIES, Territory};
use crate::world::{Module, World};

/// Views of one page, and territories.
const VIEWS: usize = 200;
const TERRITORIES_A_PAGE: usize = 2000;

/// The module that the parameter `module` names.
fn of_module<'a>(world: &'a World, request: &Request) -> Checked<&'a Module> {
    let Some(name) = request.parameter("module") else {
        return refuse(Answer::error(
            400,
            "REQUIRED_PARAM_MISSING",
            json!({"param_name": "module"}),
            "One of the expected parameter is missing",
        ));
    };
    records::module(world, name)
}

/// `GET settings/fields`, or one field. No field of the org is unused.
pub(crate) fn fields(world: &World, request: &Request, id: Option<&str>) -> Checked<Answer> {
    let module = of_module(world, request)?;
    // Field ids follow from the module's records, so that no two modules share one.
    let first = module.schema.first_id - 1_000_000 + 100_000;
    let wanted = match request.parameter("type") {
        None | Some("used" | "all") => true,
        Some("unused") => false,
        Some(_) => {
            let details =
                json!({"param_name": "type", "supported_values": ["used", "unused", "all"]});
            return refuse(Answer::error(400, "INVALID_DATA", details, "invalid data"));
        }
    };
    let found: Vec<Value> = (first..)
        .zip(module.schema.fields)
        .filter(|(own, _)| wanted && id.is_none_or(|id| own.to_string() == id))
        .map(|(own, field)| field.json(own))
        .collect();
    Ok(or_nothing("fields", found))
}

/// `GET settings/modules`, or one module.
pub(crate) fn modules(name: Option<&str>) -> Answer {
    let found: Vec<Value> = MODULES
        .iter()
        .filter(|schema| name.is_none_or(|name| schema.name == name))
        .map(|schema| {
            json!({
                "api_name": schema.name,
                "module_name": schema.name,
                "plural_label": schema.name,
                "singular_label": schema.name.trim_end_matches('s'),
                "id": (schema.first_id - 999_000).to_string(),
                "api_supported": true,
                "generated_type": if schema.custom { "custom" } else { "default" },
                "editable": true,
                "viewable": true,
            })
        })
        .collect();
    or_nothing("modules", found)
}

/// `GET settings/custom_views`, or one view: only then with its criteria.
pub(crate) fn custom_views(
    world: &World,
    request: &Request,
    id: Option<&str>,
    faults: &Faults,
) -> Checked<Answer> {
    let module = of_module(world, request)?;
    if let Some(id) = id {
        let view = module.views.iter().find(|view| view.id.to_string() == id);
        let found = view.map(|view| view.json(true)).into_iter().collect();
        return Ok(or_nothing("custom_views", found));
    }
    let all: Vec<Value> = module.views.iter().map(|view| view.json(false)).collect();
    let (here, mut info) = Page::of(request, VIEWS, faults)?.cut(&all);
    if here.is_empty() {
        return Ok(Answer::empty(204));
    }
    info["default"] = json!(module.views.first().map(|view| view.id.to_string()));
    info["translation"] = json!({
        "public_views": "Public Views",
        "other_users_views": "Other Users' Views",
        "shared_with_me": "Shared With Me",
        "created_by_me": "Created By Me",
    });
    Ok(Answer::json(
        200,
        json!({"custom_views": here, "info": info}),
    ))
}

/// `GET settings/territories`, one territory, or those that report to one: all for which `wanted` holds.
pub(crate) fn territories(
    request: &Request,
    faults: &Faults,
    wanted: impl Fn(&Territory) -> bool,
) -> Checked<Answer> {
    let above = |territory: &Territory| {
        TERRITORIES
            .iter()
            .find(|above| Some(above.id) == territory.reporting_to)
            .map(|above| json!({"name": above.name, "id": above.id.to_string()}))
    };
    let all: Vec<Value> = TERRITORIES
        .iter()
        .filter(|territory| wanted(territory))
        .map(|territory| {
            json!({
                "id": territory.id.to_string(),
                "name": territory.name,
                "api_name": territory.name,
                "description": null,
                "permission_type": "read_only",
                "manager": user(),
                "reporting_to": above(territory),
            })
        })
        .collect();
    let (here, info) = Page::of(request, TERRITORIES_A_PAGE, faults)?.cut(&all);
    if here.is_empty() {
        return Ok(Answer::empty(204));
    }
    Ok(Answer::json(
        200,
        json!({"territories": here, "info": info}),
    ))
}

/// A list, or Zoho's 204 without a body if it is empty.
fn or_nothing(key: &str, found: Vec<Value>) -> Answer {
    if found.is_empty() {
        return Answer::empty(204);
    }
    Answer::json(200, json!({key: found}))
}

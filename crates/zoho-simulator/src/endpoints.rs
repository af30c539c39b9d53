//! The CRM endpoints. [`handle`] calls the one that a request names.

mod coql;
mod mass_update;
mod metadata;
mod organization;
mod owners;
mod pagination;
mod record_results;
mod records;
mod records_list;
mod search;
mod tags;
mod update_records;
mod upsert;

use jiff::Timestamp;
use serde_json::json;

use crate::endpoint::{ApiVersion, Endpoint};
use crate::faults::Faults;
use crate::org::schema::{CASES, MODULES_WITHOUT_MASS_UPDATE};
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::state::State;

/// Handles a CRM request that is authenticated, authorized and paid for.
pub(crate) fn handle(
    state: &mut State,
    request: &Request,
    scopes: &[String],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let org = &state.org;
    let faults = &state.faults;
    let version = request.api_version();
    match &request.endpoint {
        Endpoint::MassUpdate(module) => {
            check_mass_update_module(module, version, faults)?;
            let response = mass_update::post(state, module, &request.body, now)?;
            // A job without duration ends at once.
            state.advance_jobs();
            Ok(response)
        }
        Endpoint::MassUpdateStatus(module) => {
            check_mass_update_module(module, version, faults)?;
            org.require_module(module)?;
            let job = request.parameter("job_id");
            Ok(state.jobs.status(module, job, faults, now))
        }
        Endpoint::AddTags(module) => {
            tags::post(state, module, tags::TagAction::Add, &request.body, now)
        }
        Endpoint::RemoveTags(module) => {
            tags::post(state, module, tags::TagAction::Remove, &request.body, now)
        }
        Endpoint::ChangeOwner(module) => owners::change(state, module, &request.body, now),
        Endpoint::MassChangeOwner(module) => {
            let response = owners::schedule(state, module, &request.body, now)?;
            // A job without duration ends at once.
            state.advance_jobs();
            Ok(response)
        }
        Endpoint::MassChangeOwnerStatus(module) => {
            owners::check_module(org.require_module(module)?)?;
            let job = request.parameter("job_id");
            Ok(state.jobs.owner_status(module, job, faults, now))
        }
        Endpoint::Fields(id) => metadata::fields(org, request, id.as_deref()),
        Endpoint::Modules(name) => metadata::modules(org, name.as_deref()),
        Endpoint::CustomViews(id) => metadata::custom_views(org, request, id.as_deref(), faults),
        Endpoint::Territories(None) => metadata::territories(request, faults, |_| true),
        Endpoint::Territories(Some(id)) => {
            metadata::territories(request, faults, |territory| territory.id.to_string() == *id)
        }
        Endpoint::ChildTerritories(id) => metadata::territories(request, faults, |territory| {
            territory
                .reporting_to
                .is_some_and(|parent| parent.to_string() == *id)
        }),
        Endpoint::Search(module) => search::search(state, request, module, now),
        Endpoint::Count(module) => search::count(state, request, module, now),
        Endpoint::Coql => coql::query(state, &request.body, scopes),
        Endpoint::Records(module) => records_list::list(state, request, module, now),
        Endpoint::Record(module, id) => records::get(state, request, module, id),
        Endpoint::PutRecords(module) => {
            update_records::put(state, module, None, &request.body, now)
        }
        Endpoint::PutRecord(module, id) => {
            update_records::put(state, module, Some(id), &request.body, now)
        }
        Endpoint::Upsert(module) => upsert::post(state, module, &request.body, now),
        Endpoint::Apis => organization::apis(org, request, faults),
        Endpoint::Org => Ok(organization::org(faults)),
        Endpoint::Users => organization::users(org, request, faults),
        Endpoint::Token
        | Endpoint::TokenAlias
        | Endpoint::Revoke
        | Endpoint::ServerInfo
        | Endpoint::NotSimulated
        | Endpoint::OtherVersion
        | Endpoint::WrongMethod
        | Endpoint::Unknown => Ok(ApiResponse::default_for(500)),
    }
}

/// Whether a module has a mass update in a version of the API.
pub(crate) fn has_mass_update(module: &str, version: ApiVersion, faults: &Faults) -> bool {
    let has_cases = version == ApiVersion::V8 || faults.cases_mass_update;
    let is_unsupported_case = module == CASES && !has_cases;
    !MODULES_WITHOUT_MASS_UPDATE.contains(&module) && !is_unsupported_case
}

/// Rejects a module that exists but has no mass update.
fn check_mass_update_module(
    module: &str,
    version: ApiVersion,
    faults: &Faults,
) -> EndpointResult<()> {
    if has_mass_update(module, version, faults) {
        return Ok(());
    }
    reject(ApiResponse::error(
        400,
        "NOT_SUPPORTED",
        json!({"resource_path_index": 0}),
        "the given module is not supported for this api",
    ))
}

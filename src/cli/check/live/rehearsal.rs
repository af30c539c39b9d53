//! Rehearses update requests: prepares them like a job does, up to the first call that would change a record.

use jiff::Timestamp;

use super::org::credit_prices;
use crate::cli::finding::{Finding, Severity};
use crate::cli::text::count_of;
use crate::codes::Cause;
use crate::engine::preview_preparation;
use crate::job::{PreparationOutcome, PreparationResult};
use crate::plan::{MethodComparison, MethodReason, Plan, PlanLimits};
use crate::update::{
    Assignment, ModuleName, Records, Selector, StepKind, Territory, UpdateRequest, ViewId,
};
use crate::zoho::metadata::Freshness;
use crate::zoho::{self, Client};

/// The result of a check that may end it.
type Assessed<T> = Result<T, (Severity, String)>;

/// Checks the update request of an example: its view, territory, fields and records. `source` is its route or file.
pub(super) async fn rehearse_example(
    client: &Client,
    source: &str,
    update: &UpdateRequest,
    views_available: Option<bool>,
    deadline: Timestamp,
) -> Finding {
    let module = &update.module;
    let assessed = assess(client, update, views_available, deadline).await;
    let (severity, message) = match assessed {
        Ok(message) => (Severity::Ok, message),
        Err(finding) => finding,
    };
    let check = format!("route {source}");
    Finding::new(check, severity, format!("{module}: {message}"))
}

async fn assess(
    client: &Client,
    update: &UpdateRequest,
    views_available: Option<bool>,
    deadline: Timestamp,
) -> Assessed<String> {
    let module = &update.module;
    let PreparationResult {
        outcome,
        notes,
        lookup,
        ..
    } = preview_preparation(client, update, deadline).await;
    let prepared = apply_preparation(update, outcome)?;
    let fields: Vec<&str> = prepared
        .fields
        .iter()
        .map(|Assignment { field, .. }| field.as_str())
        .collect();
    let mut parts = vec![fields.join(", ")];
    parts.retain(|part| !part.is_empty());
    let resolved = prepared.resolved();
    if let Some(Records::View { cvid, territory }) = resolved.map(|request| request.records()) {
        if views_available == Some(false) {
            let message = "the org's edition updates no custom views, only `ids` and `match`";
            return Err((Severity::Bad, message.to_owned()));
        }
        parts.extend(name_view(client, module, *cvid, *territory, deadline).await?);
    }
    if let Some(lookup) = lookup {
        parts.push(format!(
            "{} of {} by {} in the org",
            lookup.matched,
            count_of(lookup.values, "value"),
            lookup.field
        ));
    }
    let plan = resolved.map(|resolved| Plan::new(resolved, &PlanLimits::of(client.api_version())));
    let actions = plan.iter().flat_map(Plan::steps);
    let actions = actions.filter(|step| *step != StepKind::Fields);
    parts.extend(actions.map(|step| step.label().to_owned()));
    if let Some(comparison) = plan.as_ref().and_then(Plan::comparison) {
        let comparison = match prepared.update_by == update.update_by {
            true => comparison,
            // The org's own fields have decided.
            false => MethodComparison {
                mass_update: None,
                reason: MethodReason::Fields,
                ..comparison
            },
        };
        let prices = credit_prices(client, module, deadline).await;
        parts.push(comparison.at(prices).in_a_line());
    }
    parts.extend(notes);
    Ok(parts.join("; "))
}

/// The update request with the fields, records and method that preparation determined.
fn apply_preparation(
    update: &UpdateRequest,
    outcome: PreparationOutcome,
) -> Assessed<UpdateRequest> {
    let mut prepared = update.clone();
    match outcome {
        PreparationOutcome::Ready {
            fields,
            records,
            new_records,
            update_by,
            owner,
        } => {
            prepared.fields = fields.unwrap_or(prepared.fields);
            prepared.update_by = update_by.unwrap_or(prepared.update_by);
            let records = records.map(Selector::Records);
            prepared.selector = records.unwrap_or(prepared.selector);
            prepared.set_owner(owner);
            prepared.new_records = new_records.map(|new| *new);
            Ok(prepared)
        }
        PreparationOutcome::Nothing => Ok(prepared),
        // The values of an example need not exist in the org.
        PreparationOutcome::Refused(why)
            if matches!(
                why.cause(),
                Some(Cause::MatchNotFound | Cause::MatchAmbiguous)
            ) =>
        {
            Err((Severity::Note, why.to_string()))
        }
        PreparationOutcome::Refused(why) | PreparationOutcome::Postponed { reason: why, .. } => {
            Err((Severity::Bad, why.to_string()))
        }
    }
}

/// The names of a custom view and of its territory.
async fn name_view(
    client: &Client,
    module: &ModuleName,
    view: ViewId,
    territory: Option<Territory>,
    deadline: Timestamp,
) -> Assessed<Vec<String>> {
    let views = client
        .custom_views(module, Freshness::Cached, deadline)
        .await;
    let name = views.map(|views| {
        let known = views.iter().find(|known| known.id == view);
        known.map(|known| known.name.clone())
    });
    let mut names = vec![require_name(name, &format!("custom view {view}"))?];
    if let Some(territory) = territory {
        let territories = client.territories(Freshness::Cached, deadline).await;
        let name = territories.map(|territories| {
            let known = territories.iter().find(|known| known.id == territory.id);
            known.map(|known| known.name.clone())
        });
        names.push(require_name(name, &format!("territory {}", territory.id))?);
    }
    Ok(names)
}

/// Requires that an item exists. A missing scope for the look-up does not fail the check.
fn require_name(name: Result<Option<String>, zoho::Error>, what: &str) -> Assessed<String> {
    match name {
        Ok(Some(name)) => Ok(format!("{what} is `{name}`")),
        Ok(None) => {
            let message = format!("there is no {what} visible to the token's user");
            Err((Severity::Bad, message))
        }
        Err(failed) if failed.lacks_scope() => Ok(format!(
            "{what} was not looked up because the scope is missing"
        )),
        Err(error) => Err((Severity::Bad, error.to_string())),
    }
}

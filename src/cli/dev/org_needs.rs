//! What the org of the simulator needs, so that the updates of a config's routes can succeed: learnt from the update requests
//! that the routes make of their senders' samples and of the examples beside the config.

use std::path::Path;

use http::HeaderMap;
use serde_json::Value;
use webhook_verify::sample::sample;
use zoho_simulator::{OrgAdditions, UserAddition};

use crate::app::App;
use crate::cli::check::examples::{ExampleResult, examples_beside};
use crate::inbound::InboundRequest;
use crate::update::UpdateRequest;

/// The additions for the routes of an app's config, which is at `config`.
pub(super) async fn org_needs(app: &App, config: &Path) -> OrgAdditions {
    let mut needs = OrgAdditions {
        any_record_id: true,
        ..OrgAdditions::default()
    };
    for (name, route) in &app.config().routes {
        let schemes = route.verify.schemes().iter();
        let senders = schemes.map(|config| config.scheme.name());
        for sender in senders.chain(["custom"]) {
            let delivery = sample(sender, "sample-1");
            let request = InboundRequest {
                query: delivery.query,
                ..InboundRequest::post(name.clone(), HeaderMap::new(), delivery.body.into())
            };
            let request = InboundRequest {
                headers: delivery.headers,
                ..request
            };
            if let Ok(outcome) = app.preview_unverified(&request).await {
                let updates = outcome.into_updates();
                updates.iter().for_each(|update| add(&mut needs, update));
            }
        }
    }
    for file in examples_beside(config) {
        let result = ExampleResult::of_file(app, &file).await;
        result
            .updates
            .iter()
            .for_each(|(_, update)| add(&mut needs, update));
    }
    needs
}

/// Adds what one update request needs.
fn add(needs: &mut OrgAdditions, update: &UpdateRequest) {
    let request = update.to_json();
    let module = needs.modules.entry(update.module.to_string()).or_default();
    let owner = &request["owner"];
    let user = match (owner["id"].as_str(), owner["email"].as_str()) {
        (Some(id), _) => Some(UserAddition::Id(id.to_owned())),
        (None, email) => email.map(|email| UserAddition::Email(email.to_owned())),
    };
    needs.users.extend(user);
    let matched = &request["match"];
    let set = [&request["fields"], &matched["create"]].map(Value::as_object);
    for (field, value) in set.into_iter().flatten().flatten() {
        let values = module.fields.entry(field.clone()).or_default();
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    if let (Some(field), Some(values)) = (matched["field"].as_str(), matched["values"].as_array()) {
        if matched["on_none"] == "create" {
            // Such records are created, by a field without duplicates.
            let known = module.fields.entry(field.to_owned()).or_default();
            known.extend(values.iter().cloned());
            module.unique.insert(field.to_owned());
        } else {
            let values = values.iter().map(|value| (field.to_owned(), value.clone()));
            module.matched.extend(values);
        }
    }
    let id = request["cvid"].as_str();
    module
        .view_ids
        .extend(id.and_then(|id| id.parse::<u64>().ok()));
    let view = request["view"].as_str().map(str::to_owned);
    module.view_names.extend(view);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn needs_are_those_of_the_update_requests() {
        let mut needs = OrgAdditions::default();
        for request in [
            json!({"module": "Leads", "fields": {"Lead_Source": "Newsletter"}, "ids": ["5725767000003000064"]}),
            json!({"module": "Leads", "fields": {"Lead_Source": "Newsletter"}, "match": {"field": "Email", "values": ["a@b.c"]}}),
            json!({"module": "Shop_Orders", "fields": {"State": "new"}, "match": {
                "field": "Number", "values": ["A1"], "on_none": "create", "create": {"Total": 7},
            }}),
            json!({"module": "Shop_Orders", "fields": {"State": "paid"}, "cvid": "5725767000003000064", "owner": {"email": "ann@example.com"}}),
            json!({"module": "Shop_Orders", "fields": {"State": "sent"}, "view": "Open orders"}),
        ] {
            add(
                &mut needs,
                &UpdateRequest::parse(&request).expect("a request"),
            );
        }
        assert_eq!(
            needs.users,
            [UserAddition::Email("ann@example.com".to_owned())]
        );
        let leads = &needs.modules["Leads"];
        assert_eq!(leads.fields["Lead_Source"], [Value::from("Newsletter")]);
        assert_eq!(leads.matched, [("Email".to_owned(), Value::from("a@b.c"))]);
        let orders = &needs.modules["Shop_Orders"];
        assert_eq!(orders.fields["State"].len(), 3);
        assert_eq!(orders.fields["Total"], [Value::from(7)]);
        assert_eq!(orders.fields["Number"], [Value::from("A1")]);
        assert!(orders.unique.contains("Number") && orders.matched.is_empty());
        assert_eq!(orders.view_ids, [5_725_767_000_003_000_064]);
        assert_eq!(orders.view_names, ["Open orders"]);
    }
}

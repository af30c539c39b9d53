//! The `world` object of the announcement: the ids that a test needs to address the org's data.

use serde_json::{Map, Value, json};

use crate::org::CrmOrg;
use crate::org::seed_data::{RecordCondition, SEEDED_CONDITIONS, SEEDED_EMAILS};
use crate::org::territories::TERRITORIES;

impl CrmOrg {
    /// The `world` object.
    pub(crate) fn describe(&self) -> Value {
        let mut modules = Map::new();
        let mut all_views = Map::new();
        for module in &self.modules {
            let conditions: Map<String, Value> = (0..module.records)
                .rev()
                .take(SEEDED_CONDITIONS.len())
                .filter(|index| module.condition(*index) != RecordCondition::Clean)
                .map(|index| {
                    (
                        module.condition(index).name().to_owned(),
                        json!(module.record_id(index)),
                    )
                })
                .collect();
            modules.insert(
                module.schema.name.to_owned(),
                json!({
                    "first_record_id": module.record_id(0),
                    "records": module.records,
                    "conditions": conditions,
                }),
            );
            let views: Map<String, Value> = module
                .views
                .iter()
                .map(|view| {
                    let members = module.view_members(view, None);
                    (
                        view.key.to_owned(),
                        json!({
                            "id": view.id.to_string(),
                            "name": view.name,
                            "records": members.len(),
                            "first_record_id": members.first().map(|index| module.record_id(*index)),
                        }),
                    )
                })
                .collect();
            all_views.insert(module.schema.name.to_owned(), Value::Object(views));
        }
        let territories: Map<String, Value> = TERRITORIES
            .iter()
            .map(|territory| {
                let parent = territory.reporting_to.map(|id| id.to_string());
                (
                    territory.key.to_owned(),
                    json!({"id": territory.id.to_string(), "name": territory.name, "reporting_to": parent}),
                )
            })
            .collect();
        json!({
            "modules": modules,
            "views": all_views,
            "territories": territories,
            "emails": self.emails(),
        })
    }

    /// The leads with unusual e-mail addresses.
    fn emails(&self) -> Map<String, Value> {
        let Some(leads) = self.module("Leads") else {
            return Map::new();
        };
        let exists = |index: u64| index < leads.records;
        let mut emails = Map::new();
        for (index, field, key, address) in SEEDED_EMAILS {
            if exists(index) {
                let same = SEEDED_EMAILS.iter().filter(|(.., other)| *other == address);
                let ids: Vec<String> = same
                    .filter(|(other, ..)| exists(*other))
                    .map(|(other, ..)| leads.record_id(*other))
                    .collect();
                let email = json!({"field": field, "address": address, "ids": ids});
                emails.insert(key.to_owned(), email);
            }
        }
        emails
    }
}

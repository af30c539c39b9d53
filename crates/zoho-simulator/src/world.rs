//! The CRM org that is played: modules with their records and views, and the territories. A record's seeded values are
//! a function of its place, so a module of 50,000 records costs nothing until it is changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::fields::Kind;
use crate::schema::{CONVERTED, ID_ROOM, MODULES, Schema};
use crate::seeds::{Condition, LAST, LEAST_FOR_CONDITIONS, MAILBOXES, created, seeded, zoho_time};
use crate::views::{self, TERRITORIES, View};

/// What has been changed in a record since it was seeded.
#[derive(Clone, Debug, Default)]
struct Changes {
    values: BTreeMap<&'static str, Value>,
    modified: Option<Timestamp>,
}

/// A module of the org.
#[derive(Debug)]
pub(crate) struct Module {
    /// Names and fields.
    pub(crate) schema: &'static Schema,
    /// How many records there are.
    pub(crate) records: u64,
    /// The custom views.
    pub(crate) views: Vec<View>,
    changes: BTreeMap<u64, Changes>,
}

impl Module {
    /// The record's place among the module's records, if there is one with this id.
    pub(crate) fn place(&self, id: &str) -> Option<u64> {
        let id: u64 = if id.starts_with('+') {
            None
        } else {
            id.parse().ok()
        }?;
        id.checked_sub(self.schema.first_id)
            .filter(|place| *place < self.records)
    }

    /// The id of the record at this place.
    pub(crate) fn id(&self, place: u64) -> String {
        (self.schema.first_id + place).to_string()
    }

    /// What is the matter with the record at this place.
    pub(crate) fn condition(&self, place: u64) -> Condition {
        let last = LAST.len() as u64;
        if self.records < LEAST_FOR_CONDITIONS || place < self.records - last {
            return Condition::Clean;
        }
        let condition = LAST[(place + last - self.records) as usize];
        if condition == Condition::Converted && self.schema.name != "Leads" {
            return Condition::Clean;
        }
        condition
    }

    /// A field's value in the record at this place; `null` for an unknown field.
    pub(crate) fn value(&self, place: u64, field: &str) -> Value {
        if field == CONVERTED && self.schema.field(field).is_some() {
            return json!(self.condition(place) == Condition::Converted);
        }
        if let Some(value) = self
            .changes
            .get(&place)
            .and_then(|changes| changes.values.get(field))
        {
            return value.clone();
        }
        seeded(self.schema, place, field)
    }

    /// When the record was last modified.
    pub(crate) fn modified(&self, place: u64) -> Timestamp {
        self.changes
            .get(&place)
            .and_then(|changes| changes.modified)
            .unwrap_or_else(created)
    }

    /// Sets fields of one record. A multi-select is replaced with `over_write`, else its options are joined: that is
    /// Zoho's default, and the reverse of its screens'.
    pub(crate) fn set(
        &mut self,
        place: u64,
        fields: &Map<String, Value>,
        over_write: bool,
        now: Timestamp,
    ) {
        for (name, value) in fields {
            let Some(field) = self.schema.field(name) else {
                continue;
            };
            let value = match (field.kind, value) {
                (Kind::Multiselect, Value::Array(added)) if !over_write => {
                    let present = self.value(place, name);
                    let mut joined = present.as_array().cloned().unwrap_or_default();
                    for option in added {
                        if !joined.contains(option) {
                            joined.push(option.clone());
                        }
                    }
                    Value::Array(joined)
                }
                _ => value.clone(),
            };
            let changes = self.changes.entry(place).or_default();
            changes.values.insert(field.name, value);
            changes.modified = Some(now);
        }
    }

    /// The whole record, as the API shows it.
    pub(crate) fn record(&self, place: u64) -> Value {
        let mut record = Map::new();
        record.insert("id".to_owned(), json!(self.id(place)));
        for field in self.schema.fields {
            record.insert(field.name.to_owned(), self.value(place, field.name));
        }
        record.insert(
            "Modified_Time".to_owned(),
            json!(zoho_time(self.modified(place))),
        );
        Value::Object(record)
    }

    /// The places of a view's records, at this moment; within a territory if one is given.
    pub(crate) fn members(&self, view: &View, territories: Option<&[u64]>) -> Vec<u64> {
        (0..self.records)
            .filter(|place| {
                territories.is_none_or(|ids| ids.contains(&views::territory_of(*place)))
            })
            .filter(|place| view.holds(|field| self.value(*place, field)))
            .collect()
    }
}

/// All that the org holds.
#[derive(Debug)]
pub(crate) struct World {
    /// The modules.
    pub(crate) modules: Vec<Module>,
}

impl World {
    /// The seeded org; `records` overrides how many records a module has.
    ///
    /// # Errors
    /// An unknown module, or more records than its ids have room for.
    pub(crate) fn seeded(records: &BTreeMap<String, u64>) -> Result<Self, String> {
        for (name, count) in records {
            if !MODULES.iter().any(|schema| schema.name == name) {
                let known: Vec<&str> = MODULES.iter().map(|schema| schema.name).collect();
                return Err(format!(
                    "no module `{name}`; there are {}",
                    known.join(", ")
                ));
            }
            if *count > ID_ROOM {
                return Err(format!("{name}={count}: at most {ID_ROOM} records"));
            }
        }
        let modules = MODULES
            .iter()
            .map(|schema| Module {
                schema,
                records: records.get(schema.name).copied().unwrap_or(schema.records),
                views: views::of(schema.name),
                changes: BTreeMap::new(),
            })
            .collect();
        Ok(Self { modules })
    }

    /// The module with this API name; names are case-sensitive.
    pub(crate) fn module(&self, name: &str) -> Option<&Module> {
        self.modules
            .iter()
            .find(|module| module.schema.name == name)
    }

    /// The same, to change it.
    pub(crate) fn module_mut(&mut self, name: &str) -> Option<&mut Module> {
        self.modules
            .iter_mut()
            .find(|module| module.schema.name == name)
    }

    /// What a test must know to speak about this org.
    pub(crate) fn describe(&self) -> Value {
        let mut modules = Map::new();
        let mut all_views = Map::new();
        for module in &self.modules {
            let conditions: Map<String, Value> = (0..module.records)
                .rev()
                .take(LAST.len())
                .filter(|place| module.condition(*place) != Condition::Clean)
                .map(|place| {
                    (
                        module.condition(place).name().to_owned(),
                        json!(module.id(place)),
                    )
                })
                .collect();
            modules.insert(
                module.schema.name.to_owned(),
                json!({
                    "first_record_id": module.id(0),
                    "records": module.records,
                    "conditions": conditions,
                }),
            );
            let of_module: Map<String, Value> = module
                .views
                .iter()
                .map(|view| {
                    let members = module.members(view, None);
                    (
                        view.key.to_owned(),
                        json!({
                            "id": view.id.to_string(),
                            "name": view.name,
                            "records": members.len(),
                            "first_record_id": members.first().map(|place| module.id(*place)),
                        }),
                    )
                })
                .collect();
            all_views.insert(module.schema.name.to_owned(), Value::Object(of_module));
        }
        let territories: Map<String, Value> = TERRITORIES
            .iter()
            .map(|territory| {
                let above = territory.reporting_to.map(|id| id.to_string());
                (
                    territory.key.to_owned(),
                    json!({"id": territory.id.to_string(), "name": territory.name, "reporting_to": above}),
                )
            })
            .collect();
        json!({
            "modules": modules,
            "views": all_views,
            "territories": territories,
            "emails": self.mailboxes(),
        })
    }

    /// The leads whose addresses are out of the ordinary.
    fn mailboxes(&self) -> Map<String, Value> {
        let Some(leads) = self.module("Leads") else {
            return Map::new();
        };
        let there = |place: u64| place < leads.records;
        let mut all = Map::new();
        for (place, field, key, address) in MAILBOXES {
            if there(place) {
                let same = MAILBOXES.iter().filter(|(.., other)| *other == address);
                let ids: Vec<String> = same
                    .filter(|(other, ..)| there(*other))
                    .map(|(other, ..)| leads.id(*other))
                    .collect();
                let mailbox = json!({"field": field, "address": address, "ids": ids});
                all.insert(key.to_owned(), mailbox);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_lead_is_clean() {
        let world = World::seeded(&BTreeMap::new()).unwrap();
        let leads = world.module("Leads").unwrap();
        let place = leads.place("5725767000003000064").unwrap();
        assert_eq!(leads.condition(place), Condition::Clean);
    }

    #[test]
    fn every_condition_is_told_once() {
        let world = World::seeded(&BTreeMap::new()).unwrap().describe();
        let conditions = world["modules"]["Leads"]["conditions"].as_object().unwrap();
        assert_eq!(conditions.len(), LAST.len());
        assert_eq!(conditions["converted"], "5725767000003002063");
        assert_eq!(
            world["modules"]["Deals"]["conditions"]
                .as_object()
                .unwrap()
                .len(),
            LAST.len() - 1
        );
        assert_eq!(world["views"]["Leads"]["empty"]["records"], 0);
        assert_eq!(world["views"]["Leads"]["all"]["records"], 2000);
        let some = world["views"]["Leads"]["some"]["records"].as_u64().unwrap();
        assert!((10..200).contains(&some), "{some}");
    }

    #[test]
    fn overrides_are_checked() {
        assert!(World::seeded(&BTreeMap::from([("Lead".to_owned(), 1)])).is_err());
        assert!(World::seeded(&BTreeMap::from([("Leads".to_owned(), ID_ROOM + 1)])).is_err());
        let world = World::seeded(&BTreeMap::from([("Leads".to_owned(), 1)])).unwrap();
        assert_eq!(
            world
                .module("Leads")
                .unwrap()
                .members(&views::of("Leads")[0], None),
            [0]
        );
    }

    #[test]
    fn moments_are_written_as_zoho_does() {
        assert_eq!(
            zoho_time("2024-02-01T13:22:56.7Z".parse().unwrap()),
            "2024-02-01T18:52:56+05:30"
        );
    }
}

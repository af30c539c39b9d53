//! The simulated CRM org: modules with their records and views, and the territories.

pub(crate) mod additions;
mod description;
pub(crate) mod field;
pub(crate) mod field_values;
pub(crate) mod module;
pub(crate) mod schema;
pub(crate) mod seed_data;
pub(crate) mod territories;
pub(crate) mod users;
pub(crate) mod views;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::endpoint::known;
use crate::org::module::Module;
use crate::org::schema::{MAX_RECORDS, MODULES};
use crate::org::users::{CrmUser, USERS};
use crate::response::{ApiResponse, EndpointResult};

/// The data of the org.
#[derive(Debug)]
pub(crate) struct CrmOrg {
    pub(crate) modules: Vec<Module>,
    /// Whether every number that could be an id is the id of a record.
    any_record_id: bool,
    /// The users, the one for whom tokens act first.
    pub(crate) users: Vec<&'static CrmUser>,
}

impl CrmOrg {
    /// The seeded org. `records` overrides the number of records by module.
    ///
    /// # Errors
    /// An unknown module, or more records than its id range holds.
    pub(crate) fn seeded(records: &BTreeMap<String, u64>) -> Result<Self, String> {
        for (name, count) in records {
            if !MODULES.iter().any(|schema| schema.name == name) {
                let known: Vec<&str> = MODULES.iter().map(|schema| schema.name).collect();
                return Err(format!(
                    "no module `{name}`; there are {}",
                    known.join(", ")
                ));
            }
            if *count > MAX_RECORDS {
                return Err(format!("{name}={count}: at most {MAX_RECORDS} records"));
            }
        }
        let modules = MODULES
            .iter()
            .map(|schema| {
                let count = records.get(schema.name).copied().unwrap_or(schema.records);
                Module::seeded(schema, count, views::of(schema.name))
            })
            .collect();
        Ok(Self {
            modules,
            any_record_id: false,
            users: USERS.iter().collect(),
        })
    }

    /// The module with this API name, or the rejection of an unknown module.
    pub(crate) fn require_module(&self, name: &str) -> EndpointResult<&Module> {
        self.module(name)
            .ok_or_else(|| Box::new(missing_module(name)))
    }

    pub(crate) fn require_module_mut(&mut self, name: &str) -> EndpointResult<&mut Module> {
        self.module_mut(name)
            .ok_or_else(|| Box::new(missing_module(name)))
    }

    /// The reference to a record, as lookup fields contain it.
    pub(crate) fn reference(&self, module: &str, id: &str) -> Option<Value> {
        let module = self.module(module)?;
        Some(module.reference(module.index_of(id)?))
    }

    /// The module with this API name; names are case-sensitive.
    pub(crate) fn module(&self, name: &str) -> Option<&Module> {
        self.modules
            .iter()
            .find(|module| module.schema.name == name)
    }

    pub(crate) fn module_mut(&mut self, name: &str) -> Option<&mut Module> {
        self.modules
            .iter_mut()
            .find(|module| module.schema.name == name)
    }
}

/// Modules that Zoho names as not supported by its API.
pub(crate) const MODULES_WITHOUT_API: [&str; 2] = ["Documents", "Projects"];

fn missing_module(name: &str) -> ApiResponse {
    if known::is_module(name) {
        return ApiResponse::not_simulated(json!({"module": name}));
    }
    let message = match MODULES_WITHOUT_API.contains(&name) {
        true => "The given module is not supported in API",
        false => "the module name given seems to be invalid",
    };
    ApiResponse::error(
        400,
        "INVALID_MODULE",
        json!({"resource_path_index": 0}),
        message,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::org::seed_data::{RecordCondition, SEEDED_CONDITIONS, format_zoho_time};

    #[test]
    fn sample_lead_is_clean() {
        let world = CrmOrg::seeded(&BTreeMap::new()).unwrap();
        let leads = world.module("Leads").unwrap();
        let index = leads.index_of("5725767000003000064").unwrap();
        assert_eq!(leads.condition(index), RecordCondition::Clean);
    }

    #[test]
    fn world_lists_each_condition_once() {
        let world = CrmOrg::seeded(&BTreeMap::new()).unwrap().describe();
        let conditions = world["modules"]["Leads"]["conditions"].as_object().unwrap();
        assert_eq!(conditions.len(), SEEDED_CONDITIONS.len());
        assert_eq!(conditions["converted"], "5725767000003002063");
        assert_eq!(
            world["modules"]["Deals"]["conditions"]
                .as_object()
                .unwrap()
                .len(),
            SEEDED_CONDITIONS.len() - 1
        );
        assert_eq!(world["views"]["Leads"]["empty"]["records"], 0);
        assert_eq!(world["views"]["Leads"]["all"]["records"], 2000);
        let some = world["views"]["Leads"]["some"]["records"].as_u64().unwrap();
        assert!((10..200).contains(&some), "{some}");
    }

    #[test]
    fn invalid_record_counts_are_rejected() {
        assert!(CrmOrg::seeded(&BTreeMap::from([("Lead".to_owned(), 1)])).is_err());
        assert!(CrmOrg::seeded(&BTreeMap::from([("Leads".to_owned(), MAX_RECORDS + 1)])).is_err());
        let world = CrmOrg::seeded(&BTreeMap::from([("Leads".to_owned(), 1)])).unwrap();
        assert_eq!(
            world
                .module("Leads")
                .unwrap()
                .view_members(&views::of("Leads")[0], None),
            [0]
        );
    }

    #[test]
    fn times_have_zohos_format() {
        assert_eq!(
            format_zoho_time("2024-02-01T13:22:56.7Z".parse().unwrap()),
            "2024-02-01T18:52:56+05:30"
        );
    }
}

//! What an org has besides the seeded data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::org::CrmOrg;
use crate::org::field::{Field, FieldType};
use crate::org::module::Module;
use crate::org::schema::{CUSTOM_FIELDS, MAX_RECORDS, MODULES, Schema};
use crate::org::users::CrmUser;
use crate::org::views::View;

/// The number of records of an added module.
const RECORDS: u64 = 40;

/// Modules that can be added: each has a range of record ids.
const MAX_MODULES: usize = 200;

/// The most users of an org.
const MAX_USERS: usize = 200;

/// What an org needs besides the seeded data, so that updates which a test or a demonstration makes can succeed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrgAdditions {
    /// Whether every number of 10 to 19 digits is the id of a record in every module.
    pub any_record_id: bool,
    /// Active users, by id, by e-mail address or both.
    pub users: Vec<UserAddition>,
    /// The modules, by API name. One that the org does not have is added as a custom module.
    pub modules: BTreeMap<String, ModuleAdditions>,
}

/// An active user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAddition {
    /// By id.
    Id(String),
    /// By e-mail address.
    Email(String),
}

/// What a module needs besides its seeded data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModuleAdditions {
    /// Fields by API name, each with values that it is set to. Their types decide the type of a new field; a text that a
    /// picklist does not offer is added to its options.
    pub fields: BTreeMap<String, Vec<Value>>,
    /// Values of one field that a record has to have, each in a record of its own.
    pub matched: Vec<(String, Value)>,
    /// Fields of which no two records may have the same value.
    pub unique: BTreeSet<String>,
    /// Custom views by id, each with all records.
    pub view_ids: Vec<u64>,
    /// Custom views by name, each with all records.
    pub view_names: Vec<String>,
}

/// Schemas have static lifetimes, because the seeded ones are constants. An added one lives as long as the process.
fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

impl CrmOrg {
    /// Adds to the org. What it has already stays as it is.
    pub(crate) fn extend(&mut self, additions: &OrgAdditions) {
        self.any_record_id |= additions.any_record_id;
        for user in &additions.users {
            self.add_user(user);
        }
        for (name, needed) in &additions.modules {
            if self.module(name).is_none() && !self.add_module(name) {
                continue;
            }
            let any_record_id = self.any_record_id;
            let next_view = self.next_view_id();
            if let Some(module) = self.module_mut(name) {
                module.any_record_id = any_record_id;
                module.extend(needed, next_view);
            }
        }
        for module in &mut self.modules {
            module.any_record_id = self.any_record_id;
        }
    }

    fn add_user(&mut self, wanted: &UserAddition) {
        let is_known = self.users.iter().any(|user| match wanted {
            UserAddition::Id(id) => user.id == id,
            UserAddition::Email(email) => user.email.eq_ignore_ascii_case(email),
        });
        if is_known || self.users.len() >= MAX_USERS {
            return;
        }
        let number = self.users.len() + 1;
        let (id, email) = match wanted {
            UserAddition::Id(id) => (id.clone(), format!("user.{number}@example.com")),
            UserAddition::Email(email) => (format!("5725767000000412{number:03}"), email.clone()),
        };
        let user = CrmUser {
            id: leaked(&id),
            name: leaked(&format!("Added User{number}")),
            email: leaked(&email),
            status: "active",
        };
        self.users.push(Box::leak(Box::new(user)));
    }

    fn add_module(&mut self, name: &str) -> bool {
        let added = self.modules.len().saturating_sub(MODULES.len());
        let last = MODULES.iter().map(|schema| schema.first_id).max();
        if added >= MAX_MODULES {
            return false;
        }
        let schema = Schema {
            name: leaked(name),
            first_id: last.unwrap_or_default() + (added as u64 + 1) * 1_000_000,
            records: RECORDS.min(MAX_RECORDS),
            fields_per_call: 1,
            custom: true,
            fields: CUSTOM_FIELDS,
        };
        let schema: &'static Schema = Box::leak(Box::new(schema));
        self.modules
            .push(Module::seeded(schema, schema.records, Vec::new()));
        true
    }

    fn next_view_id(&self) -> u64 {
        let views = self.modules.iter().flat_map(|module| &module.views);
        let last = views.map(|view| view.id).filter(|id| *id < ADDED_VIEWS * 2);
        last.max().unwrap_or_default().max(ADDED_VIEWS) + 1
    }
}

/// Ids of added views are above this one.
const ADDED_VIEWS: u64 = 5_725_767_000_000_090_000;

impl Module {
    fn extend(&mut self, needed: &ModuleAdditions, next_view: u64) {
        let mut fields = self.schema.fields.to_vec();
        for (name, values) in &needed.fields {
            match fields.iter_mut().find(|field| field.name == name) {
                Some(field) => *field = with_options(*field, values),
                None => fields.push(new_field(name, values)),
            }
        }
        for (name, value) in &needed.matched {
            if name != "id" && !fields.iter().any(|field| field.name == name) {
                fields.push(new_field(name, std::slice::from_ref(value)));
            }
        }
        for field in &mut fields {
            if needed.unique.contains(field.name) {
                field.unique = true;
            }
        }
        let schema = Schema {
            fields: Box::leak(fields.into_boxed_slice()),
            ..*self.schema
        };
        self.schema = Box::leak(Box::new(schema));
        for (name, value) in &needed.matched {
            let has_value = (0..self.records).any(|index| self.value(index, name) == *value);
            let free = (0..self.records).find(|index| !self.is_changed(*index));
            if let (false, Some(index)) = (has_value, free) {
                let fields = Map::from_iter([(name.clone(), value.clone())]);
                self.update_record(index, &fields, true, crate::org::seed_data::seeded_at());
            }
        }
        for id in &needed.view_ids {
            if !self.views.iter().any(|view| view.id == *id) {
                self.views
                    .push(View::added(*id, leaked(&format!("View {id}"))));
            }
        }
        for (id, name) in (next_view..).zip(&needed.view_names) {
            if !self.views.iter().any(|view| view.name == name) {
                self.views.push(View::added(id, leaked(name)));
            }
        }
    }
}

/// A picklist with these values among its options.
fn with_options(field: Field, values: &[Value]) -> Field {
    if !matches!(
        field.field_type,
        FieldType::Picklist | FieldType::Multiselect
    ) {
        return field;
    }
    let mut options: Vec<&'static str> = field.option_texts().to_vec();
    for text in values.iter().flat_map(texts) {
        let known = Field::new("", field.field_type)
            .options(Box::leak(options.clone().into_boxed_slice()))
            .picklist_options()
            .any(|option| option.actual == text && option.used);
        if !known && !text.contains('|') && !text.starts_with('!') {
            options.push(leaked(text));
        }
    }
    field.options(Box::leak(options.into_boxed_slice()))
}

/// The texts of a value: itself, or the items of a list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// A field whose type fits its name and values.
fn new_field(name: &str, values: &[Value]) -> Field {
    let is_date = |text: &str| text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
    let field_type = match values.iter().find(|value| !value.is_null()) {
        Some(Value::Bool(_)) => FieldType::Boolean,
        Some(Value::Number(number)) if number.is_f64() => FieldType::Currency,
        Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n.abs() < 999_999_999) => {
            FieldType::Integer
        }
        Some(Value::Number(_)) => FieldType::Currency,
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => FieldType::Multiselect,
        Some(Value::Array(_)) => FieldType::Subform,
        Some(Value::Object(_)) => FieldType::Lookup,
        Some(Value::String(text)) if is_date(text) => FieldType::Date,
        Some(Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => FieldType::DateTime,
        Some(Value::String(text)) if text.chars().count() > 200 => FieldType::Textarea,
        Some(Value::String(_)) if name.ends_with("Email") => FieldType::Email,
        Some(Value::String(_) | Value::Null) | None => FieldType::Text,
    };
    let field = Field::new(leaked(name), field_type);
    if field_type == FieldType::Multiselect {
        with_options(field, values)
    } else if field_type == FieldType::DateTime {
        field.editable()
    } else if field_type == FieldType::Lookup {
        field.lookup("Accounts")
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::org::users::USERS;

    fn additions() -> OrgAdditions {
        let leads = ModuleAdditions {
            fields: BTreeMap::from([
                ("Lead_Source".to_owned(), vec![json!("Newsletter")]),
                ("Score".to_owned(), vec![json!(7)]),
                ("Interests".to_owned(), vec![json!(["A", "B"])]),
            ]),
            matched: vec![("Email".to_owned(), json!("new@example.org"))],
            unique: BTreeSet::from(["Score".to_owned()]),
            view_ids: vec![42],
            view_names: vec!["Newcomers".to_owned()],
        };
        let orders = ModuleAdditions {
            fields: BTreeMap::from([("State".to_owned(), vec![json!("paid")])]),
            ..ModuleAdditions::default()
        };
        OrgAdditions {
            any_record_id: true,
            users: vec![
                UserAddition::Email("ann@example.com".to_owned()),
                UserAddition::Email("Alan.Sales@example.com".to_owned()),
                UserAddition::Id("5725767000000999001".to_owned()),
            ],
            modules: [
                ("Leads".to_owned(), leads),
                ("Shop_Orders".to_owned(), orders),
            ]
            .into(),
        }
    }

    #[test]
    fn additions_extend_modules_and_keep_the_rest() {
        let mut org = CrmOrg::seeded(&BTreeMap::new()).unwrap();
        let before = org.module("Leads").unwrap().schema.fields.len();
        org.extend(&additions());
        org.extend(&additions());
        let leads = org.module("Leads").unwrap();
        assert_eq!(leads.schema.fields.len(), before + 2);
        let source = leads.schema.field("Lead_Source").unwrap();
        let options = source
            .picklist_options()
            .filter(|one| one.actual == "Newsletter");
        assert_eq!(options.count(), 1);
        let matching =
            (0..leads.records).filter(|at| leads.value(*at, "Email") == "new@example.org");
        assert_eq!(matching.count(), 1);
        assert!(leads.schema.field("Score").unwrap().unique);
        assert!(leads.view("42").is_ok());
        assert_eq!(
            leads
                .views
                .iter()
                .filter(|view| view.name == "Newcomers")
                .count(),
            1
        );
        let added: Vec<&str> = org.users[USERS.len()..]
            .iter()
            .map(|user| user.email)
            .collect();
        assert_eq!(added, ["ann@example.com", "user.6@example.com"]);
        assert_eq!(org.users[USERS.len() + 1].id, "5725767000000999001");
        let orders = org.module("Shop_Orders").unwrap();
        assert!(orders.schema.custom && orders.schema.field("State").is_some());
    }

    #[test]
    fn any_record_id_names_a_record_that_can_change() {
        let mut org = CrmOrg::seeded(&BTreeMap::new()).unwrap();
        let unknown = "4876876000000333001";
        assert_eq!(org.module("Leads").unwrap().index_of(unknown), None);
        org.extend(&additions());
        let leads = org.module_mut("Leads").unwrap();
        let index = leads.index_of(unknown).unwrap();
        assert_eq!(leads.record_id(index), unknown);
        let fields = Map::from_iter([("Company".to_owned(), json!("Acme"))]);
        leads.update_record(index, &fields, false, crate::org::seed_data::seeded_at());
        assert_eq!(leads.record(index)["Company"], "Acme");
        for invalid in ["7", "x", "99999999999999999999", "-4876876000000333001"] {
            assert_eq!(leads.index_of(invalid), None, "{invalid}");
        }
        // The seeded records keep their places.
        assert_eq!(leads.index_of("5725767000003000064"), Some(0));
    }
}

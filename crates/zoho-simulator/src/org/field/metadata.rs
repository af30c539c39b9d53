//! A field in `GET settings/fields`.

use serde_json::{Value, json};

use super::{AUTO_NUMBER_PREFIX, CURRENCY_DECIMALS, Field, FieldType};

impl Field {
    /// The field in `GET settings/fields`. `module_id` returns the id of a module.
    pub(crate) fn json(&self, id: u64, module_id: impl Fn(&str) -> Option<String>) -> Value {
        let decimals = (self.field_type == FieldType::Currency).then_some(CURRENCY_DECIMALS);
        let label = self.name.replace('_', " ");
        let editable = !self.read_only && !self.system;
        let permission = match (self.hidden, self.read_only) {
            (true, _) => "hidden",
            (false, true) => "read_only",
            (false, false) => "read_write",
        };
        json!({
            "id": id.to_string(),
            "api_name": self.name,
            "display_label": label,
            "field_label": label,
            "data_type": self.field_type.data_type(),
            "json_type": self.field_type.json_type(),
            "length": self.length,
            "decimal_place": decimals,
            "mass_update": self.mass_update,
            "read_only": self.read_only,
            "field_read_only": self.system,
            "visible": !self.hidden,
            "operation_type": {
                "web_update": editable, "api_create": !self.system, "web_create": !self.system, "api_update": editable,
            },
            "system_mandatory": self.required,
            "custom_field": false,
            "virtual_field": false,
            "blueprint_supported": self.field_type == FieldType::Picklist,
            "unique": if self.unique { json!({"case_sensitive": false}) } else { json!({}) },
            "pick_list_values": self.picklist_json(id),
            "lookup": self.lookup_json(id, module_id),
            "formula": self.formula_json(),
            "currency": self.currency_json(),
            "auto_number": self.auto_number_json(),
            "rollup_summary": self.rollup_json(id),
            "multiselectlookup": {},
            "multiuserlookup": {},
            "subform": null,
            "associated_module": null,
            "profiles": [{"permission_type": permission, "name": "Administrator", "id": "5725767000000026011"}],
            "type": "used",
        })
    }

    fn picklist_json(&self, id: u64) -> Vec<Value> {
        let option_json = |(index, option): (usize, super::PicklistOption)| {
            json!({
                "display_value": option.display,
                "actual_value": option.actual,
                "reference_value": option.actual,
                "sequence_number": index + 1,
                "colour_code": null,
                "id": (id + 1_000 * (index as u64 + 1)).to_string(),
                "type": if option.used { "used" } else { "unused" },
            })
        };
        self.picklist_options()
            .enumerate()
            .map(option_json)
            .collect()
    }

    /// `lookup` of a lookup field; `{}` for any other field.
    fn lookup_json(&self, id: u64, module_id: impl Fn(&str) -> Option<String>) -> Value {
        let Some(module) = self.lookup else {
            return json!({});
        };
        json!({
            "id": (id + 500).to_string(),
            "api_name": self.name,
            "display_label": self.name.replace('_', " "),
            "module": {"api_name": module, "module_name": module, "id": module_id(module)},
            "query_details": {},
            "revalidate_filter_during_edit": false,
        })
    }

    fn formula_json(&self) -> Value {
        match &self.formula {
            Some(formula) => {
                json!({"return_type": formula.return_type, "expression": formula.expression})
            }
            None => json!({}),
        }
    }

    fn currency_json(&self) -> Value {
        let is_currency = match &self.formula {
            Some(formula) => formula.return_type == "currency",
            None => matches!(
                self.field_type,
                FieldType::Currency | FieldType::RollupSummary
            ),
        };
        match is_currency {
            true => json!({"rounding_option": "normal", "precision": CURRENCY_DECIMALS}),
            false => json!({}),
        }
    }

    fn auto_number_json(&self) -> Value {
        match self.field_type == FieldType::AutoNumber {
            true => json!({
                "prefix": AUTO_NUMBER_PREFIX, "suffix": "", "start_number": 1, "starting_number_length": 1,
            }),
            false => json!({}),
        }
    }

    fn rollup_json(&self, id: u64) -> Value {
        if self.field_type != FieldType::RollupSummary {
            return json!({});
        }
        json!({
            "return_type": "currency",
            "rollup_based_on": "related_list",
            "expression": {"function_parameters": [{"api_name": "Amount", "id": (id + 700).to_string()}], "criteria": null, "function": "sum"},
            "based_on_module": {"api_name": "Deals", "id": (id + 710).to_string()},
            "related_list": {"api_name": "Deals", "id": (id + 720).to_string()},
        })
    }
}

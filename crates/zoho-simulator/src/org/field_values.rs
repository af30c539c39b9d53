//! Validation of field values in updates.

use serde_json::{Map, Value, json};

use crate::org::field::{CURRENCY_DECIMALS, Field, FieldType};
use crate::org::schema::PIPELINES;
use crate::org::seed_data::LAYOUT_ID;
use crate::response::error_object;

/// The error object for an invalid value in the data object at this position.
///
/// Keys such as `maximum_length` are in Zoho's specification of the error's details. The message is the API's general one.
pub(crate) fn value_error(field: &Field, value: &Value, position: usize) -> Option<Value> {
    let invalid = |details| invalid(field, details, position);
    if value.is_null() {
        return field.required.then(|| invalid(json!({})));
    }
    let expected = || {
        Some(invalid(
            json!({"expected_data_type": field.field_type.json_type()}),
        ))
    };
    match field.field_type {
        FieldType::Text
        | FieldType::Phone
        | FieldType::Email
        | FieldType::Website
        | FieldType::Textarea => {
            let Some(text) = value.as_str() else {
                return expected();
            };
            if field.field_type == FieldType::Email && !is_email(text) {
                return Some(invalid(json!({"expected_data_type": "email"})));
            }
            (text.chars().count() > field.length)
                .then(|| invalid(json!({"maximum_length": field.length})))
        }
        FieldType::Picklist => match value.as_str() {
            Some(option) => option_error(field, option, position),
            None => expected(),
        },
        FieldType::Multiselect => {
            let Some(options) = value.as_array() else {
                return expected();
            };
            options.iter().find_map(|option| match option.as_str() {
                Some(option) => option_error(field, option, position),
                None => expected(),
            })
        }
        FieldType::Integer => {
            let Some(number) = value.as_i64() else {
                return expected();
            };
            let max = 10_i64.pow(field.length as u32) - 1;
            (!(-max..=max).contains(&number))
                .then(|| invalid(json!({"range": {"from": -max, "to": max}})))
        }
        FieldType::Currency => {
            let Some(number) = value.as_f64() else {
                return expected();
            };
            if number.abs() >= 1e16 {
                return Some(invalid(json!({"maximum_length": field.length})));
            }
            let scaled = number * 100.0;
            ((scaled - scaled.round()).abs() > 1e-6 * scaled.abs().max(1.0))
                .then(|| invalid(json!({"maximum_decimal_place": CURRENCY_DECIMALS})))
        }
        FieldType::Percent => {
            let Some(number) = value.as_f64() else {
                return expected();
            };
            (!(0.0..=100.0).contains(&number))
                .then(|| invalid(json!({"range": {"from": 0, "to": 100}})))
        }
        // Too long for a JSON number, so it is a string.
        FieldType::BigInt => {
            let digits = value
                .as_str()
                .is_some_and(|text| text.len() <= field.length && text.parse::<i64>().is_ok());
            if digits { None } else { expected() }
        }
        FieldType::Boolean => {
            if value.is_boolean() {
                None
            } else {
                expected()
            }
        }
        FieldType::Date => {
            let date = value.as_str().filter(|text| text.len() == 10);
            let valid = date.is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok());
            (!valid).then(|| invalid(json!({"expected_data_type": "date"})))
        }
        FieldType::DateTime => {
            let time = value
                .as_str()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok());
            time.is_none()
                .then(|| invalid(json!({"expected_data_type": "datetime"})))
        }
        FieldType::Layout => match value.get("id") {
            Some(Value::String(id)) if id == LAYOUT_ID => None,
            Some(Value::String(id)) => Some(error_object(
                "INVALID_DATA",
                json!({"id": id}),
                "the id given seems to be invalid",
            )),
            _ => expected(),
        },
        FieldType::Lookup | FieldType::Owner | FieldType::Formula => {
            if value.is_object() {
                None
            } else {
                expected()
            }
        }
        FieldType::Subform | FieldType::FileUpload => {
            if value.is_array() {
                None
            } else {
                expected()
            }
        }
    }
}

/// The error object for a stage that is not in the pipeline of the same update.
pub(crate) fn mapping_error(data: &Map<String, Value>) -> Option<Value> {
    let pipeline = data.get("Pipeline")?.as_str()?;
    let stage = data.get("Stage")?.as_str()?;
    let (_, stages) = PIPELINES.iter().find(|(name, _)| *name == pipeline)?;
    (!stages.contains(&stage)).then(|| {
        error_object(
            "MAPPING_MISMATCH",
            json!({"mapped_field": "Pipeline", "api_name": "Stage", "json_path": "$.data[0].Stage"}),
            "the given value is not mapped to the given field",
        )
    })
}

/// Requires a local part, one `@` and a domain with a dot. Zoho's rule is not documented.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.split('.').count() > 1
            && !domain.split('.').any(str::is_empty)
            && !text.contains(char::is_whitespace)
            && !domain.contains('@')
    })
}

fn option_error(field: &Field, option: &str, position: usize) -> Option<Value> {
    let is_available = field
        .picklist_options()
        .any(|known| known.used && known.actual == option);
    (!is_available).then(|| {
        let details = with_location(field, json!({}), position);
        error_object(
            "INVALID_DATA",
            details,
            "picklist not found in record layout",
        )
    })
}

fn invalid(field: &Field, details: Value, position: usize) -> Value {
    error_object(
        "INVALID_DATA",
        with_location(field, details, position),
        "invalid data",
    )
}

/// Adds the name and the location of the field to the details.
fn with_location(field: &Field, mut details: Value, position: usize) -> Value {
    details["api_name"] = json!(field.name);
    details["json_path"] = json!(format!("$.data[{position}].{}", field.name));
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::org::schema::MODULES;

    #[test]
    fn value_error_matches_field_type() {
        let ok = Value::Null;
        let cases = [
            ("Leads", "Company", json!("A"), ok.clone()),
            (
                "Leads",
                "Company",
                json!(7),
                json!({"expected_data_type": "string"}),
            ),
            ("Leads", "Company", Value::Null, json!({})),
            ("Leads", "City", Value::Null, ok.clone()),
            ("Leads", "City", json!("é".repeat(200)), ok.clone()),
            (
                "Leads",
                "City",
                json!("é".repeat(201)),
                json!({"maximum_length": 200}),
            ),
            ("Leads", "Lead_Source", json!("Webinar"), ok.clone()),
            ("Leads", "Lead_Source", json!("webinar"), json!({})),
            (
                "Leads",
                "Lead_Source",
                json!("Houston Showroom"),
                ok.clone(),
            ),
            ("Leads", "Lead_Source", json!("Houston"), json!({})),
            ("Leads", "Lead_Source", json!("Fax Campaign"), json!({})),
            (
                "Leads",
                "Lead_Source",
                json!(["Webinar"]),
                json!({"expected_data_type": "string"}),
            ),
            ("Leads", "Topics", json!(["CRM", "Billing"]), ok.clone()),
            (
                "Leads",
                "Topics",
                json!("CRM"),
                json!({"expected_data_type": "jsonarray"}),
            ),
            ("Leads", "Topics", json!(["CRM", "Golf"]), json!({})),
            ("Leads", "No_of_Employees", json!(999_999_999), ok.clone()),
            (
                "Leads",
                "No_of_Employees",
                json!("12"),
                json!({"expected_data_type": "integer"}),
            ),
            (
                "Leads",
                "No_of_Employees",
                json!(1_000_000_000),
                json!({"range": {"from": -999_999_999, "to": 999_999_999}}),
            ),
            ("Leads", "Annual_Revenue", json!(19.99), ok.clone()),
            (
                "Leads",
                "Annual_Revenue",
                json!(0.123),
                json!({"maximum_decimal_place": 2}),
            ),
            ("Leads", "Email_Opt_Out", json!(true), ok.clone()),
            (
                "Leads",
                "Email_Opt_Out",
                json!("true"),
                json!({"expected_data_type": "boolean"}),
            ),
            ("Leads", "Layout", json!({"id": LAYOUT_ID}), ok.clone()),
            ("Deals", "Closing_Date", json!("2026-02-28"), ok.clone()),
            (
                "Deals",
                "Closing_Date",
                json!("2026-02-30"),
                json!({"expected_data_type": "date"}),
            ),
            (
                "Deals",
                "Closing_Date",
                json!("28.02.2026"),
                json!({"expected_data_type": "date"}),
            ),
            (
                "Deals",
                "Probability",
                json!(101),
                json!({"range": {"from": 0, "to": 100}}),
            ),
        ];
        for (module, name, value, expected) in cases {
            let schema = MODULES.iter().find(|schema| schema.name == module).unwrap();
            let found = value_error(schema.field(name).unwrap(), &value, 0);
            let found = found.map_or(Value::Null, |error| {
                let mut details = error["details"].clone();
                let map = details.as_object_mut().unwrap();
                assert_eq!(map.remove("api_name"), Some(json!(name)), "{name} {value}");
                map.remove("json_path");
                details
            });
            assert_eq!(found, expected, "{name}: {value}");
        }
    }

    #[test]
    fn stage_outside_its_pipeline_is_rejected() {
        let data = json!({"Pipeline": "Renewals", "Stage": "Qualification"});
        let error = mapping_error(data.as_object().unwrap()).unwrap();
        assert_eq!(error["code"], "MAPPING_MISMATCH");
        let data = json!({"Pipeline": "Renewals", "Stage": "Closed Won"});
        assert!(mapping_error(data.as_object().unwrap()).is_none());
    }
}

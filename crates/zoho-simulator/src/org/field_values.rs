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
    if value.is_null() {
        return field.required.then(|| invalid(field, json!({}), position));
    }
    let details = match field.field_type {
        FieldType::Picklist => match value.as_str() {
            Some(option) => return option_error(field, option, position),
            None => Some(wrong_type(field)),
        },
        FieldType::Multiselect => return options_error(field, value, position),
        FieldType::Layout => match value.get("id") {
            Some(Value::String(id)) if id == LAYOUT_ID => None,
            Some(Value::String(id)) => {
                let message = "the id given seems to be invalid";
                return Some(error_object("INVALID_DATA", json!({"id": id}), message));
            }
            _ => Some(wrong_type(field)),
        },
        FieldType::Text
        | FieldType::Phone
        | FieldType::Email
        | FieldType::Website
        | FieldType::Textarea => text_error(field, value),
        FieldType::Integer | FieldType::Currency | FieldType::Percent | FieldType::BigInt => {
            number_error(field, value)
        }
        FieldType::Date => {
            let date = value.as_str().filter(|text| text.len() == 10);
            let is_valid = date.is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok());
            (!is_valid).then(|| json!({"expected_data_type": "date"}))
        }
        FieldType::DateTime => {
            let time = value.as_str().map(str::parse::<jiff::Timestamp>);
            let is_valid = time.is_some_and(|time| time.is_ok());
            (!is_valid).then(|| json!({"expected_data_type": "datetime"}))
        }
        FieldType::Boolean => (!value.is_boolean()).then(|| wrong_type(field)),
        FieldType::Lookup | FieldType::Owner => (!value.is_object()).then(|| wrong_type(field)),
        // Zoho computes these values.
        FieldType::Formula | FieldType::RollupSummary | FieldType::AutoNumber => {
            Some(wrong_type(field))
        }
        FieldType::Subform | FieldType::FileUpload => {
            (!value.is_array()).then(|| wrong_type(field))
        }
    };
    details.map(|details| invalid(field, details, position))
}

/// The details for a value of the wrong JSON type.
fn wrong_type(field: &Field) -> Value {
    json!({"expected_data_type": field.field_type.json_type()})
}

/// The details for an invalid text.
fn text_error(field: &Field, value: &Value) -> Option<Value> {
    let Some(text) = value.as_str() else {
        return Some(wrong_type(field));
    };
    if field.field_type == FieldType::Email && !is_email(text) {
        return Some(json!({"expected_data_type": "email"}));
    }
    (text.chars().count() > field.length).then(|| json!({"maximum_length": field.length}))
}

/// The details for an invalid number.
fn number_error(field: &Field, value: &Value) -> Option<Value> {
    if field.field_type == FieldType::BigInt {
        // Too long for a JSON number, so it is a string.
        let is_valid = value
            .as_str()
            .is_some_and(|text| text.len() <= field.length && text.parse::<i64>().is_ok());
        return (!is_valid).then(|| wrong_type(field));
    }
    if field.field_type == FieldType::Integer {
        let Some(number) = value.as_i64() else {
            return Some(wrong_type(field));
        };
        let max = 10_i64.pow(field.length as u32) - 1;
        return (!(-max..=max).contains(&number))
            .then(|| json!({"range": {"from": -max, "to": max}}));
    }
    let Some(number) = value.as_f64() else {
        return Some(wrong_type(field));
    };
    if field.field_type == FieldType::Percent {
        return (!(0.0..=100.0).contains(&number))
            .then(|| json!({"range": {"from": 0, "to": 100}}));
    }
    if number.abs() >= 1e16 {
        return Some(json!({"maximum_length": field.length}));
    }
    let scaled = number * 100.0;
    ((scaled - scaled.round()).abs() > 1e-6 * scaled.abs().max(1.0))
        .then(|| json!({"maximum_decimal_place": CURRENCY_DECIMALS}))
}

/// The error object for the first invalid option of a multi-select.
fn options_error(field: &Field, value: &Value, position: usize) -> Option<Value> {
    let wrong_type = || Some(invalid(field, wrong_type(field), position));
    let Some(options) = value.as_array() else {
        return wrong_type();
    };
    options.iter().find_map(|option| match option.as_str() {
        Some(option) => option_error(field, option, position),
        None => wrong_type(),
    })
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

    /// The details of the error for a value, without the location that all details have; `null` without an error.
    fn error_details(module: &str, name: &str, value: &Value) -> Value {
        let schema = MODULES.iter().find(|schema| schema.name == module).unwrap();
        let error = value_error(schema.field(name).unwrap(), value, 0);
        error.map_or(Value::Null, |error| {
            let mut details = error["details"].clone();
            let map = details.as_object_mut().unwrap();
            assert_eq!(map.remove("api_name"), Some(json!(name)), "{name} {value}");
            map.remove("json_path");
            details
        })
    }

    #[test]
    fn valid_values_have_no_error() {
        for (module, name, value) in [
            ("Leads", "Company", json!("A")),
            ("Leads", "City", Value::Null),
            ("Leads", "City", json!("é".repeat(200))),
            ("Leads", "Lead_Source", json!("Webinar")),
            ("Leads", "Lead_Source", json!("Houston Showroom")),
            ("Leads", "Topics", json!(["CRM", "Billing"])),
            ("Leads", "No_of_Employees", json!(999_999_999)),
            ("Leads", "Annual_Revenue", json!(19.99)),
            ("Leads", "Email_Opt_Out", json!(true)),
            ("Leads", "Layout", json!({"id": LAYOUT_ID})),
            ("Deals", "Closing_Date", json!("2026-02-28")),
        ] {
            let details = error_details(module, name, &value);
            assert_eq!(details, Value::Null, "{name}: {value}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of cases")]
    fn invalid_values_have_error_details() {
        let max_integer = 999_999_999;
        for (module, name, value, key, expected) in [
            (
                "Leads",
                "Company",
                json!(7),
                "expected_data_type",
                json!("string"),
            ),
            ("Leads", "Company", Value::Null, "", json!({})),
            (
                "Leads",
                "City",
                json!("é".repeat(201)),
                "maximum_length",
                json!(200),
            ),
            ("Leads", "Lead_Source", json!("webinar"), "", json!({})),
            ("Leads", "Lead_Source", json!("Houston"), "", json!({})),
            ("Leads", "Lead_Source", json!("Fax Campaign"), "", json!({})),
            (
                "Leads",
                "Lead_Source",
                json!(["Webinar"]),
                "expected_data_type",
                json!("string"),
            ),
            (
                "Leads",
                "Topics",
                json!("CRM"),
                "expected_data_type",
                json!("jsonarray"),
            ),
            ("Leads", "Topics", json!(["CRM", "Golf"]), "", json!({})),
            (
                "Leads",
                "No_of_Employees",
                json!("12"),
                "expected_data_type",
                json!("integer"),
            ),
            (
                "Leads",
                "No_of_Employees",
                json!(1_000_000_000),
                "range",
                json!({"from": -max_integer, "to": max_integer}),
            ),
            (
                "Leads",
                "Annual_Revenue",
                json!(0.123),
                "maximum_decimal_place",
                json!(2),
            ),
            (
                "Leads",
                "Email_Opt_Out",
                json!("true"),
                "expected_data_type",
                json!("boolean"),
            ),
            (
                "Deals",
                "Closing_Date",
                json!("2026-02-30"),
                "expected_data_type",
                json!("date"),
            ),
            (
                "Deals",
                "Closing_Date",
                json!("28.02.2026"),
                "expected_data_type",
                json!("date"),
            ),
            (
                "Deals",
                "Probability",
                json!(101),
                "range",
                json!({"from": 0, "to": 100}),
            ),
        ] {
            let expected = if key.is_empty() {
                expected
            } else {
                json!({key: expected})
            };
            let details = error_details(module, name, &value);
            assert_eq!(details, expected, "{name}: {value}");
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

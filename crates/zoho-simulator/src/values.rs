//! Which values a field takes in a mass update, and how Zoho refuses the others.

use serde_json::{Map, Value, json};

use crate::answer::entry;
use crate::fields::{DECIMALS, Field, Kind};
use crate::schema::PIPELINES;
use crate::seeds::LAYOUT_ID;

/// The error entry for a value that the field does not take, in the data object at this place.
///
/// The key `maximum_length` and its kin stand in Zoho's specification of the error's details; the wording of the
/// message is the API's general one.
pub(crate) fn refuse(field: &Field, value: &Value, at: usize) -> Option<Value> {
    let invalid = |details| invalid(field, details, at);
    if value.is_null() {
        return field.required.then(|| invalid(json!({})));
    }
    let expected = || {
        Some(invalid(
            json!({"expected_data_type": field.kind.json_type()}),
        ))
    };
    match field.kind {
        Kind::Text | Kind::Phone | Kind::Email | Kind::Website | Kind::Textarea => {
            let Some(text) = value.as_str() else {
                return expected();
            };
            if field.kind == Kind::Email && !is_email(text) {
                return Some(invalid(json!({"expected_data_type": "email"})));
            }
            (text.chars().count() > field.length)
                .then(|| invalid(json!({"maximum_length": field.length})))
        }
        Kind::Picklist => match value.as_str() {
            Some(option) => refuse_option(field, option, at),
            None => expected(),
        },
        Kind::Multiselect => {
            let Some(options) = value.as_array() else {
                return expected();
            };
            options.iter().find_map(|option| match option.as_str() {
                Some(option) => refuse_option(field, option, at),
                None => expected(),
            })
        }
        Kind::Integer => {
            let Some(number) = value.as_i64() else {
                return expected();
            };
            let most = 10_i64.pow(field.length as u32) - 1;
            (!(-most..=most).contains(&number))
                .then(|| invalid(json!({"range": {"from": -most, "to": most}})))
        }
        Kind::Currency => {
            let Some(number) = value.as_f64() else {
                return expected();
            };
            if number.abs() >= 1e16 {
                return Some(invalid(json!({"maximum_length": field.length})));
            }
            let scaled = number * 100.0;
            ((scaled - scaled.round()).abs() > 1e-6 * scaled.abs().max(1.0))
                .then(|| invalid(json!({"maximum_decimal_place": DECIMALS})))
        }
        Kind::Percent => {
            let Some(number) = value.as_f64() else {
                return expected();
            };
            (!(0.0..=100.0).contains(&number))
                .then(|| invalid(json!({"range": {"from": 0, "to": 100}})))
        }
        // Too long for a number of JSON's, so it travels as a string.
        Kind::BigInt => {
            let digits = value
                .as_str()
                .is_some_and(|text| text.len() <= field.length && text.parse::<i64>().is_ok());
            if digits { None } else { expected() }
        }
        Kind::Boolean => {
            if value.is_boolean() {
                None
            } else {
                expected()
            }
        }
        Kind::Date => {
            let date = value.as_str().filter(|text| text.len() == 10);
            let valid = date.is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok());
            (!valid).then(|| invalid(json!({"expected_data_type": "date"})))
        }
        Kind::DateTime => {
            let moment = value
                .as_str()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok());
            moment
                .is_none()
                .then(|| invalid(json!({"expected_data_type": "datetime"})))
        }
        Kind::Layout => match value.get("id") {
            Some(Value::String(id)) if id == LAYOUT_ID => None,
            Some(Value::String(id)) => Some(entry(
                "INVALID_DATA",
                json!({"id": id}),
                "the id given seems to be invalid",
            )),
            _ => expected(),
        },
        Kind::Lookup | Kind::Owner | Kind::Formula => {
            if value.is_object() {
                None
            } else {
                expected()
            }
        }
        Kind::Subform | Kind::FileUpload => {
            if value.is_array() {
                None
            } else {
                expected()
            }
        }
    }
}

/// The error entry for a stage that is not in the pipeline which stands beside it.
pub(crate) fn refuse_mapping(data: &Map<String, Value>) -> Option<Value> {
    let pipeline = data.get("Pipeline")?.as_str()?;
    let stage = data.get("Stage")?.as_str()?;
    let (_, stages) = PIPELINES.iter().find(|(name, _)| *name == pipeline)?;
    (!stages.contains(&stage)).then(|| {
        entry(
            "MAPPING_MISMATCH",
            json!({"mapped_field": "Pipeline", "api_name": "Stage", "json_path": "$.data[0].Stage"}),
            "the given value is not mapped to the given field",
        )
    })
}

/// Something before one `@` and a domain with a dot after it; Zoho's own rule is not documented.
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

fn refuse_option(field: &Field, option: &str, at: usize) -> Option<Value> {
    let offered = field
        .choices()
        .any(|choice| choice.used && choice.actual == option);
    (!offered).then(|| {
        let details = with_place(field, json!({}), at);
        entry(
            "INVALID_DATA",
            details,
            "picklist not found in record layout",
        )
    })
}

fn invalid(field: &Field, details: Value, at: usize) -> Value {
    entry(
        "INVALID_DATA",
        with_place(field, details, at),
        "invalid data",
    )
}

/// The details, with the place of the field.
fn with_place(field: &Field, mut details: Value, at: usize) -> Value {
    details["api_name"] = json!(field.name);
    details["json_path"] = json!(format!("$.data[{at}].{}", field.name));
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MODULES;

    #[test]
    fn values_are_taken_or_refused_with_the_reason() {
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
        for (module, name, value, wanted) in cases {
            let schema = MODULES.iter().find(|schema| schema.name == module).unwrap();
            let found = refuse(schema.field(name).unwrap(), &value, 0);
            let found = found.map_or(Value::Null, |error| {
                let mut details = error["details"].clone();
                let map = details.as_object_mut().unwrap();
                assert_eq!(map.remove("api_name"), Some(json!(name)), "{name} {value}");
                map.remove("json_path");
                details
            });
            assert_eq!(found, wanted, "{name}: {value}");
        }
    }

    #[test]
    fn a_stage_must_be_in_its_pipeline() {
        let data = json!({"Pipeline": "Renewals", "Stage": "Qualification"});
        let error = refuse_mapping(data.as_object().unwrap()).unwrap();
        assert_eq!(error["code"], "MAPPING_MISMATCH");
        let data = json!({"Pipeline": "Renewals", "Stage": "Closed Won"});
        assert!(refuse_mapping(data.as_object().unwrap()).is_none());
    }
}

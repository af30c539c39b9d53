//! Reads Zoho's JSON of metadata leniently: a key that is missing, null or of another type than documented counts as
//! absent, and an entry without a name or an id is skipped. Pure.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Api, CustomView, Field, FieldKind, Module, Operation, Org, PicklistOption, Territory,
    Uniqueness, User,
};

/// A value, if it has the documented type.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// The keys of an object, all of them optional.
macro_rules! wire {
    ($name:ident { $($key:ident: $of:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        struct $name {
            $(#[serde(default, deserialize_with = "lenient")] $key: Option<$of>,)*
        }
    };
}

wire!(WireField {
    api_name: String,
    display_label: String,
    field_label: String,
    data_type: String,
    json_type: String,
    length: u64,
    decimal_place: u64,
    mass_update: bool,
    visible: bool,
    read_only: bool,
    field_read_only: bool,
    operation_type: WireRights,
    system_mandatory: bool,
    unique: WireUnique,
    pick_list_values: Vec<Value>,
});

wire!(WireRights {
    api_update: bool,
    api_create: bool,
});

// Of a field that is not unique the object is empty.
wire!(WireUnique {
    case_sensitive: bool
});

wire!(WireChoice {
    display_value: String,
    actual_value: String,
    r#type: String,
});

wire!(WireModule {
    api_name: String,
    plural_label: String,
    api_supported: bool,
    generated_type: String,
});

wire!(WireView {
    id: String,
    name: String,
    display_value: String,
    system_name: String,
    category: String,
});

wire!(WireTerritory {
    id: String,
    name: String,
    reporting_to: WireAbove,
});

wire!(WireAbove { id: String });

wire!(WireUser {
    id: String,
    email: String,
    status: String,
});

wire!(WireApi {
    path: String,
    operation_types: Vec<Value>,
});

wire!(WireOperation {
    method: String,
    oauth_scope: String,
    min_credits: u64,
    max_credits: u64,
});

wire!(WireOrg {
    company_name: String,
    time_zone: String,
    license_details: WireLicense,
});

wire!(WireLicense { paid_type: String });

pub(super) fn field(value: &Value) -> Option<Field> {
    let wire: WireField = read(value)?;
    let name = wire.api_name?;
    let data_type = wire.data_type.unwrap_or_default();
    let options = wire.pick_list_values.unwrap_or_default();
    let is_kept_by_zoho = wire.field_read_only.unwrap_or(false);
    let rights = wire.operation_type.as_ref();
    let is_denied = |right: Option<bool>| right == Some(false);
    let read_only = wire.read_only.unwrap_or(false) || is_kept_by_zoho;
    let case_sensitive = wire.unique.and_then(|unique| unique.case_sensitive);
    Some(Field {
        kind: kind(&data_type, wire.json_type.as_deref().unwrap_or_default()),
        label: wire
            .display_label
            .or(wire.field_label)
            .unwrap_or_else(|| name.clone()),
        name: name.parse().ok()?,
        data_type,
        // A length of nothing is none.
        length: wire.length.filter(|length| *length > 0),
        decimal_place: wire.decimal_place,
        // What is not said forbids nothing.
        mass_update: wire.mass_update.unwrap_or(true),
        visible: wire.visible.unwrap_or(true),
        read_only: read_only || is_denied(rights.and_then(|rights| rights.api_update)),
        creatable: !read_only && !is_denied(rights.and_then(|rights| rights.api_create)),
        mandatory: wire.system_mandatory.unwrap_or(false),
        unique: case_sensitive.map(|case_sensitive| match case_sensitive {
            true => Uniqueness::CaseSensitive,
            false => Uniqueness::IgnoresCase,
        }),
        options: options.iter().filter_map(choice).collect(),
    })
}

/// The type of a value. The data type says more than the JSON type, which decides for types that are not listed here.
fn kind(data_type: &str, json_type: &str) -> FieldKind {
    match data_type {
        "text" | "textarea" | "email" | "phone" | "website" | "autonumber" => FieldKind::Text,
        "picklist" => FieldKind::Picklist,
        "multiselectpicklist" => FieldKind::MultiSelect,
        "integer" => FieldKind::Integer,
        "bigint" => FieldKind::BigInteger,
        "double" | "currency" | "percent" | "decimal" => FieldKind::Decimal,
        "boolean" => FieldKind::Boolean,
        "date" => FieldKind::Date,
        "datetime" => FieldKind::DateTime,
        _ => match json_type {
            "string" => FieldKind::Text,
            "integer" | "long" => FieldKind::Integer,
            "double" => FieldKind::Decimal,
            "boolean" => FieldKind::Boolean,
            "jsonobject" => FieldKind::Object,
            "jsonarray" => FieldKind::List,
            _ => FieldKind::Other,
        },
    }
}

fn choice(value: &Value) -> Option<PicklistOption> {
    let wire: WireChoice = read(value)?;
    let actual = wire.actual_value.or_else(|| wire.display_value.clone())?;
    Some(PicklistOption {
        display: wire.display_value.unwrap_or_else(|| actual.clone()),
        actual,
        used: wire.r#type.as_deref() != Some("unused"),
    })
}

pub(super) fn module(value: &Value) -> Option<Module> {
    let wire: WireModule = read(value)?;
    let name = wire.api_name?;
    Some(Module {
        label: wire.plural_label.unwrap_or_else(|| name.clone()),
        name: name.parse().ok()?,
        api_supported: wire.api_supported.unwrap_or(true),
        custom: wire.generated_type.as_deref() == Some("custom"),
    })
}

pub(super) fn custom_view(value: &Value) -> Option<CustomView> {
    let wire: WireView = read(value)?;
    let name = wire.name.or_else(|| wire.display_value.clone())?;
    Some(CustomView {
        id: wire.id?.parse().ok()?,
        display: wire.display_value.unwrap_or_else(|| name.clone()),
        name,
        system_name: wire.system_name,
        category: wire.category,
    })
}

pub(super) fn territory(value: &Value) -> Option<Territory> {
    let wire: WireTerritory = read(value)?;
    let above = wire.reporting_to.and_then(|above| above.id);
    Some(Territory {
        id: wire.id?.parse().ok()?,
        name: wire.name?,
        reports_to: above.and_then(|id| id.parse().ok()),
    })
}

pub(super) fn user(value: &Value) -> Option<User> {
    let wire: WireUser = read(value)?;
    Some(User {
        id: wire.id?.parse().ok()?,
        email: wire.email?,
        // What is not said forbids nothing: Zoho judges the owner again.
        active: wire
            .status
            .is_none_or(|status| status.eq_ignore_ascii_case("active")),
    })
}

pub(super) fn api(value: &Value) -> Option<Api> {
    let wire: WireApi = read(value)?;
    let operations = wire.operation_types.unwrap_or_default();
    Some(Api {
        path: wire.path?,
        operations: operations.iter().filter_map(operation).collect(),
    })
}

fn operation(value: &Value) -> Option<Operation> {
    let wire: WireOperation = read(value)?;
    Some(Operation {
        method: wire.method?,
        oauth_scope: wire.oauth_scope.unwrap_or_default(),
        min_credits: wire.min_credits,
        max_credits: wire.max_credits,
    })
}

pub(super) fn org(value: &Value) -> Option<Org> {
    let wire: WireOrg = read(value)?;
    Some(Org {
        company: wire.company_name.unwrap_or_default(),
        edition: wire.license_details.and_then(|license| license.paid_type),
        time_zone: wire.time_zone,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn field_is_read_with_its_options() {
        let read = field(&json!({
            "id": "1", "api_name": "Lead_Source", "display_label": "Lead Source", "data_type": "picklist",
            "json_type": "string", "length": 120, "decimal_place": null, "mass_update": true, "visible": true,
            "read_only": false, "field_read_only": false, "operation_type": {"api_update": true},
            "system_mandatory": false,
            "pick_list_values": [
                {"display_value": "Houston", "actual_value": "Houston Showroom", "type": "used"},
                {"display_value": "Fax", "actual_value": "Fax", "type": "unused"},
                {"display_value": "Chat"}, 7,
            ],
        }));
        let read = read.expect("a field");
        assert_eq!(
            (read.kind, read.length, read.decimal_place),
            (FieldKind::Picklist, Some(120), None)
        );
        let options: Vec<_> = read
            .options
            .iter()
            .map(|choice| (choice.display.as_str(), choice.actual.as_str(), choice.used))
            .collect();
        assert_eq!(
            options,
            [
                ("Houston", "Houston Showroom", true),
                ("Fax", "Fax", false),
                ("Chat", "Chat", true)
            ]
        );
    }

    #[test]
    fn missing_or_mistyped_key_counts_as_absent() {
        let read = field(
            &json!({"api_name": "A", "length": "many", "mass_update": null, "pick_list_values": {}, "operation_type": []}),
        );
        let read = read.expect("a field");
        assert!(read.mass_update && read.visible && !read.read_only && read.length.is_none());
        assert_eq!((read.kind, read.label.as_str()), (FieldKind::Other, "A"));
        assert_eq!(field(&json!({"data_type": "text"})), None);
        assert_eq!(field(&json!("text")), None);
        assert_eq!(custom_view(&json!({"name": "Without an id"})), None);
        assert_eq!(territory(&json!({"id": 5, "name": "A number"})), None);
    }

    #[test]
    fn any_of_three_keys_makes_a_field_read_only() {
        for extra in [
            json!({"read_only": true}),
            json!({"field_read_only": true}),
            json!({"operation_type": {"api_update": false}}),
        ] {
            let mut value = json!({"api_name": "A"});
            value
                .as_object_mut()
                .expect("an object")
                .extend(extra.as_object().expect("an object").clone());
            assert!(field(&value).expect("a field").read_only, "{value}");
        }
    }

    #[test]
    fn unique_and_creatable_fields_are_recognised() {
        for (extra, unique, creatable) in [
            (json!({}), None, true),
            (json!({"unique": {}}), None, true),
            (
                json!({"unique": {"case_sensitive": false}}),
                Some(Uniqueness::IgnoresCase),
                true,
            ),
            (
                json!({"unique": {"case_sensitive": true}, "operation_type": {"api_create": true, "api_update": false}}),
                Some(Uniqueness::CaseSensitive),
                true,
            ),
            (
                json!({"operation_type": {"api_create": false}}),
                None,
                false,
            ),
            (json!({"field_read_only": true}), None, false),
            (json!({"read_only": true}), None, false),
        ] {
            let mut value = json!({"api_name": "A"});
            let extra = extra.as_object().expect("an object").clone();
            value.as_object_mut().expect("an object").extend(extra);
            let read = field(&value).expect("a field");
            assert_eq!(
                (read.unique, read.creatable),
                (unique, creatable),
                "{value}"
            );
        }
    }

    #[test]
    fn unlisted_data_type_is_judged_by_json_type() {
        for (data_type, json_type, wanted) in [
            ("bigint", "string", FieldKind::BigInteger),
            ("currency", "double", FieldKind::Decimal),
            ("ownerlookup", "jsonobject", FieldKind::Object),
            ("subform", "jsonarray", FieldKind::List),
            ("formula", "double", FieldKind::Decimal),
            ("autonumber", "string", FieldKind::Text),
            ("event_reminder", "", FieldKind::Other),
        ] {
            assert_eq!(kind(data_type, json_type), wanted, "{data_type}");
        }
    }

    #[test]
    fn api_org_territory_and_module_are_read() {
        let read = api(
            &json!({"path": "/crm/v7/Leads/actions/mass_update", "operation_types": [
                {"method": "POST", "oauth_scope": "ZohoCRM.mass_update.leads.UPDATE", "max_credits": 3, "min_credits": 1},
                {"method": "GET"}, {},
            ]}),
        );
        let operations = read.expect("an API").operations;
        assert_eq!(operations.len(), 2);
        assert_eq!(operations[0].max_credits, Some(3));
        let read = org(&json!({"company_name": "A", "license_details": {"paid_type": "ultimate"}}));
        assert_eq!(
            read.and_then(|org| org.edition).as_deref(),
            Some("ultimate")
        );
        assert_eq!(
            territory(
                &json!({"id": "2", "name": "EMEA", "reporting_to": {"id": "1", "name": "World"}})
            )
            .and_then(|territory| territory.reports_to)
            .map(|id| id.to_string())
            .as_deref(),
            Some("1")
        );
        assert!(
            module(&json!({"api_name": "Subscriptions", "generated_type": "custom"}))
                .is_some_and(|module| module.custom)
        );
    }
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::zoho::metadata::PicklistOption;

fn field(name: &str, data_type: &str, kind: FieldKind) -> Field {
    Field {
        name: name.parse().expect("a name"),
        label: name.replace('_', " "),
        data_type: data_type.to_owned(),
        kind,
        length: None,
        decimal_place: None,
        mass_update: true,
        visible: true,
        read_only: false,
        creatable: true,
        mandatory: false,
        unique: None,
        options: Vec::new(),
    }
}

fn choices(texts: &[(&str, &str, bool)]) -> Vec<PicklistOption> {
    let choice = |(display, actual, used): &(&str, &str, bool)| PicklistOption {
        display: (*display).to_owned(),
        actual: (*actual).to_owned(),
        used: *used,
    };
    texts.iter().map(choice).collect()
}

fn fields() -> Vec<Field> {
    let sources = [
        ("-None-", "-None-", true),
        ("Webinar", "Webinar", true),
        ("Houston", "Houston Showroom", true),
        ("Fax", "Fax Campaign", false),
        ("Twin", "First Twin", true),
        ("Twin", "Second Twin", true),
    ];
    vec![
        Field {
            length: Some(10),
            mandatory: true,
            ..field("Company", "text", FieldKind::Text)
        },
        Field {
            options: choices(&sources),
            ..field("Lead_Source", "picklist", FieldKind::Picklist)
        },
        Field {
            options: choices(&[
                ("CRM", "CRM", true),
                ("Events", "Events and Webinars", true),
            ]),
            ..field("Topics", "multiselectpicklist", FieldKind::MultiSelect)
        },
        Field {
            length: Some(9),
            ..field("Employees", "integer", FieldKind::Integer)
        },
        Field {
            length: Some(18),
            ..field("Serial", "bigint", FieldKind::BigInteger)
        },
        Field {
            length: Some(16),
            decimal_place: Some(2),
            ..field("Revenue", "currency", FieldKind::Decimal)
        },
        field("Opt_Out", "boolean", FieldKind::Boolean),
        field("Due", "date", FieldKind::Date),
        field("Met", "datetime", FieldKind::DateTime),
        field("Layout", "layout", FieldKind::Object),
        Field {
            mass_update: false,
            ..field("Email", "email", FieldKind::Text)
        },
        Field {
            mass_update: false,
            ..field("Manager", "ownerlookup", FieldKind::Object)
        },
        Field {
            mass_update: false,
            ..field("Items", "subform", FieldKind::List)
        },
        Field {
            visible: false,
            ..field("Secret", "text", FieldKind::Text)
        },
        Field {
            read_only: true,
            ..field("Score", "integer", FieldKind::Integer)
        },
        field("Reminder", "event_reminder", FieldKind::Other),
    ]
}

fn assign(name: &str, value: &Value) -> Assignment {
    Assignment {
        field: name.parse().expect("a name"),
        value: value.clone(),
    }
}

fn guard_one(
    name: &str,
    value: &Value,
    method: UpdateMethod,
) -> Result<GuardedUpdate, Vec<FieldProblem>> {
    guard(&fields(), &[assign(name, value)], true, method)
}

/// The result of one assignment, as a line.
fn line(name: &str, value: &Value, requested: UpdateMethod) -> String {
    match guard_one(name, value, requested) {
        Ok(GuardedUpdate {
            assignments,
            notes,
            method,
        }) => {
            assert_eq!(
                notes.is_empty(),
                assignments[0].value == *value
                    && (requested, method) != (UpdateMethod::Auto, UpdateMethod::Records),
                "a note for each change"
            );
            format!(
                "{name} = {value} -> {} ({})\n",
                assignments[0].value,
                method.as_str()
            )
        }
        Err(problems) => format!("{name} = {value} -> {}\n", problems[0].refusal),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn value_of_each_kind_is_checked() {
    let cases = [
        ("Company", json!("Acme")),
        ("Company", json!("Ärzte ohne Grenzen")),
        ("Company", json!(7)),
        ("Company", json!(null)),
        ("Company", json!("")),
        ("Lead_Source", json!("Webinar")),
        ("Lead_Source", json!("webinar")),
        ("Lead_Source", json!("Houston")),
        ("Lead_Source", json!("Fax")),
        ("Lead_Source", json!("Twin")),
        ("Lead_Source", json!("Something else altogether")),
        ("Lead_Source", json!("-None-")),
        ("Lead_Source", json!("")),
        ("Lead_Source", json!(null)),
        ("Lead_Source", json!(["Webinar"])),
        ("Topics", json!(["CRM"])),
        ("Topics", json!(["Events", "CRM", "Events and Webinars"])),
        ("Topics", json!("CRM")),
        ("Topics", json!(["CRM", "Golf"])),
        ("Topics", json!([7])),
        ("Topics", json!([])),
        ("Topics", json!(["-None-"])),
        ("Employees", json!(12)),
        ("Employees", json!(12.0)),
        ("Employees", json!(12.5)),
        ("Employees", json!("12")),
        ("Employees", json!(1_000_000_000)),
        ("Serial", json!("123456789012345678")),
        ("Serial", json!(123)),
        ("Serial", json!("12x")),
        ("Serial", json!(1.5)),
        ("Revenue", json!(19.99)),
        ("Revenue", json!(20)),
        ("Revenue", json!(0.125)),
        ("Revenue", json!(1e17)),
        ("Revenue", json!("19.99")),
        ("Opt_Out", json!(true)),
        ("Opt_Out", json!("true")),
        ("Due", json!("2026-02-28T00:00:00Z")),
        ("Due", json!("2026-02-28T09:30:00Z")),
        ("Due", json!("")),
        ("Due", json!(1_772_236_800)),
        ("Met", json!("2026-02-28T09:30:00.5Z")),
        ("Met", json!("2026-02-28")),
        ("Layout", json!({"id": "7"})),
        ("Layout", json!({"id": 7})),
        ("Layout", json!("7")),
        ("Reminder", json!("anything")),
        ("Secret", json!("a")),
        ("Score", json!(1)),
        ("Compny", json!("a")),
        ("Zzz", json!("a")),
    ];
    let grid: String = cases
        .iter()
        .map(|(name, value)| line(name, value, UpdateMethod::MassUpdate))
        .collect();
    insta::assert_snapshot!(grid, @r#"
    Company = "Acme" -> "Acme" (mass_update)
    Company = "Ärzte ohne Grenzen" -> VALUE_TOO_LONG: the value of `Company` has 18 characters, and the field takes 10 (shorten it in the mapping: `.[:10]` in jq)
    Company = 7 -> VALUE_MISTYPED: `Company` (text) is given a whole number (send a string: `"…"`; jq's `tostring` makes one)
    Company = null -> VALUE_MISSING: `Company` must have a value, so it cannot be cleared (send a value, or leave the field out)
    Company = "" -> VALUE_MISSING: `Company` must have a value, so it cannot be cleared (send a value, or leave the field out)
    Lead_Source = "Webinar" -> "Webinar" (mass_update)
    Lead_Source = "webinar" -> PICKLIST_VALUE_UNKNOWN: `Lead_Source` has no option "webinar" (send "Webinar", if that is what is meant)
    Lead_Source = "Houston" -> "Houston Showroom" (mass_update)
    Lead_Source = "Fax" -> PICKLIST_VALUE_UNKNOWN: the option "Fax" of `Lead_Source` is not in use (send one of: "-None-", "Webinar", "Houston Showroom", "First Twin", "Second Twin")
    Lead_Source = "Twin" -> PICKLIST_VALUE_UNKNOWN: several options of `Lead_Source` are shown as "Twin" (send the actual value of one: "First Twin", "Second Twin")
    Lead_Source = "Something else altogether" -> PICKLIST_VALUE_UNKNOWN: `Lead_Source` has no option "Something else altogether" (send one of: "-None-", "Webinar", "Houston Showroom", "First Twin", "Second Twin")
    Lead_Source = "-None-" -> "-None-" (mass_update)
    Lead_Source = "" -> PICKLIST_VALUE_UNKNOWN: `Lead_Source` has no option "" (send null to clear the field)
    Lead_Source = null -> null (mass_update)
    Lead_Source = ["Webinar"] -> VALUE_MISTYPED: `Lead_Source` (picklist) is given a list (send a string: `"…"`; jq's `tostring` makes one)
    Topics = ["CRM"] -> ["CRM"] (mass_update)
    Topics = ["Events","CRM","Events and Webinars"] -> ["Events and Webinars","CRM"] (mass_update)
    Topics = "CRM" -> VALUE_MISTYPED: `Topics` (multiselectpicklist) is given a string (send a list of strings: `["…"]`)
    Topics = ["CRM","Golf"] -> PICKLIST_VALUE_UNKNOWN: `Topics` has no option "Golf" (send one of: "CRM", "Events and Webinars")
    Topics = [7] -> VALUE_MISTYPED: `Topics` (multiselectpicklist) is given a list (send a list of strings: `["…"]`)
    Topics = [] -> [] (mass_update)
    Topics = ["-None-"] -> PICKLIST_VALUE_UNKNOWN: `Topics` has no option "-None-" (send null to clear the field)
    Employees = 12 -> 12 (mass_update)
    Employees = 12.0 -> 12 (mass_update)
    Employees = 12.5 -> VALUE_MISTYPED: `Employees` (integer) is given a fractional number (send a whole number without quotes; jq's `tonumber` makes one)
    Employees = "12" -> VALUE_MISTYPED: `Employees` (integer) is given a string (send a whole number without quotes; jq's `tonumber` makes one)
    Employees = 1000000000 -> VALUE_TOO_LONG: the value of `Employees` has 10 digits before the point, and the field takes 9 (send a smaller number)
    Serial = "123456789012345678" -> "123456789012345678" (mass_update)
    Serial = 123 -> "123" (mass_update)
    Serial = "12x" -> VALUE_MISTYPED: `Serial` (bigint) is given a string (send a string of digits: `"12345"`)
    Serial = 1.5 -> VALUE_MISTYPED: `Serial` (bigint) is given a fractional number (send a string of digits: `"12345"`)
    Revenue = 19.99 -> 19.99 (mass_update)
    Revenue = 20 -> 20 (mass_update)
    Revenue = 0.125 -> VALUE_TOO_LONG: the value of `Revenue` has 3 decimal places, and the field takes 2 (round it in the mapping: `. * 100 | round / 100` in jq)
    Revenue = 1e+17 -> VALUE_TOO_LONG: the value of `Revenue` has 18 digits before the point, and the field takes 16 (send a smaller number)
    Revenue = "19.99" -> VALUE_MISTYPED: `Revenue` (currency) is given a string (send a number without quotes; jq's `tonumber` makes one)
    Opt_Out = true -> true (mass_update)
    Opt_Out = "true" -> VALUE_MISTYPED: `Opt_Out` (boolean) is given a string (send `true` or `false` without quotes; jq's `== "true"` makes one)
    Due = "2026-02-28T00:00:00Z" -> "2026-02-28" (mass_update)
    Due = "2026-02-28T09:30:00Z" -> VALUE_MISTYPED: `Due` (date) is given "2026-02-28T09:30:00Z", which is a moment, and which day it is depends on the time zone (send the day that is meant: `.[:10]` in jq, if it is the one that is written there)
    Due = "" -> VALUE_MISTYPED: `Due` (date) is given an empty string (send null to clear the field)
    Due = 1772236800 -> VALUE_MISTYPED: `Due` (date) is given a whole number (send a string `"YYYY-MM-DD"`)
    Met = "2026-02-28T09:30:00.5Z" -> "2026-02-28T09:30:00+00:00" (mass_update)
    Met = "2026-02-28" -> VALUE_MISTYPED: `Met` (datetime) is given "2026-02-28", which is a day without a time (write date, time and offset: `2026-02-28T09:30:00+01:00`, or `Z` for UTC)
    Layout = {"id":"7"} -> {"id":"7"} (mass_update)
    Layout = {"id":7} -> {"id":"7"} (mass_update)
    Layout = "7" -> VALUE_MISTYPED: `Layout` (layout) is given a string (send an object with an id: `{"id": "…"}`)
    Reminder = "anything" -> "anything" (mass_update)
    Secret = "a" -> FIELD_NOT_VISIBLE: `Secret` is not visible to the user who made the token (show the field to that user's profile, or leave it out)
    Score = 1 -> FIELD_READ_ONLY: `Score` cannot be changed by the user who made the token (give that user's profile the right to edit the field, or leave it out)
    Compny = "a" -> FIELD_UNKNOWN: the module has no field `Compny` that the token's user sees (write `Company`, if that is what is meant)
    Zzz = "a" -> FIELD_UNKNOWN: the module has no field `Zzz` that the token's user sees (take the field's API name from Setup > Developer Space > APIs in the CRM)
    "#);
}

#[test]
fn field_outside_mass_update_requires_records() {
    let cases = [
        ("Email", json!("a@example.com")),
        ("Items", json!([{"id": "1"}])),
        ("Manager", json!({"id": "1"})),
        ("Company", json!("Acme")),
    ];
    let grid: String = [
        UpdateMethod::MassUpdate,
        UpdateMethod::Records,
        UpdateMethod::Auto,
    ]
    .into_iter()
    .flat_map(|method| {
        cases
            .iter()
            .map(move |(name, value)| format!("{}: {}", method.as_str(), line(name, value, method)))
    })
    .collect();
    insta::assert_snapshot!(grid, @r#"
    mass_update: Email = "a@example.com" -> FIELD_NOT_UPDATABLE: `Email` (email) cannot be changed by a Zoho mass update (name its records by `ids` or `match` and write `update_by: records` (or `auto`) in the route, or leave it out)
    mass_update: Items = [{"id":"1"}] -> FIELD_NOT_UPDATABLE: `Items` (subform) cannot be changed by a Zoho mass update (name its records by `ids` or `match` and write `update_by: records` (or `auto`) in the route, or leave it out)
    mass_update: Manager = {"id":"1"} -> FIELD_NOT_UPDATABLE: `Manager` is a record's owner (leave it out, and name the owner in the key `owner` beside `fields`)
    mass_update: Company = "Acme" -> "Acme" (mass_update)
    records: Email = "a@example.com" -> "a@example.com" (records)
    records: Items = [{"id":"1"}] -> [{"id":"1"}] (records)
    records: Manager = {"id":"1"} -> FIELD_NOT_UPDATABLE: `Manager` is a record's owner (leave it out, and name the owner in the key `owner` beside `fields`)
    records: Company = "Acme" -> "Acme" (records)
    auto: Email = "a@example.com" -> "a@example.com" (records)
    auto: Items = [{"id":"1"}] -> [{"id":"1"}] (records)
    auto: Manager = {"id":"1"} -> FIELD_NOT_UPDATABLE: `Manager` is a record's owner (leave it out, and name the owner in the key `owner` beside `fields`)
    auto: Company = "Acme" -> "Acme" (auto)
    "#);
}

#[test]
fn all_problems_are_reported_at_once() {
    let assignments = [
        assign("Compny", &json!("Acme")),
        assign("Lead_Source", &json!("webinar")),
        assign("Opt_Out", &json!(true)),
        assign("Lead_Srce", &json!("Webinar")),
        assign("Email", &json!("a")),
        assign("Phone_Number", &json!("a")),
    ];
    let problems =
        guard(&fields(), &assignments, false, UpdateMethod::MassUpdate).expect_err("problems");
    let named: Vec<&str> = problems
        .iter()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(
        named,
        [
            "Compny",
            "Lead_Source",
            "Lead_Srce",
            "Email",
            "Phone_Number"
        ]
    );
    let all = refusal(problems).expect("a refusal");
    insta::assert_snapshot!(all, @r#"FIELD_UNKNOWN: the module has no field `Compny` that the token's user sees: write `Company`, if that is what is meant; `Lead_Source` has no option "webinar": send "Webinar", if that is what is meant; the module has no field `Lead_Srce` that the token's user sees: write `Lead_Source`, if that is what is meant; `Email` (email) cannot be changed by a Zoho mass update: name its records by `ids` or `match` and write `update_by: records` (or `auto`) in the route, or leave it out; the module has no field `Phone_Number` that the token's user sees: take the field's API name from Setup > Developer Space > APIs in the CRM (correct all of these: nothing was sent)"#);
}

#[test]
fn field_label_yields_hint_of_its_name() {
    let labelled = [Field {
        label: "Number of People".to_owned(),
        ..field("No_of_Employees", "integer", FieldKind::Integer)
    }];
    let assignments = [assign("Number_of_People", &json!(7))];
    let problems =
        guard(&labelled, &assignments, false, UpdateMethod::MassUpdate).expect_err("a problem");
    assert!(problems[0].refusal.to_string().contains("No_of_Employees"));
}

#[test]
fn assignments_without_metadata_pass_unchanged() {
    let assignments = [assign("Number_of_People", &json!(7))];
    let guarded = guard(&[], &assignments, false, UpdateMethod::Auto).expect("no metadata");
    assert_eq!(
        (guarded.assignments.as_slice(), guarded.method),
        (&assignments[..], UpdateMethod::Auto)
    );
    assert_eq!(refusal(Vec::new()), None);
}

#[test]
fn pipeline_id_passes_as_option() {
    let pipeline = [Field {
        options: choices(&[("Standard", "Standard (Standard)", true)]),
        ..field("Pipeline", "picklist", FieldKind::Picklist)
    }];
    let assignments = [assign("Pipeline", &json!("5725767000000091023"))];
    let guarded = guard(&pipeline, &assignments, false, UpdateMethod::MassUpdate).expect("passes");
    assert_eq!(guarded.assignments, assignments);
}

fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(vec![
            "",
            "-None-",
            "Webinar",
            "webinar",
            "Houston",
            "Houston Showroom",
            "Fax",
            "Twin",
            "CRM",
            "Events",
            "Events and Webinars",
            "2026-02-28",
            "20260228",
            "2026-02-28T00:00:00Z",
            "2026-02-28 09:30:00.25+0530",
            "12",
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    prop_oneof![
        4 => text.clone(),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (-1_000_000_i32..1_000_000).prop_map(|cents| json!(f64::from(cents) / 100.0)),
        1 => any::<f64>().prop_map(Value::from),
        2 => prop::collection::vec(text, 0..4).prop_map(Value::from),
        1 => any::<u32>().prop_map(|id| json!({"id": id})),
    ]
}

proptest! {
    #[test]
    fn validation_is_idempotent(
        chosen in prop::collection::vec((0..16_usize, values()), 1..6), over_write: bool, method in 0..3_usize,
    ) {
        let fields = fields();
        let method = UpdateMethod::ALL[method].0;
        let assignments: Vec<Assignment> = chosen
            .iter()
            .map(|(index, value)| assign(fields[*index].name.as_str(), value))
            .collect();
        match guard(&fields, &assignments, over_write, method) {
            Ok(guarded) => {
                let again = guard(&fields, &guarded.assignments, over_write, guarded.method);
                let unchanged = GuardedUpdate { notes: Vec::new(), ..guarded };
                prop_assert_eq!(again, Ok(unchanged));
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|problem| problem.refusal.advice.is_some()));
            }
        }
    }
}

#[test]
fn step_needs_its_field_in_the_module() {
    let module: ModuleName = "Leads".parse().expect("a module");
    let with = |names: &[&str]| -> Vec<Field> {
        let fields = names.iter();
        fields
            .map(|name| field(name, "text", FieldKind::Text))
            .collect()
    };
    for (known, refused) in [
        (with(&["Company", "Owner", "Tag"]), vec![]),
        (
            with(&["Company", "Owner"]),
            vec![StepKind::AddTags, StepKind::RemoveTags],
        ),
        (
            with(&["Company"]),
            vec![StepKind::AddTags, StepKind::RemoveTags, StepKind::Owner],
        ),
        // Without metadata nothing is known.
        (with(&[]), vec![]),
    ] {
        let steps = StepKind::ALL.into_iter();
        let found: Vec<StepKind> = steps
            .filter(|step| step_problem(&known, &module, *step).is_some())
            .collect();
        assert_eq!(found, refused);
    }
    let problem = step_problem(&with(&["Company"]), &module, StepKind::Owner).expect("a problem");
    assert_eq!(problem.refusal.code, "ACTION_NOT_SUPPORTED");
    assert!(problem.refusal.message.contains("`Leads`"), "{problem:?}");
}

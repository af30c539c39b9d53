use super::*;
use proptest::prelude::*;
use serde_json::Map;
use std::collections::HashMap;

use crate::update::{RecordId, UpdateMethod, UpdateRequest};

fn request(module: &str, fields: usize, ids: usize) -> UpdateRequest {
    request_by(UpdateMethod::MassUpdate, module, fields, ids)
}

fn request_by(method: UpdateMethod, module: &str, fields: usize, ids: usize) -> UpdateRequest {
    let fields: Map<String, Value> = (0..fields)
        .map(|n| (format!("Field_{n}"), json!(n)))
        .collect();
    let ids: Vec<u64> = (1..=ids as u64)
        .map(|n| 554_023_000_000_000_000 + n)
        .collect();
    let request = json!({"module": module, "fields": fields, "ids": ids});
    UpdateRequest::parse_for(method, &request).expect("a request")
}

fn resolved(request: &UpdateRequest) -> Resolved<'_> {
    request.resolved().expect("known records")
}

#[test]
fn a_plan_prints_what_it_does() {
    let plan = Plan::new(resolved(&request("Deals", 4, 501)), &PlanLimits::ZOHO);
    insta::assert_snapshot!(plan, @r"
    4 calls to POST /crm/v7/Deals/actions/mass_update for 501 records
        1. Field_0, Field_1, Field_2    immediate   records 1-500 (500)
        2. Field_0, Field_1, Field_2    immediate   records 501-501 (1)
        3. Field_3                      immediate   records 1-500 (500)
        4. Field_3                      immediate   records 501-501 (1)
      by mass_update  4 calls, credits not documented; chosen: selected by `update_by` (default: mass_update)
      by records      6 calls, 51 credits
    ");
}

#[test]
fn updates_of_records_set_every_field_at_once() {
    let request = UpdateRequest::parse(&json!({
        "module": "Leads", "ids": (1..=101).collect::<Vec<_>>(), "update_by": "records",
        "fields": {"Email": "a@example.com", "Topics": ["CRM"], "City": null},
    }))
    .expect("a request");
    let plan = Plan::new(resolved(&request), &PlanLimits::ZOHO);
    insta::assert_snapshot!(plan, @r"
    2 calls to PUT /crm/v7/Leads for 101 records
        1. Email, Topics, City          records     records 1-100 (100)
        2. Email, Topics, City          records     records 101-101 (1)
      by mass_update  not possible: it does not set all of the fields
      by records      2 calls, 11 credits; chosen: selected by `update_by` (default: mass_update)
    ");
    let shown = plan.to_json(resolved(&request));
    assert_eq!(
        json!([shown["update_by"], shown["why"], shown["prices"]]),
        json!(["records", "asked", {"mass_update": null, "records": {"calls": 2, "credits": 11}}])
    );
    let last = &shown["calls"][1];
    assert_eq!(
        json!([last["kind"], last["method"], last["path"]]),
        json!(["records", "PUT", "/crm/v7/Leads"])
    );
    // Added to the options that are there, as a mass update does; replaced only if that is asked.
    let mut row = json!({"id": "101", "Email": "a@example.com", "Topics": ["CRM"], "City": null});
    row["$append_values"] = json!({"Topics": true});
    assert_eq!(last["body"], json!({"data": [row]}));
    let replacing = UpdateRequest {
        over_write: true,
        ..request
    };
    let body = plan.calls()[1].body(resolved(&replacing));
    assert_eq!(body["data"][0].get("$append_values"), None);
    assert_eq!(body.get("over_write"), None, "a word of mass updates");
}

#[test]
fn auto_takes_fewer_calls_and_what_sets_the_fields() {
    let of = |fields: &Value, ids: u64| {
        let ids: Vec<u64> = (1..=ids).collect();
        let request = json!({"module": "Leads", "fields": fields, "ids": ids, "update_by": "auto"});
        let request = UpdateRequest::parse(&request).expect("a request");
        let plan = Plan::new(resolved(&request), &PlanLimits::ZOHO);
        let MethodComparison { chosen, reason, .. } = plan.comparison().expect("fields");
        (chosen, reason, plan.calls().len())
    };
    let one = json!({"City": "Bonn"});
    let two = json!({"City": "Bonn", "Rating": "Active"});
    let email = json!({"Email": "a@example.com"});
    assert_eq!(
        of(&one, 100),
        (CallKind::Immediate, MethodReason::SameCalls, 1)
    );
    assert_eq!(
        of(&one, 101),
        (CallKind::Immediate, MethodReason::FewerCalls, 1)
    );
    assert_eq!(
        of(&two, 100),
        (CallKind::Records, MethodReason::FewerCalls, 1)
    );
    assert_eq!(
        of(&two, 101),
        (CallKind::Immediate, MethodReason::SameCalls, 2)
    );
    assert_eq!(
        of(&email, 1_000),
        (CallKind::Records, MethodReason::Fields, 10)
    );
    let view = json!({"module": "Leads", "fields": one, "cvid": "7", "update_by": "auto"});
    let view = UpdateRequest::parse(&view).expect("a request");
    let plan = Plan::new(resolved(&view), &PlanLimits::ZOHO);
    let comparison = plan.comparison().expect("fields");
    assert_eq!(
        (comparison.chosen, comparison.reason, comparison.records),
        (CallKind::Scheduled, MethodReason::View, None)
    );
}

#[test]
fn a_view_is_one_call_for_each_field_group() {
    let request = UpdateRequest::parse(&json!({
        "module": "Leads", "fields": {"Industry": "Education", "Rating": "Active"},
        "cvid": "554023000000091515", "territory": {"id": "554023000000430409", "include_child": true},
    }))
    .expect("a request");
    let plan = Plan::new(resolved(&request), &PlanLimits::ZOHO);
    let bodies: Vec<Value> = plan
        .calls()
        .iter()
        .map(|call| call.body(resolved(&request)))
        .collect();
    let territory = json!({"id": "554023000000430409", "include_child": true});
    assert_eq!(
        bodies,
        [
            json!({"data": [{"Industry": "Education"}], "cvid": "554023000000091515", "territory": territory}),
            json!({"data": [{"Rating": "Active"}], "cvid": "554023000000091515", "territory": territory}),
        ]
    );
    assert_eq!(
        plan.to_string().lines().next(),
        Some(
            "2 calls to POST /crm/v7/Leads/actions/mass_update for the records of custom view 554023000000091515 in territory 554023000000430409 and below"
        )
    );
}

#[test]
fn a_stage_travels_with_its_pipeline_and_layout() {
    let request = UpdateRequest::parse(&json!({
        "module": "Deals", "ids": ["1"], "over_write": true,
        "fields": {"Amount": 1, "Stage": "Won", "Type": "New", "Pipeline": "5", "Layout": {"id": "7"}},
    }))
    .expect("a request");
    let plan = Plan::new(resolved(&request), &PlanLimits::ZOHO);
    let body = plan.calls()[0].body(resolved(&request));
    assert_eq!(
        body,
        json!({"data": [{"Stage": "Won", "Pipeline": "5", "Layout": {"id": "7"}}], "ids": ["1"], "over_write": true})
    );
    assert_eq!(plan.calls().len(), 2);
}

proptest! {
    #[test]
    fn each_method_updates_each_id_once_within_limits(
        which in 0..UpdateMethod::ALL.len(), deals: bool, fields in 1_usize..8, ids in 1_usize..2100,
    ) {
        let method = UpdateMethod::ALL[which].0;
        let module = if deals { "Deals" } else { "Contacts" };
        let request = request_by(method, module, fields, ids);
        let plan = Plan::new(resolved(&request), &PlanLimits::ZOHO);
        let MethodComparison { mass_update, records, chosen, .. } = plan.comparison().expect("fields");
        let (mass_update, records) = (mass_update.expect("possible"), records.expect("possible"));
        prop_assert_eq!(records.calls as usize, ids.div_ceil(100));
        prop_assert_eq!(records.credits, Some((0..ids).step_by(100).map(|at| (ids - at).min(100).div_ceil(10) as u64).sum()));
        let expected = match method {
            UpdateMethod::MassUpdate => CallKind::Immediate,
            UpdateMethod::Records => CallKind::Records,
            UpdateMethod::Auto if records.calls < mass_update.calls => CallKind::Records,
            UpdateMethod::Auto => CallKind::Immediate,
        };
        prop_assert_eq!(chosen, expected);
        let mut set: HashMap<RecordId, usize> = HashMap::new();
        for call in plan.calls() {
            prop_assert_eq!(call.target.kind(), chosen);
            let named = call.ids(resolved(&request));
            let body = call.body(resolved(&request));
            if chosen == CallKind::Records {
                prop_assert!((1..=100).contains(&named.len()));
                let rows: Vec<RecordId> = body["data"].as_array().expect("rows").iter()
                    .map(|row| row["id"].as_str().expect("an id").parse().expect("an id")).collect();
                prop_assert_eq!(named, &rows[..]);
            }
            for id in named {
                *set.entry(*id).or_default() += call.fields.len();
            }
        }
        prop_assert_eq!(set.len(), ids);
        prop_assert!(set.values().all(|times| *times == fields), "each field once on each record");
    }

    #[test]
    fn plan_covers_each_id_and_field_once_within_limits(
        deals: bool, fields in 1_usize..8, ids in 1_usize..2100,
    ) {
        let module = if deals { "Deals" } else { "Contacts" };
        let per_call = if deals { 3 } else { 1 };
        let request = request(module, fields, ids);
        let plan = Plan::new(resolved(&request), &PlanLimits::ZOHO);
        prop_assert_eq!(&plan, &Plan::new(resolved(&request), &PlanLimits::ZOHO), "the order is stable");
        let mut covered: HashMap<(RecordId, FieldName), usize> = HashMap::new();
        for (index, call) in plan.calls().iter().enumerate() {
            prop_assert_eq!(call.seq, index + 1);
            prop_assert!((1..=500).contains(&call.ids(resolved(&request)).len()));
            prop_assert!((1..=per_call).contains(&call.fields.len()));
            let body = call.body(resolved(&request));
            prop_assert_eq!(body["ids"].as_array().map(Vec::len), Some(call.ids(resolved(&request)).len()));
            prop_assert_eq!(body["data"][0].as_object().map(Map::len), Some(call.fields.len()));
            for id in call.ids(resolved(&request)) {
                for field in &call.fields {
                    *covered.entry((*id, field.clone())).or_default() += 1;
                }
            }
        }
        prop_assert_eq!(covered.len(), ids * fields);
        prop_assert!(covered.values().all(|times| *times == 1));
        prop_assert_eq!(plan.calls().len(), ids.div_ceil(500) * fields.div_ceil(per_call));
    }
}

proptest! {
    /// Fields, tags to add, tags to remove, owner: whatever the order of the keys, and each record once in each step.
    #[test]
    fn steps_have_one_order_and_cover_each_record_once(
        has in [any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()], ids in 1_usize..1_300, by in 0..UpdateMethod::ALL.len(),
    ) {
        let keys = [
            has[3].then(|| ("owner", json!({"id": "5"}))),
            has[1].then(|| ("tags", json!({"add": ["a"]}))),
            has[0].then(|| ("fields", json!({"City": "Bonn", "Rating": "Active"}))),
        ];
        let ids: Vec<usize> = (1..=ids).collect();
        let mut request = json!({"module": "Leads", "ids": ids, "update_by": UpdateMethod::ALL[by].0.as_str()});
        for (key, value) in keys.into_iter().flatten() {
            request[key] = value;
        }
        if has[2] {
            request["tags"]["remove"] = json!(["b"]);
        }
        prop_assume!(has.contains(&true));
        let request = UpdateRequest::parse(&request).expect("a request");
        let again = UpdateRequest::parse(&request.to_json());
        prop_assert_eq!(again.as_ref(), Ok(&request));
        let resolved = resolved(&request);
        let plan = Plan::new(resolved, &PlanLimits::ZOHO);
        // No record is created.
        let steps = StepKind::ALL.into_iter().filter(|step| *step != StepKind::Create);
        let expected: Vec<StepKind> = steps.zip(has).filter(|(_, has)| *has).map(|(step, _)| step).collect();
        prop_assert_eq!(plan.steps(), expected.clone());
        prop_assert_eq!(request.steps(), expected);
        let mut seen: HashMap<(StepKind, usize), Vec<RecordId>> = HashMap::new();
        for (place, call) in plan.calls().iter().enumerate() {
            prop_assert_eq!(call.seq, place + 1);
            prop_assert!(call.ids(resolved).len() <= call.target.kind().capacity());
            prop_assert!(call.step() == StepKind::Fields || call.fields.is_empty());
            seen.entry((call.step(), call.group)).or_default().extend(call.ids(resolved));
        }
        let groups: Vec<usize> = plan.calls().iter().map(|call| call.group).collect();
        prop_assert!(groups.is_sorted());
        for records in seen.into_values() {
            let once: Vec<RecordId> = ids.iter().map(|id| id.to_string().parse().expect("an id")).collect();
            prop_assert_eq!(records, once);
        }
    }
}

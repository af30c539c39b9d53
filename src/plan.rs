//! The ordered Zoho calls that an update request needs. Pure: the printed plan is what will be done, because it is the
//! same value that is carried out.

mod outlook;
mod remarks;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::update::{
    Assignment, FieldName, ModuleName, RecordId, Records, Resolved, Territory, UpdateRequest,
    ViewId,
};
pub use outlook::{Bounds, Outlook};
pub use remarks::{Automation, Warning};

/// What one mass-update call may carry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Record ids in one call.
    pub ids_per_call: usize,
    /// Fields in one call, in most modules.
    pub fields_per_call: usize,
    /// Fields in one call in Deals.
    pub fields_per_deals_call: usize,
}

impl Limits {
    /// Zoho CRM v7: 500 ids; one field, in Deals three
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/mass-update-records.html>).
    pub const ZOHO: Self = Self {
        ids_per_call: 500,
        fields_per_call: 1,
        fields_per_deals_call: 3,
    };

    fn fields(&self, module: &ModuleName) -> usize {
        if module.as_str() == "Deals" {
            self.fields_per_deals_call
        } else {
            self.fields_per_call
        }
    }
}

/// Fields of Deals that Zoho checks against each other: a stage must be of the pipeline, both of the layout. They
/// travel in one call, or the first of two calls would be refused.
const TOGETHER: [&str; 3] = ["Layout", "Pipeline", "Stage"];

/// Which records a call updates, and how Zoho answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Named records, answered at once, record by record: a range of the request's ids.
    Immediate(Range<usize>),
    /// A custom view, run by Zoho as a job of its own.
    Scheduled,
}

/// One POST to `/crm/v7/{module}/actions/mass_update`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number in the plan, from 1.
    pub seq: usize,
    /// The number of its field group, from 1. Groups run one after the other; the calls of a group may run at once.
    pub group: usize,
    /// The fields that it sets.
    pub fields: Vec<FieldName>,
    /// The records that it sets them on.
    pub target: Target,
}

impl Call {
    /// The ids of this call; empty when Zoho finds the records itself.
    pub fn ids<'a>(&self, request: Resolved<'a>) -> &'a [RecordId] {
        match (&self.target, request.records()) {
            (Target::Immediate(range), Records::Ids(ids)) => {
                ids.get(range.clone()).unwrap_or_default()
            }
            (Target::Immediate(_), Records::View { .. }) | (Target::Scheduled, _) => &[],
        }
    }

    /// The fields that this call sets, and their values.
    pub fn data(&self, request: &UpdateRequest) -> Map<String, Value> {
        let set = request
            .fields
            .iter()
            .filter(|assignment| self.fields.contains(&assignment.field));
        set.map(|Assignment { field, value }| (field.to_string(), value.clone()))
            .collect()
    }

    /// Whether it adds options to multi-select picklists, which is not known to be the same done once and done twice.
    pub fn adds_options(&self, request: &UpdateRequest) -> bool {
        let mut added = request.added();
        added.any(|field| self.fields.contains(field))
    }

    /// The exact JSON that is sent.
    pub fn body(&self, request: Resolved<'_>) -> Value {
        let records = match request.records() {
            Records::Ids(_) => &Records::Ids(self.ids(request).to_vec()),
            view @ Records::View { .. } => view,
        };
        let request = request.request();
        body(self.data(request), records, request.over_write)
    }
}

/// The JSON of a mass update. `over_write` is left out when false, as that is Zoho's default and the newer specification
/// does not list the key.
pub fn body(data: Map<String, Value>, records: &Records, over_write: bool) -> Value {
    let mut body = Map::from_iter([("data".to_owned(), json!([data]))]);
    records.insert_into(&mut body);
    if over_write {
        body.insert("over_write".to_owned(), Value::Bool(true));
    }
    Value::Object(body)
}

/// The calls of one update request, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    module: ModuleName,
    about: About,
    calls: Vec<Call>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    Named(usize),
    InView(ViewId, Option<Territory>),
}

impl Plan {
    /// Plans `request` within `limits`.
    pub fn new(request: Resolved<'_>, limits: &Limits) -> Self {
        let (about, targets) = match request.records() {
            Records::Ids(ids) => {
                let step = limits.ids_per_call.max(1);
                let chunk = |start| Target::Immediate(start..ids.len().min(start + step));
                (
                    About::Named(ids.len()),
                    (0..ids.len()).step_by(step).map(chunk).collect(),
                )
            }
            Records::View { cvid, territory } => {
                (About::InView(*cvid, *territory), vec![Target::Scheduled])
            }
        };
        let request = request.request();
        let mut calls = Vec::new();
        for (group, fields) in field_groups(request, limits).into_iter().enumerate() {
            for target in &targets {
                let call = Call {
                    seq: calls.len() + 1,
                    group: group + 1,
                    fields: fields.clone(),
                    target: target.clone(),
                };
                calls.push(call);
            }
        }
        Self {
            module: request.module.clone(),
            about,
            calls,
        }
    }

    /// The calls, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// How many groups of fields its calls set, one after the other.
    pub fn groups(&self) -> usize {
        self.calls.last().map_or(0, |call| call.group)
    }

    /// The calls, to be carried out.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }

    /// The plan with the exact JSON of every call, for machines.
    pub fn to_json(&self, request: Resolved<'_>) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| {
                let kind = match call.target {
                    Target::Immediate(_) => "immediate",
                    Target::Scheduled => "scheduled",
                };
                let body = call.body(request);
                json!({"seq": call.seq, "kind": kind, "method": "POST", "path": self.path(), "body": body})
            })
            .collect();
        json!({"module": self.module.as_str(), "calls": calls})
    }

    /// The path that every call of this plan is sent to.
    pub fn path(&self) -> String {
        mass_update_path(&self.module)
    }
}

/// The mass-update path of a module.
pub fn mass_update_path(module: &ModuleName) -> String {
    format!("/crm/v7/{module}/actions/mass_update")
}

fn field_groups(request: &UpdateRequest, limits: &Limits) -> Vec<Vec<FieldName>> {
    let mut fields: Vec<FieldName> = request
        .fields
        .iter()
        .map(|assignment| assignment.field.clone())
        .collect();
    let size = limits.fields(&request.module).max(1);
    if size >= TOGETHER.len() && request.module.as_str() == "Deals" {
        fields.sort_by_key(|field| !TOGETHER.contains(&field.as_str()));
    }
    fields.chunks(size).map(<[FieldName]>::to_vec).collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.len();
        let plural = if calls == 1 { "" } else { "s" };
        write!(
            formatter,
            "{calls} call{plural} to POST {} for ",
            self.path()
        )?;
        match &self.about {
            About::Named(1) => write!(formatter, "1 record")?,
            About::Named(count) => write!(formatter, "{count} records")?,
            About::InView(cvid, territory) => {
                write!(formatter, "the records of custom view {cvid}")?;
                if let Some(territory) = territory {
                    let below = if territory.include_child {
                        " and below"
                    } else {
                        ""
                    };
                    write!(formatter, " in territory {}{below}", territory.id)?;
                }
            }
        }
        for call in &self.calls {
            let fields: Vec<&str> = call.fields.iter().map(FieldName::as_str).collect();
            write!(formatter, "\n{:>5}. {:<28}", call.seq, fields.join(", "))?;
            match &call.target {
                Target::Immediate(range) => {
                    write!(
                        formatter,
                        " immediate   records {}-{} ({})",
                        range.start + 1,
                        range.end,
                        range.len()
                    )?;
                }
                Target::Scheduled => write!(
                    formatter,
                    " scheduled   Zoho runs it as a job, which is tracked"
                )?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn request(module: &str, fields: usize, ids: usize) -> UpdateRequest {
        let fields: Map<String, Value> = (0..fields)
            .map(|n| (format!("Field_{n}"), json!(n)))
            .collect();
        let ids: Vec<u64> = (1..=ids as u64)
            .map(|n| 554_023_000_000_000_000 + n)
            .collect();
        UpdateRequest::parse(&json!({"module": module, "fields": fields, "ids": ids}))
            .expect("a request")
    }

    fn resolved(request: &UpdateRequest) -> Resolved<'_> {
        request.resolved().expect("known records")
    }

    #[test]
    fn a_plan_prints_what_it_does() {
        let plan = Plan::new(resolved(&request("Deals", 4, 501)), &Limits::ZOHO);
        insta::assert_snapshot!(plan, @r"
        4 calls to POST /crm/v7/Deals/actions/mass_update for 501 records
            1. Field_0, Field_1, Field_2    immediate   records 1-500 (500)
            2. Field_0, Field_1, Field_2    immediate   records 501-501 (1)
            3. Field_3                      immediate   records 1-500 (500)
            4. Field_3                      immediate   records 501-501 (1)
        ");
    }

    #[test]
    fn a_view_is_one_call_for_each_field_group() {
        let request = UpdateRequest::parse(&json!({
            "module": "Leads", "fields": {"Industry": "Education", "Rating": "Active"},
            "cvid": "554023000000091515", "territory": {"id": "554023000000430409", "include_child": true},
        }))
        .expect("a request");
        let plan = Plan::new(resolved(&request), &Limits::ZOHO);
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
        let plan = Plan::new(resolved(&request), &Limits::ZOHO);
        let body = plan.calls()[0].body(resolved(&request));
        assert_eq!(
            body,
            json!({"data": [{"Stage": "Won", "Pipeline": "5", "Layout": {"id": "7"}}], "ids": ["1"], "over_write": true})
        );
        assert_eq!(plan.calls().len(), 2);
    }

    proptest! {
        #[test]
        fn every_id_and_field_is_covered_exactly_once_and_no_call_breaks_a_limit(
            deals: bool, fields in 1_usize..8, ids in 1_usize..2100,
        ) {
            let module = if deals { "Deals" } else { "Contacts" };
            let per_call = if deals { 3 } else { 1 };
            let request = request(module, fields, ids);
            let plan = Plan::new(resolved(&request), &Limits::ZOHO);
            prop_assert_eq!(&plan, &Plan::new(resolved(&request), &Limits::ZOHO), "the order is stable");
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
}

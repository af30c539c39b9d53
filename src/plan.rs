//! The ordered Zoho calls that an update request needs. Pure: the printed plan is what will be done, because it is the
//! same value that is carried out.

mod call;
mod outlook;
mod price;
mod remarks;
mod ways;

use std::fmt;

use serde_json::{Value, json};

use crate::update::{FieldName, ModuleName, Records, Resolved, Territory, UpdateRequest, ViewId};
pub use call::{Call, Kind, Target, body, row, rows_body};
pub use outlook::{Bounds, Outlook};
pub use price::{Price, RECORDS_PER_CREDIT, Tariff};
pub use remarks::{Automation, Warning};
use ways::Amount;
pub use ways::{Way, Ways, Why};

/// What one call may carry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Record ids in one mass update.
    pub ids_per_call: usize,
    /// Fields in one mass update, in most modules.
    pub fields_per_call: usize,
    /// Fields in one mass update in Deals.
    pub fields_per_deals_call: usize,
    /// Records in one update of records, which may set any number of fields.
    pub records_per_call: usize,
}

impl Limits {
    /// Zoho CRM v7: 500 ids; one field, in Deals three
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/mass-update-records.html>); 100 records
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/update-records.html>).
    pub const ZOHO: Self = Self {
        ids_per_call: 500,
        fields_per_call: 1,
        fields_per_deals_call: 3,
        records_per_call: 100,
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

/// The calls of one update request, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    module: ModuleName,
    about: About,
    ways: Ways,
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
        let (about, amount) = match request.records() {
            Records::Ids(ids) => (About::Named(ids.len()), Amount::Named(ids.len())),
            Records::View { cvid, territory } => (About::InView(*cvid, *territory), Amount::View),
        };
        let request = request.request();
        let (ways, calls) = Ways::weigh(request, amount, limits);
        Self {
            module: request.module.clone(),
            about,
            ways,
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

    /// Both ways of updating the records, and which one the calls take.
    pub fn ways(&self) -> Ways {
        self.ways
    }

    /// The plan with the exact JSON of every call, for machines.
    pub fn to_json(&self, request: Resolved<'_>) -> Value {
        let calls = self.calls.iter().map(|call| {
            json!({
                "seq": call.seq,
                "kind": call.target.kind(),
                "method": call.target.way().verb(),
                "path": self.path(),
                "body": call.body(request),
            })
        });
        json!({
            "module": self.module.as_str(),
            "update_by": self.ways.taken.as_str(),
            "why": self.ways.why.as_str(),
            "prices": self.ways.to_json(),
            "calls": calls.collect::<Vec<_>>(),
        })
    }

    /// The path that every call of this plan is sent to.
    pub fn path(&self) -> String {
        self.ways.taken.path(&self.module)
    }
}

/// The path of mass updates of a module.
pub fn mass_update_path(module: &ModuleName) -> String {
    format!("/crm/v7/{module}/actions/mass_update")
}

/// The path of a module's records.
pub fn records_path(module: &ModuleName) -> String {
    format!("/crm/v7/{module}")
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
        let verb = self.ways.taken.verb();
        write!(
            formatter,
            "{calls} call{plural} to {verb} {} for ",
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
            let kind = call.target.kind();
            let fields = fields.join(", ");
            write!(formatter, "\n{:>5}. {fields:<28} {kind:<11} ", call.seq)?;
            match call.target.named() {
                Some(range) => {
                    write!(
                        formatter,
                        "records {}-{} ({})",
                        range.start + 1,
                        range.end,
                        range.len()
                    )?;
                }
                None => formatter.write_str("Zoho runs it as a job, which is tracked")?,
            }
        }
        self.ways.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Map;
    use std::collections::HashMap;

    use crate::update::{Method, RecordId};

    fn request(module: &str, fields: usize, ids: usize) -> UpdateRequest {
        request_by(Method::MassUpdate, module, fields, ids)
    }

    fn request_by(method: Method, module: &str, fields: usize, ids: usize) -> UpdateRequest {
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
        let plan = Plan::new(resolved(&request("Deals", 4, 501)), &Limits::ZOHO);
        insta::assert_snapshot!(plan, @r"
        4 calls to POST /crm/v7/Deals/actions/mass_update for 501 records
            1. Field_0, Field_1, Field_2    immediate   records 1-500 (500)
            2. Field_0, Field_1, Field_2    immediate   records 501-501 (1)
            3. Field_3                      immediate   records 1-500 (500)
            4. Field_3                      immediate   records 501-501 (1)
          by mass_update  4 calls, credits not documented; taken: `update_by` says so
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
        let plan = Plan::new(resolved(&request), &Limits::ZOHO);
        insta::assert_snapshot!(plan, @r"
        2 calls to PUT /crm/v7/Leads for 101 records
            1. Email, Topics, City          records     records 1-100 (100)
            2. Email, Topics, City          records     records 101-101 (1)
          by mass_update  not possible: it does not set all of the fields
          by records      2 calls, 11 credits; taken: `update_by` says so
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
        let mut row =
            json!({"id": "101", "Email": "a@example.com", "Topics": ["CRM"], "City": null});
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
            let request =
                json!({"module": "Leads", "fields": fields, "ids": ids, "update_by": "auto"});
            let request = UpdateRequest::parse(&request).expect("a request");
            let plan = Plan::new(resolved(&request), &Limits::ZOHO);
            let Ways { taken, why, .. } = plan.ways();
            (taken, why, plan.calls().len())
        };
        let one = json!({"City": "Bonn"});
        let two = json!({"City": "Bonn", "Rating": "Active"});
        let email = json!({"Email": "a@example.com"});
        assert_eq!(of(&one, 100), (Way::MassUpdate, Why::AsMany, 1));
        assert_eq!(of(&one, 101), (Way::MassUpdate, Why::FewerCalls, 1));
        assert_eq!(of(&two, 100), (Way::Records, Why::FewerCalls, 1));
        assert_eq!(of(&two, 101), (Way::MassUpdate, Why::AsMany, 2));
        assert_eq!(of(&email, 1_000), (Way::Records, Why::Fields, 10));
        let view = json!({"module": "Leads", "fields": one, "cvid": "7", "update_by": "auto"});
        let view = UpdateRequest::parse(&view).expect("a request");
        let plan = Plan::new(resolved(&view), &Limits::ZOHO);
        assert_eq!(
            (plan.ways().taken, plan.ways().why, plan.ways().records),
            (Way::MassUpdate, Why::View, None)
        );
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
        fn by_each_method_every_id_is_updated_once_within_the_limits(
            which in 0..Method::ALL.len(), deals: bool, fields in 1_usize..8, ids in 1_usize..2100,
        ) {
            let method = Method::ALL[which].0;
            let module = if deals { "Deals" } else { "Contacts" };
            let request = request_by(method, module, fields, ids);
            let plan = Plan::new(resolved(&request), &Limits::ZOHO);
            let Ways { mass_update, records, taken, .. } = plan.ways();
            let (mass_update, records) = (mass_update.expect("possible"), records.expect("possible"));
            prop_assert_eq!(records.calls as usize, ids.div_ceil(100));
            prop_assert_eq!(records.credits, Some((0..ids).step_by(100).map(|at| (ids - at).min(100).div_ceil(10) as u64).sum()));
            let expected = match method {
                Method::MassUpdate => Way::MassUpdate,
                Method::Records => Way::Records,
                Method::Auto if records.calls < mass_update.calls => Way::Records,
                Method::Auto => Way::MassUpdate,
            };
            prop_assert_eq!(taken, expected);
            let mut set: HashMap<RecordId, usize> = HashMap::new();
            for call in plan.calls() {
                prop_assert_eq!(call.target.way(), taken);
                let named = call.ids(resolved(&request));
                let body = call.body(resolved(&request));
                if taken == Way::Records {
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

//! What an update request comes to, as far as that can be said without asking Zoho: its plan, or, if its records have to
//! be looked up first, what is looked up and the bounds of the plan.

use std::fmt;

use serde_json::{Value, json};

use super::remarks::{Automation, Warning};
use super::ways::Amount;
use super::{Call, Limits, Plan, Way, Ways};
use crate::update::{
    MAX_IDS, Method, Named, NamedTerritory, NamedView, Resolved, Selector, UpdateRequest,
};

/// What an update request comes to.
#[derive(Clone, Debug)]
pub enum Outlook<'a> {
    /// These calls.
    Planned(Resolved<'a>, Plan),
    /// Calls that depend on what is found.
    Open(Bounds<'a>),
}

/// The bounds of a plan that cannot be made yet.
#[derive(Clone, Debug)]
pub struct Bounds<'a> {
    request: &'a UpdateRequest,
    /// What is looked up.
    selector: &'a Selector,
    /// The most that it can come to.
    ways: Ways,
    /// Groups of fields, whose calls run one after the other.
    groups: usize,
    /// The calls of the way that is taken then.
    calls: usize,
}

impl<'a> Outlook<'a> {
    /// The outlook of `request` within `limits`.
    pub fn of(request: &'a UpdateRequest, limits: &Limits) -> Self {
        if let Some(resolved) = request.resolved() {
            return Self::Planned(resolved, Plan::new(resolved, limits));
        }
        let amount = match &request.selector {
            Selector::Match(_) => Amount::Named(MAX_IDS),
            Selector::Records(_) | Selector::Named(_) => Amount::View,
        };
        let (ways, calls) = Ways::weigh(request, amount, limits);
        Self::Open(Bounds {
            request,
            selector: &request.selector,
            ways,
            groups: calls.last().map_or(0, |call| call.group),
            calls: calls.len(),
        })
    }

    fn request(&self) -> &'a UpdateRequest {
        match self {
            Self::Planned(request, _) => request.request(),
            Self::Open(bounds) => bounds.request,
        }
    }

    /// Whether the CRM's automation runs for what is changed.
    pub fn automation(&self) -> Automation {
        Automation::of(self.request())
    }

    /// What somebody may not expect of it.
    pub fn warnings(&self) -> Vec<Warning> {
        let groups = match self {
            Self::Planned(_, plan) => plan.groups(),
            Self::Open(bounds) => bounds.groups,
        };
        Warning::all(self.request(), groups)
    }

    /// The calls and the exact JSON of each, as far as they are known.
    pub fn calls(&self) -> Vec<(&Call, Value)> {
        match self {
            Self::Planned(request, plan) => {
                let calls = plan.calls().iter();
                calls.map(|call| (call, call.body(*request))).collect()
            }
            Self::Open(_) => Vec::new(),
        }
    }

    /// The outlook, for machines.
    pub fn to_json(&self) -> Value {
        let mut json = match self {
            Self::Planned(request, plan) => plan.to_json(*request),
            Self::Open(bounds) => json!({
                "module": bounds.request.module.as_str(),
                "lookup": bounds.lookup(),
                "update_by": bounds.way().map(Way::as_str),
                "prices_at_most": bounds.ways.to_json(),
                "calls": [],
                "calls_at_most": bounds.calls,
                "records_at_most": MAX_IDS,
            }),
        };
        let warnings: Vec<Value> = self.warnings().iter().map(Warning::to_json).collect();
        json["automation"] = self.automation().to_json();
        json["warnings"] = Value::Array(warnings);
        json
    }
}

impl Bounds<'_> {
    /// The way that is taken; none if that depends on what is found.
    fn way(&self) -> Option<Way> {
        let open = self.request.way() == Method::Auto && !self.request.needs_records();
        Some(self.ways.taken).filter(|_| !open)
    }

    fn lookup(&self) -> Value {
        match self.selector {
            Selector::Match(wanted) => json!({
                "by": "match",
                "field": wanted.field.as_str(),
                "values": wanted.values.len(),
                "on_many": wanted.on_many.as_str(),
                "on_none": wanted.on_none.as_str(),
            }),
            Selector::Named(_) | Selector::Records(_) => {
                let names: Vec<Value> = self
                    .names()
                    .into_iter()
                    .map(|(what, name)| json!({"of": what, "name": name}))
                    .collect();
                json!({"by": "name", "names": names})
            }
        }
    }

    /// What is looked up by its name.
    fn names(&self) -> Vec<(&'static str, &str)> {
        let Selector::Named(NamedView { view, territory }) = self.selector else {
            return Vec::new();
        };
        let view = match view {
            Named::Name(name) => Some(("custom view", name.as_str())),
            Named::Id(_) => None,
        };
        let territory = match territory {
            Some(NamedTerritory {
                territory: Named::Name(name),
                ..
            }) => Some(("territory", name.as_str())),
            Some(NamedTerritory {
                territory: Named::Id(_),
                ..
            })
            | None => None,
        };
        view.into_iter().chain(territory).collect()
    }
}

impl fmt::Display for Outlook<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned(_, plan) => plan.fmt(formatter),
            Self::Open(bounds) => bounds.fmt(formatter),
        }
    }
}

impl fmt::Display for Bounds<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = &self.request.module;
        let to = |way: Way| format!("{} {}", way.verb(), way.path(module));
        let to = match self.way() {
            Some(way) => to(way),
            None => format!(
                "{}, or to {}, whichever are fewer",
                to(Way::MassUpdate),
                to(Way::Records)
            ),
        };
        let plural = if self.calls == 1 { "" } else { "s" };
        match self.selector {
            Selector::Match(wanted) => write!(
                formatter,
                "at most {} call{plural} to {to}, for at most {MAX_IDS} records: those whose {} is one of {} values, \
                 which are looked up first",
                self.calls,
                wanted.field,
                wanted.values.len()
            ),
            Selector::Named(_) | Selector::Records(_) => {
                let names: Vec<String> = self
                    .names()
                    .into_iter()
                    .map(|(what, name)| format!("the {what} `{name}`"))
                    .collect();
                write!(
                    formatter,
                    "{} call{plural} to {to} for the records of a custom view, once {} is found",
                    self.calls,
                    names.join(" and ")
                )
            }
        }
    }
}

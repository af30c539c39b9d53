//! Side effects of an update that Zoho does not report: whether the CRM's automation runs, and what a user may not expect
//! (<https://www.zoho.com/crm/developer/docs/api/v7/mass-update-records.html>).

use std::fmt;

use serde_json::{Value, json};

use crate::update::{FieldName, ModuleName, Records, Selector, UpdateRequest};

/// A scheduled mass update runs automation only for fewer records than this. For exactly this number nothing is documented.
const AUTOMATED_BELOW: u64 = 1_000;

/// Whether the CRM's workflows, approvals and blueprints run for the updated records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Automation {
    /// They run for every record.
    Runs,
    /// Zoho does not document whether they run for changes of tags and owners.
    NotDocumented,
    /// They run only if the custom view holds fewer than 1,000 records. Zoho does not report whether they ran.
    InSmallViews,
}

impl Automation {
    /// The automation that runs for an update request.
    pub fn of(request: &UpdateRequest) -> Self {
        if request.fields.is_empty() {
            Self::NotDocumented
        } else if in_view(&request.selector) {
            Self::InSmallViews
        } else {
            Self::Runs
        }
    }

    /// The same for machines.
    pub fn to_json(self) -> Value {
        match self {
            Self::Runs => json!({"runs": "always"}),
            Self::NotDocumented => json!({"runs": "not_documented"}),
            Self::InSmallViews => json!({"runs": "below", "records": AUTOMATED_BELOW}),
        }
    }
}

impl fmt::Display for Automation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => {
                formatter.write_str("workflows, approvals and blueprints run for each record")
            }
            Self::NotDocumented => formatter.write_str(
                "Zoho does not document whether workflows run when tags or owners change",
            ),
            Self::InSmallViews => formatter.write_str(
                "workflows, approvals and blueprints run only if the view holds fewer than 1,000 records; Zoho does not say whether they did",
            ),
        }
    }
}

/// An effect that a user may not expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Options are added to the options that the records have.
    Appends(Vec<FieldName>),
    /// A call that adds options is not idempotent: after an unknown outcome its records are reported or reread, and the
    /// call is not repeated as it is.
    NotRepeatable,
    /// The records of a custom view may change during the update, or because of it.
    ViewChanges {
        /// Number of calls, each of which evaluates the view again.
        calls: usize,
        /// Whether the last one changes the owner, after all fields.
        owner: bool,
    },
    /// For a custom view, Zoho reports how many records were refused, but not which.
    CountsOnly,
    /// Zoho's API has replaced the module.
    ModuleRetired,
    /// The token's user may lose access to the records.
    OwnerChanges,
    /// The new owner may be notified twice.
    NotifiesAgain,
    /// Each record is edited several times.
    SeveralEdits {
        /// Edits of each record.
        edits: usize,
    },
}

impl Warning {
    /// All warnings about an update request that takes `groups` calls, one after the other, `edits` of them for its fields.
    pub fn all(request: &UpdateRequest, groups: usize, edits: usize) -> Vec<Self> {
        let appended: Vec<FieldName> = request.appended_fields().cloned().collect();
        let appends = match appended.is_empty() {
            true => Vec::new(),
            false => vec![Self::Appends(appended), Self::NotRepeatable],
        };
        let of_view = match in_view(&request.selector) {
            true => {
                let owner = request.owner.is_some();
                let calls = Self::ViewChanges {
                    calls: groups,
                    owner,
                };
                vec![calls, Self::CountsOnly]
            }
            false => Vec::new(),
        };
        let of_owner = match &request.owner {
            None => Vec::new(),
            Some(owner) if owner.notify => vec![Self::OwnerChanges, Self::NotifiesAgain],
            Some(_) => vec![Self::OwnerChanges],
        };
        let several = (edits > 1).then_some(Self::SeveralEdits { edits });
        let of_module = Self::of_module(&request.module);
        let all = of_module.into_iter().chain(appends).chain(of_view);
        all.chain(of_owner).chain(several).collect()
    }

    /// The warning about a module, if there is one.
    pub fn of_module(module: &ModuleName) -> Option<Self> {
        module.is_retired().then_some(Self::ModuleRetired)
    }

    /// The code in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Appends(_) => "appends",
            Self::NotRepeatable => "not_repeatable",
            Self::ViewChanges { .. } => "view_changes",
            Self::CountsOnly => "counts_only",
            Self::ModuleRetired => "module_retired",
            Self::OwnerChanges => "owner_changes",
            Self::NotifiesAgain => "notifies_again",
            Self::SeveralEdits { .. } => "several_edits",
        }
    }

    /// The same for machines.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code(), "message": self.to_string()})
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appends(fields) => {
                let names: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
                write!(
                    formatter,
                    "{}: options are added to those that a record has, unlike on the CRM's screens; `over_write: true` replaces them",
                    names.join(", ")
                )
            }
            Self::NotRepeatable => formatter.write_str(
                "a call that adds options is not repeated if its outcome is unknown; `on_unknown_outcome` decides what happens instead",
            ),
            Self::ViewChanges { calls: 1, .. } => formatter.write_str(
                "the view's records are those at the moment when Zoho runs it; a second run may find others",
            ),
            Self::ViewChanges { calls, owner: true } => write!(
                formatter,
                "each of the {calls} calls finds the view's records anew, that of the owner last: if a field takes records out of the view, they keep their owner; select a view that does not ask for the fields that are set, or change the owner in an update request before",
            ),
            Self::ViewChanges { calls, owner: false } => write!(
                formatter,
                "each of the {calls} calls finds the view's records anew: what one sets may take records out of the next; set the field that the view asks for last",
            ),
            Self::CountsOnly => {
                formatter.write_str("Zoho tells how many records of a view it refused, not which")
            }
            Self::ModuleRetired => formatter.write_str(
                "Zoho's API has no module `Activities` since its version 3: name `Tasks`, `Calls` or `Events`",
            ),
            Self::OwnerChanges => formatter.write_str(
                "the owner changes last, because the token's user may lose access to the records; a replay may then fail",
            ),
            Self::NotifiesAgain => formatter.write_str(
                "a call is sent again if its outcome is unknown, so the new owner may be notified twice",
            ),
            Self::SeveralEdits { edits } => write!(
                formatter,
                "every record is edited {edits} times, and what automation runs on an edit runs as often",
            ),
        }
    }
}

fn in_view(selector: &Selector) -> bool {
    match selector {
        Selector::Records(Records::View { .. }) | Selector::Named(_) => true,
        Selector::Records(Records::Ids(_)) | Selector::Match(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &Value) -> UpdateRequest {
        UpdateRequest::parse(json).expect("a request")
    }

    fn codes(json: &Value, groups: usize) -> Vec<&'static str> {
        let warnings = Warning::all(&request(json), groups, groups);
        warnings.iter().map(Warning::code).collect()
    }

    #[test]
    fn automation_depends_on_selector() {
        let fields = json!({"Rating": "Active"});
        for (selector, expected) in [
            (json!({"ids": ["1"]}), Automation::Runs),
            (
                json!({"match": {"field": "Email", "values": ["a@example.com"]}}),
                Automation::Runs,
            ),
            (json!({"cvid": "7"}), Automation::InSmallViews),
            (json!({"view": "Hot"}), Automation::InSmallViews),
        ] {
            let mut json = selector.clone();
            json["module"] = json!("Leads");
            json["fields"] = fields.clone();
            assert_eq!(Automation::of(&request(&json)), expected, "{selector}");
        }
    }

    #[test]
    fn warnings_match_request() {
        let topics = json!({"Topics": ["CRM"]});
        let rating = json!({"Rating": "Active"});
        for (json, groups, expected) in [
            (
                json!({"module": "Leads", "fields": rating, "ids": ["1"]}),
                1,
                vec![],
            ),
            (
                json!({"module": "Leads", "fields": topics, "ids": ["1"]}),
                1,
                vec!["appends", "not_repeatable"],
            ),
            (
                json!({"module": "Leads", "fields": topics, "ids": ["1"], "over_write": true}),
                1,
                vec![],
            ),
            // Rows of a subform, each changed by its id.
            (
                json!({"module": "Leads", "fields": {"Items": [{"id": "7"}]}, "ids": ["1"], "update_by": "records"}),
                1,
                vec![],
            ),
            (
                json!({"module": "Leads", "fields": rating, "cvid": "7"}),
                1,
                vec!["view_changes", "counts_only"],
            ),
            (
                json!({"module": "Leads", "tags": {"add": ["a"]}, "ids": ["1"]}),
                1,
                vec![],
            ),
            (
                json!({"module": "Leads", "owner": {"id": "5"}, "ids": ["1"]}),
                1,
                vec!["owner_changes"],
            ),
            (
                json!({"module": "Leads", "owner": {"email": "a@example.com", "notify": true}, "ids": ["1"]}),
                1,
                vec!["owner_changes", "notifies_again"],
            ),
            (
                json!({"module": "Activities", "fields": rating, "ids": ["1"]}),
                1,
                vec!["module_retired"],
            ),
            (
                json!({"module": "Leads", "fields": topics, "view": "Hot"}),
                2,
                vec![
                    "appends",
                    "not_repeatable",
                    "view_changes",
                    "counts_only",
                    "several_edits",
                ],
            ),
        ] {
            assert_eq!(codes(&json, groups), expected, "{json}");
        }
    }
}

//! Custom views and territories: what a scheduled mass update is aimed at.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::world::Module;

/// A custom view of a module.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Its name in `world`: `all`, `some`, `empty`, `private`, …
    pub(crate) key: &'static str,
    /// The `cvid`.
    pub(crate) id: u64,
    /// The name that the CRM's screens show.
    pub(crate) name: &'static str,
    /// Null for a view that a user made.
    pub(crate) system_name: Option<&'static str>,
    /// `public_views`, `created_by_me` or `other_users_views`.
    pub(crate) category: &'static str,
    /// Whether the token's user may use it.
    pub(crate) accessible: bool,
    /// All of these must be equal; no criteria: every record.
    criteria: Vec<(&'static str, Value)>,
}

impl View {
    /// Whether a record with these values belongs to the view.
    pub(crate) fn holds(&self, value: impl Fn(&str) -> Value) -> bool {
        self.criteria
            .iter()
            .all(|(field, wanted)| value(field) == *wanted)
    }

    /// The view as `GET settings/custom_views` shows it; what it is about is shown only of a single view.
    pub(crate) fn json(&self, whole: bool) -> Value {
        let mut view = json!({
            "id": self.id.to_string(),
            "name": self.name,
            "display_value": self.name,
            "system_name": self.system_name,
            "system_defined": self.system_name.is_some(),
            "default": self.key == "all",
            "category": self.category,
            "created_time": null,
            "created_by": null,
            "modified_time": null,
            "modified_by": null,
            "last_accessed_time": null,
            "locked": false,
            "favorite": null,
        });
        if whole {
            let one = |(field, wanted): &(&str, Value)| json!({"comparator": "equal", "field": {"api_name": field}, "value": wanted});
            view["criteria"] = match self.criteria.as_slice() {
                [] => Value::Null,
                [only] => one(only),
                several => {
                    let group: Vec<Value> = several.iter().map(one).collect();
                    json!({"group_operator": "AND", "group": group})
                }
            };
        }
        view
    }

    /// The key, id, name, standing and criteria of a view.
    fn new(
        key: &'static str,
        id: u64,
        name: &'static str,
        category: &'static str,
        criteria: Vec<(&'static str, Value)>,
    ) -> Self {
        Self {
            key,
            id,
            name,
            system_name: None,
            category,
            accessible: true,
            criteria,
        }
    }

    fn system(id: u64, name: &'static str) -> Self {
        Self {
            system_name: Some("ALLVIEWS"),
            ..Self::new("all", id, name, "public_views", Vec::new())
        }
    }

    fn of_nobody(id: u64, name: &'static str, field: &'static str) -> Self {
        let criteria = vec![(field, json!("Nobody"))];
        Self::new("empty", id, name, "created_by_me", criteria)
    }
}

/// The views of a module. Names need not be unique, and system names are not.
pub(crate) fn of(module: &str) -> Vec<View> {
    let twin = |key, id, category, rating: &str| {
        let criteria = vec![("Rating", json!(rating))];
        View::new(key, id, "Stale Leads", category, criteria)
    };
    match module {
        "Leads" => vec![
            View::system(5_725_767_000_000_087_501, "All Leads"),
            View::new(
                "some",
                5_725_767_000_000_087_511,
                "Hot Webinar Leads",
                "created_by_me",
                vec![
                    ("Lead_Source", json!("Webinar")),
                    ("Rating", json!("Active")),
                ],
            ),
            View::of_nobody(5_725_767_000_000_087_513, "Leads of Nobody", "Company"),
            View {
                accessible: false,
                ..View::new(
                    "private",
                    5_725_767_000_000_087_515,
                    "Amelia's Leads",
                    "other_users_views",
                    Vec::new(),
                )
            },
            View {
                key: "labels",
                ..View::system(5_725_767_000_000_087_517, "Mailing Labels")
            },
            twin(
                "twin",
                5_725_767_000_000_087_519,
                "created_by_me",
                "Shut Down",
            ),
            twin(
                "other_twin",
                5_725_767_000_000_087_521,
                "shared_with_me",
                "Market Failed",
            ),
        ],
        "Deals" => vec![
            View::system(5_725_767_000_000_087_531, "All Deals"),
            View::new(
                "some",
                5_725_767_000_000_087_533,
                "Renewals in Review",
                "created_by_me",
                vec![
                    ("Stage", json!("Negotiation/Review")),
                    ("Lead_Source", json!("Webinar")),
                ],
            ),
            View::of_nobody(5_725_767_000_000_087_535, "Deals of Nobody", "Deal_Name"),
        ],
        "Contacts" => vec![View::system(5_725_767_000_000_087_551, "All Contacts")],
        "Accounts" => vec![View::system(5_725_767_000_000_087_571, "All Accounts")],
        _ => vec![View::system(5_725_767_000_000_087_591, "All Subscriptions")],
    }
}

/// The view of a module with this id, if the token's user may use it.
pub(crate) fn find<'a>(module: &'a Module, cvid: &str) -> Checked<&'a View> {
    let view = module.views.iter().find(|view| view.id.to_string() == cvid);
    match view {
        Some(view) if view.accessible => Ok(view),
        Some(_) => refuse(Answer::error(
            403,
            "NO_PERMISSION",
            json!({}),
            "Customview not accessible",
        )),
        None => refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"api_name": "cvid", "json_path": "$.cvid"}),
            "the cvid given seems to be invalid",
        )),
    }
}

/// A territory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Territory {
    /// Its name in `world`.
    pub(crate) key: &'static str,
    /// The id.
    pub(crate) id: u64,
    /// The name; not unique.
    pub(crate) name: &'static str,
    /// The territory above; the root has none.
    pub(crate) reporting_to: Option<u64>,
}

impl Territory {
    const fn new(key: &'static str, id: u64, name: &'static str, above: Option<u64>) -> Self {
        Self {
            key,
            id,
            name,
            reporting_to: above,
        }
    }
}

const WORLD: u64 = 5_725_767_000_000_430_401;
const EMEA: u64 = 5_725_767_000_000_430_409;
const AMERICAS: u64 = 5_725_767_000_000_430_413;

/// The tree: one root, two branches, one leaf below `EMEA`, and on each branch one of the same name.
pub(crate) const TERRITORIES: [Territory; 6] = [
    Territory::new("World", WORLD, "World", None),
    Territory::new("EMEA", EMEA, "EMEA", Some(WORLD)),
    Territory::new("Germany", 5_725_767_000_000_430_411, "Germany", Some(EMEA)),
    Territory::new("Americas", AMERICAS, "Americas", Some(WORLD)),
    Territory::new(
        "North of EMEA",
        5_725_767_000_000_430_415,
        "North",
        Some(EMEA),
    ),
    Territory::new(
        "North of Americas",
        5_725_767_000_000_430_417,
        "North",
        Some(AMERICAS),
    ),
];

/// Territories that have records; the others are empty.
const PEOPLED: usize = 4;

/// The territory of the record at this place: a quarter of each module's records belongs to each of the first four.
pub(crate) fn territory_of(place: u64) -> u64 {
    TERRITORIES[(place % PEOPLED as u64) as usize].id
}

/// The territory with this id, and with `include_child` all that report to it.
pub(crate) fn territories(id: &str, include_child: bool) -> Option<Vec<u64>> {
    let root = TERRITORIES
        .iter()
        .find(|territory| territory.id.to_string() == id)?;
    let mut found = vec![root.id];
    if include_child {
        // The list names a territory after the one that it reports to, so one pass finds every level.
        for territory in &TERRITORIES {
            if territory
                .reporting_to
                .is_some_and(|above| found.contains(&above))
            {
                found.push(territory.id);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_included_only_on_demand() {
        assert_eq!(territories("5725767000000430401", true).unwrap().len(), 6);
        assert_eq!(territories("5725767000000430409", true).unwrap().len(), 3);
        assert_eq!(territories("5725767000000430409", false).unwrap().len(), 1);
        assert!(territories("1", true).is_none());
    }
}

//! Custom views and territories: what a scheduled mass update is aimed at.

use serde_json::{Value, json};

/// A custom view of a module.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Its name in `world`: `all`, `some`, `empty` or `private`.
    pub(super) key: &'static str,
    /// The `cvid`.
    pub(super) id: u64,
    /// The name that the CRM's screens show.
    pub(super) name: &'static str,
    /// Null for a view that a user made.
    pub(super) system_name: Option<&'static str>,
    /// `public_views`, `created_by_me` or `other_users_views`.
    pub(super) category: &'static str,
    /// Whether the token's user may use it.
    pub(super) accessible: bool,
    /// All of these must be equal; no criteria: every record.
    criteria: Vec<(&'static str, Value)>,
}

impl View {
    /// Whether a record with these values belongs to the view.
    pub(super) fn holds(&self, value: impl Fn(&str) -> Value) -> bool {
        self.criteria
            .iter()
            .all(|(field, wanted)| value(field) == *wanted)
    }

    /// The view as `GET settings/custom_views` shows it.
    pub(super) fn json(&self) -> Value {
        json!({
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
        })
    }
}

/// The views of a module.
pub(super) fn of(module: &str) -> Vec<View> {
    match module {
        "Leads" => vec![
            all(5_725_767_000_000_087_501, "All Leads"),
            View {
                key: "some",
                id: 5_725_767_000_000_087_511,
                name: "Hot Webinar Leads",
                system_name: None,
                category: "created_by_me",
                accessible: true,
                criteria: vec![
                    ("Lead_Source", json!("Webinar")),
                    ("Rating", json!("Active")),
                ],
            },
            empty(5_725_767_000_000_087_513, "Leads of Nobody", "Company"),
            View {
                key: "private",
                id: 5_725_767_000_000_087_515,
                name: "Amelia's Leads",
                system_name: None,
                category: "other_users_views",
                accessible: false,
                criteria: Vec::new(),
            },
        ],
        "Deals" => vec![
            all(5_725_767_000_000_087_531, "All Deals"),
            View {
                key: "some",
                id: 5_725_767_000_000_087_533,
                name: "Renewals in Review",
                system_name: None,
                category: "created_by_me",
                accessible: true,
                criteria: vec![
                    ("Stage", json!("Negotiation/Review")),
                    ("Lead_Source", json!("Webinar")),
                ],
            },
            empty(5_725_767_000_000_087_535, "Deals of Nobody", "Deal_Name"),
        ],
        "Contacts" => vec![all(5_725_767_000_000_087_551, "All Contacts")],
        "Accounts" => vec![all(5_725_767_000_000_087_571, "All Accounts")],
        _ => vec![all(5_725_767_000_000_087_591, "All Subscriptions")],
    }
}

fn all(id: u64, name: &'static str) -> View {
    View {
        key: "all",
        id,
        name,
        system_name: Some("ALLVIEWS"),
        category: "public_views",
        accessible: true,
        criteria: Vec::new(),
    }
}

fn empty(id: u64, name: &'static str, field: &'static str) -> View {
    View {
        key: "empty",
        id,
        name,
        system_name: None,
        category: "created_by_me",
        accessible: true,
        criteria: vec![(field, json!("Nobody"))],
    }
}

/// A territory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Territory {
    /// The id.
    pub(super) id: u64,
    /// The name.
    pub(super) name: &'static str,
    /// The territory above; the root has none.
    pub(super) reporting_to: Option<u64>,
}

/// The tree: one root, two branches, one leaf below `EMEA`.
pub(super) const TERRITORIES: [Territory; 4] = [
    Territory {
        id: 5_725_767_000_000_430_401,
        name: "World",
        reporting_to: None,
    },
    Territory {
        id: 5_725_767_000_000_430_409,
        name: "EMEA",
        reporting_to: Some(5_725_767_000_000_430_401),
    },
    Territory {
        id: 5_725_767_000_000_430_411,
        name: "Germany",
        reporting_to: Some(5_725_767_000_000_430_409),
    },
    Territory {
        id: 5_725_767_000_000_430_413,
        name: "Americas",
        reporting_to: Some(5_725_767_000_000_430_401),
    },
];

/// The territory of the record at this place: a quarter of each module's records belongs to each territory.
pub(super) fn territory_of(place: u64) -> u64 {
    TERRITORIES[(place % TERRITORIES.len() as u64) as usize].id
}

/// The territory with this id, and with `include_child` all that report to it.
pub(super) fn territories(id: &str, include_child: bool) -> Option<Vec<u64>> {
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
        assert_eq!(territories("5725767000000430401", true).unwrap().len(), 4);
        assert_eq!(territories("5725767000000430409", true).unwrap().len(), 2);
        assert_eq!(territories("5725767000000430409", false).unwrap().len(), 1);
        assert!(territories("1", true).is_none());
    }
}

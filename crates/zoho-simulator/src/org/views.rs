//! The custom views of the org.

use serde_json::{Value, json};

/// A custom view of a module.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The name in `world`: `all`, `some`, `empty`, `private`, …
    pub(crate) key: &'static str,
    /// The `cvid`.
    pub(crate) id: u64,
    /// The name that the CRM's screens show.
    pub(crate) name: &'static str,
    /// `None` for a view that a user created.
    pub(crate) system_name: Option<&'static str>,
    /// `public_views`, `created_by_me` or `other_users_views`.
    pub(crate) category: &'static str,
    /// Whether the token's user may use it.
    pub(crate) accessible: bool,
    /// The field values of its records; if empty, the view contains every record.
    criteria: Vec<(&'static str, Value)>,
}

impl View {
    /// Returns true if a record with these values is in the view.
    pub(crate) fn matches(&self, value: impl Fn(&str) -> Value) -> bool {
        self.criteria
            .iter()
            .all(|(field, expected)| value(field) == *expected)
    }

    /// The view in `GET settings/custom_views`, which includes criteria for a single view only.
    pub(crate) fn json(&self, with_criteria: bool) -> Value {
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
        if with_criteria {
            let comparison = |(field, value): &(&str, Value)| json!({"comparator": "equal", "field": {"api_name": field}, "value": value});
            view["criteria"] = match self.criteria.as_slice() {
                [] => Value::Null,
                [only] => comparison(only),
                several => {
                    let group: Vec<Value> = several.iter().map(comparison).collect();
                    json!({"group_operator": "AND", "group": group})
                }
            };
        }
        view
    }

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

    /// A view of all records that is not seeded.
    pub(crate) fn added(id: u64, name: &'static str) -> Self {
        Self::new("added", id, name, "created_by_me", Vec::new())
    }

    fn system(id: u64, name: &'static str) -> Self {
        Self {
            system_name: Some("ALLVIEWS"),
            ..Self::new("all", id, name, "public_views", Vec::new())
        }
    }

    /// A view without records.
    fn empty(id: u64, name: &'static str, field: &'static str) -> Self {
        let criteria = vec![(field, json!("No such value"))];
        Self::new("empty", id, name, "created_by_me", criteria)
    }
}

/// The modules that have only the view of all records, with its name.
const ALL_VIEWS: [(&str, &str); 13] = [
    ("Campaigns", "All Campaigns"),
    ("Tasks", "All Tasks"),
    ("Calls", "All Calls"),
    ("Events", "All Meetings"),
    ("Cases", "All Cases"),
    ("Solutions", "All Solutions"),
    ("Products", "All Products"),
    ("Vendors", "All Vendors"),
    ("Price_Books", "All Price Books"),
    ("Quotes", "All Quotes"),
    ("Sales_Orders", "All Sales Orders"),
    ("Purchase_Orders", "All Purchase Orders"),
    ("Invoices", "All Invoices"),
];

/// The views of a module. Names and system names are not unique.
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
            View::empty(5_725_767_000_000_087_513, "Empty Leads View", "Company"),
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
            View::empty(5_725_767_000_000_087_535, "Empty Deals View", "Deal_Name"),
        ],
        "Contacts" => vec![View::system(5_725_767_000_000_087_551, "All Contacts")],
        "Accounts" => vec![View::system(5_725_767_000_000_087_571, "All Accounts")],
        "Subscriptions" => vec![View::system(5_725_767_000_000_087_591, "All Subscriptions")],
        _ => ALL_VIEWS
            .iter()
            .zip((5_725_767_000_000_087_601..).step_by(20))
            .filter(|((name, _), _)| *name == module)
            .map(|((_, view), id)| View::system(id, view))
            .collect(),
    }
}

//! The users of the org. All tokens act for the first one.

use serde_json::{Value, json};

use crate::org::seed_data::{USER_ID, USER_NAME};

/// A user of the org.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CrmUser {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    /// `active`, `inactive` or `deleted`.
    pub(crate) status: &'static str,
}

pub(crate) static USERS: [CrmUser; 4] = [
    CrmUser {
        id: USER_ID,
        name: USER_NAME,
        email: "patricia.boyle@example.com",
        status: "active",
    },
    CrmUser {
        id: "5725767000000411002",
        name: "Alan Sales",
        email: "alan.sales@example.com",
        status: "active",
    },
    CrmUser {
        id: "5725767000000411003",
        name: "Ines Former",
        email: "ines.former@example.com",
        status: "inactive",
    },
    CrmUser {
        id: "5725767000000411004",
        name: "Dan Deleted",
        email: "dan.deleted@example.com",
        status: "deleted",
    },
];

impl CrmUser {
    /// The user in an `Owner` field.
    pub(crate) fn reference(&self) -> Value {
        json!({"name": self.name, "id": self.id, "email": self.email})
    }

    /// The user in `GET users`.
    pub(crate) fn json(&self) -> Value {
        let (first, last) = self.name.split_once(' ').unwrap_or(("", self.name));
        json!({
            "id": self.id,
            "full_name": self.name,
            "first_name": first,
            "last_name": last,
            "email": self.email,
            "zuid": "60001234000",
            "status": self.status,
            "confirm": true,
            "time_zone": "Asia/Kolkata",
            "role": {"name": "CEO", "id": "5725767000000026005"},
            "profile": {"name": "Administrator", "id": "5725767000000026011"},
        })
    }

    /// Whether `GET users` lists the user for a value of `type`; none if Zoho has no such value.
    pub(crate) fn is_of_type(&self, kind: &str) -> Option<bool> {
        let is_active = self.status == "active";
        Some(match kind {
            // The active users and the inactive ones.
            "AllUsers" => self.status != "deleted",
            "ActiveUsers" | "ActiveConfirmedUsers" | "ConfirmedUsers" => is_active,
            "DeactiveUsers" => self.status == "inactive",
            "DeletedUsers" => self.status == "deleted",
            "AdminUsers" | "ActiveConfirmedAdmins" => is_active,
            "NotConfirmedUsers" => false,
            "CurrentUser" => self.id == USER_ID,
            _ => return None,
        })
    }
}

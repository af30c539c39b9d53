//! The parts of an org's metadata that masshook uses.

use crate::update::{FieldName, ModuleName, TerritoryId, UserId, ViewId};

/// The type of a field's value, by its JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// A text.
    Text,
    /// One option of a list.
    Picklist,
    /// Some options of a list.
    MultiSelect,
    /// A whole number.
    Integer,
    /// A whole number that travels as a string of digits.
    BigInteger,
    /// A number.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A date without a time.
    Date,
    /// A date with a time.
    DateTime,
    /// Another record, a user, a layout: an object with an `id`.
    Object,
    /// Line items, subforms, files: a list of objects.
    List,
    /// A type that masshook does not know.
    Other,
}

/// How Zoho compares the values of a field that no two records may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniqueness {
    /// Without regard to letter case.
    IgnoresCase,
    /// With regard to letter case.
    CaseSensitive,
}

/// One field of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its API name.
    pub name: FieldName,
    /// Its label in the CRM's screens.
    pub label: String,
    /// Zoho's `data_type`.
    pub data_type: String,
    /// The type of its value.
    pub kind: FieldKind,
    /// The maximum number of characters, or of digits.
    pub length: Option<u64>,
    /// The maximum number of decimal places.
    pub decimal_place: Option<u64>,
    /// Whether a mass update may set it.
    pub mass_update: bool,
    /// Whether the token's user sees it.
    pub visible: bool,
    /// Whether it cannot be changed: by the token's user, through the API, or at all.
    pub read_only: bool,
    /// Whether a new record can be given a value.
    pub creatable: bool,
    /// Whether it must have a value.
    pub mandatory: bool,
    /// Whether no two records may have the same value.
    pub unique: Option<Uniqueness>,
    /// The options of a picklist, in their order.
    pub options: Vec<PicklistOption>,
}

/// One option of a picklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PicklistOption {
    /// Its label in the CRM's screens.
    pub display: String,
    /// The value that Zoho stores and expects.
    pub actual: String,
    /// Whether the picklist offers it.
    pub used: bool,
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its API name.
    pub name: ModuleName,
    /// Its label in the CRM's screens.
    pub label: String,
    /// Whether APIs serve it.
    pub api_supported: bool,
    /// Whether it was created by the org.
    pub custom: bool,
}

/// A custom view of a module. Neither its names nor its `system_name` need be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomView {
    /// Its id, the `cvid` of a mass update.
    pub id: ViewId,
    /// Its name.
    pub name: String,
    /// Its name in the language of the token's user.
    pub display: String,
    /// Zoho's name of a built-in view.
    pub system_name: Option<String>,
    /// `public_views`, `other_users_views`, `shared_with_me` or `created_by_me`.
    pub category: Option<String>,
}

/// A territory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Territory {
    /// Its id.
    pub id: TerritoryId,
    /// Its name.
    pub name: String,
    /// The parent territory; the root has none.
    pub reports_to: Option<TerritoryId>,
}

/// A user of the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The e-mail address.
    pub email: String,
    /// Whether the user can log in and own records.
    pub active: bool,
}

/// One API of the org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Its path: `/crm/v7/Leads/actions/mass_update`.
    pub path: String,
    /// The operations that it offers.
    pub operations: Vec<Operation>,
}

/// One operation of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: String,
    /// The scope that it needs.
    pub oauth_scope: String,
    /// The minimum cost of a call, in API credits.
    pub min_credits: Option<u64>,
    /// The maximum cost of a call, in API credits.
    pub max_credits: Option<u64>,
}

/// The org.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Org {
    /// The company's name.
    pub company: String,
    /// The edition that is paid for, as Zoho names it: `enterprise`.
    pub edition: Option<String>,
    /// The org's time zone: `Asia/Kolkata`.
    pub time_zone: Option<String>,
}

//! API names of modules and fields.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Modules that Zoho documents for mass update (v7 page, and the v8 specification's `Tasks`, `Calls`, `Events`, `Cases`).
/// Custom modules have other names, so the list only detects misspelt standard names.
const STANDARD_MODULES: [&str; 18] = [
    "Leads",
    "Accounts",
    "Contacts",
    "Deals",
    "Campaigns",
    "Tasks",
    "Calls",
    "Events",
    "Cases",
    "Solutions",
    "Products",
    "Vendors",
    "Price_Books",
    "Quotes",
    "Sales_Orders",
    "Purchase_Orders",
    "Invoices",
    "Activities",
];

/// The API name of a module, as used in Zoho's URLs: case-sensitive, `Leads`, `Price_Books`, `CustomModule3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(String);

/// The API name of a field.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct FieldName(String);

/// A text that is not an API name.
#[derive(Debug, thiserror::Error)]
pub enum InvalidName {
    /// It contains characters that API names never have, or is too long.
    #[error(
        "`{0}` is not an API name: a letter, then letters, digits and underscores, at most 100 in all"
    )]
    Form(String),
    /// It is the name of a standard module in the wrong case.
    #[error("`{0}` is not a module: API names are case-sensitive, write `{1}`")]
    Case(String, &'static str),
}

fn api_name(text: &str) -> Result<String, InvalidName> {
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if starts && text.len() <= 100 && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        Ok(text.to_owned())
    } else {
        Err(InvalidName::Form(text.chars().take(40).collect()))
    }
}

impl FromStr for ModuleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = api_name(text)?;
        let alike = |standard: &&&str| standard.eq_ignore_ascii_case(&name) && **standard != name;
        match STANDARD_MODULES.iter().find(alike) {
            Some(standard) => Err(InvalidName::Case(name, standard)),
            None => Ok(Self(name)),
        }
    }
}

impl ModuleName {
    /// Whether this is one of Zoho's standard modules, rather than a custom module.
    pub fn is_standard(&self) -> bool {
        STANDARD_MODULES.contains(&self.0.as_str())
    }
}

impl ModuleName {
    /// Whether this is `Activities`, which Zoho's API replaced by `Tasks`, `Calls` and `Events` in version 3.
    pub fn is_retired(&self) -> bool {
        self.0 == "Activities"
    }
}

impl ModuleName {
    /// Whether Zoho can create or update records of the module in one call
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/upsert-records.html>).
    pub fn has_upsert(&self) -> bool {
        !matches!(
            self.as_str(),
            "Tasks" | "Calls" | "Events" | "Activities" | "Notes" | "Attachments" | "Users"
        )
    }

    /// The field by which Zoho finds duplicates in the module, although it need not be unique.
    pub fn duplicate_check_field(&self) -> &'static str {
        match self.as_str() {
            "Leads" | "Contacts" => "Email",
            "Accounts" => "Account_Name",
            "Deals" => "Deal_Name",
            "Campaigns" => "Campaign_Name",
            "Solutions" => "Solution_Title",
            "Products" => "Product_Name",
            "Vendors" => "Vendor_Name",
            "Price_Books" => "Price_Book_Name",
            "Cases" | "Quotes" | "Sales_Orders" | "Purchase_Orders" | "Invoices" => "Subject",
            _ => "Name",
        }
    }
}

impl FromStr for FieldName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        api_name(text).map(Self)
    }
}

macro_rules! name_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl $name {
            /// The name as Zoho spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

name_conversions!(ModuleName);
name_conversions!(FieldName);

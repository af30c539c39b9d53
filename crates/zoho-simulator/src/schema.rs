//! The seeded modules and their fields: Zoho's own names, and one custom module.

use crate::fields::{Field, Kind, Rule};

/// A module as it is seeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// The API name.
    pub(crate) name: &'static str,
    /// The id of the first record; the others follow without gaps.
    pub(crate) first_id: u64,
    /// Seeded records unless overridden.
    pub(crate) records: u64,
    /// Fields that one mass update may set: 3 in Deals, else 1.
    pub(crate) fields_per_call: usize,
    /// Made by the org itself, so that scopes call it `custom`.
    pub(crate) custom: bool,
    /// The fields.
    pub(crate) fields: &'static [Field],
}

impl Schema {
    /// The field with this API name; names are case-sensitive.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Record ids between one module's first and the next one's.
pub(crate) const ID_ROOM: u64 = 900_000;

/// Modules that exist in every org but have no mass update.
pub(crate) const UNSUPPORTED: [&str; 5] =
    ["Users", "Notes", "Attachments", "Services", "Appointments"];

/// The pipelines of Deals, each with the stages that belong to it.
pub(crate) const PIPELINES: [(&str, &[&str]); 2] = [
    ("Standard (Standard)", STAGES),
    (
        "Renewals",
        &["Negotiation/Review", "Closed Won", "Closed Lost"],
    ),
];

const STAGES: &[&str] = &[
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Identify Decision Makers",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
    "Closed Lost to Competition",
];

const SOURCES: &[&str] = &[
    "-None-",
    "Advertisement",
    "Cold Call",
    "Employee Referral",
    "External Referral",
    "Online Store",
    "Partner",
    "Public Relations",
    "Sales Email Alias",
    "Seminar Partner",
    "Internal Seminar",
    "Trade Show",
    "Web Download",
    "Web Research",
    "Webinar",
    "Chat",
    "Houston|Houston Showroom",
    "!Fax Campaign",
];

const INDUSTRIES: &[&str] = &[
    "-None-",
    "ASP (Application Service Provider)",
    "Data/Telecom OEM",
    "ERP (Enterprise Resource Planning)",
    "Education",
    "Government/Military",
    "Large Enterprise",
    "ManagementISV",
    "Non-management ISV",
    "Small/Medium Enterprise",
    "Wireless Industry",
];

const RATINGS: &[&str] = &[
    "-None-",
    "Acquired",
    "Active",
    "Market Failed",
    "Project Cancelled",
    "Shut Down",
];

const LANGUAGES: &[&str] = &[
    "English", "German", "French", "Spanish", "Hindi", "Japanese",
];

const TOPICS: &[&str] = &[
    "CRM",
    "Billing",
    "Support",
    "Analytics",
    "Events|Events and Webinars",
];

/// Whether a lead has become a contact: told by its condition, not stored.
pub(crate) const CONVERTED: &str = "Converted__s";

const OWNER: Field = Field::new("Owner", Kind::Owner);
const LAYOUT: Field = Field::new("Layout", Kind::Layout);
const EMAIL: Field = Field::new("Email", Kind::Email);
const DESCRIPTION: Field = Field::new("Description", Kind::Textarea);
const SOURCE: Field = Field::new("Lead_Source", Kind::Picklist).options(SOURCES);
const INDUSTRY: Field = Field::new("Industry", Kind::Picklist).options(INDUSTRIES);
const RATING: Field = Field::new("Rating", Kind::Picklist).options(RATINGS);
const CREATED: Field = Field::new("Created_Time", Kind::DateTime);
const MODIFIED: Field = Field::new("Modified_Time", Kind::DateTime);
const TOPIC: Field = Field::new("Topics", Kind::Multiselect).options(TOPICS);
const LANGUAGE: Field = Field::new("Languages_Known", Kind::Multiselect).options(LANGUAGES);

/// Every module of the world.
pub(crate) const MODULES: [Schema; 5] = [
    Schema {
        name: "Leads",
        // This very id stands in the sample body of Zoho's notifications page.
        first_id: 5_725_767_000_003_000_064,
        records: 2_000,
        fields_per_call: 1,
        custom: false,
        fields: &[
            OWNER,
            LAYOUT,
            Field::new("Company", Kind::Text).required(),
            Field::new("First_Name", Kind::Text).never(),
            Field::new("Last_Name", Kind::Text).never().required(),
            Field::new("Designation", Kind::Text),
            EMAIL,
            Field::new("Secondary_Email", Kind::Email),
            Field::new("Phone", Kind::Phone).unique(),
            Field::new("Mobile", Kind::Phone),
            Field::new("Website", Kind::Website),
            SOURCE,
            Field::new("Lead_Status", Kind::Picklist).options(&[
                "-None-",
                "Attempted to Contact",
                "Contact in Future",
                "Contacted",
                "Junk Lead",
                "Lost Lead",
                "Not Contacted",
                "Pre-Qualified",
                "Not Qualified",
            ]),
            INDUSTRY,
            RATING,
            Field::new("No_of_Employees", Kind::Integer),
            Field::new("Annual_Revenue", Kind::Currency),
            Field::new("Email_Opt_Out", Kind::Boolean),
            Field::new("Street", Kind::Text),
            Field::new("City", Kind::Text),
            Field::new("Country", Kind::Text),
            LANGUAGE,
            TOPIC,
            Field::new("Last_Webinar", Kind::Date),
            Field::new("Partner_Number", Kind::BigInt),
            Field::new("Revenue_per_Head", Kind::Formula),
            Field::new("Contract", Kind::FileUpload),
            Field::new(CONVERTED, Kind::Boolean).system(),
            Field::new("Credit_Limit", Kind::Currency).hidden(),
            Field::new("Lead_Score", Kind::Integer).read_only(),
            Field::new("Salutation", Kind::Picklist)
                .options(&["-None-", "Mr.", "Mrs.", "Ms.", "Dr.", "Prof."])
                .rule(Rule::Layout),
            Field::new("Fax", Kind::Phone).rule(Rule::Validation),
            DESCRIPTION,
            CREATED,
            MODIFIED,
        ],
    },
    Schema {
        name: "Contacts",
        first_id: 5_725_767_000_004_000_001,
        records: 200,
        fields_per_call: 1,
        custom: false,
        fields: &[
            OWNER,
            LAYOUT,
            Field::new("Account_Name", Kind::Lookup),
            Field::new("First_Name", Kind::Text).never(),
            Field::new("Last_Name", Kind::Text).never().required(),
            Field::new("Title", Kind::Text),
            Field::new("Department", Kind::Text),
            EMAIL,
            Field::new("Mobile", Kind::Phone),
            SOURCE,
            Field::new("Email_Opt_Out", Kind::Boolean),
            LANGUAGE,
            TOPIC,
            Field::new("Date_of_Birth", Kind::Date),
            DESCRIPTION,
            CREATED,
            MODIFIED,
        ],
    },
    Schema {
        name: "Accounts",
        first_id: 5_725_767_000_005_000_001,
        records: 200,
        fields_per_call: 1,
        custom: false,
        fields: &[
            OWNER,
            LAYOUT,
            Field::new("Account_Name", Kind::Text).required().unique(),
            Field::new("Account_Type", Kind::Picklist).options(&[
                "-None-",
                "Analyst",
                "Competitor",
                "Customer",
                "Distributor",
                "Integrator",
                "Investor",
                "Other",
                "Partner",
                "Press",
                "Prospect",
                "Reseller",
                "Supplier",
                "Vendor",
            ]),
            INDUSTRY,
            RATING,
            Field::new("Website", Kind::Website),
            Field::new("Employees", Kind::Integer),
            Field::new("Annual_Revenue", Kind::Currency),
            DESCRIPTION,
            CREATED,
            MODIFIED,
        ],
    },
    Schema {
        name: "Deals",
        first_id: 5_725_767_000_006_000_001,
        records: 2_000,
        fields_per_call: 3,
        custom: false,
        fields: &[
            OWNER,
            LAYOUT,
            Field::new("Deal_Name", Kind::Text).required(),
            Field::new("Account_Name", Kind::Lookup),
            Field::new("Pipeline", Kind::Picklist).options(&["Standard (Standard)", "Renewals"]),
            Field::new("Stage", Kind::Picklist)
                .options(STAGES)
                .required(),
            Field::new("Amount", Kind::Currency),
            Field::new("Closing_Date", Kind::Date).required(),
            Field::new("Probability", Kind::Percent),
            Field::new("Type", Kind::Picklist).options(&[
                "-None-",
                "Existing Business",
                "New Business",
            ]),
            SOURCE,
            Field::new("Next_Step", Kind::Text),
            LANGUAGE,
            DESCRIPTION,
            CREATED,
            MODIFIED,
        ],
    },
    Schema {
        name: "Subscriptions",
        first_id: 5_725_767_000_007_000_001,
        records: 200,
        fields_per_call: 1,
        custom: true,
        fields: &[
            OWNER,
            LAYOUT,
            Field::new("Name", Kind::Text).required(),
            EMAIL,
            Field::new("Plan", Kind::Picklist).options(&["Free", "Team|Team 2024", "Business"]),
            Field::new("Renewal_Date", Kind::Date),
            Field::new("Seats", Kind::Integer),
            Field::new("Add_ons", Kind::Multiselect).options(&["Backup", "Sandbox", "Audit Log"]),
            Field::new("Cancelled", Kind::Boolean),
            Field::new("Invoices", Kind::Subform),
            CREATED,
            MODIFIED,
        ],
    },
];

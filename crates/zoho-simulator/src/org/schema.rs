//! The seeded modules and their fields: Zoho's standard modules and one custom module.

mod standard;

use crate::org::field::{Field, FieldRule, FieldType};

/// A seeded module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// The API name.
    pub(crate) name: &'static str,
    /// The id of the first record. The ids of the others follow without gaps.
    pub(crate) first_id: u64,
    /// The number of seeded records, unless overridden.
    pub(crate) records: u64,
    /// The number of fields that one mass update may set: 3 in Deals, 1 elsewhere.
    pub(crate) fields_per_call: usize,
    /// Whether it is a custom module, which scopes call `custom`.
    pub(crate) custom: bool,
    pub(crate) fields: &'static [Field],
}

impl Schema {
    /// The field with this API name; names are case-sensitive.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The fields that the user's profile shows.
    pub(crate) fn visible_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().filter(|field| !field.hidden)
    }

    /// The visible field with this API name.
    pub(crate) fn visible_field(&self, name: &str) -> Option<&'static Field> {
        self.field(name).filter(|field| !field.hidden)
    }

    /// The id of the module.
    pub(crate) fn module_id(&self) -> String {
        (self.first_id - 999_000).to_string()
    }
}

/// The tags of a record, which every module has. Only the calls for tags change them.
pub(crate) const TAG: Field = Field::new("Tag", FieldType::Subform);

/// The number of record ids reserved for a module.
pub(crate) const MAX_RECORDS: u64 = 900_000;

/// Modules that exist in every org but have no mass update.
pub(crate) const MODULES_WITHOUT_MASS_UPDATE: [&str; 5] =
    ["Users", "Notes", "Attachments", "Services", "Appointments"];

/// The module on whose mass update Zoho's documents disagree: only the v8 specification lists it.
pub(crate) const CASES: &str = "Cases";

/// The pipelines of Deals with their stages.
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

const LEAD_SOURCES: &[&str] = &[
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

/// The time of a record's last change. Derived, not stored.
pub(crate) const MODIFIED_TIME: &str = "Modified_Time";

/// Whether a lead is converted. Derived from the record's condition, not stored.
pub(crate) const CONVERTED: &str = "Converted__s";

/// A text field.
const fn text_field(name: &'static str) -> Field {
    Field::new(name, FieldType::Text)
}

/// A picklist with its options.
const fn options_field(name: &'static str, options: &'static [&'static str]) -> Field {
    Field::new(name, FieldType::Picklist).options(options)
}

const OWNER: Field = Field::new("Owner", FieldType::Owner);
const LAYOUT: Field = Field::new("Layout", FieldType::Layout);
const EMAIL: Field = Field::new("Email", FieldType::Email);
const ACCOUNT: Field = Field::new("Account_Name", FieldType::Lookup).lookup("Accounts");
const DESCRIPTION: Field = Field::new("Description", FieldType::Textarea);
const SOURCE: Field = Field::new("Lead_Source", FieldType::Picklist).options(LEAD_SOURCES);
const INDUSTRY: Field = Field::new("Industry", FieldType::Picklist).options(INDUSTRIES);
const RATING: Field = Field::new("Rating", FieldType::Picklist).options(RATINGS);
const CREATED: Field = Field::new("Created_Time", FieldType::DateTime);
const MODIFIED: Field = Field::new(MODIFIED_TIME, FieldType::DateTime);
const CREATED_BY: Field = Field::new("Created_By", FieldType::Owner).system();
const MODIFIED_BY: Field = Field::new("Modified_By", FieldType::Owner).system();
const TOPIC: Field = Field::new("Topics", FieldType::Multiselect).options(TOPICS);
const LANGUAGE: Field = Field::new("Languages_Known", FieldType::Multiselect).options(LANGUAGES);

/// The fields of an added module, before its own.
pub(crate) const CUSTOM_FIELDS: &[Field] = &[
    OWNER,
    LAYOUT,
    Field::new("Name", FieldType::Text).required(),
    EMAIL,
    CREATED,
    MODIFIED,
    CREATED_BY,
    MODIFIED_BY,
];

/// All modules of the org.
pub(crate) const MODULES: [Schema; 18] = [
    Schema {
        name: "Leads",
        // The id in the sample body of Zoho's notifications page.
        first_id: 5_725_767_000_003_000_064,
        records: 2_000,
        fields_per_call: 1,
        custom: false,
        fields: &[
            OWNER,
            LAYOUT,
            Field::new("Company", FieldType::Text).required(),
            Field::new("First_Name", FieldType::Text).not_mass_updatable(),
            Field::new("Last_Name", FieldType::Text)
                .not_mass_updatable()
                .required(),
            Field::new("Designation", FieldType::Text),
            EMAIL,
            Field::new("Secondary_Email", FieldType::Email),
            Field::new("Phone", FieldType::Phone).unique(),
            Field::new("Mobile", FieldType::Phone),
            Field::new("Website", FieldType::Website),
            SOURCE,
            Field::new("Lead_Status", FieldType::Picklist)
                .options(&[
                    "-None-",
                    "Attempted to Contact",
                    "Contact in Future",
                    "Contacted",
                    "Junk Lead",
                    "Lost Lead",
                    "Not Contacted",
                    "Pre-Qualified",
                    "Not Qualified",
                ])
                .blueprint(),
            INDUSTRY,
            RATING,
            Field::new("No_of_Employees", FieldType::Integer),
            Field::new("Annual_Revenue", FieldType::Currency),
            Field::new("Email_Opt_Out", FieldType::Boolean),
            Field::new("Street", FieldType::Text),
            Field::new("City", FieldType::Text),
            Field::new("Country", FieldType::Text),
            LANGUAGE,
            TOPIC,
            Field::new("Last_Webinar", FieldType::Date),
            Field::new("Partner_Number", FieldType::BigInt),
            Field::new("Revenue_per_Head", FieldType::Formula).quotient(
                "${Leads.Annual Revenue} / ${Leads.No of Employees}",
                "Annual_Revenue",
                "No_of_Employees",
            ),
            Field::new("Contract", FieldType::FileUpload),
            Field::new(CONVERTED, FieldType::Boolean).system(),
            Field::new("Credit_Limit", FieldType::Currency).hidden(),
            Field::new("Lead_Score", FieldType::Integer).read_only(),
            Field::new("Salutation", FieldType::Picklist)
                .options(&["-None-", "Mr.", "Mrs.", "Ms.", "Dr.", "Prof."])
                .rule(FieldRule::Layout),
            Field::new("Fax", FieldType::Phone).rule(FieldRule::Validation),
            DESCRIPTION,
            CREATED,
            MODIFIED,
            CREATED_BY,
            MODIFIED_BY,
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
            ACCOUNT,
            Field::new("First_Name", FieldType::Text).not_mass_updatable(),
            Field::new("Last_Name", FieldType::Text)
                .not_mass_updatable()
                .required(),
            Field::new("Title", FieldType::Text),
            Field::new("Department", FieldType::Text),
            EMAIL,
            Field::new("Mobile", FieldType::Phone),
            SOURCE,
            Field::new("Email_Opt_Out", FieldType::Boolean),
            LANGUAGE,
            TOPIC,
            Field::new("Date_of_Birth", FieldType::Date),
            DESCRIPTION,
            CREATED,
            MODIFIED,
            CREATED_BY,
            MODIFIED_BY,
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
            Field::new("Account_Name", FieldType::Text)
                .required()
                .unique(),
            Field::new("Account_Type", FieldType::Picklist).options(&[
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
            Field::new("Website", FieldType::Website),
            Field::new("Employees", FieldType::Integer),
            Field::new("Deals_Amount", FieldType::RollupSummary),
            Field::new("Annual_Revenue", FieldType::Currency),
            DESCRIPTION,
            CREATED,
            MODIFIED,
            CREATED_BY,
            MODIFIED_BY,
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
            Field::new("Deal_Name", FieldType::Text).required(),
            ACCOUNT,
            Field::new("Pipeline", FieldType::Picklist)
                .options(&["Standard (Standard)", "Renewals"]),
            Field::new("Stage", FieldType::Picklist)
                .options(STAGES)
                .required()
                .blueprint(),
            Field::new("Amount", FieldType::Currency),
            Field::new("Closing_Date", FieldType::Date).required(),
            Field::new("Probability", FieldType::Percent),
            Field::new("Type", FieldType::Picklist).options(&[
                "-None-",
                "Existing Business",
                "New Business",
            ]),
            SOURCE,
            Field::new("Next_Step", FieldType::Text),
            LANGUAGE,
            DESCRIPTION,
            CREATED,
            MODIFIED,
            CREATED_BY,
            MODIFIED_BY,
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
            Field::new("Name", FieldType::Text).required(),
            EMAIL,
            Field::new("Subscription_Number", FieldType::AutoNumber),
            Field::new("Plan", FieldType::Picklist)
                .options(&["Free", "Team|Team 2024", "Business"])
                .blueprint(),
            Field::new("Renewal_Date", FieldType::Date),
            Field::new("Seats", FieldType::Integer),
            Field::new("Add_ons", FieldType::Multiselect).options(&[
                "Backup",
                "Sandbox",
                "Audit Log",
            ]),
            Field::new("Cancelled", FieldType::Boolean),
            Field::new("Invoices", FieldType::Subform),
            CREATED,
            MODIFIED,
            CREATED_BY,
            MODIFIED_BY,
        ],
    },
    standard::CAMPAIGNS,
    standard::TASKS,
    standard::CALLS,
    standard::EVENTS,
    standard::CASES,
    standard::SOLUTIONS,
    standard::PRODUCTS,
    standard::VENDORS,
    standard::PRICE_BOOKS,
    standard::QUOTES,
    standard::SALES_ORDERS,
    standard::PURCHASE_ORDERS,
    standard::INVOICES,
];

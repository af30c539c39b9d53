//! The other standard modules of Zoho, each with a few of its fields.

use super::{
    ACCOUNT, CREATED, CREATED_BY, DESCRIPTION, EMAIL, LAYOUT, MODIFIED, MODIFIED_BY, OWNER, Schema,
    options_field as picklist, text_field as text,
};
use crate::org::field::{Field, FieldType};

/// The number of seeded records of each of these modules.
const RECORDS: u64 = 40;

const SUBJECT: Field = text("Subject").required();
const TERMS: Field = Field::new("Terms_and_Conditions", FieldType::Textarea);

const fn module(name: &'static str, first_id: u64, fields: &'static [Field]) -> Schema {
    Schema {
        name,
        first_id,
        records: RECORDS,
        fields_per_call: 1,
        custom: false,
        fields,
    }
}

pub(super) const CAMPAIGNS: Schema = module(
    "Campaigns",
    5_725_767_000_011_000_001,
    &[
        OWNER,
        LAYOUT,
        text("Campaign_Name").required(),
        picklist(
            "Type",
            &["-None-", "Conference", "Webinar", "Trade Show", "Email"],
        ),
        picklist(
            "Status",
            &["-None-", "Planning", "Active", "Inactive", "Complete"],
        )
        .blueprint(),
        Field::new("Start_Date", FieldType::Date),
        Field::new("End_Date", FieldType::Date),
        Field::new("Expected_Revenue", FieldType::Currency),
        Field::new("Actual_Cost", FieldType::Currency),
        Field::new("Num_sent", FieldType::Integer),
        Field::new("Parent_Campaign", FieldType::Lookup).lookup("Campaigns"),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const TASKS: Schema = module(
    "Tasks",
    5_725_767_000_012_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        Field::new("Due_Date", FieldType::Date),
        picklist(
            "Status",
            &[
                "Not Started",
                "Deferred",
                "In Progress",
                "Completed",
                "Waiting for input",
            ],
        )
        .blueprint(),
        picklist("Priority", &["High", "Highest", "Low", "Lowest", "Normal"]),
        Field::new("Who_Id", FieldType::Lookup).lookup("Contacts"),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const CALLS: Schema = module(
    "Calls",
    5_725_767_000_013_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        picklist("Call_Type", &["Outbound", "Inbound", "Missed"]),
        picklist(
            "Call_Purpose",
            &["-None-", "Prospecting", "Administrative", "Demo"],
        ),
        picklist(
            "Call_Result",
            &["-None-", "Interested", "Not interested", "No response/Busy"],
        ),
        Field::new("Call_Start_Time", FieldType::DateTime).editable(),
        text("Call_Duration"),
        Field::new("Who_Id", FieldType::Lookup).lookup("Contacts"),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

/// Meetings, whose API name is `Events`.
pub(super) const EVENTS: Schema = module(
    "Events",
    5_725_767_000_014_000_001,
    &[
        OWNER,
        LAYOUT,
        text("Event_Title").required(),
        text("Venue"),
        Field::new("All_day", FieldType::Boolean),
        Field::new("Start_DateTime", FieldType::DateTime).editable(),
        Field::new("End_DateTime", FieldType::DateTime).editable(),
        Field::new("Who_Id", FieldType::Lookup).lookup("Contacts"),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const CASES: Schema = module(
    "Cases",
    5_725_767_000_015_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        picklist("Status", &["New", "On Hold", "Escalated", "Closed"]).blueprint(),
        picklist("Priority", &["-None-", "High", "Medium", "Low"]),
        picklist("Case_Origin", &["-None-", "Email", "Phone", "Web"]),
        ACCOUNT,
        EMAIL,
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const SOLUTIONS: Schema = module(
    "Solutions",
    5_725_767_000_016_000_001,
    &[
        OWNER,
        LAYOUT,
        text("Solution_Title").required(),
        Field::new("Solution_Number", FieldType::AutoNumber),
        picklist("Status", &["-None-", "Draft", "Reviewed", "Duplicate"]),
        Field::new("Product_Name", FieldType::Lookup).lookup("Products"),
        Field::new("Question", FieldType::Textarea),
        Field::new("Answer", FieldType::Textarea),
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const PRODUCTS: Schema = module(
    "Products",
    5_725_767_000_017_000_001,
    &[
        OWNER,
        LAYOUT,
        text("Product_Name").required(),
        text("Product_Code"),
        picklist(
            "Product_Category",
            &["-None-", "Hardware", "Software", "CRM Applications"],
        ),
        Field::new("Product_Active", FieldType::Boolean),
        Field::new("Unit_Price", FieldType::Currency),
        Field::new("Commission_Rate", FieldType::Percent),
        Field::new("Sales_Start_Date", FieldType::Date),
        Field::new("Vendor_Name", FieldType::Lookup).lookup("Vendors"),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const VENDORS: Schema = module(
    "Vendors",
    5_725_767_000_018_000_001,
    &[
        OWNER,
        LAYOUT,
        text("Vendor_Name").required(),
        text("Category"),
        picklist(
            "GL_Account",
            &[
                "-None-",
                "Sales-Software",
                "Sales-Hardware",
                "Rental Income",
            ],
        ),
        EMAIL,
        Field::new("Phone", FieldType::Phone),
        Field::new("Website", FieldType::Website),
        text("City"),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const PRICE_BOOKS: Schema = module(
    "Price_Books",
    5_725_767_000_019_000_001,
    &[
        OWNER,
        LAYOUT,
        text("Price_Book_Name").required(),
        Field::new("Active", FieldType::Boolean),
        picklist("Pricing_Model", &["-None-", "Flat", "Differential"]),
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const QUOTES: Schema = module(
    "Quotes",
    5_725_767_000_020_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        Field::new("Quote_Number", FieldType::AutoNumber),
        picklist(
            "Quote_Stage",
            &["Draft", "Negotiation", "Delivered", "On Hold", "Confirmed"],
        )
        .blueprint(),
        picklist("Carrier", &["FedEX", "UPS", "USPS", "DHL"]),
        Field::new("Valid_Till", FieldType::Date),
        ACCOUNT,
        Field::new("Grand_Total", FieldType::Formula).formula("currency", "${Quotes.Sub_Total}"),
        TERMS,
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const SALES_ORDERS: Schema = module(
    "Sales_Orders",
    5_725_767_000_021_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        Field::new("SO_Number", FieldType::AutoNumber),
        picklist("Status", &["Created", "Approved", "Delivered", "Cancelled"]).blueprint(),
        picklist("Carrier", &["FedEX", "UPS", "USPS", "DHL"]),
        Field::new("Due_Date", FieldType::Date),
        text("Customer_No"),
        ACCOUNT,
        Field::new("Grand_Total", FieldType::Formula)
            .formula("currency", "${Sales_Orders.Sub_Total}"),
        TERMS,
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const PURCHASE_ORDERS: Schema = module(
    "Purchase_Orders",
    5_725_767_000_022_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        text("PO_Number"),
        picklist("Status", &["Created", "Approved", "Delivered", "Cancelled"]).blueprint(),
        picklist("Carrier", &["FedEX", "UPS", "USPS", "DHL"]),
        Field::new("PO_Date", FieldType::Date),
        Field::new("Due_Date", FieldType::Date),
        Field::new("Vendor_Name", FieldType::Lookup).lookup("Vendors"),
        Field::new("Grand_Total", FieldType::Formula)
            .formula("currency", "${Purchase_Orders.Sub_Total}"),
        TERMS,
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

pub(super) const INVOICES: Schema = module(
    "Invoices",
    5_725_767_000_023_000_001,
    &[
        OWNER,
        LAYOUT,
        SUBJECT,
        Field::new("Invoice_Number", FieldType::AutoNumber),
        picklist("Status", &["Created", "Approved", "Delivered", "Cancelled"]).blueprint(),
        Field::new("Invoice_Date", FieldType::Date),
        Field::new("Due_Date", FieldType::Date),
        ACCOUNT,
        Field::new("Grand_Total", FieldType::Formula).formula("currency", "${Invoices.Sub_Total}"),
        TERMS,
        DESCRIPTION,
        CREATED,
        MODIFIED,
        CREATED_BY,
        MODIFIED_BY,
    ],
);

//! The three scenarios of the demo: the webhook, the expected update request and the expected job status.

use serde_json::{Value, json};

/// The signing secrets by route.
pub(super) const SECRETS: [(&str, &str); 3] = [
    ("typeform-signup", "typeform-demo-secret"),
    ("stripe-invoice", "whsec_stripe_demo_secret"),
    (
        "campaign-ended",
        "whsec_Y2FtcGFpZ24gc2VjcmV0IG9mIHRoZSBkZW1vIQ==",
    ),
];

/// The seeded records of the simulator that the scenarios update.
pub(super) struct SeededRecords {
    lead: String,
    first_deal: u64,
    view: String,
    view_records: u64,
    lead_in_view: Option<String>,
}

impl SeededRecords {
    /// Reads them from the simulator's announcement.
    pub(super) fn from_announcement(announcement: &Value) -> Result<Self, String> {
        let world = &announcement["world"];
        let first = |module: &str| {
            let id = world["modules"][module]["first_record_id"].as_str();
            id.map(str::to_owned)
                .ok_or_else(|| format!("the simulator announces no {module}"))
        };
        let view = &world["views"]["Leads"]["some"];
        Ok(Self {
            lead: first("Leads")?,
            first_deal: first("Deals")?
                .parse()
                .map_err(|_| "the simulator's record ids are not numbers")?,
            view: view["id"]
                .as_str()
                .ok_or("the simulator announces no view of leads")?
                .to_owned(),
            view_records: view["records"]
                .as_u64()
                .ok_or("the simulator announces no record count of its view")?,
            lead_in_view: view["first_record_id"].as_str().map(str::to_owned),
        })
    }
}

/// The demo's config. Its secrets are in memory, under Secrets Manager references.
pub(super) fn config(zoho: &str, receiver: &str) -> String {
    format!(
        r#"
connections:
  default:
    credentials: secretsmanager:zoho
    accounts_url: {zoho}
    api_url: {zoho}
    max_concurrency: 2
api: {{ key: secretsmanager:api-key }}
callbacks: {{ signing_secret: secretsmanager:callback, allow_loopback: true }}
routes:
  typeform-signup:
    verify: {{ scheme: typeform, secret: secretsmanager:typeform-signup }}
    when: .event_type == "form_response"
    delivery_id: .event_id
    map: |
      {{ module: "Leads", fields: {{ Lead_Source: "Webinar" }}, ids: [ .form_response.hidden.lead_id ] }}
    callback_url: {receiver}
  stripe-invoice:
    verify: {{ scheme: stripe, secret: secretsmanager:stripe-invoice }}
    when: .type == "invoice.paid"
    delivery_id: .id
    map: |
      {{ module: "Deals",
        fields: {{ Stage: "Closed Won", Type: "Existing Business", Next_Step: "Say thank you" }},
        ids: [ .data.object.lines.data[].metadata.deal_id ] }}
    callback_url: {receiver}
  campaign-ended:
    verify: {{ scheme: standard-webhooks, secret: secretsmanager:campaign-ended }}
    map: |
      {{ module: "Leads", fields: {{ Lead_Status: "Contact in Future" }}, cvid: .data.view }}
    callback_url: {receiver}
"#
    )
}

/// A webhook and the expected result.
pub(super) struct Scenario {
    pub(super) title: &'static str,
    pub(super) route: &'static str,
    /// The sender's signature scheme.
    pub(super) scheme: &'static str,
    pub(super) delivery_id: &'static str,
    /// The webhook's body.
    pub(super) body: Value,
    /// The expected update request.
    pub(super) update: Value,
    pub(super) module: &'static str,
    /// The number of records to update.
    pub(super) records: u64,
    /// The expected status of the job.
    pub(super) status: &'static str,
    /// A record to show before and after the update.
    sample_record: Option<String>,
}

impl Scenario {
    /// The fields to show, each with the id of the sample record.
    pub(super) fn sample_fields(&self) -> Vec<(&str, &str)> {
        let fields = self.update["fields"].as_object();
        let fields = fields.into_iter().flat_map(|fields| fields.keys());
        self.sample_record
            .iter()
            .flat_map(|id| fields.clone().map(|field| (field.as_str(), id.as_str())))
            .collect()
    }
}

/// The scenarios in order.
pub(super) fn all(seeded: &SeededRecords) -> [Scenario; 3] {
    [form(seeded), invoice(seeded), campaign(seeded)]
}

fn form(seeded: &SeededRecords) -> Scenario {
    let update =
        json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [seeded.lead]});
    Scenario {
        title: "Typeform: a visitor submits a form whose hidden field contains a lead id",
        route: "typeform-signup",
        scheme: "typeform",
        delivery_id: "01HZY4DEMO",
        body: json!({
            "event_id": "01HZY4DEMO",
            "event_type": "form_response",
            "form_response": {
                "form_id": "lT4Z3j",
                "token": "a3a12ec67a1365927098a606107fac15",
                "submitted_at": "2026-01-18T18:17:02Z",
                "hidden": {"lead_id": seeded.lead},
                "answers": [{"type": "email", "email": "ada@example.com", "field": {"id": "SMEUb7VJz92Q", "type": "email"}}],
            },
        }),
        update,
        module: "Leads",
        records: 1,
        status: "succeeded",
        sample_record: Some(seeded.lead.clone()),
    }
}

fn invoice(seeded: &SeededRecords) -> Scenario {
    /// More than fits into two calls.
    const DEALS: u64 = 1_200;
    let deals: Vec<String> = (0..DEALS)
        .map(|number| (seeded.first_deal + number).to_string())
        .collect();
    let lines: Vec<Value> = deals
        .iter()
        .enumerate()
        .map(|(number, deal)| json!({"id": format!("il_{number}"), "object": "line_item", "metadata": {"deal_id": deal}}))
        .collect();
    Scenario {
        title: "Stripe: an invoice with 1,200 lines is paid; each line contains a deal id, and three fields change",
        route: "stripe-invoice",
        scheme: "stripe",
        delivery_id: "evt_1MhUT6E0b6fckueSqWR0Bec4",
        body: json!({
            "id": "evt_1MhUT6E0b6fckueSqWR0Bec4",
            "object": "event",
            "type": "invoice.paid",
            "data": {"object": {"id": "in_1MhUT6", "object": "invoice", "status": "paid", "lines": {"object": "list", "data": lines}}},
        }),
        update: json!({
            "module": "Deals",
            "fields": {"Stage": "Closed Won", "Type": "Existing Business", "Next_Step": "Say thank you"},
            "ids": deals,
        }),
        module: "Deals",
        records: DEALS,
        status: "succeeded",
        sample_record: deals.last().cloned(),
    }
}

fn campaign(seeded: &SeededRecords) -> Scenario {
    Scenario {
        title: "Campaign: a campaign ends; all leads of a custom view change in one scheduled Zoho job",
        route: "campaign-ended",
        scheme: "standard-webhooks",
        delivery_id: "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        body: json!({"type": "campaign.ended", "timestamp": "2026-01-18T18:17:02Z", "data": {"view": seeded.view}}),
        update: json!({"module": "Leads", "fields": {"Lead_Status": "Contact in Future"}, "cvid": seeded.view}),
        module: "Leads",
        records: seeded.view_records,
        status: "succeeded",
        sample_record: seeded.lead_in_view.clone(),
    }
}

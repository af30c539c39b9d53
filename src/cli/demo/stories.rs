//! The three stories of the demo: what comes in, and how it should end.

use serde_json::{Value, json};

/// The signing secrets of the demo's senders, by route.
pub(super) const SECRETS: [(&str, &str); 3] = [
    ("typeform-signup", "typeform-demo-secret"),
    ("stripe-invoice", "whsec_stripe_demo_secret"),
    (
        "campaign-ended",
        "whsec_Y2FtcGFpZ24gc2VjcmV0IG9mIHRoZSBkZW1vIQ==",
    ),
];

/// Where the simulated Zoho keeps what the stories are about.
pub(super) struct World {
    lead: String,
    first_deal: u64,
    view: String,
    view_records: u64,
    lead_in_view: Option<String>,
}

impl World {
    /// Finds its way in what a simulator announces.
    pub(super) fn of(announcement: &Value) -> Result<Self, String> {
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
                .map_err(|_| "the simulator's ids are no numbers")?,
            view: view["id"]
                .as_str()
                .ok_or("the simulator announces no view of leads")?
                .to_owned(),
            view_records: view["records"]
                .as_u64()
                .ok_or("the simulator does not count its view")?,
            lead_in_view: view["first_record_id"].as_str().map(str::to_owned),
        })
    }
}

/// The demo's config. Secrets are the demo's own, under the names of Secrets Manager.
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

/// One webhook and its end.
pub(super) struct Story {
    /// What happens, in a line.
    pub(super) title: &'static str,
    /// The route.
    pub(super) route: &'static str,
    /// How its sender signs.
    pub(super) scheme: &'static str,
    /// The delivery's id.
    pub(super) delivery_id: &'static str,
    /// What the sender sends.
    pub(super) body: Value,
    /// What it should become.
    pub(super) update: Value,
    /// The module that it changes.
    pub(super) module: &'static str,
    /// How many records it is about.
    pub(super) records: u64,
    /// How its job should end.
    pub(super) ends: &'static str,
    /// A record to look at before and after.
    witness: Option<String>,
}

impl Story {
    /// The fields of the witness that should change.
    pub(super) fn looked_at(&self) -> Vec<(&str, &str)> {
        let fields = self.update["fields"].as_object();
        let fields = fields.into_iter().flat_map(|fields| fields.keys());
        self.witness
            .iter()
            .flat_map(|id| fields.clone().map(|field| (field.as_str(), id.as_str())))
            .collect()
    }
}

/// The stories, in order.
pub(super) fn all(world: &World) -> [Story; 3] {
    [form(world), invoice(world), campaign(world)]
}

fn form(world: &World) -> Story {
    let update =
        json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.lead]});
    Story {
        title: "A visitor fills in a form (Typeform); a hidden field knows the lead",
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
                "hidden": {"lead_id": world.lead},
                "answers": [{"type": "email", "email": "ada@example.com", "field": {"id": "SMEUb7VJz92Q", "type": "email"}}],
            },
        }),
        update,
        module: "Leads",
        records: 1,
        ends: "succeeded",
        witness: Some(world.lead.clone()),
    }
}

fn invoice(world: &World) -> Story {
    /// More than two calls can carry.
    const DEALS: u64 = 1_200;
    let deals: Vec<String> = (0..DEALS)
        .map(|number| (world.first_deal + number).to_string())
        .collect();
    let lines: Vec<Value> = deals
        .iter()
        .enumerate()
        .map(|(number, deal)| json!({"id": format!("il_{number}"), "object": "line_item", "metadata": {"deal_id": deal}}))
        .collect();
    Story {
        title: "A yearly invoice is paid (Stripe); each of its 1,200 lines knows its deal, three fields change",
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
        ends: "succeeded",
        witness: deals.last().cloned(),
    }
}

fn campaign(world: &World) -> Story {
    Story {
        title: "A campaign ends; every lead of a custom view changes, which Zoho does in a job of its own",
        route: "campaign-ended",
        scheme: "standard-webhooks",
        delivery_id: "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        body: json!({"type": "campaign.ended", "timestamp": "2026-01-18T18:17:02Z", "data": {"view": world.view}}),
        update: json!({"module": "Leads", "fields": {"Lead_Status": "Contact in Future"}, "cvid": world.view}),
        module: "Leads",
        records: world.view_records,
        ends: "succeeded",
        witness: world.lead_in_view.clone(),
    }
}

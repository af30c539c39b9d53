//! Routes: how deliveries from one sender are verified and mapped.

mod read;

use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use url::Url;

use super::CloudEvents;
use super::PublicUrl;
use super::VerifyConfig;
use super::duration::{DurationSchema, OrderForSchema};
use super::schema::{OneOrMany, OneOrMore};
use crate::job::{CallbackOn, OnUnknownOutcome};
use crate::mapping::Program;
use crate::secrets::SecretRef;
use crate::trigger::Trigger;
use crate::update;

/// How long the order of a record is kept by default.
const DEFAULT_ORDER_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// How deliveries from one sender are verified and mapped.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Route {
    /// The triggers whose deliveries the route accepts. Default: `http` and `direct`.
    #[schemars(with = "Option<OneOrMore<Trigger>>")]
    pub on: Vec<Trigger>,
    /// The HTTP methods that the route accepts. Default: `POST` and `PUT`.
    #[schemars(with = "Option<OneOrMore<DeliveryMethod>>")]
    pub http_methods: Vec<Method>,
    /// How the sender of a delivery is verified. Required if `on` contains `http`. AWS decides who may send through its
    /// other triggers.
    #[schemars(with = "Option<VerifyConfig>")]
    pub verify: VerifyConfig,
    /// Takes CloudEvents 1.0 only: `.` is the data of the event, `$trigger.cloudevent` has its attributes, and the delivery
    /// id is its source and id.
    pub cloudevents: Option<CloudEvents>,
    /// One jq expression or a list of them. Each must yield true or false; if one is false, the delivery is ignored.
    #[schemars(with = "Option<OneOrMore<String>>")]
    pub when: Vec<Program>,
    /// A jq expression that yields the delivery id. Default: the id header of the scheme, else a hash of body and query.
    #[schemars(with = "Option<String>")]
    pub delivery_id: Option<Program>,
    /// A jq program. Each of its outputs is one update request.
    #[schemars(with = "String")]
    pub map: Program,
    /// A jq expression that yields a time or a number: of two deliveries for the same record, the one with the greater value
    /// is newer. An older one that is sent later does not overwrite the record. By `ids` or `match` only, up to 500 records
    /// an update request.
    #[schemars(with = "Option<String>")]
    pub order_by: Option<Program>,
    /// How long the order of a record is kept. Default: `7d`.
    #[schemars(with = "Option<OrderForSchema>")]
    pub order_for: Option<Duration>,
    /// The URL that receives the status of this route's jobs, unless an update request sets its own.
    #[schemars(extend("pattern" = "^https?://."))]
    pub callback_url: Option<Url>,
    /// Which calls update the records of this route, unless an update request sets its own.
    #[schemars(default)]
    pub update_by: update::UpdateMethod,
    /// The connection of this route's jobs, by its name in `connections`. Default: `default`.
    #[schemars(with = "Option<String>")]
    pub connection: String,
    /// The URL that the sender calls, for senders that sign it (Twilio, HubSpot), to the letter as it is registered there.
    /// Behind proxies and API stages it cannot be derived from the request.
    pub public_url: Option<PublicUrl>,
    /// The secret of the sender's handshake, if it differs from the signing key (Meta's verify token).
    #[schemars(default, with = "OneOrMany<SecretRef>")]
    pub handshake_secret: Vec<SecretRef>,
    /// Whether a secret that the sender hands over in its handshake (Asana, Notion) may replace the enrolled one. While
    /// this is on, anyone who knows the URL can replace the secret: switch it off after use.
    #[schemars(default)]
    pub reenroll: bool,
    /// How long a job of this route waits for other jobs that make the same change. Default: the top-level
    /// `batch_window`.
    #[schemars(with = "Option<DurationSchema>")]
    pub batch_window: Option<Duration>,
    /// How long the Zoho jobs of this route are tracked. Default: the top-level `track_for`.
    #[schemars(with = "Option<DurationSchema>")]
    pub track_for: Option<Duration>,
    /// What to do if the outcome of a call of this route that adds options to multi-select picklists is unknown. Default:
    /// the top-level `on_unknown_outcome`.
    pub on_unknown_outcome: Option<OnUnknownOutcome>,
    /// Which status changes of this route's jobs are sent to the callback URL. Default: the top-level `callback_on`.
    pub callback_on: Option<CallbackOn>,
}

/// JSON Schema of the HTTP methods that a delivery may use.
#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
enum DeliveryMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Route {
    /// The programs of the route, in the order in which they run.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let programs = self.when.iter().chain(&self.delivery_id);
        programs.chain([&self.map]).chain(&self.order_by)
    }

    /// How long the order of a record is kept.
    pub fn order_for(&self) -> Duration {
        self.order_for.unwrap_or(DEFAULT_ORDER_FOR)
    }

    /// Whether the route accepts deliveries with this HTTP method.
    pub fn accepts_method(&self, method: &Method) -> bool {
        self.http_methods.contains(method)
    }

    /// Whether the route accepts deliveries of this trigger.
    pub fn accepts_trigger(&self, trigger: Trigger) -> bool {
        self.on.contains(&trigger)
    }
}

//! How deliveries of one kind are verified, mapped and answered.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use url::Url;

use super::duration::{BATCH_WINDOW_RANGE, DurationSchema, TRACK_FOR_RANGE, read_duration};
use super::{Callbacks, CompileMode, OneOrMany, VerifyConfig, read_secrets};
use crate::job::{CallbackOn, OnUnknownOutcome};
use crate::mapping::{self, Program};
use crate::secrets::SecretRef;
use crate::trigger::Trigger;
use crate::update;
use strict_reader::{Node, Problems, nearest};

/// How deliveries of one kind are verified, mapped and answered.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Route {
    /// What the route listens to. Default: `http` and `direct`.
    #[schemars(with = "Option<OneOrMany<Trigger>>")]
    pub on: Vec<Trigger>,
    /// The HTTP methods that its deliveries come with. Default: `POST` and `PUT`.
    #[schemars(with = "Option<OneOrMany<DeliveryMethod>>")]
    pub http_methods: Vec<Method>,
    /// How a delivery proves where it comes from. Needed by whoever listens to `http`; AWS itself says who may send by
    /// its other triggers.
    #[schemars(with = "Option<VerifyConfig>")]
    pub verify: VerifyConfig,
    /// One jq expression or a list of them. Each must yield true or false; a delivery for which one is false is ignored.
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub when: Vec<Program>,
    /// A jq expression for the delivery's id; else the scheme's id header, else a hash of body and query.
    #[schemars(with = "Option<String>")]
    pub delivery_id: Option<Program>,
    /// A jq program; each of its outputs is one update request.
    #[schemars(with = "String")]
    pub map: Program,
    /// Where the status of this route's jobs goes, unless an update request names its own place.
    pub callback_url: Option<Url>,
    /// By which calls this route's records are updated, unless an update request says so itself.
    #[schemars(default)]
    pub update_by: update::UpdateMethod,
    /// The connection of this route's jobs.
    #[schemars(default)]
    pub connection: String,
    /// The URL that the sender calls, for senders that sign it (Twilio, HubSpot): behind proxies and stages it cannot be
    /// known otherwise.
    pub public_url: Option<Url>,
    /// What a sender's handshake is proved with, where that is not the key of its signatures (Meta's verify token).
    #[schemars(default, with = "OneOrMany<SecretRef>")]
    pub handshake_secret: Vec<SecretRef>,
    /// Whether a secret that the sender hands over in its handshake (Asana, Notion) may take the place of one that was
    /// enrolled before. As long as this is on, anybody who knows the address can replace it: switch it off again.
    #[schemars(default)]
    pub reenroll: bool,
    /// How long this route's jobs may wait for others that make the same change.
    #[schemars(with = "Option<DurationSchema>")]
    pub batch_window: Option<Duration>,
    /// How long Zoho's jobs of this route are tracked.
    #[schemars(with = "Option<DurationSchema>")]
    pub track_for: Option<Duration>,
    /// What becomes of this route's calls that add options to multi-select picklists when no answer tells whether Zoho
    /// carried them out.
    pub on_unknown_outcome: Option<OnUnknownOutcome>,
    /// Which steps of this route's jobs are forwarded to their callback URL.
    pub callback_on: Option<CallbackOn>,
}

/// The methods that a delivery may come with; only its JSON Schema is used.
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
    /// Whether it takes deliveries that come with this HTTP method.
    pub fn accepts_method(&self, method: &Method) -> bool {
        self.http_methods.contains(method)
    }

    /// Whether it listens to this trigger.
    pub fn accepts_trigger(&self, trigger: Trigger) -> bool {
        self.on.contains(&trigger)
    }

    pub(super) fn read(
        node: &Node<'_>,
        connections: Option<&BTreeSet<String>>,
        callbacks: Option<&Callbacks>,
        compile: CompileMode,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut object = node.object(problems)?;
        let on = match object.optional("on") {
            Some(node) => read_triggers(&node, problems),
            None => vec![Trigger::Http, Trigger::Direct],
        };
        let http_methods = match object.optional("http_methods") {
            Some(node) => read_methods(&node, problems),
            None => vec![Method::POST, Method::PUT],
        };
        let verify = match object.optional("verify") {
            Some(node) if !on.is_empty() && !on.iter().any(|trigger| trigger.has_signatures()) => {
                node.problem(problems, "has nothing to verify: `on` names neither `http` nor `direct`, and who may send by the others is for AWS to say");
                None
            }
            Some(node) => VerifyConfig::read(&node, problems),
            None if !on.is_empty() && !on.contains(&Trigger::Http) => Some(VerifyConfig::ByAws),
            None => {
                problems.add(&object.at, "`verify` is missing; name a scheme, or write `verify: { scheme: none }` if anybody may deliver");
                None
            }
        };
        let when = match object.optional("when") {
            Some(node) => read_when(&node, compile, problems),
            None => Vec::new(),
        };
        let delivery_id = object
            .optional("delivery_id")
            .and_then(|node| read_program(&node, compile, problems));
        let map = object
            .required("map", problems)
            .and_then(|node| read_program(&node, compile, problems));
        let callback_url = object.optional("callback_url").and_then(|node| {
            let url: Url = node.string(problems)?.parse().ok().or_else(|| {
                node.problem(problems, "is not a URL");
                None
            })?;
            if let Some(callbacks) = callbacks {
                if let Err(denied) = callbacks.policy().check(&url) {
                    node.problem(problems, denied.to_string());
                }
                if callbacks.signing_secret.is_empty() {
                    node.problem(
                        problems,
                        "needs `callbacks.signing_secret`: callbacks are always signed",
                    );
                }
            }
            Some(url)
        });
        let update_by = object
            .optional("update_by")
            .map_or(Some(update::UpdateMethod::default()), |node| {
                node.parse(problems)
            });
        let public_url = object.optional("public_url").and_then(|node| {
            let url = node
                .string(problems)?
                .parse::<Url>()
                .ok()
                .filter(Url::has_host);
            if url.is_none() {
                node.problem(problems, "is not a URL");
            }
            url
        });
        if public_url.is_none() && verify.as_ref().is_some_and(VerifyConfig::needs_url) {
            let message = "`public_url` is missing: this sender signs the URL that it calls, so it must be known here";
            problems.add(&object.at, message);
        }
        let handshake_secret = read_secrets(&mut object, "handshake_secret", problems);
        let reenroll_node = object.optional("reenroll");
        let reenroll = reenroll_node
            .as_ref()
            .and_then(|node| node.boolean(problems))
            .unwrap_or_default();
        let enrolls = |verify: &VerifyConfig| verify.enrolled_secrets().next().is_some();
        if let (Some(node), true) = (reenroll_node, reenroll)
            && !verify.as_ref().is_none_or(enrolls)
        {
            node.problem(
                problems,
                "has nothing to replace: no scheme of this route enrolls a secret in a handshake",
            );
        }
        let batch_window = object
            .optional("batch_window")
            .and_then(|node| read_duration(&node, &BATCH_WINDOW_RANGE, problems));
        let track_for = object
            .optional("track_for")
            .and_then(|node| read_duration(&node, &TRACK_FOR_RANGE, problems));
        let on_unknown_outcome = object
            .optional("on_unknown_outcome")
            .and_then(|node| node.parse(problems));
        let callback_on = object
            .optional("callback_on")
            .and_then(|node| node.parse(problems));
        let connection = object.optional("connection");
        let name = connection
            .as_ref()
            .map_or(Some("default"), |node| node.string(problems));
        if let (Some(name), Some(known)) = (name, connections)
            && !known.contains(name)
        {
            let hint = nearest(name, known.iter().map(String::as_str))
                .map(|name| format!("; did you mean `{name}`?"));
            let at = connection.map_or_else(|| object.at.clone(), |node| node.at);
            problems.add(
                &at,
                format!(
                    "there is no connection `{name}`{}",
                    hint.unwrap_or_default()
                ),
            );
        }
        object.finish(problems);
        Some(Self {
            on,
            http_methods,
            verify: verify?,
            when,
            delivery_id,
            map: map?,
            callback_url,
            update_by: update_by?,
            connection: name?.to_owned(),
            public_url,
            handshake_secret,
            reenroll,
            batch_window,
            track_for,
            on_unknown_outcome,
            callback_on,
        })
    }
}

fn read_methods(node: &Node<'_>, problems: &mut Problems) -> Vec<Method> {
    const KNOWN: [Method; 5] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let nodes = node.one_or_many();
    if nodes.is_empty() {
        node.problem(problems, "is empty: nothing could be delivered");
    }
    let read = |node: &Node<'_>| {
        let word = node.string(problems)?;
        let known = KNOWN.into_iter().find(|method| method.as_str() == word);
        if known.is_none() {
            node.problem(
                problems,
                "is no method of deliveries; known: GET, POST, PUT, PATCH, DELETE",
            );
        }
        known
    };
    nodes.iter().filter_map(read).collect()
}

fn read_triggers(node: &Node<'_>, problems: &mut Problems) -> Vec<Trigger> {
    let nodes = node.one_or_many();
    if nodes.is_empty() {
        node.problem(
            problems,
            "is empty: the route would never hear of anything; name http, eventbridge, sns, sqs or direct",
        );
    }
    let named = nodes.iter().filter_map(|node| node.parse(problems));
    let named: BTreeSet<Trigger> = named.collect();
    named.into_iter().collect()
}

fn read_when(node: &Node<'_>, compile: CompileMode, problems: &mut Problems) -> Vec<Program> {
    let nodes = node.one_or_many();
    if nodes.is_empty() {
        node.problem(
            problems,
            "is empty; name at least one expression, or leave `when` out to accept every delivery",
        );
    }
    let expressions = nodes.iter();
    expressions
        .filter_map(|node| read_program(node, compile, problems))
        .collect()
}

fn read_program(node: &Node<'_>, compile: CompileMode, problems: &mut Problems) -> Option<Program> {
    let program = mapping::program(node.string(problems)?);
    if compile == CompileMode::Eager
        && let Err(error) = program.check()
    {
        node.problem(problems, format!("{error}\n{}", error.location.excerpt()));
    }
    Some(program)
}

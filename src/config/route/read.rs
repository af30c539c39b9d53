//! Reads one entry of `routes`.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use url::Url;

use super::Route;
use crate::config::duration::{
    BATCH_WINDOW_RANGE, ORDER_FOR_RANGE, TRACK_FOR_RANGE, read_duration,
};
use crate::config::values::{read_or, read_secrets};
use crate::config::{Callbacks, CloudEvents, CompileMode, PublicUrl, VerifyConfig};
use crate::mapping::{self, Program};
use crate::trigger::Trigger;
use crate::update::UpdateMethod;
use strict_reader::{Node, Object, Problems, nearest};
use webhook_verify::scheme::HandshakeSpec;

impl Route {
    /// Reads a route. `connections` and `callbacks` are `None` if these parts of the config are invalid.
    pub(in crate::config) fn read(
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
        let verify = read_verify(&mut object, &on, problems);
        let cloudevents = object.optional("cloudevents");
        let cloudevents = cloudevents.map(|node| CloudEvents::read(&node, problems));
        let when = object.optional("when");
        let when = when.map(|node| read_when(&node, compile, problems));
        let delivery_id = object.optional("delivery_id");
        let delivery_id = delivery_id.and_then(|node| read_program(&node, compile, problems));
        let map = object.required("map", problems);
        let map = map.and_then(|node| read_program(&node, compile, problems));
        let (order_by, order_for) = read_order(&mut object, compile, problems);
        let callback_url = object.optional("callback_url");
        let callback_url =
            callback_url.and_then(|node| read_callback_url(&node, callbacks, problems));
        let default = UpdateMethod::default();
        let update_by = read_or(&mut object, "update_by", default, problems, Node::parse);
        let public_url = read_public_url(&mut object, verify.as_ref(), problems);
        let handshake_secret = read_secrets(&mut object, "handshake_secret", problems);
        if let (Some(VerifyConfig::Disabled(handshakes)), []) = (&verify, &handshake_secret[..])
            && handshakes.iter().any(HandshakeSpec::needs_secret)
        {
            problems.add(
                &object.at,
                "`handshake_secret` is missing: a handshake beside `scheme: none` compares or signs with it",
            );
        }
        let reenroll = read_reenroll(&mut object, verify.as_ref(), problems);
        let batch_window = object.optional("batch_window");
        let batch_window =
            batch_window.and_then(|node| read_duration(&node, &BATCH_WINDOW_RANGE, problems));
        let track_for = object.optional("track_for");
        let track_for = track_for.and_then(|node| read_duration(&node, &TRACK_FOR_RANGE, problems));
        let on_unknown_outcome = object.optional("on_unknown_outcome");
        let on_unknown_outcome = on_unknown_outcome.and_then(|node| node.parse(problems));
        let callback_on = object.optional("callback_on");
        let callback_on = callback_on.and_then(|node| node.parse(problems));
        let connection = read_connection_name(&mut object, connections, problems);
        object.finish(problems);
        Some(Self {
            on,
            http_methods,
            verify: verify?,
            cloudevents: match cloudevents {
                Some(settings) => Some(settings?),
                None => None,
            },
            when: when.unwrap_or_default(),
            delivery_id,
            map: map?,
            order_by,
            order_for,
            callback_url,
            update_by: update_by?,
            connection: connection?,
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

/// Reads `order_by` and `order_for`.
fn read_order(
    object: &mut Object<'_>,
    compile: CompileMode,
    problems: &mut Problems,
) -> (Option<Program>, Option<Duration>) {
    let order_by = object.optional("order_by");
    let has_order = order_by.is_some();
    let order_by = order_by.and_then(|node| read_program(&node, compile, problems));
    let order_for = object.optional("order_for");
    let order_for = order_for.and_then(|node| {
        if !has_order {
            node.problem(problems, "has no effect without `order_by`");
        }
        read_duration(&node, &ORDER_FOR_RANGE, problems)
    });
    (order_by, order_for)
}

/// Reads `verify`, which is required if the route accepts HTTP, and refused if AWS authorizes every sender.
fn read_verify(
    object: &mut Object<'_>,
    on: &[Trigger],
    problems: &mut Problems,
) -> Option<VerifyConfig> {
    match object.optional("verify") {
        Some(node) if !on.is_empty() && !on.iter().any(|trigger| trigger.has_signatures()) => {
            node.problem(
                problems,
                "has nothing to verify: `on` names neither `http` nor `direct`, and AWS decides who may send through the other triggers; leave `verify` out",
            );
            None
        }
        Some(node) => VerifyConfig::read(&node, problems),
        None if !on.is_empty() && !on.contains(&Trigger::Http) => Some(VerifyConfig::ByAws),
        None => {
            problems.add(
                &object.at,
                "`verify` is missing; name a scheme, or write `verify: { scheme: none }` if anybody may deliver",
            );
            None
        }
    }
}

fn read_callback_url(
    node: &Node<'_>,
    callbacks: Option<&Callbacks>,
    problems: &mut Problems,
) -> Option<Url> {
    let Ok(url) = node.string(problems)?.parse::<Url>() else {
        node.problem(problems, "is not a URL");
        return None;
    };
    if let Some(callbacks) = callbacks {
        if let Err(denied) = callbacks.policy().check_callback(&url) {
            node.problem(problems, denied);
        }
        if callbacks.signing_secret.is_empty() {
            node.problem(
                problems,
                "needs `callbacks.signing_secret`: callbacks are always signed",
            );
        }
    }
    Some(url)
}

/// Reads `public_url`, which is required if the sender signs the URL that it calls.
fn read_public_url(
    object: &mut Object<'_>,
    verify: Option<&VerifyConfig>,
    problems: &mut Problems,
) -> Option<PublicUrl> {
    let node = object.optional("public_url");
    let is_set = node.is_some();
    let url = node.and_then(|node| PublicUrl::read(&node, problems));
    if !is_set && verify.is_some_and(VerifyConfig::needs_url) {
        problems.add(
            &object.at,
            "`public_url` is missing: this sender signs the URL that it calls; write that URL here",
        );
    }
    url
}

/// Reads `reenroll`, which requires a scheme that enrolls a secret.
fn read_reenroll(
    object: &mut Object<'_>,
    verify: Option<&VerifyConfig>,
    problems: &mut Problems,
) -> bool {
    let Some(node) = object.optional("reenroll") else {
        return false;
    };
    let reenroll = node.boolean(problems).unwrap_or_default();
    let enrolls = |verify: &VerifyConfig| verify.enrolled_secrets().next().is_some();
    if reenroll && !verify.is_none_or(enrolls) {
        node.problem(
            problems,
            "has nothing to replace: no scheme of this route enrolls a secret in a handshake",
        );
    }
    reenroll
}

/// Reads `connection`, which must name one of the config's connections.
fn read_connection_name(
    object: &mut Object<'_>,
    connections: Option<&BTreeSet<String>>,
    problems: &mut Problems,
) -> Option<String> {
    let node = object.optional("connection");
    let name = match &node {
        Some(node) => node.string(problems)?,
        None => "default",
    };
    if let Some(known) = connections
        && !known.contains(name)
    {
        let hint = nearest(name, known.iter().map(String::as_str))
            .map(|name| format!("; did you mean `{name}`?"));
        let at = node.map_or_else(|| object.at.clone(), |node| node.at);
        let hint = hint.unwrap_or_default();
        problems.add(&at, format!("there is no connection `{name}`{hint}"));
    }
    Some(name.to_owned())
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
        node.problem(
            problems,
            "is empty, so the route would accept no delivery; name GET, POST, PUT, PATCH or DELETE",
        );
    }
    let read = |node: &Node<'_>| {
        let name = node.string(problems)?;
        let known = KNOWN.into_iter().find(|method| method.as_str() == name);
        if known.is_none() {
            node.problem(
                problems,
                "is not a supported HTTP method; use GET, POST, PUT, PATCH or DELETE",
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
            "is empty, so the route would accept no delivery; name http, eventbridge, sns, sqs or direct",
        );
    }
    let triggers = nodes.iter().filter_map(|node| node.parse(problems));
    let triggers: BTreeSet<Trigger> = triggers.collect();
    triggers.into_iter().collect()
}

fn read_when(node: &Node<'_>, compile: CompileMode, problems: &mut Problems) -> Vec<Program> {
    let nodes = node.one_or_many();
    if nodes.is_empty() {
        node.problem(
            problems,
            "is empty; name at least one expression, or leave `when` out to accept every delivery",
        );
    }
    let mut expressions = Vec::new();
    for node in &nodes {
        let Some(expression) = read_program(node, compile, problems) else {
            continue;
        };
        // An expression that assigns yields no boolean, or fails before `==` could be asked about.
        if compile == CompileMode::Eager && expression.has_assignment() {
            node.problem(problems, "`=` assigns a value; did you mean `==`?");
        }
        expressions.push(expression);
    }
    expressions
}

/// Reads a jq program, and compiles it in [`CompileMode::Eager`].
fn read_program(node: &Node<'_>, compile: CompileMode, problems: &mut Problems) -> Option<Program> {
    let program = mapping::program(node.string(problems)?);
    if compile == CompileMode::Eager
        && let Err(error) = program.check()
    {
        node.problem(problems, format!("{error}\n{}", error.location.excerpt()));
    }
    Some(program)
}

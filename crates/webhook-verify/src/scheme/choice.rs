//! Reads the scheme of a `verify` entry.

use std::collections::BTreeMap;

use serde_json::Value;

use super::presets::PRESETS;
use super::signature::MAX_TOLERANCE_S;
use super::{HandshakeSpec, Scheme};
use strict_reader::{Object, Problems};

/// The scheme of a `verify` entry of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemeChoice {
    /// `scheme: none`: deliveries are not verified. With the handshakes beside it.
    Disabled(Vec<HandshakeSpec>),
    /// A scheme with the entry's `tolerance_s` and `params`.
    Scheme(Box<Scheme>),
}

impl SchemeChoice {
    /// Reads `scheme`, `handshakes`, `tolerance_s`, `params` and, for `scheme: custom`, the keys of a record. The caller reads the
    /// secrets and finishes the object.
    pub fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let name_node = object.required("scheme", problems)?;
        let scheme = match name_node.string(problems)? {
            "none" => return read_disabled(object, problems).map(Self::Disabled),
            "custom" => Scheme::read(object, problems),
            name => Scheme::preset(name)
                .map(|mut scheme| {
                    scheme.add_handshakes(HandshakeSpec::read_list(object, problems));
                    scheme
                })
                .or_else(|| {
                    let hint = match Scheme::nearest_choice(name) {
                        Some(nearest) => format!("did you mean `{nearest}`?"),
                        None => format!("known: {}, custom, none", PRESETS.join(", ")),
                    };
                    let message = format!("there is no scheme `{name}`; {hint}");
                    name_node.problem(problems, message);
                    None
                }),
        };
        let tolerance = object
            .optional("tolerance_s")
            .and_then(|node| node.whole(0..=MAX_TOLERANCE_S, problems));
        let params_node = object.optional("params");
        let params = params_node
            .as_ref()
            .and_then(|node| node.object(problems))
            .map(|object| read_params(&object, problems))
            .unwrap_or_default();
        let mut scheme = scheme?;
        if let Some(seconds) = tolerance {
            scheme.set_tolerance(seconds);
        }
        if let Err(missing) = scheme.set_params(params) {
            let at = params_node.map_or_else(|| object.at.clone(), |node| node.at);
            let names = missing.join("`, `");
            problems.add(&at, format!("this scheme needs `params` with `{names}`"));
        }
        Some(Self::Scheme(Box::new(scheme)))
    }
}

/// Reads the handshakes of a route whose deliveries are not verified.
fn read_disabled(object: &mut Object<'_>, problems: &mut Problems) -> Option<Vec<HandshakeSpec>> {
    let handshakes = HandshakeSpec::read_list(object, problems);
    for handshake in &handshakes {
        if handshake.verified || handshake.enroll.is_some() {
            problems.add(
                &object.at,
                "`verified` and `enroll` in `handshakes` need a scheme that verifies; `scheme: none` verifies nothing",
            );
        }
    }
    Some(handshakes)
}

fn read_params(object: &Object<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for (name, node) in object.entries() {
        // Ids are often numbers without quotes.
        let text = match node.value {
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => node.string(problems).map(str::to_owned),
        };
        params.extend(text.map(|text| (name.to_owned(), text)));
    }
    params
}

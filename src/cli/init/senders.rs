//! The senders that `masshook init` knows: the presets, and some that have none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use webhook_verify::sample::sample;
use webhook_verify::scheme::{PRESETS, Scheme};
use webhook_verify::verify::{SignError, sign};

/// The catalogue, compiled in.
const CATALOGUE: &str = include_str!("senders.yaml");

/// The shortest part of a sender's name that is recognized.
const MIN_PART: usize = 3;

/// What is written for a sender.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SenderTemplate {
    senders: Vec<String>,
    /// What the route does.
    pub(super) comment: String,
    /// What to know about the secret; for senders without a preset.
    note: Option<String>,
    /// The sender's own documentation; for senders without a preset.
    source: Option<String>,
    /// The preset that verifies the sender, if it has another name.
    preset: Option<String>,
    /// Whether the sender sends CloudEvents.
    #[serde(default)]
    pub(super) cloudevents: bool,
    /// The keys of `scheme: custom`, for senders without a preset.
    pub(super) scheme: Option<String>,
    /// An event, for senders without a preset.
    pub(super) event: Option<String>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    /// Whether the secret is a user name and a password.
    #[serde(default)]
    pub(super) login: bool,
    /// Whether the handshake has a verify token of its own.
    #[serde(default)]
    pub(super) handshake_secret: bool,
    /// Fields of the sample's body that prove where it is from.
    #[serde(default)]
    pub(super) proof_fields: Vec<String>,
    #[serde(default)]
    pub(super) when: Vec<String>,
    pub(super) delivery_id: Option<String>,
    pub(super) map: String,
}

/// A sender with its template.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Sender {
    pub(super) name: String,
    pub(super) template: SenderTemplate,
    /// The preset, if there is one.
    pub(super) preset: Option<Scheme>,
}

impl Sender {
    /// The sender with this name.
    ///
    /// # Errors
    /// There is none, with the nearest one.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let name = name.trim().to_lowercase();
        let template = catalogue()
            .into_iter()
            .find(|template| template.senders.contains(&name));
        let Some(template) = template else {
            let names = Self::names();
            let nearest = strict_reader::nearest(&name, names.iter().map(String::as_str));
            let similar: Vec<String> = names
                .iter()
                .filter(|known| name.len() >= MIN_PART && known.contains(&name))
                .map(|known| format!("`{known}`"))
                .collect();
            let hint = match nearest {
                _ if !similar.is_empty() => format!("did you mean {}?", similar.join(" or ")),
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "known: {}. For any other sender take `token`, `bearer` or `standard-webhooks`, and describe its \
                     signature with `scheme: custom`",
                    names.join(", ")
                ),
            };
            return Err(format!("there is no sender `{name}`; {hint}"));
        };
        Ok(Self {
            preset: Scheme::preset(template.preset.as_deref().unwrap_or(&name)),
            name,
            template,
        })
    }

    /// The scheme that verifies a sender without a preset of its own: a preset of another name, or `custom`.
    pub(in crate::cli) fn scheme_of(name: &str) -> Option<String> {
        let mut templates = catalogue().into_iter();
        let template = templates.find(|template| template.senders.iter().any(|one| one == name))?;
        match (template.preset, template.scheme) {
            (Some(preset), _) => Some(preset),
            (None, Some(_)) => Some("custom".to_owned()),
            (None, None) => None,
        }
    }

    /// The names of all senders: the presets first.
    pub(super) fn names() -> Vec<String> {
        let templates = catalogue();
        let others = templates.iter().filter(|template| template.event.is_some());
        let others = others.flat_map(|template| template.senders.clone());
        let presets = PRESETS.iter().map(|name| (*name).to_owned());
        presets.chain(others).collect()
    }

    /// What to know about the sender's secret.
    pub(super) fn note(&self) -> Option<&str> {
        let preset = self.preset.as_ref().and_then(Scheme::note);
        self.template.note.as_deref().or(preset)
    }

    /// The sender's own documentation.
    pub(super) fn source(&self) -> Option<&str> {
        let preset = self.preset.as_ref().and_then(Scheme::source);
        self.template.source.as_deref().or(preset)
    }

    /// Whether the sender's deliveries are verified with a secret.
    pub(super) fn needs_secret(&self) -> bool {
        self.preset.as_ref().is_none_or(Scheme::needs_secret)
    }

    /// Whether only the sender can sign its deliveries.
    pub(super) fn needs_private_key(&self) -> bool {
        let mut delivery = sample(&self.name, "sample-1");
        delivery.public_url = Some("https://hooks.example.com".to_owned());
        let key = [SecretString::from("00112233445566778899aabbccddeeff")];
        self.preset.as_ref().is_some_and(|scheme| {
            let signed = sign(scheme, &key, Timestamp::UNIX_EPOCH, &mut delivery);
            matches!(signed, Err(SignError::PrivateKeyRequired(_)))
        })
    }

    /// Whether the sender signs the URL that it calls.
    pub(super) fn needs_url(&self) -> bool {
        match (&self.preset, &self.template.scheme) {
            (Some(preset), _) => preset.needs_url(),
            (None, scheme) => scheme.as_deref().unwrap_or_default().contains("{url}"),
        }
    }
}

/// Where the secrets of a new config are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SecretsPlace {
    /// Files in `secrets`, for this machine
    #[default]
    Files,
    /// AWS Secrets Manager; the commands that create them are printed
    Aws,
}

impl SecretsPlace {
    /// The reference to a secret.
    pub(super) fn reference(self, name: &str) -> String {
        match self {
            Self::Files if name == "zoho" => "file:secrets/zoho.json".to_owned(),
            Self::Files => format!("file:secrets/{name}"),
            Self::Aws => format!("secretsmanager:masshook/{name}"),
        }
    }
}

fn catalogue() -> Vec<SenderTemplate> {
    // It is compiled in, and a test reads it.
    serde_saphyr::from_str(CATALOGUE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_one_template() {
        let templates: Vec<SenderTemplate> = serde_saphyr::from_str(CATALOGUE).expect("a list");
        let mut names: Vec<&String> = templates.iter().flat_map(|one| &one.senders).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "a sender is listed twice");
        for preset in PRESETS {
            assert!(names.iter().any(|name| name == preset), "{preset}");
        }
        for template in &templates {
            let is_preset = PRESETS.contains(&template.senders[0].as_str());
            let own = [
                template.scheme.is_some() || template.preset.is_some(),
                template.event.is_some(),
                template.note.is_some(),
            ];
            assert_eq!(own, [!is_preset; 3], "{:?}", template.senders);
        }
    }

    #[test]
    fn unknown_sender_has_a_hint() {
        let error = |name| Sender::named(name).expect_err("no sender");
        assert_eq!(
            error("calendy"),
            "there is no sender `calendy`; did you mean `calendly`?"
        );
        assert!(
            error("form").ends_with("or `zoho-forms`?"),
            "{}",
            error("form")
        );
        assert!(
            error("form").contains("did you mean `typeform` or"),
            "{}",
            error("form")
        );
        assert!(error("qqqqqqqqqqqq").contains("known: standard-webhooks"));
        assert_eq!(Sender::named(" Stripe ").expect("a sender").name, "stripe");
    }
}

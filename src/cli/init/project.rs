//! The files of a new config, in memory: the config, the example and what must be made.

use std::fmt::Write as _;
use std::path::Path;

use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use webhook_verify::sample::sample;
use webhook_verify::scheme::Scheme;

use super::senders::{SecretsPlace, Sender};
use crate::app::App;
use crate::cli::event_file::map_for_all_routes;
use crate::cli::offline::offline_app;
use crate::cli::text::wrapped;
use crate::config::{CompileMode, Config};
use crate::zoho::data_center::DataCenter;

/// Widest line of a comment.
const COMMENT_WIDTH: usize = 98;

/// The id of the sample in the example.
const SAMPLE_ID: &str = "sample-1";

/// What the files are made of.
pub(super) struct ProjectPlan {
    pub(super) sender: Sender,
    pub(super) route: String,
    pub(super) secrets: SecretsPlace,
    pub(super) data_center: DataCenter,
}

/// The files of a new config.
pub(super) struct Project {
    /// The text of `masshook.yaml`.
    pub(super) config_text: String,
    /// The same, parsed.
    pub(super) config: Config,
    /// The text of `event.json`.
    pub(super) event: String,
    /// The text of `expected.json`.
    pub(super) expected: String,
}

impl ProjectPlan {
    /// Makes the files.
    ///
    /// # Errors
    /// A route name that the config refuses.
    pub(super) async fn make(&self) -> Result<Project, String> {
        let config_text = self.config_text();
        let parse = || {
            Config::parse(&config_text, CompileMode::Eager).map_err(|problems| {
                // Only the name of the route can be wrong.
                let problems = problems.iter().map(ToString::to_string);
                let problems = problems.collect::<Vec<_>>().join("\n");
                format!("--route {} cannot be used: {problems}", json!(self.route))
            })
        };
        let app = offline_app(parse()?);
        let (event, updates) = self.example(&app).await?;
        Ok(Project {
            config: parse()?,
            config_text,
            event: pretty(&event),
            expected: pretty(&updates),
        })
    }

    /// The example: the body if the route needs nothing else, else the whole delivery. With its update requests.
    async fn example(&self, app: &App) -> Result<(Value, Value), String> {
        let mut problem = String::new();
        for event in self.events() {
            match map_for_all_routes(app, &event.to_string(), Some(&self.route)).await {
                Ok(outputs) => {
                    let mut all = Vec::new();
                    for output in outputs {
                        match output.updates {
                            Ok(updates) => all.extend(updates.iter().map(|one| one.to_json())),
                            Err(rejection) => problem = rejection.to_string(),
                        }
                    }
                    if !all.is_empty() {
                        return Ok((event, Value::Array(all)));
                    }
                }
                Err(why) => problem = why,
            }
        }
        let name = &self.sender.name;
        Err(format!("the sample of {name} cannot be mapped: {problem}"))
    }

    /// The forms in which the example can be written, the shortest first.
    fn events(&self) -> Vec<Value> {
        if let Some(event) = &self.sender.template.event {
            return serde_json::from_str(event).into_iter().collect();
        }
        let delivery = sample(&self.sender.name, SAMPLE_ID);
        let is_json = delivery.headers.get(CONTENT_TYPE).is_some_and(|value| {
            value
                .to_str()
                .is_ok_and(|text| text.starts_with("application/json"))
        });
        let text = String::from_utf8_lossy(&delivery.body);
        let text = self.without_proof(&text);
        let body: Option<Value> = serde_json::from_str(&text).ok().filter(|_| is_json);
        let headers: Map<String, Value> = delivery
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into())))
            .collect();
        let whole = json!({
            "route": self.route,
            "headers": headers,
            "body": body.clone().unwrap_or_else(|| text.as_str().into()),
        });
        body.into_iter().chain([whole]).collect()
    }

    /// The body of a sample without the signature or token of another route.
    fn without_proof(&self, body: &str) -> String {
        let proofs = &self.sender.template.proof_fields;
        if proofs.is_empty() {
            return body.to_owned();
        }
        if let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(body) {
            fields.retain(|name, _| !proofs.contains(name));
            return Value::Object(fields).to_string();
        }
        let fields = form_urlencoded::parse(body.as_bytes());
        let fields = fields.filter(|(name, _)| !proofs.contains(&name.to_string()));
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).finish()
    }

    fn config_text(&self) -> String {
        let Self {
            sender,
            route,
            secrets,
            data_center,
        } = self;
        let name = &sender.name;
        let credentials = secrets.reference("zoho");
        let mut text = comment(
            "",
            &format!(
                "Turns the webhooks of {name} into updates of Zoho CRM. Made by `masshook init`; change what you like. \
                 `masshook check` checks it, `masshook dev` runs it against a simulated Zoho, and `masshook schema` prints \
                 its schema for your editor."
            ),
        );
        let _ = write!(
            text,
            "\nconnections:\n  default:\n{}    credentials: {credentials}\n    \
             data_center: {data_center}   # us eu in au jp cn ca sa uk ae\n",
            comment(
                "    ",
                "The credentials of Zoho. `masshook auth` obtains and saves them; `masshook dev` needs none."
            )
        );
        let _ = write!(
            text,
            "\ncallbacks:\n{}  signing_secret: {}\n",
            comment(
                "  ",
                "Signs the callbacks, which report the outcome of each job (Standard Webhooks)."
            ),
            secrets.reference("callback")
        );
        let _ = write!(
            text,
            "\nroutes:\n{}  {route}:\n",
            comment("  ", &format!("The sender calls https://…/hooks/{route}.")),
            route = yaml_key(route)
        );
        text.push_str(&self.route_text());
        text
    }

    fn route_text(&self) -> String {
        let (sender, template) = (&self.sender, &self.sender.template);
        let mut text = String::new();
        let source = sender.source().map(|url| format!("See {url}"));
        for part in [sender.note(), source.as_deref()].into_iter().flatten() {
            text.push_str(&comment("    ", part));
        }
        let preset = sender.preset.as_ref().map(Scheme::name);
        let scheme = preset.unwrap_or("custom");
        let _ = write!(text, "    verify:\n      scheme: {scheme}\n");
        if sender.needs_secret() {
            let secret = self.secrets.reference(&sender.name);
            let _ = writeln!(text, "      secret: {secret}");
        }
        if !template.params.is_empty() {
            let _ = writeln!(text, "      params: {}", json!(template.params));
        }
        let custom = template.scheme.iter().flat_map(|scheme| scheme.lines());
        for line in custom {
            let _ = writeln!(text, "      {line}");
        }
        if template.cloudevents {
            text.push_str(&comment(
                "    ",
                "Both modes of CloudEvents are taken. `allowed_origins: eventemitter.example.com` answers the handshake of a \
                 sender.",
            ));
            text.push_str("    cloudevents: {}\n");
        }
        if template.handshake_secret {
            let secret = self
                .secrets
                .reference(&format!("{}-verify-token", sender.name));
            let _ = writeln!(text, "    handshake_secret: {secret}");
        }
        if sender.needs_url() {
            let _ = writeln!(
                text,
                "{}    public_url: https://hooks.example.com/hooks/{}",
                comment(
                    "    ",
                    "The exact URL that the sender calls, because it signs it."
                ),
                self.route
            );
        }
        if !template.when.is_empty() {
            text.push_str(&comment(
                "    ",
                "Events for which one of these is false are ignored.",
            ));
            text.push_str("    when:\n");
            for condition in &template.when {
                let _ = writeln!(text, "      - {}", yaml_text(condition));
            }
        }
        if let Some(id) = &template.delivery_id {
            text.push_str(&comment(
                "    ",
                "A delivery with the same id is the same job.",
            ));
            let _ = writeln!(text, "    delivery_id: {}", yaml_text(id));
        }
        text.push_str(&comment("    ", &template.comment));
        text.push_str("    map: |\n");
        for line in template.map.lines() {
            let _ = writeln!(text, "      {line}");
        }
        text.push_str(&comment(
            "    ",
            "The URL that receives the outcome of each job.",
        ));
        text.push_str("    callback_url: https://ops.example.com/zoho\n");
        text
    }
}

/// A text as a YAML key: plain if it can be nothing but a text, else quoted.
fn yaml_key(text: &str) -> String {
    const KEYWORDS: [&str; 8] = ["null", "true", "false", "yes", "no", "on", "off", "y"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && text != "n"
        && !KEYWORDS.contains(&text.to_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        false => json!(text).to_string(),
    }
}

/// A text as a YAML scalar: plain if it is one, else quoted.
fn yaml_text(text: &str) -> String {
    let is_plain = text.starts_with(['.', '$'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':');
    match is_plain {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

/// A comment of YAML.
fn comment(margin: &str, text: &str) -> String {
    let text = wrapped(text, COMMENT_WIDTH - margin.len(), 0);
    let lines = text.lines().map(|line| format!("{margin}# {line}\n"));
    lines.collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The parts of a `.gitignore` that a config needs, of which none is in `existing`.
pub(super) fn missing_ignores(existing: &str) -> Vec<&'static str> {
    let wanted = [
        "/secrets/",
        "/client-secret",
        "/masshook-dev/",
        "/masshook-data/",
    ];
    let is_there = |line: &&str| existing.lines().any(|other| other.trim() == *line);
    wanted.into_iter().filter(|line| !is_there(line)).collect()
}

/// A path for a person: relative to the working directory, `.` for itself.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match text.is_empty() {
        true => ".".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_text_is_read_back() {
        for text in [
            ".a == \"x\"",
            "$headers[\"x\"] == 'y'",
            ".a | \"b: c\"",
            "any(.a[]; . == 1)",
            ".a # comment",
        ] {
            let read: String = serde_saphyr::from_str(&yaml_text(text)).expect(text);
            assert_eq!(read, text);
        }
    }

    #[test]
    fn ignores_that_exist_are_not_repeated() {
        assert_eq!(missing_ignores("").len(), 4);
        assert_eq!(missing_ignores("target\n/secrets/\n").len(), 3);
    }
}

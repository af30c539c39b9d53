//! Describes the routes of the config for the console: what each verifies, what is wrong with it, samples, its config.

use jiff::Timestamp;
use serde_json::{Value, json};
use webhook_verify::scheme::PRESETS;

use super::operations::ListQuery;
use super::playground::yaml;
use super::sample::sample_for;
use super::{App, SecretCheck, SecretScope, SecretState};
use crate::config::{Route, VerifyConfig};
use crate::inbound::NamedRoute;
use crate::inbound::rejection::Rejection;
use crate::mapping::Program;
use crate::store::delivery_log::DeliverySummary;
use crate::trigger::Trigger;

/// The id in samples that are shown.
const SAMPLE_ID: &str = "sample-1";

impl App {
    /// Describes all routes in short.
    pub async fn describe_routes(&self) -> Vec<Value> {
        let checks = self.check_secrets(SecretScope::All).await;
        let latest = self.latest_deliveries("limit=200").await;
        let routes = self.config.routes.iter().map(|(name, settings)| {
            let route = NamedRoute { name, settings };
            self.describe_in_short(route, &checks, &latest)
        });
        routes.collect()
    }

    /// The latest deliveries that match the query of a list.
    async fn latest_deliveries(&self, query: &str) -> Vec<DeliverySummary> {
        let found = match ListQuery::of_deliveries(query, self.store(), self.clock.now()) {
            Ok(query) => self.list_deliveries(&query).await,
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(page) => page.entries,
            Err(error) => {
                tracing::warn!("the latest deliveries cannot be listed: {error}");
                Vec::new()
            }
        }
    }

    /// Describes a route.
    ///
    /// # Errors
    /// [`Rejection::NoSuchRoute`].
    pub async fn describe_route(&self, name: &str) -> Result<Value, Rejection> {
        let route = self.route(name)?;
        let checks = self.check_secrets(SecretScope::All).await;
        let settings = route.settings;
        let source = |program: &Program| program.source().to_owned();
        // A name in the config needs no escaping in a query.
        let query = format!("route={}&limit=1", route.name);
        let latest = self.latest_deliveries(&query).await;
        let mut view = self.describe_in_short(route, &checks, &latest);
        let when: Vec<String> = settings.when.iter().map(source).collect();
        let more = json!({
            "verify": settings.verify.to_string(),
            "on": settings.on.iter().map(|trigger| trigger.as_str()).collect::<Vec<_>>(),
            "http_methods": settings.http_methods.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "when": when,
            "map": source(&settings.map),
            "delivery_id": settings.delivery_id.as_ref().map(source),
            "order_by": settings.order_by.as_ref().map(source),
            "update_by": settings.update_by,
            "callback_url": settings.callback_url.as_ref().map(ToString::to_string),
            "samples": samples(settings, self.clock.now()),
            "example": yaml::of_route(route.name, settings),
        });
        if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
            view.extend(more);
        }
        Ok(view)
    }

    fn describe_in_short(
        &self,
        route: NamedRoute<'_>,
        checks: &[SecretCheck],
        latest: &[DeliverySummary],
    ) -> Value {
        let settings = route.settings;
        let mut latest = latest.iter();
        let last = latest.find(|one| one.entry.route == route.name);
        let schemes = settings.verify.schemes().iter();
        let senders: Vec<&str> = schemes.map(|config| config.scheme.name()).collect();
        json!({
            "name": route.name,
            "connection": settings.connection,
            "senders": senders,
            "is_open": matches!(settings.verify, VerifyConfig::Disabled(_)),
            "listens_to_http": settings.accepts_trigger(Trigger::Http),
            "findings": findings(route, checks),
            "last": last.map(DeliverySummary::to_json),
        })
    }
}

/// What a check of the route and of its connection's credentials finds, the worst first.
fn findings(route: NamedRoute<'_>, checks: &[SecretCheck]) -> Vec<Value> {
    let own = format!("routes.{}.", route.name);
    let credentials = format!("connections.{}.credentials", route.settings.connection);
    let verify = format!("routes.{}.verify", route.name);
    let about = checks.iter().filter(|check| {
        check.at.starts_with(&own) || check.at == credentials || check.at == verify
    });
    let mut findings: Vec<(u8, Value)> = about
        .filter_map(|check| {
            let (rank, severity) = match check.state {
                SecretState::Usable | SecretState::WithPublicKey(_) => return None,
                SecretState::Doubtful(_) | SecretState::NotEnrolled | SecretState::Remote => {
                    (1, "note")
                }
                SecretState::Unavailable(_) | SecretState::Unusable(_) => (0, "bad"),
            };
            let text = format!("{}: {check}", check.at);
            Some((rank, json!({"severity": severity, "text": text})))
        })
        .collect();
    if let VerifyConfig::Disabled(_) = route.settings.verify {
        let text = "anybody who knows the URL may deliver; name the sender's scheme under `verify`";
        findings.push((1, json!({"severity": "note", "text": text})));
    }
    findings.sort_by_key(|(rank, _)| *rank);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// The samples of the route's senders, without signatures.
fn samples(route: &Route, now: Timestamp) -> Vec<Value> {
    let schemes = route.verify.schemes().iter();
    let mut names: Vec<&str> = schemes
        .map(|config| config.scheme.name())
        .map(|name| {
            if PRESETS.contains(&name) {
                name
            } else {
                "custom"
            }
        })
        .collect();
    if names.is_empty() {
        names.push("custom");
    }
    names.dedup();
    let samples = names.into_iter().filter_map(|name| {
        let delivery = sample_for(Some(route), name, SAMPLE_ID, now).ok()?;
        let headers = delivery.headers.iter();
        let headers = headers.map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let headers: std::collections::BTreeMap<String, String> = headers.collect();
        Some(json!({
            "name": name,
            "content_type": headers.get("content-type"),
            "headers": headers,
            "body": String::from_utf8_lossy(&delivery.body),
        }))
    });
    samples.collect()
}

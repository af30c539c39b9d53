//! The example of a route in the files beside its config: a body, or a whole delivery.

use std::path::Path;

use serde_json::Value;

/// An example: the body of a delivery, or `{"route", "headers", "body"}`.
#[derive(Clone, Debug)]
pub struct RouteExample(Value);

impl RouteExample {
    /// The example of a route below a folder: `examples/{route}/event.json`, or `event.json` if it is for the route. `is_only`
    /// says that the config has no other route.
    pub fn of_route(folder: &Path, route: &str, is_only: bool) -> Option<Self> {
        let own = folder.join("examples").join(route).join("event.json");
        let read = |path: &Path| -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
        };
        let beside = || {
            let event = read(&folder.join("event.json"))?;
            let is_for_route = match event["route"].as_str() {
                Some(named) if event.get("body").is_some() => named == route,
                _ => is_only,
            };
            is_for_route.then_some(event)
        };
        read(&own).or_else(beside).map(Self)
    }

    /// Whether it is the event of a Lambda trigger, which contains more than a delivery.
    pub fn is_lambda_event(&self) -> bool {
        ["requestContext", "Records"]
            .iter()
            .any(|key| self.0.get(*key).is_some())
    }

    /// The headers of a whole delivery.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let whole = self.whole().and_then(|_| self.0["headers"].as_object());
        let headers = whole.into_iter().flatten();
        headers.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// The body.
    pub fn body(&self) -> String {
        let body = self.whole().unwrap_or(&self.0);
        body.as_str()
            .map_or_else(|| body.to_string(), str::to_owned)
    }

    /// The body of a whole delivery.
    fn whole(&self) -> Option<&Value> {
        self.0.get("route").and(self.0.get("body"))
    }
}

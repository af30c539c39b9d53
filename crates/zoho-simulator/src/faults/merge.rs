//! Changes of the switches by `POST /_sim/faults`.

use serde_json::{Map, Value};

use crate::faults::Faults;
use crate::faults::scripted::ScriptedResponse;

impl Faults {
    /// Applies a posted object. Returns whether all access tokens must expire.
    ///
    /// # Errors
    /// The posted object is invalid; the switches are unchanged.
    pub(crate) fn merge(&mut self, posted: &Value) -> Result<bool, String> {
        let Value::Object(posted) = posted else {
            return Err("the body must be a JSON object of switches".to_owned());
        };
        let flag = |name: &str| match posted.get(name) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or(format!("`{name}` must be true or false")),
        };
        let expire = flag("expire_tokens")?;
        let start = if flag("reset")? {
            Self::default()
        } else {
            self.clone()
        };
        let Ok(Value::Object(mut all)) = serde_json::to_value(&start) else {
            return Err("the switches cannot be serialized".to_owned());
        };
        for (name, value) in posted {
            if name == "expire_tokens" || name == "reset" {
                continue;
            }
            if !all.contains_key(name) {
                let known: Vec<&str> = all.keys().map(String::as_str).collect();
                return Err(format!(
                    "unknown switch `{name}`; known switches: expire_tokens, reset, {}",
                    known.join(", ")
                ));
            }
            all.insert(name.clone(), merged_value(&all, name, value));
        }
        let merged: Self =
            serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())?;
        merged.validate()?;
        *self = merged;
        Ok(expire)
    }

    fn validate(&self) -> Result<(), String> {
        let choices = [
            ("throttle_status", self.throttle_status, &[200, 400][..]),
            ("mixed_status", self.mixed_status, &[200, 207, 400]),
            ("all_failed_status", self.all_failed_status, &[200, 400]),
            (
                "already_scheduled_status",
                self.already_scheduled_status,
                &[202, 400],
            ),
            ("hidden_field_status", self.hidden_field_status, &[200, 400]),
            ("unknown_job", self.unknown_job, &[204, 400, 404]),
        ];
        for (name, value, allowed) in choices {
            if !allowed.contains(&value) {
                return Err(format!("`{name}` must be one of {allowed:?}"));
            }
        }
        let rates = [
            ("rate_5xx", self.rate_5xx),
            ("rate_429", self.rate_429),
            ("reset_before_apply", self.reset_before_apply),
            ("reset_after_apply", self.reset_after_apply),
            ("rate_token_error", self.rate_token_error),
            ("rate_token_html", self.rate_token_html),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("`{name}` must be a share from 0 to 1"));
            }
        }
        self.next.iter().try_for_each(ScriptedResponse::validate)
    }
}

/// The new value of a switch: a list is appended to the current one, any other value replaces it.
fn merged_value(all: &Map<String, Value>, name: &str, posted: &Value) -> Value {
    match (all.get(name), posted) {
        (Some(Value::Array(current)), Value::Array(new)) if !new.is_empty() => {
            Value::Array(current.iter().chain(new).cloned().collect())
        }
        _ => posted.clone(),
    }
}

//! The switches of `POST /_sim/faults`: trouble on demand, and one switch for every place where Zoho's documents
//! contradict each other or are silent.
//!
//! A posted object is merged into the present switches: what it does not name stays as it is. `{"reset": true}` first
//! sets everything back to the values in this table. The answer is the whole set of switches.
//!
//! | switch | default | does |
//! | --- | --- | --- |
//! | `latency_ms` | 0 | delay before every CRM request is looked at, in milliseconds |
//! | `latency_jitter_ms` | 0 | up to so much more, at random |
//! | `rate_5xx` | 0.0 | share of CRM requests answered 500, 502 (an HTML page) or 503, not applied |
//! | `rate_429` | 0.0 | share of CRM requests answered 429, not applied |
//! | `reset_before_apply` | 0.0 | share of CRM requests whose connection is reset, not applied |
//! | `reset_after_apply` | 0.0 | share of CRM requests that are applied and whose connection is then reset |
//! | `rate_token_error` | 0.0 | share of token requests answered 200 `{"error":"general_error"}` |
//! | `rate_token_html` | 0.0 | share of token requests answered 200 with a page of HTML |
//! | `next` | [] | scripted answers, see [`super::script`]; posted entries are appended, `[]` clears |
//! | `expire_tokens` | – | action: `true` ends the life of every access token at once |
//! | `token_error` | null | every token request is answered 200 with this `error` |
//! | `throttle_status` | 400 | status of the mint throttle: 200 or 400 |
//! | `localised_error` | false | the mint throttle speaks Chinese |
//! | `mints_per_window` | 10 | access tokens per refresh token and 600 s |
//! | `live_tokens` | 15 | access tokens alive per refresh token (30 on older pages); one more ends the oldest |
//! | `live_refresh_tokens` | 20 | refresh tokens alive per client; one more ends the first and its access tokens |
//! | `expires_in_ms` | false | `expires_in` in milliseconds, and `expires_in_sec` beside it |
//! | `omit_api_domain` | false | the token answer has no `api_domain` |
//! | `omit_scope` | false | the token answer has no `scope` |
//! | `omit_refresh_token` | false | a grant code brings no refresh token, as without `access_type=offline` |
//! | `api_domain` | null | an `api_domain` other than the simulator's own |
//! | `invalid_token_code` | "INVALID_TOKEN" | code for a bad token; `INVALID_OAUTHTOKEN` on one page |
//! | `foreign_data_center` | false | every CRM request meets 401, as at another data centre's host |
//! | `scopes` | all that is served | scopes granted, separated by spaces or commas |
//! | `scope_message` | "invalid oauth scope to access this URL" | message of `OAUTH_SCOPE_MISMATCH`; "Unauthorized" on the v7 page |
//! | `no_api_access` | false | the user's profile lacks API access: 403 for every CRM request |
//! | `may_schedule` | true | `false`: the user may not schedule: 400 `AUTHORIZATION_FAILED` |
//! | `edition` | "enterprise" | free, standard, professional, enterprise or ultimate: concurrency, and views below enterprise |
//! | `concurrency` | null | simultaneous CRM requests, instead of the edition's 5, 10, 15, 20 or 25 |
//! | `sub_concurrency` | 10 | simultaneous "complex" calls: COQL, search, `PUT` of more than 10 records |
//! | `credits` | 5000000 | credits per rolling 24 hours |
//! | `mass_update_credits` | 1 | price of one mass update request; Zoho documents none |
//! | `too_many_body` | "crm" | body of 429: crm, short, retry_after or rate_limit |
//! | `retry_after_s` | null | adds `Retry-After` to 429 and 503 |
//! | `mixed_status` | 207 | immediate answer with some records refused: 200 or 207 |
//! | `all_failed_status` | 400 | immediate answer with all records refused: 200 or 400 |
//! | `already_scheduled_status` | 202 | status of `ALREADY_SCHEDULED`: 202 or 400 |
//! | `already_scheduled_in_data` | false | `ALREADY_SCHEDULED` stands in `data[]` instead of the top level |
//! | `scheduled_as_object` | false | `data` of a scheduled answer is an object (2025 specification) instead of a list |
//! | `errors_as_object` | false | `data` of a field error is an object (2025 specification) instead of a list |
//! | `hidden_field_status` | 400 | status of "Field is not visible": 400, or 200 as on the v2 page |
//! | `unknown_job` | 404 | unknown job: 404 without body, 400 with JSON, or 204 |
//! | `layout_updatable` | true | `Layout` may be set, as its flag says; `false`: not, as the prose says |
//! | `over_write_known` | true | `false`: `over_write` is an unknown key, as in the specification |
//! | `unknown_keys` | "refuse" | a body key, or a word in `trigger`, that is not documented: refuse or ignore |
//! | `numeric_ids` | "refuse" | ids as JSON numbers: refuse or accept |
//! | `duplicate_ids` | "accept" | an id that occurs twice in a call: accept (two entries) or refuse the second |
//! | `null_values` | "accept" | null as a value: accept (clears the field) or refuse |
//! | `job_fate` | "complete" | jobs scheduled from now on: complete, fail, stuck, suspend or vanish |
//! | `job_queued` | false | jobs scheduled from now on show `QUEUED` between `SCHEDULED` and `RUNNING` |
//! | `job_unknown_for_s` | 0 | a new job is unknown to the status call for so many seconds |
//! | `job_duration_ms` | null | how long jobs scheduled from now on take, instead of the setting |
//! | `most_per_page` | null | a cap on the entries of every page, so that small lists have pages, too |
//! | `coql_values` | 100 | values that `in` takes in a query: 100, or 50 as before v7 |
//! | `search_lag_s` | 0 | a changed record is missing from `search` for so many seconds |

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::log::KINDS;
use crate::script::Scripted;

/// Scopes that cover everything that is served.
const ALL_SCOPES: &str = "ZohoCRM.mass_update.UPDATE ZohoCRM.mass_update.READ ZohoCRM.settings.fields.READ \
     ZohoCRM.settings.modules.READ ZohoCRM.settings.custom_views.READ ZohoCRM.settings.territories.READ \
     ZohoCRM.settings.layouts.READ ZohoCRM.modules.ALL ZohoCRM.coql.READ ZohoCRM.apis.READ ZohoCRM.org.READ \
     ZohoCRM.users.READ ZohoSearch.securesearch.READ";

/// Whether something that Zoho's documents leave open is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Refuse,
    #[serde(alias = "ignore")]
    Accept,
}

/// Zoho's editions, by what they allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edition {
    Free,
    Standard,
    Professional,
    Enterprise,
    Ultimate,
}

/// How a scheduled job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// `COMPLETED`, with the records in a bad condition counted as failed.
    Complete,
    /// `FAILED`, nothing updated.
    Fail,
    /// `RUNNING` for ever, half done.
    Stuck,
    /// `SUSPENDED` for ever, half done.
    Suspend,
    /// Done, but the status call does not know it.
    Vanish,
}

/// The variants of the 429 body that are found in documents and notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TooMany {
    Crm,
    Short,
    RetryAfter,
    RateLimit,
}

/// All switches; the table above explains them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    pub(crate) latency_ms: u64,
    pub(crate) latency_jitter_ms: u64,
    pub(crate) rate_5xx: f64,
    pub(crate) rate_429: f64,
    pub(crate) reset_before_apply: f64,
    pub(crate) reset_after_apply: f64,
    pub(crate) rate_token_error: f64,
    pub(crate) rate_token_html: f64,
    pub(crate) next: VecDeque<Scripted>,
    pub(crate) token_error: Option<String>,
    pub(crate) throttle_status: u16,
    pub(crate) localised_error: bool,
    pub(crate) mints_per_window: usize,
    pub(crate) live_tokens: usize,
    pub(crate) live_refresh_tokens: usize,
    pub(crate) expires_in_ms: bool,
    pub(crate) omit_api_domain: bool,
    pub(crate) omit_scope: bool,
    pub(crate) omit_refresh_token: bool,
    pub(crate) api_domain: Option<String>,
    pub(crate) invalid_token_code: String,
    pub(crate) foreign_data_center: bool,
    pub(crate) scopes: String,
    pub(crate) scope_message: String,
    pub(crate) no_api_access: bool,
    pub(crate) may_schedule: bool,
    pub(crate) edition: Edition,
    pub(crate) concurrency: Option<usize>,
    pub(crate) sub_concurrency: usize,
    pub(crate) credits: u64,
    pub(crate) mass_update_credits: u64,
    pub(crate) too_many_body: TooMany,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) mixed_status: u16,
    pub(crate) all_failed_status: u16,
    pub(crate) already_scheduled_status: u16,
    pub(crate) already_scheduled_in_data: bool,
    pub(crate) scheduled_as_object: bool,
    pub(crate) errors_as_object: bool,
    pub(crate) hidden_field_status: u16,
    pub(crate) unknown_job: u16,
    pub(crate) layout_updatable: bool,
    pub(crate) over_write_known: bool,
    pub(crate) unknown_keys: Verdict,
    pub(crate) numeric_ids: Verdict,
    pub(crate) duplicate_ids: Verdict,
    pub(crate) null_values: Verdict,
    pub(crate) job_fate: Fate,
    pub(crate) job_queued: bool,
    pub(crate) job_unknown_for_s: u64,
    pub(crate) job_duration_ms: Option<u64>,
    pub(crate) most_per_page: Option<usize>,
    pub(crate) coql_values: usize,
    pub(crate) search_lag_s: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            latency_jitter_ms: 0,
            rate_5xx: 0.0,
            rate_429: 0.0,
            reset_before_apply: 0.0,
            reset_after_apply: 0.0,
            rate_token_error: 0.0,
            rate_token_html: 0.0,
            next: VecDeque::new(),
            token_error: None,
            throttle_status: 400,
            localised_error: false,
            mints_per_window: 10,
            live_tokens: 15,
            live_refresh_tokens: 20,
            expires_in_ms: false,
            omit_api_domain: false,
            omit_scope: false,
            omit_refresh_token: false,
            api_domain: None,
            invalid_token_code: "INVALID_TOKEN".to_owned(),
            foreign_data_center: false,
            scopes: ALL_SCOPES.to_owned(),
            scope_message: "invalid oauth scope to access this URL".to_owned(),
            no_api_access: false,
            may_schedule: true,
            edition: Edition::Enterprise,
            concurrency: None,
            sub_concurrency: 10,
            credits: 5_000_000,
            mass_update_credits: 1,
            too_many_body: TooMany::Crm,
            retry_after_s: None,
            mixed_status: 207,
            all_failed_status: 400,
            already_scheduled_status: 202,
            already_scheduled_in_data: false,
            scheduled_as_object: false,
            errors_as_object: false,
            hidden_field_status: 400,
            unknown_job: 404,
            layout_updatable: true,
            over_write_known: true,
            unknown_keys: Verdict::Refuse,
            numeric_ids: Verdict::Refuse,
            duplicate_ids: Verdict::Accept,
            null_values: Verdict::Accept,
            job_fate: Fate::Complete,
            job_queued: false,
            job_unknown_for_s: 0,
            job_duration_ms: None,
            most_per_page: None,
            coql_values: 100,
            search_lag_s: 0,
        }
    }
}

impl Faults {
    /// A mischievous Zoho: moderate rates of trouble, and every point on which the documents disagree or are silent
    /// decided by the dice. `over_write` alone is always known: without it no option could ever be replaced.
    pub(crate) fn rude(dice: &mut fastrand::Rng) -> Self {
        fn one_of<T: Clone, const N: usize>(dice: &mut fastrand::Rng, choices: [T; N]) -> T {
            choices[dice.usize(0..N)].clone()
        }
        let messages = ["invalid oauth scope to access this URL", "Unauthorized"];
        let codes = ["INVALID_TOKEN", "INVALID_OAUTHTOKEN"];
        let bodies = [
            TooMany::Crm,
            TooMany::Short,
            TooMany::RetryAfter,
            TooMany::RateLimit,
        ];
        Self {
            latency_jitter_ms: 150,
            rate_5xx: 0.05,
            rate_429: 0.05,
            reset_before_apply: 0.01,
            reset_after_apply: 0.02,
            rate_token_error: 0.05,
            rate_token_html: 0.02,
            throttle_status: one_of(dice, [200, 400]),
            localised_error: dice.bool(),
            live_tokens: one_of(dice, [15, 30]),
            expires_in_ms: dice.bool(),
            omit_api_domain: dice.bool(),
            omit_scope: dice.bool(),
            invalid_token_code: one_of(dice, codes).to_owned(),
            scope_message: one_of(dice, messages).to_owned(),
            too_many_body: one_of(dice, bodies),
            retry_after_s: one_of(dice, [None, Some(1)]),
            mixed_status: one_of(dice, [200, 207]),
            all_failed_status: one_of(dice, [200, 400]),
            already_scheduled_status: one_of(dice, [202, 400]),
            already_scheduled_in_data: dice.bool(),
            scheduled_as_object: dice.bool(),
            errors_as_object: dice.bool(),
            hidden_field_status: one_of(dice, [200, 400]),
            unknown_job: one_of(dice, [204, 400, 404]),
            layout_updatable: dice.bool(),
            duplicate_ids: one_of(dice, [Verdict::Accept, Verdict::Refuse]),
            null_values: one_of(dice, [Verdict::Accept, Verdict::Refuse]),
            job_queued: dice.bool(),
            job_unknown_for_s: one_of(dice, [0, 20]),
            most_per_page: one_of(dice, [None, Some(7)]),
            coql_values: one_of(dice, [50, 100]),
            search_lag_s: one_of(dice, [0, 30]),
            ..Self::default()
        }
    }

    /// Merges the posted switches into these. Returns whether all access tokens are to be ended.
    ///
    /// # Errors
    /// What is wrong with the posted object; nothing was changed then.
    pub(crate) fn merge(&mut self, posted: &Value) -> Result<bool, String> {
        let Value::Object(posted) = posted else {
            return Err("post a JSON object of switches".to_owned());
        };
        let flag = |name: &str| match posted.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or(format!("`{name}` is true or false")),
        };
        let expire = flag("expire_tokens")?;
        let start = if flag("reset")? {
            Self::default()
        } else {
            self.clone()
        };
        let Ok(Value::Object(mut all)) = serde_json::to_value(&start) else {
            return Err("the switches cannot be written".to_owned());
        };
        for (name, value) in posted {
            if name == "expire_tokens" || name == "reset" {
                continue;
            }
            if !all.contains_key(name) {
                let known: Vec<&str> = all.keys().map(String::as_str).collect();
                return Err(format!(
                    "no switch `{name}`; there are expire_tokens, reset, {}",
                    known.join(", ")
                ));
            }
            all.insert(name.clone(), combined(&all, name, value));
        }
        let merged: Self =
            serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())?;
        merged.check()?;
        *self = merged;
        Ok(expire)
    }

    fn check(&self) -> Result<(), String> {
        let choices = [
            ("throttle_status", self.throttle_status, &[200, 400][..]),
            ("mixed_status", self.mixed_status, &[200, 207]),
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
                return Err(format!("`{name}` is one of {allowed:?}"));
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
                return Err(format!("`{name}` is a share from 0 to 1"));
            }
        }
        for entry in &self.next {
            if entry.kind != "any" && !KINDS.contains(&entry.kind.as_str()) {
                return Err(format!(
                    "no kind `{}`; there are any, {}",
                    entry.kind,
                    KINDS.join(", ")
                ));
            }
            if entry
                .status
                .is_some_and(|status| !(200..=599).contains(&status))
            {
                return Err("`status` is from 200 to 599".to_owned());
            }
        }
        Ok(())
    }

    /// The scripted answer for a request of this kind, used up by this call.
    pub(crate) fn take(&mut self, kind: &str) -> Option<Scripted> {
        let at = self
            .next
            .iter()
            .position(|entry| entry.times > 0 && (entry.kind == kind || entry.kind == "any"))?;
        let entry = &mut self.next[at];
        entry.times -= 1;
        let taken = entry.clone();
        self.next.retain(|entry| entry.times > 0);
        Some(taken)
    }

    /// The scopes that the user granted.
    pub(crate) fn granted(&self) -> Vec<&str> {
        self.scopes
            .split([' ', ','])
            .filter(|scope| !scope.is_empty())
            .collect()
    }
}

/// The value that a posted one makes of the present one: entries of `next` are appended, all else is replaced.
fn combined(all: &Map<String, Value>, name: &str, posted: &Value) -> Value {
    match (all.get(name), posted) {
        (Some(Value::Array(present)), Value::Array(more)) if !more.is_empty() => {
            Value::Array(present.iter().chain(more).cloned().collect())
        }
        _ => posted.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn switches_are_merged_and_reset() {
        let mut faults = Faults::default();
        assert!(!faults.merge(&json!({"mixed_status": 200})).unwrap());
        assert!(
            faults
                .merge(&json!({"latency_ms": 5, "expire_tokens": true}))
                .unwrap()
        );
        assert_eq!((faults.mixed_status, faults.latency_ms), (200, 5));
        faults
            .merge(&json!({"reset": true, "latency_ms": 7}))
            .unwrap();
        assert_eq!((faults.mixed_status, faults.latency_ms), (207, 7));
    }

    #[test]
    fn what_is_not_a_switch_is_refused_and_changes_nothing() {
        let mut faults = Faults::default();
        for (posted, wanted) in [
            (json!({"latency_ms": 9, "latncy": 1}), "rate_5xx"),
            (json!({"mixed_status": 201}), "200, 207"),
            (json!({"rate_5xx": 2}), "share"),
            (
                json!({"next": [{"kind": "mass_updates"}]}),
                "mass_update_post",
            ),
            (json!({"next": [{"stauts": 500}]}), "stauts"),
            (json!({"job_fate": "explode"}), "suspend"),
            (json!({"expire_tokens": 1}), "expire_tokens"),
            (json!([]), "object"),
        ] {
            let error = faults.merge(&posted).unwrap_err();
            assert!(error.contains(wanted), "{posted}: {error}");
        }
        assert_eq!(faults.latency_ms, 0);
    }

    #[test]
    fn scripted_answers_are_used_up_in_order() {
        let mut faults = Faults::default();
        faults
            .merge(
                &json!({"next": [{"kind": "token", "status": 503}, {"status": 500, "times": 2}]}),
            )
            .unwrap();
        faults.merge(&json!({"next": [{"kind": "token"}]})).unwrap();
        let mut taken = |kind: &str| faults.take(kind).map(|entry| entry.status);
        assert_eq!(taken("coql"), Some(Some(500)));
        assert_eq!(taken("token"), Some(Some(503)));
        assert_eq!(taken("coql"), Some(Some(500)));
        assert_eq!(taken("coql"), None);
        assert_eq!(taken("token"), Some(None));
        assert_eq!(taken("token"), None);
    }

    #[test]
    fn every_switch_stands_in_the_table() {
        let table: String = include_str!("faults.rs")
            .lines()
            .filter(|line| line.starts_with("//! | `"))
            .collect();
        let Value::Object(all) = serde_json::to_value(Faults::default()).unwrap() else {
            panic!("an object")
        };
        for name in all.keys() {
            assert!(table.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}

//! The switches of `POST /_sim/faults`: faults, and one switch for every point on which Zoho's documents contradict each
//! other or say nothing.
//!
//! A posted object changes the switches that it contains. `{"reset": true}` first resets all switches to the defaults in
//! this table. The response contains all switches.
//!
//! | switch | default | effect |
//! | --- | --- | --- |
//! | `latency_ms` | 0 | delay before every CRM request is handled, in milliseconds |
//! | `latency_jitter_ms` | 0 | maximum additional random delay |
//! | `rate_5xx` | 0.0 | share of CRM requests answered 500, 502 (an HTML page) or 503, not applied |
//! | `rate_429` | 0.0 | share of CRM requests answered 429, not applied |
//! | `reset_before_apply` | 0.0 | share of CRM requests whose connection is reset, not applied |
//! | `reset_after_apply` | 0.0 | share of CRM requests that are applied and whose connection is then reset |
//! | `rate_token_error` | 0.0 | share of token requests answered 200 `{"error":"general_error"}` |
//! | `rate_token_html` | 0.0 | share of token requests answered 200 with an HTML page |
//! | `next` | [] | scripted responses, see `faults/scripted.rs`; posted entries are appended, `[]` clears them |
//! | `expire_tokens` | – | action: `true` expires every access token |
//! | `token_error` | null | every token request is answered 200 with this `error` |
//! | `throttle_status` | 400 | status when too many access tokens are requested: 200 or 400 |
//! | `localised_error` | false | that response is in Chinese |
//! | `mints_per_window` | 10 | access tokens per refresh token and 600 s |
//! | `live_tokens` | 15 | valid access tokens per refresh token (30 on older pages); one more revokes the oldest |
//! | `live_refresh_tokens` | 20 | valid refresh tokens per client; one more revokes the oldest with its access tokens |
//! | `expires_in_ms` | false | `expires_in` in milliseconds, and an additional `expires_in_sec` |
//! | `omit_api_domain` | false | the token response has no `api_domain` |
//! | `omit_scope` | false | the token response has no `scope` |
//! | `omit_refresh_token` | false | the exchange of a grant code returns no refresh token, as without `access_type=offline` |
//! | `api_domain` | null | an `api_domain` other than the simulator's own |
//! | `invalid_token_code` | "INVALID_TOKEN" | code for a bad token; `INVALID_OAUTHTOKEN` on one page |
//! | `foreign_data_center` | false | every CRM request is answered 401, as by another data centre |
//! | `scopes` | all served | granted scopes, separated by spaces or commas |
//! | `scope_message` | "invalid oauth scope to access this URL" | message of `OAUTH_SCOPE_MISMATCH`; "Unauthorized" on the v7 page |
//! | `no_api_access` | false | the user's profile lacks API access: every CRM request is answered 403 |
//! | `may_mass_update` | true | `false`: a mass update is answered 403 `NO_PERMISSION` "permission denied" |
//! | `may_update` | true | `false`: a record update is answered 403 `NO_PERMISSION` "Permission denied to update" |
//! | `may_upsert` | true | `false`: an upsert is answered 403 `NO_PERMISSION` "Permission denied to upsert" |
//! | `may_change_owner` | true | `false`: a change of the owner is answered 403 `CANNOT_ASSIGN` |
//! | `owner_takes_access` | false | the token's user cannot change a record any more that another user owns |
//! | `owner_job_as_scheduled` | false | a scheduled change of owners is answered 202 `SCHEDULED`, as in the newer specification |
//! | `refused_tag_characters` | "," | characters that no name of a tag may have; Zoho documents none |
//! | `may_schedule` | true | `false`: scheduling is answered 400 `AUTHORIZATION_FAILED` |
//! | `edition` | "enterprise" | free, standard, professional, enterprise or ultimate; sets the concurrency, and allows views from enterprise on |
//! | `concurrency` | null | simultaneous CRM requests, instead of the edition's 5, 10, 15, 20 or 25 |
//! | `sub_concurrency` | 10 | simultaneous complex requests: COQL, search, `PUT` or upsert of more than 10 records |
//! | `credits` | 5000000 | credits per rolling 24 hours |
//! | `mass_update_credits` | 1 | cost of one mass update request; Zoho documents none |
//! | `too_many_body` | "crm" | body of 429: crm, short, retry_after or rate_limit |
//! | `retry_after_s` | null | adds `Retry-After` to 429 and 503 |
//! | `gzip` | true | responses are compressed for clients that accept gzip |
//! | `mixed_status` | 207 | status of an immediate update with some records rejected: 200, 207 or 400 |
//! | `all_failed_status` | 400 | status of an immediate update with all records rejected: 200 or 400 |
//! | `already_scheduled_status` | 202 | status of `ALREADY_SCHEDULED`: 202 or 400 |
//! | `already_scheduled_in_data` | false | `ALREADY_SCHEDULED` is in `data[]` instead of at the top level |
//! | `scheduled_as_object` | false | `data` of a scheduling response is an object (2025 specification) instead of a list |
//! | `errors_as_object` | false | `data` of a field error is an object (2025 specification) instead of a list |
//! | `hidden_field_status` | 400 | status of "Field is not visible": 400, or 200 as on the v2 page |
//! | `unknown_job` | 404 | status for an unknown job: 404 without body, 400 with JSON, or 204 |
//! | `record_locked_message` | "Sorry, you cannot perform this operation as the record is locked." | message of `RECORD_LOCKED`; "Cannot update record that is not approved yet" during a merge or an image validation |
//! | `not_approved_message` | "record not approved" | message of `NOT_APPROVED`; "Cannot update record that is not approved yet" after a rejected image |
//! | `cases_mass_update` | false | Cases can be mass-updated in v7 too; the v8 specification lists them, the v7 page does not |
//! | `layout_updatable` | true | `Layout` can be updated, as its metadata flag states; `false`: it cannot, as the documentation states |
//! | `over_write_known` | true | `false`: `over_write` is an unknown key, as in the specification |
//! | `unknown_keys` | "refuse" | undocumented body keys and values of `trigger`: refuse or ignore |
//! | `numeric_ids` | "refuse" | ids as JSON numbers: refuse or accept |
//! | `duplicate_ids` | "accept" | a repeated id in a request, or a repeated value of the duplicate check field in an upsert: accept (two entries) or refuse the second |
//! | `null_values` | "accept" | null as a value: accept (clears the field) or refuse |
//! | `job_fate` | "complete" | ending of new jobs: complete, fail, stuck, suspend or vanish |
//! | `job_queued` | false | new jobs show `QUEUED` between `SCHEDULED` and `RUNNING` |
//! | `job_unknown_for_s` | 0 | seconds for which the status call does not find a new job |
//! | `job_duration_ms` | null | duration of new jobs, instead of the setting |
//! | `most_per_page` | null | maximum entries per page, so that small lists have several pages |
//! | `coql_converted` | true | `false`: queries do not know `Converted__s`, as one org's do not |
//! | `coql_values` | 100 | maximum values of `in` in a query: 100, or 50 as before v7 |
//! | `search_lag_s` | 0 | seconds for which `search` does not find a changed record |

mod merge;
mod rude;
pub(crate) mod scripted;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::scripted::ScriptedResponse;

/// The scopes of all served endpoints.
const ALL_SCOPES: &str = "ZohoCRM.mass_update.UPDATE ZohoCRM.mass_update.READ ZohoCRM.change_owner.CREATE \
     ZohoCRM.change_owner.READ ZohoCRM.settings.fields.READ \
     ZohoCRM.settings.modules.READ ZohoCRM.settings.custom_views.READ ZohoCRM.settings.territories.READ \
     ZohoCRM.settings.layouts.READ ZohoCRM.modules.ALL ZohoCRM.coql.READ ZohoCRM.apis.READ ZohoCRM.org.READ \
     ZohoCRM.users.READ ZohoSearch.securesearch.READ";

/// The text of a record that a person has locked.
const RECORD_LOCKED: &str = "Sorry, you cannot perform this operation as the record is locked.";

/// The second text of `RECORD_LOCKED` and of `NOT_APPROVED`.
const NOT_APPROVED_YET: &str = "Cannot update record that is not approved yet";

/// The handling of input on which Zoho's documents say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InputPolicy {
    Refuse,
    #[serde(alias = "ignore")]
    Accept,
}

/// Zoho's editions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edition {
    Free,
    Standard,
    Professional,
    Enterprise,
    Ultimate,
}

/// The ending of a scheduled job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobEnding {
    /// `COMPLETED`; records that cannot be updated count as failed.
    Complete,
    /// `FAILED`, nothing updated.
    Fail,
    /// `RUNNING` forever, half done.
    Stuck,
    /// `SUSPENDED` forever, half done.
    Suspend,
    /// Completed, but the status call does not find it.
    Vanish,
}

/// The documented and observed variants of the 429 body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TooManyRequestsBody {
    Crm,
    Short,
    RetryAfter,
    RateLimit,
}

/// The current switches, see the table above.
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
    pub(crate) next: VecDeque<ScriptedResponse>,
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
    pub(crate) may_mass_update: bool,
    pub(crate) may_update: bool,
    pub(crate) may_upsert: bool,
    pub(crate) may_change_owner: bool,
    pub(crate) owner_takes_access: bool,
    pub(crate) owner_job_as_scheduled: bool,
    pub(crate) refused_tag_characters: String,
    pub(crate) may_schedule: bool,
    pub(crate) edition: Edition,
    pub(crate) concurrency: Option<usize>,
    pub(crate) sub_concurrency: usize,
    pub(crate) credits: u64,
    pub(crate) mass_update_credits: u64,
    pub(crate) too_many_body: TooManyRequestsBody,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) gzip: bool,
    pub(crate) mixed_status: u16,
    pub(crate) all_failed_status: u16,
    pub(crate) already_scheduled_status: u16,
    pub(crate) already_scheduled_in_data: bool,
    pub(crate) scheduled_as_object: bool,
    pub(crate) errors_as_object: bool,
    pub(crate) hidden_field_status: u16,
    pub(crate) unknown_job: u16,
    pub(crate) record_locked_message: String,
    pub(crate) not_approved_message: String,
    pub(crate) cases_mass_update: bool,
    pub(crate) layout_updatable: bool,
    pub(crate) over_write_known: bool,
    pub(crate) unknown_keys: InputPolicy,
    pub(crate) numeric_ids: InputPolicy,
    pub(crate) duplicate_ids: InputPolicy,
    pub(crate) null_values: InputPolicy,
    pub(crate) job_fate: JobEnding,
    pub(crate) job_queued: bool,
    pub(crate) job_unknown_for_s: u64,
    pub(crate) job_duration_ms: Option<u64>,
    pub(crate) most_per_page: Option<usize>,
    pub(crate) coql_converted: bool,
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
            may_mass_update: true,
            may_update: true,
            may_upsert: true,
            may_change_owner: true,
            owner_takes_access: false,
            owner_job_as_scheduled: false,
            refused_tag_characters: ",".to_owned(),
            may_schedule: true,
            edition: Edition::Enterprise,
            concurrency: None,
            sub_concurrency: 10,
            credits: 5_000_000,
            mass_update_credits: 1,
            too_many_body: TooManyRequestsBody::Crm,
            retry_after_s: None,
            gzip: true,
            mixed_status: 207,
            all_failed_status: 400,
            already_scheduled_status: 202,
            already_scheduled_in_data: false,
            scheduled_as_object: false,
            errors_as_object: false,
            hidden_field_status: 400,
            unknown_job: 404,
            record_locked_message: RECORD_LOCKED.to_owned(),
            not_approved_message: "record not approved".to_owned(),
            cases_mass_update: false,
            layout_updatable: true,
            over_write_known: true,
            unknown_keys: InputPolicy::Refuse,
            numeric_ids: InputPolicy::Refuse,
            duplicate_ids: InputPolicy::Accept,
            null_values: InputPolicy::Accept,
            job_fate: JobEnding::Complete,
            job_queued: false,
            job_unknown_for_s: 0,
            job_duration_ms: None,
            most_per_page: None,
            coql_converted: true,
            coql_values: 100,
            search_lag_s: 0,
        }
    }
}

impl Faults {
    /// Takes the next scripted response for a request of this kind.
    pub(crate) fn take_scripted(&mut self, kind: &str) -> Option<ScriptedResponse> {
        let at = self
            .next
            .iter()
            .position(|entry| entry.times > 0 && (entry.kind == kind || entry.kind == "any"))?;
        let entry = &mut self.next[at];
        entry.times -= 1;
        let scripted = entry.clone();
        self.next.retain(|entry| entry.times > 0);
        Some(scripted)
    }

    /// The scopes that the user granted.
    pub(crate) fn granted(&self) -> Vec<&str> {
        self.scopes
            .split([' ', ','])
            .filter(|scope| !scope.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn posted_switches_are_merged_and_reset() {
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
    fn invalid_switches_are_rejected_as_a_whole() {
        let mut faults = Faults::default();
        for (posted, expected) in [
            (json!({"latency_ms": 9, "latncy": 1}), "rate_5xx"),
            (json!({"mixed_status": 201}), "200, 207, 400"),
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
            assert!(error.contains(expected), "{posted}: {error}");
        }
        assert_eq!(faults.latency_ms, 0);
    }

    #[test]
    fn scripted_responses_are_taken_in_order() {
        let mut faults = Faults::default();
        faults
            .merge(
                &json!({"next": [{"kind": "token", "status": 503}, {"status": 500, "times": 2}]}),
            )
            .unwrap();
        faults.merge(&json!({"next": [{"kind": "token"}]})).unwrap();
        let mut taken = |kind: &str| faults.take_scripted(kind).map(|entry| entry.status);
        assert_eq!(taken("coql"), Some(Some(500)));
        assert_eq!(taken("token"), Some(Some(503)));
        assert_eq!(taken("coql"), Some(Some(500)));
        assert_eq!(taken("coql"), None);
        assert_eq!(taken("token"), Some(None));
        assert_eq!(taken("token"), None);
    }

    #[test]
    fn every_switch_is_in_the_table() {
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

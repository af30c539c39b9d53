//! Random faults for `rude` simulators.

use crate::faults::{Faults, InputPolicy, NOT_APPROVED_YET, RECORD_LOCKED, TooManyRequestsBody};

impl Faults {
    /// Moderate fault rates, and a random choice on every point on which the documents disagree or say nothing. Only
    /// `over_write_known` is never switched off, because options could not be replaced without it.
    pub(crate) fn rude(rng: &mut fastrand::Rng) -> Self {
        fn one_of<T: Clone, const N: usize>(rng: &mut fastrand::Rng, choices: [T; N]) -> T {
            choices[rng.usize(0..N)].clone()
        }
        let messages = ["invalid oauth scope to access this URL", "Unauthorized"];
        let codes = ["INVALID_TOKEN", "INVALID_OAUTHTOKEN"];
        let bodies = [
            TooManyRequestsBody::Crm,
            TooManyRequestsBody::Short,
            TooManyRequestsBody::RetryAfter,
            TooManyRequestsBody::RateLimit,
        ];
        Self {
            latency_jitter_ms: 150,
            rate_5xx: 0.05,
            rate_429: 0.05,
            reset_before_apply: 0.01,
            reset_after_apply: 0.02,
            rate_token_error: 0.05,
            rate_token_html: 0.02,
            throttle_status: one_of(rng, [200, 400]),
            localised_error: rng.bool(),
            live_tokens: one_of(rng, [15, 30]),
            expires_in_ms: rng.bool(),
            omit_api_domain: rng.bool(),
            omit_scope: rng.bool(),
            invalid_token_code: one_of(rng, codes).to_owned(),
            scope_message: one_of(rng, messages).to_owned(),
            too_many_body: one_of(rng, bodies),
            retry_after_s: one_of(rng, [None, Some(1)]),
            mixed_status: one_of(rng, [200, 207, 400]),
            all_failed_status: one_of(rng, [200, 400]),
            already_scheduled_status: one_of(rng, [202, 400]),
            already_scheduled_in_data: rng.bool(),
            scheduled_as_object: rng.bool(),
            errors_as_object: rng.bool(),
            hidden_field_status: one_of(rng, [200, 400]),
            unknown_job: one_of(rng, [204, 400, 404]),
            gzip: rng.bool(),
            record_locked_message: one_of(rng, [RECORD_LOCKED, NOT_APPROVED_YET]).to_owned(),
            not_approved_message: one_of(rng, ["record not approved", NOT_APPROVED_YET]).to_owned(),
            cases_mass_update: rng.bool(),
            layout_updatable: rng.bool(),
            duplicate_ids: one_of(rng, [InputPolicy::Accept, InputPolicy::Refuse]),
            null_values: one_of(rng, [InputPolicy::Accept, InputPolicy::Refuse]),
            job_queued: rng.bool(),
            job_unknown_for_s: one_of(rng, [0, 20]),
            most_per_page: one_of(rng, [None, Some(7)]),
            coql_converted: rng.bool(),
            coql_values: one_of(rng, [50, 100]),
            search_lag_s: one_of(rng, [0, 30]),
            ..Self::default()
        }
    }
}

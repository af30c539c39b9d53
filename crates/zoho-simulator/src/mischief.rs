//! What becomes of one request before it is looked at: as usual, a scripted answer, or trouble by the dice.

use std::time::Duration;

use serde_json::json;

use crate::answer::Answer;
use crate::endpoint::Endpoint;
use crate::faults::Faults;
use crate::limits;
use crate::script::Scripted;

/// What has been seen in the place of a token answer.
const ACCOUNTS_PAGE: &str = "<!DOCTYPE html><html><head><title>Zoho Accounts</title></head><body><p>Sorry, please try again later.</p></body></html>";

/// How one request is treated.
#[derive(Debug)]
pub(crate) struct Treatment {
    /// Waited before the request is looked at.
    pub(crate) before: Duration,
    /// Waited between the work and the answer.
    pub(crate) after: Duration,
    /// Whether the work is done.
    pub(crate) apply: bool,
    /// Answered instead of what the work yields.
    pub(crate) instead: Option<Answer>,
    /// Headers on top.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether the connection is reset instead of an answer.
    pub(crate) cut: bool,
}

impl Treatment {
    fn usual() -> Self {
        Self {
            before: Duration::ZERO,
            after: Duration::ZERO,
            apply: true,
            instead: None,
            headers: Vec::new(),
            cut: false,
        }
    }

    /// The request is not worked on, only answered.
    pub(crate) fn refused(answer: Answer) -> Self {
        Self {
            apply: false,
            instead: Some(answer),
            ..Self::usual()
        }
    }

    fn cut(apply: bool) -> Self {
        Self {
            apply,
            cut: true,
            ..Self::usual()
        }
    }

    /// Decides about a request; scripted answers come before the dice.
    pub(crate) fn of(
        endpoint: &Endpoint,
        faults: &mut Faults,
        dice: &mut fastrand::Rng,
        latency: Duration,
    ) -> Self {
        let scripted = faults.take(endpoint.kind());
        let mut treatment = match scripted {
            Some(entry) => Self::scripted(entry, faults),
            None if endpoint.accounts() => Self::accounts(endpoint, faults, dice),
            None => Self::crm(faults, dice),
        };
        if !endpoint.accounts() {
            let jitter = match faults.latency_jitter_ms {
                0 => 0,
                most => dice.u64(0..=most),
            };
            treatment.before =
                latency + Duration::from_millis(faults.latency_ms.saturating_add(jitter));
        }
        treatment
    }

    fn scripted(entry: Scripted, faults: &Faults) -> Self {
        let instead = entry.status.map(|status| match (entry.html, entry.body) {
            (Some(page), _) => Answer::html(status, page),
            (None, Some(body)) => Answer::json(status, body),
            (None, None) if status == 429 => limits::too_many(faults),
            (None, None) if status == 503 => limits::hinted(Answer::plain(503), faults),
            (None, None) => Answer::plain(status),
        });
        Self {
            before: Duration::ZERO,
            after: Duration::from_millis(entry.delay_ms),
            apply: entry.reset_after_apply || !entry.reset && (entry.apply || instead.is_none()),
            instead,
            headers: entry.headers.into_iter().collect(),
            cut: entry.reset || entry.reset_after_apply,
        }
    }

    fn accounts(endpoint: &Endpoint, faults: &Faults, dice: &mut fastrand::Rng) -> Self {
        let minting = matches!(endpoint, Endpoint::Token | Endpoint::TokenAlias);
        if minting && hit(dice, faults.rate_token_error) {
            return Self::refused(Answer::json(200, json!({"error": "general_error"})));
        }
        if minting && hit(dice, faults.rate_token_html) {
            return Self::refused(Answer::html(200, ACCOUNTS_PAGE));
        }
        Self::usual()
    }

    fn crm(faults: &Faults, dice: &mut fastrand::Rng) -> Self {
        if hit(dice, faults.reset_before_apply) {
            return Self::cut(false);
        }
        if hit(dice, faults.rate_429) {
            return Self::refused(limits::too_many(faults));
        }
        if hit(dice, faults.rate_5xx) {
            let status = [500, 502, 503][dice.usize(0..3)];
            return Self::refused(limits::hinted(Answer::plain(status), faults));
        }
        if hit(dice, faults.reset_after_apply) {
            return Self::cut(true);
        }
        Self::usual()
    }
}

/// One throw. A rate of zero throws no dice, so that switching one trouble on does not move another one.
fn hit(dice: &mut fastrand::Rng, rate: f64) -> bool {
    rate > 0.0 && dice.f64() < rate
}

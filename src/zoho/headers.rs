//! What the headers of an answer contain. Dates are compared with Zoho's own clock, as this machine's may be wrong. Pure.

use bytes::Bytes;
use http::Response;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;

use super::answer::RawAnswer;
use crate::retry::{http_date, retry_after};

/// The remaining API credits. Zoho sends it once half of the day's credits are used.
const CREDITS_REMAINING: &str = "x-api-credits-remaining";

/// When the access token expires, as an ISO time. No document promises this header.
const TOKEN_RESET: &str = "x-accesstoken-reset";

/// Times that an answer reports, by Zoho's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerTimes {
    /// When Zoho sent the answer.
    pub(super) sent_at: Option<Timestamp>,
    /// When the access token of the request expires.
    pub(super) token_expires_at: Option<Timestamp>,
}

impl AnswerTimes {
    pub(super) fn of(response: &Response<Bytes>) -> Self {
        let expires = response.headers().get(TOKEN_RESET);
        let expires = expires.and_then(|expires| expires.to_str().ok()?.trim().parse().ok());
        Self {
            sent_at: sent_at(response),
            token_expires_at: expires,
        }
    }
}

/// When an answer was sent, by its sender's clock.
pub(super) fn sent_at(response: &Response<Bytes>) -> Option<Timestamp> {
    http_date(response.headers().get(DATE)?.to_str().ok()?)
}

/// The parts of an answer that its judges need.
pub(super) fn raw_answer(response: &Response<Bytes>, now: Timestamp) -> RawAnswer<'_> {
    let header = |name: &str| response.headers().get(name)?.to_str().ok();
    let now = sent_at(response).unwrap_or(now);
    RawAnswer {
        status: response.status().as_u16(),
        body: response.body(),
        retry_after: header(RETRY_AFTER.as_str()).and_then(|hint| retry_after(hint, now)),
        credits: header(CREDITS_REMAINING).and_then(|text| text.trim().parse().ok()),
    }
}

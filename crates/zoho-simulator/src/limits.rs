//! Zoho's two limits behind 429: credits in a rolling day, and simultaneous calls.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::answer::Answer;
use crate::endpoint::Endpoint;
use crate::faults::{Edition, Faults, TooMany};
use crate::state::Request;
use crate::{coql, put};

/// Credits come back one day after they were used.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The credits used, and when.
#[derive(Debug, Default)]
pub(crate) struct Credits {
    spent: VecDeque<(i64, u64)>,
    /// Credits used within the last 24 hours.
    pub(crate) used: u64,
}

impl Credits {
    /// Pays for a call; `false` if the day's credits do not reach.
    pub(crate) fn pay(&mut self, price: u64, allowance: u64, now: Timestamp) -> bool {
        let second = now.as_second();
        while let Some((at, price)) = self.spent.front().copied() {
            if at > second - DAY.as_secs() {
                break;
            }
            self.used -= price;
            self.spent.pop_front();
        }
        if self.used + price > allowance {
            return false;
        }
        self.used += price;
        match self.spent.back_mut() {
            Some((at, sum)) if *at == second => *sum += price,
            _ => self.spent.push_back((second, price)),
        }
        true
    }

    /// `X-API-CREDITS-REMAINING`: Zoho sends it only once half of the day's credits are used.
    pub(crate) fn header(&self, allowance: u64) -> Option<u64> {
        (self.used * 2 >= allowance).then(|| allowance.saturating_sub(self.used))
    }
}

/// The least and the most credits of a call.
pub(crate) fn prices(endpoint: &Endpoint, faults: &Faults) -> (u64, u64) {
    match endpoint {
        Endpoint::MassUpdate(_) | Endpoint::MassUpdateStatus(_) => {
            (faults.mass_update_credits, faults.mass_update_credits)
        }
        Endpoint::Coql => (1, 3),
        Endpoint::PutRecords(_) => (1, 10),
        Endpoint::Count(_) => (50, 50),
        Endpoint::Token
        | Endpoint::TokenAlias
        | Endpoint::Revoke
        | Endpoint::ServerInfo
        | Endpoint::OtherVersion
        | Endpoint::WrongMethod
        | Endpoint::Unknown => (0, 0),
        Endpoint::Fields(_)
        | Endpoint::Modules(_)
        | Endpoint::CustomViews(_)
        | Endpoint::Territories(_)
        | Endpoint::ChildTerritories(_)
        | Endpoint::Search(_)
        | Endpoint::Record(..)
        | Endpoint::Apis
        | Endpoint::Org
        | Endpoint::Users => (1, 1),
    }
}

/// The credits of this call.
pub(crate) fn price(request: &Request, faults: &Faults) -> u64 {
    let (least, most) = prices(&request.endpoint, faults);
    if least == most {
        return least;
    }
    let price = if request.endpoint == Endpoint::Coql {
        coql::price(&request.body)
    } else {
        put::count(&request.body).div_ceil(10)
    };
    price.clamp(least, most)
}

/// Whether a call counts against the narrower limit of "complex" ones, too.
pub(crate) fn complex(request: &Request) -> bool {
    matches!(request.endpoint, Endpoint::Coql | Endpoint::Search(_))
        || matches!(request.endpoint, Endpoint::PutRecords(_)) && put::count(&request.body) > 10
}

/// Simultaneous calls that are allowed.
pub(crate) fn concurrency(faults: &Faults) -> usize {
    faults.concurrency.unwrap_or(match faults.edition {
        Edition::Free => 5,
        Edition::Standard => 10,
        Edition::Professional => 15,
        Edition::Enterprise => 20,
        Edition::Ultimate => 25,
    })
}

/// The 429 answer, in the variant that is switched on.
pub(crate) fn too_many(faults: &Faults) -> Answer {
    let body = match faults.too_many_body {
        TooMany::Crm => return hinted(Answer::plain(429), faults),
        TooMany::Short => {
            json!({"code": "TOO_MANY_REQUESTS", "message": "You have exceeded the API limit"})
        }
        TooMany::RetryAfter => json!({
            "code": "TOO_MANY_REQUESTS",
            "message": "Rate limit exceeded. Please retry after the specified time.",
            "status": "error",
            "details": {"trace_id": "9f2c7e", "retry_after": faults.retry_after_s.unwrap_or(60), "limit": 100, "window": 60},
        }),
        TooMany::RateLimit => json!({
            "code": "RATE_LIMIT_EXCEEDED",
            "details": {},
            "message": "Too many requests. Please try again later.",
            "status": "error",
        }),
    };
    hinted(Answer::json(429, body), faults)
}

/// The answer with `Retry-After`, if that is switched on.
pub(crate) fn hinted(answer: Answer, faults: &Faults) -> Answer {
    match faults.retry_after_s {
        Some(seconds) => answer.with("Retry-After", seconds),
        None => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_come_back_after_a_day() {
        let mut credits = Credits::default();
        let start = Timestamp::UNIX_EPOCH;
        assert!(credits.pay(4, 10, start));
        assert_eq!(credits.header(10), None);
        assert!(credits.pay(6, 10, start + SignedDuration::from_hours(1)));
        assert_eq!(credits.header(10), Some(0));
        assert!(!credits.pay(1, 10, start + SignedDuration::from_hours(23)));
        assert!(credits.pay(4, 10, start + SignedDuration::from_hours(24)));
        assert!(!credits.pay(1, 10, start + SignedDuration::from_hours(24)));
    }
}

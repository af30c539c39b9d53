//! API credits: what a request costs, and what was spent in the last 24 hours.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::coql::CoqlQuery;
use crate::endpoint::Endpoint;
use crate::faults::Faults;
use crate::request::Request;
use crate::request_body;

/// Credits are restored this long after they were spent.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The credits spent, with their times.
#[derive(Debug, Default)]
pub(crate) struct Credits {
    spent: VecDeque<(i64, u64)>,
    /// Credits spent within the last 24 hours.
    pub(crate) used: u64,
}

impl Credits {
    /// Spends credits on a request. Returns `false` if fewer than `cost` are left.
    pub(crate) fn spend(&mut self, cost: u64, allowance: u64, now: Timestamp) -> bool {
        let second = now.as_second();
        while let Some((at, cost)) = self.spent.front().copied() {
            if at > second - DAY.as_secs() {
                break;
            }
            self.used -= cost;
            self.spent.pop_front();
        }
        if self.used + cost > allowance {
            return false;
        }
        self.used += cost;
        match self.spent.back_mut() {
            Some((at, sum)) if *at == second => *sum += cost,
            _ => self.spent.push_back((second, cost)),
        }
        true
    }

    /// The value of `X-API-CREDITS-REMAINING`, which Zoho sends once half of the daily credits are spent.
    pub(crate) fn remaining_header(&self, allowance: u64) -> Option<u64> {
        (self.used * 2 >= allowance).then(|| allowance.saturating_sub(self.used))
    }
}

/// The minimum and maximum cost of a request to an endpoint.
pub(crate) fn cost_range(endpoint: &Endpoint, faults: &Faults) -> (u64, u64) {
    match endpoint {
        Endpoint::MassUpdate(_) | Endpoint::MassUpdateStatus(_) => {
            (faults.mass_update_credits, faults.mass_update_credits)
        }
        Endpoint::Coql => (1, 3),
        Endpoint::PutRecords(_) | Endpoint::Upsert(_) => (1, 10),
        Endpoint::Records(_) => (1, 3),
        Endpoint::Count(_) => (50, 50),
        Endpoint::Token
        | Endpoint::TokenAlias
        | Endpoint::Revoke
        | Endpoint::ServerInfo
        | Endpoint::NotSimulated
        | Endpoint::OtherVersion
        | Endpoint::WrongMethod
        | Endpoint::Unknown => (0, 0),
        Endpoint::AddTags(_)
        | Endpoint::RemoveTags(_)
        | Endpoint::ChangeOwner(_)
        | Endpoint::MassChangeOwner(_)
        | Endpoint::MassChangeOwnerStatus(_)
        | Endpoint::Fields(_)
        | Endpoint::Modules(_)
        | Endpoint::CustomViews(_)
        | Endpoint::Territories(_)
        | Endpoint::ChildTerritories(_)
        | Endpoint::Search(_)
        | Endpoint::Record(..)
        | Endpoint::PutRecord(..)
        | Endpoint::Apis
        | Endpoint::Org
        | Endpoint::Users => (1, 1),
    }
}

/// The cost of a query: one credit for up to 200 rows, two for up to 1,000, three for more.
fn query_cost(body: &[u8]) -> u64 {
    let query = request_body::query_text(body).and_then(|text| CoqlQuery::parse(&text));
    match query.map_or(0, |query| query.limit) {
        0..=200 => 1,
        201..=1000 => 2,
        _ => 3,
    }
}

/// The cost of a request.
pub(crate) fn cost(request: &Request, faults: &Faults) -> u64 {
    let (min, max) = cost_range(&request.endpoint, faults);
    if min == max {
        return min;
    }
    let cost = if request.endpoint == Endpoint::Coql {
        query_cost(&request.body)
    } else if let Endpoint::Records(_) = request.endpoint {
        // A custom view costs more.
        if request.parameter("cvid").is_some() {
            max
        } else {
            min
        }
    } else {
        request_body::record_count(&request.body).div_ceil(10)
    };
    cost.clamp(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_restored_after_a_day() {
        let mut credits = Credits::default();
        let start = Timestamp::UNIX_EPOCH;
        assert!(credits.spend(4, 10, start));
        assert_eq!(credits.remaining_header(10), None);
        assert!(credits.spend(6, 10, start + SignedDuration::from_hours(1)));
        assert_eq!(credits.remaining_header(10), Some(0));
        assert!(!credits.spend(1, 10, start + SignedDuration::from_hours(23)));
        assert!(credits.spend(4, 10, start + SignedDuration::from_hours(24)));
        assert!(!credits.spend(1, 10, start + SignedDuration::from_hours(24)));
    }
}

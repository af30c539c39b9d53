//! The cost of calls, in API credits.

use std::fmt;

use serde_json::{Value, json};

use super::{Call, Target};

/// Records that one API credit pays for in a record update.
pub const RECORDS_PER_CREDIT: u64 = 10;

/// Credits that Zoho charges for a call, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreditPrices {
    /// API credits of one mass update. Zoho documents no value; `GET /crm/v7/__apis` returns what an org pays.
    pub mass_update: Option<u64>,
}

impl CreditPrices {
    /// The documented prices (<https://www.zoho.com/crm/developer/docs/api/v7/api-limits.html>): a record update or
    /// an upsert costs one credit for each ten records or part of ten. The price of a mass update is not documented.
    pub const DOCUMENTED: Self = Self { mass_update: None };

    /// The API credits of a call with this target.
    fn credits(self, target: &Target) -> Option<u64> {
        match target {
            Target::Immediate(_) | Target::Scheduled => self.mass_update,
            Target::Records(range) | Target::Upsert(range) => {
                Some((range.len() as u64).div_ceil(RECORDS_PER_CREDIT))
            }
            // Zoho documents no price.
            Target::AddTags(_)
            | Target::RemoveTags(_)
            | Target::ChangeOwner(_)
            | Target::MassChangeOwner => None,
        }
    }
}

/// The cost of sending calls once each. Status requests for Zoho's jobs are not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditCost {
    /// Number of calls.
    pub calls: u64,
    /// API credits; none if the credits of some call are unknown.
    pub credits: Option<u64>,
}

impl CreditCost {
    /// The cost of `calls` at `prices`.
    pub fn of(calls: &[Call], prices: CreditPrices) -> Self {
        let credits = calls.iter().map(|call| prices.credits(&call.target));
        Self {
            calls: calls.len() as u64,
            credits: credits.sum(),
        }
    }

    /// The same calls at `credits` each.
    pub(super) fn at(self, credits: Option<u64>) -> Self {
        let credits = credits.map(|each| each.saturating_mul(self.calls));
        Self { credits, ..self }
    }

    /// The cost as JSON.
    pub fn to_json(self) -> Value {
        json!({"calls": self.calls, "credits": self.credits})
    }
}

impl fmt::Display for CreditCost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(formatter, "{} call{}", self.calls, plural(self.calls))?;
        match self.credits {
            Some(credits) => write!(formatter, ", {credits} credit{}", plural(credits)),
            None => formatter.write_str(", credits not documented"),
        }
    }
}

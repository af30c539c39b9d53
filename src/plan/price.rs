//! What the calls of a plan cost, and which of the two ways of updating records is taken for that reason. Pure.

use std::fmt;

use serde_json::{Value, json};

use super::{Call, Target};

/// Records that an update of records changes for one API credit.
pub const RECORDS_PER_CREDIT: u64 = 10;

/// What Zoho charges, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tariff {
    /// API credits for one POST of a mass update. Zoho documents none; what an org pays is told by `GET /crm/v7/__apis`.
    pub mass_update: Option<u64>,
}

impl Tariff {
    /// What Zoho's documentation says (<https://www.zoho.com/crm/developer/docs/api/v7/api-limits.html>): an update of
    /// records is one credit for ten of them, begun tens counted whole; of mass updates it says nothing.
    pub const DOCUMENTED: Self = Self { mass_update: None };

    /// The API credits of a call that names `records` records.
    fn credits(self, target: &Target) -> Option<u64> {
        match target {
            Target::Immediate(_) | Target::Scheduled => self.mass_update,
            Target::Records(range) => Some((range.len() as u64).div_ceil(RECORDS_PER_CREDIT)),
        }
    }
}

/// What sending calls costs, each of them once; asking how Zoho's jobs go on is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The calls.
    pub calls: u64,
    /// Their API credits; none if those of some call are not known.
    pub credits: Option<u64>,
}

impl Price {
    /// The price of calls.
    pub fn of(calls: &[Call], tariff: Tariff) -> Self {
        let credits = calls.iter().map(|call| tariff.credits(&call.target));
        Self {
            calls: calls.len() as u64,
            credits: credits.sum(),
        }
    }

    /// The same, if each of the calls costs so many credits.
    pub(super) fn at(self, credits: Option<u64>) -> Self {
        let credits = credits.map(|each| each.saturating_mul(self.calls));
        Self { credits, ..self }
    }

    /// Its JSON.
    pub fn to_json(self) -> Value {
        json!({"calls": self.calls, "credits": self.credits})
    }
}

impl fmt::Display for Price {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(formatter, "{} call{}", self.calls, plural(self.calls))?;
        match self.credits {
            Some(credits) => write!(formatter, ", {credits} credit{}", plural(credits)),
            None => formatter.write_str(", credits not documented"),
        }
    }
}

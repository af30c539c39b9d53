//! Zoho's limits for an org: concurrent calls by edition, and API credits. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;

use super::data_center::UnknownName;
use crate::clock::after;
use strict_reader::nearest;

/// Concurrent calls of the group that Zoho calls complex, in every edition.
pub const COMPLEX_AT_ONCE: usize = 10;

/// How long new work waits for credits before one call checks them again.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);

/// Zoho's editions, by their limits. A trial has the limits of its paid edition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Edition {
    /// Free.
    #[default]
    Free,
    /// Standard and Starter.
    Standard,
    /// Professional.
    Professional,
    /// Enterprise and Zoho One.
    Enterprise,
    /// Ultimate and CRM Plus.
    Ultimate,
}

impl Edition {
    const ALL: [(Self, &'static str, usize); 5] = [
        (Self::Free, "free", 5),
        (Self::Standard, "standard", 10),
        (Self::Professional, "professional", 15),
        (Self::Enterprise, "enterprise", 20),
        (Self::Ultimate, "ultimate", 25),
    ];

    /// The concurrent calls that Zoho allows one program.
    pub fn max_concurrency(self) -> usize {
        let row = Self::ALL.iter().find(|(edition, ..)| *edition == self);
        row.map_or(5, |(.., limit)| *limit)
    }

    /// The edition by its name in Zoho's `/org`, such as `EnterpriseTrial` or `CRMPlus`.
    pub fn of_org(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let known = [
            ("ultimate", Self::Ultimate),
            ("plus", Self::Ultimate),
            ("enterprise", Self::Enterprise),
            ("one", Self::Enterprise),
            ("professional", Self::Professional),
            ("standard", Self::Standard),
            ("starter", Self::Standard),
            ("free", Self::Free),
        ];
        let found = known.iter().find(|(part, _)| name.contains(part));
        found.map(|(_, edition)| *edition)
    }

    /// Whether custom views can be mass-updated.
    pub fn has_views(self) -> bool {
        matches!(self, Self::Enterprise | Self::Ultimate)
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = Self::ALL.iter().find(|(edition, ..)| edition == self);
        formatter.write_str(row.map_or("free", |(_, name, _)| name))
    }
}

impl FromStr for Edition {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let exact = Self::ALL.iter().find(|(_, name, _)| *name == text);
        exact
            .map(|(edition, ..)| *edition)
            .ok_or_else(|| UnknownName {
                found: text.to_owned(),
                known: "free, standard, professional, enterprise, ultimate",
                hint: nearest(text, Self::ALL.iter().map(|(_, name, _)| *name)),
            })
    }
}

/// Whether a call belongs to the group that Zoho calls complex: COQL, search, and updates of more than ten records.
/// Every `PUT` counts, as smaller ones do no harm in this group.
pub fn is_complex(method: &Method, endpoint: &str) -> bool {
    let path = endpoint.split('?').next().unwrap_or_default();
    *method == Method::PUT || path == "coql" || path.ends_with("/search")
}

/// The org's remaining credits. Zoho reports them with every answer once half of the day's credits are used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credits {
    remaining: Option<u64>,
    check_again: Option<Timestamp>,
}

impl Credits {
    /// Records the credits that an answer reports; `None` means that more than half remain.
    pub fn note(&mut self, remaining: Option<u64>) {
        self.remaining = remaining;
    }

    /// The remaining credits, if Zoho reports them.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// The remaining credits and the wait of new work, if fewer than `floor` remain. The first call after the wait may
    /// pass: its answer reports the present credits, and the other calls wait for it.
    pub fn wait(&mut self, floor: u64, now: Timestamp) -> Option<(u64, Duration)> {
        let Some(remaining) = self.remaining.filter(|remaining| *remaining < floor) else {
            self.check_again = None;
            return None;
        };
        let again = after(now, CHECK_INTERVAL);
        match self.check_again.filter(|at| now < *at) {
            Some(at) => {
                let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                Some((remaining, left))
            }
            None if self.check_again.is_some() => {
                self.check_again = Some(again);
                None
            }
            None => {
                self.check_again = Some(again);
                Some((remaining, CHECK_INTERVAL))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edition_is_parsed_by_name() {
        for (edition, name, _) in Edition::ALL {
            assert_eq!(name.parse::<Edition>().expect("an edition"), edition);
            assert_eq!(edition.to_string(), name);
            assert_eq!(Edition::of_org(&format!("{name}Trial")), Some(edition));
        }
        let error = "enterprize".parse::<Edition>().expect_err("no edition");
        assert!(
            error.to_string().contains("did you mean `enterprise`"),
            "{error}"
        );
        assert_eq!(Edition::of_org("CRMPlus"), Some(Edition::Ultimate));
        assert_eq!(Edition::of_org("Bigin"), None);
    }

    #[test]
    fn work_waits_below_floor_and_one_call_checks_again() {
        let mut credits = Credits::default();
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(
            credits.wait(500, start),
            None,
            "nothing reported means enough"
        );
        credits.note(Some(500));
        assert_eq!(credits.wait(500, start), None);
        credits.note(Some(499));
        assert_eq!(credits.wait(500, start), Some((499, CHECK_INTERVAL)));
        let later = start + Duration::from_secs(100);
        assert_eq!(
            credits.wait(500, later),
            Some((499, CHECK_INTERVAL - Duration::from_secs(100)))
        );
        let over = start + CHECK_INTERVAL;
        assert_eq!(credits.wait(500, over), None, "one call checks");
        assert_eq!(
            credits.wait(500, over),
            Some((499, CHECK_INTERVAL)),
            "the others wait for it"
        );
        credits.note(None);
        assert_eq!(credits.wait(500, over), None);
    }

    #[test]
    fn complex_call_is_recognized_by_method_and_path() {
        for (method, endpoint, complex) in [
            (Method::POST, "coql", true),
            (Method::GET, "Leads/search?email=a%40b.c", true),
            (Method::PUT, "Leads", true),
            (Method::POST, "Leads/actions/mass_update", false),
            (Method::GET, "settings/fields?module=search", false),
        ] {
            assert_eq!(is_complex(&method, endpoint), complex, "{endpoint}");
        }
    }
}

//! What Zoho allows an org: calls at once by its edition, and API credits. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;

use super::data_center::UnknownName;
use crate::clock::after;
use strict_reader::nearest;

/// Calls at once of the group that Zoho calls complex, in every edition.
pub const COMPLEX_AT_ONCE: usize = 10;

/// How long new work waits for credits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Zoho's editions, by what they allow. Trials are as their paid counterparts.
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

    /// Simultaneous calls that Zoho allows one program of the org.
    pub fn at_once(self) -> usize {
        let row = Self::ALL.iter().find(|(edition, ..)| *edition == self);
        row.map_or(5, |(.., at_once)| *at_once)
    }

    /// The edition that Zoho's `/org` means by a name of its own, as in `EnterpriseTrial` or `CRMPlus`.
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
/// Every `PUT` counts as such, as smaller ones do no harm there.
pub fn is_complex(method: &Method, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    *method == Method::PUT || path.ends_with("/coql") || path.ends_with("/search")
}

/// What is known of the org's credits. Zoho tells how many remain once half of the day's are used, with every answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credits {
    remaining: Option<u64>,
    look_again: Option<Timestamp>,
}

impl Credits {
    /// Takes in what an answer said; that it said nothing means that there are plenty.
    pub fn note(&mut self, remaining: Option<u64>) {
        self.remaining = remaining;
    }

    /// How many remain, and how long new work has to wait, if they are fewer than `floor`. Whoever comes when the wait is
    /// over may pass: its answer tells how things are now, and the others wait for that.
    pub fn wait(&mut self, floor: u64, now: Timestamp) -> Option<(u64, Duration)> {
        let Some(remaining) = self.remaining.filter(|remaining| *remaining < floor) else {
            self.look_again = None;
            return None;
        };
        let again = after(now, LOOK_AGAIN);
        match self.look_again.filter(|at| now < *at) {
            Some(at) => {
                let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                Some((remaining, left))
            }
            None if self.look_again.is_some() => {
                self.look_again = Some(again);
                None
            }
            None => {
                self.look_again = Some(again);
                Some((remaining, LOOK_AGAIN))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editions_are_known_by_their_names() {
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
    fn work_waits_below_the_floor_and_one_looks_again() {
        let mut credits = Credits::default();
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(credits.wait(500, start), None, "nothing said means plenty");
        credits.note(Some(500));
        assert_eq!(credits.wait(500, start), None);
        credits.note(Some(499));
        assert_eq!(credits.wait(500, start), Some((499, LOOK_AGAIN)));
        let later = start + Duration::from_secs(100);
        assert_eq!(
            credits.wait(500, later),
            Some((499, LOOK_AGAIN - Duration::from_secs(100)))
        );
        let over = start + LOOK_AGAIN;
        assert_eq!(credits.wait(500, over), None, "one goes and looks");
        assert_eq!(
            credits.wait(500, over),
            Some((499, LOOK_AGAIN)),
            "the others wait for it"
        );
        credits.note(None);
        assert_eq!(credits.wait(500, over), None);
    }

    #[test]
    fn complex_calls_are_told_by_their_path() {
        for (method, path, complex) in [
            (Method::POST, "/crm/v7/coql", true),
            (Method::GET, "/crm/v7/Leads/search?email=a%40b.c", true),
            (Method::PUT, "/crm/v7/Leads", true),
            (Method::POST, "/crm/v7/Leads/actions/mass_update", false),
            (Method::GET, "/crm/v7/settings/fields?module=search", false),
        ] {
            assert_eq!(is_complex(&method, path), complex, "{path}");
        }
    }
}

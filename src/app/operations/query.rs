//! Parses the parameters of lists. The command line passes its flags through the same parser.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strict_reader::nearest;

use super::cursor::{CursorForm, Direction};
use super::live::MAX_WAIT;
use crate::inbound::rejection::Rejection;
use crate::store::delivery_log::{DeliveryFilter, OutcomeFilter};
use crate::store::{JobFilter, ListPosition, PageRequest, StatusFilter, Store};
use crate::trigger::Trigger;

/// The size of a page.
const DEFAULT_LIMIT: usize = 50;

/// The largest size of a page.
pub const MAX_LIMIT: usize = 200;

/// The longest value of a parameter, in characters.
pub const MAX_VALUE: usize = 1_000;

/// The parameters of every list.
pub const PAGE_PARAMETERS: [&str; 4] = ["cursor", "limit", "after", "wait"];

/// The filters of jobs.
pub const JOB_PARAMETERS: [&str; 8] = [
    "status",
    "route",
    "connection",
    "reference",
    "code",
    "since",
    "until",
    "q",
];

/// The filters of deliveries.
pub const DELIVERY_PARAMETERS: [&str; 7] =
    ["outcome", "route", "code", "trigger", "since", "until", "q"];

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter `{parameter}` {detail}")]
pub struct InvalidParameter {
    /// The parameter.
    pub parameter: String,
    /// What is wrong with it.
    pub detail: String,
    /// The values or names that are allowed, if there are few.
    pub allowed: Vec<&'static str>,
}

impl From<InvalidParameter> for Rejection {
    fn from(error: InvalidParameter) -> Self {
        let InvalidParameter {
            parameter,
            detail,
            allowed,
        } = error;
        Self::InvalidParameter {
            parameter,
            detail,
            allowed,
        }
    }
}

impl InvalidParameter {
    /// An error of a parameter.
    pub fn new(parameter: &str, detail: impl Into<String>) -> Self {
        Self {
            parameter: parameter.to_owned(),
            detail: detail.into(),
            allowed: Vec::new(),
        }
    }

    fn not_among(parameter: &str, value: &str, allowed: Vec<&'static str>) -> Self {
        let value: String = value.chars().take(80).collect();
        let hint = nearest(&value, allowed.iter().copied());
        let hint = hint.map(|nearest| format!(" (did you mean `{nearest}`?)"));
        let (hint, list) = (hint.unwrap_or_default(), allowed.join(", "));
        Self {
            parameter: parameter.to_owned(),
            detail: format!("cannot be `{value}`{hint}; it is one of {list}"),
            allowed,
        }
    }
}

/// The parameters of a request, each at most once. An empty value counts as none.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string. Each name must be among `filters` or the parameters of pages.
    ///
    /// # Errors
    /// [`InvalidParameter`] for an unknown name, or one that is given twice.
    pub fn of_list(query: &str, filters: &[&'static str]) -> Result<Self, InvalidParameter> {
        let mut known = filters.to_vec();
        known.extend(PAGE_PARAMETERS);
        Self::of_query(query, &known)
    }

    /// Reads a query string. Each name must be among `known`.
    ///
    /// # Errors
    /// [`InvalidParameter`] for an unknown name, or one that is given twice.
    pub fn of_query(query: &str, known: &[&'static str]) -> Result<Self, InvalidParameter> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self::of_pairs(
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned())),
            known,
        )
    }

    /// Reads names and values.
    ///
    /// # Errors
    /// [`InvalidParameter`] for an unknown name, or one that is given twice.
    pub fn of_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
        known: &[&'static str],
    ) -> Result<Self, InvalidParameter> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let name: String = name.chars().take(80).collect();
                let hint = match nearest(&name, known.iter().copied()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("known: {}", known.join(", ")),
                };
                return Err(InvalidParameter {
                    detail: format!("is unknown; {hint}"),
                    allowed: known.to_vec(),
                    parameter: name,
                });
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(InvalidParameter::new(&name, "is given twice"));
            }
            if value.chars().nth(MAX_VALUE).is_some() {
                let detail = format!("is longer than {MAX_VALUE} characters");
                return Err(InvalidParameter::new(&name, detail));
            }
            found.push((name, value));
        }
        found.retain(|(_, value)| !value.is_empty());
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn named<T: Copy>(
        &self,
        name: &str,
        all: &[(T, &'static str)],
    ) -> Result<Option<T>, InvalidParameter> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let found = all.iter().find(|(_, known)| *known == value);
        let names = || all.iter().map(|(_, known)| *known).collect();
        let found = found.ok_or_else(|| InvalidParameter::not_among(name, value, names()))?;
        Ok(Some(found.0))
    }

    /// A parameter that is `true` or `false`.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn flag(&self, name: &str) -> Result<Option<bool>, InvalidParameter> {
        self.named(name, &[(true, "true"), (false, "false")])
    }

    fn number(&self, name: &str, most: usize, default: usize) -> Result<usize, InvalidParameter> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let number = value.parse().ok().filter(|number| *number <= most);
        let least = usize::from(default > 0);
        let number = number.filter(|number| *number >= least);
        number.ok_or_else(|| {
            let detail = format!("is not a whole number from {least} to {most}");
            InvalidParameter::new(name, detail)
        })
    }

    fn moment(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, InvalidParameter> {
        let moment = self.get(name).map(|value| {
            parse_moment(value, now).ok_or_else(|| {
                let detail = "is neither a time such as 2026-01-31T08:00:00Z nor an age such as 30m, 24h or 7d";
                InvalidParameter::new(name, detail)
            })
        });
        moment.transpose()
    }

    /// The filter of jobs.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn job_filter(&self, now: Timestamp) -> Result<JobFilter, InvalidParameter> {
        Ok(JobFilter {
            status: self.named("status", &StatusFilter::ALL)?,
            route: self.text("route"),
            connection: self.text("connection"),
            reference: self.text("reference"),
            code: self.text("code"),
            since: self.moment("since", now)?,
            until: self.moment("until", now)?,
            search: self.text("q"),
        })
    }

    /// The filter of deliveries.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn delivery_filter(&self, now: Timestamp) -> Result<DeliveryFilter, InvalidParameter> {
        Ok(DeliveryFilter {
            outcome: self.named("outcome", &OutcomeFilter::ALL)?,
            route: self.text("route"),
            code: self.text("code"),
            trigger: self.named("trigger", &Trigger::ALL)?,
            since: self.moment("since", now)?,
            until: self.moment("until", now)?,
            search: self.text("q"),
        })
    }

    /// The page, and how long to wait for one that is not empty.
    fn page(&self, cursors: CursorForm) -> Result<(PageRequest, Duration), InvalidParameter> {
        let limit = self.number("limit", MAX_LIMIT, DEFAULT_LIMIT)?;
        let most = usize::try_from(MAX_WAIT.as_secs()).unwrap_or_default();
        let wait = self.number("wait", most, 0)?;
        let wait = Duration::from_secs(wait as u64);
        let position = |name, direction| {
            let cursor = self.get(name);
            let position = cursor.map(|cursor| cursors.position(name, cursor, direction));
            position.transpose()
        };
        if self.get("cursor").is_some() && self.get("after").is_some() {
            let detail = "cannot be used together with `cursor`";
            return Err(InvalidParameter::new("after", detail));
        }
        let older = position("cursor", Direction::Older)?;
        let newer = position("after", Direction::Newer)?;
        let from = match (older, newer) {
            (Some(cursor), _) => ListPosition::Before(cursor),
            (None, Some(after)) => ListPosition::Newer(after),
            (None, None) => ListPosition::Start,
        };
        if !wait.is_zero() && !matches!(from, ListPosition::Newer(_)) {
            let detail = "needs `after`, the cursor behind which entries are new";
            return Err(InvalidParameter::new("wait", detail));
        }
        Ok((PageRequest { limit, from }, wait))
    }
}

/// Reads a moment: RFC 3339, or an age such as `30m`, `24h` or `7d`.
pub fn parse_moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let age = SignedDuration::from_secs(number.checked_mul(seconds)?);
    now.checked_sub(age).ok()
}

/// A request for a page of a list.
#[derive(Clone, Debug)]
pub struct ListQuery<F> {
    /// Which entries.
    pub filter: F,
    /// Which page.
    pub page: PageRequest,
    /// How long to wait for new entries, if there are none.
    pub wait: Duration,
    /// The form of the list's cursors.
    pub cursors: CursorForm,
}

impl ListQuery<JobFilter> {
    /// Reads the query string of a list of jobs.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn of_jobs(
        query: &str,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Self, InvalidParameter> {
        let parameters = Parameters::of_list(query, &JOB_PARAMETERS)?;
        let filter = parameters.job_filter(now)?;
        let cursors = CursorForm::of_jobs(store);
        let (page, wait) = parameters.page(cursors)?;
        Ok(Self {
            filter,
            page,
            wait,
            cursors,
        })
    }
}

impl ListQuery<DeliveryFilter> {
    /// Reads the query string of a list of deliveries.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn of_deliveries(
        query: &str,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Self, InvalidParameter> {
        let parameters = Parameters::of_list(query, &DELIVERY_PARAMETERS)?;
        let filter = parameters.delivery_filter(now)?;
        let cursors = CursorForm::of_deliveries(store, &filter);
        let (page, wait) = parameters.page(cursors)?;
        Ok(Self {
            filter,
            page,
            wait,
            cursors,
        })
    }
}

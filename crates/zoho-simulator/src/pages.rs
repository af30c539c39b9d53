//! Lists that come in pages: `page`, `per_page`, and `more_records` in the answer.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::faults::Faults;
use crate::state::Request;

/// A page that is asked for.
pub(crate) struct Page {
    number: usize,
    size: usize,
}

impl Page {
    /// The page that a request asks for; `most` is what `per_page` may be, and is when it is not given.
    pub(crate) fn of(request: &Request, most: usize, faults: &Faults) -> Checked<Self> {
        let number = |name, default: usize| match request.parameter(name) {
            None | Some("") => Some(default),
            Some(text) => text.parse().ok(),
        };
        let (Some(page @ 1..), Some(per_page)) = (number("page", 1), number("per_page", most))
        else {
            return refuse(invalid("page"));
        };
        if !(1..=most).contains(&per_page) {
            return refuse(invalid("per_page"));
        }
        Ok(Self {
            number: page,
            size: per_page.min(faults.most_per_page.unwrap_or(most).max(1)),
        })
    }

    /// How many entries come before the page.
    pub(crate) fn skipped(&self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    /// The page's part of all entries, and what is told of it.
    pub(crate) fn cut<'a, T>(&self, all: &'a [T]) -> (&'a [T], Value) {
        let rest = all.get(self.skipped()..).unwrap_or_default();
        let here = &rest[..rest.len().min(self.size)];
        let info = json!({
            "per_page": self.size,
            "count": here.len(),
            "page": self.number,
            "more_records": rest.len() > here.len(),
        });
        (here, info)
    }
}

fn invalid(parameter: &str) -> Answer {
    Answer::error(
        400,
        "INVALID_DATA",
        json!({"param_name": parameter}),
        "invalid data",
    )
}

//! Pages of lists: `page` and `per_page` in the request, `more_records` in the response.

use serde_json::{Value, json};

use crate::faults::Faults;
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};

/// A requested page.
pub(super) struct Page {
    number: usize,
    size: usize,
}

impl Page {
    /// Reads the requested page. `max_size` is the maximum and the default of `per_page`.
    pub(super) fn from_request(
        request: &Request,
        max_size: usize,
        faults: &Faults,
    ) -> EndpointResult<Self> {
        let number = |name, default: usize| match request.parameter(name) {
            None | Some("") => Some(default),
            Some(text) => text.parse().ok(),
        };
        let invalid = |name: &str| reject(ApiResponse::invalid_data(json!({"param_name": name})));
        let (Some(page @ 1..), Some(per_page)) = (number("page", 1), number("per_page", max_size))
        else {
            return invalid("page");
        };
        if !(1..=max_size).contains(&per_page) {
            return invalid("per_page");
        }
        Ok(Self {
            number: page,
            size: per_page.min(faults.most_per_page.unwrap_or(max_size).max(1)),
        })
    }

    /// The number of entries before the page.
    pub(super) fn offset(&self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    /// The entries of the page, and its `info` object.
    pub(super) fn slice<'a, T>(&self, all: &'a [T]) -> (&'a [T], Value) {
        let rest = all.get(self.offset()..).unwrap_or_default();
        let entries = &rest[..rest.len().min(self.size)];
        let info = json!({
            "per_page": self.size,
            "count": entries.len(),
            "page": self.number,
            "more_records": rest.len() > entries.len(),
        });
        (entries, info)
    }
}

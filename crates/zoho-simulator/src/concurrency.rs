//! The limits on simultaneous CRM requests.

use crate::endpoint::Endpoint;
use crate::faults::{Edition, Faults};
use crate::request::Request;
use crate::request_body;

/// Counts the CRM requests that are being handled.
#[derive(Debug, Default)]
pub(crate) struct InFlightRequests {
    all: usize,
    /// Those that also count against the lower limit for complex requests.
    complex: usize,
    max: usize,
}

impl InFlightRequests {
    /// Adds a request. Returns whether it is within the limits; it counts in either case.
    pub(crate) fn add(&mut self, request: &Request, faults: &Faults) -> bool {
        self.all += 1;
        self.max = self.max.max(self.all);
        let complex = is_complex(request);
        self.complex += usize::from(complex);
        self.all <= limit(faults) && (!complex || self.complex <= faults.sub_concurrency)
    }

    /// Removes a request that [`Self::add`] counted.
    pub(crate) fn remove(&mut self, complex: bool) {
        self.all -= 1;
        self.complex -= usize::from(complex);
    }

    /// The highest number so far.
    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

/// Whether a request also counts against the lower limit for complex requests.
pub(crate) fn is_complex(request: &Request) -> bool {
    let is_complex_list = matches!(request.endpoint, Endpoint::Records(_))
        && (request.parameter("cvid").is_some() || request.parameter("sort_by").is_some());
    matches!(request.endpoint, Endpoint::Coql | Endpoint::Search(_))
        || is_complex_list
        || matches!(
            request.endpoint,
            Endpoint::PutRecords(_) | Endpoint::Upsert(_)
        ) && request_body::record_count(&request.body) > 10
}

/// The number of simultaneous requests that the edition allows.
fn limit(faults: &Faults) -> usize {
    faults.concurrency.unwrap_or(match faults.edition {
        Edition::Free => 5,
        Edition::Standard => 10,
        Edition::Professional => 15,
        Edition::Enterprise => 20,
        Edition::Ultimate => 25,
    })
}

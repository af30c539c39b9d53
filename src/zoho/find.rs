//! Look-ups of records by the value of a field.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::scope::records_scope;
use super::transport::ApiRequest;
use super::{CallResult, Client, Error, answer};
use crate::lookup::{LookupField, LookupRequest, LookupRow, Query, Search, evidence, rows};
use crate::metrics::RequestKind;
use crate::update::{Assignment, ModuleName, RecordId};

/// One page of the answer to a [`LookupRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupPage {
    /// The records.
    pub rows: Vec<LookupRow>,
    /// Whether there are more pages.
    pub more: bool,
}

impl Client {
    /// Sends one look-up. The answer may be one page of several.
    pub async fn find(
        &self,
        question: &LookupRequest,
        give_up: Timestamp,
    ) -> CallResult<LookupPage> {
        match question {
            LookupRequest::Query(query) => self.coql(query, give_up).await,
            LookupRequest::Search(search) => self.search(search, give_up).await,
        }
    }

    /// Reads records, and returns those that have all the values that a call sets: on them it was performed.
    pub async fn reread(
        &self,
        module: &ModuleName,
        ids: &[RecordId],
        sets: &[Assignment],
        give_up: Timestamp,
    ) -> CallResult<BTreeSet<RecordId>> {
        let (mut requests, mut done) = (Vec::new(), BTreeSet::new());
        for query in evidence::queries(module, sets, ids) {
            let request = ApiRequest::coql(&query, give_up);
            let sent = self.call(&request, rows_document).await;
            requests.extend(sent.requests);
            match sent.outcome {
                Ok(answer) => done.extend(evidence::updated_records(&answer["data"], sets, ids)),
                Err(error) => {
                    let error = match error.lacks_scope() {
                        true => error.with_advice("make a new refresh token that has the scopes ZohoCRM.coql.READ and ZohoCRM.modules.READ too: `on_unknown_outcome: reread` needs them"),
                        false => error,
                    };
                    let outcome = Err(error);
                    return CallResult { requests, outcome };
                }
            }
        }
        let outcome = Ok(done);
        CallResult { requests, outcome }
    }

    async fn coql(&self, query: &Query, give_up: Timestamp) -> CallResult<LookupPage> {
        let request = ApiRequest::coql(&query.text(), give_up);
        let sent = self.call(&request, rows_document).await;
        page(sent, query.column(), "ZohoCRM.coql.READ")
    }

    async fn search(&self, search: &Search, give_up: Timestamp) -> CallResult<LookupPage> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(search.parameters())
            .finish();
        let endpoint = format!("{}/search?{query}", search.column().module);
        let request = ApiRequest::get(RequestKind::Search, &endpoint, give_up);
        let sent = self.call(&request, rows_document).await;
        page(sent, search.column(), "ZohoSearch.securesearch.READ")
    }
}

fn rows_document(raw: &answer::RawAnswer<'_>) -> Result<Value, Error> {
    answer::document(raw, "data")
}

fn page(sent: CallResult<Value>, column: &LookupField, scope: &str) -> CallResult<LookupPage> {
    let outcome = match sent.outcome {
        Ok(answer) => Ok(LookupPage {
            rows: rows(&answer["data"], &column.field),
            more: answer["info"]["more_records"] == true,
        }),
        Err(error) if error.lacks_scope() => Err(error.with_advice(&format!(
            "make a new refresh token that has the scopes {scope} and {} too: without them records cannot be found by `match`",
            records_scope(&column.module, "READ")
        ))),
        Err(error) => Err(error),
    };
    CallResult {
        requests: sent.requests,
        outcome,
    }
}

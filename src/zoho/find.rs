//! Finding records by the value of a field.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CallResult, Client, answer};
use crate::lookup::{Column, Query, Question, Row, Search, evidence, rows};
use crate::update::{Assignment, ModuleName, RecordId};

/// One answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its records.
    pub rows: Vec<Row>,
    /// Whether there are more.
    pub more: bool,
}

impl Client {
    /// Asks one question; the answer may be one page of several.
    pub async fn find(&self, question: &Question, give_up: Timestamp) -> CallResult<Page> {
        match question {
            Question::Query(query) => self.coql(query, give_up).await,
            Question::Search(search) => self.search(search, give_up).await,
        }
    }

    /// Reads records to find out on which of them a call was carried out: those that have all of what it sets.
    pub async fn reread(
        &self,
        module: &ModuleName,
        ids: &[RecordId],
        sets: &[Assignment],
        give_up: Timestamp,
    ) -> CallResult<BTreeSet<RecordId>> {
        let (mut attempts, mut done) = (0, BTreeSet::new());
        for query in evidence::queries(module, sets, ids) {
            let body = Bytes::from(json!({"select_query": query}).to_string());
            let sent = self
                .call(Method::POST, "/crm/v7/coql", body, give_up, found)
                .await;
            attempts += sent.attempts;
            match sent.outcome {
                Ok(answer) => done.extend(evidence::carried_out(&answer["data"], sets)),
                Err(failed) => {
                    let failed = match failed.lacks_scope() {
                        true => failed.advising("make a new refresh token that has the scopes ZohoCRM.coql.READ and ZohoCRM.modules.READ too: `on_unknown_outcome: reread` needs them"),
                        false => failed,
                    };
                    let outcome = Err(failed);
                    return CallResult { attempts, outcome };
                }
            }
        }
        let outcome = Ok(done);
        CallResult { attempts, outcome }
    }

    async fn coql(&self, query: &Query, give_up: Timestamp) -> CallResult<Page> {
        let body = Bytes::from(json!({"select_query": query.text()}).to_string());
        let sent = self
            .call(Method::POST, "/crm/v7/coql", body, give_up, found)
            .await;
        page(sent, query.column(), "ZohoCRM.coql.READ")
    }

    async fn search(&self, search: &Search, give_up: Timestamp) -> CallResult<Page> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(search.parameters())
            .finish();
        let path = format!("/crm/v7/{}/search?{query}", search.column().module);
        let sent = self
            .call(Method::GET, &path, Bytes::new(), give_up, found)
            .await;
        page(sent, search.column(), "ZohoSearch.securesearch.READ")
    }
}

fn found(raw: &answer::RawAnswer<'_>) -> Result<Value, answer::Trouble> {
    answer::found(raw, "data")
}

fn page(sent: CallResult<Value>, column: &Column, scope: &str) -> CallResult<Page> {
    let outcome = match sent.outcome {
        Ok(answer) => Ok(Page {
            rows: rows(&answer["data"], &column.field),
            more: answer["info"]["more_records"] == true,
        }),
        Err(failed) if failed.lacks_scope() => Err(failed.advising(&format!(
            "make a new refresh token that has the scopes {scope} and ZohoCRM.modules.{}.READ too: without them records cannot be found by `match`",
            column.module
        ))),
        Err(failed) => Err(failed),
    };
    CallResult {
        attempts: sent.attempts,
        outcome,
    }
}

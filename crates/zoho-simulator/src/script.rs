//! Scripted answers: the switch `next` of `POST /_sim/faults`.
//!
//! An entry of `next` is used up by the next request of its kind, in order:
//!
//! | key | default | does |
//! | --- | --- | --- |
//! | `kind` | "any" | the kind, as in `GET /_sim/stats` (`token`, `mass_update_post`, …), or `any` |
//! | `times` | 1 | how many requests it answers |
//! | `status` | null | the answer's status; without a status the request is answered as usual |
//! | `body` | null | the answer's JSON body; else what Zoho says with this status |
//! | `html` | null | the answer's body as a page of HTML |
//! | `headers` | {} | more headers |
//! | `apply` | false | with `status`: the request is applied, although the answer hides it |
//! | `reset` | false | the connection is reset, nothing is applied |
//! | `reset_after_apply` | false | the request is applied, then the connection is reset |
//! | `delay_ms` | 0 | the answer is held back for so long, after the request was applied |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One scripted answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scripted {
    pub(crate) kind: String,
    pub(crate) times: u32,
    pub(crate) status: Option<u16>,
    pub(crate) body: Option<Value>,
    pub(crate) html: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) apply: bool,
    pub(crate) reset: bool,
    pub(crate) reset_after_apply: bool,
    pub(crate) delay_ms: u64,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            kind: "any".to_owned(),
            times: 1,
            status: None,
            body: None,
            html: None,
            headers: BTreeMap::new(),
            apply: false,
            reset: false,
            reset_after_apply: false,
            delay_ms: 0,
        }
    }
}

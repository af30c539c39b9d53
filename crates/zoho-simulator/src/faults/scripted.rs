//! Scripted responses: the switch `next` of `POST /_sim/faults`.
//!
//! The next request of its kind takes the first matching entry:
//!
//! | key | default | effect |
//! | --- | --- | --- |
//! | `kind` | "any" | the request kind, as in `GET /_sim/stats` (`token`, `mass_update_post`, …), or `any` |
//! | `times` | 1 | the number of requests that it answers |
//! | `status` | null | the status; without it the request is answered as usual |
//! | `body` | null | the JSON body; without it Zoho's usual body with this status |
//! | `html` | null | an HTML page as the body |
//! | `headers` | {} | additional headers |
//! | `apply` | false | with `status`: the request is applied, although the response hides it |
//! | `reset` | false | the connection is reset, nothing is applied |
//! | `reset_after_apply` | false | the request is applied, then the connection is reset |
//! | `delay_ms` | 0 | delay of the response after the request was applied |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::request_log::REQUEST_KINDS;

/// One scripted response.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScriptedResponse {
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

impl Default for ScriptedResponse {
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

impl ScriptedResponse {
    /// Checks the kind and the status.
    ///
    /// # Errors
    /// One of them is invalid.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.kind != "any" && !REQUEST_KINDS.contains(&self.kind.as_str()) {
            return Err(format!(
                "unknown kind `{}`; known kinds: any, {}",
                self.kind,
                REQUEST_KINDS.join(", ")
            ));
        }
        match self.status {
            Some(status) if !(200..=599).contains(&status) => {
                Err("`status` must be from 200 to 599".to_owned())
            }
            _ => Ok(()),
        }
    }
}

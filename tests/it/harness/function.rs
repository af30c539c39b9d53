//! The Lambda handler in the test's own process, where the clock can be set.

use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use masshook::lambda::Function;
use serde_json::Value;
use serde_json::value::to_raw_value;

/// Invokes the handler with an event; returns its answer, or the error that Lambda would report.
pub(crate) async fn invoke(function: &Function, event: &Value) -> Result<Value, Diagnostic> {
    let payload = to_raw_value(event).expect("JSON");
    let answer = function.invoke(LambdaEvent::new(payload, Context::default()));
    Ok(serde_json::from_str(answer.await?.get()).expect("JSON"))
}

//! The callbacks, as `webhooks` of the document.

use serde_json::{Value, json};

use super::schemas::Schemas;
use crate::job::{CloudEventBody, NotificationBody};

/// The webhooks.
pub(super) fn webhooks(schemas: &mut Schemas) -> Value {
    let body = schemas.of_response(|generator| generator.subschema_for::<NotificationBody>());
    let event = schemas.of_response(|generator| generator.subschema_for::<CloudEventBody>());
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": true, "description": description, "schema": schema });
    json!({
        "jobStatus": {
            "post": {
                "operationId": "receiveJobStatus",
                "summary": "Receive the status of a job",
                "description": "Sent when a job has finished and, with `callback_on`, before. Signed as Standard Webhooks asks: verify `webhook-signature` over the raw body.",
                "tags": ["callbacks"],
                "security": [],
                "parameters": [
                    header("webhook-id", "The id of the message, the same for every attempt.", json!({ "type": "string" })),
                    header("webhook-timestamp", "The time of this attempt, in seconds since 1970.", json!({ "type": "string", "pattern": "^[0-9]+$" })),
                    header("webhook-signature", "The signatures, separated by spaces: `v1,` and an HMAC, `v1a,` and an Ed25519 signature.", json!({ "type": "string" })),
                ],
                "requestBody": {
                    "required": true,
                    "content": {
                        "application/json": { "schema": body },
                        "application/cloudevents+json": { "schema": event },
                    },
                },
                "responses": {
                    "2XX": { "description": "The callback is received." },
                    "410": { "description": "The receiver wants no more callbacks of this job." },
                    "default": { "description": "The callback is sent again later: ten attempts over three days. `Retry-After` is respected." },
                },
            },
        },
    })
}

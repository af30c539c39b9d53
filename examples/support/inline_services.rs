//! What surrounds the inline function in its benchmark: the event, the config, Zoho and Secrets Manager.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::stand_in::{StandInAnswer, StandInRequest};

/// The secret with which the sender signs.
const SENDER_SECRET: &str = "sender-secret-of-the-benchmark";

/// An HTTP API event with a signed delivery for one record.
pub(crate) fn event(number: usize) -> String {
    let body = json!({
        "event_id": format!("event-{number}"),
        "ids": [(4_876_876_000_000_624_001_u64 + number as u64).to_string()],
    });
    let body = body.to_string();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SENDER_SECRET.as_bytes()).expect("a key of any length");
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", STANDARD.encode(mac.finalize().into_bytes()));
    json!({
        "version": "2.0",
        "routeKey": "POST /hooks/{route}",
        "rawPath": "/hooks/form",
        "rawQueryString": "",
        "headers": {
            "host": "hooks.example.com",
            "user-agent": "Typeform Webhooks",
            "accept": "*/*",
            "content-type": "application/json",
            "content-length": body.len().to_string(),
            "typeform-signature": signature,
            "x-forwarded-for": "203.0.113.9",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            "x-amzn-trace-id": "Root=1-6266b547-02df53cb2f1be55407e2f325",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": "hooks.example.com",
            "domainPrefix": "hooks",
            "http": {
                "method": "POST",
                "path": "/hooks/form",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "Typeform Webhooks",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /hooks/{route}",
            "stage": "$default",
            "time": "25/Apr/2026:14:50:47 +0000",
            "timeEpoch": 1_777_128_647_194_u64,
        },
        "body": body,
        "isBase64Encoded": false,
        "pathParameters": {"route": "form"},
    })
    .to_string()
}

/// The config of the masshook function.
pub(crate) fn config_text(zoho: SocketAddr, receiver: SocketAddr) -> String {
    format!(
        r#"
connections:
  default:
    credentials: secretsmanager:masshook/zoho
    accounts_url: http://{zoho}
    api_url: http://{zoho}
callbacks: {{ signing_secret: "secretsmanager:masshook/callbacks", allow_loopback: true }}
routes:
  form:
    verify: {{ scheme: typeform, secret: "secretsmanager:masshook/form" }}
    map: '{{module: "Leads", fields: {{Lead_Source: "Webinar"}}, ids: .ids}}'
    callback_url: http://{receiver}/zoho
"#
    )
}

/// Issues a token, lists fields, and answers mass updates of one record as Zoho does.
pub(crate) fn answer_as_zoho(request: &StandInRequest<'_>) -> StandInAnswer {
    if request.path.starts_with("/oauth/") {
        return StandInAnswer::json(json!({
            "access_token": "1000.0123456789abcdef0123456789abcdef.0123456789abcdef0123456789abcdef",
            "scope": "ZohoCRM.mass_update.UPDATE ZohoCRM.mass_update.READ",
            "api_domain": "https://www.zohoapis.com",
            "token_type": "Bearer",
            "expires_in": 3_600,
        }));
    }
    if request.path.starts_with("/crm/v7/settings/fields") {
        let field = json!({
            "api_name": "Lead_Source", "field_label": "Lead Source", "data_type": "text",
            "json_type": "string", "length": 120, "mass_update": true, "read_only": false,
            "field_read_only": false, "visible": true, "custom_field": false, "virtual_field": false,
            "operation_type": {"api_update": true, "api_create": true, "web_update": true, "web_create": true},
        });
        return StandInAnswer::json(json!({"fields": [field]}));
    }
    assert!(
        request.path.ends_with("/actions/mass_update"),
        "{}",
        request.path
    );
    let body: Value = serde_json::from_slice(request.body).expect("JSON");
    let user = json!({"name": "Patricia Boyle", "id": "4876876000000225013"});
    StandInAnswer::json(json!({"data": [{
        "code": "SUCCESS",
        "details": {
            "Modified_Time": "2026-11-24T10:00:00+00:00",
            "Modified_By": user,
            "Created_Time": "2026-11-01T10:00:00+00:00",
            "id": body["ids"][0],
            "Created_By": user,
        },
        "message": "record updated",
        "status": "success",
    }]}))
}

/// Answers `GetSecretValue` for the secrets of [`config_text`].
pub(crate) fn answer_as_secrets_manager(request: &StandInRequest<'_>) -> StandInAnswer {
    let body: Value = serde_json::from_slice(request.body).expect("JSON");
    let name = body["SecretId"].as_str().expect("a secret's name");
    let value = match name {
        "masshook/zoho" => json!({
            "client_id": "1000.CLIENT",
            "client_secret": "client-secret",
            "refresh_token": "1000.refresh",
        })
        .to_string(),
        "masshook/callbacks" => "whsec_dGhlIGJlbmNobWFyaydzIG93biBjYWxsYmFjayBrZXk=".to_owned(),
        "masshook/form" => SENDER_SECRET.to_owned(),
        _ => panic!("no secret {name}"),
    };
    StandInAnswer {
        headers: "content-type: application/x-amz-json-1.1\r\n".to_owned(),
        ..StandInAnswer::json(json!({
            "ARN": format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf"),
            "Name": name,
            "VersionId": "01234567-89ab-cdef-0123-456789abcdef",
            "SecretString": value,
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": 1_777_128_647.1,
        }))
    }
}

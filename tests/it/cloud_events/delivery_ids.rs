//! Which id a CloudEvent in binary mode has, if its signature does not cover the headers of the event.

use std::fmt::Write as _;

use masshook::clock::Clock as _;
use serde_json::{Value, json};
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{OutgoingWebhook, sign};

use crate::harness::{Answer, Harness, Request, SENDER_SECRET, World};

/// A secret of Standard Webhooks.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A world with a route for each kind of signature.
async fn world(folder: &tempfile::TempDir) -> World {
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).expect("written");
    let file = file.display();
    let custom = "type: hmac, algorithm: sha256, signature: { header: x-signature, encoding: hex }";
    let mut routes = String::new();
    for (name, verify) in [
        (
            "signed_id",
            format!("{{ scheme: standard-webhooks, secret: 'file:{file}' }}"),
        ),
        (
            "body_only",
            format!(
                "{{ scheme: custom, secret: secretsmanager:sender, {custom}, signed: '{{body}}' }}"
            ),
        ),
        (
            "headers",
            format!(
                "{{ scheme: custom, secret: secretsmanager:sender, {custom}, signed: '{{header:ce-source}}.{{header:ce-id}}.{{body}}' }}"
            ),
        ),
    ] {
        write!(
            routes,
            "  {name}:\n    verify: {verify}\n    cloudevents: {{}}\n    map: '{{module: \"Leads\", fields: {{Lead_Source: \"Webinar\"}}, ids: .ids}}'\n"
        )
        .expect("written");
    }
    Harness::new().routes(&routes).start().await
}

/// The body of an event in binary mode.
fn binary(route: &str, id: &str, body: &Value) -> Request {
    Request::json(&format!("/hooks/{route}"), body.to_string())
        .with("ce-specversion", "1.0")
        .with("ce-id", id)
        .with("ce-source", "/shop")
        .with("ce-type", "t")
}

#[tokio::test]
async fn signed_id_identifies_binary_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(&folder).await;
    let body = json!({"ids": [world.lead(3)]});
    let at = world.clock.now();
    let mut outgoing = OutgoingWebhook::new("msg_1", body.to_string());
    let scheme = Scheme::preset("standard-webhooks").expect("a preset");
    sign(&scheme, &[SECRET.to_owned().into()], at, &mut outgoing).expect("signed");
    let send = async |id: &str| -> Answer {
        let headers = outgoing.headers.iter();
        let request = headers.fold(binary("signed_id", id, &body), |request, (name, value)| {
            request.with(name.as_str(), value.to_str().expect("a text"))
        });
        world.send(request).await
    };
    let first = send("1").await;
    assert_eq!(first.status, 200, "{first:?}");
    // Anyone who has seen the request can change the headers of the event, but not the signed id.
    let replayed = send("2").await;
    assert_eq!(replayed.job_id(), first.job_id());
    assert_eq!(world.count("mass_update_post").await, 1);
}

#[tokio::test]
async fn covered_headers_identify_binary_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(&folder).await;
    let body = json!({"ids": [world.lead(3)]});
    let signed = |prefix: &str| {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let key = SENDER_SECRET.as_bytes();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("a key");
        mac.update(format!("{prefix}{body}").as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    let send = async |route: &str, id: &str, signature: String| -> Answer {
        let request = binary(route, id, &body).with("x-signature", signature);
        world.send(request).await
    };
    let first = send("headers", "1", signed("/shop.1.")).await;
    assert_eq!(first.status, 200, "{first:?}");
    let changed = send("headers", "2", signed("/shop.1.")).await;
    assert_eq!(changed.status, 401, "{changed:?}");
    let second = send("headers", "2", signed("/shop.2.")).await;
    assert_ne!(second.job_id(), first.job_id());
    // Without a signed id, the event's own is all there is; `check` says so.
    let first = send("body_only", "1", signed("")).await;
    let second = send("body_only", "2", signed("")).await;
    assert_ne!(second.job_id(), first.job_id());
}

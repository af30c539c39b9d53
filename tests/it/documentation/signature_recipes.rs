//! The ten recipes of docs/signatures.md: a delivery that is signed here, without a scheme, is verified by the recipe, and a
//! forged one is not.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use masshook::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use super::blocks::blocks;
use super::text;

const KEY: &str = "the key of the sender";

const BODY: &str =
    r#"{"event_id":"e1","id":"WH-1","action":{"id":"a1"},"event":"invitee.created"}"#;

fn hmac(message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha1(message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// CRC-32 as in PNG and PayPal's deliveries.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(!0, byte)
}

/// A delivery: headers and body.
struct Signed {
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Signed {
    fn new(headers: Vec<(&'static str, String)>) -> Self {
        Self {
            headers,
            body: BODY.to_owned(),
        }
    }

    /// As the event of an HTTP API.
    fn event(&self, route: &str) -> Value {
        let path = format!("/hooks/{route}");
        let headers = self.headers.iter();
        let headers: serde_json::Map<String, Value> = headers
            .map(|(name, value)| (name.to_lowercase(), json!(value)))
            .chain([("content-type".to_owned(), json!("application/json"))])
            .collect();
        json!({"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": headers, "body": self.body,
            "requestContext": {"stage": "$default", "http": {"method": "POST", "path": path}}})
    }
}

/// Signs a delivery as the sender documents it.
fn sign(sender: &str, paypal: &RsaKeyPair) -> Signed {
    let now = SystemClock.now();
    let seconds = now.as_second();
    match sender {
        "calendly" => {
            let signature = hex::encode(hmac(&format!("{seconds}.{BODY}")));
            let header = format!("t={seconds},v1={signature}");
            Signed::new(vec![("Calendly-Webhook-Signature", header)])
        }
        "square" => {
            let signed = format!("https://hooks.example.com/hooks/square{BODY}");
            Signed::new(vec![(
                "x-square-hmacsha256-signature",
                STANDARD.encode(hmac(&signed)),
            )])
        }
        "zoom" => {
            let signature = hex::encode(hmac(&format!("v0:{seconds}:{BODY}")));
            Signed::new(vec![
                ("x-zm-signature", format!("v0={signature}")),
                ("x-zm-request-timestamp", seconds.to_string()),
            ])
        }
        "line" => Signed::new(vec![("x-line-signature", STANDARD.encode(hmac(BODY)))]),
        "mailgun" => {
            let signature = hex::encode(hmac(&format!("{seconds}token1")));
            let body = json!({"signature": {"timestamp": seconds.to_string(), "token": "token1", "signature": signature},
                "event-data": {"event": "opened"}});
            Signed {
                headers: Vec::new(),
                body: body.to_string(),
            }
        }
        "paypal" => {
            let time = format!("{now:.0}");
            let signed = format!("tid-1|{time}|1JE4291016473214C|{}", crc32(BODY.as_bytes()));
            let mut signature = vec![0; paypal.public_modulus_len()];
            paypal
                .sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    signed.as_bytes(),
                    &mut signature,
                )
                .expect("signed");
            Signed::new(vec![
                ("PAYPAL-TRANSMISSION-ID", "tid-1".to_owned()),
                ("PAYPAL-TRANSMISSION-TIME", time),
                ("PAYPAL-TRANSMISSION-SIG", STANDARD.encode(signature)),
            ])
        }
        "docusign" => Signed::new(vec![
            ("X-DocuSign-Signature-1", STANDARD.encode([7_u8; 32])),
            ("X-DocuSign-Signature-2", STANDARD.encode(hmac(BODY))),
        ]),
        "trello" => {
            let signed = format!("{BODY}https://hooks.example.com/hooks/trello");
            Signed::new(vec![(
                "x-trello-webhook",
                STANDARD.encode(hmac_sha1(&signed)),
            )])
        }
        "webflow" => {
            let time = now.as_millisecond();
            let signature = hex::encode(hmac(&format!("{time}:{BODY}")));
            Signed::new(vec![
                ("x-webflow-signature", signature),
                ("x-webflow-timestamp", time.to_string()),
            ])
        }
        "woocommerce" => Signed::new(vec![
            ("X-WC-Webhook-Signature", STANDARD.encode(hmac(BODY))),
            ("X-WC-Webhook-Delivery-ID", "d1".to_owned()),
        ]),
        other => panic!("docs/signatures.md has a recipe for {other}: sign it here"),
    }
}

/// Runs `masshook preview` on an event; returns whether the signature is verified.
fn is_verified(folder: &Path, event: &Value) -> bool {
    std::fs::write(folder.join("event.json"), event.to_string()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.args(["preview", "event.json"]).current_dir(folder);
    for variable in [
        "CALENDLY_SIGNING_KEY",
        "SQUARE_SIGNATURE_KEY",
        "ZOOM_SECRET_TOKEN",
        "LINE_CHANNEL_SECRET",
        "MAILGUN_SIGNING_KEY",
        "DOCUSIGN_HMAC_KEY",
        "TRELLO_APP_SECRET",
        "WEBFLOW_SECRET",
        "WOOCOMMERCE_SECRET",
    ] {
        command.env(variable, KEY);
    }
    let output = command.output().expect("it runs");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(said).expect("text");
    assert!(!said.contains("not verified"), "{said}");
    said.contains("signature  verified: ")
}

#[test]
fn recipes_verify_what_their_senders_sign() {
    let page = text("docs/signatures.md");
    let (_, section) = page.split_once("\n## Ten recipes\n").expect("the recipes");
    let section = section.split("\n## ").next().unwrap_or_default();
    let recipes = blocks(section, "yaml");
    assert_eq!(recipes.len(), 10);
    let paypal = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    for recipe in recipes {
        let name = recipe.trim().split(':').next().expect("a name").to_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let route = recipe.replace(
            "map: …",
            "map: '{module: \"Leads\", fields: {Rating: \"Active\"}, ids: [\"1\"]}'",
        );
        let config =
            format!("connections: {{ default: {{ credentials: env:ZOHO }} }}\nroutes:\n{route}");
        std::fs::write(folder.path().join("masshook.yaml"), config).expect("written");
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(paypal.public_key()).expect("a key");
        let pem = STANDARD.encode(public.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        std::fs::write(folder.path().join("paypal.pem"), pem).expect("written");
        let mut signed = sign(&name, &paypal);
        assert!(is_verified(folder.path(), &signed.event(&name)), "{name}");
        // What the signature covers is changed: the token of Mailgun, the body of all others.
        signed.body = match name.as_str() {
            "mailgun" => signed.body.replace("token1", "token2"),
            _ => signed.body.replace("invitee", "Invitee"),
        };
        assert!(
            !is_verified(folder.path(), &signed.event(&name)),
            "{name} forged"
        );
    }
}

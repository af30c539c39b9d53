//! Signs callbacks as [Standard Webhooks] asks. Pure: time and secrets are arguments.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;

use super::key::{BadSecret, SigningKey};

/// The header with the message's id, the same for every retry.
pub const ID: HeaderName = HeaderName::from_static("webhook-id");

/// The header with the time of this attempt, in whole seconds since 1970.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");

/// The header with the signatures.
pub const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Why a callback cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// There is no secret to sign with.
    #[error("no signing secret is configured for callbacks")]
    NoSecret,
    /// A secret is malformed.
    #[error("signing secret {position} of the callbacks cannot be used: {cause}")]
    Secret {
        /// Which of the secrets, from 1.
        position: usize,
        /// Why it cannot be used.
        cause: BadSecret,
    },
    /// The id would make the signed text ambiguous, or cannot stand in a header.
    #[error("the id of a callback must be printable ASCII without spaces and full stops")]
    Id,
}

/// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` for one attempt at delivering `body` at the
/// time `now`. While secrets rotate there is one signature for each, so that a receiver may hold either.
///
/// # Errors
/// If there is no secret, one is malformed, or the id is.
pub fn sign(
    secrets: &[SecretString],
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Result<HeaderMap, CannotSign> {
    // The specification forbids full stops: `a.1` + `.` + `2` and `a` + `.` + `1.2` must not be one text.
    let well_formed = id
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'.');
    if id.is_empty() || !well_formed {
        return Err(CannotSign::Id);
    }
    if secrets.is_empty() {
        return Err(CannotSign::NoSecret);
    }
    let time = now.as_second();
    let signed = [format!("{id}.{time}.").as_bytes(), body].concat();
    let mut signatures = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        let position = index + 1;
        let key =
            SigningKey::read(secret).map_err(|cause| CannotSign::Secret { position, cause })?;
        signatures.push(key.sign(&signed));
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| CannotSign::Id);
    Ok(HeaderMap::from_iter([
        (ID, value(id)?),
        (TIMESTAMP, HeaderValue::from(time)),
        (SIGNATURE, value(&signatures.join(" "))?),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use webhook_verify::scheme::Scheme;
    use webhook_verify::verify::{WebhookRequest, verify};

    const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    #[test]
    fn published_vectors_are_reproduced() {
        for (secret, id, time, body, expected) in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ] {
            let now = Timestamp::from_second(time).expect("a time");
            let headers = sign(&secrets(&[secret]), id, now, body.as_bytes()).expect("signed");
            assert_eq!(headers[ID], id);
            assert_eq!(headers[TIMESTAMP], time.to_string());
            assert_eq!(headers[SIGNATURE], expected);
            assert_eq!(headers.len(), 3);
        }
    }

    #[test]
    fn malformed_secret_is_reported_without_its_content() {
        let error = |text: &str| {
            sign(&secrets(&[GOOD, text]), "msg_1", NOW, b"")
                .expect_err("refused")
                .to_string()
        };
        insta::assert_snapshot!(error("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), @"signing secret 2 of the callbacks cannot be used: it must begin with `whsec_` (HMAC) or `whsk_` (Ed25519)");
        insta::assert_snapshot!(error("whsec_not base64"), @"signing secret 2 of the callbacks cannot be used: what follows `whsec_` is not base64");
        insta::assert_snapshot!(error("whsec_c2hvcnQ="), @"signing secret 2 of the callbacks cannot be used: its key has 5 bytes, but must have 24 to 64; `openssl rand -base64 32` makes a good one");
        assert_eq!(sign(&[], "msg_1", NOW, b""), Err(CannotSign::NoSecret));
        let of_length = |length: usize| {
            let text = format!("whsec_{}", STANDARD.encode(vec![7; length]));
            SigningKey::read(&SecretString::from(text)).map(drop)
        };
        assert_eq!(of_length(23), Err(BadSecret::KeyLength(23)));
        assert_eq!(of_length(24), Ok(()));
        assert_eq!(of_length(64), Ok(()));
        assert_eq!(of_length(65), Err(BadSecret::KeyLength(65)));
    }

    #[test]
    fn ambiguous_id_is_refused() {
        for id in ["", "a.b", "a b", "a\n", "ä"] {
            assert_eq!(
                sign(&secrets(&[GOOD]), id, NOW, b""),
                Err(CannotSign::Id),
                "{id:?}"
            );
        }
    }

    const GOOD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    proptest! {
        #[test]
        fn signature_matches_reference_and_is_verified(
            body in ".*",
            id in "[a-zA-Z0-9_-]{1,40}",
            keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 24..=64), 1..3),
        ) {
            let texts: Vec<String> = keys.iter().map(|key| format!("whsec_{}", STANDARD.encode(key))).collect();
            let secrets: Vec<SecretString> = texts.iter().map(|text| SecretString::from(text.as_str())).collect();
            let headers = sign(&secrets, &id, NOW, body.as_bytes()).expect("signed");
            let theirs: Vec<String> = texts
                .iter()
                .map(|text| {
                    let webhook = standardwebhooks::Webhook::new(text).expect("a webhook");
                    webhook.sign(&id, NOW.as_second(), body.as_bytes()).expect("signed")
                })
                .collect();
            prop_assert_eq!(headers[SIGNATURE].to_str().expect("text"), theirs.join(" "));
            let scheme = Scheme::preset("standard-webhooks").expect("a preset");
            for secret in secrets {
                let verified = verify(&scheme, &WebhookRequest::new(&headers, body.as_bytes()), &[secret], NOW).expect("verified");
                prop_assert_eq!(verified.delivery_id(), Some(id.as_str()));
            }
        }

        #[test]
        fn ed25519_signature_is_verified_beside_a_shared_secret(
            body in ".*",
            id in "[a-zA-Z0-9_-]{1,40}",
            seed in prop::collection::vec(any::<u8>(), 32),
        ) {
            let private = SecretString::from(format!("whsk_{}", STANDARD.encode(seed)));
            let key = SigningKey::read(&private).expect("a key");
            let public = SecretString::from(key.public_key().expect("a public key"));
            let secrets = [SecretString::from(GOOD), private];
            let headers = sign(&secrets, &id, NOW, body.as_bytes()).expect("signed");
            for (scheme, secret) in [("standard-webhooks-ed25519", public), ("standard-webhooks", GOOD.into())] {
                let scheme = Scheme::preset(scheme).expect("a preset");
                let request = WebhookRequest::new(&headers, body.as_bytes());
                let verified = verify(&scheme, &request, &[secret], NOW).expect("verified");
                prop_assert_eq!(verified.delivery_id(), Some(id.as_str()));
            }
        }
    }
}

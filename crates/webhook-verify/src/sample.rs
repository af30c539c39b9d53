//! Sample deliveries of each sender, from its documentation.

use http::{HeaderName, HeaderValue};

use super::verify::OutgoingWebhook;

/// A sample delivery of a preset, without a signature; for other schemes, form answers in JSON. `id` is the delivery id for
/// senders with a header for it.
pub fn sample(scheme: &str, id: &str) -> OutgoingWebhook {
    let (head, body) = text(scheme).split_once("\n\n").unwrap_or_default();
    let mut delivery = OutgoingWebhook::new(id, body);
    for line in head.lines() {
        let pair = line.split_once(": ").and_then(|(name, value)| {
            let name: HeaderName = name.parse().ok()?;
            let value: HeaderValue = value.parse().ok()?;
            Some((name, value))
        });
        // The samples are compiled in and a test reads them all, so each line is valid.
        delivery.headers.extend(pair);
    }
    delivery
}

fn text(scheme: &str) -> &'static str {
    match scheme {
        "adyen" => include_str!("../samples/adyen.http"),
        "adyen-platform" => include_str!("../samples/adyen-platform.http"),
        "asana" => include_str!("../samples/asana.http"),
        "aws-sns" => include_str!("../samples/aws-sns.http"),
        "discord" => include_str!("../samples/discord.http"),
        "dropbox" => include_str!("../samples/dropbox.http"),
        "formstack" | "formstack-key" => include_str!("../samples/formstack.http"),
        "github" | "github-sha1" => include_str!("../samples/github.http"),
        "gitlab" => include_str!("../samples/gitlab.http"),
        "google-forms" => include_str!("../samples/google-forms.http"),
        "gravity-forms" => include_str!("../samples/gravity-forms.http"),
        "hubspot" | "hubspot-v1" | "hubspot-v2" => include_str!("../samples/hubspot.http"),
        "intercom" => include_str!("../samples/intercom.http"),
        "jotform" => include_str!("../samples/jotform.http"),
        "mailchimp" => include_str!("../samples/mailchimp.http"),
        "meta" => include_str!("../samples/meta.http"),
        "microsoft-graph" => include_str!("../samples/microsoft-graph.http"),
        "netlify-forms" => include_str!("../samples/netlify-forms.http"),
        "notion" => include_str!("../samples/notion.http"),
        "paddle" => include_str!("../samples/paddle.http"),
        "pipedrive" => include_str!("../samples/pipedrive.http"),
        "salesforce-flow" => include_str!("../samples/salesforce-flow.http"),
        "salesforce-outbound" => include_str!("../samples/salesforce-outbound.http"),
        "segment" => include_str!("../samples/segment.http"),
        "shopify" => include_str!("../samples/shopify.http"),
        "slack" => include_str!("../samples/slack.http"),
        "standard-webhooks" | "standard-webhooks-ed25519" | "svix" => {
            include_str!("../samples/standard-webhooks.http")
        }
        "stripe" => include_str!("../samples/stripe.http"),
        "twilio" => include_str!("../samples/twilio.http"),
        "typeform" => include_str!("../samples/typeform.http"),
        "unbounce" => include_str!("../samples/unbounce.http"),
        "wpforms" => include_str!("../samples/wpforms.http"),
        "xero" => include_str!("../samples/xero.http"),
        "zoho-crm-notifications" => include_str!("../samples/zoho-crm-notifications.http"),
        "zoho-crm-workflow" | "zoho-crm-workflow-form" => {
            include_str!("../samples/zoho-crm-workflow.http")
        }
        "zoho-desk" => include_str!("../samples/zoho-desk.http"),
        "zoho-forms" => include_str!("../samples/zoho-forms.http"),
        "zoho-payments" => include_str!("../samples/zoho-payments.http"),
        _ => include_str!("../samples/any.http"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use secrecy::SecretString;

    use super::*;
    use crate::body::{Body, decode};
    use crate::scheme::{PRESETS, Scheme};
    use crate::verify::{SignError, Verification, VerifyError, WebhookRequest, sign, verify};

    const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

    /// Presets whose signing key only the sender has.
    const PRIVATE_KEY_REQUIRED: [&str; 4] = [
        "standard-webhooks-ed25519",
        "discord",
        "aws-sns",
        "zoho-desk",
    ];

    fn check(
        scheme: &Scheme,
        sent: &OutgoingWebhook,
        keys: &[SecretString],
    ) -> Result<Verification, VerifyError> {
        let url = sent.url().expect("a URL");
        let request = WebhookRequest::new(&sent.headers, &sent.body)
            .method(sent.method.as_str())
            .path(&sent.path)
            .query(&sent.query)
            .urls(std::slice::from_ref(&url));
        verify(scheme, &request, keys, NOW)
    }

    #[test]
    fn sample_of_each_preset_signs_and_verifies() {
        let keys = [SecretString::from("00112233445566778899aabbccddeeff")];
        let other = [SecretString::from("ffeeddccbbaa99887766554433221100")];
        let mut unsigned = Vec::new();
        for name in PRESETS {
            let mut scheme = Scheme::preset(name).expect("a preset");
            let params = scheme.needed_params();
            let params: BTreeMap<_, _> = params.into_iter().map(|key| (key, "1".into())).collect();
            scheme.set_params(params).expect("params");
            let mut delivery = sample(name, "id-17");
            let content_type = delivery.headers["content-type"].to_str().expect("text");
            match decode(Some(content_type), &delivery.body) {
                Ok(Body::Json(text)) => {
                    serde_json::from_slice::<serde_json::Value>(text).expect(name);
                }
                Ok(Body::Tree(tree)) => {
                    assert!(tree.as_object().is_some_and(|map| !map.is_empty()))
                }
                // Amazon SNS sends JSON as text/plain.
                Err(error) => panic!("{name}: {error}"),
            }
            delivery.public_url = Some("https://hooks.example.com/hooks/r".to_owned());
            delivery.replace_delivery_id(&scheme).expect(name);
            match sign(&scheme, &keys, NOW, &mut delivery) {
                Ok(()) => {}
                Err(SignError::PrivateKeyRequired(_)) => {
                    unsigned.push(*name);
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            }
            let verified = check(&scheme, &delivery, &keys);
            let verified = verified.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(check(&scheme, &delivery, &other).is_err(), "{name}");
            // The ids of batches do not change.
            if let Some(id) = verified.delivery_id().filter(|id| !id.starts_with('[')) {
                let numeric = id.bytes().all(|byte| byte.is_ascii_digit());
                assert!(id == "id-17" || numeric, "{name}: {id}");
            }
        }
        assert_eq!(unsigned, PRIVATE_KEY_REQUIRED);
    }
}

//! The presets: records in the same format as custom ones, compiled in from data files.

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        /// The names for [`Scheme::preset`](super::Scheme::preset).
        pub const PRESETS: &[&str] = &[$($name),+];

        pub(super) fn preset_text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../../schemes/", $name, ".yaml"))),)+
                _ => None,
            }
        }
    };
}

presets!(
    "standard-webhooks",
    "standard-webhooks-ed25519",
    "svix",
    "stripe",
    "github",
    "github-sha1",
    "gitlab",
    "shopify",
    "typeform",
    "slack",
    "discord",
    "paddle",
    "twilio",
    "hubspot",
    "hubspot-v2",
    "hubspot-v1",
    "intercom",
    "pipedrive",
    "segment",
    "asana",
    "notion",
    "xero",
    "meta",
    "dropbox",
    "mailchimp",
    "microsoft-graph",
    "adyen",
    "adyen-platform",
    "aws-sns",
    "netlify-forms",
    "formstack",
    "formstack-key",
    "google-forms",
    "gravity-forms",
    "jotform",
    "unbounce",
    "wpforms",
    "salesforce-outbound",
    "salesforce-flow",
    "zoho-crm-notifications",
    "zoho-crm-workflow",
    "zoho-crm-workflow-form",
    "zoho-desk",
    "zoho-forms",
    "zoho-payments",
    "token",
    "bearer",
    "basic",
);

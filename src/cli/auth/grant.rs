//! Obtains credentials from Zoho, and checks the token response that verified them.

use std::collections::BTreeSet;

use crate::cli::finding::{Finding, Severity};
use crate::cli::scopes::check_scopes;
use crate::config::Scope;
use crate::zoho::credentials::{Credentials, GrantCode};
use crate::zoho::data_center::ApiBase;
use crate::zoho::token::TokenGrant;
use crate::zoho::{Client, Connection};

/// Credentials and the token response that verified them.
pub(super) type Obtained = (Credentials, TokenGrant);

/// Exchanges a grant code for a refresh token, and verifies that the refresh token works.
pub(super) async fn exchange_code(
    client: &Client,
    code: GrantCode,
    findings: &mut Vec<Finding>,
) -> Option<Obtained> {
    let mut granted = match client.grant(code.form()).await {
        Ok(granted) => granted,
        Err(failed) => {
            findings.push(Finding::from_call("grant code", Err(failed)));
            return None;
        }
    };
    let Some(refresh_token) = granted.refresh.take() else {
        let message = "Zoho returned NO REFRESH TOKEN, so access would end within the hour; nothing was saved. Generate the code as a self client, or with access_type=offline and prompt=consent";
        findings.push(Finding::new(
            "grant code",
            Severity::Bad,
            message.to_owned(),
        ));
        return None;
    };
    let message = "exchanged for a refresh token".to_owned();
    findings.push(Finding::new("grant code", Severity::Ok, message));
    let credentials = code.into_credentials(refresh_token);
    let refreshed = client.grant(credentials.form()).await;
    // A temporary failure here does not invalidate the refresh token, so it is saved anyway.
    let is_refused = matches!(&refreshed, Err(error) if error.retry_after().is_none());
    let outcome = refreshed.map(|refreshed| (Severity::Ok, lifetime(&refreshed)));
    findings.push(Finding::from_call("refresh", outcome));
    (!is_refused).then_some((credentials, granted))
}

/// Verifies that client credentials obtain an access token.
pub(super) async fn verify_client_credentials(
    client: &Client,
    credentials: Credentials,
    findings: &mut Vec<Finding>,
) -> Option<Obtained> {
    match client.grant(credentials.form()).await {
        Ok(granted) => {
            findings.push(Finding::new("token", Severity::Ok, lifetime(&granted)));
            Some((credentials, granted))
        }
        Err(failed) => {
            findings.push(Finding::from_call("token", Err(failed)));
            None
        }
    }
}

fn lifetime(granted: &TokenGrant) -> String {
    format!(
        "obtained an access token for {} s",
        granted.lifetime.as_secs()
    )
}

pub(super) fn scope_findings(scopes: &[Scope], granted: &TokenGrant) -> Vec<Finding> {
    match &granted.scopes {
        // The modules that routes update are unknown here.
        Some(granted) => check_scopes(scopes, granted, &BTreeSet::new()),
        None => {
            let message =
                "Zoho does not report the granted scopes; `masshook check --live` tests them";
            vec![Finding::new("scopes", Severity::Note, message.to_owned())]
        }
    }
}

/// Compares the data centre that the token response names with the connection's.
pub(super) fn data_center_finding(
    connection: &Connection,
    granted: &TokenGrant,
) -> Option<Finding> {
    let named = granted.api_domain.as_deref()?;
    let (severity, message) = match ApiBase::named(named, connection.environment) {
        Ok(api) => match api.data_center()? {
            center if center == connection.data_center => (Severity::Ok, center.to_string()),
            center => (
                Severity::Note,
                format!(
                    "the token is for {center}, but the connection is for {}: set `data_center: {center}` there",
                    connection.data_center
                ),
            ),
        },
        // The config overrides Zoho's URLs, so the named host is not used.
        Err(_) if connection.accounts_url.is_some() || connection.api_url.is_some() => return None,
        Err(foreign) => (Severity::Bad, foreign.to_string()),
    };
    Some(Finding::new("data centre", severity, message))
}

//! Target of the parsers of Zoho's answers. The input is a line with the status, a line with record ids, and the body.

use masshook::secrets::SecretRef;
use masshook::update::RecordId;
use masshook::zoho::Error;
use masshook::zoho::answer::{self, RawAnswer, UpdateAnswer, ZohoJobStatus};
use masshook::zoho::credentials::Credentials;
use masshook::zoho::data_center::{ApiBase, Environment};
use masshook::zoho::token;

/// Parses the body as each kind of answer, and asserts that the result contains only what the body contains.
pub fn run(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(status), Some(ids)) = (line(), line()) else {
        return;
    };
    let Ok(status @ 100..=599) = status.parse::<u16>() else {
        return;
    };
    let mut ids: Vec<RecordId> = ids.split(' ').filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    let body = lines.next().unwrap_or_default();
    let raw = RawAnswer::new(status, body);
    match answer::mass_update(&raw, &ids) {
        Ok(UpdateAnswer::Settled(failures)) => {
            assert!(!ids.is_empty() && failures.len() <= ids.len());
            let failed: Vec<RecordId> = failures.iter().map(|failure| failure.id).collect();
            assert!(failed.is_sorted() && failed.windows(2).all(|pair| pair[0] != pair[1]));
            assert!(failed.iter().all(|id| ids.contains(id)));
        }
        Ok(UpdateAnswer::Accepted { zoho_job_id }) => {
            assert!(ids.is_empty());
            assert!(!zoho_job_id.is_empty());
        }
        Ok(UpdateAnswer::Upserted(_)) => panic!("the answer to another call"),
        Err(error) => assert_code(&error),
    }
    match answer::upsert(&raw, ids.len(), "Email") {
        Ok(UpdateAnswer::Upserted(rows)) => {
            assert!(!rows.is_empty() && rows.len() == ids.len());
            assert!(
                rows.iter()
                    .all(|row| row.id().is_some() != row.code().is_some())
            );
        }
        Ok(UpdateAnswer::Settled(_) | UpdateAnswer::Accepted { .. }) => {
            panic!("the answer to another call")
        }
        Err(error) => assert_code(&error),
    }
    match answer::job_status(&raw, "554023000000506003") {
        Ok(ZohoJobStatus::Running(_) | ZohoJobStatus::Ended { .. } | ZohoJobStatus::Unknown) => {}
        Err(error) => assert_code(&error),
    }
    match token::parse_grant(status, body) {
        Ok(granted) => {
            let lifetime = jiff::SignedDuration::try_from(granted.lifetime).expect("a time span");
            assert!(lifetime.as_secs() >= 60);
            if let Some(domain) = &granted.api_domain
                && let Ok(base) = ApiBase::named(domain, Environment::Production)
            {
                assert!(base.join("/crm").starts_with("https://"));
            }
        }
        Err(error) => {
            assert_code(&error);
            assert!(matches!(error, Error::RetryLater(..) | Error::Denied(_)));
            assert!(error.retry_after().is_none_or(|wait| !wait.is_zero()));
        }
    }
    if let Ok(text) = std::str::from_utf8(body) {
        let secret = secrecy::SecretString::from(text);
        let shown = format!("{:?}", Credentials::parse(&secret));
        assert!(shown.len() < 1_000, "{} bytes", shown.len());
        if let Ok(reference) = text.parse::<SecretRef>() {
            assert_eq!(reference.to_string().parse().ok(), Some(reference));
        }
    }
}

fn assert_code(error: &Error) {
    assert!(!error.refusal().code.is_empty());
}

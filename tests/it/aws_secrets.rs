//! Secrets Manager and Parameter Store over the wire.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_ssm::types::ParameterType;
use axum::Router;
use axum::http::StatusCode;
use masshook::aws::secrets::{SecretError, SecretsManager};
use masshook::clock::SystemClock;
use masshook::secrets::{SecretRef, Secrets};
use secrecy::ExposeSecret;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::harness::{Moto, REGION, free_port, sdk_config};

const VALUE: &str = r#"{"client_id":"1000.ABC","client_secret":"top-secret-é"}"#;

fn manager() -> SecretsManager {
    SecretsManager::with_config(Moto::shared().sdk_config())
}

#[tokio::test]
async fn secret_is_found_by_name_and_by_arn() {
    let name = "masshook/by-name-and-arn";
    let arn = Moto::shared().create_secret(name, VALUE).await;
    assert!(arn.starts_with("arn:aws:secretsmanager:"), "{arn}");
    let manager = manager();
    for id in [name, arn.as_str()] {
        let secret = manager.get(id).await.expect("the secret");
        assert_eq!(secret.expose_secret(), VALUE, "by {id}");
    }
    let shown = format!("{manager:?} {:?}", manager.get(name).await);
    assert!(!shown.contains("top-secret"), "{shown}");
}

#[tokio::test]
async fn rotated_secret_is_read_again() {
    let name = "masshook/rotated";
    Moto::shared().create_secret(name, "first").await;
    let manager = manager();
    assert_eq!(
        manager.get(name).await.expect("the secret").expose_secret(),
        "first"
    );
    let client = Client::new(&Moto::shared().sdk_config());
    let rotated = client
        .put_secret_value()
        .secret_id(name)
        .secret_string("second")
        .send()
        .await;
    rotated.expect("moto takes the new value");
    assert_eq!(
        manager.get(name).await.expect("the secret").expose_secret(),
        "second"
    );
}

#[tokio::test]
async fn binary_secret_must_be_utf8() {
    let client = Client::new(&Moto::shared().sdk_config());
    for (name, bytes) in [
        ("masshook/binary-text", VALUE.as_bytes()),
        ("masshook/binary", b"top-secret\xff\xfe".as_slice()),
    ] {
        let created = client
            .create_secret()
            .name(name)
            .secret_binary(Blob::new(bytes))
            .send()
            .await;
        created.expect("moto takes a binary secret");
    }
    let manager = manager();
    let text = manager
        .get("masshook/binary-text")
        .await
        .expect("the secret");
    assert_eq!(text.expose_secret(), VALUE);
    let error = manager.get("masshook/binary").await.expect_err("not text");
    assert_eq!(
        error.to_string(),
        "secretsmanager:masshook/binary cannot be used: it is binary and not UTF-8; store it as text"
    );
    assert!(!format!("{error:?}").contains("top-secret"));
}

#[tokio::test]
async fn missing_secret_error_names_the_cure() {
    let manager = manager();
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:masshook/none-AbCdEf";
    for id in ["masshook/none", arn] {
        let error = manager.get(id).await.expect_err("no such secret");
        let expected = SecretError::NotFound {
            id: id.to_owned(),
            region: REGION.to_owned(),
        };
        assert_eq!(error, expected);
        assert!(!error.is_retryable());
        let message = error.to_string();
        assert!(
            message.starts_with(&format!(
                "secretsmanager:{id} was not found in eu-west-1: create it"
            )),
            "{message}"
        );
    }
}

#[tokio::test]
async fn deleted_secret_error_hides_the_value() {
    let name = "masshook/deleted";
    Moto::shared().create_secret(name, VALUE).await;
    let client = Client::new(&Moto::shared().sdk_config());
    client
        .delete_secret()
        .secret_id(name)
        .send()
        .await
        .expect("moto deletes it");
    let error = manager().get(name).await.expect_err("a deleted secret");
    assert!(matches!(error, SecretError::Invalid { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("marked for deletion; restore it"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("top-secret"));
}

#[tokio::test]
async fn unreachable_secrets_manager_is_retryable() {
    let unreachable =
        SecretsManager::with_config(sdk_config(&format!("http://127.0.0.1:{}", free_port())));
    let error = unreachable
        .get("masshook/zoho")
        .await
        .expect_err("no listener");
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("try again"), "{error}");
}

/// Starts a server that answers every request with one AWS error; returns its URL and its task.
async fn refusing(status: u16, code: &str) -> (String, JoinHandle<std::io::Result<()>>) {
    let status = StatusCode::from_u16(status).expect("an HTTP status");
    let body = json!({"__type": code, "message": "about top-secret"}).to_string();
    let app = Router::new().fallback(move || std::future::ready((status, body.clone())));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("a bound listener");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), server)
}

#[tokio::test]
async fn aws_error_codes_map_to_error_variants() {
    let cases = [
        (400, "AccessDeniedException", "denied"),
        (400, "UnrecognizedClientException", "denied"),
        (400, "ExpiredTokenException", "denied"),
        (400, "DecryptionFailure", "denied"),
        (400, "InvalidParameterException", "invalid"),
        (400, "InvalidRequestException", "invalid"),
        (400, "ThrottlingException", "unavailable"),
        (500, "InternalServiceError", "unavailable"),
        (503, "", "unavailable"),
    ];
    for (status, code, expected) in cases {
        let (url, server) = refusing(status, code).await;
        let manager = SecretsManager::with_config(sdk_config(&url));
        let error = manager.get("masshook/zoho").await.expect_err("a refusal");
        server.abort();
        let found = match error {
            SecretError::NotFound { .. } => "not found",
            SecretError::AccessDenied { .. } => "denied",
            SecretError::Unavailable { .. } => "unavailable",
            SecretError::Invalid { .. } => "invalid",
        };
        assert_eq!(found, expected, "{status} {code}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("masshook/zoho"), "{shown}");
        assert!(
            !shown.contains("top-secret"),
            "AWS's message stays out: {shown}"
        );
    }
}

#[tokio::test]
async fn missing_region_or_credentials_are_named() {
    let full = Moto::shared().sdk_config();
    let lost = SecretsManager::with_config(full.to_builder().region(None).build());
    let error = lost.get("masshook/zoho").await.expect_err("no region");
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");

    let mut unreachable = full.to_builder();
    unreachable.set_credentials_provider(None);
    let unreachable = SecretsManager::with_config(unreachable.build());
    let error = unreachable
        .get("masshook/zoho")
        .await
        .expect_err("no credentials");
    assert!(
        matches!(error, SecretError::AccessDenied { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("AWS credentials"), "{error}");
}

/// Resolves a secret reference at the AWS endpoint `url`.
async fn resolved(url: &str, reference: &str) -> Result<String, masshook::secrets::SecretError> {
    let manager = SecretsManager::with_config(sdk_config(url));
    let secrets = Secrets::new(Arc::new(SystemClock), Arc::new(manager));
    let reference: SecretRef = reference.parse().expect("a reference");
    let secret = secrets.get(&reference).await?;
    Ok(secret.expose_secret().to_owned())
}

#[tokio::test]
async fn only_encrypted_parameter_is_accepted_as_secret() {
    let moto = Moto::shared();
    for (name, kind) in [
        ("/masshook/sealed", ParameterType::SecureString),
        ("/masshook/open", ParameterType::String),
        ("/masshook/list", ParameterType::StringList),
    ] {
        moto.create_parameter(name, kind, VALUE).await;
    }
    let of = async |reference: &str| resolved(&moto.url(), reference).await;
    assert_eq!(of("ssm:/masshook/sealed").await.expect("a secret"), VALUE);
    let key = of("ssm:/masshook/sealed#client_secret").await;
    assert_eq!(key.expect("a key"), "top-secret-é");
    for (reference, why) in [
        (
            "ssm:/masshook/open",
            "it is a String, which is not encrypted: store it as a SecureString",
        ),
        ("ssm:/masshook/list", "it is a StringList"),
        (
            "ssm:/masshook/nowhere",
            "there is no such parameter in eu-west-1: create it as a SecureString",
        ),
    ] {
        let error = of(reference).await.expect_err("no secret");
        assert!(
            matches!(error, masshook::secrets::SecretError::Unavailable { .. }),
            "{error:?}"
        );
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(reference) && shown.contains(why), "{shown}");
        assert!(!shown.contains("top-secret"), "{shown}");
    }
}

#[tokio::test]
async fn parameter_store_errors_state_retryability() {
    for (status, code, passes) in [
        (400, "AccessDeniedException", false),
        (400, "InvalidKeyId", false),
        (400, "ValidationException", false),
        (400, "ThrottlingException", true),
        (500, "InternalServerError", true),
    ] {
        let (url, server) = refusing(status, code).await;
        let error = resolved(&url, "ssm:/masshook/zoho").await;
        server.abort();
        let error = error.expect_err("a refusal");
        let later = matches!(error, masshook::secrets::SecretError::Later { .. });
        assert_eq!(later, passes, "{status} {code}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("ssm:/masshook/zoho"), "{shown}");
        assert!(!shown.contains("top-secret"), "{shown}");
    }
}

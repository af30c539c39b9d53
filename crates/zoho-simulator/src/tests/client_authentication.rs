//! How a client sends its parameters and credentials to the accounts server.

use serde_json::json;

use super::harness::{TestBench, TestResponse};

/// Whether the CRM accepts an access token.
async fn is_accepted(bench: &TestBench, token: &str) -> bool {
    let request = bench.request("GET", "/crm/v7/org");
    let request = request.header("authorization", format!("Zoho-oauthtoken {token}"));
    request.send().await.unwrap().status() == 200
}

/// The body of a `multipart/form-data` request.
fn multipart(form: &[(String, String)]) -> String {
    let part = |(name, value): &(String, String)| {
        format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts: String = form.iter().map(part).collect();
    format!("{parts}--BOUNDARY--\r\n")
}

#[tokio::test]
async fn token_and_revoke_accept_multipart_and_basic() {
    let bench = TestBench::new().await;
    let grant = bench.grant();
    let post = async |path: &str, form: &[(String, String)], basic: Option<(&str, &str)>| {
        let mut request = bench
            .request("POST", path)
            .header("content-type", "multipart/form-data; boundary=BOUNDARY")
            .body(multipart(form));
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        TestResponse::read(request.send().await.unwrap()).await
    };
    let value = |name: &str| {
        let found = grant.iter().find(|(key, _)| key == name);
        found.unwrap().1.clone()
    };
    let response = post("/oauth/v2/token", &grant, None).await;
    assert!(response.json["access_token"].is_string(), "{response:?}");
    // The client in the header, with either body.
    let (id, secret) = (value("client_id"), value("client_secret"));
    let without_client: Vec<(String, String)> = grant
        .iter()
        .filter(|(name, _)| !name.starts_with("client_"))
        .cloned()
        .collect();
    let response = post("/oauth/v2/token", &without_client, Some((&id, &secret))).await;
    let access = response.json["access_token"].as_str().unwrap().to_owned();
    for (basic, error) in [
        (None, "invalid_client"),
        (Some((id.as_str(), "wrong")), "invalid_client_secret"),
        (Some(("wrong", secret.as_str())), "invalid_client"),
    ] {
        let response = post("/oauth/v2/token", &without_client, basic).await;
        assert_eq!(response.json["error"], error);
    }
    let token = [("token".to_owned(), access.clone())];
    let path = "/oauth/v2/revoke/token";
    let response = post(path, &token, Some((&id, "wrong"))).await;
    assert_eq!(
        (response.status, &response.json["error"]),
        (400, &json!("invalid_client_secret"))
    );
    assert!(is_accepted(&bench, &access).await);
    let response = post(path, &token, Some((&id, &secret))).await;
    assert_eq!(response.json["status"], "success");
    assert!(!is_accepted(&bench, &access).await);
    let refresh = [("token".to_owned(), value("refresh_token"))];
    let response = post("/oauth/v2/token/revoke", &refresh, None).await;
    assert_eq!(response.json["status"], "success");
    let response = post("/oauth/v2/token", &grant, None).await;
    assert_eq!(response.json["error"], "invalid_code");
}

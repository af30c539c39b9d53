//! The accounts server.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

/// The form with one parameter replaced.
fn with_parameter(
    mut form: Vec<(String, String)>,
    name: &str,
    value: &str,
) -> Vec<(String, String)> {
    form.retain(|(key, _)| key != name);
    form.push((name.to_owned(), value.to_owned()));
    form
}

/// Whether the simulator accepts an access token.
async fn is_accepted(bench: &TestBench, token: &str) -> bool {
    let request = bench
        .request("GET", "/crm/v7/Leads/actions/mass_update?job_id=1")
        .header("authorization", format!("Zoho-oauthtoken {token}"));
    let response = TestResponse::read(request.send().await.unwrap()).await;
    if response.status == 401 {
        assert_eq!(
            response.json,
            json!({"code": "INVALID_TOKEN", "details": {}, "message": "invalid oauth token", "status": "error"})
        );
    }
    response.status != 401
}

fn access_token(response: &TestResponse) -> String {
    response.json["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn token_request_reads_body_and_query() {
    let bench = TestBench::new().await;
    let response = bench.request_token().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json["token_type"], "Bearer");
    assert_eq!(response.json["expires_in"], 3600);
    assert_eq!(response.json["api_domain"], bench.simulator.url());
    assert!(
        response.json["scope"]
            .as_str()
            .unwrap()
            .contains("ZohoCRM.mass_update.UPDATE ZohoCRM.")
    );
    assert!(response.json.get("refresh_token").is_none());
    assert_eq!(response.headers["server"], "ZGS");
    assert_eq!(
        response.headers["content-type"],
        "application/json;charset=UTF-8"
    );
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(bench.grant())
        .finish();
    let response = bench.form(&format!("/oauth/v2/token?{query}"), &[]).await;
    assert!(is_accepted(&bench, &access_token(&response)).await);
}

#[tokio::test]
async fn token_errors_have_status_200() {
    let bench = TestBench::new().await;
    for (name, value, error) in [
        ("client_id", "1000.OTHER", "invalid_client"),
        ("client_secret", "wrong", "invalid_client_secret"),
        ("refresh_token", "1000.wrong", "invalid_code"),
    ] {
        let response = bench
            .form(
                "/oauth/v2/token",
                &with_parameter(bench.grant(), name, value),
            )
            .await;
        assert_eq!(
            (response.status, response.json),
            (200, json!({"error": error}))
        );
    }
}

#[tokio::test]
async fn client_credentials_require_soid_and_scope() {
    let bench = TestBench::new().await;
    let form = with_parameter(bench.grant(), "grant_type", "client_credentials");
    let response = bench.form("/oauth/v2/token", &form).await;
    assert_eq!(response.json, json!({"error": "missing_org_info"}));
    let form = with_parameter(form, "soid", "ZohoCRM.60001234567");
    let response = bench.form("/oauth/v2/token", &form).await;
    assert_eq!(response.json, json!({"error": "invalid_scope"}));
    let form = with_parameter(form, "scope", "ZohoCRM.mass_update.READ,ZohoCRM.coql.READ");
    for path in ["/oauth/v2/token", "/oauth/v2/auth"] {
        let response = bench.form(path, &form).await;
        assert_eq!(
            response.json["scope"],
            "ZohoCRM.mass_update.READ ZohoCRM.coql.READ"
        );
        assert!(is_accepted(&bench, &access_token(&response)).await);
    }
    let response = bench.form("/oauth/v2/auth", &bench.grant()).await;
    assert_eq!(response.json, json!({"error": "unsupported_grant_type"}));
}

#[tokio::test]
async fn eleventh_token_in_ten_minutes_is_throttled() {
    let bench = TestBench::new().await;
    for _ in 1..10 {
        assert!(bench.request_token().await.json["access_token"].is_string());
    }
    let response = bench.request_token().await;
    assert_eq!(response.status, 400);
    assert_eq!(
        response.json,
        json!({
            "error_description": "You have made too many requests continuously. Please try again after some time.",
            "error": "Access Denied",
            "status": "failure",
        })
    );
    bench
        .faults(json!({"throttle_status": 200, "localised_error": true}))
        .await;
    let response = bench.request_token().await;
    assert_eq!(
        (response.status, &response.json["error"]),
        (200, &json!("拒绝访问"))
    );
    bench.advance(599);
    assert!(bench.request_token().await.json["access_token"].is_null());
    bench.advance(1);
    assert!(bench.request_token().await.json["access_token"].is_string());
}

#[tokio::test]
async fn sixteenth_token_revokes_oldest() {
    let bench = TestBench::new().await;
    let mut tokens = vec![bench.token.clone()];
    bench.advance(700);
    for round in 0..2 {
        for _ in 0..[10, 4][round] {
            tokens.push(access_token(&bench.request_token().await));
        }
        bench.advance(700);
    }
    assert_eq!(tokens.len(), 15);
    assert!(is_accepted(&bench, &tokens[0]).await);
    bench.request_token().await;
    assert!(!is_accepted(&bench, &tokens[0]).await);
    assert!(is_accepted(&bench, &tokens[1]).await);
}

#[tokio::test]
async fn access_token_expires_after_one_hour() {
    let bench = TestBench::new().await;
    bench.advance(3599);
    let response = bench
        .get("/crm/v7/Leads/actions/mass_update?job_id=1")
        .await;
    assert_eq!(
        response.headers["x-accesstoken-reset"],
        "2026-11-01T18:30:00+05:30"
    );
    assert!(is_accepted(&bench, &bench.token).await);
    bench.advance(1);
    assert!(!is_accepted(&bench, &bench.token).await);
}

#[tokio::test]
async fn revoked_tokens_are_rejected() {
    let bench = TestBench::new().await;
    let token = |value: &str| vec![("token".to_owned(), value.to_owned())];
    let response = bench
        .form("/oauth/v2/token/revoke", &token(&bench.token))
        .await;
    assert_eq!(response.json, json!({"status": "success"}));
    assert!(!is_accepted(&bench, &bench.token).await);
    let second = access_token(&bench.request_token().await);
    let refresh = bench.grant()[3].1.clone();
    let response = bench
        .form(&format!("/oauth/v2/revoke/token?token={refresh}"), &[])
        .await;
    assert_eq!(response.status, 200);
    assert!(!is_accepted(&bench, &second).await);
    assert_eq!(
        bench.request_token().await.json,
        json!({"error": "invalid_code"})
    );
    assert_eq!(
        bench
            .form("/oauth/v2/token/revoke", &token("1"))
            .await
            .status,
        400
    );
}

/// The accounts URL of a data centre, and the form that refreshes its token.
fn data_center_form(announcement: &Value, center: &str) -> (String, Vec<(String, String)>) {
    let credentials = &announcement["data_centers"][center];
    let text = |key: &str| credentials[key].as_str().unwrap().to_owned();
    let form = ["client_id", "client_secret", "refresh_token"]
        .map(|key| (key.to_owned(), text(key)))
        .into_iter()
        .chain([("grant_type".to_owned(), "refresh_token".to_owned())]);
    (text("accounts_url"), form.collect())
}

#[tokio::test]
async fn data_centers_reject_foreign_clients_and_tokens() {
    let bench = TestBench::new().await;
    let announcement = bench.simulator.announcement();
    let response = bench.get("/oauth/serverinfo").await;
    assert_eq!(response.json["result"], "success");
    for center in ["us", "eu", "in"] {
        assert_eq!(
            response.json["locations"][center],
            announcement["data_centers"][center]["accounts_url"]
        );
    }
    assert_eq!(
        announcement["data_centers"]["us"],
        announcement["credentials"]
    );
    let (eu, form) = data_center_form(&announcement, "eu");
    let posted = async |url: &str, form: &[(String, String)]| {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let url = format!("{url}/oauth/v2/token");
        TestResponse::read(bench.http.post(url).body(body).send().await.unwrap()).await
    };
    let response = posted(&eu, &form).await;
    assert_eq!(response.json["api_domain"], eu);
    let token = access_token(&response);
    // Only the token's own data centre accepts it.
    assert!(!is_accepted(&bench, &token).await);
    let response = bench
        .http
        .get(format!("{eu}/crm/v7/org"))
        .header("authorization", format!("Zoho-oauthtoken {token}"));
    assert_eq!(
        TestResponse::read(response.send().await.unwrap())
            .await
            .status,
        200
    );
    // The client is not registered in one data centre, and has another secret in the other.
    let (india, _) = data_center_form(&announcement, "in");
    for (url, error) in [(eu, "invalid_client"), (india, "invalid_client_secret")] {
        let response = posted(&url, &bench.grant()).await;
        assert_eq!(
            (response.status, response.json),
            (200, json!({"error": error}))
        );
    }
}

#[tokio::test]
async fn grant_code_is_exchanged_once_before_expiry() {
    let bench = TestBench::new().await;
    let asked = json!({"scope": "ZohoCRM.mass_update.UPDATE,ZohoCRM.mass_update.READ"});
    let code = async |asked: &Value| {
        let response = bench.post("/_sim/grant_code", asked).await;
        response.json["code"].as_str().unwrap().to_owned()
    };
    let exchange = async |code: &str, redirect: &str| {
        let mut form = with_parameter(bench.grant(), "grant_type", "authorization_code");
        form.retain(|(key, _)| key != "refresh_token");
        form.push(("code".to_owned(), code.to_owned()));
        form.push(("redirect_uri".to_owned(), redirect.to_owned()));
        bench.form("/oauth/v2/token", &form).await
    };
    let first = code(&asked).await;
    let response = exchange(&first, "").await;
    assert_eq!(
        response.json["scope"],
        "ZohoCRM.mass_update.UPDATE ZohoCRM.mass_update.READ"
    );
    assert!(is_accepted(&bench, &access_token(&response)).await);
    // The refresh token issues more access tokens, with the same scopes.
    let refresh = response.json["refresh_token"].as_str().unwrap();
    let form = with_parameter(bench.grant(), "refresh_token", refresh);
    let again = bench.form("/oauth/v2/token", &form).await;
    assert_eq!(again.json["scope"], response.json["scope"]);
    assert!(again.json.get("refresh_token").is_none());
    let request = bench.request("GET", "/crm/v7/org").header(
        "authorization",
        format!("Zoho-oauthtoken {}", access_token(&again)),
    );
    assert_eq!(
        TestResponse::read(request.send().await.unwrap())
            .await
            .code(),
        (401, "OAUTH_SCOPE_MISMATCH")
    );
    for (code, redirect, error) in [
        (first, "", "invalid_code"),
        ("1000.nothing".to_owned(), "", "invalid_code"),
        (
            code(&json!({"scope": "ZohoCRM.org.READ", "redirect_uri": "https://a.example/b"}))
                .await,
            "https://a.example/",
            "invalid_redirect_uri",
        ),
        (
            code(&json!({"scope": "ZohoCRM.org.READ", "data_center": "eu"})).await,
            "",
            "invalid_code",
        ),
    ] {
        assert_eq!(
            exchange(&code, redirect).await.json,
            json!({"error": error})
        );
    }
    let late = code(&asked).await;
    bench.advance(180);
    assert_eq!(
        exchange(&late, "").await.json,
        json!({"error": "invalid_code"})
    );
    let longer = code(&json!({"scope": "ZohoCRM.org.READ", "minutes": 10})).await;
    bench.advance(599);
    assert!(exchange(&longer, "").await.json["refresh_token"].is_string());
    for wrong in [
        json!({}),
        json!({"scope": "everything"}),
        json!({"scope": "ZohoCRM.org.READ", "data_center": "mars"}),
    ] {
        assert_eq!(bench.post("/_sim/grant_code", &wrong).await.status, 400);
    }
}

#[tokio::test]
async fn refresh_token_limit_revokes_oldest() {
    let bench = TestBench::new().await;
    bench.faults(json!({"live_refresh_tokens": 2})).await;
    let exchange = async || {
        let asked = json!({"scope": "ZohoCRM.mass_update.READ"});
        let made = bench.post("/_sim/grant_code", &asked).await;
        let code = made.json["code"].as_str().unwrap().to_owned();
        let mut form = with_parameter(bench.grant(), "grant_type", "authorization_code");
        form.push(("code".to_owned(), code));
        bench.form("/oauth/v2/token", &form).await
    };
    let second = exchange().await;
    assert!(is_accepted(&bench, &bench.token).await);
    // The third refresh token revokes the first, with its access tokens.
    exchange().await;
    assert!(!is_accepted(&bench, &bench.token).await);
    assert!(is_accepted(&bench, &access_token(&second)).await);
    assert_eq!(
        bench.request_token().await.json,
        json!({"error": "invalid_code"})
    );
    for _ in 2..10 {
        assert!(exchange().await.json["refresh_token"].is_string());
    }
    assert_eq!(exchange().await.json, json!({"error": "access_denied"}));
    bench.advance(600);
    assert!(exchange().await.json["refresh_token"].is_string());
}

#[tokio::test]
async fn foreign_zoho_host_is_rejected() {
    let bench = TestBench::new().await;
    for (host, status) in [
        ("crm.zoho.com", 400),
        ("www.zohoapis.eu", 400),
        ("www.zohoapis.com", 200),
        ("sandbox.zohoapis.com", 200),
        ("zoho-stand-in.internal:9090", 200),
    ] {
        let request = bench.authorized("GET", "/crm/v7/org").header("host", host);
        let response = TestResponse::read(request.send().await.unwrap()).await;
        assert_eq!(response.status, status, "{host}: {}", response.text);
    }
}

#[tokio::test]
async fn token_switches_change_responses() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"expires_in_ms": true, "omit_api_domain": true, "omit_scope": true}))
        .await;
    let response = bench.request_token().await.json;
    assert_eq!(
        (&response["expires_in"], &response["expires_in_sec"]),
        (&json!(3_600_000), &json!(3600))
    );
    assert_eq!(
        (&response["api_domain"], &response["scope"]),
        (&Value::Null, &Value::Null)
    );
    bench
        .faults(json!({"reset": true, "api_domain": "https://www.zohoapis.eu"}))
        .await;
    assert_eq!(
        bench.request_token().await.json["api_domain"],
        "https://www.zohoapis.eu"
    );
    bench.faults(json!({"token_error": "invalid_code"})).await;
    assert_eq!(
        bench.request_token().await.json,
        json!({"error": "invalid_code"})
    );
    bench
        .faults(json!({"reset": true, "expire_tokens": true}))
        .await;
    assert!(!is_accepted(&bench, &bench.token).await);
    let token = access_token(&bench.request_token().await);
    bench.faults(json!({"foreign_data_center": true})).await;
    assert!(!is_accepted(&bench, &token).await);
    bench
        .faults(json!({"invalid_token_code": "INVALID_OAUTHTOKEN"}))
        .await;
    let response = bench.update("Leads", json!({"ids": [LEAD]})).await;
    assert_eq!(response.code(), (401, "INVALID_OAUTHTOKEN"));
    bench
        .faults(json!({"reset": true, "rate_token_error": 1.0}))
        .await;
    assert_eq!(
        bench.request_token().await.json,
        json!({"error": "general_error"})
    );
    bench
        .faults(json!({"reset": true, "rate_token_html": 1.0}))
        .await;
    let page = bench.request_token().await;
    assert_eq!((page.status, &page.json), (200, &Value::Null));
    assert!(page.text.contains("<html>"), "{}", page.text);
    assert_eq!(page.headers["content-type"], "text/html;charset=UTF-8");
}

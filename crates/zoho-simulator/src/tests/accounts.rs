//! The accounts server.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

fn replaced(mut form: Vec<(String, String)>, name: &str, value: &str) -> Vec<(String, String)> {
    form.retain(|(key, _)| key != name);
    form.push((name.to_owned(), value.to_owned()));
    form
}

async fn works(bench: &TestBench, token: &str) -> bool {
    let request = bench
        .request("GET", "/crm/v7/Leads/actions/mass_update?job_id=1")
        .header("authorization", format!("Zoho-oauthtoken {token}"));
    let answer = TestResponse::read(request.send().await.unwrap()).await;
    if answer.status == 401 {
        assert_eq!(
            answer.json,
            json!({"code": "INVALID_TOKEN", "details": {}, "message": "invalid oauth token", "status": "error"})
        );
    }
    answer.status != 401
}

fn access(answer: &TestResponse) -> String {
    answer.json["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_minted_from_body_or_query() {
    let bench = TestBench::new().await;
    let answer = bench.request_token().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["token_type"], "Bearer");
    assert_eq!(answer.json["expires_in"], 3600);
    assert_eq!(answer.json["api_domain"], bench.simulator.url());
    assert!(
        answer.json["scope"]
            .as_str()
            .unwrap()
            .contains("ZohoCRM.mass_update.UPDATE ZohoCRM.")
    );
    assert!(answer.json.get("refresh_token").is_none());
    assert_eq!(answer.headers["server"], "ZGS");
    assert_eq!(
        answer.headers["content-type"],
        "application/json;charset=UTF-8"
    );
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(bench.grant())
        .finish();
    let answer = bench.form(&format!("/oauth/v2/token?{query}"), &[]).await;
    assert!(works(&bench, &access(&answer)).await);
}

#[tokio::test]
async fn errors_are_http_200() {
    let bench = TestBench::new().await;
    for (name, value, error) in [
        ("client_id", "1000.OTHER", "invalid_client"),
        ("client_secret", "wrong", "invalid_client_secret"),
        ("refresh_token", "1000.wrong", "invalid_code"),
    ] {
        let answer = bench
            .form("/oauth/v2/token", &replaced(bench.grant(), name, value))
            .await;
        assert_eq!((answer.status, answer.json), (200, json!({"error": error})));
    }
}

#[tokio::test]
async fn client_credentials_need_the_organisation() {
    let bench = TestBench::new().await;
    let form = replaced(bench.grant(), "grant_type", "client_credentials");
    let answer = bench.form("/oauth/v2/token", &form).await;
    assert_eq!(answer.json, json!({"error": "missing_org_info"}));
    let form = replaced(form, "soid", "ZohoCRM.60001234567");
    let answer = bench.form("/oauth/v2/token", &form).await;
    assert_eq!(answer.json, json!({"error": "invalid_scope"}));
    let form = replaced(form, "scope", "ZohoCRM.mass_update.READ,ZohoCRM.coql.READ");
    for path in ["/oauth/v2/token", "/oauth/v2/auth"] {
        let answer = bench.form(path, &form).await;
        assert_eq!(
            answer.json["scope"],
            "ZohoCRM.mass_update.READ ZohoCRM.coql.READ"
        );
        assert!(works(&bench, &access(&answer)).await);
    }
    let answer = bench.form("/oauth/v2/auth", &bench.grant()).await;
    assert_eq!(answer.json, json!({"error": "unsupported_grant_type"}));
}

#[tokio::test]
async fn ten_tokens_in_ten_minutes() {
    let bench = TestBench::new().await;
    for _ in 1..10 {
        assert!(bench.request_token().await.json["access_token"].is_string());
    }
    let answer = bench.request_token().await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json,
        json!({
            "error_description": "You have made too many requests continuously. Please try again after some time.",
            "error": "AccessToken Denied",
            "status": "failure",
        })
    );
    bench
        .faults(json!({"throttle_status": 200, "localised_error": true}))
        .await;
    let answer = bench.request_token().await;
    assert_eq!(
        (answer.status, &answer.json["error"]),
        (200, &json!("拒绝访问"))
    );
    bench.advance(599);
    assert!(bench.request_token().await.json["access_token"].is_null());
    bench.advance(1);
    assert!(bench.request_token().await.json["access_token"].is_string());
}

#[tokio::test]
async fn the_sixteenth_token_ends_the_oldest() {
    let bench = TestBench::new().await;
    let mut tokens = vec![bench.token.clone()];
    bench.advance(700);
    for round in 0..2 {
        for _ in 0..[10, 4][round] {
            tokens.push(access(&bench.request_token().await));
        }
        bench.advance(700);
    }
    assert_eq!(tokens.len(), 15);
    assert!(works(&bench, &tokens[0]).await);
    bench.request_token().await;
    assert!(!works(&bench, &tokens[0]).await);
    assert!(works(&bench, &tokens[1]).await);
}

#[tokio::test]
async fn a_token_lives_one_hour() {
    let bench = TestBench::new().await;
    bench.advance(3599);
    let answer = bench
        .get("/crm/v7/Leads/actions/mass_update?job_id=1")
        .await;
    assert_eq!(
        answer.headers["x-accesstoken-reset"],
        "2026-11-01T18:30:00+05:30"
    );
    assert!(works(&bench, &bench.token).await);
    bench.advance(1);
    assert!(!works(&bench, &bench.token).await);
}

#[tokio::test]
async fn revoking_ends_tokens() {
    let bench = TestBench::new().await;
    let token = |value: &str| vec![("token".to_owned(), value.to_owned())];
    let answer = bench
        .form("/oauth/v2/token/revoke", &token(&bench.token))
        .await;
    assert_eq!(answer.json, json!({"status": "success"}));
    assert!(!works(&bench, &bench.token).await);
    let second = access(&bench.request_token().await);
    let refresh = bench.grant()[3].1.clone();
    let answer = bench
        .form(&format!("/oauth/v2/revoke/token?token={refresh}"), &[])
        .await;
    assert_eq!(answer.status, 200);
    assert!(!works(&bench, &second).await);
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

/// The form of a refresh at another data centre, with the credentials of its own.
fn of_center(announcement: &Value, center: &str) -> (String, Vec<(String, String)>) {
    let credentials = &announcement["data_centers"][center];
    let text = |key: &str| credentials[key].as_str().unwrap().to_owned();
    let form = ["client_id", "client_secret", "refresh_token"]
        .map(|key| (key.to_owned(), text(key)))
        .into_iter()
        .chain([("grant_type".to_owned(), "refresh_token".to_owned())]);
    (text("accounts_url"), form.collect())
}

#[tokio::test]
async fn a_data_centre_knows_nothing_of_another_ones_clients_and_tokens() {
    let bench = TestBench::new().await;
    let announcement = bench.simulator.announcement();
    let answer = bench.get("/oauth/serverinfo").await;
    assert_eq!(answer.json["result"], "success");
    for center in ["us", "eu", "in"] {
        assert_eq!(
            answer.json["locations"][center],
            announcement["data_centers"][center]["accounts_url"]
        );
    }
    assert_eq!(
        announcement["data_centers"]["us"],
        announcement["credentials"]
    );
    let (eu, form) = of_center(&announcement, "eu");
    let posted = async |url: &str, form: &[(String, String)]| {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let url = format!("{url}/oauth/v2/token");
        TestResponse::read(bench.http.post(url).body(body).send().await.unwrap()).await
    };
    let answer = posted(&eu, &form).await;
    assert_eq!(answer.json["api_domain"], eu);
    let token = access(&answer);
    // The token is good at its own data centre only.
    assert!(!works(&bench, &token).await);
    let answer = bench
        .http
        .get(format!("{eu}/crm/v7/org"))
        .header("authorization", format!("Zoho-oauthtoken {token}"));
    assert_eq!(
        TestResponse::read(answer.send().await.unwrap())
            .await
            .status,
        200
    );
    // A client that is not registered there, and one that is, with another secret.
    let (india, _) = of_center(&announcement, "in");
    for (url, error) in [(eu, "invalid_client"), (india, "invalid_client_secret")] {
        let answer = posted(&url, &bench.grant()).await;
        assert_eq!((answer.status, answer.json), (200, json!({"error": error})));
    }
}

#[tokio::test]
async fn a_grant_code_is_exchanged_once_and_in_time() {
    let bench = TestBench::new().await;
    let asked = json!({"scope": "ZohoCRM.mass_update.UPDATE,ZohoCRM.mass_update.READ"});
    let code = async |asked: &Value| {
        let answer = bench.post("/_sim/grant_code", asked).await;
        answer.json["code"].as_str().unwrap().to_owned()
    };
    let exchange = async |code: &str, redirect: &str| {
        let mut form = replaced(bench.grant(), "grant_type", "authorization_code");
        form.retain(|(key, _)| key != "refresh_token");
        form.push(("code".to_owned(), code.to_owned()));
        form.push(("redirect_uri".to_owned(), redirect.to_owned()));
        bench.form("/oauth/v2/token", &form).await
    };
    let first = code(&asked).await;
    let answer = exchange(&first, "").await;
    assert_eq!(
        answer.json["scope"],
        "ZohoCRM.mass_update.UPDATE ZohoCRM.mass_update.READ"
    );
    assert!(works(&bench, &access(&answer)).await);
    // The refresh token is good for more of the same, and carries no other scope.
    let refresh = answer.json["refresh_token"].as_str().unwrap();
    let form = replaced(bench.grant(), "refresh_token", refresh);
    let again = bench.form("/oauth/v2/token", &form).await;
    assert_eq!(again.json["scope"], answer.json["scope"]);
    assert!(again.json.get("refresh_token").is_none());
    let request = bench.request("GET", "/crm/v7/org").header(
        "authorization",
        format!("Zoho-oauthtoken {}", access(&again)),
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
async fn refresh_tokens_are_few() {
    let bench = TestBench::new().await;
    bench.faults(json!({"live_refresh_tokens": 2})).await;
    let exchange = async || {
        let asked = json!({"scope": "ZohoCRM.mass_update.READ"});
        let made = bench.post("/_sim/grant_code", &asked).await;
        let code = made.json["code"].as_str().unwrap().to_owned();
        let mut form = replaced(bench.grant(), "grant_type", "authorization_code");
        form.push(("code".to_owned(), code));
        bench.form("/oauth/v2/token", &form).await
    };
    let second = exchange().await;
    assert!(works(&bench, &bench.token).await);
    // The third one ends the first, and the access tokens with it.
    exchange().await;
    assert!(!works(&bench, &bench.token).await);
    assert!(works(&bench, &access(&second)).await);
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
async fn another_host_of_zohos_is_refused() {
    let bench = TestBench::new().await;
    for (host, status) in [
        ("crm.zoho.com", 400),
        ("www.zohoapis.eu", 400),
        ("www.zohoapis.com", 200),
        ("sandbox.zohoapis.com", 200),
        ("zoho-stand-in.internal:9090", 200),
    ] {
        let request = bench.authorized("GET", "/crm/v7/org").header("host", host);
        let answer = TestResponse::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_token_switches() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"expires_in_ms": true, "omit_api_domain": true, "omit_scope": true}))
        .await;
    let answer = bench.request_token().await.json;
    assert_eq!(
        (&answer["expires_in"], &answer["expires_in_sec"]),
        (&json!(3_600_000), &json!(3600))
    );
    assert_eq!(
        (&answer["api_domain"], &answer["scope"]),
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
    assert!(!works(&bench, &bench.token).await);
    let token = access(&bench.request_token().await);
    bench.faults(json!({"foreign_data_center": true})).await;
    assert!(!works(&bench, &token).await);
    bench
        .faults(json!({"invalid_token_code": "INVALID_OAUTHTOKEN"}))
        .await;
    let answer = bench.update("Leads", json!({"ids": [LEAD]})).await;
    assert_eq!(answer.code(), (401, "INVALID_OAUTHTOKEN"));
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

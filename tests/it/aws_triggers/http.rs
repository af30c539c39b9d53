//! HTTP events in each envelope of AWS.

use super::*;

#[tokio::test]
async fn http_envelopes_yield_the_same_request() {
    let stage = Stage::inline().await;
    let body = json!({"ids": [stage.lead(0)]}).to_string();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &body);
    let key = SENDER_SECRET;
    let head = |content_type: &str| json!({content_type: "application/json", "X-Token": key, "Cookie": "a=1; b=2", "X-Twice": "one, two"});
    let many = json!({"Content-Type": ["application/json"], "X-Token": [key], "Cookie": ["a=1; b=2"], "X-Twice": ["one", "two"]});
    let last = json!({"Content-Type": "application/json", "X-Token": key, "Cookie": "a=1; b=2", "X-Twice": "two"});
    let v2 = |path: &str, stage: &str| {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "q=a%20b&q=c+d&x=",
            "queryStringParameters": {"q": "a b,c d", "x": ""}, "headers": head("content-type"), "isBase64Encoded": true, "body": encoded,
            "requestContext": {"stage": stage, "http": {"method": "POST", "path": path}},
        })
    };
    let mut cookies = v2("/hooks/request", "$default");
    cookies["cookies"] = json!(["a=1", "b=2"]);
    cookies["headers"]
        .as_object_mut()
        .expect("headers")
        .remove("Cookie");
    let mut plain = v2("/hooks/request", "$default");
    plain["isBase64Encoded"] = json!(false);
    plain["body"] = json!(body);
    let v1 = json!({
        "resource": "/{proxy+}", "path": "/hooks/request", "httpMethod": "POST", "headers": last, "multiValueHeaders": many,
        "queryStringParameters": {"q": "c d", "x": ""}, "multiValueQueryStringParameters": {"q": ["a b", "c d"], "x": [""]},
        "requestContext": {"stage": "prod", "path": "/prod/hooks/request", "httpMethod": "POST"}, "body": body, "isBase64Encoded": false,
    });
    let mut single = v1.clone();
    single["headers"] = head("Content-Type");
    for absent in ["multiValueHeaders", "multiValueQueryStringParameters"] {
        single[absent] = Value::Null;
    }
    let mut http_api_v1 = v1.clone();
    http_api_v1["version"] = json!("1.0");
    http_api_v1["path"] = json!("/prod/hooks/request");
    let alb = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/x/1"}},
        "httpMethod": "POST", "path": "/hooks/request", "queryStringParameters": {"q": "c%20d", "x": ""}, "headers": head("content-type"),
        "body": body, "isBase64Encoded": false,
    });
    let mut alb_many = alb.clone();
    for (single, several, values) in [
        ("headers", "multiValueHeaders", many.clone()),
        (
            "queryStringParameters",
            "multiValueQueryStringParameters",
            json!({"q": ["a%20b", "c%20d"], "x": [""]}),
        ),
    ] {
        alb_many.as_object_mut().expect("an event").remove(single);
        alb_many[several] = values;
    }
    for (name, event) in [
        ("HTTP API v2", v2("/hooks/request", "$default")),
        ("a named stage", v2("/prod/hooks/request", "prod")),
        ("text", plain),
        ("cookies", cookies),
        ("REST v1", v1),
        ("REST v1, single values", single),
        ("HTTP API v1", http_api_v1),
        ("ALB", alb),
        ("ALB, several values", alb_many),
    ] {
        let answer = stage.invoke(&event).await;
        assert_eq!(answer["statusCode"], 200, "{name}: {answer:#}");
        // REST v1 has a header map with one value and one with several.
        let types = [
            &answer["headers"]["content-type"],
            &answer["multiValueHeaders"]["content-type"][0],
        ];
        assert!(types.contains(&&json!("application/json")), "{name}");
        assert_eq!(answer["isBase64Encoded"], false, "{name}");
        let own = answer["multiValueHeaders"]["content-type"].clone();
        let wanted = match name {
            v2 if v2.contains("v2") || ["a named stage", "text", "cookies"].contains(&v2) => {
                Value::Null
            }
            _ => json!(["application/json"]),
        };
        assert_eq!(own, wanted, "{name}");
        assert_eq!(
            answer["statusDescription"].is_string(),
            name.starts_with("ALB"),
            "{name}"
        );
        let jobs: Value =
            serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
        let job = &jobs["jobs"][0];
        assert_eq!(job["status"], "succeeded", "{name}: {job:#}");
        assert_eq!(
            job["reference"],
            json!({
                "query": {"q": "c d", "x": ""}, "raw": body, "trigger": {"type": "http", "method": "POST"},
                "twice": "one, two", "cookie": "a=1; b=2",
            }),
            "{name}"
        );
    }
}

fn status_url(answer: &Value) -> String {
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    body["jobs"][0]["status_url"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// API Gateway puts the mapping of a custom domain before the path.
#[tokio::test]
async fn custom_domain_mapping_precedes_the_path() {
    let stage = Stage::inline().await;
    let body = json!({"ids": [stage.lead(0)]}).to_string();
    let event = |path: &str, resource: &str, parameters: Value| {
        json!({
            "resource": resource, "path": path, "pathParameters": parameters, "httpMethod": "POST",
            "headers": {"X-Token": SENDER_SECRET, "Content-Type": "application/json"},
            "requestContext": {"stage": "prod", "path": path, "httpMethod": "POST"}, "body": body, "isBase64Encoded": false,
        })
    };
    let v2 = json!({
        "version": "2.0", "routeKey": "ANY /hooks/{route}", "rawPath": "/crm/hooks/request", "rawQueryString": "",
        "pathParameters": {"route": "request"}, "headers": {"x-token": SENDER_SECRET, "content-type": "application/json"},
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/crm/hooks/request"}}, "body": body,
    });
    let mut http_api_v1 = event(
        "/crm/hooks/request",
        "/hooks/{route}",
        json!({"route": "request"}),
    );
    http_api_v1["version"] = json!("1.0");
    for (name, event, base) in [
        (
            "REST, its routes",
            event(
                "/crm/hooks/request",
                "/hooks/{route}",
                json!({"route": "request"}),
            ),
            "/crm",
        ),
        (
            "REST, greedy",
            event(
                "/crm/v1/hooks/request",
                "/{proxy+}",
                json!({"proxy": "hooks/request"}),
            ),
            "/crm/v1",
        ),
        (
            "REST, below",
            event(
                "/crm/hooks/request/a/b",
                "/hooks/{route}/{proxy+}",
                json!({"route": "request", "proxy": "a/b"}),
            ),
            "/crm",
        ),
        (
            "REST, a resource",
            event(
                "/crm/hooks/request",
                "/crm/{proxy+}",
                json!({"proxy": "hooks/request"}),
            ),
            "/crm",
        ),
        (
            "REST, no mapping",
            event(
                "/hooks/request",
                "/hooks/{route}",
                json!({"route": "request"}),
            ),
            "",
        ),
        ("HTTP API v1", http_api_v1, "/crm"),
        ("HTTP API v2", v2, "/crm"),
    ] {
        let answer = stage.invoke(&event).await;
        assert_eq!(answer["statusCode"], 200, "{name}: {answer:#}");
        assert!(
            status_url(&answer).starts_with(&format!("{base}/jobs/")),
            "{name}: {answer:#}"
        );
    }
    let unknown = event("/crm/other", "/{proxy+}", json!({"proxy": "other"}));
    assert_eq!(stage.invoke(&unknown).await["statusCode"], 404);
}

/// A load balancer, a CDN or another proxy says nothing about the prefix of a path.
#[tokio::test]
async fn configured_base_path_is_optional_in_paths() {
    let route = ROUTES.split("  partner:").next().expect("the first route");
    let harness = Harness::new().routes(route);
    let harness = harness.config(|config| format!("base_path: /crm/v1\n{config}"));
    let stage = Stage::of(harness, ExecutionMode::Inline).await;
    let body = json!({"ids": [stage.lead(0)]}).to_string();
    let event = |path: &str| {
        json!({
            "requestContext": {"elb": {"targetGroupArn": "arn:x"}}, "httpMethod": "POST", "path": path,
            "queryStringParameters": {"a": "b%20c"}, "body": body, "isBase64Encoded": false,
            "headers": {"x-token": SENDER_SECRET, "content-type": "application/json"},
        })
    };
    for (path, base) in [("/crm/v1/hooks/request", "/crm/v1"), ("/hooks/request", "")] {
        let answer = stage.invoke(&event(path)).await;
        assert_eq!(answer["statusCode"], 200, "{path}: {answer:#}");
        assert!(
            status_url(&answer).starts_with(&format!("{base}/jobs/")),
            "{path}: {answer:#}"
        );
    }
    for path in [
        "/crm/hooks/request",
        "/crm/v1",
        "/crm/v1x/hooks/request",
        "/v1/hooks/request",
    ] {
        assert_eq!(
            stage.invoke(&event(path)).await["statusCode"],
            404,
            "{path}"
        );
    }
}

/// A REST API passes the query decoded, but the sender has signed it as sent.
#[tokio::test]
async fn signed_query_is_verified_behind_rest_api() {
    let route = r#"
  signed:
    verify:
      scheme: custom
      type: hmac
      algorithm: sha256
      secret: secretsmanager:sender
      signature: { header: X-Signature, encoding: hex }
      signed: "{url}{body}"
    public_url: https://hooks.example.com/crm/hooks/signed
    map: empty
"#;
    let stage = Stage::of(Harness::new().routes(route), ExecutionMode::Inline).await;
    let signature = |query: &str| {
        let url = format!("https://hooks.example.com/crm/hooks/signed?{query}");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SENDER_SECRET.as_bytes());
        hex::encode(aws_lc_rs::hmac::sign(&key, format!("{url}{{}}").as_bytes()))
    };
    let event = |parameters: Value, signature: &str| {
        json!({
            "resource": "/hooks/{route}", "path": "/crm/hooks/signed", "pathParameters": {"route": "signed"}, "httpMethod": "POST",
            "headers": {"X-Signature": signature, "Content-Type": "application/json"},
            "multiValueQueryStringParameters": parameters,
            "requestContext": {"stage": "prod", "httpMethod": "POST"}, "body": "{}", "isBase64Encoded": false,
        })
    };
    let parameters = json!({"name": ["Zoé & co"], "at": ["1:2"], "~t": ["a/b"]});
    for sent in [
        "name=Zo%C3%A9+%26+co&at=1%3A2&%7Et=a%2Fb",
        "name=Zo%C3%A9%20%26%20co&at=1%3A2&~t=a%2Fb",
        "name=Zo%C3%A9%20%26%20co&at=1:2&~t=a/b",
        "name=Zo%c3%a9+%26+co&at=1%3a2&%7et=a%2fb",
        "at=1%3A2&name=Zo%C3%A9%20%26%20co&~t=a%2Fb",
    ] {
        let answer = stage
            .invoke(&event(parameters.clone(), &signature(sent)))
            .await;
        assert_eq!(answer["statusCode"], 200, "{sent}: {answer:#}");
    }
    let other = json!({"name": ["Zoé & co"], "at": ["1:3"], "~t": ["a/b"]});
    let forged = event(
        other,
        &signature("name=Zo%C3%A9+%26+co&at=1%3A2&%7Et=a%2Fb"),
    );
    assert_eq!(stage.invoke(&forged).await["statusCode"], 401);
    let bare = event(Value::Null, &signature("a=1"));
    assert_eq!(stage.invoke(&bare).await["statusCode"], 401);
}

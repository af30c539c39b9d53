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

//! Events of HTTP triggers: API Gateway, Function URL and Application Load Balancer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::envelope::{ACCOUNT, EnvelopeBuilder, REGION};

impl EnvelopeBuilder<'_> {
    pub(super) fn http_v2(&self, route_key: &str, host: &str) -> Value {
        let delivery = &self.sample.delivery;
        let (body, is_base64) = self.body();
        let mut headers = self.headers.clone();
        headers.insert("host".to_owned(), host.into());
        let mut event = json!({
            "version": "2.0",
            "routeKey": route_key,
            "rawPath": self.path,
            "rawQueryString": delivery.query,
            "headers": headers,
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": "abcdefghij",
                "domainName": host,
                "domainPrefix": host.split('.').next(),
                "http": {
                    "method": delivery.method.as_str(),
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "203.0.113.9",
                    "userAgent": self.source,
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": route_key,
                "stage": "$default",
                "time": self.request_time(),
                "timeEpoch": self.now.as_millisecond(),
            },
            "body": body,
            "isBase64Encoded": is_base64,
        });
        let parameters = self.parameters();
        if !parameters.is_empty() {
            let joined = parameters
                .iter()
                .map(|(name, values)| (name.clone(), values.join(",").into()));
            event["queryStringParameters"] = Value::Object(joined.collect());
        }
        event
    }

    pub(super) fn rest_v1(&self) -> Value {
        let delivery = &self.sample.delivery;
        let (body, is_base64) = self.body();
        let lists = |pairs: &Map<String, Value>| -> Map<String, Value> {
            let list = |(name, value): (&String, &Value)| (name.clone(), json!([value]));
            pairs.iter().map(list).collect()
        };
        let parameters = self.parameters();
        let last: BTreeMap<&String, Option<&String>> = parameters
            .iter()
            .map(|(name, values)| (name, values.last()))
            .collect();
        json!({
            "resource": "/hooks/{route}",
            "path": self.path,
            "httpMethod": delivery.method.as_str(),
            "headers": self.headers,
            "multiValueHeaders": lists(&self.headers),
            "queryStringParameters": (!last.is_empty()).then_some(&last),
            "multiValueQueryStringParameters": (!parameters.is_empty()).then_some(&parameters),
            "pathParameters": {"route": self.sample.route},
            "stageVariables": null,
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": "abcdefghij",
                "domainName": self.host,
                "domainPrefix": self.host.split('.').next(),
                "extendedRequestId": "RJFDJGxhoAMFXnQ=",
                "httpMethod": delivery.method.as_str(),
                "identity": {"sourceIp": "203.0.113.9", "userAgent": self.source},
                "path": format!("/prod{}", self.path),
                "protocol": "HTTP/1.1",
                "requestId": "5054880c-61eb-4f60-bcb3-456fa7732cbf",
                "requestTime": self.request_time(),
                "requestTimeEpoch": self.now.as_millisecond(),
                "resourceId": "9i9u7u",
                "resourcePath": "/hooks/{route}",
                "stage": "prod",
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    /// Load balancers pass query parameters as they were sent, not decoded.
    pub(super) fn alb(&self) -> Value {
        let delivery = &self.sample.delivery;
        let (body, is_base64) = self.body();
        let pairs = delivery.query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let parameters: BTreeMap<&str, &str> = pairs.collect();
        json!({
            "requestContext": {"elb": {"targetGroupArn":
                format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/hooks/49e9d65c45c6791a")}},
            "httpMethod": delivery.method.as_str(),
            "path": self.path,
            "queryStringParameters": parameters,
            "headers": self.headers,
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    /// With multi-value headers enabled, all values of a name are in maps of their own.
    pub(super) fn alb_multi_value(&self) -> Value {
        let mut event = self.alb();
        for (single, several) in [
            ("headers", "multiValueHeaders"),
            ("queryStringParameters", "multiValueQueryStringParameters"),
        ] {
            let values = event.as_object_mut().and_then(|event| event.remove(single));
            let lists = values.iter().filter_map(Value::as_object).flatten();
            let lists = lists.map(|(name, value)| (name.clone(), json!([value])));
            event[several] = Value::Object(lists.collect());
        }
        event
    }

    /// The time in the format of API Gateway.
    fn request_time(&self) -> String {
        self.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
    }
}

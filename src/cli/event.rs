//! `masshook event`: the event with which a Lambda trigger would hand a delivery to the function, for `sam local invoke`
//! and `cargo lambda invoke`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::sender::{Prepared, Sender};
use super::{Verdict, complain, say};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::inbound::trigger as inbound;

/// The host that the HTTP events name, unless the route has a public URL.
const HOST: &str = "hooks.example.com";

/// The account and region that the events name.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";

/// What comes from no sender, but from EventBridge Scheduler.
const SCHEDULE: &str = "schedule";

/// `masshook event`.
#[derive(Debug, Args)]
pub(super) struct Event {
    #[command(flatten)]
    pub(super) sender: Sender,
    /// What would invoke the function; default: http-api-v2, and eventbridge for a schedule.
    #[arg(long, value_enum)]
    trigger: Option<Trigger>,
}

/// What invokes a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Trigger {
    /// API Gateway, HTTP API, payload format 2.0
    HttpApiV2,
    /// API Gateway, REST API
    RestV1,
    /// Lambda Function URL
    FunctionUrl,
    /// Application Load Balancer
    Alb,
    /// Application Load Balancer whose target group has multi-value headers on
    AlbMultiValue,
    /// Amazon EventBridge
    Eventbridge,
    /// Amazon SNS
    Sns,
    /// Amazon SQS
    Sqs,
    /// Amazon SQS, a FIFO queue
    SqsFifo,
    /// Amazon SNS, through a queue of Amazon SQS
    SnsInSqs,
    /// Direct invocation
    Direct,
}

/// Runs the command.
pub(super) async fn run(event: &Event, config: &Config) -> Verdict {
    let made = match event.sender.source() {
        SCHEDULE => schedule(event, config, SystemClock.now()),
        source => event.sender.prepare(config).await.map(|prepared| {
            let shape = Shape::new(&prepared, source, SystemClock.now());
            shape.event(event.trigger.unwrap_or(Trigger::HttpApiV2))
        }),
    };
    match made {
        Ok(made) => {
            say(&format!("{made:#}"));
            Verdict::Done
        }
        Err(why) => {
            complain(&why);
            Verdict::Unusable
        }
    }
}

/// What a schedule invokes a function with: an event of EventBridge, or an input of its own, which names the route as a
/// direct invocation does. The schedule is called after the route.
fn schedule(event: &Event, config: &Config, now: Timestamp) -> Result<Value, String> {
    let sender = &event.sender;
    let arn = |route| format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{route}");
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let id = sender.id().map_or_else(new_id, str::to_owned);
    match event.trigger {
        None | Some(Trigger::Eventbridge) => {
            let route = sender.listener(config, inbound::Trigger::EventBridge)?;
            sender.unsigned(&json!({
                "version": "0",
                "id": id,
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": ACCOUNT,
                "time": time,
                "region": REGION,
                "resources": [arn(route)],
                "detail": "{}",
            }))
        }
        Some(Trigger::Direct) => {
            let route = sender.listener(config, inbound::Trigger::Direct)?;
            let body = json!({"schedule": arn(route), "scheduled_time": time, "execution": id});
            Ok(json!({"route": route, "body": sender.unsigned(&body)?}))
        }
        Some(_) => Err(
            "a schedule comes by --trigger eventbridge, or with an input of its own by --trigger direct"
                .to_owned(),
        ),
    }
}

/// A delivery, ready for any envelope.
struct Shape<'a> {
    prepared: &'a Prepared,
    source: &'a str,
    now: Timestamp,
    host: String,
    path: String,
    /// As a sender's connection brings them: repeated ones joined.
    headers: Map<String, Value>,
    text: Option<&'a str>,
}

impl<'a> Shape<'a> {
    fn new(prepared: &'a Prepared, source: &'a str, now: Timestamp) -> Self {
        let delivery = &prepared.delivery;
        let url = delivery
            .public_url
            .as_deref()
            .and_then(|url| url::Url::parse(url).ok());
        let host = url
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_else(|| HOST.to_owned());
        let rest = if delivery.path.is_empty() { "" } else { "/" };
        let mut headers = Map::new();
        headers.insert("host".to_owned(), host.clone().into());
        for (name, value) in &delivery.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers.insert(name.to_string(), value.into_owned().into());
        }
        headers.insert(
            CONTENT_LENGTH.to_string(),
            delivery.body.len().to_string().into(),
        );
        headers.insert("x-forwarded-for".to_owned(), "203.0.113.9".into());
        headers.insert("x-forwarded-port".to_owned(), "443".into());
        headers.insert("x-forwarded-proto".to_owned(), "https".into());
        Self {
            path: format!("/hooks/{}{rest}{}", prepared.route, delivery.path),
            prepared,
            source,
            now,
            host,
            headers,
            text: std::str::from_utf8(&delivery.body).ok(),
        }
    }

    fn event(&self, trigger: Trigger) -> Value {
        match trigger {
            Trigger::HttpApiV2 => self.http_v2("POST /hooks/{route}", &self.host),
            Trigger::FunctionUrl => self.http_v2(
                "$default",
                &format!("abcdefghij.lambda-url.{REGION}.on.aws"),
            ),
            Trigger::RestV1 => self.rest_v1(),
            Trigger::Alb => self.alb(),
            Trigger::AlbMultiValue => self.alb_multi_value(),
            Trigger::Eventbridge => self.event_bridge(),
            Trigger::Sns => self.sns(),
            Trigger::Sqs => self.sqs(&self.body().0, ""),
            Trigger::SqsFifo => {
                let mut event = self.sqs(&self.body().0, ".fifo");
                event["Records"][0]["attributes"]["MessageGroupId"] = self.source.into();
                event
            }
            // What the topic was told with its message stands in the envelope, not at the queue's message.
            Trigger::SnsInSqs => {
                let envelope = self.sns()["Records"][0]["Sns"].take();
                let mut event = self.sqs(&envelope.to_string(), "");
                event["Records"][0]["messageAttributes"] = json!({});
                event
            }
            Trigger::Direct => self.direct(),
        }
    }

    /// The body as a text, and whether that is Base64.
    fn body(&self) -> (String, bool) {
        self.text.map_or_else(
            || (STANDARD.encode(&self.prepared.delivery.body), true),
            |text| (text.to_owned(), false),
        )
    }

    /// The query parameters under their names, decoded.
    fn parameters(&self) -> BTreeMap<String, Vec<String>> {
        let mut parameters = BTreeMap::<String, Vec<String>>::new();
        let query = self.prepared.delivery.query.as_bytes();
        for (name, value) in form_urlencoded::parse(query).into_owned() {
            parameters.entry(name).or_default().push(value);
        }
        parameters
    }

    fn http_v2(&self, route_key: &str, host: &str) -> Value {
        let delivery = &self.prepared.delivery;
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
                "time": self.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
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

    fn rest_v1(&self) -> Value {
        let delivery = &self.prepared.delivery;
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
            "pathParameters": {"route": self.prepared.route},
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
                "requestTime": self.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
                "requestTimeEpoch": self.now.as_millisecond(),
                "resourceId": "9i9u7u",
                "resourcePath": "/hooks/{route}",
                "stage": "prod",
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    /// A load balancer hands parameters on as they were sent, not decoded.
    fn alb(&self) -> Value {
        let delivery = &self.prepared.delivery;
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

    /// With several values for each name, in maps of their own.
    fn alb_multi_value(&self) -> Value {
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

    /// The body as JSON; of another kind, as a text.
    fn detail(&self) -> Value {
        let body = &self.prepared.delivery.body;
        serde_json::from_slice(body).unwrap_or_else(|_| json!({"body": self.body().0}))
    }

    fn event_bridge(&self) -> Value {
        json!({
            "version": "0",
            "id": new_id(),
            "detail-type": "Webhook",
            "source": self.source,
            "account": ACCOUNT,
            "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": REGION,
            "resources": [],
            "detail": self.detail(),
        })
    }

    fn sns(&self) -> Value {
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", self.prepared.route);
        let attribute = |value: &Value| json!({"Type": "String", "Value": value});
        json!({"Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": format!("{topic}:2bcfbf39-05c3-41de-beaa-fcfcc21c8f55"),
            "Sns": {
                "Type": "Notification",
                "MessageId": new_id(),
                "TopicArn": topic,
                "Subject": null,
                "Message": self.body().0,
                "Timestamp": self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
                "SignatureVersion": "1",
                "Signature": "",
                "SigningCertUrl": "",
                "UnsubscribeUrl": "",
                "MessageAttributes": self.attributes(attribute),
            },
        }]})
    }

    fn sqs(&self, body: &str, ending: &str) -> Value {
        let millis = self.now.as_millisecond().to_string();
        let attribute = |value: &Value| json!({"dataType": "String", "stringValue": value});
        json!({"Records": [{
            "messageId": new_id(),
            "receiptHandle": "MessageReceiptHandle",
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": millis,
                "SenderId": ACCOUNT,
                "ApproximateFirstReceiveTimestamp": millis,
            },
            "messageAttributes": self.attributes(attribute),
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}{ending}", self.prepared.route),
            "awsRegion": REGION,
        }]})
    }

    /// What the sender says in headers of its own, as the attributes of a message.
    fn attributes(&self, attribute: impl Fn(&Value) -> Value) -> Map<String, Value> {
        let delivery = &self.prepared.delivery;
        let own = delivery
            .headers
            .keys()
            .filter(|name| **name != CONTENT_TYPE);
        own.filter_map(|name| {
            let value = self.headers.get(name.as_str())?;
            Some((name.to_string(), attribute(value)))
        })
        .collect()
    }

    fn direct(&self) -> Value {
        let delivery = &self.prepared.delivery;
        let (body, is_base64) = self.body();
        let query: BTreeMap<String, String> = form_urlencoded::parse(delivery.query.as_bytes())
            .into_owned()
            .collect();
        let own = delivery.headers.keys().map(ToString::to_string);
        let headers: Map<String, Value> = own
            .filter_map(|name| Some((name.clone(), self.headers.get(&name)?.clone())))
            .collect();
        json!({
            "route": self.prepared.route,
            "headers": headers,
            "query": query,
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }
}

/// The id under which AWS would know the event: a new one for each.
fn new_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

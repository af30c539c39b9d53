//! `masshook event`: prints a sample delivery as the event of a Lambda trigger.

mod envelope;
mod http;
mod messages;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::envelope::{ACCOUNT, EnvelopeBuilder, REGION, event_bridge_time, random_uuid};
use super::config_file::report_config_error;
use super::sender::SenderArgs;
use super::terminal::{ExitStatus, OutputFormat, pretty_json, print_error, print_line};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::trigger::Trigger;

/// The source that stands for EventBridge Scheduler instead of a webhook sender.
const SCHEDULE: &str = "schedule";

/// Arguments of `masshook event`.
#[derive(Debug, Args)]
pub(super) struct EventArgs {
    #[command(flatten)]
    sender: SenderArgs,
    /// Trigger of the function; default: http-api-v2, or what the route listens to instead of HTTP; eventbridge for a schedule.
    #[arg(long, value_enum)]
    trigger: Option<LambdaTrigger>,
}

/// An AWS service that invokes the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LambdaTrigger {
    /// API Gateway, HTTP API, payload format 2.0
    HttpApiV2,
    /// API Gateway, REST API
    RestV1,
    /// Lambda Function URL
    FunctionUrl,
    /// Application Load Balancer
    Alb,
    /// Application Load Balancer with multi-value headers enabled on its target group
    AlbMultiValue,
    /// Amazon EventBridge
    Eventbridge,
    /// Amazon SNS
    Sns,
    /// Amazon SQS
    Sqs,
    /// Amazon SQS, FIFO queue
    SqsFifo,
    /// Amazon SNS through an SQS queue
    SnsInSqs,
    /// Direct invocation
    Direct,
}

impl LambdaTrigger {
    /// A trigger that a route listens to, HTTP first.
    fn of_route(config: &Config, route: &str) -> Self {
        let Some(route) = config.routes.get(route) else {
            return Self::HttpApiV2;
        };
        match route.on.first() {
            _ if route.accepts_trigger(Trigger::Http) => Self::HttpApiV2,
            Some(Trigger::Http) | None => Self::HttpApiV2,
            Some(Trigger::EventBridge) => Self::Eventbridge,
            Some(Trigger::Sns) => Self::Sns,
            Some(Trigger::Sqs) => Self::Sqs,
            Some(Trigger::Direct) => Self::Direct,
        }
    }
}

/// Runs the command.
pub(super) async fn run(args: EventArgs) -> ExitStatus {
    let config = match args.sender.config.load() {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, OutputFormat { json: false }),
    };
    let event = match args.sender.source() {
        Some(SCHEDULE) => schedule_event(&args, &config, SystemClock.now()),
        _ => args.sender.sign_sample(&config).await.map(|delivery| {
            let envelope = EnvelopeBuilder::new(&delivery, SystemClock.now());
            let default = || LambdaTrigger::of_route(&config, &delivery.route);
            build_event(&envelope, args.trigger.unwrap_or_else(default))
        }),
    };
    match event {
        Ok(event) => {
            print_line(&pretty_json(&event));
            ExitStatus::Success
        }
        Err(why) => {
            print_error(&why);
            ExitStatus::UsageError
        }
    }
}

/// Builds the event of a trigger.
fn build_event(envelope: &EnvelopeBuilder<'_>, trigger: LambdaTrigger) -> Value {
    match trigger {
        LambdaTrigger::HttpApiV2 => envelope.http_v2("POST /hooks/{route}", &envelope.host),
        LambdaTrigger::FunctionUrl => envelope.http_v2(
            "$default",
            &format!("abcdefghij.lambda-url.{REGION}.on.aws"),
        ),
        LambdaTrigger::RestV1 => envelope.rest_v1(),
        LambdaTrigger::Alb => envelope.alb(),
        LambdaTrigger::AlbMultiValue => envelope.alb_multi_value(),
        LambdaTrigger::Eventbridge => envelope.event_bridge(),
        LambdaTrigger::Sns => envelope.sns(),
        LambdaTrigger::Sqs => envelope.sqs(&envelope.body().0, ""),
        LambdaTrigger::SqsFifo => {
            let mut event = envelope.sqs(&envelope.body().0, ".fifo");
            event["Records"][0]["attributes"]["MessageGroupId"] = envelope.source.into();
            event
        }
        // The attributes of an SNS message are in its envelope, not at the SQS message.
        LambdaTrigger::SnsInSqs => {
            let notification = envelope.sns()["Records"][0]["Sns"].take();
            let mut event = envelope.sqs(&notification.to_string(), "");
            event["Records"][0]["messageAttributes"] = json!({});
            event
        }
        LambdaTrigger::Direct => envelope.direct(),
    }
}

/// The event of a schedule: an EventBridge event, or the schedule's own input, which names the route like a direct
/// invocation. The schedule has the name of the route.
fn schedule_event(args: &EventArgs, config: &Config, now: Timestamp) -> Result<Value, String> {
    let sender = &args.sender;
    let arn = |route| format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{route}");
    let time = event_bridge_time(now);
    let id = sender.id().map_or_else(random_uuid, str::to_owned);
    match args.trigger {
        None | Some(LambdaTrigger::Eventbridge) => {
            let route = sender.route_listening_to(config, Trigger::EventBridge)?;
            sender.apply_to_event(&json!({
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
        Some(LambdaTrigger::Direct) => {
            let route = sender.route_listening_to(config, Trigger::Direct)?;
            let body = json!({"schedule": arn(route), "scheduled_time": time, "execution": id});
            Ok(json!({"route": route, "body": sender.apply_to_event(&body)?}))
        }
        Some(_) => Err(
            "a schedule needs --trigger eventbridge, or --trigger direct for a schedule with its own input"
                .to_owned(),
        ),
    }
}

//! Alarms and the metric filters that they watch.

use super::*;

#[test]
fn alarms_have_a_metric_and_notify_the_topic() {
    let durable = resources("durable");
    let durable = durable.as_object().expect("resources");
    let alarms = durable
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    let mut count = 0;
    for (name, alarm) in alarms {
        let alarm = &alarm["Properties"];
        assert_eq!(names(&alarm["AlarmActions"]), ["AlarmTopicArn"], "{name}");
        let metric = alarm["MetricName"].as_str().expect("a metric");
        let namespace = alarm["Namespace"].as_str().expect("a namespace");
        if !namespace.starts_with("AWS/") {
            let counted = &durable[metric]["Properties"]["MetricTransformations"][0];
            assert_eq!(
                (&counted["MetricName"], &counted["MetricNamespace"]),
                (&json!(metric), &json!(namespace)),
                "{name}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 9);
}

#[test]
fn critical_conditions_have_alarms() {
    let durable = resources("durable");
    for (alarm, metric, of) in [
        (
            "DeadLettersAlarm",
            "ApproximateNumberOfMessagesVisible",
            Some("DeadLetterQueue.QueueName"),
        ),
        (
            "OldWakeUpsAlarm",
            "ApproximateAgeOfOldestMessage",
            Some("Queue.QueueName"),
        ),
        (
            "UndeliverableCallbacksAlarm",
            "UndeliverableCallbacks",
            None,
        ),
        ("TokenFailuresAlarm", "TokenFailures", None),
        ("ParkedJobsAlarm", "ParkedJobs", None),
        ("UnmappableDeliveriesAlarm", "UnmappableDeliveries", None),
    ] {
        let alarm = &durable[alarm]["Properties"];
        assert_eq!(alarm["MetricName"], metric);
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
        match of {
            Some(queue) => {
                assert_eq!(alarm["Namespace"], "AWS/SQS");
                assert_eq!(
                    alarm["Dimensions"],
                    json!([{"Name": "QueueName", "Value": queue}])
                );
                assert_eq!(alarm["Statistic"], "Maximum");
            }
            None => {
                assert_eq!(
                    (&alarm["Statistic"], &alarm["Threshold"]),
                    (&json!("Sum"), &json!(0)),
                    "the first one counts"
                );
            }
        }
    }
    // A metric reads the log of the function that does the work.
    for filter in ["UndeliverableCallbacks", "TokenFailures"] {
        for (mode, group) in [("durable", "WorkerLogGroup"), ("inline", "InboundLogGroup")] {
            let read = resources(mode)[filter]["Properties"]["LogGroupName"].clone();
            assert_eq!(read, group, "{filter} in {mode}");
        }
    }
}

/// Returns how many lines of a log a metric filter of the template counts. Supports patterns that compare fields with
/// texts, with an asterisk at one end or none, joined by "or".
pub(crate) fn counted(filter: &str, log: &str) -> usize {
    let template = template();
    let pattern = &template["Resources"][filter]["Properties"]["FilterPattern"];
    let pattern = pattern.as_str().unwrap_or_else(|| panic!("{filter}"));
    let terms: Vec<(&str, &str)> = pattern
        .split("$.fields.")
        .skip(1)
        .map(|rest| {
            let (field, rest) = rest.split_once(" = \"").expect("a comparison");
            (field, rest.split_once('"').expect("a text").0)
        })
        .collect();
    assert!(!terms.is_empty(), "{pattern}");
    let holds = |line: &Value, (field, text): &(&str, &str)| {
        let found = line["fields"][field].as_str().unwrap_or_default();
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(end), None) => found.ends_with(end),
            (None, Some(beginning)) => found.starts_with(beginning),
            (None, None) => found == *text,
            (Some(_), Some(_)) => panic!("{pattern}"),
        }
    };
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| terms.iter().any(|term| holds(line, term)))
        .count()
}

//! Alarms and the dashboard: they name metrics that the program writes.

use masshook::metrics::emf::METRICS;

use super::*;
use crate::emf::{assert_valid, lines_in, sum_of};
use crate::harness::{MAP, Stack, config_text};

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
            assert_eq!(namespace, "masshook/${AWS::StackName}", "{name}");
            let known = METRICS.iter().any(|known| known.name == metric);
            assert!(known, "{name}: the program has no metric {metric}");
        }
        count += 1;
    }
    assert_eq!(count, 11);
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
}

/// Returns the sum of a metric in the lines that a function has written.
pub(crate) fn counted(metric: &str, log: &str) -> usize {
    sum_of(&lines_in(log), metric) as usize
}

/// Each alarm on a metric of masshook watches one that the program has written, in the same namespace, without dimensions and
/// as a count.
#[tokio::test]
async fn alarms_match_lines_of_the_program() {
    let name = "aws-emitted";
    let mut stack = Stack::with(name, &[410], true).await;
    stack.form(&json!({"event": "e0", "lead": "1"})).await;
    stack.faults(&json!({"token_error": "invalid_code"})).await;
    let id = stack
        .form(&json!({"event": "e1", "ids": [stack.lead(1)]}))
        .await
        .job_id();
    stack.finish(&id).await;
    let form = json!({"event": "e2", "ids": [stack.lead(2)]});
    stack.form(&form).await;
    let (zoho, callback) = (stack.simulator.url(), stack.receiver.url("/zoho"));
    let renamed = config_text(name, zoho, &callback, MAP)
        .replace("  default: {", "  other: {")
        .replace("    map:", "    connection: other\n    map:");
    let path = stack.folder.path().join("renamed.yaml");
    std::fs::write(&path, renamed).expect("written");
    let other = stack.another_worker(&[("MASSHOOK_CONFIG", &path.display().to_string())]);
    assert!(stack.queue.poll(&other, 5).await);

    let logs = [stack.inbound.logs(), stack.worker.logs(), other.logs()].concat();
    let lines = lines_in(&logs);
    assert_valid(&lines);
    let resources = resources("durable");
    let alarms = resources.as_object().expect("resources").values();
    let alarms = alarms.filter(|resource| resource["Type"] == "AWS::CloudWatch::Alarm");
    let mut watched = 0;
    for alarm in alarms.map(|alarm| &alarm["Properties"]) {
        let namespace = alarm["Namespace"].as_str().expect("a namespace");
        if namespace.starts_with("AWS/") {
            continue;
        }
        assert!(alarm["Dimensions"].is_null(), "{alarm:#}");
        let metric = alarm["MetricName"].as_str().expect("a metric");
        let namespace = namespace.replace("${AWS::StackName}", name);
        let directives = lines
            .iter()
            .flat_map(|line| line["_aws"]["CloudWatchMetrics"].as_array())
            .flatten();
        let mut matching = directives.filter(|directive| {
            let has_metric = directive["Metrics"]
                .as_array()
                .is_some_and(|metrics| metrics.contains(&json!({"Name": metric, "Unit": "Count"})));
            let dimensions = directive["Dimensions"].as_array();
            has_metric
                && directive["Namespace"] == namespace
                && dimensions.is_some_and(|sets| sets.contains(&json!([])))
        });
        assert!(
            matching.next().is_some(),
            "{metric} in {namespace}:\n{logs}"
        );
        watched += 1;
    }
    assert_eq!(watched, 4);
}

#[test]
fn dashboard_names_existing_metrics() {
    for mode in ["durable", "inline"] {
        let resources = resources(mode);
        let body = &resources["MetricsDashboard"]["Properties"]["DashboardBody"];
        let body = body.as_str().expect("a body");
        let body = body.replace("${InboundFunction}", "function");
        let body = body
            .replace("${AWS::StackName}", "stack")
            .replace("${AWS::Region}", "region");
        assert!(!body.contains("${"), "{body}");
        let dashboard: Value = serde_json::from_str(&body).expect("JSON");
        let widgets = dashboard["widgets"].as_array().expect("widgets");
        let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        let mut shown = BTreeSet::new();
        for line in widgets
            .iter()
            .flat_map(|widget| widget["properties"]["metrics"].as_array())
            .flatten()
        {
            if line[0] == "masshook/stack" {
                shown.insert(line[1].as_str().expect("a metric").to_owned());
            } else if let Some(search) = line[0]["expression"].as_str() {
                let name = search.split("MetricName=\"").nth(1).expect("a metric");
                assert!(search.contains("{masshook/stack,Route}"), "{search}");
                shown.insert(name.split('"').next().unwrap_or_default().to_owned());
            } else {
                assert_eq!(line[0], "AWS/Lambda", "{line}");
            }
        }
        let unknown: Vec<_> = shown
            .iter()
            .filter(|name| !known.contains(name.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert_eq!(
            shown.len(),
            known.len() - 1,
            "all but the lifetime of tokens: {shown:?}"
        );
    }
}

//! Properties of template.yaml that `sam validate` does not check.

pub(crate) mod alarms;
mod limits;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::harness::{ApiCall, MAX_RECEIVE_COUNT, Moto, repo_path, role_allows, sample_event};

fn text() -> String {
    std::fs::read_to_string(repo_path("template.yaml")).expect("the template")
}

/// Reads the template without its tags: `!Ref Table` is "Table", `!GetAtt Queue.Arn` is "Queue.Arn", `!If [A, b, c]` a
/// list.
fn template() -> Value {
    serde_saphyr::from_str(&text()).expect("YAML")
}

/// Resolves `!If` and `Condition` in a value.
fn resolved(value: &Value, holds: &BTreeMap<&str, bool>) -> Option<Value> {
    match value {
        Value::String(text) if text == "AWS::NoValue" => None,
        Value::Array(items) => {
            let condition = items.first().and_then(Value::as_str);
            if let (Some(holds_now), [_, yes, no]) =
                (condition.and_then(|name| holds.get(name)), &items[..])
            {
                return resolved(if *holds_now { yes } else { no }, holds);
            }
            let items = items.iter().filter_map(|item| resolved(item, holds));
            Some(Value::Array(items.collect()))
        }
        Value::Object(map) => {
            let condition = map.get("Condition").and_then(Value::as_str);
            if condition.and_then(|name| holds.get(name)) == Some(&false) {
                return None;
            }
            let map = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), resolved(value, holds)?)));
            Some(Value::Object(map.collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
    }
}

/// Returns the resources of a mode, with every optional parameter set.
pub(crate) fn resources(mode: &str) -> Value {
    let holds = BTreeMap::from([
        ("IsDurable", mode == "durable"),
        ("IsInline", mode == "inline"),
        ("ReservesConcurrency", true),
        ("HasOwnKey", true),
        ("HasEnrolledSecrets", true),
        ("HasTokenCache", true),
        ("HasAlarmTopic", true),
        ("HasAccessLogs", true),
        ("HasDashboard", true),
        ("HasNamedMetrics", true),
    ]);
    let template = template();
    let conditions = template["Conditions"].as_object().expect("conditions");
    let known: BTreeSet<&str> = conditions.keys().map(String::as_str).collect();
    assert_eq!(known, holds.keys().copied().collect());
    resolved(&template["Resources"], &holds).expect("resources")
}

fn names(value: &Value) -> Vec<&str> {
    let list = value.as_array().expect("a list");
    list.iter().filter_map(Value::as_str).collect()
}

/// Collects every string in a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|item| texts(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the policy statements of a function's role, by `Sid`.
pub(crate) fn statements<'a>(resources: &'a Value, function: &str) -> BTreeMap<&'a str, &'a Value> {
    let policies = resources[function]["Properties"]["Policies"].as_array();
    let policies = policies.unwrap_or_else(|| panic!("{function} has policies"));
    let statements = policies
        .iter()
        .flat_map(|policy| policy["Statement"].as_array().into_iter().flatten());
    statements
        .map(|statement| (statement["Sid"].as_str().expect("a name"), statement))
        .collect()
}

#[test]
fn inline_mode_has_one_function_and_no_storage() {
    let inline = resources("inline");
    let of_type = |wanted: &str| {
        let resources = inline.as_object().expect("resources").iter();
        let found = resources.filter(|(_, resource)| resource["Type"] == wanted);
        found.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of_type("AWS::Serverless::Function"), ["InboundFunction"]);
    assert!(of_type("AWS::DynamoDB::Table").is_empty());
    // The events that it failed to process.
    assert_eq!(of_type("AWS::SQS::Queue"), ["FailedEventsQueue"]);
    let variables = &inline["InboundFunction"]["Properties"]["Environment"]["Variables"];
    assert_eq!(
        (
            &variables["MASSHOOK_TABLE"],
            &variables["MASSHOOK_QUEUE_URL"]
        ),
        (&json!(""), &json!(""))
    );
    // No resource refers to an absent one.
    let durable = resources("durable");
    let durable = durable.as_object().expect("resources");
    let absent = durable.keys().filter(|name| inline[name].is_null());
    let mut found = Vec::new();
    texts(&inline, &mut found);
    for name in absent {
        let refers = |text: &&str| {
            *text == name
                || text.starts_with(&format!("{name}."))
                || text.contains(&format!("${{{name}"))
        };
        let referring: Vec<_> = found.iter().copied().filter(|text| refers(text)).collect();
        assert!(referring.is_empty(), "{name}: {referring:?}");
    }
}

#[test]
fn inbound_function_cannot_read_worker_secrets() {
    let durable = resources("durable");
    let inbound = statements(&durable, "InboundFunction");
    let worker = statements(&durable, "WorkerFunction");
    let reads = json!(["secretsmanager:GetSecretValue", "ssm:GetParameter"]);
    let read = |statements: &BTreeMap<&str, &Value>| -> Vec<Value> {
        let reading = statements
            .values()
            .filter(|statement| statement["Action"] == reads);
        reading
            .map(|statement| statement["Resource"].clone())
            .collect()
    };
    assert_eq!(read(&inbound), [json!("InboundSecretArns")]);
    assert_eq!(read(&worker), [json!("WorkerSecretArns")]);
    // A customer managed key decrypts only through these services.
    for statements in [&inbound, &worker] {
        let key = statements["DecryptSecrets"];
        assert_eq!(key["Action"], "kms:Decrypt");
        assert_eq!(
            names(&key["Condition"]["StringEquals"]["kms:ViaService"]),
            [
                "secretsmanager.${AWS::Region}.${AWS::URLSuffix}",
                "ssm.${AWS::Region}.${AWS::URLSuffix}"
            ]
        );
    }
    let inline = resources("inline");
    assert_eq!(
        read(&statements(&inline, "InboundFunction")),
        [json!("InboundSecretArns"), json!("WorkerSecretArns")]
    );

    let shared = json!([
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue"
    ]);
    for (statements, shares) in [
        (&inbound, false),
        (&worker, true),
        (&statements(&inline, "InboundFunction"), true),
    ] {
        let found = statements.get("ShareToken");
        assert_eq!(found.is_some(), shares);
        assert!(found.is_none_or(
            |found| found["Action"] == shared && found["Resource"] == "TokenCacheSecretArn"
        ));
    }

    // Only the function that answers handshakes enrolls secrets.
    let enroll = &inbound["EnrollSecrets"];
    assert_eq!(
        (&enroll["Action"], &enroll["Resource"]),
        (&shared, &json!("EnrolledSecretArns"))
    );
    assert!(!worker.contains_key("EnrollSecrets"));

    for (statements, count) in [(inbound, 6), (worker, 7)] {
        let queue = statements["WakeTheWorker"];
        assert_eq!(
            (&queue["Action"], &queue["Resource"]),
            (&json!("sqs:SendMessage"), &json!("Queue.Arn"))
        );
        assert_eq!(statements.len(), count);
        for (name, statement) in statements {
            assert_ne!(statement["Resource"], "*", "{name}");
        }
    }
}

/// A function that faces the Internet must not use, replace or lock access tokens, nor list due jobs. It serves the lists of
/// jobs and deliveries, behind the key of the API.
#[test]
fn inbound_function_reaches_only_jobs_and_deliveries() {
    const ACTIONS: [&str; 6] = [
        "GetItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "ConditionCheckItem",
        "Query",
    ];
    let allows = |function: &str, action: &str, resource: &str, key: Option<&str>| {
        let call = ApiCall::new(&format!("dynamodb:{action}"), resource, key);
        role_allows(function, &call)
    };
    let inbound = |action, key| allows("InboundFunction", action, "Table.Arn", key);
    for action in ACTIONS {
        let is_needed = action != "ConditionCheckItem";
        for key in ["job#job_1", "delivery#d1"] {
            assert_eq!(inbound(action, Some(key)), is_needed, "{action} {key}");
        }
        for key in [
            "value#token/default",
            "lock#token/default",
            "lock#permit/default/1",
            "due#0",
            "jobs#0",
            "",
            "xjob#1",
        ] {
            assert!(!inbound(action, Some(key)), "{action} {key}");
        }
        assert!(!inbound(action, None), "{action} without a key");
        for key in ["value#token/default", "lock#x", "job#1", "delivery#1"] {
            assert!(allows("WorkerFunction", action, "Table.Arn", Some(key)));
        }
    }
    for (index, key, is_listed) in [
        ("due", "due#0", false),
        ("listed", "jobs#0", true),
        ("listed", "deliveries#0", true),
        ("listed", "job#0", false),
        ("listed", "value#0", false),
    ] {
        let index_arn = format!("${{Table.Arn}}/index/{index}");
        let allowed = allows("InboundFunction", "Query", &index_arn, Some(key));
        assert_eq!(allowed, is_listed, "{index} {key}");
        // The sweep counts dead letters.
        let is_counted = index == "due" || key.starts_with("deliveries#");
        let allowed = allows("WorkerFunction", "Query", &index_arn, Some(key));
        assert_eq!(allowed, is_counted, "{index} {key}");
    }
    let key = Some("job#1");
    assert!(allows("WorkerFunction", "BatchGetItem", "Table.Arn", key));
    assert!(allows("InboundFunction", "BatchGetItem", "Table.Arn", key));
    let token = Some("value#token/default");
    assert!(!allows(
        "InboundFunction",
        "BatchGetItem",
        "Table.Arn",
        token
    ));
    for action in ["Scan", "BatchWriteItem", "PartiQLSelect", "DeleteTable"] {
        for function in ["InboundFunction", "WorkerFunction"] {
            assert!(
                !allows(function, action, "Table.Arn", Some("job#1")),
                "{action}"
            );
        }
    }
}

/// Handshakes are GET, HEAD and POST, and a path may contain a token.
#[test]
fn hook_paths_accept_any_http_method() {
    let inline = resources("inline");
    let events = &inline["InboundFunction"]["Properties"]["Events"];
    for (event, path) in [
        ("Hook", "/hooks/{route}"),
        ("HookBelow", "/hooks/{route}/{proxy+}"),
    ] {
        let properties = &events[event]["Properties"];
        assert_eq!(
            (&properties["Method"], &properties["Path"]),
            (&json!("ANY"), &json!(path))
        );
    }
}

#[test]
fn visibility_timeout_exceeds_worker_timeout() {
    let template = template();
    let worker = &template["Resources"]["WorkerFunction"]["Properties"];
    assert_eq!(worker["Timeout"], "WorkerTimeout");
    let parameters = &template["Parameters"];
    let window = &parameters["BatchWindow"]["MaxValue"];
    let window = window.as_u64().expect("the longest window");
    let hidden = template["Mappings"]["VisibilityTimeouts"]
        .as_object()
        .expect("a mapping");
    let timeouts = parameters["WorkerTimeout"]["AllowedValues"].as_array();
    let timeouts = timeouts.expect("the timeouts that may be chosen");
    assert_eq!(timeouts.len(), hidden.len());
    for timeout in timeouts {
        let hidden = hidden[&timeout.to_string()]["Seconds"].as_u64();
        let hidden = hidden.expect("seconds");
        let timeout = timeout.as_u64().expect("seconds");
        assert!(hidden >= 6 * timeout + window, "{timeout}: {hidden}");
        assert!(hidden <= 43_200, "SQS takes no more");
    }
    assert!(timeouts.contains(&parameters["WorkerTimeout"]["Default"]));
    let queue = &template["Resources"]["Queue"]["Properties"];
    assert_eq!(
        names(&queue["VisibilityTimeout"]),
        ["VisibilityTimeouts", "WorkerTimeout", "Seconds"]
    );
    assert_eq!(
        queue["RedrivePolicy"],
        json!({"deadLetterTargetArn": "DeadLetterQueue.Arn", "maxReceiveCount": MAX_RECEIVE_COUNT})
    );
    let source = &worker["Events"]["WakeUps"]["Properties"];
    assert_eq!(
        names(&source["FunctionResponseTypes"]),
        ["ReportBatchItemFailures"]
    );
    assert_eq!(
        source["ScalingConfig"]["MaximumConcurrency"],
        "WorkerMaximumConcurrency"
    );
    // The minimum that SQS accepts.
    assert_eq!(parameters["WorkerMaximumConcurrency"]["MinValue"], 2);
}

#[test]
fn schedule_sends_the_sample_sweep_event() {
    let template = template();
    let sweep = &template["Resources"]["WorkerFunction"]["Properties"]["Events"]["Sweep"];
    let input = sweep["Properties"]["Input"].as_str().expect("an input");
    let input: Value = serde_json::from_str(input).expect("JSON");
    assert_eq!(input, sample_event("sweep-schedule.json"));
    assert_eq!(sweep["Properties"]["Schedule"], "rate(1 minute)");
}

#[tokio::test]
async fn template_table_matches_the_test_table() {
    let moto = Moto::shared();
    moto.create_table("aws-template").await;
    let described = aws_sdk_dynamodb::Client::new(&moto.sdk_config())
        .describe_table()
        .table_name("aws-template")
        .send()
        .await;
    let table = described.expect("moto answers").table.expect("a table");
    let template = template();
    let wanted = &template["Resources"]["Table"]["Properties"];

    let schema = |keys: &[aws_sdk_dynamodb::types::KeySchemaElement]| -> Value {
        keys.iter()
            .map(|key| json!({"AttributeName": key.attribute_name, "KeyType": key.key_type.as_str()}))
            .collect()
    };
    assert_eq!(schema(table.key_schema()), wanted["KeySchema"]);
    let sorted = |list: &Value| -> BTreeSet<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(Value::to_string).collect()
    };
    let attributes: Value = table
        .attribute_definitions()
        .iter()
        .map(|one| {
            json!({"AttributeName": one.attribute_name, "AttributeType": one.attribute_type.as_str()})
        })
        .collect();
    assert_eq!(sorted(&attributes), sorted(&wanted["AttributeDefinitions"]));
    let indexes: Value = table
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection().expect("a projection");
            let kind = projection.projection_type().expect("its kind");
            let mut shown = Map::from_iter([("ProjectionType".to_owned(), json!(kind.as_str()))]);
            if !projection.non_key_attributes().is_empty() {
                let repeated = json!(projection.non_key_attributes());
                shown.insert("NonKeyAttributes".to_owned(), repeated);
            }
            json!({
                "IndexName": index.index_name,
                "KeySchema": schema(index.key_schema()),
                "Projection": shown,
            })
        })
        .collect();
    assert_eq!(sorted(&indexes), sorted(&wanted["GlobalSecondaryIndexes"]));
    assert_eq!(wanted["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(
        wanted["TimeToLiveSpecification"],
        json!({"AttributeName": "ends", "Enabled": true})
    );
    assert_eq!(
        wanted["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        true
    );
    assert_eq!(wanted["SSESpecification"]["SSEEnabled"], true);
}

#[test]
fn queues_and_logs_are_retained_and_encrypted() {
    let durable = resources("durable");
    for queue in ["Queue", "DeadLetterQueue", "FailedEventsQueue"] {
        let queue = &durable[queue]["Properties"];
        assert_eq!(queue["SqsManagedSseEnabled"], true);
    }
    // The dead-letter queue has the longest retention of SQS.
    let kept = &durable["DeadLetterQueue"]["Properties"]["MessageRetentionPeriod"];
    assert_eq!(kept, 14 * 24 * 3600);
    for (function, group) in [
        ("InboundFunction", "InboundLogGroup"),
        ("WorkerFunction", "WorkerLogGroup"),
    ] {
        let logging = &durable[function]["Properties"]["LoggingConfig"];
        assert_eq!(
            (&logging["LogGroup"], &logging["LogFormat"]),
            (&json!(group), &json!("JSON"))
        );
        let retention = &durable[group]["Properties"]["RetentionInDays"];
        assert_eq!(retention, "LogRetentionDays");
    }
    // Jobs survive the deletion of the stack and the replacement of the table.
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        let policy = durable["Table"][policy].as_str().expect("a policy");
        assert!(policy.starts_with("Retain"), "{policy}");
    }
}

#[test]
fn both_architectures_are_supported() {
    let template = template();
    let processor = &template["Parameters"]["Architecture"];
    assert_eq!(names(&processor["AllowedValues"]), ["x86_64", "arm64"]);
    let functions = &template["Globals"]["Function"];
    assert_eq!(names(&functions["Architectures"]), ["Architecture"]);
    let layer = &template["Resources"]["ConfigLayer"]["Properties"];
    assert_eq!(names(&layer["CompatibleArchitectures"]), ["Architecture"]);
    for function in ["InboundFunction", "WorkerFunction"] {
        let own = &template["Resources"][function]["Properties"];
        assert!(own["Architectures"].is_null(), "{function}");
    }
}

#[test]
fn environment_variables_are_read_by_the_program() {
    let sources: String = ["src/aws.rs", "src/config.rs"]
        .iter()
        .map(|path| std::fs::read_to_string(repo_path(path)).expect("a source file"))
        .collect();
    let durable = resources("durable");
    for function in ["InboundFunction", "WorkerFunction"] {
        let variables = &durable[function]["Properties"]["Environment"]["Variables"];
        let variables: BTreeSet<&str> = variables
            .as_object()
            .expect("variables")
            .keys()
            .map(String::as_str)
            .collect();
        let all = [
            "MASSHOOK_CONFIG",
            "MASSHOOK_METRICS_BY_NAME",
            "MASSHOOK_METRICS_NAMESPACE",
            "MASSHOOK_QUEUE_URL",
            "MASSHOOK_TABLE",
            "RUST_LOG",
        ];
        assert_eq!(variables, BTreeSet::from(all), "{function}");
    }
    for name in [
        "MASSHOOK_CONFIG",
        "MASSHOOK_METRICS_BY_NAME",
        "MASSHOOK_METRICS_NAMESPACE",
        "MASSHOOK_QUEUE_URL",
        "MASSHOOK_TABLE",
    ] {
        assert!(sources.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn references_resolve_to_resources() {
    let template = template();
    let known: BTreeSet<&str> = ["Parameters", "Resources"]
        .iter()
        .filter_map(|part| template[part].as_object())
        .flat_map(|part| part.keys().map(String::as_str))
        .collect();
    let text = text();
    let mut seen = 0;
    for mark in ["!Ref ", "!GetAtt ", "${"] {
        for rest in text.split(mark).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != ':');
            let name = &rest[..end.unwrap_or(rest.len())];
            assert!(
                // SAM generates the role of a function.
                name.starts_with("AWS::") || known.contains(name) || name == "InboundFunctionRole",
                "{mark}{name} leads nowhere"
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

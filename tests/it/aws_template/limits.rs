//! The numbers and names of template.yaml and samconfig.toml, held against AWS's documented limits. `sam validate` does not
//! know most of them.

use jq_fence::Limits;

use super::*;

/// The value of a parameter's key, as a number.
fn number(parameter: &str, key: &str) -> i64 {
    let value = template()["Parameters"][parameter][key].as_i64();
    value.unwrap_or_else(|| panic!("{parameter} has no {key}"))
}

/// AWS's limits of what each numeric parameter sets.
#[test]
fn numeric_parameters_are_within_limits_of_aws() {
    let limits = BTreeMap::from([
        ("MemorySize", (128, 10_240)),
        ("Timeout", (1, 900)),
        // -1 stands for no reservation.
        ("ReservedConcurrency", (-1, i64::MAX)),
        ("WorkerTimeout", (1, 900)),
        ("WorkerMaximumConcurrency", (2, 1_000)),
        ("BatchSize", (1, 10_000)),
        ("BatchWindow", (0, 300)),
        // The quotas of an account.
        ("ApiRateLimit", (1, 10_000)),
        ("ApiBurstLimit", (1, 5_000)),
        ("LogRetentionDays", (1, 3_653)),
    ]);
    let template = template();
    let parameters = template["Parameters"].as_object().expect("parameters");
    let numeric = parameters.iter().filter(|(_, one)| one["Type"] == "Number");
    let mut seen = BTreeSet::new();
    for (name, parameter) in numeric {
        let (least, most) = limits[name.as_str()];
        let values: Vec<i64> = match parameter["AllowedValues"].as_array() {
            Some(values) => values.iter().filter_map(Value::as_i64).collect(),
            None => ["MinValue", "MaxValue", "Default"]
                .iter()
                .filter_map(|key| parameter[*key].as_i64())
                .collect(),
        };
        assert!(!values.is_empty(), "{name}");
        for value in values {
            assert!((least..=most).contains(&value), "{name}: {value}");
        }
        let has_limits = parameter["AllowedValues"].is_array() || parameter["MinValue"].is_number();
        assert!(has_limits, "{name}");
        seen.insert(name.as_str());
    }
    assert_eq!(seen, limits.keys().copied().collect());

    let retention = [
        1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557,
        2922, 3288, 3653,
    ];
    let days = parameters["LogRetentionDays"]["AllowedValues"].as_array();
    for days in days.expect("days") {
        assert!(retention.iter().any(|known| days == known), "{days}");
    }
    // The integration of an HTTP API ends after 30 s, and the default must answer before.
    assert!(number("Timeout", "Default") < 30);
    // A batch of more than ten messages needs a window.
    assert!(number("BatchSize", "Default") <= 10);
    assert!(number("ApiBurstLimit", "Default") >= number("ApiRateLimit", "Default"));
}

/// The memory that a function needs beside programs, as measured for docs/benchmarks.md.
const OWN_MEMORY: usize = 40 << 20;

/// The programs of a function of the least memory, with their stacks and waiting inputs, leave enough for the function.
#[test]
fn least_memory_fits_programs_and_function() {
    let fits = |megabytes: usize| {
        let pool = jq_fence::PoolSettings::for_memory(megabytes << 20);
        let thread = pool.memory_bytes + Limits::default().stack_bytes;
        pool.threads * thread + pool.waiting_bytes + OWN_MEMORY <= megabytes << 20
    };
    let least = usize::try_from(number("MemorySize", "MinValue")).expect("a size");
    assert!((least..=10_240).all(fits));
    // The least of Lambda.
    assert!(!fits(128));
}

/// Limits of CloudFormation, Lambda and CloudWatch for texts.
#[test]
fn texts_are_within_limits_of_aws() {
    let template = template();
    let length = |value: &Value| value.as_str().expect("a text").len();
    assert!(length(&template["Description"]) <= 1_024);
    // Larger ones must be uploaded to S3 first, which `sam deploy` does.
    assert!(text().len() < 1 << 20);
    for (kind, most) in [("Parameters", 4_000), ("Outputs", 1_024)] {
        let all = template[kind].as_object().expect("entries");
        assert!(all.len() <= 200);
        for (name, one) in all {
            assert!((1..=most).contains(&length(&one["Description"])), "{name}");
            let is_name = |c: char| c.is_ascii_alphanumeric();
            assert!(name.chars().all(is_name) && name.len() <= 255, "{name}");
        }
    }
    let resources = template["Resources"].as_object().expect("resources");
    // With those that SAM generates.
    assert!(resources.len() * 4 <= 500);
    for (name, resource) in resources {
        let properties = &resource["Properties"];
        let most = match resource["Type"].as_str().expect("a type") {
            "AWS::CloudWatch::Alarm" => 1_024,
            _ => 256,
        };
        for key in ["Description", "AlarmDescription"] {
            let is_short = properties[key].is_null() || length(&properties[key]) <= most;
            assert!(is_short, "{name} {key}");
        }
    }
    // The description of a version contains the values of parameters.
    let longest = |name: &str| match &template["Parameters"][name] {
        limited if limited["MaxLength"].is_number() => limited["MaxLength"].as_u64(),
        listed if listed["AllowedValues"].is_array() => {
            let values = listed["AllowedValues"].as_array().expect("values").iter();
            let lengths = values.map(|value| value.to_string().trim_matches('"').len() as u64);
            lengths.max()
        }
        number => Some(number["MaxValue"].to_string().len() as u64),
    };
    for function in ["InboundFunction", "WorkerFunction"] {
        let description = resources[function]["Properties"]["VersionDescription"].as_str();
        let mut parts = description.expect("a description").split("${");
        let mut length = parts.next().expect("a start").len() as u64;
        for part in parts {
            let (name, rest) = part.split_once('}').expect("a parameter");
            length += longest(name).expect("a limit") + rest.len() as u64;
        }
        assert!(length <= 256, "{function}: {length}");
    }
}

#[test]
fn alarms_have_valid_periods() {
    let durable = resources("durable");
    for (name, alarm) in durable.as_object().expect("resources") {
        if alarm["Type"] != "AWS::CloudWatch::Alarm" {
            continue;
        }
        let alarm = &alarm["Properties"];
        let whole = |key: &str| alarm[key].as_u64().expect("a number");
        let (period, count) = (whole("Period"), whole("EvaluationPeriods"));
        assert!(period % 60 == 0 && period * count <= 86_400, "{name}");
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
    }
}

#[test]
fn queues_have_valid_times() {
    let durable = resources("durable");
    for (name, queue) in durable.as_object().expect("resources") {
        if queue["Type"] != "AWS::SQS::Queue" {
            continue;
        }
        let queue = &queue["Properties"];
        if let Some(seconds) = queue["VisibilityTimeout"].as_u64() {
            assert!(seconds <= 43_200, "{name}");
        }
        if let Some(seconds) = queue["MessageRetentionPeriod"].as_u64() {
            assert!((60..=1_209_600).contains(&seconds), "{name}");
        }
        // A wake-up of the longest delay must outlive it: the default is four days.
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
    }
}

/// What fails in an asynchronous invocation is put into a queue, with an alarm, in both modes.
#[test]
fn failed_events_are_kept_with_an_alarm() {
    for mode in ["durable", "inline"] {
        let resources = resources(mode);
        let config = &resources["InboundFunction"]["Properties"]["EventInvokeConfig"];
        let failure = &config["DestinationConfig"]["OnFailure"];
        assert_eq!(
            failure,
            &json!({"Type": "SQS", "Destination": "FailedEventsQueue.Arn"})
        );
        let whole = |key: &str| config[key].as_u64().expect("a number");
        assert!(whole("MaximumRetryAttempts") <= 2);
        assert!((60..=21_600).contains(&whole("MaximumEventAgeInSeconds")));
        let queue = &resources["FailedEventsQueue"]["Properties"];
        assert_eq!(queue["MessageRetentionPeriod"], 1_209_600);
        let alarm = &resources["FailedEventsAlarm"]["Properties"];
        assert_eq!(
            (&alarm["MetricName"], &alarm["Dimensions"]),
            (
                &json!("ApproximateNumberOfMessagesVisible"),
                &json!([{"Name": "QueueName", "Value": "FailedEventsQueue.QueueName"}])
            )
        );
        let lost = &resources["LostEventsAlarm"]["Properties"];
        assert_eq!(lost["MetricName"], "DestinationDeliveryFailures");
    }
    let output = &template()["Outputs"]["FailedEventsQueueUrl"];
    let variable = "MASSHOOK_FAILED_EVENTS_QUEUE_URL";
    assert!(output["Description"].to_string().contains(variable));
    let source = std::fs::read_to_string(repo_path("src/aws/failed_events.rs"));
    assert!(source.expect("a file").contains(variable));
}

#[test]
fn api_is_throttled_by_parameters() {
    let api = &resources("inline")["Api"]["Properties"];
    assert_eq!(
        api["DefaultRouteSettings"],
        json!({"ThrottlingRateLimit": "ApiRateLimit", "ThrottlingBurstLimit": "ApiBurstLimit"})
    );
}

/// Paths, queries and headers may contain the tokens of senders.
#[test]
fn access_log_is_json_without_secrets() {
    let inline = resources("inline");
    let settings = &inline["Api"]["Properties"]["AccessLogSettings"];
    assert_eq!(settings["DestinationArn"], "AccessLogGroup.Arn");
    let format = settings["Format"].as_str().expect("a format");
    let line: BTreeMap<String, String> = serde_json::from_str(format).expect("JSON");
    for variable in line.values() {
        let known = [
            "$context.requestTime",
            "$context.requestId",
            "$context.routeKey",
            "$context.status",
            "$context.responseLength",
            "$context.identity.sourceIp",
            "$context.responseLatency",
            "$context.integrationLatency",
            "$context.integrationErrorMessage",
        ];
        assert!(known.contains(&variable.as_str()), "{variable}");
    }
    let group = &inline["AccessLogGroup"]["Properties"];
    assert_eq!(group["RetentionInDays"], "LogRetentionDays");
    let name = group["LogGroupName"].as_str().expect("a name");
    assert!(name.starts_with("/aws/vendedlogs/"), "{name}");
}

/// Every change that the functions depend on must publish a version, or the alias would keep the old one.
#[test]
fn alias_follows_every_change() {
    let template = template();
    let layer = &template["Resources"]["ConfigLayer"]["Properties"];
    assert_eq!(layer["PublishLambdaVersion"], true);
    for function in ["InboundFunction", "WorkerFunction"] {
        let own = &template["Resources"][function]["Properties"];
        assert_eq!(own["AutoPublishAlias"], "live", "{function}");
        assert_eq!(own["AutoPublishAliasAllProperties"], true, "{function}");
        let described = own["VersionDescription"].as_str().expect("a description");
        // The parameters that change the configuration of the function, wherever they occur in it.
        let mut config = own.clone();
        for other in [
            // Of resources beside the function.
            "Events",
            "Policies",
            "EventInvokeConfig",
            "DeploymentPreference",
            "VersionDescription",
            "ReservedConcurrentExecutions",
        ] {
            config.as_object_mut().expect("an object").remove(other);
        }
        let mut used = Vec::new();
        texts(&config, &mut used);
        texts(&template["Globals"]["Function"], &mut used);
        // Conditions stand for the parameters of which they are made.
        for (condition, parameter) in [
            ("IsDurable", "Mode"),
            ("HasNamedMetrics", "MetricDimensions"),
        ] {
            if used.contains(&condition) {
                used.push(parameter);
            }
        }
        for name in template["Parameters"]
            .as_object()
            .expect("parameters")
            .keys()
        {
            let is_used = used.contains(&name.as_str());
            assert_eq!(
                described.contains(&format!("${{{name}}}")),
                is_used,
                "{function} {name}"
            );
        }
    }
    assert_eq!(
        template["Outputs"]["InboundFunctionArn"]["Value"],
        "InboundFunction.Alias"
    );
}

#[test]
fn gradual_deployment_is_rolled_back_by_alarms() {
    let template = template();
    let choices = names(&template["Parameters"]["Deployment"]["AllowedValues"]);
    let gradual = &template["Mappings"]["Deployments"];
    assert_eq!(gradual.as_object().expect("a map").len(), choices.len());
    for choice in choices {
        let is_gradual = choice != "AllAtOnce";
        assert_eq!(gradual[choice]["IsGradual"], is_gradual, "{choice}");
        // CodeDeploy's own configurations for Lambda.
        let predefined = [
            "AllAtOnce",
            "Canary10Percent5Minutes",
            "Canary10Percent10Minutes",
            "Canary10Percent15Minutes",
            "Canary10Percent30Minutes",
            "Linear10PercentEvery1Minute",
            "Linear10PercentEvery2Minutes",
            "Linear10PercentEvery3Minutes",
            "Linear10PercentEvery10Minutes",
        ];
        assert!(predefined.contains(&choice), "{choice}");
    }
    for (function, alarms) in [
        (
            "InboundFunction",
            &["InboundErrorsAlarm", "ServerErrorsAlarm"][..],
        ),
        ("WorkerFunction", &["WorkerErrorsAlarm"]),
    ] {
        let preference = &template["Resources"][function]["Properties"]["DeploymentPreference"];
        assert_eq!(preference["Type"], "Deployment");
        assert_eq!(
            names(&preference["Enabled"]),
            ["Deployments", "Deployment", "IsGradual"]
        );
        assert_eq!(names(&preference["Alarms"]), alarms);
        for alarm in alarms {
            // The shortest deployment lasts five minutes.
            let alarm = &template["Resources"][*alarm]["Properties"];
            assert!(alarm["Period"].as_u64().expect("seconds") <= 60);
        }
    }
    // Else its resources would exist without the function in inline mode.
    let worker = &template["Resources"]["WorkerFunction"]["Properties"];
    assert_eq!(worker["DeploymentPreference"]["PassthroughCondition"], true);
}

#[test]
fn outputs_include_ready_urls() {
    let template = template();
    for (output, path) in [
        ("Endpoint", ""),
        ("WebhookUrl", "/hooks/ROUTE"),
        ("JobsUrl", "/jobs"),
        ("HealthUrl", "/health"),
    ] {
        let value = template["Outputs"][output]["Value"].as_str();
        let base = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}";
        assert_eq!(value, Some(format!("{base}{path}").as_str()), "{output}");
    }
}

/// The rules of the Serverless Application Repository.
#[test]
fn repository_metadata_is_valid() {
    let template = template();
    let metadata = &template["Metadata"]["AWS::ServerlessRepo::Application"];
    let of = |key: &str| metadata[key].as_str().unwrap_or_else(|| panic!("{key}"));
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    assert!(is_name(of("Name")) && of("Name").len() <= 140);
    assert!(is_name(of("Author")) && of("Author").len() <= 127);
    assert!((1..=256).contains(&of("Description").len()));
    let labels = names(&metadata["Labels"]);
    assert!((1..=10).contains(&labels.len()));
    assert!(labels.iter().all(|label| is_name(label)));
    for file in ["LicenseUrl", "ReadmeUrl"] {
        let bytes = std::fs::metadata(repo_path(of(file)))
            .expect("a file")
            .len();
        assert!((1..5 << 20).contains(&bytes), "{file}");
    }
    assert_eq!(of("SemanticVersion"), env!("CARGO_PKG_VERSION"));
    assert!(env!("CARGO_PKG_LICENSE").contains(of("SpdxLicenseId")));
}

#[test]
fn sam_settings_name_parameters_of_the_template() {
    let settings = std::fs::read_to_string(repo_path("samconfig.toml")).expect("samconfig.toml");
    let template = template();
    let parameters = template["Parameters"].as_object().expect("parameters");
    let mut sections: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut section = "";
    for line in settings.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name;
        }
        let entry = line
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix("\","));
        if let Some((name, value)) = entry.and_then(|entry| entry.split_once('=')) {
            sections.entry(section).or_default().insert(name, value);
        }
    }
    let environments: Vec<_> = sections.keys().copied().collect();
    assert_eq!(
        environments,
        ["dev.deploy.parameters", "prod.deploy.parameters"]
    );
    for (environment, given) in &sections {
        for (name, value) in given {
            let parameter = parameters.get(*name);
            let parameter = parameter.unwrap_or_else(|| panic!("{environment}: {name}"));
            let allowed = parameter["AllowedValues"].as_array();
            let is_allowed = allowed.is_none_or(|allowed| {
                let mut allowed = allowed.iter().map(|value| value.to_string());
                allowed.any(|allowed| allowed.trim_matches('"') == *value)
            });
            assert!(is_allowed, "{environment}: {name}={value}");
        }
        for (name, parameter) in parameters {
            let is_given = parameter.get("Default").is_some() || given.contains_key(name.as_str());
            assert!(is_given, "{environment} lacks {name}");
        }
    }
}

//! `examples/routes`: each folder contains a config, an event, and the expected update requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use masshook::config::{CompileMode, Config, VerifyConfig};
use serde_json::{Value, json};

use crate::harness::repo_path;

const FILES: [&str; 3] = ["event.json", "expected.json", "masshook.yaml"];

const SECRET: &str = "00112233445566778899aabbccddeeff";

fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repo_path("examples/routes")).expect("examples/routes");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    folders
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a command; returns its JSON. The secrets that the config names are set if `secrets` is true.
fn masshook(config: &Path, secrets: bool, arguments: &[&str]) -> Value {
    let text = std::fs::read_to_string(config).expect("a config");
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.args(arguments).arg("--config").arg(config);
    for after in text.split("env:").skip(1) {
        let end = after.find(|c: char| !c.is_ascii_uppercase() && c != '_');
        let name = &after[..end.unwrap_or(after.len())];
        if secrets {
            command.env(name, SECRET);
        } else {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("masshook");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        panic!("{arguments:?}: {error}: {said}")
    })
}

/// Returns the output of `masshook preview` for the one route that accepts the event.
fn preview(config: &Path, secrets: bool, event: &Path) -> Value {
    let event = event.to_str().expect("a path");
    let said = masshook(config, secrets, &["preview", "--json", event]);
    // An event of an AWS trigger may match several routes.
    let Some(previews) = said["previews"].as_array() else {
        return said;
    };
    let [preview] = &previews[..] else {
        panic!("{event} is for {} routes", previews.len())
    };
    preview.clone()
}

fn requests(preview: &Value) -> Value {
    let updates = preview["updates"].as_array();
    let updates = updates.unwrap_or_else(|| panic!("no updates: {preview}"));
    updates
        .iter()
        .map(|update| update["request"].clone())
        .collect()
}

/// Writes the example's delivery with a valid, current signature.
fn signed(config: &Path, route: &str, scheme: &str, delivery: &Value, folder: &Path) -> PathBuf {
    let body = folder.join("body");
    let sent = &delivery["body"];
    let text = sent
        .as_str()
        .map_or_else(|| sent.to_string(), str::to_owned);
    std::fs::write(&body, text).expect("written");
    let headers: BTreeMap<String, String> =
        serde_json::from_value(delivery["headers"].clone()).expect("headers");
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("--header={name}={value}"))
        .collect();
    let mut arguments = vec!["event", scheme, "--route", route, "--trigger", "direct"];
    arguments.extend(["--body", body.to_str().expect("a path")]);
    arguments.extend(headers.iter().map(String::as_str));
    let event = folder.join("signed.json");
    let signed = masshook(config, true, &arguments);
    std::fs::write(&event, signed.to_string()).expect("written");
    event
}

#[test]
fn example_events_map_to_expected_requests() {
    let folders = folders();
    assert!(!folders.is_empty());
    for folder in folders {
        let entries = std::fs::read_dir(&folder).expect("a folder");
        let mut files: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        files.sort();
        assert_eq!(files, FILES, "{}", folder.display());

        let path = folder.join("masshook.yaml");
        let config = Config::load(&path, CompileMode::Eager);
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let expected = read(&folder.join("expected.json"));
        let event = folder.join("event.json");
        let found = preview(&path, false, &event);
        assert_eq!(requests(&found), expected, "{}", event.display());

        let route = found["route"].as_str().expect("a route");
        assert_eq!(
            Some(route),
            folder.file_name().and_then(|name| name.to_str())
        );
        if let VerifyConfig::Schemes(proofs) = &config.routes[route].verify {
            for proof in proofs {
                let scratch = tempfile::tempdir().expect("a folder");
                let name = proof.scheme.name();
                let event = signed(&path, route, name, &read(&event), scratch.path());
                let found = preview(&path, true, &event);
                let said = found["verification"].as_str().unwrap_or_default();
                assert!(said.starts_with("verified: "), "{route}: {found}");
                assert_eq!(requests(&found), expected, "{route}, signed by {name}");
            }
        }
    }
}

/// Zoho sends a notification for our own update too, which must not cause another update.
#[test]
fn notification_of_own_update_is_ignored() {
    let folder = repo_path("examples/routes/zoho-crm-notifications");
    let mut event = read(&folder.join("event.json"));
    let expected = read(&folder.join("expected.json"));
    let update = &expected[0];
    let ids = update["ids"].as_array().expect("ids");
    let fields = update["fields"].as_object().expect("fields");
    let body = &mut event["body"];
    body["ids"] = json!(ids);
    let values = ids
        .iter()
        .map(|id| json!({"record_id": id, "values": fields}));
    body["affected_values"] = values.collect();
    let names: Vec<&String> = fields.keys().collect();
    let changed = ids
        .iter()
        .map(|id| json!({id.as_str().expect("an id"): names}));
    body["affected_fields"] = changed.collect();
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("event.json");
    std::fs::write(&path, event.to_string()).expect("written");
    let found = preview(&folder.join("masshook.yaml"), false, &path);
    assert_eq!(requests(&found), json!([]));
}

/// `examples/sources`: a stack of event sources, and their routes.
#[test]
fn source_stack_grants_only_needed_permissions() {
    let folder = repo_path("examples/sources");
    let text = std::fs::read_to_string(folder.join("template.yaml")).expect("a template");
    // Read without tags: `!GetAtt Orders.Arn` is "Orders.Arn".
    let template: Value = serde_saphyr::from_str(&text).expect("YAML");
    let resources = template["Resources"].as_object().expect("resources");
    let main = std::fs::read_to_string(repo_path("template.yaml")).expect("a template");
    let main: Value = serde_saphyr::from_str(&main).expect("YAML");
    for parameter in ["InboundFunctionArn", "InboundRoleName"] {
        assert!(
            template["Parameters"][parameter].is_object() && main["Outputs"][parameter].is_object()
        );
    }

    // Every permission is for one source and one action.
    let mut allowed: Vec<(String, Value, Value)> = Vec::new();
    for (name, resource) in resources {
        let properties = &resource["Properties"];
        if resource["Type"] == "AWS::Lambda::Permission" {
            assert_eq!(properties["Action"], "lambda:InvokeFunction", "{name}");
            assert_eq!(properties["FunctionName"], "InboundFunctionArn", "{name}");
            assert!(properties["SourceArn"].is_string(), "{name}");
        }
        let documents = [
            &properties["PolicyDocument"],
            &properties["Policies"][0]["PolicyDocument"],
        ];
        for statement in documents
            .iter()
            .filter_map(|document| document["Statement"].as_array())
            .flatten()
        {
            let sid = statement["Sid"].as_str().expect("a name").to_owned();
            let by_a_service = statement["Principal"]["Service"].is_string();
            assert_eq!(
                by_a_service,
                statement["Condition"]["ArnEquals"].is_object(),
                "{sid}"
            );
            allowed.push((
                sid,
                statement["Action"].clone(),
                statement["Resource"].clone(),
            ));
        }
    }
    allowed.sort_by(|left, right| left.0.cmp(&right.0));
    let row = |sid: &str, action: Value, resource: &str| (sid.to_owned(), action, json!(resource));
    assert_eq!(
        allowed,
        [
            row("FromTheRule", json!("sqs:SendMessage"), "Undelivered.Arn"),
            row("FromTheTopic", json!("sqs:SendMessage"), "Undelivered.Arn"),
            row(
                "InvokeMasshook",
                json!("lambda:InvokeFunction"),
                "InboundFunctionArn"
            ),
            row(
                "KeepWhatFailed",
                json!("sqs:SendMessage"),
                "Undelivered.Arn"
            ),
            row(
                "ReadOrders",
                json!([
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes"
                ]),
                "Orders.Arn"
            ),
        ]
    );
    let of = |name: &str| &resources[name]["Properties"];
    assert_eq!(
        of("OrdersToMasshook")["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
    let hidden = of("Orders")["VisibilityTimeout"].as_u64().expect("seconds");
    let timeout = main["Parameters"]["Timeout"]["Default"]
        .as_u64()
        .expect("seconds");
    assert!(hidden >= 6 * timeout, "{hidden}");

    // Each source's events match its route and no other.
    let config = folder.join("masshook.yaml");
    Config::load(&config, CompileMode::Eager).expect("a config");
    let scheduled = of("Nightly")["Target"]["Input"].as_str().expect("an input");
    let scheduled: Value = serde_json::from_str(scheduled).expect("JSON");
    let source = &template["Parameters"]["EventSource"]["Default"];
    let topic = template["Parameters"]["TopicName"]["Default"]
        .as_str()
        .expect("a name");
    let topic = format!("arn:aws:sns:eu-west-1:123456789012:{topic}");
    for (event, wanted) in [
        (
            json!({"id": "1", "source": source, "detail-type": "OrderShipped",
                "detail": {"order": 7, "zoho_deal_id": "5725767000006000001"}}),
            "order-shipped",
        ),
        (scheduled, "nightly"),
        (
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "MessageId": "1",
                "TopicArn": topic, "Message": "{\"email\": \"a@example.com\"}"}}]}),
            "form-filled-in",
        ),
        (
            json!({"Records": [{"eventSource": "aws:sqs", "messageId": "1",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:sources-Orders-1",
                "body": "{\"paid\": true, \"order\": 7, \"zoho_deal_id\": \"5725767000006000001\"}"}]}),
            "paid-order",
        ),
    ] {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("event.json");
        std::fs::write(&path, event.to_string()).expect("written");
        let path = path.to_str().expect("a path");
        let said = masshook(&config, false, &["preview", "--explain", "--json", path]);
        let routes = said["explained"][0]["routes"].as_array().expect("routes");
        let takes = routes.iter().filter(|route| route["takes"] == true);
        let takes: Vec<&Value> = takes.map(|route| &route["route"]).collect();
        assert_eq!(takes, [wanted], "{said}");
    }
}

#[test]
fn readme_lists_every_example_route() {
    let readme = std::fs::read_to_string(repo_path("README.md")).expect("the README");
    let named = readme.split("(examples/routes/").skip(1);
    let mut named: Vec<&str> = named
        .filter_map(|rest| rest.split_once("/masshook.yaml)").map(|(name, _)| name))
        .collect();
    named.sort_unstable();
    let folders = folders();
    let there = folders.iter().filter_map(|path| path.file_name()?.to_str());
    assert_eq!(named, there.collect::<Vec<_>>());
    assert_eq!(named.len(), 12);
}

//! The permissions of a function in template.yaml. moto checks none, so a proxy in front of it does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::moto::{ProxyAction, faulty_proxy};
use crate::aws_template::{resources, statements};

/// One action of a request on one resource. Resources are named as the template refers to them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiCall {
    pub(crate) action: String,
    pub(crate) resource: String,
    /// The partition key of an item.
    pub(crate) key: Option<String>,
}

impl ApiCall {
    pub(crate) fn new(action: &str, resource: &str, key: Option<&str>) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            key: key.map(str::to_owned),
        }
    }

    /// The actions of a request.
    fn all(operation: &str, request: &Value) -> Vec<Self> {
        let on_table = |action: &str, request: &Value| {
            let key = ["Key", "Item"]
                .iter()
                .find_map(|part| request[*part]["pk"]["S"].as_str());
            Self::new(&format!("dynamodb:{action}"), "Table.Arn", key)
        };
        match operation {
            "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" => {
                vec![on_table(operation, request)]
            }
            "Query" => vec![Self::query(request)],
            "BatchGetItem" => {
                let tables = request["RequestItems"].as_object().expect("tables");
                let keys = tables
                    .values()
                    .flat_map(|table| table["Keys"].as_array().expect("keys"));
                let key = |key: &Value| key["pk"]["S"].as_str().map(str::to_owned);
                keys.map(|part| {
                    Self::new("dynamodb:BatchGetItem", "Table.Arn", key(part).as_deref())
                })
                .collect()
            }
            "TransactWriteItems" => {
                let items = request["TransactItems"].as_array().expect("items").iter();
                let parts = items.flat_map(|item| item.as_object().expect("an item"));
                let action = |kind: &str| match kind {
                    "ConditionCheck" => "ConditionCheckItem".to_owned(),
                    other => format!("{other}Item"),
                };
                parts
                    .map(|(kind, part)| on_table(&action(kind), part))
                    .collect()
            }
            "SendMessage" | "SendMessageBatch" => {
                vec![Self::new("sqs:SendMessage", "Queue.Arn", None)]
            }
            // The secrets of the tests' Secrets Manager verify deliveries; the worker's are in its environment.
            "GetSecretValue" => {
                vec![Self::new(
                    "secretsmanager:GetSecretValue",
                    "InboundSecretArns",
                    None,
                )]
            }
            "GetParameter" => vec![Self::new("ssm:GetParameter", "InboundSecretArns", None)],
            other => vec![Self::new(other, "?", None)],
        }
    }

    fn query(request: &Value) -> Self {
        let condition = request["KeyConditionExpression"]
            .as_str()
            .unwrap_or_default();
        let name = condition
            .split_whitespace()
            .find(|word| word.starts_with(':'));
        let values = &request["ExpressionAttributeValues"];
        let key = name.and_then(|name| values[name]["S"].as_str());
        let resource = match request["IndexName"].as_str() {
            Some(index) => format!("${{Table.Arn}}/index/{index}"),
            None => "Table.Arn".to_owned(),
        };
        Self::new("dynamodb:Query", &resource, key)
    }

    /// The call without the id in its key.
    fn kind(&self) -> String {
        let key = self.key.as_deref().unwrap_or_default();
        let prefix = key.split_once('#').map_or("", |(prefix, _)| prefix);
        format!("{} {} {prefix}", self.action, self.resource)
            .trim_end()
            .to_owned()
    }
}

fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

/// Whether a statement allows a call. Panics on a condition that it does not know.
fn statement_allows(statement: &Value, call: &ApiCall) -> bool {
    let matches = |part: &str, text: &str| {
        list(&statement[part])
            .iter()
            .any(|pattern| is_like(pattern, text))
    };
    if !matches("Action", &call.action) || !matches("Resource", &call.resource) {
        return false;
    }
    let conditions = statement["Condition"].as_object();
    conditions.into_iter().flatten().all(|(operator, keys)| {
        let keys = keys.as_object().expect("condition keys");
        keys.iter().all(|(key, expected)| {
            assert_eq!(key, "dynamodb:LeadingKeys", "an unknown condition key");
            match operator.as_str() {
                "ForAllValues:StringLike" => call
                    .key
                    .as_ref()
                    .is_none_or(|key| list(expected).iter().any(|pattern| is_like(pattern, key))),
                "Null" => list(expected) == ["false"] && call.key.is_some(),
                other => panic!("an unknown operator: {other}"),
            }
        })
    })
}

/// Whether the role of a function in durable mode allows a call.
pub(crate) fn role_allows(function: &str, call: &ApiCall) -> bool {
    let resources = resources("durable");
    let statements = statements(&resources, function);
    statements
        .values()
        .any(|statement| statement_allows(statement, call))
}

/// A proxy in front of moto that refuses what the role of a function does not allow.
#[derive(Debug)]
pub(crate) struct PolicyProxy {
    pub(crate) url: String,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Debug, Default)]
struct Calls {
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

impl PolicyProxy {
    pub(crate) async fn start(function: &'static str) -> Self {
        let resources = resources("durable");
        let statements = statements(&resources, function);
        let statements: Vec<Value> = statements.into_values().cloned().collect();
        let calls: Arc<Mutex<Calls>> = Arc::default();
        let seen = Arc::clone(&calls);
        let url = faulty_proxy(move |operation, request| {
            let mut calls = seen.lock().expect("no panic");
            let mut action = ProxyAction::Forward;
            for call in ApiCall::all(operation, request) {
                if statements
                    .iter()
                    .any(|statement| statement_allows(statement, &call))
                {
                    calls.allowed.insert(call.kind());
                } else {
                    calls.denied.insert(format!("{call:?}"));
                    action = ProxyAction::Fail("AccessDeniedException");
                }
            }
            action
        });
        Self {
            url: url.await,
            calls,
        }
    }

    /// The kinds of calls that were made and allowed.
    pub(crate) fn allowed(&self) -> Vec<String> {
        self.calls
            .lock()
            .expect("no panic")
            .allowed
            .iter()
            .cloned()
            .collect()
    }

    /// The calls that were refused.
    pub(crate) fn denied(&self) -> Vec<String> {
        self.calls
            .lock()
            .expect("no panic")
            .denied
            .iter()
            .cloned()
            .collect()
    }
}

//! CloudEvents in the command line: examples, previews and samples in both modes.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const CONFIG: &str = r#"
connections: { default: { credentials: env:ZOHO } }
routes:
  orders:
    verify: { scheme: bearer, secret: env:SENDER }
    cloudevents: {}
    when: $trigger.cloudevent.type == "order.paid"
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [.lead], reference: $trigger.cloudevent.id}'
  contacts:
    verify: { scheme: standard-webhooks, secret: env:SIGNER }
    cloudevents: {}
    map: '{module: "Leads", fields: {Rating: "Active"}, match: {field: "Email", values: [.data.email]}}'
  queue:
    on: sqs
    cloudevents: {}
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [.lead]}'
  plain:
    verify: { scheme: bearer, secret: env:SENDER }
    map: empty
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with the config, and the same example for two of its routes.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("masshook.yaml", CONFIG);
        for route in ["orders", "queue"] {
            let example = folder.path().join("examples").join(route);
            std::fs::create_dir_all(&example).expect("a folder");
            folder.write(
                &format!("examples/{route}/event.json"),
                &event().to_string(),
            );
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }

    /// Runs masshook; returns the exit status, stdout and stderr.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
            .args(arguments)
            .current_dir(self.path())
            .env("SENDER", "0123456789abcdef0123456789abcdef")
            .env(
                "SIGNER",
                "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            )
            .stdin(Stdio::null())
            .output()
            .expect("masshook");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let code = output.status.code().expect("a code");
        (code, text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, complained) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {complained}{out}");
        serde_json::from_str(&out).expect("JSON")
    }

    /// Prints an event, and previews it; returns both.
    fn previewed(&self, arguments: &[&str]) -> (Value, Value) {
        let printed = self.json(&[&["event"], arguments].concat());
        self.write("printed.json", &printed.to_string());
        let preview = self.json(&["preview", "printed.json", "--json"]);
        (printed, preview)
    }
}

fn event() -> Value {
    json!({
        "specversion": "1.0", "id": "own", "source": "/shop", "type": "order.paid", "time": "2020-01-01T00:00:00Z",
        "data": {"lead": "5725767000003000064"},
    })
}

#[test]
fn bare_event_is_read_in_structured_mode() {
    let folder = Folder::new();
    folder.write("ce.json", &event().to_string());
    let preview = folder.json(&["preview", "--route", "orders", "ce.json", "--json"]);
    assert_eq!(preview["delivery_id"], "/shop own", "{preview:#}");
    assert_eq!(preview["updates"][0]["request"]["reference"], "own");
    let report = folder.json(&["check", "--skip-secrets", "--json"]);
    for example in report["examples"].as_array().expect("a list") {
        let found = example["found"].as_str().expect("a text");
        assert!(found.contains("1 update request of route"), "{report:#}");
    }
    assert_eq!(report["examples"].as_array().map(Vec::len), Some(2));
    // What is no event is refused, as the server refuses it.
    folder.write("ce.json", r#"{"lead": "5725767000003000064"}"#);
    let (code, _, complained) = folder.run(&["preview", "--route", "orders", "ce.json"]);
    assert_eq!(code, 1, "{complained}");
    assert!(complained.contains("takes CloudEvents"), "{complained}");
}

#[test]
fn example_is_sent_as_a_new_event() {
    let folder = Folder::new();
    let mut ids = Vec::new();
    for more in [&["orders"][..], &["orders"], &["orders", "--binary"]] {
        let (printed, preview) = folder.previewed(more);
        let headers = &printed["headers"];
        let is_binary = more.len() == 2;
        assert_eq!(headers["ce-source"].is_string(), is_binary, "{printed:#}");
        let content_type = match is_binary {
            true => "application/json",
            false => "application/cloudevents+json",
        };
        assert_eq!(headers["content-type"], content_type);
        assert!(!printed.to_string().contains("2020-01-01"), "{printed:#}");
        assert_eq!(preview["updates"].as_array().map(Vec::len), Some(1));
        ids.push(preview["delivery_id"].as_str().expect("an id").to_owned());
    }
    assert!(ids.iter().all(|id| id.starts_with("/shop msg_")), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 3, "each is a new event");
    for (key, mode) in [("data.lead", &[][..]), ("lead", &["--binary"])] {
        let lead = format!("{key}=5725767000003000065");
        let arguments = [&["orders", "--id", "A 1", "--override", &lead], mode].concat();
        let (printed, preview) = folder.previewed(&arguments);
        assert_eq!(preview["delivery_id"], "/shop A 1", "{printed:#}");
        let ids = &preview["updates"][0]["request"]["ids"];
        assert_eq!(ids[0], "5725767000003000065", "{preview:#}");
    }
}

/// The sample of a sender becomes the data of an event.
#[test]
fn other_sample_becomes_an_event() {
    let folder = Folder::new();
    for mode in [&[][..], &["--binary"]] {
        let (printed, preview) = folder.previewed(&[&["contacts"], mode].concat());
        let verification = preview["verification"].as_str().expect("a text");
        assert!(verification.starts_with("verified"), "{preview:#}");
        let email = &preview["updates"][0]["request"]["match"]["values"][0];
        assert!(email.is_string(), "{printed:#}");
    }
    folder.write("body.json", &event().to_string());
    let (_, own) = folder.previewed(&["orders", "--body", "body.json"]);
    assert_eq!(own["delivery_id"], "/shop own", "a given event stays");
    let (code, _, complained) = folder.run(&["event", "plain", "--binary"]);
    assert_eq!(code, 2);
    assert!(complained.contains("takes no CloudEvents"), "{complained}");
}

#[test]
fn event_of_a_queue_is_its_example() {
    let folder = Folder::new();
    let printed = folder.json(&["event", "queue"]);
    let body = printed["Records"][0]["body"].as_str().expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["source"], "/shop");
    folder.write("printed.json", &printed.to_string());
    let preview = folder.json(&["preview", "printed.json", "--json"]);
    assert_eq!(
        preview["previews"].as_array().map(Vec::len),
        Some(1),
        "{preview:#}"
    );
    let (code, _, complained) = folder.run(&["send", "queue"]);
    assert_eq!(code, 2);
    assert!(
        complained.contains("`masshook event` prints"),
        "{complained}"
    );
}

/// Whether an event in binary mode is protected depends on the scheme; `check` names the routes where it is not.
#[test]
fn unsigned_event_ids_are_noted() {
    let folder = Folder::new();
    let custom = "scheme: custom, secret: env:SENDER, type: hmac, algorithm: sha256, signature: { header: x-signature, encoding: hex }";
    let route = |name: &str, signed: &str| {
        format!(
            "  {name}:\n    verify: {{ {custom}, signed: '{signed}' }}\n    cloudevents: {{}}\n    map: empty\n"
        )
    };
    let config = [
        CONFIG.to_owned(),
        route("bodyonly", "{body}"),
        route("sourceonly", "{header:ce-source}.{body}"),
        route("covered", "{header:ce-source}.{header:ce-id}.{body}"),
    ];
    folder.write("masshook.yaml", &config.concat());
    let report = folder.json(&["check", "--skip-secrets", "--json"]);
    let notes = report["notes"].as_array().expect("a list");
    let about: Vec<&Value> = notes.iter().map(|note| &note["check"]).collect();
    let expected = [
        "routes.bodyonly.cloudevents",
        "routes.sourceonly.cloudevents",
    ];
    assert_eq!(about, expected, "{report:#}");
}

//! `masshook send` and `masshook event`: every sender's sample, signed, to a real server and under the real emulator.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use webhook_verify::scheme::{PRESETS, Scheme};

use crate::harness::{Rie, RieOptions};

/// Senders whose signing keys are private.
const ONLY_THE_SENDER: [&str; 4] = [
    "standard-webhooks-ed25519",
    "discord",
    "aws-sns",
    "zoho-desk",
];

/// Credentials that are never used.
const ZOHO: &str = r#"{"client_id": "1", "client_secret": "1", "refresh_token": "1"}"#;

const SECRET: &str = "00112233445566778899aabbccddeeff";

/// Returns a config with a route for every sender whose deliveries can be signed here.
fn config(folder: &Path) -> String {
    let mut text = "connections: { default: { credentials: env:ZOHO, accounts_url: 'http://127.0.0.1:1', api_url: 'http://127.0.0.1:1' } }\nroutes:\n".to_owned();
    for name in senders() {
        let scheme = Scheme::preset(name).expect("a preset");
        let params: serde_json::Map<String, Value> = scheme
            .needed_params()
            .into_iter()
            .map(|key| (key, json!("1")))
            .collect();
        let secret = if scheme.enrolls_secret() {
            // As if the sender had enrolled it.
            let place = folder.join(name);
            std::fs::write(&place, SECRET).expect("written");
            format!("file:{}", place.display())
        } else {
            "env:SENDER".to_owned()
        };
        let verify = json!({"scheme": name, "secret": secret, "params": params});
        writeln!(
            text,
            "  {name}: {{ verify: {verify}, public_url: 'https://hooks.example.com/hooks/{name}', map: empty }}"
        )
        .expect("written");
    }
    // Accepts typeform events from AWS triggers, and fails on any other event.
    text.push_str(
        "  listener: { on: [eventbridge, sns, sqs], map: 'if (.detail? // .).form_response.token == \"overridden\" then empty else error(\"not it\") end' }\n",
    );
    text
}

fn senders() -> impl Iterator<Item = &'static str> {
    PRESETS
        .iter()
        .copied()
        .filter(|name| !ONLY_THE_SENDER.contains(name))
}

fn masshook(config: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env("SENDER", SECRET)
        .output()
        .expect("masshook");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("a code");
    (code, text(output.stdout), text(output.stderr))
}

fn in_a_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("masshook.yaml");
    std::fs::write(&path, config(folder.path())).expect("written");
    (folder, path)
}

/// A `masshook serve` that ends with the test.
struct Server {
    process: std::process::Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(config: &Path) -> Server {
    use std::io::BufRead;
    let mut process = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .arg("--data")
        .arg(config.with_file_name("data"))
        .env("SENDER", SECRET)
        .env("ZOHO", ZOHO)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("masshook");
    let log = std::io::BufReader::new(process.stderr.take().expect("a log"));
    let (sender, receiver) = std::sync::mpsc::channel();
    // Read the log to its end, so that the server never blocks on a full pipe.
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("listening on ") {
                let _ = sender.send(address.trim().to_owned());
            }
        }
    });
    let url = receiver.recv_timeout(std::time::Duration::from_secs(60));
    Server {
        process,
        url: url.expect("the server says where it listens"),
    }
}

#[test]
fn signed_samples_verify_and_unsigned_fail() {
    let (_folder, config) = in_a_file();
    let server = serve(&config);
    for name in senders() {
        let arguments = ["send", name, "--to", &server.url, "--json"];
        let (code, said, complained) = masshook(&config, &arguments);
        let said: Value =
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("{name}: {complained}"));
        assert_eq!(code, 0, "{name}: {said}");
        assert!(!said.to_string().contains(SECRET), "{name}: {said}");
        let unsigned = [&arguments[..], &["--unsigned"]].concat();
        let (code, said, _) = masshook(&config, &unsigned);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(
            (code, &said["answer"]["status"]),
            (1, &json!(401)),
            "{name}: {said}"
        );
    }
}

#[test]
fn overrides_are_signed_and_sent() {
    let (_folder, config) = in_a_file();
    let server = serve(&config);
    let to = ["--to", &server.url, "--json"];
    let send = |arguments: &[&str]| {
        let (code, said, complained) = masshook(&config, &[arguments, &to].concat());
        assert_eq!(code, 0, "{said}{complained}");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        said["sent"]["body"].as_str().expect("a body").to_owned()
    };
    let body = send(&[
        "send",
        "typeform",
        "--override",
        "form_response.hidden.zoho_lead_id=554023000000497007",
        "--override",
        "/form_response/answers/0/text=no number",
        "--header",
        "x-mine=1",
    ]);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        body["form_response"]["hidden"]["zoho_lead_id"],
        554_023_000_000_497_007_u64
    );
    assert_eq!(body["form_response"]["answers"][0]["text"], "no number");
    let body = send(&[
        "send",
        "mailchimp",
        "--override",
        "data[email]=a&b@example.com",
    ]);
    assert!(
        body.contains("data%5Bemail%5D=a%26b%40example.com"),
        "{body}"
    );
    let body = send(&[
        "send",
        "jotform",
        "--override",
        "formID=17",
        "--override",
        "new=x",
    ]);
    assert!(
        body.contains("name=\"formID\"\r\n\r\n17\r\n")
            && body.contains("name=\"new\"\r\n\r\nx\r\n"),
        "{body}"
    );
}

#[test]
fn invalid_send_arguments_are_explained() {
    let (_folder, config) = in_a_file();
    let refused = |arguments: &[&str]| {
        let (code, said, complained) = masshook(&config, arguments);
        assert_eq!((code, said.as_str()), (2, ""), "{complained}");
        complained
    };
    assert!(refused(&["send", "stirpe"]).contains("did you mean `stripe`?"));
    assert!(refused(&["send", "discord"]).contains("no route of the config verifies discord"));
    assert!(refused(&["send", "stripe", "--route", "github"]).contains("does not verify stripe"));
    assert!(refused(&["send", "stripe", "--override", "type.x=1"]).contains("no place for"));
    assert!(refused(&["send", "stripe", "--override", "type"]).contains("KEY=VALUE"));
    assert!(refused(&["send", "stripe", "--route", "strype"]).contains("no route `strype`"));
    assert!(refused(&["send", "stripe", "--body", "/not/here"]).contains("/not/here"));
    assert!(refused(&["event", "stripe", "--trigger", "kinesis"]).contains("sns-in-sqs"));
    let schedule = |more: &[&str]| refused(&[&["event", "schedule"], more].concat());
    assert!(schedule(&["--trigger", "sqs"]).contains("--trigger direct"));
    assert!(schedule(&["--trigger", "direct"]).contains("select one with --route"));
    assert!(schedule(&["--route", "github"]).contains("does not listen to `eventbridge`"));
    assert!(schedule(&["--route", "gitlub"]).contains("no route `gitlub`"));
    assert!(schedule(&["--header", "x-a=b"]).contains("no header `x-a`"));
    assert!(refused(&["send", "schedule"]).contains("no sender `schedule`"));
    for to in ["hooks.example.com", "ftp://hooks.example.com", "https://"] {
        let said = refused(&["send", "stripe", "--to", to]);
        assert!(said.contains("expected a full URL"), "{to}: {said}");
    }
    // A local endpoint, and deployed ones with a stage or a custom path.
    for (to, url) in [
        ("http://127.0.0.1:9", "http://127.0.0.1:9/hooks/stripe"),
        (
            "https://127.0.0.1:9/prod/",
            "https://127.0.0.1:9/prod/hooks/stripe",
        ),
        (
            "https://127.0.0.1:9/in/hooks/mine",
            "https://127.0.0.1:9/in/hooks/mine",
        ),
    ] {
        let (code, said, complained) = masshook(&config, &["send", "stripe", "--to", to]);
        assert_eq!(code, 1, "{complained}");
        assert!(said.starts_with(&format!("> POST {url}\n")), "{said}");
        assert!(complained.contains("no connection"), "{complained}");
    }
    // With several routes for one sender, `--route` is needed.
    let text = std::fs::read_to_string(&config).expect("a config").replace(
        "routes:\n",
        "routes:\n  again: { verify: { scheme: stripe, secret: env:SENDER }, map: empty }\n",
    );
    std::fs::write(&config, text).expect("written");
    assert!(refused(&["send", "stripe"]).contains("select one with --route: again, stripe"));
    let (code, said, _) = masshook(&config, &["event", "stripe", "--route", "again"]);
    assert!(code == 0 && said.contains("/hooks/again"), "{said}");
}

#[tokio::test]
async fn printed_events_verify_under_the_emulator() {
    let (_folder, config) = in_a_file();
    let rie = Rie::start(&RieOptions {
        env: vec![
            ("MASSHOOK_CONFIG".to_owned(), config.display().to_string()),
            ("SENDER".to_owned(), SECRET.to_owned()),
        ],
        timeout_s: 29,
        ..RieOptions::default()
    });
    let over_http = [
        "http-api-v2",
        "rest-v1",
        "function-url",
        "alb",
        "alb-multi-value",
    ];
    let mut pairs: Vec<(&str, &str)> = senders().zip(over_http.into_iter().cycle()).collect();
    // JSON, a signed URL with a form, a multipart form with a token in the query.
    for name in ["typeform", "twilio", "jotform"] {
        pairs.extend(over_http.map(|trigger| (name, trigger)));
    }
    for (name, trigger) in pairs {
        let (code, event, complained) = masshook(&config, &["event", name, "--trigger", trigger]);
        assert_eq!(code, 0, "{name}: {complained}");
        let event: Value = serde_json::from_str(&event).expect("JSON");
        let answer = rie.invoke(&event).await;
        let status = answer["statusCode"].as_u64();
        assert!(
            status.is_some_and(|status| status < 300),
            "{name} {trigger}: {answer}"
        );
    }
    for trigger in ["eventbridge", "sns", "sqs", "sqs-fifo", "sns-in-sqs"] {
        let event = |token: &str| {
            let token = format!("form_response.token={token}");
            let arguments = [
                "event",
                "typeform",
                "--trigger",
                trigger,
                "--override",
                &token,
            ];
            let (code, event, complained) = masshook(&config, &arguments);
            assert_eq!(code, 0, "{trigger}: {complained}");
            serde_json::from_str::<Value>(&event).expect("JSON")
        };
        let taken = event("overridden");
        let answer = rie.invoke(&taken).await;
        let expected = match trigger.contains("sqs") {
            true => json!({"batchItemFailures": []}),
            false => json!({"jobs": [], "ignored": 1, "kept": 0}),
        };
        assert_eq!(answer, expected, "{trigger}: {}", rie.logs());
        let because = "listener: `map` yields nothing";
        assert!(rie.logs().contains(because), "{trigger}: {}", rie.logs());
        // Another token fails, which shows that the listener receives the event.
        let refused = event("another");
        let answer = rie.invoke(&refused).await;
        match trigger.contains("sqs") {
            true => assert_eq!(
                answer["batchItemFailures"][0]["itemIdentifier"],
                refused["Records"][0]["messageId"],
                "{trigger}: {answer}"
            ),
            false => assert_eq!(answer["errorType"], "mapping_failed", "{trigger}: {answer}"),
        }
    }
    for name in ["typeform", "stripe", "jotform", "slack"] {
        let (_, event, _) = masshook(&config, &["event", name, "--trigger", "direct"]);
        let event: Value = serde_json::from_str(&event).expect("JSON");
        let expected = json!({"jobs": [], "ignored": "map yields nothing"});
        assert_eq!(rie.invoke(&event).await, expected, "{name}");
    }
}

#[test]
fn aws_trigger_events_carry_the_body() {
    let (_folder, config) = in_a_file();
    let event = |trigger: &str| {
        let arguments = [
            "event",
            "shopify",
            "--trigger",
            trigger,
            "--override",
            "note=x",
        ];
        let (code, event, complained) = masshook(&config, &arguments);
        assert_eq!(code, 0, "{complained}");
        serde_json::from_str::<Value>(&event).expect("JSON")
    };
    let bridge = event("eventbridge");
    assert_eq!(
        [&bridge["source"], &bridge["detail"]["note"]],
        ["shopify", "x"]
    );
    let topic = &event("sns")["Records"][0];
    assert_eq!(topic["EventSource"], "aws:sns");
    assert_eq!(
        topic["Sns"]["MessageAttributes"]["x-shopify-topic"]["Value"],
        "customers/create"
    );
    let queue = &event("sqs")["Records"][0];
    assert_eq!(queue["eventSource"], "aws:sqs");
    for body in [&topic["Sns"]["Message"], &queue["body"]] {
        let body: Value = serde_json::from_str(body.as_str().expect("a text")).expect("JSON");
        assert_eq!(body["note"], "x");
    }
}

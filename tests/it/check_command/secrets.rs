//! `masshook check` and `masshook serve` read every secret, and report each that cannot serve its purpose.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CONFIG: &str = r"
connections: { default: { credentials: CREDENTIALS } }
api: { key: API_KEY }
callbacks: { signing_secret: SIGNING }
routes:
  orders: { verify: { scheme: stripe, secret: SENDER }, map: empty }
  keys: { verify: { scheme: discord, secret: PUBLIC_KEY }, map: empty }
  tasks: { verify: { scheme: asana, secret: ENROLLED }, map: empty }
";

const GOOD: [(&str, &str); 6] = [
    (
        "CREDENTIALS",
        r#"{"client_id": "1", "client_secret": "hunter2", "refresh_token": "1"}"#,
    ),
    ("API_KEY", "a-key-for-jobs"),
    ("SIGNING", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("SENDER", "whsec_of_stripe_endpoint"),
    (
        "PUBLIC_KEY",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    ("ENROLLED", ""),
];

/// Runs a command with the good secrets, one of them replaced. `None` unsets it.
fn run(command: &[&str], replaced: &str, by: Option<&str>) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = CONFIG.to_owned();
    let mut masshook = Command::new(env!("CARGO_BIN_EXE_masshook"));
    for (name, good) in GOOD {
        let value = if name == replaced { by } else { Some(good) };
        let reference = match name {
            // A secret that is enrolled is stored in a file.
            "ENROLLED" => {
                let path = folder.path().join("enrolled");
                if let Some(secret) = value {
                    std::fs::write(&path, secret).expect("written");
                }
                format!("file:{}", path.display())
            }
            _ => {
                if let Some(secret) = value {
                    masshook.env(format!("TEST_{name}"), secret);
                }
                format!("env:TEST_{name}")
            }
        };
        config = config.replace(name, &reference);
    }
    let path = folder.path().join("masshook.yaml");
    std::fs::write(&path, config).expect("written");
    masshook
        .args(command)
        .arg("--config")
        .arg(&path)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("masshook")
}

#[test]
fn unusable_secret_is_reported_before_its_first_use() {
    for (name, by, at, why) in [
        (
            "CREDENTIALS",
            None,
            "connections.default.credentials",
            "the environment variable is not set",
        ),
        (
            "CREDENTIALS",
            Some("{}"),
            "connections.default.credentials",
            "has no `refresh_token`",
        ),
        (
            "CREDENTIALS",
            Some("hunter2"),
            "connections.default.credentials",
            "is not a JSON object",
        ),
        (
            "API_KEY",
            None,
            "api.key",
            "the environment variable is not set",
        ),
        (
            "SIGNING",
            None,
            "callbacks.signing_secret",
            "the environment variable is not set",
        ),
        (
            "SIGNING",
            Some("hunter2"),
            "callbacks.signing_secret",
            "it must begin with `whsec_`",
        ),
        (
            "SIGNING",
            Some("whsec_?"),
            "callbacks.signing_secret",
            "is not base64",
        ),
        (
            "SENDER",
            None,
            "routes.orders.verify.secret",
            "the environment variable is not set",
        ),
        (
            "SENDER",
            Some(" \t\n"),
            "routes.orders.verify.secret",
            "contains nothing but white space",
        ),
        (
            "API_KEY",
            Some("  "),
            "api.key",
            "contains nothing but white space",
        ),
        (
            "SENDER",
            Some(""),
            "routes.orders.verify.secret",
            "is empty",
        ),
        (
            "PUBLIC_KEY",
            Some("hunter2"),
            "routes.keys.verify.secret",
            "cannot verify deliveries",
        ),
    ] {
        let checked = run(&["check"], name, by);
        let said = String::from_utf8(checked.stdout).expect("text");
        assert_eq!(checked.status.code(), Some(1), "{name}: {said}");
        let mut lines = said.lines().filter(|line| line.contains("  BAD"));
        let line = lines.next().expect("a bad finding");
        assert!(line.contains(at) && line.contains(why), "{name}: {said}");
        assert_eq!(lines.next(), None, "{name}: {said}");
        assert!(!said.contains("hunter2"), "{said}");

        let served = run(&["serve", "--listen", "127.0.0.1:0"], name, by);
        let said = String::from_utf8(served.stderr).expect("text");
        assert_eq!(served.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(at) && said.contains(why), "{name}: {said}");
        assert!(!said.contains("hunter2"), "{said}");

        let skipped = run(&["check", "--skip-secrets"], name, by);
        assert_eq!(skipped.status.code(), Some(0), "{name}");
    }
}

#[test]
fn suspicious_secret_is_a_note() {
    for (name, by, why) in [
        ("SENDER", "whsec_hunter2", "is a key of 13 bytes"),
        (
            "SENDER",
            " whsec_of_stripe_endpoint",
            "begins or ends with white space",
        ),
        (
            "API_KEY",
            "a-key-for-jobs ",
            "begins or ends with white space",
        ),
        ("SENDER", "whsec_of_stripe_endpoint\n", ""),
        ("SIGNING", "whsec_MfKQ9r8GKYqrTwjU\n  PD8ILPZIo2LaLaSw", ""),
    ] {
        let checked = run(&["check"], name, Some(by));
        let said = String::from_utf8(checked.stdout).expect("text");
        assert_eq!(checked.status.code(), Some(0), "{name}: {said}");
        let is_noted = said
            .lines()
            .any(|line| line.contains("  note  ") && line.contains("white space"))
            || said
                .lines()
                .any(|line| line.contains("  note  ") && line.contains("bytes"));
        assert_eq!(is_noted, !why.is_empty(), "{by:?}: {said}");
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn usable_secrets_are_listed_with_their_use() {
    // Neither an absent file nor an empty one is a fault before the handshake.
    for enrolled in [None, Some("")] {
        let checked = run(&["check", "--json"], "ENROLLED", enrolled);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        let document: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
        let secrets = document["secrets"].as_array().expect("a list");
        let results: Vec<[&str; 2]> = secrets
            .iter()
            .map(|row| ["check", "result"].map(|key| row[key].as_str().expect("a text")))
            .collect();
        let expected = [
            ["connections.default.credentials", "ok"],
            ["api.key", "ok"],
            ["callbacks.signing_secret", "ok"],
            ["routes.keys.verify.secret", "ok"],
            ["routes.orders.verify.secret", "ok"],
            ["routes.tasks.verify.secret", "note"],
        ];
        assert_eq!(results, expected, "{document}");
    }
}

/// A handshake that signs what a stranger sends, and a route that trusts the same key.
const SIGNING: &str = r#"
connections: { default: { credentials: env:ZOHO } }
callbacks: { signing_secret: CALLBACKS }
routes:
  signs:
    verify: { scheme: none, handshakes: [{ method: GET, when: [{ query: x }], answer: { text: "{hmac_hex:query:x}" } }] }
    handshake_secret: HANDSHAKE
    map: empty
  trusts: { verify: { scheme: github, secret: DELIVERIES }, map: empty }
  standard: { verify: { scheme: standard-webhooks, secret: STANDARD }, map: empty }
"#;

#[test]
fn one_secret_under_two_references_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for name in ["one", "two"] {
        std::fs::write(folder.path().join(name), key).expect("written");
    }
    std::fs::write(folder.path().join("zoho"), GOOD[0].1).expect("written");
    let at = |path: &str| format!("file:{}/{path}", folder.path().display());
    let other = |name: &str| format!("env:OTHER_{name}");
    for (handshake, deliveries, callbacks, standard, at_fault) in [
        (
            at("one"),
            at("./one"),
            other("A"),
            other("B"),
            "routes.signs.verify",
        ),
        (
            at("one"),
            at("two"),
            other("A"),
            other("B"),
            "routes.signs.verify",
        ),
        (
            at("one"),
            "env:SAME".to_owned(),
            other("A"),
            other("B"),
            "routes.signs.verify",
        ),
        (
            other("A"),
            other("B"),
            at("one"),
            at("./one"),
            "routes.standard.verify",
        ),
        (
            other("A"),
            other("B"),
            at("one"),
            at("two"),
            "routes.standard.verify",
        ),
        (other("A"), other("B"), other("A"), at("two"), ""),
    ] {
        let config = SIGNING
            .replace("env:ZOHO", &at("zoho"))
            .replace("HANDSHAKE", &handshake)
            .replace("DELIVERIES", &deliveries)
            .replace("CALLBACKS", &callbacks)
            .replace("STANDARD", &standard);
        let path = folder.path().join("masshook.yaml");
        std::fs::write(&path, config).expect("written");
        let run = |arguments: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
                .args(arguments)
                .arg("--config")
                .arg(&path)
                .env("SAME", key)
                .env("OTHER_A", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
                .env("OTHER_B", "whsec_plJ3nmyCDGBKInavdOK15jsl9uqBNhGL")
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .expect("masshook");
            let said = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(said).expect("text"))
        };
        let (code, said) = run(&["check"]);
        let is_refused = !at_fault.is_empty();
        assert_eq!(code, Some(i32::from(is_refused)), "{said}");
        assert!(said.contains(at_fault), "{said}");
        if is_refused {
            let (code, said) = run(&["serve", "--listen", "127.0.0.1:0"]);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(at_fault), "{said}");
        }
    }
}

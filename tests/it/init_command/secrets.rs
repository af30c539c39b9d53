//! Secrets of a new project.

use super::*;

#[test]
fn commands_quote_the_names_of_secrets() {
    let folder = folder();
    let folder = folder.path();
    let text = "connections: { default: { credentials: env:ZOHO } }\ncallbacks: { signing_secret: 'ssm:/a b;touch pwn' }\nroutes: {}\n";
    std::fs::write(folder.join("masshook.yaml"), text).expect("written");
    let made = masshook(folder, &["secrets", "make"]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned() + &errors(&made);
    assert!(said.contains("--name '/a b;touch pwn' --type"), "{said}");
}

#[test]
fn placeholder_key_is_not_given_to_the_sender() {
    for sender in ["discord", "standard-webhooks-ed25519"] {
        let folder = folder();
        let made = masshook(folder.path(), &["init", "--sender", sender, "--json"]);
        let advice = &json(&made)["secrets"][format!("secrets/{sender}")];
        assert_eq!(
            *advice,
            format!("is a placeholder: replace it by the public key that {sender} shows")
        );
        let report = check(folder.path(), sender).to_string();
        assert!(
            report.contains("replace it by the public key that the sender shows"),
            "{report}"
        );
    }
}

#[test]
fn secrets_are_private_and_ignored_by_git() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join(".gitignore"), "target").expect("written");
    masshook(folder, &["init", "--sender", "stripe"]);
    let mode = |name: &str| {
        let metadata = folder.join(name).metadata().expect(name);
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("secrets"), 0o700);
    for name in ["secrets/stripe", "secrets/callback", "secrets/zoho.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let ignored = read(folder, ".gitignore");
    assert_eq!(
        ignored,
        "target\n/secrets/\n/client-secret\n/masshook-dev/\n/masshook-data/\n"
    );
    let made = Command::new("git")
        .args(["init", "-q"])
        .current_dir(folder)
        .status();
    assert!(made.expect("git").success());
    let status = Command::new("git")
        .args(["status", "--porcelain", "--untracked-files=all"])
        .current_dir(folder)
        .output()
        .expect("git");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!status.contains("secrets"), "{status}");
    assert!(status.contains("masshook.yaml"), "{status}");
}

#[test]
fn existing_secret_is_kept_or_refused() {
    let folder = folder();
    let folder = folder.path();
    std::fs::create_dir(folder.join("secrets")).expect("made");
    std::fs::write(folder.join("secrets/stripe"), "whsec_my_own_secret\n").expect("written");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(folder.join("secrets/stripe"), open).expect("opened");
    std::fs::write(folder.join("secrets/callback"), "short\n").expect("written");
    let refused = masshook(folder, &["init", "--sender", "stripe"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("secrets/callback exists already"),
        "{refused:?}"
    );
    assert!(!folder.join("masshook.yaml").exists());
    std::fs::remove_file(folder.join("secrets/callback")).expect("removed");
    let made = masshook(folder, &["init", "--sender", "stripe", "--json"]);
    assert_eq!(json(&made)["kept"][0], "secrets/stripe", "{made:?}");
    let advice = &json(&made)["secrets"]["secrets/stripe"];
    let advice = advice.as_str().expect("advice");
    assert!(
        !advice.contains("made up"),
        "it is the user's own: {advice}"
    );
    assert!(advice.contains("(mode 0666): chmod 600"), "{advice}");
    let checked = masshook(folder, &["check", "--json"]);
    let checked = json(&checked)["secrets"].to_string();
    assert!(
        checked.contains("can be replaced by other users (mode 0666)"),
        "{checked}"
    );
    assert_eq!(read(folder, "secrets/stripe"), "whsec_my_own_secret\n");
    check(folder, "stripe");
}

#[test]
fn secrets_in_aws_are_commands() {
    let folder = folder();
    let folder = folder.path();
    let made = masshook(
        folder,
        &["init", "--sender", "meta", "--secrets", "aws", "--json"],
    );
    let made = json(&made);
    let commands: Vec<&str> = made["aws"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(!folder.join("secrets").exists());
    assert!(commands.iter().any(|line| line.contains("--name masshook/callback --secret-string \"whsec_$(openssl")), "{commands:?}");
    assert!(
        commands
            .iter()
            .any(|line| line.contains("--name masshook/meta --secret-string file:///dev/stdin")),
        "{commands:?}"
    );
    assert!(
        commands
            .iter()
            .any(|line| line.contains("--name masshook/meta-verify-token")),
        "{commands:?}"
    );
    assert!(
        commands.contains(&"masshook auth --client-id ID --code CODE"),
        "{commands:?}"
    );
    check(folder, "meta");
}

#[test]
fn placeholder_credentials_are_a_note() {
    let folder = folder();
    let folder = folder.path();
    masshook(folder, &["init", "--sender", "stripe"]);
    let report = check(folder, "stripe");
    let credentials = &report["secrets"][0];
    assert_eq!(credentials["result"], "note", "{report:#}");
    let found = credentials["found"].as_str().expect("a text");
    assert!(
        found.contains("is a placeholder of `masshook init`"),
        "{found}"
    );
}

/// A config whose secrets are in every place, and of which none exists.
const MISSING: &str = r#"
connections: { default: { credentials: file:secrets/zoho.json } }
api: { key: env:MASSHOOK_TEST_API_KEY }
console: { key: "file:secrets/bundle.json#console" }
callbacks: { signing_secret: [file:secrets/callback, "secretsmanager:masshook/callback", "ssm:/masshook/callback"] }
routes:
  shop:
    verify: { scheme: shopify, secret: file:secrets/shopify }
    map: empty
"#;

#[test]
fn missing_secrets_are_listed_and_made() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("masshook.yaml"), MISSING).expect("written");
    let listed = masshook(folder, &["secrets", "--json"]);
    assert_eq!(listed.status.code(), Some(1));
    let listed = json(&listed);
    let states: Vec<(&str, &str)> = listed["secrets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            (
                row["secret"].as_str().expect("a text"),
                row["state"].as_str().expect("a text"),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("file:secrets/zoho.json", "bad"),
            ("env:MASSHOOK_TEST_API_KEY", "bad"),
            ("file:secrets/bundle.json#console", "bad"),
            ("file:secrets/callback", "bad"),
            ("secretsmanager:masshook/callback", "not read"),
            ("ssm:/masshook/callback", "not read"),
            ("file:secrets/shopify", "bad"),
        ]
    );
    let made = json(&masshook(folder, &["secrets", "make", "--json"]));
    assert_eq!(made["ok"], true, "{made:#}");
    let results: Vec<&str> = made["secrets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["result"].as_str())
        .collect();
    assert_eq!(
        results,
        ["command", "command", "made", "command", "command"],
        "{made:#}"
    );
    let secret = read(folder, "secrets/callback");
    assert!(secret.starts_with("whsec_"), "a signing secret");
    // Neither command prints a secret, and a second run changes nothing.
    let again = masshook(folder, &["secrets", "make"]);
    let listed = masshook(folder, &["secrets"]);
    for output in [&again, &listed] {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains(secret.trim()), "{text}");
    }
    assert!(String::from_utf8_lossy(&again.stdout).contains("exists  file:secrets/callback"));
    assert_eq!(read(folder, "secrets/callback"), secret);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.starts_with("STATE"), "{text}");
}

/// The rows of a list in a report of `check` that are notes: what each is about, and what it says.
fn notes(list: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    let rows = list.as_array().expect("a list").iter();
    let rows = rows.filter(|row| row["result"] == "note");
    rows.map(|row| (text(row, "check"), text(row, "found")))
        .collect()
}

#[test]
fn made_up_values_are_noted_until_replaced() {
    let folder = folder();
    let folder = folder.path();
    let made = masshook(folder, &["init", "--sender", "twilio"]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let (_, live) = said.split_once("Before it goes live:").expect("a list");
    for key in ["routes.twilio.callback_url", "routes.twilio.public_url"] {
        let line = format!("{key} in masshook.yaml is an example");
        assert!(live.contains(&line), "{said}");
    }
    let report = check(folder, "twilio");
    let secrets = notes(&report["secrets"]);
    let of_sender = |(at, found): &(String, String)| {
        at == "routes.twilio.verify.secret" && found.contains("was made up by `masshook init`")
    };
    assert!(secrets.iter().any(of_sender), "{report:#}");
    let settings = notes(&report["notes"]);
    let keys: Vec<&str> = settings.iter().map(|(at, _)| at.as_str()).collect();
    assert_eq!(
        keys,
        ["routes.twilio.callback_url", "routes.twilio.public_url"]
    );
    let text = masshook(folder, &["check"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("\nnotes\n"), "{text}");

    // With the sender's own secret and real addresses, nothing is left but the credentials.
    let config = read(folder, "masshook.yaml").replace("example.com", "masshook-users.dev");
    std::fs::write(folder.join("masshook.yaml"), config).expect("written");
    let secret = folder.join("secrets/twilio");
    let made_up = std::fs::read_to_string(&secret).expect("a secret");
    std::fs::write(&secret, "00112233445566778899aabbccddeeff\n").expect("written");
    let report = check(folder, "twilio");
    assert_eq!(notes(&report["notes"]), []);
    assert!(
        !notes(&report["secrets"]).iter().any(of_sender),
        "{report:#}"
    );
    // A made-up secret that the sender got is no placeholder, once its line is deleted.
    std::fs::write(&secret, made_up).expect("written");
    let report = check(folder, "twilio");
    assert!(
        notes(&report["secrets"]).iter().any(of_sender),
        "{report:#}"
    );
    std::fs::write(folder.join("secrets/.made-up"), "").expect("written");
    let report = check(folder, "twilio");
    assert!(
        !notes(&report["secrets"]).iter().any(of_sender),
        "{report:#}"
    );
}

#[test]
fn missing_secret_names_the_config_of_dev() {
    let folder = folder();
    let folder = folder.path();
    masshook(folder, &["init", "--sender", "calendly"]);
    std::fs::remove_file(folder.join("secrets/calendly")).expect("removed");
    let advice = "--config masshook-dev/running.json";
    let refused = masshook(folder, &["event", "calendly"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(!errors(&refused).contains(advice), "no dev runs here");
    std::fs::create_dir(folder.join("masshook-dev")).expect("made");
    std::fs::write(folder.join("masshook-dev/running.json"), "{}").expect("written");
    let refused = masshook(folder, &["event", "calendly"]);
    assert!(errors(&refused).contains(advice), "{refused:?}");
}

#[test]
fn secret_open_to_others_is_noted() {
    let folder = folder();
    let folder = folder.path();
    masshook(folder, &["init", "--sender", "stripe"]);
    let listed = json(&masshook(folder, &["secrets", "--json"]));
    assert_eq!(listed["notes"], serde_json::json!([]), "{listed:#}");
    let secret = folder.join("secrets/stripe");
    let mode = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&secret, mode).expect("changed");
    let listed = json(&masshook(folder, &["secrets", "--json"]));
    assert_eq!(listed["notes"][0]["check"], "routes.stripe.verify.secret");
    let text = masshook(folder, &["secrets"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("mode 0666"), "{text}");
}

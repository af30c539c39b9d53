//! `masshook dev`: everything in one process, with a config that is made, reloaded and never trusted with real secrets.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::{Dev, dev_command, repo_path};

/// A config of a user whose secrets are not on this machine.
const CONFIG: &str = r#"
connections:
  default: { credentials: secretsmanager:prod/zoho, data_center: eu, environment: sandbox, token_cache: secretsmanager:prod/token }
callbacks: { signing_secret: secretsmanager:prod/callback, allowed_hosts: ["ops.example.com"] }
routes:
  orders:
    verify: { scheme: stripe, secret: env:STRIPE_SECRET_THAT_IS_NOT_SET }
    map: |
      { module: "Shop_Orders", fields: { State: .type }, match: { field: "Order_Email", values: [ .data.object.email ] }, reference: .id }
    callback_url: https://ops.example.com/zoho
  open:
    verify: { scheme: none }
    map: '{ module: "Leads", fields: { Rating: (.rating // "Active") }, ids: [ .id ] }'
"#;

/// Waits until a job of a delivery has finished and its callback is received.
async fn finished_job(dev: &Dev, id: &str) -> Value {
    let job = dev
        .wait_for(&format!("jobs/{id}"), |job| {
            job["callback"]["status"] == "delivered" || job["callback"] == "delivered"
        })
        .await;
    assert_eq!(job["status"], "succeeded", "{job:#}\n{}", dev.log());
    job
}

#[tokio::test]
async fn sample_of_each_route_succeeds_without_a_config() {
    let mut dev = Dev::start();
    assert!(
        dev.lines[0].starts_with("hooks    http://127.0.0.1:"),
        "{:?}",
        dev.lines
    );
    assert!(dev.lines[2].contains("masshook send "), "{:?}", dev.lines);
    for (sender, route) in [
        ("typeform", "typeform-signup"),
        ("stripe", "stripe-customer"),
        ("shopify", "shopify-customer"),
        ("standard-webhooks", "campaign"),
    ] {
        let config = "masshook-dev/masshook.yaml";
        let sent = dev.run(&[
            "send",
            sender,
            "--config",
            config,
            "--to",
            &dev.server,
            "--json",
        ]);
        let answer: Value = serde_json::from_slice(&sent.stdout).expect("JSON");
        let id = answer["answer"]["body"]["jobs"][0]["id"].as_str();
        let id = id.unwrap_or_else(|| panic!("{route}: {answer:#}\n{}", dev.log()));
        finished_job(&dev, id).await;
    }
    let answer = dev.deliver("curl", &json!({})).await;
    finished_job(&dev, &answer.job_id()).await;
    let received = dev.get("callbacks").await.body;
    let callbacks = received["callbacks"].as_array().expect("a list").clone();
    assert_eq!(callbacks.len(), 5, "{received:#}");
    for callback in &callbacks {
        assert_eq!(
            callback["url"], "https://ops.example.com/zoho",
            "{callback:#}"
        );
        assert_eq!(callback["problem"], Value::Null, "{callback:#}");
    }
    assert_eq!(dev.stop("INT").code(), Some(0), "{}", dev.log());
}

#[tokio::test]
async fn foreign_secrets_are_made_up_and_nothing_leaves() {
    let dev = Dev::start_with(Some(CONFIG));
    for reference in [
        "env:STRIPE_SECRET_THAT_IS_NOT_SET",
        "secretsmanager:prod/callback",
    ] {
        dev.wait_for_log(reference).await;
    }
    let sample: Vec<&str> = dev.lines[2].split_whitespace().skip(2).collect();
    let mut arguments = sample.clone();
    arguments.push("--json");
    let sent = dev.run(&arguments);
    let answer: Value = serde_json::from_slice(&sent.stdout)
        .unwrap_or_else(|_| panic!("{sample:?}: {}", String::from_utf8_lossy(&sent.stderr)));
    let id = answer["answer"]["body"]["jobs"][0]["id"]
        .as_str()
        .expect("a job");
    let job = finished_job(&dev, id).await;
    // The module, its fields and the matched record exist in the simulated org only.
    assert_eq!(job["counts"]["updated"], 1, "{job:#}");
    let callbacks = dev.get("callbacks").await.body;
    assert_eq!(
        callbacks["callbacks"][0]["url"],
        "https://ops.example.com/zoho"
    );
    // Git ignores the folder, and only its owner can read the secrets.
    let ignored = std::fs::read_to_string(dev.path("masshook-dev/.gitignore"));
    assert_eq!(ignored.expect("a file"), "*\n");
    use std::os::unix::fs::PermissionsExt as _;
    for secret in std::fs::read_dir(dev.path("masshook-dev/secrets")).expect("a folder") {
        let mode = secret
            .expect("a file")
            .metadata()
            .expect("its metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[tokio::test]
async fn any_record_id_is_a_record_of_the_simulated_org() {
    let dev = Dev::start_with(Some(CONFIG));
    let answer = dev
        .deliver("open", &json!({"id": "4876876000000333001"}))
        .await;
    let id = answer.job_id();
    let job = dev
        .wait_for(&format!("jobs/{id}"), |job| job["status"] == "succeeded")
        .await;
    assert_eq!(job["counts"]["updated"], 1);
}

/// Editors write a file in place, replace it by another, or delete it for a moment.
#[tokio::test]
async fn saved_config_is_reloaded_and_a_broken_one_is_not() {
    let dev = Dev::start_with(Some(CONFIG));
    let config = dev.path("masshook.yaml");
    let problems = |status: &Value| status["config"]["problems"].as_array().map_or(0, Vec::len);
    let renamed = CONFIG.replace("  open:", "  second:");
    std::fs::write(&config, &renamed).expect("written");
    dev.wait_for("routes", |routes| routes.to_string().contains("second"))
        .await;

    std::fs::write(&config, renamed.replace("map: '{", "map: '{{")).expect("written");
    let status = dev.wait_for("status", |status| problems(status) > 0).await;
    assert!(
        status.to_string().contains("routes.second.map"),
        "{status:#}"
    );
    // The log is written beside the program.
    dev.wait_for_log("not reloaded").await;
    // The caret of a problem points at its column, so the lines stay lines.
    let log = std::fs::read_to_string(dev.path("log")).expect("the log");
    let line = log.lines().position(|line| line.contains("not reloaded"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    let after = log.lines().nth(line + 1).expect("a second line");
    assert!(after.starts_with("    ") && !log.contains("\\n"), "{log}");
    let answer = dev
        .deliver("second", &json!({"id": "5725767000003000064"}))
        .await;
    assert_eq!(answer.status, 202, "the old config stays: {answer:?}");

    let draft = dev.path("draft.yaml");
    std::fs::write(&draft, CONFIG.replace("  open:", "  third:")).expect("written");
    std::fs::rename(&draft, &config).expect("replaced");
    dev.wait_for("routes", |routes| routes.to_string().contains("third"))
        .await;
    dev.wait_for("status", |status| problems(status) == 0).await;

    std::fs::remove_file(&config).expect("deleted");
    dev.wait_for("status", |status| problems(status) > 0).await;
    assert_eq!(
        dev.deliver("third", &json!({"id": "5725767000003000064"}))
            .await
            .status,
        202
    );
    std::fs::write(&config, "").expect("written");
    std::fs::write(&config, CONFIG).expect("written twice");
    dev.wait_for("routes", |routes| routes.to_string().contains("open"))
        .await;
    dev.wait_for("status", |status| problems(status) == 0).await;
}

/// The simulated org has the owners that routes name, by e-mail address or by id.
#[tokio::test]
async fn owners_of_routes_are_users_of_the_simulated_org() {
    let config = r#"
connections: { default: { credentials: env:NO_CREDENTIALS_HERE } }
routes:
  by-email:
    verify: { scheme: none }
    map: '{ module: "Leads", ids: ["4876876000000333001"], owner: { email: "ann@example.com" } }'
  by-id:
    verify: { scheme: none }
    map: '{ module: "Leads", ids: ["4876876000000333002"], owner: { id: "5725767000000999001" } }'
"#;
    let dev = Dev::start_with(Some(config));
    for route in ["by-email", "by-id"] {
        let id = dev.deliver(route, &json!({})).await.job_id();
        let job = dev
            .wait_for(&format!("jobs/{id}"), |job| {
                ["succeeded", "failed"].contains(&job["status"].as_str().unwrap_or_default())
            })
            .await;
        assert_eq!(job["status"], "succeeded", "{route}: {job:#}");
    }
}

/// The commands that the console shows work when they are copied.
#[tokio::test]
async fn shown_arguments_reach_store_and_config() {
    let dev = Dev::start();
    let status = dev.wait_for("status", |_| true).await;
    let of = |name: &str| {
        let text = status["cli_args"][name].as_str();
        let text = text.unwrap_or_else(|| panic!("{status:#}"));
        text.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let data = of("data");
    assert_eq!(data, ["--data", "masshook-dev/data"]);
    for mut command in [vec!["jobs", "list"], vec!["deliveries", "list"]] {
        command.extend(data.iter().map(String::as_str));
        let output = dev.run(&command);
        assert!(output.status.success(), "{output:?}");
    }
    let config = of("config");
    let mut check = vec!["check"];
    check.extend(config.iter().map(String::as_str));
    let output = dev.run(&check);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn taken_port_is_reported_or_replaced_by_a_free_one() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    for option in ["--listen", "--console"] {
        let output = dev_command(folder.path(), &[option, &address])
            .output()
            .expect("it ran");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(&format!("cannot listen on {address}")),
            "{error}"
        );
    }
    // The default ports may be taken by anything on this machine: two of them run at once nevertheless.
    let first = Dev::start_in(folder, &[]);
    let second = Dev::start_in(tempfile::tempdir().expect("a folder"), &[]);
    assert_ne!(first.server, second.server);
}

#[test]
fn second_start_in_a_folder_names_the_first() {
    let dev = Dev::start();
    let free = ["dev", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
    let output = dev.run(&free);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("another masshook server uses"), "{error}");
}

#[test]
fn broken_config_at_the_start_is_reported_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    for (config, part) in [
        ("routes: [", "is not YAML"),
        (
            "connections: { default: { credentials: env:Z } }\nroutes: { r: { map: '.x' } }",
            "routes.r: `verify` is missing",
        ),
    ] {
        std::fs::write(folder.path().join("masshook.yaml"), config).expect("written");
        let output = dev_command(folder.path(), &[]).output().expect("it ran");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(part) && error.contains("masshook.yaml"),
            "{error}"
        );
        let left = folder.path().join("masshook-dev");
        assert!(!left.exists(), "nothing is left behind");
    }
    let missing = dev_command(folder.path(), &["--config", "nowhere.yaml"])
        .output()
        .expect("it ran");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.yaml"));
}

/// The config of every example runs as it is, without its secrets.
#[test]
fn example_configs_start_without_their_secrets() {
    for example in [
        "typeform",
        "stripe",
        "shopify",
        "hubspot",
        "zoho-crm-notifications",
    ] {
        let config = repo_path(&format!("examples/routes/{example}/masshook.yaml"));
        let folder = tempfile::tempdir().expect("a folder");
        let config = config.to_str().expect("text");
        let free = [
            "--config",
            config,
            "--listen",
            "127.0.0.1:0",
            "--console",
            "127.0.0.1:0",
        ];
        let mut dev = Dev::start_in(folder, &free);
        assert!(
            dev.lines[0].contains("/hooks/"),
            "{example}: {:?}",
            dev.lines
        );
        assert_eq!(dev.stop("TERM").code(), Some(0), "{example}: {}", dev.log());
    }
}

/// A receiver on this machine needs no key of the config, and `masshook send` reads the config that allows it.
#[tokio::test]
async fn callback_to_this_machine_goes_where_it_points() {
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", receiver.local_addr().expect("its address"));
    let config = format!(
        r#"
connections: {{ default: {{ credentials: file:masshook-dev/secrets/zoho }} }}
callbacks: {{ signing_secret: file:masshook-dev/secrets/callback }}
routes:
  open:
    verify: {{ scheme: stripe, secret: file:masshook-dev/secrets/stripe }}
    map: '{{ module: "Leads", fields: {{ Rating: "Active" }}, ids: ["4876876000000333001"] }}'
    callback_url: {url}
"#
    );
    let dev = Dev::start_with(Some(&config));
    assert_eq!(dev.lines[2], "sample   masshook send stripe");
    let arguments: Vec<&str> = dev.lines[2].split_whitespace().skip(2).collect();
    let sent = dev.run(&arguments);
    assert!(sent.status.success(), "{sent:?}");
    let request = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let (mut stream, _) = receiver.accept().expect("a callback");
        let mut start = [0; 6];
        stream.read_exact(&mut start).expect("a request");
        start
    });
    let request = tokio::time::timeout(std::time::Duration::from_secs(60), request);
    let request = request.await.expect("a callback").expect("read");
    assert_eq!(&request, b"POST /");
    // Elsewhere the message names the cure.
    let check = dev.run(&["check", "--skip-secrets"]);
    let error = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(error.contains("callbacks.allow_loopback: true"), "{error}");
}

/// `masshook send` needs neither an address nor a config where `masshook dev` runs.
#[tokio::test]
async fn send_finds_the_running_dev() {
    let config = "connections: { default: { credentials: ssm:/zoho } }\nroutes:\n  \
        shop: { verify: { scheme: shopify, secret: ssm:/shop }, map: '{module: \"Leads\", fields: {City: \"Bonn\"}, ids: [\"5725767000003000064\"]}' }\n";
    let mut dev = Dev::start_with(Some(config));
    let send = ["send", "--json"];
    let sent = dev.run(&send);
    assert!(sent.status.success(), "{sent:?}");
    let sent: Value = serde_json::from_slice(&sent.stdout).expect("JSON");
    assert_eq!(sent["answer"]["status"], 202, "{sent:#}");
    let url = sent["sent"]["url"].as_str().expect("a URL");
    assert_eq!(url, format!("{}/hooks/shop", dev.server));
    // The flags win.
    let elsewhere = dev.run(&[
        "send",
        "--json",
        "--to",
        "http://127.0.0.1:1",
        "--config",
        "masshook-dev/running.json",
    ]);
    let said = String::from_utf8_lossy(&elsewhere.stdout).into_owned();
    assert!(said.contains("http://127.0.0.1:1/hooks/shop"), "{said}");
    // Its address is of no use once it has ended.
    dev.stop("INT");
    let sent = dev.run(&[&send[..], &["--config", "masshook-dev/running.json"]].concat());
    let said = String::from_utf8_lossy(&sent.stdout).into_owned();
    assert!(said.contains("http://127.0.0.1:8080/hooks/shop"), "{said}");
}

/// A secret that was made up because its file did not exist is replaced once the file appears.
#[tokio::test]
async fn secret_that_appears_replaces_made_up_one() {
    let dev = Dev::start_with(Some(
        "connections: { default: { credentials: env:Z } }\n\
         callbacks: { signing_secret: file:secrets/callback }\n\
         routes: { open: { verify: { scheme: none }, map: empty } }\n",
    ));
    let running = || {
        let path = dev.path("masshook-dev/running.json");
        let text = std::fs::read_to_string(path).expect("a config");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        config["callbacks"]["signing_secret"].to_string()
    };
    assert!(running().contains("masshook-dev"), "{}", running());
    let made = dev.run(&["secrets", "make"]);
    assert!(made.status.success(), "{made:?}");
    dev.wait_for_log("config reloaded").await;
    let reference = running();
    assert!(
        reference.contains("secrets/callback") && !reference.contains("masshook-dev"),
        "{reference}"
    );
}

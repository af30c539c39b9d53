//! The console's page in Chromium, driven by `tests/browser`. Ignored by default, because it needs a browser:
//! `cargo test --test it console_browser:: -- --ignored`, a step of `.ci/run`.

use std::process::Command;

use serde_json::json;

use super::console::console_of;
use crate::harness::{Harness, Served, browser_tools, node, repo_path};

/// The secret of the signed routes.
const SECRET: &str = "secret-of-the-browser-tests";

/// Starts a server with signed routes. `order-paid` sets a field that does not exist; `renewal` sets two fields, which
/// takes two calls, and waits for others to share them with.
async fn start(folder: &std::path::Path) -> Served {
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).expect("written");
    let secret = secret.display();
    let route = |name: &str, fields: &str, callback: &str| {
        format!(
            r#"  {name}:
    verify: {{ scheme: github, secret: "file:{secret}" }}
    delivery_id: .event
    map: '{{module: "Leads", fields: {{{fields}}}, ids: .ids, reference: .reference}} | with_entries(select(.value != null))'
    callback_url: {callback}
"#
        )
    };
    let harness = Harness::new().config(move |config| {
        let callback = config
            .lines()
            .find_map(|line| line.trim().strip_prefix("callback_url: "));
        let callback = callback.expect("a callback URL").to_owned();
        config
            + &route("signup", r#"Lead_Source: "Webinar""#, &callback)
            + &route("order-paid", r#"No_Such_Field: "Webinar""#, &callback)
            + &route(
                "renewal",
                r#"Lead_Source: "Web Download", Rating: "Active""#,
                &callback,
            )
            + "    batch_window: 2s\n"
    });
    let mut served = harness.served().prepare().await;
    served.start(&["--console", "127.0.0.1:0"]).await;
    served
}

/// Runs a scenario of `tests/browser/scenarios.mjs`.
async fn run(scenario: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let served = start(folder.path()).await;
    let leads: Vec<String> = (0..10).map(|number| served.lead(number)).collect();
    let world = json!({
        "tools": browser_tools(),
        "console": console_of(&served).url,
        "server": served.url("").trim_end_matches('/'),
        "config": served.config(),
        "pid": served.pid(),
        "secret": SECRET,
        "leads": leads,
        "pictures": repo_path("docs/images"),
    });
    // The simulated Zoho and the receiver run on this thread, which must not block.
    let scenario = scenario.to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(node());
        command
            .arg(repo_path("tests/browser/scenarios.mjs"))
            .arg(scenario)
            .env("MASSHOOK_BROWSER_WORLD", world.to_string());
        command.output()
    });
    let output = running.await.expect("the scenario").expect("node");
    assert!(
        output.status.success(),
        "{}{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        served.log()
    );
}

/// One test for each scenario.
macro_rules! scenarios {
    ($($test:ident $scenario:literal)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs Chromium; .ci/run runs it"]
            async fn $test() {
                run($scenario).await;
            }
        )*
    };
}

scenarios! {
    delivery_appears_and_ends_in_delivered_callback "feed"
    dead_letter_is_replayed_to_success "dead_letters"
    edited_mapping_changes_plan_and_difference "playground"
    example_is_shown_and_strangers_name_no_route "example"
    keyboard_alone_reaches_everything "keyboard"
    hostile_text_is_shown_as_text "hostile_text"
    every_screen_is_accessible_and_narrow "accessibility"
    lost_connection_is_shown_and_mended "connection"
    wrong_token_leads_to_sign_in "sign_in"
}

/// Writes the pictures in `docs/images`. Not a test: run it when the page changes.
#[tokio::test]
#[ignore = "writes docs/images: MASSHOOK_PICTURES=1 cargo test --test it console_browser::pictures -- --ignored"]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests")]
async fn pictures() {
    if std::env::var("MASSHOOK_PICTURES").is_ok() {
        run("pictures").await;
    }
}

//! Custom schemes: fictitious vendors of every shape of signature, described in `masshook.yaml` alone
//! (`crates/webhook-verify/tests/custom_schemes.yaml`). Their deliveries are signed by hand and sent in events of API
//! Gateway.

mod vendors;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use masshook::app::{App, Dependencies};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::{Clock, ManualClock};
use masshook::config::{CompileMode, Config};
use masshook::engine::ExecutionMode;
use masshook::lambda::Function;
use masshook::metrics::Metrics;
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use zoho_simulator::Settings;

use crate::harness::{
    Answer, Request, SimulatedZoho, durable, invoke, manual_clock, repo_path, time_source,
};
use vendors::{Proof, Vendor, body, header, post, sha256, vendors};

/// The shapes of webhooks that need neither code nor a fetched certificate: 15 is Amazon SNS; no known sender has shape
/// 16.
const SHAPES: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17];

const MAP: &str = r#"'{module: "Leads", fields: {City: $route}, ids: [.lead? // .items[0].lead]}'"#;

/// A function with the routes of `crates/webhook-verify/tests/custom_schemes.yaml`, and a simulated Zoho.
struct Stage {
    clock: ManualClock,
    zoho: SimulatedZoho,
    folder: TempDir,
    store: Arc<dyn Store>,
}

impl Stage {
    async fn set() -> Self {
        let clock = manual_clock();
        let zoho = SimulatedZoho::start(Settings {
            time_source: time_source(clock.clone()),
            ..Settings::default()
        });
        let stage = Self {
            clock,
            zoho: zoho.await,
            folder: tempfile::tempdir().expect("a folder"),
            store: Arc::new(SqliteStore::in_memory()),
        };
        let credentials = stage.zoho.credentials();
        stage.hold("zoho.json", &credentials.to_string());
        stage
    }

    fn hold(&self, name: &str, secret: &str) {
        std::fs::write(self.folder.path().join(name), secret).expect("written");
    }

    fn hold_all(&self, vendors: &[Vendor]) {
        let secrets: BTreeMap<&str, &str> = vendors
            .iter()
            .map(|vendor| (vendor.name, vendor.secret.as_str()))
            .collect();
        self.hold("secrets.json", &json!(secrets).to_string());
    }

    /// Returns the whole `masshook.yaml`.
    fn config(&self, map: &str) -> String {
        let text =
            std::fs::read_to_string(repo_path("crates/webhook-verify/tests/custom_schemes.yaml"))
                .expect("the vendors");
        let (folder, zoho) = (self.folder.path().display(), self.zoho.simulator.url());
        let connections = format!(
            "connections:\n  default: {{ credentials: 'file:{folder}/zoho.json', accounts_url: '{zoho}', api_url: '{zoho}', guard: off }}\n"
        );
        let secrets = format!("file:{folder}/secrets.json");
        connections + &text.replace("SECRETS", &secrets).replace("$MAP", map)
    }

    fn app(&self, config: &str, mode: ExecutionMode) -> Arc<App> {
        let config = Config::parse(config, CompileMode::Eager);
        let edges = Dependencies {
            clock: Arc::new(self.clock.clone()),
            store: self.store.clone(),
            secrets_manager: Arc::new(SecretsManager::new()),
            mode,
            runtime_api: None,
            sns_endpoint: None,
            metrics: Metrics::default(),
        };
        let config = config.unwrap_or_else(|problems| panic!("{problems:#?}"));
        Arc::new(App::new(config, edges))
    }

    fn lead(&self, index: u64) -> String {
        self.zoho.lead(index)
    }

    async fn city(&self, lead: &str) -> Value {
        self.zoho.record("Leads", lead).await["City"].take()
    }
}

async fn send(function: &Function, request: &Request) -> Answer {
    let answer = invoke(function, &request.event()).await;
    Answer::from_lambda(&answer.expect("an answer"))
}

/// Checks that a request is rejected as not verified; returns the reason.
async fn refused(function: &Function, request: &Request, what: &str) -> String {
    let answer = send(function, request).await;
    answer.assert_problem(401, "not_verified");
    let reason = answer.body["detail"].as_str().expect("a reason");
    assert!(!reason.is_empty(), "{what}");
    reason.to_owned()
}

async fn accepted(function: &Function, request: &Request, what: &str) {
    let answer = send(function, request).await;
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    assert_eq!(answer.job()["status"], "succeeded", "{what}: {answer:?}");
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
async fn every_scheme_shape_verifies_and_rejects_forgeries() {
    let stage = Stage::set().await;
    let (vendors, others) = (vendors("the right secret"), vendors("some other secret"));
    stage.hold_all(&vendors);
    let function = Function::new(stage.app(&stage.config(MAP), ExecutionMode::Inline), None);
    let mut refusals = 0;
    for (place, (vendor, other)) in (0_u64..).zip(vendors.iter().zip(&others)) {
        let (name, now, lead) = (vendor.name, stage.clock.now(), stage.lead(place));
        let good = (vendor.deliver)(now, &lead);
        let mut bad = vec![
            ("a changed byte", vendor.changed(good.clone())),
            ("another secret", (other.deliver)(now, &lead)),
            ("no proof", vendor.unsigned(good.clone())),
        ];
        if let (Some([known, unknown]), Proof::Header(header_name)) =
            (vendor.versions, vendor.proof)
        {
            let mut request = good.clone();
            let (_, value) = header(&mut request, header_name);
            *value = value.replace(known, unknown);
            bad.push(("versions that nobody knows", request));
        }
        for (what, request) in bad {
            let reason = refused(&function, &request, &format!("{name}: {what}")).await;
            assert!(!reason.contains(" ago"), "{name}: {what}: {reason}");
            refusals += 1;
        }
        let hour = Duration::from_secs(3_600);
        for (what, at, reasons) in [
            (
                "an old time",
                now - hour,
                ["signed 3600 s ago", "the token has expired"],
            ),
            (
                "a time to come",
                now + hour,
                ["signed 3600 s in the future"; 2],
            ),
        ] {
            if vendor.is_timed {
                let request = (vendor.deliver)(at, &lead);
                let reason = refused(&function, &request, &format!("{name}: {what}")).await;
                assert!(
                    reasons.iter().any(|part| reason.starts_with(part)),
                    "{name}: {what}: {reason}"
                );
                refusals += 1;
            }
        }
        assert_ne!(
            stage.city(&lead).await,
            name,
            "rejected deliveries update nothing"
        );
        accepted(&function, &good, name).await;
        assert_eq!(stage.city(&lead).await, name);
    }
    let shapes: BTreeSet<u8> = vendors.iter().map(|vendor| vendor.shape).collect();
    assert!(shapes.into_iter().eq(SHAPES), "a vendor of every shape");
    println!(
        "{} vendors of {} shapes accepted; {refusals} forgeries of theirs refused",
        vendors.len(),
        SHAPES.len()
    );
}

#[tokio::test]
async fn rotated_secrets_and_alternative_schemes_verify() {
    let stage = Stage::set().await;
    let [old, new, other] = ["an old secret", "a new secret", "some other secret"].map(vendors);
    stage.hold_all(&new);
    stage.hold("old", "an old secret");
    let old_one = format!("file:{}/old", stage.folder.path().display());
    let config = stage.config(MAP);
    // One route accepts both secrets; the other accepts its own scheme and that of another vendor.
    let config = config.replace(
        "#aspen\n",
        &format!("#aspen\n      secret: [SELF, '{old_one}']\n"),
    );
    let own = config
        .lines()
        .position(|line| line.contains("secret: [SELF"))
        .expect("a line");
    let mut lines: Vec<String> = config.lines().map(str::to_owned).collect();
    let reference = lines[own - 1]
        .trim()
        .trim_start_matches("secret: ")
        .to_owned();
    lines[own] = lines[own].replace("SELF", &format!("'{reference}'"));
    lines.remove(own - 1);
    let config = lines.join("\n");
    let several = "    verify: { scheme: custom, secret: ";
    let yew = config
        .lines()
        .find(|line| line.contains("#yew,"))
        .expect("yew")
        .to_owned();
    let secret = yew
        .trim_start_matches(several)
        .split(',')
        .next()
        .expect("a secret");
    let list = format!(
        "    verify:\n      - {{ scheme: stripe, secret: '{secret}' }}\n      - {{ scheme: custom, secret: '{secret}', type: bearer }}"
    );
    let config = config.replace(&yew, &list);
    let function = Function::new(stage.app(&config, ExecutionMode::Inline), None);
    let deliver = |from: &[Vendor], name: &str, place: u64| {
        let vendor = from.iter().find(|vendor| vendor.name == name).expect(name);
        (vendor.deliver)(stage.clock.now(), &stage.lead(place))
    };
    accepted(&function, &deliver(&new, "aspen", 0), "the new secret").await;
    accepted(&function, &deliver(&old, "aspen", 1), "the old secret").await;
    refused(
        &function,
        &deliver(&other, "aspen", 2),
        "no secret of the route's",
    )
    .await;

    accepted(&function, &deliver(&new, "yew", 3), "the second scheme").await;
    refused(&function, &deliver(&other, "yew", 4), "the second scheme").await;
    let (time, text) = (stage.clock.now().as_second(), body(&stage.lead(5)));
    let sign = |key: &str| {
        let signature = hex::encode(sha256(key.as_bytes(), format!("{time}.{text}")));
        post("yew", &text).with("Stripe-Signature", format!("t={time},v1={signature}"))
    };
    accepted(&function, &sign("a new secret"), "the first scheme").await;
    let mut neither = sign("some other secret");
    neither
        .headers
        .push(("Authorization".to_owned(), "Bearer no".to_owned()));
    refused(&function, &neither, "neither scheme").await;
}

#[tokio::test]
async fn age_is_checked_on_arrival_not_after_queueing() {
    let stage = Stage::set().await;
    let vendors = vendors("the right secret");
    stage.hold_all(&vendors);
    let app = stage.app(&stage.config(MAP), durable());
    let function = Function::new(app.clone(), None);
    let broken = Function::new(stage.app(&stage.config("error"), durable()), None);
    let leads = [0, 1, 2].map(|place| stage.lead(place));
    let fir = vendors.iter().find(|vendor| vendor.name == "fir");
    let sign = &fir.expect("fir").deliver;
    let signed = leads.each_ref().map(|lead| sign(stage.clock.now(), lead));
    // Its route allows 30 s.
    stage.clock.advance(Duration::from_secs(30));
    let answer = send(&function, &signed[0]).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    send(&broken, &signed[1])
        .await
        .assert_problem(422, "mapping_failed");
    stage.clock.advance(Duration::from_secs(1));
    let reason = refused(&function, &signed[2], "a second later").await;
    assert!(
        reason.starts_with("signed 31 s ago, more than the 30 s"),
        "{reason}"
    );

    stage.clock.advance(Duration::from_secs(86_400));
    app.run_turn(&[], None).await.expect("a turn");
    assert_eq!(
        stage.city(&leads[0]).await,
        "fir",
        "it was queued for a day"
    );
    let kept = stage.store.dead_letters(10).await.expect("a list");
    assert_eq!(kept.len(), 1);
    let kept = stage.store.delivery(&kept[0].id).await.expect("read");
    app.replay(&kept.expect("a delivery"))
        .await
        .expect("replayed");
    app.run_turn(&[], None).await.expect("a turn");
    assert_eq!(
        stage.city(&leads[1]).await,
        "fir",
        "it was stored for a day"
    );
    assert_ne!(stage.city(&leads[2]).await, "fir");
}

#[tokio::test]
async fn check_describes_each_custom_scheme() {
    let stage = Stage::set().await;
    let path = stage.folder.path().join("masshook.yaml");
    std::fs::write(&path, stage.config("empty")).expect("written");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_masshook"));
    let output = command
        .args(["check", "--json", "--skip-secrets", "--config"])
        .arg(&path)
        .output();
    let output = output.expect("run");
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let routes = document["routes"].as_object().expect("routes");
    let said = routes.iter().map(|(name, reported)| {
        let sentence = reported["verify"].as_str().expect("a sentence");
        format!("{name}: {sentence}")
    });
    let said = said.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(said, @"
    aspen: HMAC-SHA256 of `{body}`, hex in header x-aspen-signature after `sha256=`, no time is signed.
    birch: HMAC-SHA512 of `{body}`, base64 in header x-birch-hmac, no time is signed.
    cedar: HMAC-SHA256 with a key in base64 of `{body}`, hex in header x-cedar-mac after `hmac-sha256=`, no time is signed.
    cypress: HMAC-SHA256 with a key in hex of `{body}`, base64url in header cypress-signature, no time is signed.
    dogwood: HMAC-SHA256 of `v0:{timestamp}:{body}`, hex in header x-dogwood-signature after `v0=`, at most 300 s old or ahead.
    elder: HMAC-SHA256 of `{timestamp}{body}`, base64 in header x-elder-signature, at most 60 s old or ahead.
    fir: HMAC-SHA256 of `{timestamp}:{body}`, hex under key s1 of header fir-signature, at most 30 s old or ahead.
    ginkgo: HMAC-SHA256 with a key in base64 of `{header:ginkgo-id}.{timestamp}.{body}`, base64 listed in header ginkgo-signature after `v1,`, at most 300 s old or ahead.
    hazel: HMAC-SHA256 of `{body}`, hex listed in header x-hazel-signature after `v1=`, no time is signed.
    ivy: HMAC-SHA256 of `{method}{url}{body}{timestamp}`, base64 in header x-ivy-signature, at most 300 s old or ahead.
    juniper: HMAC-SHA256 of `juniper-webhook={body}`, hex in header x-juniper-signature, no time is signed.
    kauri: plain SHA256 of `{secret}{body}`, hex in header x-kauri-hash, no time is signed.
    larch: HMAC-SHA256 of `{timestamp}{json:/proof/token}`, hex in JSON value /proof/signature, at most 300 s old or ahead, the rest of the body is not covered.
    linden: HMAC-SHA256 of `{json:/lead}:{json_escaped:/name}` for every item of /items, base64 in JSON value /mac, no time is signed, the rest of the body is not covered.
    maple: HMAC-SHA1 of `{url}{form_sorted}`, base64 in header x-maple-signature, no time is signed.
    nutmeg: Ed25519 with a key in hex of `{timestamp}{body}`, hex in header x-nutmeg-signature, at most 300 s old or ahead.
    oak: ECDSA P-256 of `{timestamp}{body}`, base64 in header x-oak-signature, at most 300 s old or ahead.
    pine: RSA with SHA256 of `{header:X-Pine-Id}|{crc32_body}|{sha256_body}`, base64 in header x-pine-signature, no time is signed.
    quince: JWT HS256 in header x-quince-token with fixed iss, covers the body by its claim body_sha256.
    rowan: JWT RS256 in header authorization after `Bearer ` with fixed aud, the body is not covered.
    sorrel: the secret itself in header x-sorrel-token after `Token `, nothing is signed.
    teak: the secret itself in query parameter k, nothing is signed.
    tulip: the secret itself in path segment 1, nothing is signed.
    ulmus: the secret itself in form field auth[key], nothing is signed.
    viburnum: the secret itself in JSON value /items/*/state, nothing is signed.
    willow: user and password in header authorization, nothing is signed.
    yew: the secret itself in header authorization after `Bearer `, nothing is signed.
    ");
}

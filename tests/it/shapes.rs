//! Vendors that do not exist, one or more of every shape in which a webhook is proved (`tests/shapes.yaml`): described in
//! `masshook.yaml` alone, their deliveries signed here by hand, in events of API Gateway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use masshook::app::{App, Edges};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::{Clock, ManualClock};
use masshook::config::{Config, Programs};
use masshook::engine::Manner;
use masshook::job::sqlite::SqliteStore;
use masshook::job::store::JobStore;
use masshook::job::wakeup::LocalWakeUps;
use masshook::lambda::Function;
use masshook::simulator::{Settings, Simulator};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use tempfile::TempDir;

use crate::support::gateway::Request;
use crate::support::plain;
use crate::support::tools::manifest;

/// The shapes of webhooks that need no code, and no fetched certificate: 15 is Amazon SNS, 16 no sender that we met.
const SHAPES: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17];

/// Where the proof stands.
#[derive(Clone, Copy)]
enum Proof {
    Header(&'static str),
    /// Under this word of the body.
    Body(&'static str),
    Query,
    Path,
}

/// Signs a delivery about a lead at a time.
type Deliver = Box<dyn Fn(Timestamp, &str) -> Request>;

/// A vendor that signs by hand.
struct Vendor {
    shape: u8,
    name: &'static str,
    /// What the route holds.
    secret: String,
    proof: Proof,
    /// Whether the body is what is proved; else it is only who sends.
    covers_body: bool,
    /// Whether the time is signed.
    is_timed: bool,
    /// How a version that nobody knows would be written in place of the one that counts.
    versions: Option<[&'static str; 2]>,
    /// The signed delivery about a lead.
    deliver: Deliver,
}

impl Vendor {
    fn new(
        shape: u8,
        name: &'static str,
        secret: impl Into<String>,
        proof: Proof,
        deliver: impl Fn(Timestamp, &str) -> Request + 'static,
    ) -> Self {
        Self {
            shape,
            name,
            secret: secret.into(),
            proof,
            covers_body: true,
            is_timed: false,
            versions: None,
            deliver: Box::new(deliver),
        }
    }

    fn timed(mut self) -> Self {
        self.is_timed = true;
        self
    }

    fn versioned(mut self, known: &'static str, unknown: &'static str) -> Self {
        self.versions = Some([known, unknown]);
        self
    }

    fn only_who(mut self) -> Self {
        self.covers_body = false;
        self
    }

    /// With one byte that is another: of the body, or of the proof itself where that is all there is.
    fn changed(&self, mut request: Request) -> Request {
        if self.covers_body {
            request.body = replaced(&request.body, "ten", "tin");
            return request;
        }
        match self.proof {
            Proof::Header(name) => {
                let (_, value) = header(&mut request, name);
                let at = value.len() / 2;
                let other = if value.as_bytes()[at] == b'x' {
                    "y"
                } else {
                    "x"
                };
                value.replace_range(at..=at, other);
            }
            Proof::Body(_) => request.body = replaced(&request.body, "right", "ri8ht"),
            Proof::Query => request.query = request.query.replace("right", "ri8ht"),
            Proof::Path => request.path = request.path.replace("right", "ri8ht"),
        }
        request
    }

    /// Without its proof.
    fn unsigned(&self, mut request: Request) -> Request {
        match self.proof {
            Proof::Header(name) => request.headers.retain(|(own, _)| own != name),
            Proof::Body(word) => request.body = replaced(&request.body, word, "nothing"),
            Proof::Query => request.query = request.query.replace("k=", "x="),
            Proof::Path => request.path = format!("/hooks/{}", self.name),
        }
        request
    }
}

fn header<'a>(request: &'a mut Request, name: &str) -> &'a mut (String, String) {
    let mut headers = request.headers.iter_mut();
    headers.find(|(own, _)| own == name).expect("a header")
}

fn replaced(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(body).expect("text");
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into()
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key");
    mac.update(text.as_ref());
    mac.finalize().into_bytes().to_vec()
}

fn sha256(key: &[u8], text: impl AsRef<[u8]>) -> Vec<u8> {
    mac::<Hmac<Sha256>>(key, text)
}

fn body(lead: &str) -> String {
    json!({"lead": lead, "note": "ten"}).to_string()
}

fn post(name: &str, body: &str) -> Request {
    let mut request = Request::to_hook(name).with("Content-Type", "application/json");
    request.body = body.into();
    request
}

fn form(name: &str, body: String) -> Request {
    let content_type = "application/x-www-form-urlencoded";
    let mut request = Request::to_hook(name).with("Content-Type", content_type);
    request.body = body.into();
    request
}

/// A JSON Web Token, signed by `sign`.
fn token(algorithm: &str, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn public(pair: &impl AsDer<PublicKeyX509Der<'static>>) -> String {
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair).expect("DER");
    let der = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")
}

fn rsa_sign(pair: &RsaKeyPair, text: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
        .expect("signed");
    signature
}

/// All vendors, with secrets made from `key`.
fn vendors(key: &'static str) -> Vec<Vendor> {
    use Proof::{Body, Header, Path, Query};
    let bytes = key.as_bytes();
    let of_one: [Vendor; 7] = [
        Vendor::new(
            1,
            "aspen",
            key,
            Header("X-Aspen-Signature"),
            move |_, lead| {
                let signature = hex::encode(sha256(bytes, body(lead)));
                post("aspen", &body(lead))
                    .with("X-Aspen-Signature", format!("sha256={signature}"))
                    .with("X-Aspen-Delivery", format!("d-{lead}"))
            },
        ),
        Vendor::new(2, "birch", key, Header("X-Birch-Hmac"), move |_, lead| {
            let signature = STANDARD.encode(mac::<Hmac<Sha512>>(bytes, body(lead)));
            post("birch", &body(lead)).with("X-Birch-Hmac", signature)
        }),
        Vendor::new(
            3,
            "cedar",
            STANDARD.encode(key),
            Header("X-Cedar-Mac"),
            move |_, lead| {
                let signature = hex::encode_upper(sha256(bytes, body(lead)));
                post("cedar", &body(lead)).with("X-Cedar-Mac", format!("hmac-sha256={signature}"))
            },
        ),
        Vendor::new(
            3,
            "cypress",
            format!("key_{}", hex::encode(key)),
            Header("Cypress-Signature"),
            move |_, lead| {
                let signature = URL_SAFE_NO_PAD.encode(sha256(bytes, body(lead)));
                post("cypress", &body(lead)).with("Cypress-Signature", signature)
            },
        ),
        Vendor::new(
            9,
            "juniper",
            key,
            Header("X-Juniper-Signature"),
            move |_, lead| {
                let signature =
                    hex::encode(sha256(bytes, format!("juniper-webhook={}", body(lead))));
                post("juniper", &body(lead)).with("X-Juniper-Signature", signature)
            },
        ),
        Vendor::new(10, "kauri", key, Header("X-Kauri-Hash"), move |_, lead| {
            let hash = hex::encode(Sha256::digest(format!("{key}{}", body(lead))));
            post("kauri", &body(lead)).with("X-Kauri-Hash", hash)
        }),
        Vendor::new(
            7,
            "hazel",
            key,
            Header("X-Hazel-Signature"),
            move |_, lead| {
                let signature = hex::encode(sha256(bytes, body(lead)));
                let list = format!("v0=00,v2=zz,v1={},v1={signature}", "00".repeat(32));
                post("hazel", &body(lead)).with("X-Hazel-Signature", list)
            },
        )
        .versioned("v1=", "v9="),
    ];
    let with_time = [
        Vendor::new(
            4,
            "dogwood",
            key,
            Header("X-Dogwood-Signature"),
            move |at, lead| {
                let time = at.as_second().to_string();
                let signature = hex::encode(sha256(bytes, format!("v0:{time}:{}", body(lead))));
                post("dogwood", &body(lead))
                    .with("X-Dogwood-Signature", format!("v0={signature}"))
                    .with("X-Dogwood-Time", time)
            },
        ),
        Vendor::new(
            4,
            "elder",
            key,
            Header("X-Elder-Signature"),
            move |at, lead| {
                let time = at.to_string();
                let signature = STANDARD.encode(sha256(bytes, format!("{time}{}", body(lead))));
                post("elder", &body(lead))
                    .with("X-Elder-Signature", signature)
                    .with("X-Elder-Time", time)
            },
        ),
        Vendor::new(5, "fir", key, Header("Fir-Signature"), move |at, lead| {
            let time = at.as_millisecond();
            let signature = hex::encode(sha256(bytes, format!("{time}:{}", body(lead))));
            let list = format!(
                "at={time};s0=??;s1={};s1={signature};s2=00",
                "00".repeat(32)
            );
            post("fir", &body(lead)).with("Fir-Signature", list)
        })
        .versioned("s1=", "s9="),
        Vendor::new(
            6,
            "ginkgo",
            format!("whsec_{}", STANDARD.encode(key)),
            Header("ginkgo-signature"),
            move |at, lead| {
                let (id, time) = (format!("msg_{lead}"), at.as_second());
                let text = format!("{id}.{time}.{}", body(lead));
                let signature = STANDARD.encode(sha256(bytes, text));
                post("ginkgo", &body(lead))
                    .with("ginkgo-id", id)
                    .with("ginkgo-timestamp", time.to_string())
                    .with("ginkgo-signature", format!("v0,AAAA v1a,!! v1,{signature}"))
            },
        )
        .versioned("v1,", "v9,"),
        Vendor::new(8, "ivy", key, Header("X-Ivy-Signature"), move |at, lead| {
            let time = at.as_millisecond();
            let url = "https://hooks.example.com/hooks/ivy?from=ivy%20street";
            let text = format!("POST{url}{}{time}", body(lead));
            let mut request = post("ivy", &body(lead))
                .with("X-Ivy-Signature", STANDARD.encode(sha256(bytes, text)))
                .with("X-Ivy-Time", time.to_string());
            request.query = "from=ivy%20street".to_owned();
            request
        }),
    ];
    let in_body = [
        Vendor::new(11, "larch", key, Body("signature"), move |at, lead| {
            let (time, token) = (at.as_second().to_string(), format!("ten-{lead}"));
            let signature = hex::encode(sha256(bytes, format!("{time}{token}")));
            let proof = json!({"time": time, "token": token, "signature": signature});
            post("larch", &json!({"lead": lead, "proof": proof}).to_string())
        })
        .timed(),
        Vendor::new(11, "linden", key, Body("mac"), move |_, lead| {
            let item = |name: &str| {
                let text = format!("{lead}:{}", name.replace('\\', "\\\\").replace(':', "\\:"));
                json!({"lead": lead, "name": name, "mac": STANDARD.encode(sha256(bytes, text))})
            };
            post(
                "linden",
                &json!({"items": [item("nine"), item("a:ten")]}).to_string(),
            )
        }),
        Vendor::new(
            12,
            "maple",
            key,
            Header("X-Maple-Signature"),
            move |_, lead| {
                // Its proxy signs with the port; the fields are sorted by name.
                let text =
                    format!("https://hooks.example.com:443/hooks/mapleAda L.lead{lead}noteten");
                let text = text.replace("Ada", "NameAda");
                let signature = STANDARD.encode(mac::<Hmac<Sha1>>(bytes, text));
                form("maple", format!("note=ten&Name=Ada+L.&lead={lead}"))
                    .with("X-Maple-Signature", signature)
            },
        ),
    ];
    let (nutmeg, oak) = (
        Ed25519KeyPair::generate().expect("a key"),
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"),
    );
    let (pine, rowan) = (rsa(), rsa());
    let of_keys = [
        Vendor::new(13, "nutmeg", hex::encode(nutmeg.public_key()), Header("X-Nutmeg-Signature"), move |at, lead| {
            let text = format!("{}{}", at.as_second(), body(lead));
            post("nutmeg", &body(lead))
                .with("X-Nutmeg-Signature", hex::encode(nutmeg.sign(text.as_bytes())))
                .with("X-Nutmeg-Time", at.as_second().to_string())
        })
        .timed(),
        Vendor::new(13, "oak", public(oak.public_key()), Header("X-Oak-Signature"), move |at, lead| {
            let text = format!("{}{}", at.as_second(), body(lead));
            let signature = oak.sign(&SystemRandom::new(), text.as_bytes()).expect("signed");
            post("oak", &body(lead))
                .with("X-Oak-Signature", STANDARD.encode(signature))
                .with("X-Oak-Time", at.as_second().to_string())
        })
        .timed(),
        Vendor::new(13, "pine", public(pine.public_key()), Header("X-Pine-Signature"), move |_, lead| {
            let mut crc = flate2::Crc::new();
            crc.update(body(lead).as_bytes());
            let hash = hex::encode(Sha256::digest(body(lead)));
            let text = format!("id-{lead}|{}|{hash}", crc.sum());
            post("pine", &body(lead))
                .with("X-Pine-Signature", STANDARD.encode(rsa_sign(&pine, text.as_bytes())))
                .with("X-Pine-Id", format!("id-{lead}"))
        }),
        Vendor::new(14, "quince", key, Header("X-Quince-Token"), move |at, lead| {
            let hash = hex::encode(Sha256::digest(body(lead)));
            let (now, end) = (at.as_second(), at.as_second() + 60);
            let claims = json!({"iss": "quince", "iat": now, "nbf": now, "exp": end, "body_sha256": hash});
            let token = token("HS256", &claims, |text| sha256(bytes, text));
            post("quince", &body(lead)).with("X-Quince-Token", token)
        })
        .timed(),
        Vendor::new(14, "rowan", public(rowan.public_key()), Header("Authorization"), move |at, lead| {
            let (now, end) = (at.as_second(), at.as_second() + 60);
            let claims = json!({"aud": ["shop-77"], "iat": now, "nbf": now, "exp": end});
            let token = token("RS256", &claims, |text| rsa_sign(&rowan, text));
            post("rowan", &body(lead)).with("Authorization", format!("Bearer {token}"))
        })
        .timed()
        .only_who(),
    ];
    let of_tokens = [
        Vendor::new(
            17,
            "sorrel",
            key,
            Header("X-Sorrel-Token"),
            move |_, lead| {
                post("sorrel", &body(lead)).with("X-Sorrel-Token", format!("Token {key}"))
            },
        ),
        Vendor::new(17, "teak", key, Query, move |_, lead| {
            let mut request = post("teak", &body(lead));
            request.query = format!("a=1&k={key}");
            request
        }),
        Vendor::new(17, "tulip", key, Path, move |_, lead| {
            let mut request = post("tulip", &body(lead));
            request.path = format!("/hooks/tulip/in/{key}");
            request
        }),
        Vendor::new(17, "ulmus", key, Body("auth%5Bkey%5D"), move |_, lead| {
            form("ulmus", format!("lead={lead}&auth%5Bkey%5D={key}"))
        }),
        Vendor::new(17, "viburnum", key, Body("state"), move |_, lead| {
            let items = json!([{"lead": lead, "state": key}, {"lead": lead, "state": key}]);
            post("viburnum", &json!({"items": items}).to_string())
        }),
        Vendor::new(
            17,
            "willow",
            format!("ada:{key}"),
            Header("Authorization"),
            move |_, lead| {
                let pair = STANDARD.encode(format!("ada:{key}"));
                post("willow", &body(lead)).with("Authorization", format!("Basic {pair}"))
            },
        ),
        Vendor::new(17, "yew", key, Header("Authorization"), move |_, lead| {
            post("yew", &body(lead)).with("Authorization", format!("Bearer {key}"))
        }),
    ];
    let mut all: Vec<Vendor> = of_one.into();
    all.extend(with_time.map(Vendor::timed));
    all.extend(in_body);
    all.extend(of_keys);
    all.extend(of_tokens.map(Vendor::only_who));
    all
}

const MAP: &str = r#"'{module: "Leads", fields: {City: $route}, ids: [.lead? // .items[0].lead]}'"#;

/// A Lambda function with the routes of `tests/shapes.yaml`, and Zoho's place.
struct Stage {
    clock: ManualClock,
    simulator: Simulator,
    folder: TempDir,
    store: Arc<dyn JobStore>,
}

impl Stage {
    async fn set() -> Self {
        let clock = ManualClock::at(Timestamp::constant(1_800_000_000, 0));
        let simulator = Simulator::start(Settings {
            clock: Arc::new(clock.clone()),
            ..Settings::default()
        });
        let stage = Self {
            clock,
            simulator: simulator.await.expect("a simulator"),
            folder: tempfile::tempdir().expect("a folder"),
            store: Arc::new(SqliteStore::in_memory()),
        };
        let credentials = &stage.simulator.announcement()["credentials"];
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

    /// The whole `masshook.yaml`.
    fn config(&self, map: &str) -> String {
        let text = std::fs::read_to_string(manifest("tests/shapes.yaml")).expect("the vendors");
        let (folder, zoho) = (self.folder.path().display(), self.simulator.url());
        let connections = format!(
            "connections:\n  default: {{ credentials: 'file:{folder}/zoho.json', accounts_url: '{zoho}', api_url: '{zoho}', guard: off }}\n"
        );
        let secrets = format!("file:{folder}/secrets.json");
        connections + &text.replace("SECRETS", &secrets).replace("$MAP", map)
    }

    fn app(&self, config: &str, manner: Manner) -> Arc<App> {
        let config = Config::parse(config, Programs::Compile);
        let edges = Edges {
            clock: Arc::new(self.clock.clone()),
            store: self.store.clone(),
            secrets_manager: Arc::new(SecretsManager::new()),
            manner,
            runtime_api: None,
            sns_endpoint: None,
        };
        let config = config.unwrap_or_else(|problems| panic!("{problems:#?}"));
        Arc::new(App::new(config, edges))
    }

    fn lead(&self, place: u64) -> String {
        let first = &self.simulator.announcement()["world"]["modules"]["Leads"]["first_record_id"];
        let first: u64 = first
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        (first + place).to_string()
    }

    async fn city(&self, lead: &str) -> Value {
        let url = format!("{}/_sim/records/Leads/{lead}", self.simulator.url());
        let answer = plain().get(url).send().await;
        let text = answer.expect("an answer").text().await.expect("a body");
        let record: Value = serde_json::from_str(&text).expect("JSON");
        record["City"].clone()
    }
}

/// The status, and the body as JSON.
async fn invoke(function: &Function, request: &Request) -> (u64, Value) {
    let payload = to_raw_value(&request.event()).expect("JSON");
    let event = LambdaEvent::new(payload, Context::default());
    let answer = function.invoke(event).await.expect("an answer");
    let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
    let body = answer["body"].as_str().expect("a body");
    let status = answer["statusCode"].as_u64().expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// Asserts that a request is refused as not verified; gives the reason.
async fn refused(function: &Function, request: &Request, what: &str) -> String {
    let (status, problem) = invoke(function, request).await;
    assert_eq!(
        (status, &problem["code"]),
        (401, &json!("not_verified")),
        "{what}: {problem:#}"
    );
    problem["detail"].as_str().expect("a reason").to_owned()
}

async fn accepted(function: &Function, request: &Request, what: &str) {
    let (status, answer) = invoke(function, request).await;
    assert_eq!(
        (status, &answer["jobs"][0]["status"]),
        (200, &json!("succeeded")),
        "{what}: {answer:#}"
    );
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
async fn a_vendor_of_every_shape_is_a_few_lines_of_yaml() {
    let stage = Stage::set().await;
    let (vendors, others) = (vendors("the right secret"), vendors("some other secret"));
    stage.hold_all(&vendors);
    let function = Function::new(stage.app(&stage.config(MAP), Manner::Inline), None);
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
            "nothing came of what was refused"
        );
        accepted(&function, &good, name).await;
        assert_eq!(stage.city(&lead).await, name);
    }
    let shapes: std::collections::BTreeSet<u8> =
        vendors.iter().map(|vendor| vendor.shape).collect();
    assert!(shapes.into_iter().eq(SHAPES), "a vendor of every shape");
    println!(
        "{} vendors of {} shapes accepted; {refusals} forgeries of theirs refused",
        vendors.len(),
        SHAPES.len()
    );
}

#[tokio::test]
async fn while_a_secret_rotates_both_are_good_and_of_several_schemes_any() {
    let stage = Stage::set().await;
    let [old, new, other] = ["an old secret", "a new secret", "some other secret"].map(vendors);
    stage.hold_all(&new);
    stage.hold("old", "an old secret");
    let old_one = format!("file:{}/old", stage.folder.path().display());
    let config = stage.config(MAP);
    // Of one route both secrets count, and besides its own scheme that of another vendor.
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
    let function = Function::new(stage.app(&config, Manner::Inline), None);
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
async fn the_age_is_judged_when_a_delivery_arrives_and_never_after_a_queue() {
    let stage = Stage::set().await;
    let vendors = vendors("the right secret");
    stage.hold_all(&vendors);
    let durable = || Manner::Durable(Arc::new(LocalWakeUps::new()));
    let app = stage.app(&stage.config(MAP), durable());
    let function = Function::new(app.clone(), None);
    let broken = Function::new(stage.app(&stage.config("error"), durable()), None);
    let leads = [0, 1, 2].map(|place| stage.lead(place));
    let fir = vendors.iter().find(|vendor| vendor.name == "fir");
    let sign = &fir.expect("fir").deliver;
    let signed = leads.each_ref().map(|lead| sign(stage.clock.now(), lead));
    // Its route allows 30 s.
    stage.clock.advance(Duration::from_secs(30));
    let (status, answer) = invoke(&function, &signed[0]).await;
    assert_eq!(status, 202, "{answer:#}");
    let (status, answer) = invoke(&broken, &signed[1]).await;
    assert_eq!((status, &answer["code"]), (422, &json!("mapping_failed")));
    stage.clock.advance(Duration::from_secs(1));
    let reason = refused(&function, &signed[2], "a second later").await;
    assert!(
        reason.starts_with("signed 31 s ago, more than the 30 s"),
        "{reason}"
    );

    stage.clock.advance(Duration::from_secs(86_400));
    app.turn(&[], None).await.expect("a turn");
    assert_eq!(stage.city(&leads[0]).await, "fir", "it waited for a day");
    let kept = stage.store.deliveries(10).await.expect("a list");
    assert_eq!(kept.len(), 1);
    let kept = stage.store.delivery(&kept[0].id).await.expect("read");
    app.replay(&kept.expect("a delivery"))
        .await
        .expect("replayed");
    app.turn(&[], None).await.expect("a turn");
    assert_eq!(stage.city(&leads[1]).await, "fir", "it was kept for a day");
    assert_ne!(stage.city(&leads[2]).await, "fir");
}

#[tokio::test]
async fn check_says_of_each_vendor_in_a_sentence_how_it_proves_itself() {
    let stage = Stage::set().await;
    let path = stage.folder.path().join("masshook.yaml");
    std::fs::write(&path, stage.config("empty")).expect("written");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_masshook"));
    let output = command
        .args(["check", "--json", "--config"])
        .arg(&path)
        .output();
    let output = output.expect("run");
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let routes = document["routes"].as_object().expect("routes");
    let said = routes.iter().map(|(name, told)| {
        let sentence = told["verify"].as_str().expect("a sentence");
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

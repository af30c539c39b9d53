//! The vendors of `crates/webhook-verify/tests/custom_schemes.yaml`: each signs its deliveries by hand, without a
//! scheme.

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
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::harness::Request;

/// The location of the proof.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    Header(&'static str),
    /// Under this key of the body.
    Body(&'static str),
    Query,
    Path,
}

/// Signs a delivery about a lead at a time.
pub(super) type Deliver = Box<dyn Fn(Timestamp, &str) -> Request>;

/// A vendor that signs by hand.
pub(super) struct Vendor {
    pub(super) shape: u8,
    pub(super) name: &'static str,
    /// The secret of the route.
    pub(super) secret: String,
    pub(super) proof: Proof,
    /// Whether the proof covers the body; otherwise it only identifies the sender.
    covers_body: bool,
    /// Whether the time is signed.
    pub(super) is_timed: bool,
    /// The known version prefix and an unknown one to replace it with.
    pub(super) versions: Option<[&'static str; 2]>,
    /// Makes the signed delivery about a lead.
    pub(super) deliver: Deliver,
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

    /// Changes one byte of the body, or of the proof if it does not cover the body.
    pub(super) fn changed(&self, mut request: Request) -> Request {
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

    /// Removes the proof.
    pub(super) fn unsigned(&self, mut request: Request) -> Request {
        match self.proof {
            Proof::Header(name) => request.headers.retain(|(own, _)| own != name),
            Proof::Body(word) => request.body = replaced(&request.body, word, "nothing"),
            Proof::Query => request.query = request.query.replace("k=", "x="),
            Proof::Path => request.path = format!("/hooks/{}", self.name),
        }
        request
    }
}

pub(super) fn header<'a>(request: &'a mut Request, name: &str) -> &'a mut (String, String) {
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

pub(super) fn sha256(key: &[u8], text: impl AsRef<[u8]>) -> Vec<u8> {
    mac::<Hmac<Sha256>>(key, text)
}

pub(super) fn body(lead: &str) -> String {
    json!({"lead": lead, "note": "ten"}).to_string()
}

pub(super) fn post(name: &str, body: &str) -> Request {
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

/// Makes a JSON Web Token, signed by `sign`.
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

/// Returns all vendors, with secrets derived from `key`.
pub(super) fn vendors(key: &'static str) -> Vec<Vendor> {
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
                // The sender's proxy signs with the port; the fields are sorted by name.
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

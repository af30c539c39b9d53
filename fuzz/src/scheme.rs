//! Target of the scheme interpreter.
//!
//! The input is the `verify` entry of a route as YAML (with the value of the secret under `secret`), a line `---`, and an
//! HTTP request.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use strict_reader::{Node, Problems};
use webhook_verify::handshake::{self, HandshakeSecrets};
use webhook_verify::scheme::{ProofKind, Scheme, SchemeChoice};
use webhook_verify::verify::{
    OutgoingWebhook, Verification, VerifyError, WebhookRequest, sign, signed_urls, verify,
};

const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

/// Verifies the request under the scheme, answers it as a handshake, and signs its body. Asserts that a request which
/// verifies with one secret does not verify with another, and that a signed request verifies, but not with another body if
/// the scheme covers the body.
pub fn run(data: &[u8]) {
    let Some((record, request)) = super::two_parts(data) else {
        return;
    };
    let Ok(record) = serde_saphyr::from_str::<Value>(record) else {
        return;
    };
    let Some((scheme, secrets)) = read_scheme(&record) else {
        return;
    };
    assert!(scheme.describe().ends_with('.'));
    let Some(request) = Request::read(request) else {
        return;
    };
    let urls = signed_urls("https://hooks.example.com?a=1", request.rest, request.query);
    let unverified = WebhookRequest::new(&request.headers, request.body)
        .method(request.method)
        .path(request.rest)
        .query(request.query)
        .urls(&urls);
    let other = [SecretString::from("c29tZXRoaW5nIGVsc2U=")];
    let is_other = |secret: &SecretString| secret.expose_secret() == other[0].expose_secret();
    let can_mismatch = scheme.needs_secret() && !secrets.iter().any(is_other);
    match verify(&scheme, &unverified, &secrets, NOW) {
        Ok(_) if can_mismatch => {
            assert!(verify(&scheme, &unverified, &other, NOW).is_err());
        }
        Ok(_) => {}
        Err(refusal) => assert!(refusal.to_string().len() < 2_000, "{refusal}"),
    }
    if let Some(answer) = handshake::respond(
        &scheme,
        &unverified,
        HandshakeSecrets::OfDeliveries(&secrets),
    ) {
        assert!(answer.body.len() <= 8 * 1024);
    }
    let mut outgoing = OutgoingWebhook::new("evt_1", request.body);
    outgoing.headers = request.headers.clone();
    outgoing.path = request.rest.to_owned();
    outgoing.query = request.query.to_owned();
    outgoing.public_url = Some("https://hooks.example.com".to_owned());
    if let Ok(method) = request.method.parse() {
        outgoing.method = method;
    }
    if sign(&scheme, &secrets, NOW, &mut outgoing).is_err() {
        return;
    }
    let verification = verify_outgoing(&scheme, &outgoing, &secrets);
    if matches!(
        verification,
        Err(VerifyError::RepeatedPart { .. } | VerifyError::SignedToken)
    ) {
        // A request with a repeated part is refused, even if the signature is valid. So is a token that a handshake signs
        // for anybody.
        return;
    }
    assert!(
        verification.is_ok(),
        "signed by this target: {verification:?}"
    );
    if can_mismatch {
        assert!(verify_outgoing(&scheme, &outgoing, &other).is_err());
    }
    let covers = |proof: &ProofKind| match proof {
        ProofKind::Hmac(hashed) | ProofKind::Digest(hashed) => hashed.message.covers_body(),
        ProofKind::Ed25519(_)
        | ProofKind::Ecdsa(_)
        | ProofKind::Rsa(_)
        | ProofKind::Jws(_)
        | ProofKind::Equals(_)
        | ProofKind::Basic
        | ProofKind::Bearer
        | ProofKind::Sns => false,
    };
    if scheme.specs().iter().all(|spec| covers(&spec.proof)) {
        outgoing.body.extend_from_slice(b"&x=1");
        assert!(verify_outgoing(&scheme, &outgoing, &secrets).is_err());
    }
}

fn verify_outgoing(
    scheme: &Scheme,
    sent: &OutgoingWebhook,
    secrets: &[SecretString],
) -> Result<Verification, VerifyError> {
    let urls = Vec::from_iter(sent.url());
    let request = WebhookRequest::new(&sent.headers, &sent.body)
        .method(sent.method.as_str())
        .path(&sent.path)
        .query(&sent.query)
        .urls(&urls);
    verify(scheme, &request, secrets, NOW)
}

fn read_scheme(record: &Value) -> Option<(Box<Scheme>, Vec<SecretString>)> {
    let mut problems = Problems::default();
    let mut object = Node::root(record).object(&mut problems)?;
    let choice = SchemeChoice::read(&mut object, &mut problems);
    let secret = object.optional("secret");
    object.finish(&mut problems);
    let texts = secret.map(|node| node.one_or_many()).unwrap_or_default();
    let texts = texts.iter().filter_map(|node| node.value.as_str());
    let secrets = texts.map(SecretString::from).collect();
    match problems.finish(choice) {
        Ok(SchemeChoice::Scheme(scheme)) => Some((scheme, secrets)),
        Ok(SchemeChoice::Disabled(_)) => None,
        Err(problems) => {
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
            None
        }
    }
}

/// A request in the text format of HTTP/1.1, with CRLF or LF line endings.
struct Request<'a> {
    method: &'a str,
    rest: &'a str,
    query: &'a str,
    headers: HeaderMap,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        let mut lines = Vec::new();
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let (first, lines) = lines.split_first()?;
        let (method, target) = std::str::from_utf8(first).ok()?.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            headers.append(name, value);
        }
        Some(Self {
            method,
            rest: path.trim_start_matches('/'),
            query,
            headers,
            body: rest,
        })
    }
}

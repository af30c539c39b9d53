//! Whether what came in is what it says it is: handshakes, signatures, and the keys that they need.

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use url::Url;

use super::rejection::Rejection;
use super::{App, InboundRequest};
use crate::config::{Proof, Route, Verify};
use crate::http::{Cap, Http};
use crate::secrets::{SecretError, SecretRef};
use webhook_verify::handshake::{self, Handshake};
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{self, KeyFetcher, WebhookRequest};

/// Bytes of a certificate or a key set that are read.
const MAX_CERTIFICATE: usize = 64 << 10;

/// The scheme whose subscriptions are confirmed.
const SNS: &str = "aws-sns";

/// A delivery that is what it says it is.
pub(super) struct Genuine {
    /// The id from the scheme's own place for it.
    pub(super) delivery_id: Option<String>,
    /// What its sender wants to hear.
    pub(super) reply: Option<Handshake>,
    /// What is to be visited, so that Amazon SNS goes on: then this is no delivery.
    pub(super) subscribe: Option<Url>,
}

impl App {
    /// The answer to a sender's handshake, and what there is to be learnt from it; none if this is none.
    pub(super) async fn greet(
        &self,
        route: &Route,
        arrival: &InboundRequest,
    ) -> Result<Option<Handshake>, Rejection> {
        let Some((proof, handshake)) = self.handshake(route, arrival).await? else {
            return Ok(None);
        };
        if handshake.needs_verification {
            self.prove(route, arrival).await?;
        }
        if let Some(secret) = &handshake.enrolled_secret {
            self.enroll_secret(&arrival.route, route, proof, secret.clone())
                .await?;
        }
        Ok(Some(handshake))
    }

    /// Whether this is a sender's handshake: how it would be answered, and for which scheme. Nothing is learnt.
    pub(super) async fn handshake<'a>(
        &self,
        route: &'a Route,
        arrival: &InboundRequest,
    ) -> Result<Option<(&'a Proof, Handshake)>, Rejection> {
        let Verify::Schemes(proofs) = &route.verify else {
            return Ok(None);
        };
        let url = public_url(route, arrival);
        for proof in proofs
            .iter()
            .filter(|proof| !proof.scheme.handshakes().is_empty())
        {
            let secrets = if route.handshake_secret.is_empty() {
                self.secrets_of(route, proof).await?
            } else {
                let secrets = self.secrets.all(&route.handshake_secret).await;
                secrets.map_err(Rejection::Secret)?
            };
            let unverified = unverified(arrival, url.as_deref());
            let handshake = handshake::answer(&proof.scheme, &unverified, &secrets);
            if let Some(handshake) = handshake {
                return Ok(Some((proof, handshake)));
            }
        }
        Ok(None)
    }

    /// Asks whether a delivery is genuine, and changes nothing.
    pub(super) async fn prove(
        &self,
        route: &Route,
        arrival: &InboundRequest,
    ) -> Result<Genuine, Rejection> {
        let limit = self.max_body_bytes();
        if arrival.body.len() > limit {
            return Err(Rejection::TooLarge { limit });
        }
        let Verify::Schemes(proofs) = &route.verify else {
            return Ok(Genuine {
                delivery_id: None,
                reply: None,
                subscribe: None,
            });
        };
        let mut secrets = Vec::with_capacity(proofs.len());
        for proof in proofs {
            secrets.push(self.secrets_of(route, proof).await?);
        }
        let schemes: Vec<(&Scheme, &[SecretString])> = proofs
            .iter()
            .map(|proof| &proof.scheme)
            .zip(secrets.iter().map(Vec::as_slice))
            .collect();
        let url = public_url(route, arrival);
        let unverified = unverified(arrival, url.as_deref());
        let now = self.clock.now();
        let outcome =
            verify::verify_any_fetching(&schemes, &unverified, now, &self.certificates).await;
        let (scheme, verified) = outcome.map_err(|refusal| {
            let learns = route.verify.enrolled_secrets().next().is_some();
            let refusal = if learns && refusal == verify::VerifyError::MissingSecret {
                // Whoever delivers before its handshake is not the sender.
                verify::VerifyError::SecretNotEnrolled
            } else {
                refusal
            };
            let bare = proofs.iter().any(|proof| proof.scheme.bare_refusals());
            let references = proofs.first().map_or(&[][..], |proof| &proof.secrets);
            refused(refusal, bare, references)
        })?;
        let subscribe = match scheme.name() {
            SNS => verify::subscribe_url(&arrival.body),
            _ => None,
        };
        let keys = schemes
            .iter()
            .find(|(own, _)| std::ptr::eq(*own, scheme))
            .map_or(&[][..], |(_, keys)| keys);
        Ok(Genuine {
            delivery_id: verified.delivery_id().map(str::to_owned),
            reply: handshake::acceptance(scheme, &unverified, keys),
            subscribe,
        })
    }

    /// Confirms a subscription of Amazon SNS: it asks for a GET of an address that was signed, and is one of its own.
    pub(super) async fn subscribe(&self, url: &Url) -> Result<Handshake, Rejection> {
        let answer = self.fetcher.ask(url, Cap::Truncate(MAX_CERTIFICATE)).await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(Handshake::confirmed()),
            Ok(answer) => {
                let why = format!("it answered {}", answer.status());
                Err(Rejection::Subscription(why))
            }
            Err(why) => Err(Rejection::Subscription(why)),
        }
    }
}

/// A delivery as the verifier takes it.
fn unverified<'a>(arrival: &'a InboundRequest, url: Option<&'a str>) -> WebhookRequest<'a> {
    let unverified = WebhookRequest::new(&arrival.headers, &arrival.body)
        .method(arrival.method.as_str())
        .query(&arrival.query)
        .path(&arrival.rest);
    match url {
        Some(url) => unverified.url(url),
        None => unverified,
    }
}

/// The URL that the sender called: the route's public one, with what this delivery adds to it.
fn public_url(route: &Route, arrival: &InboundRequest) -> Option<String> {
    let url = route.public_url.as_ref()?;
    Some(verify::called(url.as_str(), &arrival.rest, &arrival.query))
}

/// A bad signature is the sender's affair, a bad secret ours; the one is told by name, the other by reference.
fn refused(refusal: verify::VerifyError, bare: bool, secrets: &[SecretRef]) -> Rejection {
    let malformed = |reference: String, why: String| {
        Rejection::Secret(SecretError::Malformed { reference, why })
    };
    if let verify::VerifyError::InvalidSecret { position, cause } = &refusal {
        let reference = secrets
            .get(position.saturating_sub(1))
            .map(ToString::to_string);
        return malformed(
            reference.unwrap_or_default(),
            format!("cannot be used: {cause}"),
        );
    }
    if refusal.is_misconfiguration() {
        return malformed("of the route".to_owned(), "is missing".to_owned());
    }
    Rejection::Unverified { refusal, bare }
}

/// Fetches the keys of senders that publish them.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    pub(super) http: Http,
    pub(super) sns_endpoint: Option<Url>,
}

impl Fetcher {
    /// Asks for what is at an address; for one of Amazon SNS at the endpoint that the environment names, if it names one.
    async fn ask(&self, url: &Url, cap: Cap) -> Result<http::Response<Bytes>, String> {
        let mut place = url.clone();
        if let Some(endpoint) = &self.sns_endpoint
            && verify::sns_url(url.as_str()).is_some()
        {
            place = endpoint.clone();
            place.set_path(url.path());
            place.set_query(url.query());
        }
        let request = http::Request::get(place.as_str())
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let answer = self.http.send(request, cap).await;
        answer.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl KeyFetcher for Fetcher {
    async fn get(&self, url: &str) -> Result<String, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        if url.scheme() != "https" {
            return Err("keys are fetched over https only".to_owned());
        }
        let answer = self.ask(&url, Cap::Refuse(MAX_CERTIFICATE)).await?;
        if !answer.status().is_success() {
            return Err(format!("the server answered {}", answer.status()));
        }
        String::from_utf8(answer.into_body().into()).map_err(|_| "the keys are not text".to_owned())
    }
}

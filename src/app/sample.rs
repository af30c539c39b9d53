//! Signs a sample delivery of a route's sender, as `masshook send` does, with the secrets that the process has.

mod cloud_event;

use jiff::Timestamp;
use webhook_verify::sample::sample;
use webhook_verify::verify::sign;

use super::App;
use crate::config::{Route, VerifyConfig};
use crate::inbound::cloud_events::ContentMode;
use crate::inbound::rejection::Rejection;
pub use cloud_event::EventForm;
pub use webhook_verify::verify::OutgoingWebhook as SampleDelivery;

/// The name of the sample for routes without a sender of their own.
const ANY_SENDER: &str = "custom";

/// The sample of a sender as a route takes it: a CloudEvent in structured mode, if the route takes CloudEvents.
///
/// # Errors
/// Attributes that cannot be written.
pub(super) fn sample_for(
    route: Option<&Route>,
    sender: &str,
    id: &str,
    now: Timestamp,
) -> Result<SampleDelivery, String> {
    let mut delivery = sample(sender, id);
    if route.is_some_and(|route| route.cloudevents.is_some()) {
        let form = EventForm {
            mode: ContentMode::Structured,
            id: id.to_owned(),
            time: now.to_string(),
            is_new: true,
        };
        form.apply_to(&mut delivery)?;
    }
    Ok(delivery)
}

impl App {
    /// A signed sample for a route: of the sender with this scheme, or of the route's first one.
    ///
    /// # Errors
    /// [`Rejection::NoSuchRoute`], [`Rejection::SampleNotSigned`], [`Rejection::Secret`].
    pub async fn sign_sample(
        &self,
        route: &str,
        sender: Option<&str>,
    ) -> Result<SampleDelivery, Rejection> {
        let settings = self.route(route)?.settings;
        let refused = |why: String| Rejection::SampleNotSigned(why);
        let schemes = settings.verify.schemes();
        let scheme = match sender {
            Some(sender) => schemes.iter().find(|config| config.scheme.name() == sender),
            None => schemes.first(),
        };
        let id = format!("msg_{:016x}", fastrand::u64(..));
        let sample = |sender: &str| {
            sample_for(Some(settings), sender, &id, self.clock.now()).map_err(refused)
        };
        let Some(scheme) = scheme else {
            return match &settings.verify {
                VerifyConfig::Disabled(_) => sample(ANY_SENDER),
                VerifyConfig::ByAws => Err(refused("AWS delivers to this route".to_owned())),
                VerifyConfig::Schemes(_) => {
                    let sender: String = sender.unwrap_or_default().chars().take(80).collect();
                    Err(refused(format!("the route does not verify `{sender}`")))
                }
            };
        };
        let mut delivery = sample(scheme.scheme.name())?;
        delivery.public_url = settings.public_url.as_ref().map(ToString::to_string);
        delivery
            .replace_delivery_id(&scheme.scheme)
            .map_err(|error| refused(error.to_string()))?;
        let secrets = self.secrets.all(&scheme.secrets).await;
        let secrets = secrets.map_err(Rejection::Secret)?;
        sign(&scheme.scheme, &secrets, self.clock.now(), &mut delivery)
            .map_err(|error| refused(error.to_string()))?;
        Ok(delivery)
    }
}

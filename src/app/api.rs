//! The operations of `/jobs`.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::intake::NewJobs;
use super::jobs::Reception;
use super::{Acceptance, App};
use crate::inbound::rejection::Rejection;
use crate::job::{Job, JobId};
use crate::metrics::NO_ROUTE;
use crate::plan::{PlanLimits, PlanPreview};
use crate::secrets::SecretRef;
use crate::trigger::Trigger;
use crate::update::UpdateRequest;

impl App {
    /// Stores a job for an update request that came through `trigger`. Requests with the same `key` share one job; without a key each gets a new one.
    ///
    /// # Errors
    /// [`Rejection`]; no job was stored then.
    pub async fn request(
        &self,
        request: &Value,
        key: Option<&str>,
        trigger: Trigger,
        deadline: Option<Timestamp>,
    ) -> Result<Acceptance, Rejection> {
        let reception = Reception::start(self.clock.as_ref());
        let update = UpdateRequest::parse(request).map_err(Rejection::Invalid)?;
        let connection = self
            .config
            .default_connection()
            .ok_or(Rejection::NoConnection)?
            .to_owned();
        let key = key.map_or_else(|| format!("{:032x}", fastrand::u128(..)), str::to_owned);
        let id = JobId::derive("/jobs", &key, 1);
        let callback_url = update.callback_url.clone();
        let job = Job::new(id, None, connection, update, callback_url, self.clock.now())
            .with_track_for(self.config.track_for)
            .with_on_unknown_outcome(self.config.on_unknown_outcome)
            .with_callback_format(self.config.callbacks.format)
            .with_callback_on(self.config.callback_on)
            .with_intake_times(reception.intake_times(self.clock.as_ref(), None));
        self.intake.check_backlog()?;
        self.intake.check_callbacks(std::slice::from_ref(&job))?;
        let new = NewJobs::of_job(job);
        let (accepted, outcome) = self.intake.accept(new, deadline).await?;
        self.metrics.count_delivery(NO_ROUTE, trigger, outcome);
        Ok(accepted)
    }

    /// Parses an update request and checks its callback URL. Stores nothing.
    ///
    /// # Errors
    /// [`Rejection::Invalid`], [`Rejection::Callback`].
    pub fn check(&self, request: &Value) -> Result<UpdateRequest, Rejection> {
        let update = UpdateRequest::parse(request).map_err(Rejection::Invalid)?;
        if let Some(url) = &update.callback_url {
            self.intake
                .engine
                .callbacks()
                .accepts(url)
                .map_err(Rejection::Callback)?;
        }
        Ok(update)
    }

    /// The plan of an update request. Stores nothing.
    ///
    /// # Errors
    /// Those of [`App::check`].
    pub fn plan(&self, request: &Value) -> Result<Value, Rejection> {
        let update = self.check(request)?;
        Ok(PlanPreview::of(&update, &self.plan_limits(None)).to_json())
    }

    /// What a call of a route may carry; without a route, of an update request that is sent directly.
    pub fn plan_limits(&self, route: Option<&str>) -> PlanLimits {
        let connection = match route.and_then(|name| self.config.routes.get(name)) {
            Some(route) => Some(route.connection.as_str()),
            None => self.config.default_connection(),
        };
        let connection = connection.and_then(|name| self.config.connections.get(name));
        PlanLimits::of(
            connection
                .map(|known| known.api_version)
                .unwrap_or_default(),
        )
    }

    /// The stored job.
    ///
    /// # Errors
    /// [`Rejection::NoSuchJob`], [`Rejection::Unreadable`], [`Rejection::Store`].
    pub async fn job(&self, id: &str) -> Result<Job, Rejection> {
        let job = self
            .store()
            .get(&JobId::from_outside(id))
            .await
            .map_err(Rejection::of_store)?;
        job.ok_or_else(|| Rejection::NoSuchJob(id.chars().take(80).collect()))
    }

    /// Checks the bearer key of `/jobs`.
    ///
    /// # Errors
    /// [`Rejection::Unauthorized`], [`Rejection::Closed`], [`Rejection::Secret`].
    pub async fn authorize(&self, bearer: Option<&str>) -> Result<(), Rejection> {
        let reference = self.config.api.key.as_ref().ok_or(Rejection::Closed)?;
        let given = bearer.ok_or(Rejection::Unauthorized)?;
        let key = self
            .secrets
            .get(reference)
            .await
            .map_err(Rejection::Secret)?;
        let key = key.expose_secret();
        if bool::from(given.as_bytes().ct_eq(key.as_bytes())) {
            Ok(())
        } else {
            Err(Rejection::Unauthorized)
        }
    }

    /// Whether a text is the key of the console.
    ///
    /// # Errors
    /// [`Rejection::Secret`].
    pub async fn is_console_key(&self, given: &str) -> Result<bool, Rejection> {
        self.is_key(self.config.console.key.as_ref(), given).await
    }

    /// Whether `given` is the key that may read the metrics. Without a configured key nothing is.
    ///
    /// # Errors
    /// [`Rejection::Secret`].
    pub async fn is_metrics_key(&self, given: &str) -> Result<bool, Rejection> {
        let key = self.config.console.metrics_key.as_ref();
        self.is_key(key, given).await
    }

    async fn is_key(&self, key: Option<&SecretRef>, given: &str) -> Result<bool, Rejection> {
        let Some(reference) = key else {
            return Ok(false);
        };
        let key = self.secrets.get(reference).await;
        let key = key.map_err(Rejection::Secret)?;
        Ok(given
            .as_bytes()
            .ct_eq(key.expose_secret().as_bytes())
            .into())
    }

    /// The current time of the app's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

//! Makes the jobs of a delivery.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::App;
use super::intake::NewJobs;
use crate::clock::Clock;
use crate::inbound::Delivery;
use crate::inbound::rejection::Rejection;
use crate::job::{IntakeTimes, Job, JobId, JobOrder, JobSource, OrderKey};
use crate::store::delivery::StoredDelivery;

/// The times of the steps before the jobs of a delivery are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reception {
    start: Duration,
    verified: Option<Duration>,
}

impl Reception {
    /// A delivery that is received now.
    pub(super) fn start(clock: &dyn Clock) -> Self {
        Self {
            start: clock.elapsed(),
            verified: None,
        }
    }

    /// Records that everything since the start was the verification.
    pub(super) fn record_verification(&mut self, clock: &dyn Clock) {
        self.verified = Some(clock.elapsed().saturating_sub(self.start));
    }

    /// How a job that is made now arrived.
    pub(super) fn intake_times(self, clock: &dyn Clock, mapped: Option<Duration>) -> IntakeTimes {
        IntakeTimes {
            elapsed: clock.elapsed().saturating_sub(self.start),
            verified: self.verified,
            mapped,
        }
    }
}

/// Maps a delivery and makes its jobs. Nothing is stored yet.
///
/// # Errors
/// [`Rejection`] if the delivery cannot be mapped, or a callback URL is not allowed.
pub(super) async fn new_jobs(
    app: &App,
    delivery: &Delivery<'_>,
    reception: Reception,
) -> Result<NewJobs, Rejection> {
    let start = app.clock.elapsed();
    let outcome = app.map(delivery).await?;
    let mapped = app.clock.elapsed().saturating_sub(start);
    let times = reception.intake_times(app.clock.as_ref(), Some(mapped));
    let (route, config, now) = (delivery.route(), &app.config, app.clock.now());
    let durable = app.intake.is_durable();
    // An inline run has no durable store.
    let stored =
        (durable && !outcome.updates.is_empty()).then(|| delivery.to_stored(&outcome.delivery_id));
    let delivery_id = (!outcome.updates.is_empty())
        .then(|| StoredDelivery::id_of(delivery.route().name, &outcome.delivery_id));
    let source = stored.as_ref().map(|stored| JobSource {
        delivery: stored.id.clone(),
        shared: outcome.updates.len() > 1,
    });
    let settings = route.settings;
    let window = settings.batch_window.unwrap_or(config.batch_window);
    let on_unknown_outcome = settings
        .on_unknown_outcome
        .unwrap_or(config.on_unknown_outcome);
    let order = outcome.order.map(|value| JobOrder {
        key: OrderKey {
            value,
            received_at: delivery.received_at(),
        },
        keep_for: SignedDuration::try_from(settings.order_for()).unwrap_or(SignedDuration::MAX),
    });
    let mut jobs = Vec::with_capacity(outcome.updates.len());
    for (index, update) in outcome.updates.into_iter().enumerate() {
        let id = JobId::derive(route.name, &outcome.delivery_id, index + 1);
        let callback_url = update.callback_url.clone();
        let callback_url = callback_url.or_else(|| settings.callback_url.clone());
        let (name, connection) = (route.name.to_owned(), settings.connection.clone());
        let job = Job::new(id, Some(name), connection, update, callback_url, now);
        let mut job = job
            .with_source(source.clone())
            .with_order(order)
            .with_track_for(settings.track_for.unwrap_or(config.track_for))
            .with_on_unknown_outcome(on_unknown_outcome)
            .with_callback_format(config.callbacks.format)
            .with_callback_on(settings.callback_on.unwrap_or(config.callback_on))
            .with_intake_times(times);
        if durable {
            job.delay_until(end_of_window(now, window));
        }
        jobs.push(job);
    }
    app.intake.check_callbacks(&jobs)?;
    Ok(NewJobs {
        jobs,
        delivery: stored,
        delivery_id,
        ignored: outcome.ignored,
        when_took: outcome.when_took,
    })
}

/// The end of the batch window that contains `now`. Windows are counted from the epoch, so that jobs of one window are due at
/// the same time in every process.
fn end_of_window(now: Timestamp, window: Duration) -> Timestamp {
    let Ok(window) = i64::try_from(window.as_millis()) else {
        return now;
    };
    if window <= 0 {
        return now;
    }
    let end = (now.as_millisecond().div_euclid(window) + 1).saturating_mul(window);
    Timestamp::from_millisecond(end).unwrap_or(now)
}

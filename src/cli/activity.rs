//! Samples the counters of a server for the overview of its console, and stores the sums, so that they survive a restart.

use std::convert::Infallible;
use std::time::Duration;

use crate::app::Activity;
use crate::clock::{Clock, SystemClock};
use crate::server::CurrentApp;

/// The pause between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(15);

/// Samples between two writes, of which nothing is written if nothing was counted.
const SAMPLES_PER_SAVE: u32 = 4;

/// Continues from what an earlier server has stored.
pub(super) async fn restore_activity(app: &CurrentApp) -> Activity {
    let now = SystemClock.now();
    let activity = Activity::new(now);
    if let Err(error) = activity.restore(app.app().store(), now).await {
        tracing::warn!("the counts of the overview begin anew: {error}");
    }
    activity
}

/// Samples until the future is dropped.
pub(super) async fn record_activity(app: &CurrentApp, activity: &Activity) -> Infallible {
    let mut unsaved = false;
    loop {
        for _ in 0..SAMPLES_PER_SAVE {
            tokio::time::sleep(SAMPLE_INTERVAL).await;
            let app = app.app();
            unsaved |= activity.sample(app.metrics().totals(), SystemClock.now());
        }
        if unsaved {
            save(app, activity).await;
            unsaved = false;
        }
    }
}

/// Samples once more and stores the sums, when the server has ended.
pub(super) async fn finish_activity(app: &CurrentApp, activity: &Activity) {
    activity.sample(app.app().metrics().totals(), SystemClock.now());
    save(app, activity).await;
}

async fn save(app: &CurrentApp, activity: &Activity) {
    let app = app.app();
    if let Err(error) = activity.save(app.store(), SystemClock.now()).await {
        tracing::warn!("the counts of the overview are not stored: {error}");
    }
}

//! Turns in inline mode: they drive jobs to completion, sleep while Zoho works, and send callbacks beside the calls to Zoho.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::callback_results::CallbackSubject;
use super::{Engine, LeasedJob, TurnDeadlines};
use crate::callback::CallbackReply;
use crate::job::Notification;

/// How long a turn that sleeps waits for a callback before it sleeps: most receivers answer within this time, so that the
/// next step of their job includes the result.
const GRACE: Duration = Duration::from_millis(250);

/// A callback in progress: the job's place, and whether it is the final callback.
type CallbackRef = (usize, bool);

/// The result of a callback, to be recorded.
struct SentCallback {
    place: usize,
    notification: Notification,
    reply: CallbackReply,
}

impl Engine {
    /// Drives jobs to completion, as far as the turn's time allows.
    pub(super) async fn work_inline(&self, leased: &mut [LeasedJob], turn: TurnDeadlines) {
        let mut calling = FuturesUnordered::new();
        let mut in_progress: BTreeSet<CallbackRef> = BTreeSet::new();
        loop {
            let now = self.clock.now();
            let mut work = Self::due_work(leased, turn, now);
            if now >= turn.end {
                break;
            }
            for place in std::mem::take(&mut work.callbacks) {
                let notification = leased.get(place).and_then(|due| due.job.notification(now));
                if let Some(notification) = notification
                    && in_progress.insert((place, notification.is_final()))
                {
                    let subject = CallbackSubject::of(&leased[place].job);
                    calling.push(async move {
                        let reply = self.send_callback(&subject, &notification, turn).await;
                        SentCallback {
                            place,
                            notification,
                            reply,
                        }
                    });
                }
            }
            let mut sent = Vec::new();
            if !work.is_empty() {
                let mut performing = std::pin::pin!(self.perform(leased, work, turn));
                loop {
                    tokio::select! {
                        () = &mut performing => break,
                        Some(callback) = calling.next(), if !calling.is_empty() => sent.push(callback),
                    }
                }
            } else {
                let next_at = work.next_at.filter(|at| *at < turn.give_up);
                let wait = next_at.map(|at| Duration::try_from(at.duration_since(now)));
                let wait = wait.map(Result::unwrap_or_default);
                // A progress callback of a job that has finished delays nothing.
                let is_awaited = |callback: &CallbackRef| {
                    let job = leased.get(callback.0).map(|leased| &leased.job);
                    callback.1 || job.is_some_and(|job| !job.status().is_final())
                };
                let awaited = in_progress.iter().any(is_awaited);
                match wait {
                    None if !awaited => break,
                    None => sent.extend(calling.next().await),
                    Some(wait) => {
                        let first = tokio::time::timeout(wait.min(GRACE), calling.next());
                        match first.await {
                            Ok(Some(callback)) => sent.push(callback),
                            Ok(None) => self.clock.sleep(wait).await,
                            Err(_) => tokio::select! {
                                biased;
                                Some(callback) = calling.next() => sent.push(callback),
                                () = self.clock.sleep(wait) => {}
                            },
                        }
                    }
                }
            }
            for SentCallback {
                place,
                notification,
                reply,
            } in sent
            {
                in_progress.remove(&(place, notification.is_final()));
                if let Some(leased) = leased.get_mut(place) {
                    self.record_callback(leased, &notification, reply);
                    self.checkpoint(leased).await;
                }
            }
        }
        let is_unfinished =
            |leased: &&mut LeasedJob| leased.is_driven() && !leased.job.status().is_final();
        for leased in leased.iter_mut().filter(is_unfinished) {
            Box::pin(self.report_unfinished(leased, turn)).await;
        }
    }
}

//! Random kills of the server under load, while Zoho fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::net::http_client;
use super::served::{PAUSE, Served, form};

/// How much load, and how many kills.
pub(crate) struct RandomKills {
    /// Deliveries of one record each.
    pub(crate) jobs: usize,
    /// How often the server is killed.
    pub(crate) kills: usize,
}

/// The figures of one run.
#[derive(Debug)]
pub(crate) struct RandomKillsReport {
    /// From the first start to the last callback.
    pub(crate) time: Duration,
    /// Unfinished jobs at the moment of a kill, summed over all kills.
    pub(crate) unfinished_at_kills: usize,
    /// Deliveries that had no answer and were sent again.
    pub(crate) unanswered: usize,
    /// Mass update requests.
    pub(crate) posts: u64,
    /// Token requests.
    pub(crate) tokens: u64,
    /// Callbacks, repetitions included.
    pub(crate) callbacks: usize,
}

impl RandomKillsReport {
    /// Formats the figures as a table.
    pub(crate) fn figures(&self) -> String {
        format!(
            "time                        {:.1?}\nunfinished jobs at kills    {}\nunanswered deliveries       {}\nmass updates sent           {}\ntoken requests              {}\ncallbacks sent              {}",
            self.time,
            self.unfinished_at_kills,
            self.unanswered,
            self.posts,
            self.tokens,
            self.callbacks
        )
    }
}

/// Sends a delivery until it is accepted, as webhook senders do. Returns how often there was no answer.
async fn send_until_accepted(client: reqwest::Client, url: String, delivery: Value) -> usize {
    let mut unanswered = 0;
    loop {
        let request = client
            .post(&url)
            .header("content-type", "application/json")
            .body(delivery.to_string());
        match request.send().await {
            Ok(response) if response.status() == 202 => return unanswered,
            Ok(response) => assert_eq!(response.status(), 503),
            Err(_) => unanswered += 1,
        }
        tokio::time::sleep(10 * PAUSE).await;
    }
}

impl Served {
    /// Kills the server at random moments; checks that no job is lost and that no callback has two bodies.
    pub(crate) async fn kill_at_random(&mut self, plan: &RandomKills) -> RandomKillsReport {
        let start = Instant::now();
        let faults = json!({"rate_5xx": 0.1, "rate_429": 0.05, "reset_after_apply": 0.05});
        self.faults(&faults).await;
        self.start(&[]).await;
        let values = ["Webinar", "Advertisement", "Cold Call", "Partner"];
        let client = http_client();
        let mut senders = tokio::task::JoinSet::new();
        let permits = Arc::new(tokio::sync::Semaphore::new(16));
        let mut unfinished = 0;
        for run in 0..=plan.kills {
            let share = |run: usize| plan.jobs * run / (plan.kills + 1);
            for number in share(run)..share(run + 1) {
                let mut delivery = form(&format!("e{number}"), &[self.id("Leads", number as u64)]);
                delivery["fields"] = json!({"Lead_Source": values[number % values.len()]});
                let (client, url) = (client.clone(), self.url("/hooks/form"));
                let permits = permits.clone();
                senders.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    send_until_accepted(client, url, delivery).await
                });
            }
            if run < plan.kills {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(50..1_200))).await;
                self.kill().await;
                let jobs = self.list_jobs();
                let open = jobs
                    .values()
                    .filter(|job| job["finished_at"].is_null() || job["callback"] == "pending");
                unfinished += open.count();
                self.start(&[]).await;
            }
        }
        let unanswered = senders.join_all().await.into_iter().sum();
        let jobs = self.wait_for_jobs(plan.jobs).await;
        for job in jobs.values() {
            assert_eq!(job["status"], "succeeded", "{job:#}");
            assert_eq!(job["callback"], "delivered", "{job:#}");
        }
        assert_eq!(self.callbacks().len(), plan.jobs, "one id for each job");
        for number in 0..plan.jobs {
            let record = self.record("Leads", &self.id("Leads", number as u64)).await;
            let expected = values[number % values.len()];
            assert_eq!(record["Lead_Source"], expected, "record {number}");
        }
        RandomKillsReport {
            time: start.elapsed(),
            unfinished_at_kills: unfinished,
            unanswered,
            posts: self.count("mass_update_post").await,
            tokens: self.count("token").await,
            callbacks: self.receiver.all().len(),
        }
    }
}

//! Crashes: the server is killed between every two effects, and at random moments, and restarted. Zoho's records and
//! the received callbacks show whether a job was lost, or whether a callback was sent twice with different contents.

#[cfg(feature = "failpoints")]
mod matrix;
mod schedules;

use crate::harness::{Harness, RandomKills};

/// With more jobs and kills: `cargo run --release --example kill`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_lose_no_job() {
    let mut world = Harness::new().served().prepare().await;
    let plan = RandomKills {
        jobs: 300,
        kills: 5,
    };
    let outcome = world.kill_at_random(&plan).await;
    eprintln!("{}", outcome.figures());
    assert!(
        outcome.unfinished_at_kills > 0,
        "no kill hit an unfinished job"
    );
}

//! What a power cut costs: nothing but time. The server is killed between every two effects, and at random moments, and
//! started again; Zoho's records and the receiver's callbacks say whether anything was lost or told twice differently.

#[cfg(feature = "failpoints")]
mod matrix;
mod schedules;

use std::path::Path;

use zoho_simulator::Settings;

use crate::harness::serve::{Served, Storm};

/// Twenty times and two thousand jobs: `cargo run --release --example kill`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_lose_no_job() {
    let program = Path::new(env!("CARGO_BIN_EXE_masshook"));
    let mut world = Served::new(program, &[], Settings::default(), |config| config).await;
    let storm = Storm {
        jobs: 300,
        kills: 5,
    };
    let outcome = world.storm(&storm).await;
    eprintln!("{}", outcome.figures());
    assert!(outcome.unfinished_at_kills > 0, "no kill hit anything");
}

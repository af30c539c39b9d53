//! The progress bar of a job.

use std::convert::Infallible;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// How often the bar reads the job.
const REFRESH_INTERVAL: Duration = Duration::from_millis(60);

/// Shows a job's progress until the future is dropped. `job` reads the job's JSON.
pub(super) async fn show_progress<F: Future<Output = Result<Value, String>>>(
    job: impl Fn() -> F,
) -> Infallible {
    let bar = ProgressBar::no_length().with_style(
        ProgressStyle::with_template("   {prefix:<9} {bar:32} {pos}/{len} records  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix("Zoho");
    let _guard = ClearOnDrop(bar.clone());
    loop {
        tokio::time::sleep(REFRESH_INTERVAL).await;
        let Ok(job) = job().await else {
            continue;
        };
        let count = |key: &str| job["counts"][key].as_u64().unwrap_or_default();
        bar.set_length(count("total"));
        bar.set_position(count("updated") + count("failed"));
        bar.set_message(job["status"].as_str().unwrap_or_default().to_owned());
    }
}

/// Removes the progress bar from the terminal, also when its future is dropped.
struct ClearOnDrop(ProgressBar);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

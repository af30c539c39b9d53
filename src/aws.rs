//! The only room that names AWS SDK crates.

pub mod jobs;
mod refusal;
pub mod secrets;
pub mod wakeups;

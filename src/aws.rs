//! The only room that names AWS SDK crates.

pub mod secrets;

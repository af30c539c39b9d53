//! Forwards a job's status: composes, signs and delivers the callback.

pub mod signature;
pub mod target;

//! Turns any webhook into a Zoho CRM mass update, and reports the job's outcome to a callback URL.
//!
//! The modules are listed in the order in which a delivery passes through them.

// Entry points, and `app`, which performs the steps in order.
pub mod api;
pub mod app;
pub mod cli;
pub mod console;
pub mod lambda;
pub mod server;

// Triggers, verification, bodies.
pub mod inbound;
pub mod trigger;

// From a delivery to update requests. Pure.
pub mod mapping;
pub mod update;

// From an update request to Zoho calls: look-ups, validation, plan. Pure.
pub mod guard;
pub mod lookup;
pub mod plan;

// Jobs and the engine that drives them.
pub mod engine;
pub mod job;
pub mod outcome;
pub mod store;
pub mod wakeup;

// The Zoho client and the meaning of Zoho's codes.
pub mod codes;
pub mod zoho;

// Callbacks.
pub mod callback;

// Infrastructure: AWS, config, time, HTTP, secrets, logging.
pub mod aws;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod http;
pub mod metrics;
mod printable;
pub mod retry;
pub mod secrets;
mod sync;
pub mod telemetry;

//! Any webhook in, one Zoho CRM mass update out, and the job's fate forwarded to whoever asked.
//!
//! The rooms stand in the order in which a delivery passes them.

// The conductor: `app` knows the order of the steps; `api`, `lambda` and `cli` are how it is reached.
pub mod api;
pub mod app;
pub mod cli;
pub mod lambda;
pub mod server;

// The door: triggers, signatures, bodies, refusals.
pub mod inbound;

// A delivery becomes update requests. Pure.
pub mod mapping;
pub mod update;

// An update request's records are found, it is held against the org's fields, and becomes Zoho calls. Pure.
pub mod guard;
pub mod lookup;
pub mod plan;

// What is known of an update request on its way, and what drives it.
pub mod engine;
pub mod job;
pub mod outcome;

// The far side, and what its codes mean.
pub mod codes;
pub mod zoho;

// The answer.
pub mod callback;

// The edges: vendors, files, time, the network, the log.
pub mod aws;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod http;
pub mod retry;
pub mod secrets;
pub mod telemetry;

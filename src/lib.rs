//! Any webhook in, one Zoho CRM mass update out, and the job's fate forwarded to whoever asked.

pub mod inbound;

pub mod mapping;

pub mod update;

pub mod plan;

pub mod job;

pub mod zoho;

pub mod outcome;

pub mod retry;

pub mod callback;

pub mod aws;

pub mod secrets;

pub mod http;

pub mod reader;

pub mod clock;

pub mod simulator;

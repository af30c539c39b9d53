//! HTTP tests: every documented rejection with its literal code.

mod accounts;
mod admin;
mod coql;
mod faults;
mod harness;
mod mass_update_ids;
mod metadata;
mod scheduled_jobs;
mod search;
mod update_records;

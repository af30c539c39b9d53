//! HTTP tests: every documented rejection with its literal code.

mod accounts;
mod admin;
mod client_authentication;
mod coql;
mod faults;
mod harness;
mod mass_update_ids;
mod metadata;
mod modules;
mod record_rejections;
mod records;
mod scheduled_jobs;
mod search;
mod tags_and_owners;
mod update_records;
mod upsert;

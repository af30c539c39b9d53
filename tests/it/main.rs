//! Integration tests, one file per feature. They use real parts where possible: AWS on moto's server, the Lambda
//! program under AWS's Runtime Interface Emulator, and Zoho's SDK. CONTRIBUTING.md says how to add one.

#![expect(
    clippy::too_many_lines,
    reason = "a test tells one story, or holds one table of cases"
)]

mod api_versions;
mod architecture;
mod auth_command;
mod aws_secrets;
mod aws_stack;
mod aws_template;
mod aws_triggers;
mod check_command;
mod cloud_events;
mod cold_start;
mod command_line;
mod config_schema;
mod conformance;
mod console;
mod console_browser;
mod crash;
mod custom_schemes;
mod dead_letters;
mod delivery_lifecycle;
mod dev_command;
mod documentation;
mod emf;
mod enrolled_secrets;
mod erase_command;
mod example_routes;
mod explain;
mod first_route;
mod fuzz_replay;
mod handshakes;
mod harness;
mod hostile_requests;
mod http_api;
mod init_command;
mod job_history;
mod jq;
mod lambda_function;
mod likely_mistakes;
mod logs;
mod metadata_guard;
mod metrics;
mod misconfiguration;
mod openapi;
mod operator_api;
mod org_metadata;
#[cfg(feature = "otlp")]
mod otlp;
mod overload;
mod overview;
mod packaging;
mod panics;
mod playground;
mod preview_command;
mod public_urls;
mod published_keys;
mod record_actions;
mod record_creation;
mod record_matching;
mod record_order;
mod record_updates;
mod request_bodies;
mod scheduling;
mod send_command;
mod serve_command;
mod slow_receivers;
mod store;
mod unknown_outcome;
mod vectors;
mod view_names;
mod wake_ups;
mod zoho_client;
mod zoho_codes;
mod zoho_limits;

//! What integration tests start from.
//!
//! [`builder::Harness`] starts masshook between a simulated Zoho and a receiver of callbacks, in the test's process
//! ([`world::World`]) or as `masshook serve` ([`served::Served`]). [`request::Request`] is one HTTP request for any of
//! them, and [`answer::Answer`] its answer. The other modules run AWS's parts on this machine. Tools that are not Rust
//! are fetched once into `target/test-tools` ([`tools`]).

mod answer;
mod aws_stack;
mod builder;
mod dev;
mod function;
mod guarded_process;
mod moto;
mod net;
mod policy;
mod poller;
mod random_kills;
mod receiver;
mod request;
mod rie;
mod self_tests;
mod served;
mod server_and_lambda;
pub(crate) mod shown_output;
mod tools;
mod world;
mod zoho;

pub(crate) use answer::Answer;
pub(crate) use aws_stack::{MAP, PATIENCE, Stack, config_text};
pub(crate) use builder::{API_KEY, Harness, SENDER_SECRET};
pub(crate) use dev::{Dev, command as dev_command};
pub(crate) use function::invoke;
pub(crate) use moto::{Moto, ProxyAction, REGION, faulty_proxy, packed, sdk_config};
pub(crate) use net::{free_port, http_client};
pub(crate) use policy::{ApiCall, role_allows};
pub(crate) use poller::{MAX_RECEIVE_COUNT, Poller};
pub(crate) use random_kills::RandomKills;
pub(crate) use receiver::{CALLBACK_SECRET, Received, Receiver};
pub(crate) use request::{Request, gzipped, sign};
pub(crate) use rie::{Rie, RieOptions};
pub(crate) use served::{Served, form, ids, text};
pub(crate) use server_and_lambda::ServerAndLambda;
pub(crate) use tools::{
    browser_tools, interface_judges, jq_tools, node, openmetrics_parser, repo_path, sample_event,
    schema_errors, typescript_tools, zoho_node_sdk, zoho_sdk, zoho_sdk_v8,
};
pub(crate) use world::{World, durable, enqueue, enqueue_delivery};
pub(crate) use zoho::{SimulatedZoho, manual_clock, time_source};

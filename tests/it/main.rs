//! Tests over real parts: Secrets Manager on moto's server, the Lambda program under AWS's Runtime Interface Emulator, a
//! real callback receiver, and Zoho's own SDK. `support` fetches what they need into `target/test-tools`.

mod auth;
mod aws;
mod check;
mod codes;
mod cold;
mod conformance;
mod crash;
mod door;
mod examples;
mod explain;
mod fuzz;
mod guard;
mod harness;
mod journey;
mod lambda;
mod learn;
mod limits;
mod matching;
mod metadata;
mod names;
mod secrets;
mod send;
mod serve;
mod shapes;
mod store;
mod support;
mod tidy;
mod triggers;
mod turns;
mod vectors;
mod wakeups;
mod zoho;

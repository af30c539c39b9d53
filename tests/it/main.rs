//! Tests over real parts: Secrets Manager on moto's server, the Lambda program under AWS's Runtime Interface Emulator,
//! and a real callback receiver. `support` fetches what they need into `target/test-tools`.

mod aws;
mod cold;
mod crash;
mod door;
mod harness;
mod journey;
mod lambda;
mod secrets;
mod serve;
mod store;
mod support;
mod tidy;
mod triggers;
mod wakeups;
mod zoho;

//! The console: a page that shows deliveries and jobs, with its API, on a listener of its own.
//!
//! The guard ([`guard`]) judges every request before routing. The page ([`assets`]) has no data and needs no token; every
//! other path needs one.

mod assets;
mod config_status;
mod endpoints;
mod guard;
mod hosts;
mod listener;
mod received_callbacks;
mod token;

pub use config_status::ConfigStatus;
pub use listener::{CommandArguments, ConsoleListener, ConsoleSettings, ConsoleStore};
pub use received_callbacks::{ReceivedCallback, ReceivedCallbacks};
pub use token::{Credential, Token};

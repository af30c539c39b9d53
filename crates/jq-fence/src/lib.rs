#![doc = include_str!("../README.md")]

mod assignment;
mod compile;
mod compile_error;
mod document;
mod engine;
mod error;
mod failure;
mod fence;
mod grammar;
mod host;
mod instrument;
mod keys;
mod limits;
mod locate;
mod location;
mod natives;
mod parse;
mod paths;
mod pool;
mod processor_time;
mod program;
mod program_thread;
mod recursion;
mod redaction;
mod rewrite;
mod session;
mod shape;
mod value;
mod visit;

#[cfg(test)]
mod tests;

pub use compile_error::CompileError;
pub use document::{Document, InvalidJson};
pub use error::EvalError;
pub use failure::{FailedPart, Failure};
pub use host::{Capability, Host};
pub use limits::Limits;
pub use location::ErrorLocation;
pub use pool::{Overload, Pool, PoolSettings};
pub use program::{Input, Program};
pub use program_thread::on_program_thread;
pub use session::{Session, Worker};

//! Maps a delivery to update requests: the input of a route's jq programs, and the meaning of their outputs. Pure.
//!
//! The programs themselves run behind the limits of [`jq_fence`].

mod advice;
mod input;
mod misspelled;
mod order;
mod requests;
mod when;

#[cfg(test)]
mod tests;

pub use jq_fence::{
    CompileError, Document, ErrorLocation, EvalError, InvalidJson, Limits, Overload, Pool,
    PoolSettings, Program, Session, Worker, on_program_thread,
};

pub use advice::advice;
pub use input::{MappingInput, program};
pub use misspelled::{MisspelledKey, misspelled_keys};
pub use order::{NotOrder, check_ordered, to_order};
pub use requests::{OutputError, update_requests};
pub use when::{NotBoolean, PathValue, ProgramKey, path_values, to_boolean};

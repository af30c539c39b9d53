//! From a request to a verified delivery and its update requests. The types carry the order of the steps: only
//! [`InboundRequest::verify`] makes a [`Delivery`] of a request, and only a [`Delivery`] can be mapped.

mod aws_event;
pub mod cloud_events;
mod credentials;
mod decoding;
mod delivery;
mod enrollment;
mod key_fetcher;
mod mapping;
pub mod permission;
pub mod rejection;
mod request;
mod verifier;

pub use aws_event::AwsEvent;
pub use delivery::{Delivery, NamedRoute};
pub(crate) use mapping::Mapper;
pub use mapping::{IgnoreReason, MappingOutcome};
pub use request::InboundRequest;
pub use verifier::{Subscription, Verified, Verifier};

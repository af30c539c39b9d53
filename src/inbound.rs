//! The door: turns whatever triggers us into a verified delivery, or refuses it early.

pub mod body;
pub mod handshake;
pub mod http;
pub mod rejection;
pub mod scheme;
pub mod verify;

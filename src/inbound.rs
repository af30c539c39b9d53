//! The door: turns whatever triggers us into a verified delivery, or refuses it early.

pub mod body;
pub mod handshake;
pub mod sample;
pub mod scheme;
pub mod trigger;
pub mod verify;

#![doc = include_str!("../README.md")]

pub mod body;
pub mod handshake;
pub mod sample;
pub mod scheme;
pub mod verify;

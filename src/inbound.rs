//! How a delivery reaches the program: what triggers it, and where it comes from. Signatures, handshakes and bodies are in the crate
//! `webhook_verify`.

pub mod trigger;

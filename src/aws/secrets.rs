//! Secrets Manager.

//! Signs callbacks as Standard Webhooks asks.

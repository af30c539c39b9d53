//! The one interpreter of signature schemes. Pure: time and secrets are arguments.

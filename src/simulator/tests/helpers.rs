//! The endpoints around mass update.

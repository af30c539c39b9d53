//! A small, strict Zoho for tests and demos. It shares no types with the client.

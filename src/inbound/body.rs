//! Decodes a delivery's body, by its content type, into a document for the mapping.

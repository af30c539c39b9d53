//! The same operations, in any order, on SQLite and on a model.

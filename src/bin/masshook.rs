//! The command line and local server.

fn main() {}

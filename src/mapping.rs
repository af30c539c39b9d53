//! Runs a route's jq program over a delivery. Pure: no I/O, bounded time and memory.

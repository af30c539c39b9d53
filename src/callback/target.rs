//! Which URLs a callback may go to.

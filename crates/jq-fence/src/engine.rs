//! The engine: jaq with fenced values.

use jaq_core::data::HasLut;
use jaq_core::{DataT, Lut};

use crate::fence;
use crate::value::FencedValue;

/// The data of a running program: its compiled terms. The engine reads them at every step, so this is where steps are
/// counted. Every context has a copy, so that the copies also count the contexts: whatever the engine keeps for later, such
/// as the pending calls of a recursive definition, holds at least one.
pub(crate) struct Terms<'a>(&'a Lut<Engine>);

impl<'a> Terms<'a> {
    pub(crate) fn new(lut: &'a Lut<Engine>) -> Self {
        fence::hold_context();
        Self(lut)
    }
}

impl Clone for Terms<'_> {
    fn clone(&self) -> Self {
        Self::new(self.0)
    }
}

impl Drop for Terms<'_> {
    fn drop(&mut self) {
        fence::release_context();
    }
}

/// jaq, with [`FencedValue`] as its value.
pub(crate) struct Engine;

impl DataT for Engine {
    type V<'a> = FencedValue;
    type Data<'a> = Terms<'a>;
}

impl<'a> HasLut<'a, Engine> for Terms<'a> {
    fn lut(&self) -> &'a Lut<Engine> {
        fence::step();
        self.0
    }
}

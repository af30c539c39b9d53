//! The engine: jaq with fenced values.

use jaq_core::data::HasLut;
use jaq_core::{DataT, Lut};

use crate::fence;
use crate::value::FencedValue;

/// The data of a running program: its compiled terms. The engine reads them at every step, so this is where steps are
/// counted.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a>(pub(crate) &'a Lut<Engine>);

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

//! The operations that jaq-std needs.

use jaq_json::{Num, Val};

use super::FencedValue;
use crate::fence;

impl jaq_std::ValT for FencedValue {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        if !matches!(self.val, Val::Arr(_)) {
            return Err(self);
        }
        // Arrays yield no errors. Filters keep a key beside each item to sort and group them.
        Ok(jaq_core::ValT::values(self)
            .filter_map(Result::ok)
            .inspect(|_| fence::allocate(128))
            .collect())
    }

    fn is_int(&self) -> bool {
        matches!(self.val, Val::Num(Num::Int(_) | Num::BigInt(_)))
    }

    fn as_isize(&self) -> Option<isize> {
        jaq_std::ValT::as_isize(&self.val)
    }

    fn as_f64(&self) -> Option<f64> {
        jaq_std::ValT::as_f64(&self.val)
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self.val, Val::TStr(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        let bytes = jaq_std::ValT::as_bytes(&self.val)?;
        fence::spend(bytes.len() as u64 / 16);
        Some(bytes)
    }

    fn as_sub_str(&self, sub: &[u8]) -> Self {
        fence::allocate(64);
        Self::leaf(jaq_std::ValT::as_sub_str(&self.val, sub))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        fence::allocate(bytes.as_ref().len() + 64);
        Self::leaf(<Val as jaq_std::ValT>::from_utf8_bytes(bytes))
    }
}

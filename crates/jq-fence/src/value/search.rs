//! Positions of a part in a value.

use jaq_core::{Error, ValR};
use jaq_json::Val;

use super::FencedValue;
use super::compare::equal;
use crate::fence;

/// The positions of `part`: in a string by characters, in an array by items.
pub(crate) fn indices(value: &FencedValue, part: &FencedValue) -> ValR<FencedValue> {
    match (&value.val, &part.val) {
        (Val::TStr(_), Val::TStr(_)) => {
            let (Some(text), Some(pattern)) = (value.as_str(), part.as_str()) else {
                return Err(Error::index(value.clone(), part.clone()));
            };
            if pattern.is_empty() {
                return Ok(FencedValue::from_iter([]));
            }
            fence::spend(text.len() as u64 / 16);
            let starts = text.char_indices().enumerate().filter(|(_, (at, _))| {
                fence::spend(pattern.len() as u64 / 64);
                let same = text[*at..].starts_with(pattern);
                fence::spend(u64::from(same));
                same
            });
            Ok(starts.map(|(index, _)| FencedValue::from(index)).collect())
        }
        (Val::Arr(items), Val::Arr(pattern)) => {
            if pattern.is_empty() {
                return Ok(FencedValue::from_iter([]));
            }
            let windows = items.windows(pattern.len()).enumerate();
            let same = windows.filter(|(_, window)| {
                let mut pairs = window.iter().zip(pattern.iter());
                pairs.all(|(left, right)| equal(left, right))
            });
            Ok(same.map(|(index, _)| FencedValue::from(index)).collect())
        }
        (Val::Arr(items), pattern) => {
            let same = items.iter().enumerate();
            let same = same.filter(|(_, item)| equal(item, pattern));
            Ok(same.map(|(index, _)| FencedValue::from(index)).collect())
        }
        (Val::Null, Val::TStr(_) | Val::Num(_) | Val::Obj(_)) => Ok(FencedValue::leaf(Val::Null)),
        // jq takes the part as the key of an object, or as the range of a slice.
        _ => jaq_core::ValT::index(value.clone(), part),
    }
}

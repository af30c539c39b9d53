//! Equality and order of values.

use std::cmp::Ordering;

use jaq_json::{Map, Num, Rc, Val};

use super::{FencedValue, numeral};
use crate::fence;

impl PartialEq for FencedValue {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.val, &other.val)
    }
}

impl Eq for FencedValue {}

#[expect(
    clippy::non_canonical_partial_ord_impl,
    reason = "jq's `<` and the order of `sort` differ for nan"
)]
impl PartialOrd for FencedValue {
    /// jq's `<`, for which nan is less than anything, even nan.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if let (Val::Num(left), Val::Num(right)) = (&self.val, &other.val) {
            fence::spend(1);
            // nan is less than anything, even nan; nothing is less than another number and nan at once.
            return Some(match numeral::compare(left, right) {
                Some(order) => order,
                None if numeral::as_float(left).is_nan() => Ordering::Less,
                None => Ordering::Greater,
            });
        }
        Some(compare(&self.val, &other.val))
    }
}

impl Ord for FencedValue {
    /// The order of `sort`: total, as Rust's sorting demands it.
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.val, &other.val)
    }
}

/// jq's `==`.
pub(crate) fn equal(left: &Val, right: &Val) -> bool {
    fence::spend(1);
    match (left, right) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(left), Val::Bool(right)) => left == right,
        (Val::Num(left), Val::Num(right)) => numeral::compare(left, right) == Some(Ordering::Equal),
        (Val::TStr(left), Val::TStr(right)) => {
            fence::spend(left.len() as u64 / 64);
            left == right
        }
        (Val::Arr(left), Val::Arr(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(l, r)| equal(l, r))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            let same = |(key, left): (&Val, &Val)| right.get(key).is_some_and(|r| equal(left, r));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => false,
    }
}

/// The order of `sort`: null, false, true, numbers, strings, arrays, objects. It is total: nan is less than every other
/// number, and long literals that are equal as floats are ordered by their exact value.
pub(crate) fn compare(left: &Val, right: &Val) -> Ordering {
    fence::spend(1);
    match (left, right) {
        (Val::Bool(left), Val::Bool(right)) => left.cmp(right),
        (Val::Num(left), Val::Num(right)) => compare_numbers(left, right),
        (Val::TStr(left), Val::TStr(right)) => {
            fence::spend(left.len().min(right.len()) as u64 / 64);
            left.cmp(right)
        }
        (Val::Arr(left), Val::Arr(right)) => {
            let items = left.iter().zip(right.iter());
            let mut unequal = items.map(|(l, r)| compare(l, r)).filter(|o| o.is_ne());
            unequal.next().unwrap_or(left.len().cmp(&right.len()))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            fence::allocate((left.len() + right.len()) * 16);
            let sorted = |map: &Rc<Map>| {
                let mut entries: Vec<(Val, Val)> =
                    map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                entries.sort_by(|(l, _), (r, _)| compare(l, r));
                entries
            };
            let (left, right) = (sorted(left), sorted(right));
            let keys = left
                .iter()
                .zip(&right)
                .map(|((l, _), (r, _))| compare(l, r));
            let values = left
                .iter()
                .zip(&right)
                .map(|((_, l), (_, r))| compare(l, r));
            let mut keys = keys.filter(|order| order.is_ne());
            let mut values = values.filter(|order| order.is_ne());
            let keys = keys.next().unwrap_or(left.len().cmp(&right.len()));
            keys.then_with(|| values.next().unwrap_or(Ordering::Equal))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(val: &Val) -> u8 {
    match val {
        Val::Null => 0,
        Val::Bool(_) => 1,
        Val::Num(_) => 2,
        Val::TStr(_) | Val::BStr(_) => 3,
        Val::Arr(_) => 4,
        Val::Obj(_) => 5,
    }
}

fn compare_numbers(left: &Num, right: &Num) -> Ordering {
    let float = |num: &Num| {
        let float = numeral::as_float(num);
        // One nan, one zero.
        match float.is_nan() {
            true => f64::NEG_INFINITY,
            false => float.clamp(f64::MIN, f64::MAX) + 0.0,
        }
    };
    // Only long literals can differ and be the same float.
    let exact = || match (numeral::is_long(left), numeral::is_long(right)) {
        (true, true) => numeral::compare(left, right).unwrap_or(Ordering::Equal),
        (left, right) => left.cmp(&right),
    };
    float(left).total_cmp(&float(right)).then_with(exact)
}

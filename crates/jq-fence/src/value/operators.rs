//! The operators of [`FencedValue`].

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use jaq_core::ops::Math;
use jaq_core::{Error, ValR};
use jaq_json::{Map, Num, Rc, Val};

use super::{FencedValue, compare, number};
use crate::fence;

/// Bits of an integer that multiplication may yield.
const MAX_BITS: u64 = 8_192;

/// The number of bits of an integer; 0 for any other number.
fn bits(number: &Num) -> u64 {
    match number {
        Num::BigInt(big) => big.bits(),
        Num::Int(_) => 64,
        Num::Float(_) | Num::Dec(_) => 0,
    }
}

impl Add for FencedValue {
    type Output = ValR<Self>;

    fn add(self, other: Self) -> ValR<Self> {
        fence::spend(1);
        let depth = self.depth().max(other.depth());
        match (self.val, other.val) {
            (Val::Null, val) | (val, Val::Null) => Ok(FencedValue::nested(val, depth)),
            (Val::Num(left), Val::Num(right)) => Ok(number(left + right)),
            (Val::TStr(left), Val::TStr(right)) => {
                // A string that is not shared grows in place, to twice its capacity at a time.
                let copied = if left.is_unique() { 0 } else { left.len() };
                fence::allocate(copied + 2 * right.len() + 32);
                arithmetic(Val::TStr(left) + Val::TStr(right))
            }
            (Val::Arr(mut left), Val::Arr(right)) => {
                let copied = match Rc::get_mut(&mut left) {
                    Some(_) => 0,
                    None => left.len(),
                };
                fence::allocate((copied + 2 * right.len()) * 16 + 32);
                fence::spend(right.len() as u64);
                Rc::make_mut(&mut left).extend(right.iter().cloned());
                Ok(FencedValue::nested(Val::Arr(left), depth))
            }
            (Val::Obj(mut left), Val::Obj(right)) => {
                let copied = match Rc::get_mut(&mut left) {
                    Some(_) => 0,
                    None => left.len(),
                };
                fence::allocate((copied + right.len()) * 64 + 32);
                fence::spend((copied + right.len()) as u64);
                let entries = right.iter().map(|(k, v)| (k.clone(), v.clone()));
                Rc::make_mut(&mut left).extend(entries);
                Ok(FencedValue::nested(Val::Obj(left), depth))
            }
            (left, right) => type_error(left, Math::Add, right, depth),
        }
    }
}

impl Sub for FencedValue {
    type Output = ValR<Self>;

    fn sub(self, other: Self) -> ValR<Self> {
        fence::spend(1);
        let depth = self.depth().max(other.depth());
        match (self.val, other.val) {
            (Val::Num(left), Val::Num(right)) => Ok(number(left - right)),
            (Val::Arr(left), Val::Arr(right)) => {
                fence::allocate((left.len() + right.len()) * 16);
                let mut removed: Vec<&Val> = right.iter().collect();
                removed.sort_by(|a, b| compare(a, b));
                let is_kept = |item: &&Val| {
                    let found = removed.binary_search_by(|probe| compare(probe, item));
                    found.is_err()
                };
                let left = left.iter().filter(is_kept).cloned().collect();
                Ok(FencedValue::nested(Val::Arr(Rc::new(left)), depth))
            }
            (left, right) => type_error(left, Math::Sub, right, depth),
        }
    }
}

impl Mul for FencedValue {
    type Output = ValR<Self>;

    fn mul(self, other: Self) -> ValR<Self> {
        fence::spend(1);
        let depth = self.depth().max(other.depth());
        match (self.val, other.val) {
            (Val::Num(left), Val::Num(right)) => {
                if bits(&left).saturating_add(bits(&right)) > MAX_BITS {
                    return Err(Error::str("the product has too many digits"));
                }
                Ok(number(left * right))
            }
            (Val::TStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text)) => {
                let times = jaq_std::ValT::as_f64(&Val::Num(times)).unwrap_or_default();
                if !times.is_finite() || times <= 0.0 {
                    return Ok(FencedValue::leaf(Val::Null));
                }
                let times = if times < 1.0 { 1 } else { times as usize };
                fence::allocate(text.len().saturating_mul(times).saturating_add(64));
                Ok(FencedValue::leaf(Val::utf8_str(text.repeat(times))))
            }
            (Val::Obj(mut left), Val::Obj(right)) => {
                merge(&mut left, &right);
                Ok(FencedValue::nested(Val::Obj(left), depth))
            }
            (left, right) => type_error(left, Math::Mul, right, depth),
        }
    }
}

/// Merges `right` into `left`, objects within objects too.
fn merge(left: &mut Rc<Map>, right: &Map) {
    let copied = match Rc::get_mut(left) {
        Some(_) => 0,
        None => left.len(),
    };
    fence::allocate((copied + right.len()) * 64);
    fence::spend((copied + right.len()) as u64);
    let left = Rc::make_mut(left);
    for (key, value) in right {
        match (left.get_mut(key), value) {
            (Some(Val::Obj(left)), Val::Obj(right)) => merge(left, right),
            (Some(left), right) => *left = right.clone(),
            (None, right) => {
                left.insert(key.clone(), right.clone());
            }
        }
    }
}

impl Div for FencedValue {
    type Output = ValR<Self>;

    fn div(self, other: Self) -> ValR<Self> {
        fence::spend(1);
        let depth = self.depth().max(other.depth());
        match (&self.val, &other.val) {
            (Val::Num(left), Val::Num(right)) => Ok(number(left.clone() / right.clone())),
            (Val::TStr(bytes), Val::TStr(_)) => {
                let (Some(text), Some(separator)) = (self.as_str(), other.as_str()) else {
                    return Err(Error::str("cannot split: not UTF-8"));
                };
                let part = |part: &str| {
                    fence::allocate(64);
                    FencedValue::leaf(Val::utf8_str(bytes.slice_ref(part.as_bytes())))
                };
                fence::spend(text.len() as u64 / 16);
                Ok(if text.is_empty() {
                    FencedValue::from_iter([])
                } else if separator.is_empty() {
                    let ends = text.char_indices().map(|(at, c)| at..at + c.len_utf8());
                    ends.map(|range| part(&text[range])).collect()
                } else {
                    text.split(separator).map(part).collect()
                })
            }
            _ => type_error(self.val, Math::Div, other.val, depth),
        }
    }
}

impl Rem for FencedValue {
    type Output = ValR<Self>;

    fn rem(self, other: Self) -> ValR<Self> {
        fence::spend(1);
        let depth = self.depth().max(other.depth());
        let zero = matches!(&other.val, Val::Num(right) if *right == Num::Int(0));
        match (self.val, other.val) {
            (Val::Num(left), Val::Num(right)) if !zero => Ok(number(left % right)),
            (left, right) => type_error(left, Math::Rem, right, depth),
        }
    }
}

impl Neg for FencedValue {
    type Output = ValR<Self>;

    fn neg(self) -> ValR<Self> {
        match self.val {
            Val::Num(num) => Ok(number(-num)),
            _ => Err(Error::typ(self, "number")),
        }
    }
}

fn type_error(left: Val, operator: Math, right: Val, depth: u32) -> ValR<FencedValue> {
    let (left, right) = (
        FencedValue::nested(left, depth),
        FencedValue::nested(right, depth),
    );
    Err(Error::math(left, operator, right))
}

/// The result of an operation of jaq's that cannot fail for these operands.
fn arithmetic(result: Result<Val, jaq_json::Error>) -> ValR<FencedValue> {
    result
        .map(FencedValue::leaf)
        .map_err(|_| Error::str("cannot calculate"))
}

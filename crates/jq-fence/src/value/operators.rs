//! The operators of [`FencedValue`].

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use jaq_core::ops::Math;
use jaq_core::{Error, ValR};
use jaq_json::{Map, Num, Rc, Val};

use super::{FencedValue, compare, equal, numeral};
use crate::fence;

/// The result of adding, subtracting or multiplying two numbers. The evaluation ends if jq would round an integer.
fn whole_or_float(
    left: &Num,
    right: &Num,
    floats: fn(f64, f64) -> f64,
    integers: fn(i128, i128) -> Option<i128>,
) -> FencedValue {
    let (left, right) = (numeral::operand(left), numeral::operand(right));
    let float = floats(left, right);
    let is_whole = |float: f64| float.fract() == 0.0 && float.abs() < 1e18;
    if float.abs() > 9e15 && is_whole(left) && is_whole(right) {
        let exact = integers(left as i128, right as i128);
        if exact.is_some_and(|exact| float as i128 != exact) {
            fence::refuse(
                "the program calculates an integer of more than 53 bits, which jq would round; keep ids as strings",
            );
        }
    }
    numeral::result(float)
}

impl Add for FencedValue {
    type Output = ValR<Self>;

    fn add(self, other: Self) -> ValR<Self> {
        fence::spend(1);
        let depth = self.depth().max(other.depth());
        match (self.val, other.val) {
            (Val::Null, val) | (val, Val::Null) => Ok(FencedValue::nested(val, depth)),
            (Val::Num(left), Val::Num(right)) => Ok(whole_or_float(
                &left,
                &right,
                |l, r| l + r,
                i128::checked_add,
            )),
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
            (Val::Num(left), Val::Num(right)) => Ok(whole_or_float(
                &left,
                &right,
                |l, r| l - r,
                i128::checked_sub,
            )),
            (Val::Arr(left), Val::Arr(right)) => {
                fence::allocate((left.len() + right.len()) * 16);
                let mut removed: Vec<&Val> = right.iter().collect();
                removed.sort_by(|a, b| compare(a, b));
                let is_kept = |item: &&Val| {
                    let found = removed.binary_search_by(|probe| compare(probe, item));
                    // nan differs from itself.
                    found.is_err() || !equal(item, item)
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
            (Val::Num(left), Val::Num(right)) => Ok(whole_or_float(
                &left,
                &right,
                |l, r| l * r,
                i128::checked_mul,
            )),
            (Val::TStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text)) => {
                let times = numeral::as_float(&times);
                if times.is_nan() || times < 0.0 {
                    return Ok(FencedValue::leaf(Val::Null));
                }
                let times = times.min(f64::from(i32::MAX)) as usize;
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
            (Val::Num(_), Val::Num(right)) if numeral::as_float(right) == 0.0 => {
                type_error(self.val, Math::Div, other.val, depth)
            }
            (Val::Num(left), Val::Num(right)) => Ok(numeral::result(
                numeral::as_float(left) / numeral::as_float(right),
            )),
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
        match (self.val, other.val) {
            (Val::Num(left), Val::Num(right)) => {
                let (number, divisor) = (numeral::operand(&left), numeral::operand(&right));
                // As in C, a float becomes an integer by rounding toward zero and to what fits.
                match divisor as i64 {
                    _ if number.is_nan() || divisor.is_nan() => Ok(numeral::result(f64::NAN)),
                    0 => type_error(Val::Num(left), Math::Rem, Val::Num(right), depth),
                    divisor => {
                        let rest = (number as i64).checked_rem(divisor).unwrap_or(0);
                        Ok(numeral::result(rest as f64))
                    }
                }
            }
            (left, right) => type_error(left, Math::Rem, right, depth),
        }
    }
}

impl Neg for FencedValue {
    type Output = ValR<Self>;

    fn neg(self) -> ValR<Self> {
        match self.val {
            Val::Num(num) => Ok(FencedValue::leaf(Val::Num(numeral::negated(num)))),
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

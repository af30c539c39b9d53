//! Functions on floats, as the C library calculates them for jq.

use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Cv, Error, ValR};
use jaq_json::Val;

use crate::engine::Engine;
use crate::value::{FencedValue, numeral};

/// The filters of this module.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    macro_rules! of_one {
        ($($name:literal: $function:expr),* $(,)?) => {
            vec![$(run(($name, v(0), |cv: Cv<'_, Engine>| bome(float(&cv.1).map(|x| {
                let function: fn(f64) -> f64 = $function;
                FencedValue::from(function(x))
            }))))),*]
        };
    }
    let mut filters = of_one! {
        "floor__": f64::floor,
        "ceil__": f64::ceil,
        "round__": f64::round,
        "trunc__": f64::trunc,
        "rint__": f64::round_ties_even,
        "fabs__": f64::abs,
        "sqrt": f64::sqrt,
        "exp": f64::exp,
        "exp2": f64::exp2,
        "expm1": f64::exp_m1,
        "log": f64::ln,
        "log2": f64::log2,
        "log10": f64::log10,
        "log1p": f64::ln_1p,
        "sin": f64::sin,
        "cos": f64::cos,
        "tan": f64::tan,
        "asin": f64::asin,
        "acos": f64::acos,
        "atan": f64::atan,
        "sinh": f64::sinh,
        "cosh": f64::cosh,
        "tanh": f64::tanh,
    };
    macro_rules! of_two {
        ($($name:literal: $function:expr),* $(,)?) => {
            $(filters.push(run(($name, v(2), |mut cv: Cv<'_, Engine>| {
                let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
                let function: fn(f64, f64) -> f64 = $function;
                bome(float(&left).and_then(|left| Ok(FencedValue::from(function(left, float(&right)?)))))
            })));)*
        };
    }
    of_two! {
        "pow": f64::powf,
        "atan2": f64::atan2,
        "fmin": f64::min,
        "fmax": f64::max,
        "fmod": |left, right| left % right,
        "hypot": f64::hypot,
        "copysign": f64::copysign,
        "ldexp": scaled,
        "scalb": scaled,
        "scalbln": scaled,
    }
    filters.push(run(("fma", v(3), |mut cv: Cv<'_, Engine>| {
        let (z, y, x) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
        bome(fused(&x, &y, &z))
    })));
    filters.push(run(("frexp", v(0), |cv| {
        bome(float(&cv.1).map(|x| pair(split(x))))
    })));
    filters.push(run(("modf", v(0), |cv| {
        bome(float(&cv.1).map(|x| match x.is_infinite() {
            true => pair((0.0, x)),
            false => pair((x.fract(), x.trunc())),
        }))
    })));
    filters
}

fn float(value: &FencedValue) -> Result<f64, Error<FencedValue>> {
    match &value.val {
        Val::Num(num) => Ok(numeral::as_float(num)),
        Val::Null | Val::Bool(_) | Val::TStr(_) | Val::BStr(_) | Val::Arr(_) | Val::Obj(_) => {
            Err(Error::typ(value.clone(), "number"))
        }
    }
}

fn pair((first, second): (f64, f64)) -> FencedValue {
    [FencedValue::from(first), FencedValue::from(second)]
        .into_iter()
        .collect()
}

fn fused(x: &FencedValue, y: &FencedValue, z: &FencedValue) -> ValR<FencedValue> {
    Ok(FencedValue::from(float(x)?.mul_add(float(y)?, float(z)?)))
}

/// `x` times two to the power of `exponent`, without overflow in between.
fn scaled(x: f64, exponent: f64) -> f64 {
    let mut exponent = exponent.clamp(-4_200.0, 4_200.0) as i32;
    let mut x = x;
    while exponent != 0 {
        let step = exponent.clamp(-1_000, 1_000);
        x *= 2_f64.powi(step);
        exponent -= step;
    }
    x
}

/// A fraction from one half to one, and the power of two that it is multiplied by.
fn split(x: f64) -> (f64, f64) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0.0);
    }
    let (mut fraction, mut exponent) = (x, 0_i32);
    while fraction.abs() >= 1.0 {
        fraction /= 2.0;
        exponent += 1;
    }
    while fraction.abs() < 0.5 {
        fraction *= 2.0;
        exponent -= 1;
    }
    (fraction, f64::from(exponent))
}

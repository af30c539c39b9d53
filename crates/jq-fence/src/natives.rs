//! The filters that are built in rather than defined in jq: those of jaq that need nothing but their input, by name,
//! and our own for those of jaq's that could loop, grow or panic on odd input.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value it takes and refuses all others"
)]

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Cv, DataT, Error, Lut, Native, ValR, ValT as _};
use jaq_json::{Num, Val};
use jaq_std::ValT as _;

use crate::document::Document;
use crate::fence;
use crate::locate;
use crate::pattern;
use crate::value::FencedValue;
use crate::walk;

/// Filters of jaq-core and jaq-std that are taken as they are. Anything that is not listed does not exist in a route:
/// in particular nothing that reads the environment, the clock or the time zone, writes, or ends the process.
const TAKEN: &[&str] = &[
    "path",
    "path_value",
    "range",
    "keys_unsorted",
    "key_values",
    "first",
    "last",
    "limit",
    "skip",
    "floor",
    "round",
    "ceil",
    "utf8bytelength",
    "explode",
    "ascii_downcase",
    "ascii_upcase",
    "reverse",
    "sort",
    "sort_by",
    "group_by",
    "min_by_or_empty",
    "max_by_or_empty",
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "trim",
    "ltrim",
    "rtrim",
    "escape_sh",
    "escape_html",
    "unescape_html",
    "encode_uri",
    "decode_uri",
    "encode_base64",
    "decode_base64",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "exp",
    "exp10",
    "exp2",
    "expm1",
    "fabs",
    "frexp",
    "ilogb",
    "log",
    "log10",
    "log1p",
    "log2",
    "modf",
    "nearbyint",
    "rint",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "atan2",
    "copysign",
    "fdim",
    "fmax",
    "fmin",
    "fmod",
    "hypot",
    "ldexp",
    "nextafter",
    "pow",
    "remainder",
    "scalbln",
    "fma",
    "lgamma",
    "tgamma",
    "fromdateiso8601",
    "todateiso8601",
    "strftime",
    "gmtime",
    "strptime",
    "mktime",
];

/// Filters that turn a time into something else; jaq's overflow far from the present.
const OF_TIME: &[&str] = &["todateiso8601", "strftime", "gmtime", "mktime"];

/// The last second of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// The data of a running program: its compiled terms. The engine asks for them at every step, which is where the fence
/// stands.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a>(pub(crate) &'a Lut<Engine>);

/// jaq, over our values.
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

/// Name of the filter that counts recursive calls which hand a filter on. See `compile`.
pub(crate) const RECURSION_COUNTER: &str = "count_recursion__";

/// All built-in filters.
pub(crate) fn all() -> impl Iterator<Item = Fun<Engine>> {
    let theirs = jaq_core::funs()
        .chain(jaq_std::base_funs())
        .chain(jaq_std::extra_funs())
        .filter(|(name, ..)| TAKEN.contains(name))
        .map(|(name, arguments, native)| {
            let name = match OF_TIME.iter().position(|of_time| *of_time == name) {
                // The definitions of the same names check their input first.
                Some(index) => ["todate__", "strftime__", "gmtime__", "mktime__"][index],
                None => name,
            };
            (name, arguments, native)
        });
    theirs.chain(ours()).chain(locate::filters())
}

fn ours() -> Vec<Fun<Engine>> {
    let hand_on = Native::new(|cv: Cv<'_, Engine>| {
        fence::count_recursion();
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        fence::count_recursion();
        box_once(Ok(cv.1))
    })
    .with_update(|cv, f| {
        fence::count_recursion();
        f(cv.1)
    });
    vec![
        (RECURSION_COUNTER, v(0), hand_on),
        run(("fromjson", v(0), |cv| bome(from_json(&cv.1)))),
        run(("tojson", v(0), |cv| {
            bome(Ok(FencedValue::from(
                walk::to_text(&cv.1.val, usize::MAX).0,
            )))
        })),
        run(("length", v(0), |cv| bome(length(cv.1)))),
        run(("implode", v(0), |cv| bome(implode(cv.1)))),
        run(("time__", v(0), |cv| bome(time(cv.1)))),
        run(("contains", v(1), |cv| {
            unary(cv, |value, part| {
                Ok(FencedValue::from(contains(&value.val, &part.val)))
            })
        })),
        run(("has", v(1), |cv| unary(cv, |value, key| has(&value, &key)))),
        run(("indices", v(1), |cv| {
            unary(cv, |value, part| indices(&value, &part))
        })),
        run(("join", v(1), |cv| {
            unary(cv, |value, separator| join(value, &separator))
        })),
        run(("bsearch", v(1), |cv| {
            unary(cv, |value, wanted| bsearch(value, &wanted))
        })),
        run(("matches", v(2), |cv| {
            pattern::run(cv, pattern::Wanted::Matches)
        })),
        run(("split_matches", v(2), |cv| {
            pattern::run(cv, pattern::Wanted::Both)
        })),
        run(("split_", v(2), |cv| {
            pattern::run(cv, pattern::Wanted::Between)
        })),
    ]
}

/// The value of a document.
pub(crate) fn read(document: &Document) -> FencedValue {
    let size = document.size();
    let text = document.text();
    // Strings that are not copied in one piece, and entries of objects, weigh most.
    fence::allocate(text.len() * 2 + size.values * 64);
    match jaq_json::read::parse_single(text.as_bytes()) {
        Ok(val) => FencedValue::nested(val, size.depth),
        Err(_) => FencedValue::leaf(Val::Null),
    }
}

fn from_json(value: &FencedValue) -> ValR<FencedValue> {
    let Some(text) = value.as_str() else {
        return Err(Error::typ(value.clone(), "string"));
    };
    fence::spend(text.len() as u64 / 8);
    fence::allocate(text.len());
    match Document::from_json(text.as_bytes()) {
        Ok(document) => Ok(read(&document)),
        Err(error) => Err(Error::str(format!("cannot parse {value}: {error}"))),
    }
}

fn length(value: FencedValue) -> ValR<FencedValue> {
    Ok(match &value.val {
        Val::Null => FencedValue::from(0_usize),
        Val::Num(Num::Int(int)) => FencedValue::from(int.unsigned_abs()),
        Val::Num(number) if *number < Num::Int(0) => return -value,
        Val::Num(_) => value,
        Val::TStr(bytes) => {
            fence::spend(bytes.len() as u64 / 16);
            FencedValue::from(String::from_utf8_lossy(bytes).chars().count())
        }
        Val::Arr(items) => FencedValue::from(items.len()),
        Val::Obj(entries) => FencedValue::from(entries.len()),
        Val::Bool(_) | Val::BStr(_) => return Err(Error::str(format!("{value} has no length"))),
    })
}

fn implode(value: FencedValue) -> ValR<FencedValue> {
    let points: Vec<FencedValue> = value
        .into_seq()
        .map_err(|value| Error::typ(value, "array"))?;
    fence::allocate(points.len() * 4);
    let character = |point: &FencedValue| {
        let number = point
            .as_isize()
            .and_then(|number| u32::try_from(number).ok());
        let character = number.and_then(char::from_u32);
        character.ok_or_else(|| Error::str(format!("cannot use {point} as a character")))
    };
    let text: Result<String, _> = points.iter().map(character).collect();
    text.map(FencedValue::from)
}

/// Passes on what a time may look like: seconds up to the year 9999, or a broken-down time.
fn time(value: FencedValue) -> ValR<FencedValue> {
    let plausible = match &value.val {
        Val::Num(_) => value
            .as_f64()
            .is_some_and(|seconds| seconds.abs() <= LAST_SECOND),
        Val::Arr(items) => match items.get(1).map(jaq_std::ValT::as_isize) {
            Some(Some(month)) => (0..12).contains(&month),
            Some(None) | None => false,
        },
        _ => false,
    };
    if plausible {
        return Ok(value);
    }
    Err(Error::str(format!("cannot use {value} as a time")))
}

fn contains(whole: &Val, part: &Val) -> bool {
    fence::spend(1);
    match (whole, part) {
        (Val::TStr(whole), Val::TStr(part)) => {
            fence::spend(whole.len() as u64 / 16);
            match (std::str::from_utf8(whole), std::str::from_utf8(part)) {
                (Ok(whole), Ok(part)) => whole.contains(part),
                _ => false,
            }
        }
        (Val::Arr(whole), Val::Arr(part)) => part
            .iter()
            .all(|part| whole.iter().any(|whole| contains(whole, part))),
        (Val::Obj(whole), Val::Obj(part)) => part.iter().all(|(key, part)| {
            let whole = whole.get(key);
            whole.is_some_and(|whole| contains(whole, part))
        }),
        _ => walk::equal(whole, part),
    }
}

fn has(value: &FencedValue, key: &FencedValue) -> ValR<FencedValue> {
    match (&value.val, &key.val) {
        (Val::Obj(entries), Val::TStr(_)) => Ok(FencedValue::from(entries.contains_key(&key.val))),
        (Val::Arr(items), Val::Num(_)) => {
            let index = key.as_isize().and_then(|index| usize::try_from(index).ok());
            Ok(FencedValue::from(
                index.is_some_and(|index| index < items.len()),
            ))
        }
        _ => Err(Error::index(value.clone(), key.clone())),
    }
}

/// Where `part` occurs: in a string by characters, in an array by items.
pub(crate) fn indices(value: &FencedValue, part: &FencedValue) -> ValR<FencedValue> {
    match (&value.val, &part.val) {
        (Val::TStr(_), Val::TStr(_)) => {
            let (Some(text), Some(wanted)) = (value.as_str(), part.as_str()) else {
                return Err(Error::index(value.clone(), part.clone()));
            };
            if wanted.is_empty() {
                return Ok(FencedValue::from_iter([]));
            }
            fence::spend(text.len() as u64 / 16);
            let starts = text.char_indices().enumerate().filter(|(_, (at, _))| {
                fence::spend(wanted.len() as u64 / 64);
                let same = text[*at..].starts_with(wanted);
                fence::spend(u64::from(same));
                same
            });
            Ok(starts.map(|(index, _)| FencedValue::from(index)).collect())
        }
        (Val::Arr(items), Val::Arr(wanted)) => {
            if wanted.is_empty() {
                return Ok(FencedValue::from_iter([]));
            }
            let windows = items.windows(wanted.len()).enumerate();
            let same = windows.filter(|(_, window)| {
                let mut pairs = window.iter().zip(wanted.iter());
                pairs.all(|(left, right)| walk::equal(left, right))
            });
            Ok(same.map(|(index, _)| FencedValue::from(index)).collect())
        }
        (Val::Arr(items), wanted) => {
            let same = items.iter().enumerate();
            let same = same.filter(|(_, item)| walk::equal(item, wanted));
            Ok(same.map(|(index, _)| FencedValue::from(index)).collect())
        }
        (Val::Null, _) => Ok(FencedValue::leaf(Val::Null)),
        _ => Err(Error::index(value.clone(), part.clone())),
    }
}

fn join(value: FencedValue, separator: &FencedValue) -> ValR<FencedValue> {
    let Some(separator) = separator.as_str() else {
        return Err(Error::typ(separator.clone(), "string"));
    };
    let mut text = String::new();
    for (index, item) in value.values().enumerate() {
        let item = item?;
        let before = text.len();
        if index > 0 {
            text.push_str(separator);
        }
        match &item.val {
            Val::Null => {}
            Val::TStr(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
            Val::Bool(_) | Val::Num(_) => text.push_str(&walk::to_text(&item.val, usize::MAX).0),
            Val::Arr(_) | Val::Obj(_) | Val::BStr(_) => {
                return Err(Error::str(format!("cannot join {item} to a string")));
            }
        }
        fence::allocate(2 * (text.len() - before));
    }
    Ok(FencedValue::from(text))
}

fn bsearch(value: FencedValue, wanted: &FencedValue) -> ValR<FencedValue> {
    let Val::Arr(items) = &value.val else {
        return Err(Error::typ(value, "array"));
    };
    let found = items.binary_search_by(|item| walk::compare(item, &wanted.val));
    Ok(match found {
        Ok(index) => FencedValue::from(index),
        Err(index) => FencedValue::from(-1 - index.cast_signed()),
    })
}

//! The native filters: an allow-list of jaq's, and replacements for those of jaq's that could loop, grow or panic on
//! unusual input.

mod functions;
mod regex;

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Cv, Native};

use crate::engine::Engine;
use crate::fence;
use crate::locate;
use crate::value::{self, FencedValue, json};

use regex::Pieces;

/// The filters of jaq-core and jaq-std that programs can use. No other exists for a program: in particular none that reads
/// the environment, the clock or the time zone, writes, or ends the process.
const ALLOWED: &[&str] = &[
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

/// Filters that convert a time, and their internal names. jaq's overflow far from the present, so definitions of the
/// public names (`times.jq`) check the input first.
const CHECKED_BY_DEFINITION: &[(&str, &str)] = &[
    ("todateiso8601", "todate__"),
    ("strftime", "strftime__"),
    ("gmtime", "gmtime__"),
    ("mktime", "mktime__"),
];

/// The filter that counts recursive calls, see [`recursion`](crate::recursion).
pub(crate) const RECURSION_COUNTER: &str = "count_recursion__";

/// All native filters.
pub(crate) fn all() -> impl Iterator<Item = Fun<Engine>> {
    let jaq = jaq_core::funs()
        .chain(jaq_std::base_funs())
        .chain(jaq_std::extra_funs())
        .filter(|(name, ..)| ALLOWED.contains(name))
        .map(|(name, arguments, native)| {
            let mut renamed = CHECKED_BY_DEFINITION.iter();
            let internal = renamed.find(|(public, _)| *public == name);
            let name = internal.map_or(name, |(_, internal)| internal);
            (name, arguments, native)
        });
    jaq.chain(own()).chain(locate::filters())
}

fn own() -> Vec<Fun<Engine>> {
    let count = Native::new(|cv: Cv<'_, Engine>| {
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
        (RECURSION_COUNTER, v(0), count),
        run(("fromjson", v(0), |cv| bome(functions::from_json(&cv.1)))),
        run(("tojson", v(0), |cv| {
            bome(Ok(FencedValue::from(
                json::to_text(&cv.1.val, usize::MAX).0,
            )))
        })),
        run(("length", v(0), |cv| bome(functions::length(cv.1)))),
        run(("implode", v(0), |cv| bome(functions::implode(cv.1)))),
        run(("time__", v(0), |cv| bome(functions::time(cv.1)))),
        run(("contains", v(1), |cv| {
            unary(cv, |value, part| {
                Ok(FencedValue::from(functions::contains(
                    &value.val, &part.val,
                )))
            })
        })),
        run(("has", v(1), |cv| {
            unary(cv, |value, key| functions::has(&value, &key))
        })),
        run(("indices", v(1), |cv| {
            unary(cv, |value, part| value::indices(&value, &part))
        })),
        run(("join", v(1), |cv| {
            unary(cv, |value, separator| functions::join(value, &separator))
        })),
        run(("bsearch", v(1), |cv| {
            unary(cv, |value, item| functions::bsearch(value, &item))
        })),
        run(("matches", v(2), |cv| regex::run(cv, Pieces::Matches))),
        run(("split_matches", v(2), |cv| regex::run(cv, Pieces::Both))),
        run(("split_", v(2), |cv| regex::run(cv, Pieces::Between))),
    ]
}

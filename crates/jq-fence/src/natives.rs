//! The native filters: an allow-list of jaq's, and those whose results differ between jaq and jq, or that could loop, grow or
//! panic on unusual input in jaq.

mod format;
mod functions;
mod math;
mod paths;
mod regex;
mod time;

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, v};
use jaq_core::{Cv, Native};

use crate::engine::Engine;
use crate::fence;
use crate::locate;

/// The filters of jaq-core and jaq-std that programs can use, with the name that they have here. The prelude defines the public
/// names of those whose name ends in `__`.
const ALLOWED: &[(&str, &str)] = &[
    ("path", "path"),
    ("range", "range__"),
    ("keys_unsorted", "keys_unsorted"),
    ("first", "first"),
    ("last", "last"),
    ("limit", "limit__"),
    ("skip", "skip__"),
    ("utf8bytelength", "utf8bytelength"),
    ("explode", "explode"),
    ("ascii_downcase", "ascii_downcase"),
    ("ascii_upcase", "ascii_upcase"),
    ("reverse", "reverse__"),
    ("sort", "sort"),
    ("startswith", "startswith"),
    ("endswith", "endswith"),
    ("trim", "trim"),
    ("ltrim", "ltrim"),
    ("rtrim", "rtrim"),
];

/// The filter that counts recursive calls, see [`recursion`](crate::recursion).
pub(crate) const RECURSION_COUNTER: &str = "count_recursion__";

/// jq's `paths = $value`.
pub(crate) const ASSIGN: &str = "assign__";

/// jq's `paths |= update`.
pub(crate) const MODIFY: &str = "modify__";

/// jq's `//`.
pub(crate) const DEFINED_OR: &str = "defined_or__";

/// The outputs of a filter up to an error, and then those of another: jq's `?//`.
pub(crate) const ALTERNATIVES: &str = "alternatives__";

/// The outputs of what `try` and `?` guard. An output without a path, where one is needed, ends the program: jq notices it
/// after the `?`, which therefore does not catch it.
pub(crate) const GUARDED: &str = "guarded__";

/// The last output of a filter, or null: what `reduce` goes on with.
pub(crate) const LAST_OR_NULL: &str = "last_or_null__";

/// All native filters. No other exists for a program: in particular none that reads the environment, the clock or the time
/// zone, writes, or ends the process.
pub(crate) fn all() -> impl Iterator<Item = Fun<Engine>> {
    let jaq =
        jaq_core::funs()
            .chain(jaq_std::base_funs())
            .filter_map(|(name, arguments, native)| {
                let mut allowed = ALLOWED.iter();
                let (_, name) = allowed.find(|(jaq, _)| *jaq == name)?;
                Some((*name, arguments, native))
            });
    jaq.chain(functions::filters())
        .chain(format::filters())
        .chain(math::filters())
        .chain(paths::filters())
        .chain(regex::filters())
        .chain(time::filters())
        .chain(locate::filters())
        .chain([counter()])
}

fn counter() -> Fun<Engine> {
    let count = Native::new(|cv: Cv<'_, Engine>| {
        fence::count_recursion();
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        fence::count_recursion();
        box_once(Ok(cv.1))
    });
    (RECURSION_COUNTER, v(0), count)
}

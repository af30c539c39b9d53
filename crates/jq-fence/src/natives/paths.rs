//! Filters that read, set, update and delete by paths, and the control flow that jaq does not have.

use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Bind, Cv, Error, Exn, Native, ValT as _, ValX};

use super::{ALTERNATIVES, ASSIGN, DEFINED_OR, GUARDED, LAST_OR_NULL, MODIFY};
use crate::engine::Engine;
use crate::fence;
use crate::value::{FencedValue, path};

fn filters_as_arguments(count: usize) -> Box<[Bind]> {
    std::iter::repeat_n(Bind::Fun(()), count).collect()
}

/// The filters of this module.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    let get = Native::new(|mut cv: Cv<'_, Engine>| {
        let path = cv.0.pop_var();
        bome(path::keys(&path).and_then(|keys| path::get(cv.1, &keys)))
    })
    .with_paths(|mut cv| {
        let path = cv.0.pop_var();
        let located = path::keys(&path).and_then(|keys| {
            keys.into_iter().try_fold(cv.1, |(value, whole), key| {
                let part = value.index(&key)?;
                Ok((part, whole.cons(key)))
            })
        });
        box_once(located.map_err(Exn::from))
    });
    let defined_or = Native::new(|mut cv: Cv<'_, Engine>| {
        let ((right, right_context), (left, left_context)) = (cv.0.pop_fun(), cv.0.pop_fun());
        let outputs = left.run((left_context, cv.1.clone()));
        let otherwise = move || right.run((right_context.clone(), cv.1.clone()));
        Box::new(first_defined(outputs, |value| value.as_bool(), otherwise))
    })
    .with_paths(|mut cv| {
        let ((right, right_context), (left, left_context)) = (cv.0.pop_fun(), cv.0.pop_fun());
        let outputs = left.paths((left_context, cv.1.clone()));
        let otherwise = move || right.paths((right_context.clone(), cv.1.clone()));
        Box::new(first_defined(
            outputs,
            |(value, _)| value.as_bool(),
            otherwise,
        ))
    });
    let alternatives = Native::new(|mut cv: Cv<'_, Engine>| {
        let ((right, right_context), (left, left_context)) = (cv.0.pop_fun(), cv.0.pop_fun());
        let outputs = left.run((left_context, cv.1.clone()));
        let otherwise = move || right.run((right_context.clone(), cv.1.clone()));
        Box::new(until_error(outputs, otherwise))
    })
    .with_paths(|mut cv| {
        let ((right, right_context), (left, left_context)) = (cv.0.pop_fun(), cv.0.pop_fun());
        let outputs = left.paths((left_context, cv.1.clone()));
        let outputs = outputs.inspect(refuse_path_error);
        let otherwise = move || right.paths((right_context.clone(), cv.1.clone()));
        Box::new(until_error(Box::new(outputs), otherwise))
    });
    let guarded = Native::new(|mut cv: Cv<'_, Engine>| {
        let (filter, context) = cv.0.pop_fun();
        filter.run((context, cv.1))
    })
    .with_paths(|mut cv| {
        let (filter, context) = cv.0.pop_fun();
        Box::new(filter.paths((context, cv.1)).inspect(refuse_path_error))
    });
    vec![
        ("getpath", v(1), get),
        run(("setpath", v(2), |mut cv| {
            let (value, path) = (cv.0.pop_var(), cv.0.pop_var());
            bome(path::keys(&path).and_then(|keys| path::set(cv.1, &keys, value)))
        })),
        run(("delpaths", v(1), |mut cv| {
            let paths = cv.0.pop_var();
            bome(path::delete(cv.1, &paths))
        })),
        run((ASSIGN, filters_as_arguments(2), |cv| box_once(assign(cv)))),
        run((MODIFY, filters_as_arguments(2), |cv| box_once(modify(cv)))),
        (DEFINED_OR, filters_as_arguments(2), defined_or),
        (GUARDED, filters_as_arguments(1), guarded),
        (ALTERNATIVES, filters_as_arguments(2), alternatives),
        (LAST_OR_NULL, filters_as_arguments(1), last_or_null()),
    ]
}

/// The last output of a filter, or null.
fn last_or_null() -> Native<Engine> {
    Native::new(|mut cv: Cv<'_, Engine>| {
        let (update, context) = cv.0.pop_fun();
        let mut outputs = update.run((context, cv.1));
        let null = FencedValue::leaf(jaq_json::Val::Null);
        box_once(outputs.try_fold(null, |_, output| output))
    })
    .with_paths(|mut cv| {
        let (update, context) = cv.0.pop_fun();
        let mut outputs = update.paths((context, cv.1));
        let null = (FencedValue::leaf(jaq_json::Val::Null), Default::default());
        box_once(outputs.try_fold(null, |_, output| output))
    })
}

/// jq's `//`: the outputs that are neither false nor null, or if there are none, the others.
fn first_defined<'a, T: 'a>(
    mut outputs: BoxIter<'a, ValX<'a, T, FencedValue>>,
    is_true: fn(&T) -> bool,
    otherwise: impl FnOnce() -> BoxIter<'a, ValX<'a, T, FencedValue>> + 'a,
) -> impl Iterator<Item = ValX<'a, T, FencedValue>> + 'a {
    let mut any = false;
    let mut otherwise = Some(otherwise);
    let mut fallback: Option<BoxIter<'a, ValX<'a, T, FencedValue>>> = None;
    std::iter::from_fn(move || {
        loop {
            if let Some(fallback) = &mut fallback {
                return fallback.next();
            }
            match outputs.next() {
                Some(Ok(output)) if !is_true(&output) => {}
                Some(Ok(output)) => {
                    any = true;
                    return Some(Ok(output));
                }
                Some(Err(error)) => return Some(Err(error)),
                None if any => return None,
                None => fallback = Some(otherwise.take()?()),
            }
        }
    })
}

/// Ends the program if the output is the error of an output without a path, which something would catch.
fn refuse_path_error<T>(output: &ValX<'_, T, FencedValue>) {
    let Some(Ok(error)) = output
        .as_ref()
        .err()
        .map(|exception| exception.clone().get_err())
    else {
        return;
    };
    let value = error.clone().into_val();
    // An error that the program raised itself is its value.
    let is_raised = Error::new(value.clone()) == error;
    let text = value.as_str().unwrap_or_default();
    if !is_raised && text.starts_with("invalid path expression") {
        fence::refuse(
            "a filter within `?` or `try` yields no path, where one is needed; leave the `?` out, or name the path",
        );
    }
}

/// The outputs up to an error, and then the others.
fn until_error<'a, T: 'a>(
    mut outputs: BoxIter<'a, ValX<'a, T, FencedValue>>,
    otherwise: impl FnOnce() -> BoxIter<'a, ValX<'a, T, FencedValue>> + 'a,
) -> impl Iterator<Item = ValX<'a, T, FencedValue>> + 'a {
    let mut otherwise = Some(otherwise);
    let mut fallback: Option<BoxIter<'a, ValX<'a, T, FencedValue>>> = None;
    std::iter::from_fn(move || {
        if let Some(fallback) = &mut fallback {
            return fallback.next();
        }
        match outputs.next()? {
            Ok(output) => Some(Ok(output)),
            Err(exception) => match exception.get_err() {
                Ok(_) => fallback.insert(otherwise.take()?()).next(),
                Err(control_flow) => Some(Err(control_flow)),
            },
        }
    })
}

/// The paths of a filter's outputs on a value, each from the first key to the last. All of them are read from the original
/// input, so they are collected before it changes. A macro, because the type of jaq's paths has no public name.
macro_rules! paths_of {
    ($filter:expr, $context:expr, $value:expr) => {{
        let mut paths = Vec::new();
        for output in $filter.paths(($context, ($value, Default::default()))) {
            let (_, keys) = output?;
            let mut keys: Vec<FencedValue> = keys.iter().cloned().collect();
            keys.reverse();
            // Vectors grow by doubling, and hold four items at least.
            fence::allocate(72 + keys.len().max(4) * 32);
            paths.push(keys);
        }
        paths
    }};
}

/// `paths = $value`.
fn assign<'a>(mut cv: Cv<'a, Engine>) -> ValX<'a, FencedValue> {
    let ((value, value_context), (paths, context)) = (cv.0.pop_fun(), cv.0.pop_fun());
    let null = FencedValue::leaf(jaq_json::Val::Null);
    let Some(new) = value.run((value_context, null)).next() else {
        return Ok(cv.1);
    };
    let new = new?;
    let found = paths_of!(paths, context, cv.1.clone());
    let mut result = cv.1;
    for keys in found {
        result = path::set(result, &keys, new.clone())?;
    }
    Ok(result)
}

/// `paths |= update`: every part becomes the first output of `update`, and is deleted if there is none.
fn modify<'a>(mut cv: Cv<'a, Engine>) -> ValX<'a, FencedValue> {
    let ((update, update_context), (paths, context)) = (cv.0.pop_fun(), cv.0.pop_fun());
    let found = paths_of!(paths, context, cv.1.clone());
    let is_only = found.len() == 1;
    let mut result = cv.1;
    let mut deleted = Vec::new();
    for keys in found {
        let old = path::take(&mut result, &keys)?;
        // Without a copy, an array or object can grow in place.
        let copy = (!is_only).then(|| old.clone());
        match update.run((update_context.clone(), old)).next() {
            Some(new) => result = path::set(result, &keys, new?)?,
            None => {
                if let Some(old) = copy.filter(|old| !matches!(old.val, jaq_json::Val::Null)) {
                    result = path::set(result, &keys, old)?;
                }
                deleted.push(keys.into_iter().collect::<FencedValue>());
            }
        }
    }
    match deleted.is_empty() {
        true => Ok(result),
        false => Ok(path::delete(result, &deleted.into_iter().collect())?),
    }
}

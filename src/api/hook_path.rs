//! The path of a request to a hook.

use webhook_verify::body::percent_decoded;

use crate::inbound::rejection::{PathHint, Rejection};

/// Start of the path of all hooks.
const HOOKS: &str = "/hooks/";

/// The path of a request to a hook: the route, and what follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HookPath {
    /// Name of the route, percent-decoded.
    pub(crate) route: String,
    /// What follows as sent, without the leading slash. Empty if only slashes follow.
    pub(crate) rest: String,
}

impl HookPath {
    /// Splits a path as sent.
    ///
    /// # Errors
    /// [`Rejection::NoSuchPath`] if it names no route, [`Rejection::PathInvalid`] if it is not UTF-8 once it is decoded.
    pub(crate) fn of(path: &str) -> Result<Self, Rejection> {
        let no_route = || Rejection::NoSuchPath(PathHint::of(path));
        let below = path.strip_prefix(HOOKS).ok_or_else(no_route)?;
        let (route, rest) = below.split_once('/').unwrap_or((below, ""));
        let rest = match rest.bytes().all(|byte| byte == b'/') {
            true => "",
            false => rest,
        };
        if route.is_empty() {
            return Err(no_route());
        }
        let decoded = |text: &str| {
            let bytes = percent_decoded(text.as_bytes());
            String::from_utf8(bytes).map_err(|_| Rejection::PathInvalid)
        };
        decoded(rest)?;
        Ok(Self {
            route: decoded(route)?,
            rest: rest.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_path_is_split_as_sent() {
        let of = |path: &str| HookPath::of(path).ok().map(|path| (path.route, path.rest));
        for (path, route, rest) in [
            ("/hooks/x", "x", ""),
            ("/hooks/x/", "x", ""),
            ("/hooks/x//", "x", ""),
            ("/hooks/x/a%2Fb", "x", "a%2Fb"),
            ("/hooks/x/a/", "x", "a/"),
            ("/hooks/x%20", "x ", ""),
            ("/hooks/%78", "x", ""),
            ("/hooks/%", "%", ""),
        ] {
            assert_eq!(
                of(path),
                Some((route.to_owned(), rest.to_owned())),
                "{path}"
            );
        }
        for path in [
            "/hooks",
            "/hooks/",
            "/hooks/%ff",
            "/hooks/x/%ff",
            "/hooks//x",
            "/Hooks/x",
            "//hooks/x",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}

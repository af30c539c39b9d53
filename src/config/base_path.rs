//! The path under which a proxy publishes the HTTP API. Pure.

use std::str::FromStr;

use schemars::JsonSchema;

/// The first segments of the HTTP API's paths.
const ROOTS: [&str; 6] = [
    "hooks",
    "jobs",
    "health",
    "deliveries",
    "dead-letters",
    "openapi.json",
];

/// A path such as `/crm`, under which a proxy, a custom domain or a CDN publishes the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^(/[A-Za-z0-9._~-]+)+$"))]
pub struct BasePath(String);

/// The text is not a base path.
#[derive(Debug, thiserror::Error)]
#[error(
    "must be a path such as /crm or /crm/v1: a slash before each part, none at the end, and only letters, digits and . _ ~ -"
)]
pub struct InvalidBasePath;

impl FromStr for BasePath {
    type Err = InvalidBasePath;

    fn from_str(text: &str) -> Result<Self, InvalidBasePath> {
        let parts = text.strip_prefix('/').ok_or(InvalidBasePath)?;
        let is_part = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
            !matches!(part, "" | "." | "..") && part.bytes().all(allowed)
        };
        match parts.split('/').all(is_part) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidBasePath),
        }
    }
}

impl BasePath {
    /// The path as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the API below this base, if `path` is one. A proxy may or may not remove the base, so a path without it is
    /// used as it is.
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.0.as_str())
            .filter(|rest| is_api_path(rest))
    }
}

/// Whether a path begins like one of the HTTP API's.
pub fn is_api_path(path: &str) -> bool {
    let first = path
        .strip_prefix('/')
        .and_then(|path| path.split('/').next());
    first.is_some_and(|first| ROOTS.contains(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_path_is_stripped_before_api_paths_only() {
        let base: BasePath = "/crm/v1".parse().expect("a base path");
        for (path, rest) in [
            ("/crm/v1/hooks/x", Some("/hooks/x")),
            ("/crm/v1/hooks/x/crm/v1", Some("/hooks/x/crm/v1")),
            ("/crm/v1/jobs", Some("/jobs")),
            ("/crm/v1/health", Some("/health")),
            ("/crm/v1/other", None),
            ("/crm/v1", None),
            ("/crm/v1hooks/x", None),
            ("/crm/v10/hooks/x", None),
            ("/CRM/v1/hooks/x", None),
            ("/hooks/x", None),
            ("/hooks/crm/v1/hooks/x", None),
        ] {
            assert_eq!(base.strip(path), rest, "{path}");
        }
        let hooks: BasePath = "/hooks".parse().expect("a base path");
        assert_eq!(hooks.strip("/hooks/hooks/x"), Some("/hooks/x"));
        assert_eq!(hooks.strip("/hooks/x"), None, "the path of a route");
    }

    #[test]
    fn malformed_base_path_is_refused() {
        for text in [
            "", "/", "crm", "/crm/", "//crm", "/a//b", "/a b", "/%61", "/a?b", "/..", "/a/./b",
        ] {
            assert!(text.parse::<BasePath>().is_err(), "{text}");
        }
    }
}

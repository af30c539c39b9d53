//! The base path of an HTTP event. API Gateway puts the mapping of a custom domain before the path in some of its events; the
//! event's resource or route key, filled with its path parameters, is the path without it.

use serde_json::{Map, Value};

use crate::api::is_api_path;

/// The part of `path` before the path of the HTTP API. `template` is such as `/hooks/{route}/{proxy+}`.
pub(super) fn base_of<'p>(
    path: &'p str,
    template: Option<&str>,
    parameters: Option<&Map<String, Value>>,
) -> &'p str {
    let Some((template, parameters)) = template.zip(parameters) else {
        return "";
    };
    let Some(filled) = fill(template, parameters) else {
        return "";
    };
    if is_api_path(&filled) {
        return before(path, &filled);
    }
    // A resource of its own, such as `/crm/{proxy+}`.
    let greedy = template.rsplit('/').next().and_then(parameter);
    let proxy = greedy.and_then(|name| parameters.get(name)?.as_str());
    match proxy.map(|proxy| format!("/{proxy}")) {
        Some(proxy) if is_api_path(&proxy) => before(path, &proxy),
        Some(_) | None => "",
    }
}

/// Fills a template with the parameters.
fn fill(template: &str, parameters: &Map<String, Value>) -> Option<String> {
    let mut filled = String::new();
    for segment in template.strip_prefix('/')?.split('/') {
        filled.push('/');
        filled.push_str(match parameter(segment) {
            Some(name) => parameters.get(name)?.as_str()?,
            None => segment,
        });
    }
    Some(filled)
}

/// The name of a segment such as `{route}` or `{proxy+}`.
fn parameter(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_suffix('+').unwrap_or(name))
}

/// The part of `path` before its last segments, which are as many as those of `api_path`. Parameters are decoded and the path
/// is not, so only the first segment is compared.
fn before<'p>(path: &'p str, api_path: &str) -> &'p str {
    if let Some(base) = path.strip_suffix(api_path) {
        return base;
    }
    let api_path = api_path.trim_end_matches('/');
    let trimmed = path.trim_end_matches('/');
    let segments = api_path.matches('/').count();
    let slash = trimmed.rmatch_indices('/').nth(segments.saturating_sub(1));
    let base = slash.map_or("", |(at, _)| trimmed.get(..at).unwrap_or_default());
    match path.strip_prefix(base).is_some_and(is_api_path) {
        true => base,
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn base_precedes_the_filled_template() {
        let route = || json!({"route": "x"});
        for (path, template, parameters, base) in [
            ("/crm/hooks/x", "/hooks/{route}", route(), "/crm"),
            ("/crm/v1/hooks/x", "/hooks/{route}", route(), "/crm/v1"),
            ("/hooks/x", "/hooks/{route}", route(), ""),
            (
                "/crm/hooks/x/hooks/y",
                "/hooks/{route}/{proxy+}",
                json!({"route": "x", "proxy": "hooks/y"}),
                "/crm",
            ),
            (
                "/crm/hooks/x",
                "/{proxy+}",
                json!({"proxy": "hooks/x"}),
                "/crm",
            ),
            (
                "/crm/hooks/x",
                "/crm/{proxy+}",
                json!({"proxy": "hooks/x"}),
                "/crm",
            ),
            (
                "/api/crm/hooks/x",
                "/crm/{any+}",
                json!({"any": "hooks/x"}),
                "/api/crm",
            ),
            (
                "/crm/jobs/job_1",
                "/jobs/{id}",
                json!({"id": "job_1"}),
                "/crm",
            ),
            // Parameters are decoded.
            (
                "/crm/hooks/x/a%20b",
                "/hooks/{route}/{proxy+}",
                json!({"route": "x", "proxy": "a b"}),
                "/crm",
            ),
            ("/crm/hooks/x/", "/hooks/{route}", route(), "/crm"),
            // A base path that looks like a route.
            ("/hooks/hooks/x", "/hooks/{route}", route(), "/hooks"),
            ("/other", "/hooks/{route}", route(), ""),
            ("/x", "/{proxy+}", json!({"proxy": "x"}), ""),
            ("/crm/hooks/x", "/hooks/{route}", json!({}), ""),
            ("/crm/hooks/x", "/hooks/{route}", json!({"route": 1}), ""),
            ("", "/hooks/{route}", route(), ""),
            ("/crm/hooks/x", "$default", json!({}), ""),
        ] {
            let parameters = parameters.as_object();
            assert_eq!(
                base_of(path, Some(template), parameters),
                base,
                "{path} {template}"
            );
        }
        assert_eq!(base_of("/crm/hooks/x", None, None), "");
    }
}

//! Shortened ids.

/// The fewest characters of a shortened id, after its prefix.
pub const MIN_ID_PREFIX: usize = 6;

/// What to know about the beginning of an id that is too short to search for.
pub(super) fn hint(id: &str, prefix: &str) -> String {
    let rest = id.strip_prefix(prefix).unwrap_or(id);
    match rest.chars().count() < MIN_ID_PREFIX {
        true => {
            format!("; the beginning of an id needs {MIN_ID_PREFIX} characters after `{prefix}`")
        }
        false => String::new(),
    }
}

//! Text helpers of the command line.

use std::fmt::Display;

use url::Url;

/// A count with its noun: `1 route`, `2 routes`, `2 deliveries`.
pub(super) fn count_of<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    if count == N::from(1) {
        return format!("{count} {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}

/// At most `max` characters of a text; `…` marks a cut.
pub(super) fn truncated(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An argument as a shell takes it.
pub(super) fn shell_quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// The command that enters a folder.
pub(super) fn cd_command(folder: &str) -> String {
    // What begins with `-` would be an option.
    let end = if folder.starts_with('-') { "-- " } else { "" };
    format!("cd {end}{}", shell_quoted(folder))
}

/// A URL as it may be shown: without a user name and password.
pub(super) fn without_login(url: &Url) -> String {
    let mut shown = url.clone();
    // A URL without a host has none.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.to_string()
}

/// Fewest columns for words. A narrower terminal breaks the lines itself.
const MIN_COLUMNS: usize = 20;

/// Breaks the lines of a text between words, so that none is wider than `width`. Broken lines continue at column `indent`,
/// where the first line is taken to begin. White space at the beginning of a line stays.
pub(super) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let space = width.saturating_sub(indent).max(MIN_COLUMNS);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.chars().count() <= space {
            lines.push(line.to_owned());
            continue;
        }
        let margin: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut current = margin.clone();
        for word in line.split_whitespace() {
            let is_empty = current.len() == margin.len();
            let needed = current.chars().count() + 1 + word.chars().count();
            if !is_empty && needed > space {
                lines.push(std::mem::replace(&mut current, margin.clone()));
            } else if !is_empty {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_plurals() {
        let counts = [(1, "route"), (2, "route"), (2, "delivery"), (0, "key")];
        let counts = counts.map(|(count, noun)| count_of::<u64>(count, noun));
        assert_eq!(counts, ["1 route", "2 routes", "2 deliveries", "0 keys"]);
    }

    #[test]
    fn wrapped_lines_fit_and_keep_their_words() {
        let text = "one two three four five\n  six seven eight nine\nhttps://example.com/a-very-long-address";
        let wrapped = wrapped(text, 24, 4);
        insta::assert_snapshot!(wrapped, @r"
        one two three four
            five
              six seven eight
              nine
            https://example.com/a-very-long-address
        ");
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&wrapped), words(text));
    }
}

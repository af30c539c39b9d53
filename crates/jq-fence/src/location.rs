//! Where in a program an error is.

/// Characters of a program's line that are shown.
const MAX_LINE: usize = 100;

/// A position in a program's text, with an excerpt of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLocation {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The length of the word or sign at the position, in characters; at least 1.
    pub length: usize,
    /// The line's text; of a long line, the part around the position.
    pub text: String,
    /// The number of characters of `text` before the position.
    caret: usize,
}

impl ErrorLocation {
    /// The position that is `offset` bytes into `source`.
    pub(crate) fn at(source: &str, offset: usize) -> Self {
        let offset = source.floor_char_boundary(offset);
        let (before, after) = source.split_at(offset);
        let line_start = before.rsplit('\n').next().unwrap_or_default();
        let line_end = after.split('\n').next().unwrap_or_default();
        let caret = line_start.chars().count();
        let (column, skipped) = (caret + 1, caret.saturating_sub(MAX_LINE / 2));
        let printable = |character: char| match character.is_control() {
            true => ' ',
            false => character,
        };
        let line = line_start.chars().chain(line_end.trim_end().chars());
        let mut shown = line.skip(skipped).map(printable);
        let mut text: String = shown.by_ref().take(MAX_LINE).collect();
        if shown.next().is_some() {
            text.push('…');
        }
        let mut caret = caret - skipped;
        if skipped > 0 {
            text.insert(0, '…');
            caret += 1;
        }
        Self {
            line: before.matches('\n').count() + 1,
            column,
            length: word_length(after),
            text,
            caret,
        }
    }

    /// The line with its number, and a caret below the position.
    pub fn excerpt(&self) -> String {
        let number = self.line.to_string();
        let (margin, before) = (" ".repeat(number.len()), " ".repeat(self.caret));
        format!("{number} | {}\n{margin} | {before}^", self.text)
    }
}

/// The number of characters of the word or sign at the start of `text`.
fn word_length(text: &str) -> usize {
    let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
    let prefix = usize::from(text.starts_with(['$', '@', '.']));
    let word = text.chars().skip(prefix).take_while(is_word).count();
    (prefix + word).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_that_of_word_at_position() {
        for (text, length) in [
            ("slect(.a)", 5),
            ("$headrs.x", 7),
            (".größe | x", 6),
            ("@base", 5),
            ("== 1", 1),
            ("", 1),
            ("\nfoo", 1),
        ] {
            assert_eq!(ErrorLocation::at(text, 0).length, length, "{text}");
        }
    }

    #[test]
    fn excerpt_has_caret_below_position() {
        let source = "def f: 1;\n  {a:\tf, b: é.nix}";
        let location = ErrorLocation::at(source, source.find("nix").unwrap());
        assert_eq!((location.line, location.column), (2, 15));
        assert_eq!(
            location.excerpt(),
            "2 |   {a: f, b: é.nix}\n  |               ^"
        );
        // A long line is cut around the position. The end of a program is a position too.
        let long = format!("{}nix{}", "x".repeat(300), "y".repeat(300));
        for offset in [0, 20, 300, 600, 603, 9_999] {
            let excerpt = ErrorLocation::at(&long, offset.min(long.len())).excerpt();
            let (line, caret) = excerpt.split_once('\n').unwrap();
            assert!(line.chars().count() <= MAX_LINE + 6, "{excerpt}");
            let under = line.chars().nth(caret.chars().count() - 1);
            let expected = long.chars().nth(offset);
            assert_eq!(under, expected, "{excerpt}");
        }
        assert_eq!(ErrorLocation::at("", 0).excerpt(), "1 | \n  | ^");
    }
}

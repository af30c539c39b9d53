//! Translates a pattern of jq, which is one of Oniguruma with Perl's syntax, to `fancy-regex`.
//!
//! Only what means the same in both is translated. Everything else is an error, so that no pattern matches something
//! other than in jq.

mod class;

use std::iter::Peekable;
use std::str::Chars;

use class::WORD;

/// A translated pattern.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Whether `.` matches a newline from the start on, as `(?s)` says.
    pub(super) dot_all: bool,
    /// Whether case is ignored from the start on, as `(?i)` says.
    pub(super) ignore_case: bool,
    /// Whether the pattern needs backtracking: it looks around, refers back or is possessive.
    pub(super) backtracks: bool,
}

/// How the pattern is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// White space and comments are skipped, as the flag `x` says.
    pub(super) extended: bool,
    /// The text ends with a newline, before which `$` matches too.
    pub(super) newline_at_end: bool,
}

/// Why a pattern is not translated.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is no pattern in jq either.
    Invalid(String),
    /// It means something in jq that cannot be done here.
    Unsupported(String),
}

/// Translates `pattern`.
///
/// # Errors
/// [`Refusal`].
pub(super) fn translate(pattern: &str, reading: Reading) -> Result<Translated, Refusal> {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        reading,
        out: Translated::default(),
        can_repeat: false,
        depth: 0,
    };
    translator.leading_flags()?;
    while let Some(character) = translator.rest.next() {
        translator.item(character)?;
    }
    if translator.depth > 0 {
        return Err(invalid("a `(` is not closed"));
    }
    Ok(translator.out)
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    reading: Reading,
    out: Translated,
    /// Whether a quantifier may follow.
    can_repeat: bool,
    /// Groups that are open.
    depth: usize,
}

fn unsupported(what: &str) -> Refusal {
    Refusal::Unsupported(format!("{what} is not supported in a regular expression"))
}

fn invalid(why: &str) -> Refusal {
    Refusal::Invalid(format!("invalid regular expression: {why}"))
}

impl Translator<'_> {
    fn accept(&mut self, expected: char) -> bool {
        self.rest.next_if_eq(&expected).is_some()
    }

    fn starts_with(&self, text: &str) -> bool {
        let mut rest = self.rest.clone();
        text.chars().all(|expected| rest.next() == Some(expected))
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.rest.next();
        }
    }

    /// `(?i)`, `(?x)`, `(?s)` at the start.
    fn leading_flags(&mut self) -> Result<(), Refusal> {
        loop {
            let mut ahead = self.rest.clone();
            if ahead.next() != Some('(') || ahead.next() != Some('?') {
                return Ok(());
            }
            let flags: String = ahead
                .by_ref()
                .take_while(|c| c.is_ascii_lowercase())
                .collect();
            let length = 3 + flags.len();
            let mut end = self.rest.clone();
            if flags.is_empty() || end.nth(length - 1) != Some(')') {
                return Ok(());
            }
            for flag in flags.chars() {
                match flag {
                    'i' => self.out.ignore_case = true,
                    's' => self.out.dot_all = true,
                    'x' => self.reading.extended = true,
                    _ => return Err(unsupported(&format!("(?{flag})"))),
                }
            }
            self.skip(length);
        }
    }

    fn item(&mut self, character: char) -> Result<(), Refusal> {
        let repeatable = match character {
            c if self.reading.extended && c.is_whitespace() => return Ok(()),
            '#' if self.reading.extended => {
                while self.rest.next().is_some_and(|c| c != '\n') {}
                return Ok(());
            }
            '^' => {
                self.out.text.push_str(r"\A");
                false
            }
            '$' => {
                self.end_of_text();
                false
            }
            '|' => {
                self.out.text.push('|');
                false
            }
            '(' => {
                let comment = self.starts_with("?#");
                self.group()?;
                self.depth += usize::from(!comment);
                false
            }
            ')' => {
                self.depth = match self.depth.checked_sub(1) {
                    Some(depth) => depth,
                    None => return Err(invalid("a `)` has no `(`")),
                };
                self.out.text.push(')');
                true
            }
            '[' => {
                self.class()?;
                true
            }
            '.' => {
                self.out.text.push('.');
                true
            }
            '*' | '+' | '?' | '{' => return self.quantifier(character),
            '\\' => self.escape()?,
            _ => {
                self.literal(character);
                true
            }
        };
        self.can_repeat = repeatable;
        Ok(())
    }

    /// Whether nothing precedes in the group.
    fn at_start(&self) -> bool {
        let text = self.out.text.as_str();
        text.is_empty() || text.ends_with('|') || text.ends_with('(') || text.ends_with("(?:")
    }

    fn end_of_text(&mut self) {
        if self.reading.newline_at_end {
            self.out.backtracks = true;
            self.out.text.push_str(r"(?=\n?\z)");
        } else {
            self.out.text.push_str(r"\z");
        }
    }

    fn literal(&mut self, character: char) {
        if character.is_ascii_punctuation() || character.is_ascii_whitespace() {
            let code = u32::from(character);
            self.out.text.push_str(&format!(r"\x{code:02X}"));
        } else {
            self.out.text.push(character);
        }
    }

    fn quantifier(&mut self, first: char) -> Result<(), Refusal> {
        if self.at_start() {
            return Err(invalid("a quantifier has nothing to repeat"));
        }
        if !self.can_repeat {
            return Err(unsupported(&format!(
                "{first:?} after what cannot be repeated, or after another quantifier,"
            )));
        }
        let mut text = String::from(first);
        if first == '{' {
            text.extend(self.rest.by_ref().take_while(|c| *c != '}'));
            let bounds = text[1..].split_once(',').unwrap_or((&text[1..], "0"));
            let is_number = |text: &str| {
                (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
            };
            let (least, most) = bounds;
            if !is_number(least) || !(is_number(most) || most.is_empty()) {
                return Err(unsupported(
                    "a `{` that is no quantifier such as {2,5}; write \\{ for the character",
                ));
            }
            // Both have at most four digits.
            let below = least.parse::<u16>().ok() > most.parse::<u16>().ok();
            if text.contains(',') && !most.is_empty() && below {
                return Err(invalid(
                    "the upper bound of a repetition is below the lower",
                ));
            }
            text.push('}');
        }
        if self.rest.peek() == Some(&'?') {
            if first == '{' && !text.contains(',') {
                return Err(unsupported("{n}?"));
            }
            self.skip(1);
            text.push('?');
        } else if self.rest.peek() == Some(&'+') {
            if first == '{' {
                return Err(unsupported("{n,m}+"));
            }
            self.skip(1);
            text.push('+');
            self.out.backtracks = true;
        }
        self.out.text.push_str(&text);
        self.can_repeat = false;
        Ok(())
    }

    /// What follows `(`.
    fn group(&mut self) -> Result<(), Refusal> {
        if !self.accept('?') {
            if self.starts_with("*") {
                return Err(unsupported("(*"));
            }
            self.out.text.push('(');
            return Ok(());
        }
        for plain in [":", "=", "!", "<=", "<!", ">"] {
            if self.starts_with(plain) {
                self.skip(plain.len());
                self.out.backtracks |= plain != ":";
                self.out.text.push_str(&format!("(?{plain}"));
                return Ok(());
            }
        }
        if self.accept('#') {
            self.rest.by_ref().take_while(|c| *c != ')').for_each(drop);
            self.out.text.push_str("(?:");
            self.out.text.push(')');
            return Ok(());
        }
        if self.accept('<') {
            let name: String = self.rest.by_ref().take_while(|c| *c != '>').collect();
            return match is_name(&name) {
                true => {
                    self.out.text.push_str(&format!("(?<{name}>"));
                    Ok(())
                }
                false => Err(unsupported(&format!("the group name {name:?}"))),
            };
        }
        if self.starts_with("i:") {
            self.skip(2);
            self.out.text.push_str("(?i:");
            return Ok(());
        }
        let next: String = self.rest.clone().take(3).collect();
        Err(unsupported(&format!("(?{next}")))
    }

    /// What follows a backslash. Returns whether a quantifier may follow.
    fn escape(&mut self) -> Result<bool, Refusal> {
        let Some(character) = self.rest.next() else {
            return Err(invalid("it ends with a backslash"));
        };
        match character {
            'b' | 'B' | 'A' | 'z' => {
                self.out.text.push('\\');
                self.out.text.push(character);
                return Ok(false);
            }
            'Z' => {
                self.end_of_text();
                return Ok(false);
            }
            'w' => self.out.text.push_str(&format!("[{WORD}]")),
            'W' => self.out.text.push_str(&format!("[^{WORD}]")),
            '1'..='9' => {
                if self.rest.peek().is_some_and(char::is_ascii_digit) {
                    return Err(unsupported("a back reference of two digits"));
                }
                self.out.backtracks = true;
                self.out.text.push_str(&format!(r"(?:\{character})"));
            }
            'k' => {
                let angle = self.accept('<');
                let name: String = self.rest.by_ref().take_while(|c| *c != '>').collect();
                if !angle || !is_name(&name) {
                    return Err(unsupported(r"\k without <name>"));
                }
                self.out.backtracks = true;
                self.out.text.push_str(&format!(r"\k<{name}>"));
            }
            _ => {
                let class = self.class_escape(character)?;
                self.out.text.push_str(&class);
            }
        }
        Ok(true)
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

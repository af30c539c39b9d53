//! Character classes: escapes and brackets.

use super::{Refusal, Translator, invalid, unsupported};

/// What `\w` matches in Oniguruma.
pub(super) const WORD: &str = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}";

impl Translator<'_> {
    /// An escape that has the same meaning within brackets.
    pub(super) fn class_escape(&mut self, character: char) -> Result<String, Refusal> {
        Ok(match character {
            'd' | 'D' | 's' | 'S' | 't' | 'n' | 'r' | 'f' | 'v' | 'a' => format!("\\{character}"),
            'e' => r"\x1B".to_owned(),
            'x' => self.hexadecimal()?,
            'p' | 'P' => {
                let brace = self.accept('{');
                let name: String = self.rest.by_ref().take_while(|c| *c != '}').collect();
                // Names mean the same in both if they are those of general categories or scripts.
                if !brace || !is_category(&name) {
                    return Err(unsupported(&format!("\\{character}{{{name}}}")));
                }
                format!("\\{character}{{{name}}}")
            }
            c if c.is_ascii_punctuation() || c == ' ' => format!(r"\x{:02X}", u32::from(c)),
            c => return Err(unsupported(&format!("\\{c}"))),
        })
    }

    /// `\xHH` or `\x{H…}`.
    fn hexadecimal(&mut self) -> Result<String, Refusal> {
        let digits: String = match self.accept('{') {
            true => self.rest.by_ref().take_while(|c| *c != '}').collect(),
            false => {
                let mut digits = String::new();
                while digits.len() < 2 {
                    let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit) else {
                        break;
                    };
                    digits.push(digit);
                }
                digits
            }
        };
        let code = u32::from_str_radix(&digits, 16)
            .ok()
            .and_then(char::from_u32);
        match code {
            Some(code) if digits.len() >= 2 && (digits.len() > 2 || code.is_ascii()) => {
                Ok(format!("\\x{{{digits}}}"))
            }
            _ => Err(unsupported(&format!("\\x{digits}"))),
        }
    }

    /// What follows `[`.
    pub(super) fn class(&mut self) -> Result<(), Refusal> {
        let mut text = String::from("[");
        if self.accept('^') {
            text.push('^');
        }
        if self.rest.peek() == Some(&']') {
            return Err(unsupported(
                "`]` as the first character in brackets; write \\]",
            ));
        }
        // Whether the item before can begin a range, and whether a range is open.
        let (mut single, mut range) = (false, false);
        loop {
            let Some(character) = self.rest.next() else {
                return Err(invalid("a bracket is not closed"));
            };
            let (item, is_single) = match character {
                ']' => break,
                '[' if self.starts_with(":") => (self.posix()?, false),
                '\\' => self.class_item()?,
                '-' if single && !range && self.rest.peek() != Some(&']') => {
                    text.push('-');
                    range = true;
                    continue;
                }
                '-' if range || text.len() > 2 && self.rest.peek() != Some(&']') => {
                    return Err(unsupported("`-` there in brackets; write \\-"));
                }
                c if c.is_ascii_punctuation() || c.is_ascii_whitespace() => {
                    (format!(r"\x{:02X}", u32::from(c)), true)
                }
                c => (c.to_string(), true),
            };
            if range && !is_single {
                return Err(unsupported("a range that ends with a class"));
            }
            text.push_str(&item);
            // `a-c-e` has no clear meaning.
            single = is_single && !range;
            range = false;
        }
        text.push(']');
        self.out.text.push_str(&text);
        Ok(())
    }

    /// What follows a backslash in brackets, and whether it is a single character.
    fn class_item(&mut self) -> Result<(String, bool), Refusal> {
        match self.rest.next() {
            Some('w') => Ok((WORD.to_owned(), false)),
            Some('W') => Ok((format!("[^{WORD}]"), false)),
            Some('b') => Ok((r"\x08".to_owned(), true)),
            Some(c @ ('d' | 'D' | 's' | 'S' | 'p' | 'P')) => Ok((self.class_escape(c)?, false)),
            Some(c) => Ok((self.class_escape(c)?, true)),
            None => Err(invalid("it ends with a backslash")),
        }
    }

    /// `[:alpha:]` and its like, after the first bracket.
    fn posix(&mut self) -> Result<String, Refusal> {
        self.skip(1);
        let negated = self.accept('^');
        let name: String = self.rest.by_ref().take_while(|c| *c != ':').collect();
        let set = match name.as_str() {
            "alpha" => r"\p{Alphabetic}",
            "digit" => r"\p{Nd}",
            "alnum" => r"\p{Alphabetic}\p{Nd}",
            "upper" => r"\p{Uppercase}",
            "lower" => r"\p{Lowercase}",
            "space" => r"\s",
            "xdigit" => "0-9A-Fa-f",
            "word" => WORD,
            "cntrl" => r"\p{Cc}",
            "blank" => r"\t\p{Zs}",
            _ => return Err(unsupported(&format!("[:{name}:]"))),
        };
        if !self.accept(']') {
            return Err(unsupported("`[:` that is no class"));
        }
        Ok(match negated {
            true => format!("[^{set}]"),
            false => set.to_owned(),
        })
    }
}

/// Whether a name is that of a general category, such as `L` or `Lu`, or of one of the common scripts.
fn is_category(name: &str) -> bool {
    const SCRIPTS: &[&str] = &[
        "Latin", "Greek", "Cyrillic", "Han", "Arabic", "Hebrew", "Hiragana", "Katakana", "Hangul",
        "Thai",
    ];
    const CATEGORIES: &str =
        " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp ";
    SCRIPTS.contains(&name) || (!name.is_empty() && CATEGORIES.contains(&format!(" {name} ")))
}

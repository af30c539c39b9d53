//! Parameters of header values such as `Content-Type` and `Content-Disposition`, as senders really write them.

use super::charset::Charset;

/// The value of a header: its first word in lower case, and its parameters in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeaderParameters {
    pub(super) essence: String,
    parameters: Vec<(String, String)>,
}

impl HeaderParameters {
    /// Reads a value. A value without quotation marks ends at the next semicolon, whatever it contains: React Native sends
    /// boundaries with `/`, `=` and `:`. A quoted one ends at the next quotation mark without a backslash.
    pub(super) fn read(text: &str) -> Self {
        let (essence, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut parameters = Vec::new();
        while let Some((name, after)) = rest.split_once('=') {
            // A parameter without a value may stand before this one.
            let name = name.rsplit(';').next().unwrap_or_default();
            let name = name.trim().to_ascii_lowercase();
            let after = after.trim_start();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => read_quoted(quoted),
                None => {
                    let (value, after) = after.split_once(';').unwrap_or((after, ""));
                    (value.trim_end().to_owned(), after)
                }
            };
            parameters.push((name, value));
            rest = after;
        }
        Self {
            essence: essence.trim().to_ascii_lowercase(),
            parameters,
        }
    }

    /// The first parameter with this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter in its extended form, `name*=charset'language'text` (RFC 8187).
    pub(super) fn extended(&self, name: &str) -> Option<String> {
        let value = self.get(&format!("{name}*"))?;
        let mut parts = value.splitn(3, '\'');
        let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = percent_decoded(text.as_bytes());
        Charset::of(Some(charset)).ok()?.text(bytes).ok()
    }
}

/// Reads to the closing quotation mark. Only `\"` and `\\` are escapes, because old browsers send Windows paths as they are.
fn read_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[index + 1..]),
            '\\' => match letters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push(letter),
            },
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// Percent-decodes bytes. A percent sign that no two hexadecimal digits follow stays.
pub fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = after.split_at_checked(2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|(digits, tail)| {
            let byte = hex::decode(digits).ok()?.first().copied()?;
            rest = tail;
            Some(byte)
        });
        bytes.push(byte.unwrap_or(*first));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_senders_write_them() {
        for (text, name, value) in [
            ("a/b; boundary=x", "boundary", Some("x")),
            ("a/b;BOUNDARY=\"x y\"; charset=z", "boundary", Some("x y")),
            (
                "a/b; charset=z; Boundary=a/b=c:d?e,f ; x=1",
                "boundary",
                Some("a/b=c:d?e,f"),
            ),
            ("a/b; flag; boundary = x", "boundary", Some("x")),
            ("a/b; boundary=a b", "boundary", Some("a b")),
            ("form-data; name=\"a\\\"b\\\\c\"", "name", Some("a\"b\\c")),
            (
                "form-data; name=\"a;b=c\"; filename=\"C:\\dir\\f\"",
                "filename",
                Some("C:\\dir\\f"),
            ),
            ("form-data; name=\"open", "name", Some("open")),
            ("form-data; name=", "name", Some("")),
            ("form-data; name", "name", None),
            ("form-data", "name", None),
        ] {
            assert_eq!(HeaderParameters::read(text).get(name), value, "{text}");
        }
        let extended = |text: &str| HeaderParameters::read(text).extended("name");
        assert_eq!(
            extended("x; name*=UTF-8''a%20%C3%A4"),
            Some("a ä".to_owned())
        );
        assert_eq!(extended("x; name*=iso-8859-1'de'%E4"), Some("ä".to_owned()));
        assert_eq!(extended("x; name*=UTF-8''%FF"), None);
        assert_eq!(extended("x; name*=plain"), None);
    }
}

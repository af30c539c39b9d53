//! Decodes `multipart/form-data` (RFC 7578) as senders really write it. The content of files is dropped; their names are
//! kept. A part that cannot be read is listed with the reason, and does not affect the other parts.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value, json};

use super::charset::Charset;
use super::parameters::HeaderParameters;
use super::{BodyError, clip, form};

/// Maximum parts of a form.
pub(super) const MAX_PARTS: usize = 1_000;

/// Maximum bytes of the headers of a part.
const MAX_HEAD: usize = 16 * 1024;

/// Maximum bytes of a boundary. RFC 2046 permits 70.
const MAX_BOUNDARY: usize = 256;

/// Key of the list of parts that are not fields.
const FILES: &str = "$files";

/// The field whose text is the charset of the others (RFC 7578 section 4.6).
const CHARSET_FIELD: &str = "_charset_";

/// The field with the charset of each other field as a JSON object (SendGrid).
const CHARSETS_FIELD: &str = "charsets";

/// Base64 with and without padding, and with any trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The parts of a form.
pub(super) struct MultipartForm {
    pub(super) fields: Vec<(String, String)>,
    files: Vec<Value>,
}

impl MultipartForm {
    pub(super) fn read(
        content_type: &str,
        body: &[u8],
        charset: Charset,
    ) -> Result<Self, BodyError> {
        let boundary = boundary(content_type, body)?;
        let parts: Vec<Part> = split_parts(body, &boundary)?
            .into_iter()
            .map(Part::read)
            .collect();
        let charsets = FieldCharsets::of(&parts, charset);
        let mut form = Self {
            fields: Vec::new(),
            files: Vec::new(),
        };
        for part in parts {
            match part.text(&charsets) {
                Ok((name, text)) => form.fields.push((name, text)),
                Err(problem) => form.files.push(part.describe(problem)),
            }
        }
        Ok(form)
    }

    /// The fields as a tree, with the files under `$files` if there are any.
    pub(super) fn tree(self) -> Result<Map<String, Value>, BodyError> {
        let mut tree = form::tree(self.fields)?;
        if !self.files.is_empty() {
            if tree.contains_key(FILES) {
                return Err(BodyError::Conflict(FILES.to_owned()));
            }
            tree.insert(FILES.to_owned(), Value::Array(self.files));
        }
        Ok(tree)
    }
}

/// The parts of a decoded multipart form that could not be read as fields, each with the reason.
pub fn part_problems(tree: &Value) -> Vec<String> {
    let files = tree.get(FILES).and_then(Value::as_array);
    let problem = |file: &Value| {
        let problem = file.get("problem")?.as_str()?;
        let name = file.get("name").and_then(Value::as_str);
        let name = name.map_or("without a name".to_owned(), |name| format!("`{name}`"));
        Some(format!("part {name} is not a field: {problem}"))
    };
    files.into_iter().flatten().filter_map(problem).collect()
}

/// The boundary in the content type; without one, the first line of the body.
pub(super) fn boundary(content_type: &str, body: &[u8]) -> Result<String, BodyError> {
    let parameters = HeaderParameters::read(content_type);
    let declared = parameters.get("boundary").map(str::to_owned);
    let first_line = || {
        let line = body.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?;
        line.trim_end().strip_prefix("--").map(str::to_owned)
    };
    let found = declared
        .filter(|text| !text.is_empty())
        .or_else(first_line)
        .filter(|text| (1..=MAX_BOUNDARY).contains(&text.len()));
    found
        .ok_or_else(|| BodyError::Multipart("the content type has no usable `boundary`".to_owned()))
}

/// The parts between the boundaries. Lines may end in CR LF or LF; text before the first and after the last boundary has no
/// meaning.
fn split_parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>, BodyError> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut found_any = false;
    let mut line_start = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let line_end = line_start + line.len();
        if let Some(is_last) = delimiter(line, boundary) {
            found_any = true;
            if let Some(start) = start {
                if parts.len() == MAX_PARTS {
                    return Err(BodyError::TooManyParts);
                }
                parts.push(without_line_end(&body[start..line_start]));
            }
            if is_last {
                return Ok(parts);
            }
            start = Some(line_end);
        }
        line_start = line_end;
    }
    match start {
        // The last boundary lacks its final hyphens.
        Some(start) if body[start..].trim_ascii().is_empty() => Ok(parts),
        Some(_) => Err(BodyError::Multipart(
            "it ends in the middle: the last boundary is missing".to_owned(),
        )),
        None if found_any => Ok(parts),
        None => Err(BodyError::Multipart(format!(
            "its boundary `{}` does not occur",
            clip(boundary)
        ))),
    }
}

/// Whether a line is a boundary, and then whether it is the last one.
fn delimiter(line: &[u8], boundary: &str) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary.as_bytes())?;
    match rest.trim_ascii() {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// A part of a form.
struct Part {
    name: Option<String>,
    /// The name of the file, if the part is one.
    file: Option<String>,
    content_type: Option<String>,
    /// The content, or why it cannot be read.
    content: Result<Vec<u8>, &'static str>,
    length: usize,
}

impl Part {
    fn read(text: &[u8]) -> Self {
        let (head, content) = split_head(text);
        let header = |name: &str| {
            let mut lines = head.iter();
            lines.find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            })
        };
        let disposition = header("content-disposition").unwrap_or_default();
        let disposition = HeaderParameters::read(&disposition);
        let parameter = |name: &str| {
            let plain = disposition.get(name).map(str::to_owned);
            (plain, disposition.extended(name))
        };
        let (name, extended_name) = parameter("name");
        let (file, extended_file) = parameter("filename");
        let has_file = file.is_some() || disposition.get("filename*").is_some();
        let encoding = header("content-transfer-encoding").unwrap_or_default();
        let length = content.map_or(text.len(), <[u8]>::len);
        let content = match content {
            Some(content) => decode_transfer(content, &encoding.to_ascii_lowercase()),
            None => Err("it has no empty line after its headers, or too long headers"),
        };
        Self {
            name: name.or(extended_name),
            file: extended_file
                .or(file)
                .or_else(|| has_file.then(String::new)),
            content_type: header("content-type"),
            length: content.as_ref().map_or(length, Vec::len),
            content,
        }
    }

    /// The name and text of a field. The error is `None` for a file.
    fn text(&self, charsets: &FieldCharsets) -> Result<(String, String), Option<String>> {
        if self.file.is_some() {
            return Err(None);
        }
        let content = self
            .content
            .as_ref()
            .map_err(|why| Some((*why).to_owned()))?;
        let name = self
            .name
            .as_ref()
            .ok_or(Some("it has no name".to_owned()))?;
        let declared = self.content_type.as_deref().map(HeaderParameters::read);
        let declared = declared.as_ref().and_then(|kind| kind.get("charset"));
        let charset = match declared {
            Some(label) => Charset::of(Some(label.trim_matches('\''))),
            None => Ok(charsets.of_field(name)),
        };
        let text = charset.and_then(|charset| charset.text(content.clone()));
        match text {
            Ok(text) => Ok((name.clone(), text)),
            Err(error) => Err(Some(error.to_string().replace("the body", "it"))),
        }
    }

    /// The entry of a part that is not a field.
    fn describe(self, problem: Option<String>) -> Value {
        let mut entry = json!({
            "name": self.name, "filename": self.file, "content_type": self.content_type, "bytes": self.length,
        });
        if let Some(problem) = problem {
            entry["problem"] = Value::String(problem);
        }
        entry
    }
}

/// The header lines of a part, folded ones joined, and its content; `None` if no empty line ends the headers.
fn split_head(text: &[u8]) -> (Vec<String>, Option<&[u8]>) {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        length += line.len();
        if length > MAX_HEAD {
            return (lines, None);
        }
        let line = without_line_end(line);
        if line.is_empty() {
            return (lines, Some(&text[length..]));
        }
        let line = header_text(line);
        match lines.last_mut() {
            Some(previous) if line.starts_with([' ', '\t']) => previous.push_str(&line),
            _ => lines.push(line),
        }
    }
    (lines, None)
}

/// A header line as text: browsers send names in UTF-8, others in Windows-1252.
fn header_text(line: &[u8]) -> String {
    let text = Charset::UTF_8.text(line.to_vec());
    let other = || Charset::of(Some("windows-1252"))?.text(line.to_vec());
    text.or_else(|_| other()).unwrap_or_default()
}

/// Decodes the content transfer encoding, which RFC 7578 no longer has and some senders still use.
fn decode_transfer(content: &[u8], encoding: &str) -> Result<Vec<u8>, &'static str> {
    match encoding {
        "base64" => {
            let is_text = |byte: &u8| !byte.is_ascii_whitespace();
            let text: Vec<u8> = content.iter().copied().filter(is_text).collect();
            BASE64.decode(text).map_err(|_| "it is not base64")
        }
        "quoted-printable" => Ok(decode_quoted_printable(content)),
        _ => Ok(content.to_vec()),
    }
}

/// Decodes quoted-printable (RFC 2045 section 6.7). An invalid escape stays as it is.
fn decode_quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'=' {
            bytes.push(*first);
        } else if let Some(tail) = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.strip_prefix(b"\n"))
        {
            rest = tail;
        } else if let Some((digits, tail)) = after.split_at_checked(2)
            && let Ok(byte) = hex::decode(digits)
        {
            bytes.extend(byte);
            rest = tail;
        } else {
            bytes.push(b'=');
        }
    }
    bytes
}

/// The charsets of fields whose parts declare none.
struct FieldCharsets {
    default: Charset,
    by_name: Map<String, Value>,
}

impl FieldCharsets {
    fn of(parts: &[Part], charset: Charset) -> Self {
        let text = |name: &str| {
            let mut parts = parts.iter();
            let part =
                parts.find(|part| part.name.as_deref() == Some(name) && part.file.is_none())?;
            std::str::from_utf8(part.content.as_deref().ok()?).ok()
        };
        let named = text(CHARSET_FIELD).and_then(|name| Charset::of(Some(name.trim())).ok());
        let by_name = text(CHARSETS_FIELD).and_then(|text| serde_json::from_str(text).ok());
        Self {
            default: named.unwrap_or(charset),
            by_name: by_name.unwrap_or_default(),
        }
    }

    fn of_field(&self, name: &str) -> Charset {
        let label = self.by_name.get(name).and_then(Value::as_str);
        let charset = label.and_then(|label| Charset::of(Some(label)).ok());
        charset.unwrap_or(self.default)
    }
}

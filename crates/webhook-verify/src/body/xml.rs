//! Converts XML, including SOAP, to JSON.
//!
//! The document is an object with the root element. An element with only text is a string. Any other element is an object:
//! attributes under `@name`, elements under their names, text beside them under `#text`. Repeated elements become a list
//! in their order. Names keep their prefixes, as in `soapenv:Body`. Only the five predefined entities are supported, and no
//! document types, so entities are neither expanded nor fetched.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::BodyError;
use super::charset::Charset;
use super::clip;

/// Maximum nesting of elements.
const MAX_DEPTH: usize = 64;

/// Maximum elements and attributes of a document.
const MAX_NODES: usize = 50_000;

/// Maximum bytes of an XML declaration.
const MAX_DECLARATION: usize = 200;

/// The tree of a document. `charset` is the charset of its content type.
pub(super) fn tree(body: &[u8], charset: Option<Charset>) -> Result<Value, BodyError> {
    let body = super::strip_bom(body);
    let charset = match charset {
        Some(charset) => charset,
        None => Charset::of_ascii_declaration(declared_encoding(body).as_deref())?,
    };
    let text = charset.text(body.to_vec())?;
    let mut reader = Reader::from_str(&text);
    let mut tree = XmlTree::default();
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => tree.open(&start)?,
            Event::Empty(start) => {
                tree.open(&start)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                match reference.resolve_char_ref().map_err(malformed)? {
                    Some(letter) => tree.text(letter.encode_utf8(&mut [0; 4]))?,
                    None => {
                        let text = resolve_predefined_entity(&name);
                        let unknown =
                            || BodyError::Xml(format!("entity `{}` is not known", clip(&name)));
                        tree.text(text.ok_or_else(unknown)?)?;
                    }
                }
            }
            Event::DocType(_) => return Err(BodyError::DocumentType),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> BodyError {
    BodyError::Xml(clip(&error.to_string()))
}

/// The encoding in the XML declaration.
fn declared_encoding(body: &[u8]) -> Option<String> {
    let start = body.get(..body.len().min(MAX_DECLARATION))?;
    let text = String::from_utf8_lossy(start);
    let declaration = text.strip_prefix("<?xml")?.split("?>").next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value
        .chars()
        .next()
        .filter(|letter| matches!(letter, '"' | '\''))?;
    value[1..].split(quote).next().map(str::to_owned)
}

/// An element that is not closed yet.
#[derive(Default)]
struct OpenElement {
    name: String,
    inner: Map<String, Value>,
    has_elements: bool,
    text: String,
}

#[derive(Default)]
struct XmlTree {
    /// Elements from the root to the innermost.
    open: Vec<OpenElement>,
    root: Option<(String, Value)>,
    nodes: usize,
}

impl XmlTree {
    fn count(&mut self) -> Result<(), BodyError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(BodyError::TooManyNodes);
        }
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), BodyError> {
        self.count()?;
        if self.open.len() >= MAX_DEPTH {
            return Err(BodyError::ElementsTooDeep);
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(BodyError::Xml(
                "it has more than one root element".to_owned(),
            ));
        }
        let mut open = OpenElement {
            name: start.name().as_ref().to_owned(),
            ..OpenElement::default()
        };
        // The reader's own check for duplicates compares each attribute with all previous ones.
        let mut attributes = start.attributes();
        for attribute in attributes.with_checks(false) {
            self.count()?;
            let attribute = attribute.map_err(malformed)?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(malformed)?;
            let key = format!("@{}", attribute.key.as_ref());
            if open.inner.contains_key(&key) {
                let message = format!("attribute `{}` is repeated", clip(&key[1..]));
                return Err(BodyError::Xml(message));
            }
            open.inner.insert(key, Value::String(value.into_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BodyError> {
        match self.open.last_mut() {
            Some(open) => open.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => {
                return Err(BodyError::Xml(
                    "there is text outside the root element".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), BodyError> {
        let closed = self.open.pop();
        let closed = closed.ok_or_else(|| BodyError::Xml("an end has no start".to_owned()))?;
        let OpenElement {
            name,
            mut inner,
            has_elements,
            text,
        } = closed;
        let value = if inner.is_empty() {
            Value::String(text)
        } else {
            // White space between elements is only formatting.
            let text = if has_elements { text.trim() } else { &text };
            if !text.is_empty() {
                inner.insert("#text".to_owned(), Value::String(text.to_owned()));
            }
            Value::Object(inner)
        };
        match self.open.last_mut() {
            None => self.root = Some((name, value)),
            Some(parent) => {
                parent.has_elements = true;
                add(&mut parent.inner, name, value);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, BodyError> {
        match (self.root, self.open.is_empty()) {
            (Some((name, value)), true) => Ok(Value::Object(Map::from_iter([(name, value)]))),
            (_, false) => Err(BodyError::Xml("it ends in the middle".to_owned())),
            (None, true) => Err(BodyError::Xml("it has no element".to_owned())),
        }
    }
}

fn add(inner: &mut Map<String, Value>, name: String, value: Value) {
    match inner.get_mut(&name) {
        None => {
            inner.insert(name, value);
        }
        // A list is always a repeated element.
        Some(Value::Array(list)) => list.push(value),
        Some(single) => {
            let first = single.take();
            *single = Value::Array(vec![first, value]);
        }
    }
}

//! Decodes `multipart/form-data` (RFC 7578). The content of files is dropped; their names are kept.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use serde_json::{Map, Value, json};

use super::charset::Charset;
use super::{BodyError, clip, form, split_type};

/// Maximum parts of a form.
const MAX_PARTS: usize = 1_000;

/// Key of the list of files.
const FILES: &str = "$files";

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
        let malformed = |error: multer::Error| BodyError::Multipart(clip(&error.to_string()));
        let boundary = multer::parse_boundary(content_type).map_err(malformed)?;
        let body = Bytes::copy_from_slice(body);
        let content = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
        let mut multipart = Multipart::new(content, boundary);
        let mut parts = Self {
            fields: Vec::new(),
            files: Vec::new(),
        };
        while let Some(part) = resolve_now(multipart.next_field())?.map_err(malformed)? {
            if parts.fields.len() + parts.files.len() == MAX_PARTS {
                return Err(BodyError::TooManyPairs);
            }
            parts.add(part, charset)?;
        }
        Ok(parts)
    }

    fn add(&mut self, part: Field<'_>, charset: Charset) -> Result<(), BodyError> {
        let name = part.name().map(str::to_owned);
        let name = name.ok_or_else(|| BodyError::Multipart("a part has no name".to_owned()))?;
        let file = part.file_name().map(str::to_owned);
        let content_type = part.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok().map(str::to_owned));
        let content = resolve_now(part.bytes())?;
        let content = content.map_err(|error| BodyError::Multipart(clip(&error.to_string())))?;
        if let Some(file) = file {
            self.files.push(json!({
                "name": name, "filename": file, "content_type": content_type, "bytes": content.len(),
            }));
            return Ok(());
        }
        let charset = match content_type.map(|text| split_type(&text)) {
            Some((_, Some(name))) => Charset::of(Some(&name))?,
            Some((_, None)) | None => charset,
        };
        self.fields.push((name, charset.text(content.to_vec())?));
        Ok(())
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

/// The result of a future that reads from memory and therefore never waits.
fn resolve_now<T>(future: impl Future<Output = T>) -> Result<T, BodyError> {
    let result = future.now_or_never();
    result.ok_or_else(|| BodyError::Multipart("it ends in the middle".to_owned()))
}

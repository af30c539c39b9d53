//! The tokens of signed texts and of responses: one table for error messages, the JSON Schema and the documentation.

use schemars::{Schema, json_schema};

/// A token of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateToken {
    /// The token as it is written, with an example name.
    pub text: &'static str,
    /// What replaces it.
    pub meaning: &'static str,
}

macro_rules! tokens {
    ($($text:literal => $meaning:literal,)+) => {
        &[$(TemplateToken { text: $text, meaning: $meaning }),+]
    };
}

/// The tokens of `signed`.
pub const SIGNED_TOKENS: &[TemplateToken] = tokens! {
    "{body}" => "the body as received, byte for byte",
    "{timestamp}" => "the signed time as received",
    "{header:Name}" => "the value of a header",
    "{query:name}" => "the value of a query parameter, decoded",
    "{form:name}" => "the value of a form field, decoded",
    "{json:/pointer}" => "a string, a boolean or a whole number of a JSON body",
    "{path:0}" => "a path segment after the route's name, decoded; 0 is the first",
    "{method}" => "the HTTP method in upper case",
    "{url}" => "the URL that the sender called: `public_url` with the request's path and query",
    "{param:name}" => "a parameter of the route's `params`",
    "{secret}" => "the secret itself; only with `type: digest`",
    "{sha256_body}" => "the body's SHA-256 in lower-case hexadecimal",
    "{crc32_body}" => "the body's CRC-32 as a decimal number",
    "{form_sorted}" => "the names and values of all form fields, sorted and joined; empty if the body is not a form",
    "{json_escaped:/pointer}" => "a value of a JSON body with a backslash before `\\` and `:`; empty if it is absent",
};

/// The tokens of an `answer`: of its `text`, of the strings of its `json`, and of its `headers`.
pub const REPLY_TOKENS: &[TemplateToken] = tokens! {
    "{query:name}" => "the value of a query parameter, decoded",
    "{header:Name}" => "the value of a header",
    "{form:name}" => "the value of a form field, decoded",
    "{json:/pointer}" => "a string, a boolean or a whole number of a JSON body",
    "{path:0}" => "a path segment after the route's name, decoded; 0 is the first",
    "{hmac_hex:query:name}" => "the HMAC-SHA256 of any of the parts above, keyed with the text of the first secret, in lower-case hexadecimal",
    "{hmac_base64:query:name}" => "the same HMAC in base64",
};

/// Lists tokens for an error message.
pub(super) fn token_list(tokens: &[TemplateToken]) -> String {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    texts.join(", ")
}

/// The JSON Schema of a template with these tokens.
pub(super) fn template_schema(what: &str, tokens: &[TemplateToken]) -> Schema {
    let lines: Vec<String> = tokens
        .iter()
        .map(|token| format!("{}: {}", token.text, token.meaning))
        .collect();
    json_schema!({
        "type": "string",
        "description": format!("{what} Tokens:\n{}", lines.join(";\n")),
    })
}

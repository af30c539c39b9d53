//! The formats `@base64`, `@csv` and their like.

use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Error, ValR, ValT as _};
use jaq_json::{Num, Val};

use crate::engine::Engine;
use crate::fence;
use crate::value::{FencedValue, json};

/// The filters of this module. All but those for rows and shells take strings only.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    vec![
        run(("html__", v(0), |cv| bome(mapped(&cv.1, html)))),
        run(("uri__", v(0), |cv| bome(mapped(&cv.1, uri)))),
        run(("urid__", v(0), |cv| bome(decoded(&cv.1, "URI", from_uri)))),
        run(("base64__", v(0), |cv| bome(mapped(&cv.1, base64)))),
        run(("base64d__", v(0), |cv| {
            bome(decoded(&cv.1, "base64", from_base64))
        })),
        run(("csv__", v(0), |cv| {
            bome(row(&cv.1, ",", |text| {
                format!("\"{}\"", text.replace('"', "\"\""))
            }))
        })),
        run(("tsv__", v(0), |cv| bome(row(&cv.1, "\t", tsv)))),
        run(("sh__", v(0), |cv| {
            bome(row(&cv.1, " ", |text| {
                format!("'{}'", text.replace('\'', r"'\''"))
            }))
        })),
    ]
}

fn mapped(value: &FencedValue, work: fn(&str) -> String) -> ValR<FencedValue> {
    let value = value.clone().into_string();
    let text = value.as_str().unwrap_or_default();
    fence::allocate(text.len() * 2);
    Ok(FencedValue::from(work(text)))
}

fn decoded(value: &FencedValue, what: &str, work: fn(&str) -> Option<String>) -> ValR<FencedValue> {
    let value = value.clone().into_string();
    let text = value.as_str().unwrap_or_default();
    fence::allocate(text.len());
    match work(text) {
        Some(text) => Ok(FencedValue::from(text)),
        None => Err(Error::str(format!("{value} is not valid {what} data"))),
    }
}

fn html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    escaped.replace('\'', "&apos;").replace('"', "&quot;")
}

fn uri(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn from_uri(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(out).ok()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut bits = [0_u8; 4];
        bits[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let character = if place <= chunk.len() {
                ALPHABET[index as usize]
            } else {
                b'='
            };
            out.push(char::from(character));
        }
    }
    out
}

/// As in jq, the text ends at the first `=`, and bytes that are not UTF-8 become U+FFFD.
fn from_base64(text: &str) -> Option<String> {
    let digits = text.split('=').next().unwrap_or_default();
    let mut out = Vec::new();
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for byte in chunk {
            let digit = ALPHABET.iter().position(|character| character == byte)?;
            bits = bits << 6 | digit as u32;
        }
        let bytes = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        match chunk.len() {
            1 => return None,
            length => out.extend_from_slice(&bytes[1..length]),
        }
    }
    Some(lossy(&out))
}

/// Text of bytes, of which jq replaces other parts by U+FFFD than Rust: a sequence that the end cuts off with all that follows
/// its first byte, and one that is complete, but means no character, as a whole.
fn lossy(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    while let Some(first) = bytes.first() {
        let length = match first {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        let taken = match bytes.get(1..length) {
            None => bytes.len(),
            Some(more) => 1 + more.iter().take_while(|byte| **byte & 0xC0 == 0x80).count(),
        };
        let (sequence, rest) = bytes.split_at(taken);
        match std::str::from_utf8(sequence) {
            Ok(text) => out.push_str(text),
            Err(_) => out.push(char::REPLACEMENT_CHARACTER),
        }
        bytes = rest;
    }
    out
}

fn tsv(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('\t', r"\t");
    escaped.replace('\n', r"\n").replace('\r', r"\r")
}

/// The items of an array, each formatted, joined.
fn row(value: &FencedValue, separator: &str, string: fn(&str) -> String) -> ValR<FencedValue> {
    let Val::Arr(items) = &value.val else {
        return Err(Error::typ(value.clone(), "array"));
    };
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let before = out.len();
        if index > 0 {
            out.push_str(separator);
        }
        match item {
            Val::Null | Val::Num(Num::Float(_)) if separator != " " && is_blank(item) => {}
            Val::Null | Val::Bool(_) | Val::Num(_) => {
                out.push_str(&json::to_text(item, usize::MAX).0);
            }
            Val::TStr(bytes) => out.push_str(&string(&String::from_utf8_lossy(bytes))),
            Val::BStr(_) | Val::Arr(_) | Val::Obj(_) => {
                let item = value.part(item.clone());
                return Err(Error::str(format!("cannot use {item} in a row")));
            }
        }
        fence::allocate(2 * (out.len() - before));
    }
    Ok(FencedValue::from(out))
}

/// Whether an item of a row leaves its cell empty.
fn is_blank(item: &Val) -> bool {
    match item {
        Val::Null => true,
        Val::Num(Num::Float(float)) => float.is_nan(),
        Val::Bool(_) | Val::Num(_) | Val::TStr(_) | Val::BStr(_) | Val::Arr(_) | Val::Obj(_) => {
            false
        }
    }
}

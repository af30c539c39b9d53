//! Regular expressions that backtrack: their work is bounded, and ordinary ones are not refused.

use super::{evaluate_with, limits};
use crate::*;

/// Matches `pattern` in `text`, within the default limits of steps and memory.
fn test(pattern: &str, text: &str) -> Result<bool, String> {
    let limits = Limits {
        steps: Limits::default().steps,
        memory_bytes: Limits::default().memory_bytes,
        ..limits()
    };
    let body = serde_json::json!({"text": text, "pattern": pattern}).to_string();
    let outputs = evaluate_with(
        ". as $in | .text | test($in.pattern)",
        body.as_bytes(),
        &limits,
    );
    let outputs = outputs.map_err(|error| error.to_string())?;
    outputs[0].as_bool().ok_or_else(|| "no boolean".to_owned())
}

#[test]
fn regex_with_much_work_is_refused_or_ends() {
    let text = "a".repeat(16_000);
    for pattern in [
        "(?:(?=(?:a|b)*x)a|a){0,200}y",
        "(?:(?=.*x)a|a)*y",
        r"(?:(?=(?:(\w*)*))a)*y",
        "(?<=a)(?:[ab]{1,50}){1,50}y",
        "(?:(?=(?:(?=a*b)a|a)*)a|a)*y",
        "(?=(?:.*.*.*.*.*){50}x)a",
    ] {
        let error = test(pattern, &text).expect_err(pattern);
        assert!(error.contains("less than 32"), "{pattern}: {error}");
    }
    for pattern in [
        "(?<=a)(a|b)*c",
        "(?=a)(.*)*x",
        "(?=(.*)*x)a",
        "(?:(?!.*x)a)*y",
        "(?:(?!(?:a|aa)*x)a)*y",
        "(?=(a|aa)*)(a|aa)*y",
        "(?:(?>a*)|b)*y(?=z)",
        "(?:a*+b?)*y",
        r"(a*)\1\1y",
        r"(?<!(?=.*x)b)(?:(?!.*y)a)*z",
    ] {
        let error = test(pattern, &text).expect_err(pattern);
        assert!(error.contains("backtracks more than"), "{pattern}: {error}");
        assert!(error.contains("text of 16000 bytes"), "{pattern}: {error}");
    }
}

#[test]
fn ordinary_look_around_matches_long_texts() {
    let filler = "Lorem ipsum 123456 dolor. ".repeat(77);
    for (pattern, found) in [
        ("(?<=@)[^.]+", "me@example.com"),
        ("foo(?!bar)", "foobar foo"),
        (r"(?<![0-9])\d{5}(?![0-9])", "12345"),
        (r"(?<=\$)\d+(?=\.\d\d)", "$12.50"),
        ("(?<=id=)[a-f0-9-]{8}", "id=0a1b2c3d"),
        (r"\w+(?=@)", "me@example.com"),
        (r"(?>\d+)(?!\d|\s)", "42;"),
        ("<b>(?:(?!</b>).)*</b>", "<b>text</b>"),
        (r"(\w)\1@", "aa@"),
    ] {
        let without = test(pattern, &filler[..2_000]);
        assert_eq!(without, Ok(false), "{pattern}");
        assert_eq!(
            test(pattern, &format!("{filler}{found}")),
            Ok(true),
            "{pattern}"
        );
    }
    for pattern in [
        r"^(?=.*[A-Z])(?=.*\d)[A-Za-z\d. ]{8,}$",
        r"(?<=Lorem) .*?(?=dolor)",
    ] {
        assert_eq!(test(pattern, &filler), Ok(true), "{pattern}");
    }
    let long = "Lorem ipsum ".repeat(1_300) + "foo";
    assert_eq!(test("foo(?!bar)", &long), Ok(true));
}

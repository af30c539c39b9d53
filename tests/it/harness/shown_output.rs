//! Output that a page shows, compared with what a program has printed.

/// Why the output differs from what is shown. In a shown line `…` stands for any text, and a line `…` for any lines. What
/// differs each time is compared by its kind: ids, times, ages, durations, ports, tokens and signatures; and columns may
/// be wider.
pub(crate) fn difference(shown: &str, printed: &str) -> Option<String> {
    let stable = |text: &str| text.trim_end().lines().map(stable_line).collect::<Vec<_>>();
    let (shown, printed) = (stable(shown), stable(printed));
    if are_shown(&shown, &printed) {
        return None;
    }
    let wrong = shown.iter().find(|line| {
        line.as_str() != "…" && !printed.iter().any(|printed| is_line_shown(line, printed))
    });
    let wrong = wrong.map_or("the order of the lines, or more lines than shown", |line| {
        line
    });
    Some(format!(
        "{wrong}\n--- shown:\n{}\n--- printed:\n{}",
        shown.join("\n"),
        printed.join("\n")
    ))
}

/// Whether the lines that are shown are somewhere in an output.
pub(crate) fn is_within(shown: &str, printed: &str) -> bool {
    difference(&format!("…\n{}\n…", shown.trim_end()), printed).is_none()
}

fn are_shown(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=printed.len()).any(|skipped| are_shown(rest, &printed[skipped..]))
        }
        Some((first, rest)) => match printed.split_first() {
            Some((line, others)) => is_line_shown(first, line) && are_shown(rest, others),
            None => false,
        },
    }
}

fn is_line_shown(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match is_last {
            true => return rest.ends_with(part),
            false => match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            },
        }
    }
    true
}

/// A line without what differs each time.
fn stable_line(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let unit = word.trim_end_matches([',', ';', ')']);
        let number = words
            .last()
            .filter(|last| last.trim_start_matches('(').parse::<f64>().is_ok());
        match number {
            Some(_) if ["ms", "s"].contains(&unit) => {
                words.pop();
                words.push(format!("<duration>{}", &word[unit.len()..]));
            }
            _ => words.push(stable_word(word)),
        }
    }
    let margin = line.len() - line.trim_start().len();
    format!("{:margin$}{}", "", words.join(" "))
}

fn stable_word(word: &str) -> String {
    let mut word = word.to_owned();
    for (start, name, is_part) in [
        ("job_", "<job>", is_id as fn(char) -> bool),
        ("dlv_", "<delivery>", is_id),
        ("127.0.0.1:", "<address>", |c| c.is_ascii_digit()),
        ("#token=", "#<token>", |c| is_id(c) || c == '-' || c == '_'),
        ("v1=", "<signature>", is_id),
        ("t=", "<time>", |c| c.is_ascii_digit()),
    ] {
        let mut stable = String::new();
        let mut rest = word.as_str();
        while let Some((before, after)) = rest.split_once(start) {
            let end = after.trim_start_matches(is_part);
            stable.push_str(before);
            stable.push_str(if end.len() < after.len() { name } else { start });
            rest = end;
        }
        stable.push_str(rest);
        word = stable;
    }
    let shape: String = word
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let short = shape.trim_end_matches(['0', '.', 'Z']);
    match shape.as_str() {
        "0000-00-00" => "<date>".to_owned(),
        _ if short.starts_with("0000-00-00T") => "<time>".to_owned(),
        _ if shape.starts_with("00:00:00") => "<time>".to_owned(),
        "0s" | "00s" | "0m" | "00m" | "0h" => "<age>".to_owned(),
        _ => word,
    }
}

fn is_id(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '…'
}

#[test]
fn shown_output_may_differ_in_ids_and_times_only() {
    let shown = "ID  AGE\njob_1a2b3c4d  2s  1/1\n  14:50:47.092       3 ms  call 1: 200";
    for (printed, is_same) in [
        (
            "ID            AGE\njob_99999999  11s  1/1\n  08:00:00.000    1.25 s  call 1: 200\n",
            true,
        ),
        (
            "ID            AGE\njob_99999999  11s  0/1\n  08:00:00.000    1.25 s  call 1: 200\n",
            false,
        ),
        ("ID            AGE\njob_99999999  11s  1/1\n", false),
        (
            "ID  AGE\njob_1a2b3c4d  2s  1/1\n  14:50:47.092       3 ms  call 1: 200\nmore",
            false,
        ),
    ] {
        assert_eq!(difference(shown, printed).is_none(), is_same, "{printed}");
    }
    assert_eq!(difference("a\n…\nb … d…", "a\n1\n2\nb c d e"), None);
    assert!(difference("a\n…\nb … d", "a\n1\n2\nb c d e").is_some());
    assert_eq!(
        difference(
            "http://127.0.0.1:8080/#token=…",
            "http://127.0.0.1:4/#token=aB-_9"
        ),
        None
    );
    assert!(is_within("b", "a\nb\nc") && !is_within("b", "a\nc"));
}

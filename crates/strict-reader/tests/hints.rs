//! The hints for misspelt words.

use strict_reader::nearest;

#[test]
fn hint_is_the_word_that_was_meant() {
    let known = [
        "scheme", "secret", "each", "params", "when", "on", "map", "v7",
    ];
    for (word, wanted) in [
        ("hash", None),
        ("mac", Some("map")),
        ("eahc", Some("each")),
        ("wehn", Some("when")),
        ("ecah", Some("each")),
        ("schmea", Some("scheme")),
        ("Secrets", Some("secret")),
        ("param", Some("params")),
        ("no", None),
        ("zzzz", None),
    ] {
        assert_eq!(nearest(word, known.into_iter()), wanted, "{word}");
    }
}

//! Queries that API Gateway has decoded. REST APIs pass names and values, so the text that the sender has sent, and perhaps
//! signed, is lost. A sender's library writes it in one of a few forms.

use std::fmt::Write;

/// How a sender may have encoded a query.
struct Encoding {
    /// The characters that are not encoded, beside letters and digits.
    plain: &'static [u8],
    space: &'static str,
    lower_case: bool,
}

/// The form that [`form_urlencoded`] writes comes first: browsers and most libraries use it.
const ENCODINGS: [Encoding; 7] = [
    // WHATWG: URLSearchParams, Java's URLEncoder.
    Encoding {
        plain: b"*-._",
        space: "+",
        lower_case: false,
    },
    // RFC 3986: Python's quote, PHP's rawurlencode, most HTTP clients.
    Encoding {
        plain: b"-._~",
        space: "%20",
        lower_case: false,
    },
    // Python's quote_plus, Go's QueryEscape, Ruby's encode_www_form_component.
    Encoding {
        plain: b"-._~",
        space: "+",
        lower_case: false,
    },
    // JavaScript's encodeURIComponent.
    Encoding {
        plain: b"-._~!*'()",
        space: "%20",
        lower_case: false,
    },
    // Everything that RFC 3986 permits in a value, as typed into a settings page.
    Encoding {
        plain: b"-._~!*'()$,;:@/?",
        space: "%20",
        lower_case: false,
    },
    Encoding {
        plain: b"-._~!*'()$,;:@/?",
        space: "+",
        lower_case: false,
    },
    // .NET's UrlEncode.
    Encoding {
        plain: b"-._!*()",
        space: "+",
        lower_case: true,
    },
];

/// Maximum number of queries. Each costs one check of a signature.
const MAX_QUERIES: usize = 48;

/// The queries that a sender may have sent for these parameters, the most likely one first.
pub(super) fn possible_queries(pairs: &[(&str, &str)]) -> Vec<String> {
    let mut sorted = pairs.to_vec();
    sorted.sort();
    let mut orders = vec![pairs.to_vec(), sorted];
    // The event groups the values of one name, so other orders are possible too.
    if let [one, other] = pairs {
        orders.push(vec![*other, *one]);
    }
    if let [a, b, c] = pairs {
        let rest = [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
        orders.extend(rest.map(|order| order.map(|pair| *pair).to_vec()));
    }
    // `?flag` and `?flag=` are the same parameter.
    let has_empty = pairs.iter().any(|(_, value)| value.is_empty());
    let equals_signs = match has_empty {
        true => &[true, false][..],
        false => &[true],
    };
    let mut queries: Vec<String> = Vec::new();
    for order in &orders {
        for encoding in &ENCODINGS {
            for always in equals_signs {
                let query = encoding.query(order, *always);
                if queries.len() < MAX_QUERIES && !queries.contains(&query) {
                    queries.push(query);
                }
            }
        }
    }
    queries
}

impl Encoding {
    /// The query; an empty value has an equals sign if `always` is true.
    fn query(&self, pairs: &[(&str, &str)], always: bool) -> String {
        let mut query = String::new();
        for (name, value) in pairs {
            if !query.is_empty() {
                query.push('&');
            }
            self.append(name, &mut query);
            if always || !value.is_empty() {
                query.push('=');
                self.append(value, &mut query);
            }
        }
        query
    }

    fn append(&self, text: &str, query: &mut String) {
        for byte in text.bytes() {
            // Writing to a string cannot fail.
            let _ = match byte {
                b' ' => query.write_str(self.space),
                _ if byte.is_ascii_alphanumeric() || self.plain.contains(&byte) => {
                    query.write_char(char::from(byte))
                }
                _ if self.lower_case => write!(query, "%{byte:02x}"),
                _ => write!(query, "%{byte:02X}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_of_common_libraries_are_tried() {
        let queries = possible_queries(&[("full name", "Zoé & co."), ("~t", "1:2/3")]);
        for sent in [
            "full+name=Zo%C3%A9+%26+co.&%7Et=1%3A2%2F3",
            "full%20name=Zo%C3%A9%20%26%20co.&~t=1%3A2%2F3",
            "full+name=Zo%C3%A9+%26+co.&~t=1%3A2%2F3",
            "full%20name=Zo%C3%A9%20%26%20co.&~t=1:2/3",
            "full+name=Zo%c3%a9+%26+co.&%7et=1%3a2%2f3",
            "~t=1:2/3&full%20name=Zo%C3%A9%20%26%20co.",
        ] {
            assert!(
                queries.iter().any(|query| query == sent),
                "{sent}: {queries:#?}"
            );
        }
        assert_eq!(possible_queries(&[("a", "1")]), ["a=1"]);
        assert_eq!(
            possible_queries(&[("b", "2"), ("a", "1")]),
            ["b=2&a=1", "a=1&b=2"]
        );
    }

    proptest! {
        #[test]
        fn queries_are_bounded_and_decode_to_the_same_pairs(
            pairs in proptest::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..6),
        ) {
            let given: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let queries = possible_queries(&given);
            prop_assert!(!queries.is_empty() && queries.len() <= MAX_QUERIES);
            let first = form_urlencoded::Serializer::new(String::new()).extend_pairs(&given).finish();
            prop_assert_eq!(&queries[0], &first);
            let mut expected = pairs.clone();
            expected.sort();
            expected.retain(|pair| pair != &(String::new(), String::new()));
            for query in queries {
                let mut decoded: Vec<(String, String)> =
                    form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                decoded.sort();
                decoded.retain(|pair| pair != &(String::new(), String::new()));
                prop_assert_eq!(&decoded, &expected, "{}", query);
            }
        }
    }
}

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::update::{Match, OnMany, OnNone};

fn value(text: &str) -> MatchValue {
    MatchValue::try_from(text.to_owned()).expect(text)
}

fn column(module: &str, field: &str) -> LookupField {
    LookupField {
        module: module.parse().expect(module),
        field: field.parse().expect(field),
    }
}

fn texts(column: &LookupField, values: &[&str]) -> Vec<String> {
    let values: Vec<MatchValue> = values.iter().map(|text| value(text)).collect();
    let requests = lookup_requests(column, &values);
    requests
        .into_iter()
        .map(|(request, _)| match request {
            LookupRequest::Query(query) => query.text(),
            LookupRequest::Search(search) => format!("{:?}", search.parameters()),
        })
        .collect()
}

fn wanted(values: &[&str], on_many: OnMany, on_none: OnNone) -> Match {
    Match {
        field: "Email".parse().expect("a field"),
        values: values.iter().map(|text| value(text)).collect(),
        on_many,
        on_none,
        create: Vec::new(),
    }
}

#[test]
fn query_has_documented_coql_form() {
    assert_eq!(
        texts(
            &column("Contacts", "Email"),
            &["a@x.com", "zoë@x.com", "a@x.com"]
        ),
        [
            "select id, Email from Contacts where Email in ('a@x.com','zoë@x.com') order by id asc limit 200"
        ]
    );
    assert_eq!(
        texts(&column("Leads", "Email"), &["a@x.com"]),
        [
            "select id, Email from Leads where ((Email in ('a@x.com')) and (Converted__s = 'false')) order by id asc limit 200"
        ]
    );
    assert_eq!(
        texts(&column("Deals", "id"), &["7"]),
        ["select id from Deals where id in ('7') order by id asc limit 200"]
    );
}

#[test]
fn next_query_starts_after_last_record_or_ends() {
    let values = [value("a")];
    let (request, _) = lookup_requests(&column("Deals", "Stage"), &values).remove(0);
    let rows = rows(
        &json!([{"id": "9", "Stage": "a"}, {"id": "12", "Stage": "a"}]),
        &"Stage".parse().expect("a field"),
    );
    let next = request.next(&rows).expect("more");
    let LookupRequest::Query(query) = &next else {
        panic!("{next:?}");
    };
    assert_eq!(
        query.text(),
        "select id, Stage from Deals where ((Stage in ('a')) and (id > '12')) order by id asc limit 2000"
    );
    assert_eq!(next.clone().next(&rows), None);
    assert_eq!(next.next(&[]), None);
}

#[test]
fn value_that_is_no_literal_is_searched() {
    let shown = texts(
        &column("Leads", "Email"),
        &["o'brien@x.com", r"a\b@x.com", "'; drop"],
    );
    assert!(
        shown[0].contains(r#"("email", "o'brien@x.com")"#),
        "{shown:?}"
    );
    assert!(shown[1].contains(r#"("email", "a\\b@x.com")"#), "{shown:?}");
    assert!(
        shown[2].contains(r#"("criteria", "(Email:equals:'; drop)")"#),
        "{shown:?}"
    );
    let values = [value(r"A (B), C\D")];
    let requests = lookup_requests(&column("Accounts", "Account_Name"), &values);
    let LookupRequest::Search(search) = &requests[0].0 else {
        panic!("{requests:?}");
    };
    assert_eq!(
        search.parameters()[0],
        (
            "criteria",
            r"(Account_Name:equals:A \(B\)\, C\\D)".to_owned()
        )
    );
    let long = "x".repeat(LITERAL_CHARS + 1);
    assert_eq!(Literal::of(&value(&long)), None);
    assert!(Literal::of(&value(&long[1..])).is_some());
}

#[test]
fn records_match_by_exact_value_only() {
    let mut hits = MatchIndex::default();
    let field = "Email".parse().expect("a field");
    hits.add(rows(
        &json!([
            {"id": "3", "Email": "Anna@Example.com"},
            {"id": 2, "Email": "anna@example.com"},
            {"id": "4", "Email": "not-anna@example.com"},
            {"id": "5", "Email": null},
            {"id": "6", "Email": ["anna@example.com"]},
            {"id": 7.5, "Email": "anna@example.com"},
            {"id": "x", "Email": "anna@example.com"},
            {"Email": "anna@example.com"},
        ]),
        &field,
    ));
    let values = ["ANNA@example.com", "bob@example.com", "anna@example.com"];
    let settled = settle(
        &wanted(&values, OnMany::UpdateAll, OnNone::Succeed),
        &hits,
        LetterCase::Exact,
    );
    let ids: Vec<String> = settled.ids.iter().map(ToString::to_string).collect();
    assert_eq!(
        (ids, settled.matched, settled.refusal),
        (vec!["2".to_owned(), "3".to_owned()], 2, None)
    );
    let field = "City".parse().expect("a field");
    let mut hits = MatchIndex::default();
    hits.add(rows(
        &json!([{"id": "1", "City": "Bonn"}, {"id": "2", "City": "bonn"}, {"id": "3", "City": 1200.0},
            {"id": "4", "City": 12}, {"id": "5", "City": {"name": "n", "id": "99"}}, {"id": "6", "City": true}]),
        &field,
    ));
    for (text, id) in [
        ("Bonn", "1"),
        ("1200", "3"),
        ("12", "4"),
        ("99", "5"),
        ("true", "6"),
    ] {
        let settled = settle(
            &wanted(&[text], OnMany::Fail, OnNone::Fail),
            &hits,
            LetterCase::Exact,
        );
        assert_eq!(settled.ids, [id.parse().expect(id)], "{text}");
        assert_eq!(settled.refusal, None);
    }
}

#[test]
fn refusal_for_one_value_contains_no_value() {
    let mut hits = MatchIndex::default();
    hits.add(rows(
        &json!([{"id": "1", "Email": "a@x.com"}, {"id": "2", "Email": "a@x.com"}, {"id": "3", "Email": "b@x.com"}]),
        &"Email".parse().expect("a field"),
    ));
    let values = ["a@x.com", "b@x.com", "secret@x.com"];
    for (on_many, on_none, code) in [
        (OnMany::UpdateAll, OnNone::Succeed, None),
        (OnMany::Fail, OnNone::Succeed, Some("MATCH_AMBIGUOUS")),
        (OnMany::UpdateAll, OnNone::Fail, Some("MATCH_NOT_FOUND")),
        (OnMany::Fail, OnNone::Fail, Some("MATCH_AMBIGUOUS")),
    ] {
        let settled = settle(&wanted(&values, on_many, on_none), &hits, LetterCase::Exact);
        assert_eq!((settled.matched, settled.ids.len()), (2, 3));
        let refusal = settled.refusal;
        assert_eq!(refusal.as_ref().map(|refusal| refusal.code.as_str()), code);
        if let Some(refusal) = refusal {
            assert!(
                refusal.message.starts_with("1 of 3 values of `Email`"),
                "{refusal}"
            );
            assert!(!refusal.to_string().contains("x.com"), "{refusal}");
            assert_eq!(
                refusal.cause().map(|cause| cause.row().code),
                code,
                "its advice comes from the table"
            );
        }
    }
}

#[test]
fn list_in_record_makes_field_unsuitable() {
    let field = "Email".parse().expect("a field");
    let lists = || rows(&json!([{"id": "1", "Email": ["a"]}]), &field);
    let code = |hits: &MatchIndex, modes| {
        let settled = settle(
            &wanted(&["a"], OnMany::UpdateAll, modes),
            hits,
            LetterCase::Exact,
        );
        settled.refusal.map(|refusal| refusal.code)
    };
    let mut first = MatchIndex::default();
    first.add(lists());
    let mut hits = MatchIndex::default();
    assert_eq!(code(&hits, OnNone::Succeed), None);
    hits.merge(first);
    for on_none in [OnNone::Succeed, OnNone::Fail] {
        let refused = code(&hits, on_none);
        assert_eq!(refused.as_deref(), Some("MATCH_FIELD_UNSUITABLE"));
    }
}

#[test]
fn values_without_record_are_listed() {
    let mut hits = MatchIndex::default();
    let row = |id: u64, text: &str| LookupRow {
        id: id.to_string().parse().expect("an id"),
        text: Some(text.to_owned()),
        list: false,
    };
    hits.add(vec![row(1, "Acme"), row(2, "acme")]);
    let mut other = MatchIndex::default();
    other.add(vec![row(3, "Beta")]);
    hits.merge(other);
    let values = ["ACME", "Acme", "beta", "Gamma"];
    let wanted = wanted(&values, OnMany::UpdateAll, OnNone::Create);
    let found = |letter_case| {
        let settled = settle(&wanted, &hits, letter_case);
        assert_eq!(settled.refusal, None);
        let missing: Vec<String> = settled.missing.iter().map(ToString::to_string).collect();
        (settled.ids.len(), missing)
    };
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found(LetterCase::Exact),
        (1, texts(&["ACME", "beta", "Gamma"]))
    );
    assert_eq!(found(LetterCase::Ignored), (3, texts(&["Gamma"])));
}

#[test]
fn too_many_searches_or_records_are_refused() {
    let odd: Vec<String> = (0..=MAX_SEARCHES).map(|n| format!("({n})")).collect();
    let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
    let all = wanted(&odd, OnMany::UpdateAll, OnNone::Succeed);
    assert_eq!(
        refuse(&all).map(|refusal| refusal.code),
        Some("MATCH_TOO_WIDE".to_owned())
    );
    let fewer = wanted(&odd[1..], OnMany::UpdateAll, OnNone::Succeed);
    assert_eq!(refuse(&fewer), None);
    let mut hits = MatchIndex::default();
    let row = |id: u64| LookupRow {
        id: id.to_string().parse().expect("an id"),
        text: Some("a".to_owned()),
        list: false,
    };
    hits.add((1..=50_000).map(row).collect());
    let one = wanted(&["a"], OnMany::UpdateAll, OnNone::Succeed);
    assert_eq!(settle(&one, &hits, LetterCase::Exact).refusal, None);
    hits.add(vec![row(50_001)]);
    let refusal = settle(&one, &hits, LetterCase::Exact)
        .refusal
        .expect("too many");
    assert_eq!(refusal.code, "MATCH_TOO_WIDE");
}

/// Splits a query into the texts between its quotes and the rest, without regard to escapes.
fn quoted(query: &str) -> (Vec<String>, String) {
    let parts: Vec<&str> = query.split('\'').collect();
    assert!(parts.len() % 2 == 1, "{query}");
    let inside = parts
        .iter()
        .skip(1)
        .step_by(2)
        .map(|text| (*text).to_owned());
    (inside.collect(), parts.iter().step_by(2).copied().collect())
}

proptest! {
    #[test]
    fn query_with_any_values_contains_only_its_literals(
        texts in prop::collection::vec("\\PC{1,120}|[a-z0-9@'\"\\\\(),;= ]{1,20}|[a-z0-9@. ]{1,20}", 1..130)
    ) {
        let values: Vec<MatchValue> = texts
            .iter()
            .filter_map(|text| MatchValue::try_from(text.clone()).ok())
            .collect();
        let mut answered = HashSet::new();
        for (request, of) in lookup_requests(&column("Contacts", "Email"), &values) {
            for value in &of {
                prop_assert!(answered.insert(*value), "requested twice");
            }
            match request {
                LookupRequest::Query(query) => {
                    prop_assert!(of.len() <= VALUES_PER_QUERY);
                    let (inside, outside) = quoted(&query.text());
                    let intended: Vec<&str> = of.iter().map(|value| value.as_str()).collect();
                    prop_assert_eq!(inside, intended);
                    let commas = ",".repeat(of.len() - 1);
                    prop_assert_eq!(outside, format!("select id, Email from Contacts where Email in ({commas}) order by id asc limit 200"));
                }
                LookupRequest::Search(search) => {
                    prop_assert_eq!(of.len(), 1);
                    prop_assert!(Literal::of(of[0]).is_none());
                    let (name, text) = search.parameters().remove(0);
                    let shown = match name {
                        "email" => text,
                        _ => {
                            let inner = text.strip_prefix("(Email:equals:").and_then(|text| text.strip_suffix(')'));
                            let mut chars = inner.expect("criteria").chars();
                            let mut plain = String::new();
                            while let Some(char) = chars.next() {
                                prop_assert!(!matches!(char, '(' | ')' | ','), "{}", text);
                                plain.extend(if char == '\\' { chars.next() } else { Some(char) });
                            }
                            plain
                        }
                    };
                    prop_assert_eq!(&shown, of[0].as_str());
                }
            }
        }
        let all: HashSet<&MatchValue> = values.iter().collect();
        prop_assert_eq!(answered, all);
    }
}

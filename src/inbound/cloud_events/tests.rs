use super::*;
use proptest::prelude::*;
use serde_json::json;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, value.parse().expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

const BINARY: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "A%20B-1"),
    ("ce-source", "/shop/%E2%82%AC"),
    ("ce-type", "order.paid"),
];

#[test]
fn binary_attributes_are_decoded() {
    let pairs = [
        &BINARY[..],
        &[("ce-comexampleext", "\"a \\\"b\\\"\""), ("x-other", "1")],
    ];
    let attributes = Attributes::of_headers(&headers(&pairs.concat())).expect("attributes");
    assert_eq!(attributes.delivery_id(), "/shop/€ A B-1");
    assert_eq!(attributes.as_map()["comexampleext"], "a \"b\"");
    assert_eq!(attributes.as_map().len(), 5);
}

#[test]
fn invalid_binary_attributes_are_named() {
    let error = |index: usize, pair: (&'static str, &'static str)| {
        let mut pairs = BINARY.to_vec();
        pairs[index] = pair;
        let read = Attributes::of_headers(&headers(&pairs));
        read.expect_err("refused").to_string()
    };
    insta::assert_snapshot!(error(0, ("ce-specversion", "0.3")), @"its `specversion` is `0.3`; only 1.0 is read");
    insta::assert_snapshot!(error(0, ("x", "1")), @"its attribute `specversion` is missing or empty");
    insta::assert_snapshot!(error(1, ("ce-id", "")), @"its attribute `id` is missing or empty");
    insta::assert_snapshot!(error(1, ("ce-id", "%ff")), @"its attribute `id` is not percent-encoded UTF-8, or repeated");
    insta::assert_snapshot!(error(2, ("ce-source", "a b")), @"its attribute `source` is not a URI");
    insta::assert_snapshot!(error(3, ("ce-my-type", "x")), @"its attribute `type` is missing or empty");
    let pairs = [&BINARY[..], &[("ce-my-ext", "x")]].concat();
    let read = Attributes::of_headers(&headers(&pairs));
    insta::assert_snapshot!(read.expect_err("refused"), @"`my-ext` is not a name of an attribute; names have lower-case letters and digits only");
    let pairs = [&BINARY[..], &[("ce-time", "yesterday")]].concat();
    let read = Attributes::of_headers(&headers(&pairs));
    insta::assert_snapshot!(read.expect_err("refused"), @"its attribute `time` is not a time in RFC 3339");
}

#[test]
fn mode_follows_headers() {
    let of = |pairs: &[(&str, &str)]| ContentMode::of(&headers(pairs)).map_err(|e| e.to_string());
    let structured = [(
        "content-type",
        "Application/CloudEvents+JSON; charset=utf-8",
    )];
    assert_eq!(of(&structured), Ok(ContentMode::Structured));
    assert_eq!(of(&BINARY), Ok(ContentMode::Binary));
    for (content_type, error) in [
        ("application/cloudevents-batch+json", "this is a batch"),
        ("application/cloudevents+xml", "the event format"),
        ("application/json", "it has neither"),
    ] {
        let found = of(&[("content-type", content_type)]).expect_err("refused");
        assert!(found.starts_with(error), "{found}");
    }
}

fn event(more: &Value) -> Result<StructuredEvent, CloudEventError> {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
    let more = more.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(more);
    StructuredEvent::read(event.to_string().as_bytes())
}

#[test]
fn structured_data_keeps_its_form() {
    let json_of = |more: &Value| match event(more).expect("an event").data {
        EventData::Json(document) => Ok(document.text().to_owned()),
        EventData::Bytes(bytes) => Err(String::from_utf8(bytes).expect("text")),
    };
    let big = r#"{"id":554023000000497007123}"#;
    let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{big}}}"#);
    let read = StructuredEvent::read(body.as_bytes()).expect("an event");
    assert!(matches!(read.data, EventData::Json(data) if data.text() == big));
    assert_eq!(json_of(&json!({})), Ok("null".to_owned()));
    assert_eq!(
        json_of(&json!({"data": "x", "datacontenttype": "text/plain"})),
        Ok("\"x\"".to_owned())
    );
    assert_eq!(
        json_of(&json!({"data": "{}", "datacontenttype": "application/json"})),
        Ok("\"{}\"".to_owned())
    );
    assert_eq!(
        json_of(&json!({"data": "<a/>", "datacontenttype": "application/xml"})),
        Err("<a/>".to_owned())
    );
    assert_eq!(
        json_of(&json!({"data_base64": "YQ=="})),
        Err("a".to_owned())
    );
    assert_eq!(
        json_of(&json!({"data": null, "data_base64": "YQ=="})),
        Err("a".to_owned())
    );
}

#[test]
fn structured_attributes_become_text() {
    let read = event(&json!({"sequence": 7, "flag": true, "none": null})).expect("an event");
    let attributes = read.attributes.as_map();
    assert_eq!(
        (attributes["sequence"].as_str(), attributes["flag"].as_str()),
        ("7", "true")
    );
    assert!(!attributes.contains_key("none"));
}

#[test]
fn invalid_structured_events_are_named() {
    let error = |more: &Value| event(more).expect_err("refused").to_string();
    insta::assert_snapshot!(error(&json!({"data": 1, "data_base64": "YQ=="})), @"it has both `data` and `data_base64`");
    insta::assert_snapshot!(error(&json!({"data_base64": "?"})), @"its `data_base64` is not a string in base64");
    insta::assert_snapshot!(error(&json!({"data_base64": 1})), @"its `data_base64` is not a string in base64");
    insta::assert_snapshot!(error(&json!({"ext": 1.5})), @"its attribute `ext` is neither a string nor a boolean nor a whole number");
    insta::assert_snapshot!(error(&json!({"Ext": "x"})), @"`Ext` is not a name of an attribute; names have lower-case letters and digits only");
    insta::assert_snapshot!(error(&json!({"id": 5, "source": ""})), @"its attribute `source` is missing or empty");
    let read = |text: &str| {
        StructuredEvent::read(text.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    insta::assert_snapshot!(read("[]"), @"it is not a JSON object");
}

proptest! {
    #[test]
    fn both_modes_have_the_same_attributes(
        id in "[!-~]{1,20}",
        source in "[!-~]{1,20}",
        subject in "\\PC{1,20}",
    ) {
        let encode = |text: &str| -> String {
            text.bytes().map(|byte| format!("%{byte:02X}")).collect()
        };
        let (encoded_id, encoded_source, encoded_subject) = (encode(&id), encode(&source), encode(&subject));
        let binary = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-type", "t"),
            ("ce-id", &encoded_id),
            ("ce-source", &encoded_source),
            ("ce-subject", &encoded_subject),
        ]);
        let binary = Attributes::of_headers(&binary).expect("attributes");
        let structured = event(&json!({"id": id, "source": source, "subject": subject})).expect("an event");
        prop_assert_eq!(binary, structured.attributes);
    }
}

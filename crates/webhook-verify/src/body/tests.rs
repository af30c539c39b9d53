//! Tests of decoding bodies.

use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Maximum elements and attributes of an XML document.
const MAX_XML_NODES: usize = 50_000;

fn form(text: &str) -> Result<Value, BodyError> {
    match decode(Some("application/x-www-form-urlencoded"), text.as_bytes())? {
        Body::Tree(tree) => Ok(tree),
        Body::Json(_) => panic!("not a form"),
    }
}

#[test]
fn json_is_decoded_under_every_content_type() {
    let body = b" {\"a\":1}";
    for content_type in [
        None,
        Some(""),
        Some("application/json"),
        Some("Application/JSON; Charset=\"UTF-8\""),
        Some("application/vnd.api+json"),
        Some("application/cloudevents+json; charset=utf-8"),
        Some("text/json"),
        Some("text/plain; charset=UTF-8"),
    ] {
        assert_eq!(
            decode(content_type, body),
            Ok(Body::Json(body)),
            "{content_type:?}"
        );
    }
    assert_eq!(decode(None, b"\xEF\xBB\xBF[]"), Ok(Body::Json(b"[]")));
    for content_type in [None, Some("text/xml"), Some("application/json")] {
        assert_eq!(decode(content_type, b""), Ok(Body::Tree(json!({}))));
    }
}

#[test]
fn unsupported_body_is_reported() {
    let error =
        |content_type, body: &[u8]| decode(content_type, body).expect_err("refused").to_string();
    insta::assert_snapshot!(error(Some("image/png"), b"<a/>"), @"content type `image/png` is not supported; supported: application/json (and other types that end in +json), application/x-www-form-urlencoded, multipart/form-data, application/xml (and other types that end in +xml)");
    insta::assert_snapshot!(error(Some("text/plain"), b"hello"), @"content type `text/plain` is not supported; supported: application/json (and other types that end in +json), application/x-www-form-urlencoded, multipart/form-data, application/xml (and other types that end in +xml)");
    insta::assert_snapshot!(error(None, b"a=b"), @"no content type is given, and the body does not look like JSON");
    insta::assert_snapshot!(error(Some("application/json; charset=iso-8859-1"), b"{}"), @"charset `iso-8859-1` is not supported; send UTF-8");
    insta::assert_snapshot!(error(Some("application/json"), b"{\"\xFF\"}"), @"the body is not UTF-8 text; text in Windows-1252 needs that charset in its content type");
    insta::assert_snapshot!(error(Some("application/x-www-form-urlencoded"), b"a=%FF"), @"the body is not UTF-8 text; text in Windows-1252 needs that charset in its content type");
    insta::assert_snapshot!(error(Some("application/x-www-form-urlencoded"), b"a=1&a[b]=2"), @"form key `a[b]` is used both as a field and as a group of fields");
    assert_eq!(form("a[b]=2&a=1"), Err(BodyError::Conflict("a".to_owned())));
}

#[test]
fn form_becomes_a_tree() {
    assert_eq!(
        form(
            "type=subscribe&data[merges][FNAME]=Ann+Lee&data%5Bmerges%5D%5BLNAME%5D=%C3%84&data[id]=7&none&=x\r\n"
        ),
        Ok(json!({
            "type": "subscribe",
            "data": {"merges": {"FNAME": "Ann Lee", "LNAME": "Ä"}, "id": "7"},
            "none": "",
            "": "x",
        }))
    );
    assert_eq!(
        form("a=1&a=2&a=3&b[]=1&c=1&c[]=2&d[][x]=1&d[][x]=2&e[0][id]=5&f[g][]=1&f[g][]=2"),
        Ok(json!({
            "a": ["1", "2", "3"], "b": ["1"], "c": ["1", "2"], "d": [{"x": "1"}, {"x": "2"}],
            "e": {"0": {"id": "5"}}, "f": {"g": ["1", "2"]},
        }))
    );
    assert_eq!(
        form("a[=1&b]=2&c[x]y=3&[d]=4&e[[f]]=5&100%=6"),
        Ok(json!({"a[": "1", "b]": "2", "c[x]y": "3", "[d]": "4", "e[[f]]": "5", "100%": "6"}))
    );
    assert_eq!(
        form("payload=%7B%22a%22%3A1%7D"),
        Ok(json!({"payload": "{\"a\":1}"}))
    );
}

#[test]
fn form_size_and_depth_are_limited() {
    let pairs = |count: usize| "a&".repeat(count);
    assert!(form(&pairs(MAX_PAIRS)).is_ok());
    assert_eq!(form(&pairs(MAX_PAIRS + 1)), Err(BodyError::TooManyPairs));
    assert!(form(&format!("a{}=1", "[b]".repeat(MAX_DEPTH - 1))).is_ok());
    assert_eq!(
        form(&format!("a{}=1", "[b]".repeat(100_000))),
        Err(BodyError::TooDeep)
    );
}

fn tree(content_type: &str, body: &[u8]) -> Result<Value, BodyError> {
    match decode(Some(content_type), body)? {
        Body::Tree(tree) => Ok(tree),
        Body::Json(_) => panic!("not a tree"),
    }
}

fn vector(name: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(root.join("tests/vectors").join(name)).expect("a body")
}

#[test]
fn multipart_form_becomes_a_tree() {
    let content_type = "multipart/form-data; boundary=------------------------b6726c32637fdf4e";
    let body = vector("jotform/body.txt");
    let found = tree(content_type, &body).expect("a tree");
    assert!(found["submissionID"].is_string());
    assert!(serde_json::from_str::<Value>(found["rawRequest"].as_str().expect("text")).is_ok());

    let body = "--X\r\nContent-Disposition: form-data; name=\"a[b]\"\r\n\r\n1\r\n\
                --X\r\nContent-Disposition: form-data; name=\"cv\"; filename=\"cv.pdf\"\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n\
                --X--\r\n";
    let content_type = "Multipart/Form-Data; boundary=\"X\"";
    assert_eq!(
        tree(content_type, body.as_bytes()),
        Ok(json!({
            "a": {"b": "1"},
            "$files": [{"name": "cv", "filename": "cv.pdf", "content_type": "application/pdf", "bytes": 4}],
        }))
    );
    let cut = &body.as_bytes()[..body.len() - 8];
    assert!(matches!(
        tree(content_type, cut),
        Err(BodyError::Multipart(_))
    ));
    assert!(matches!(
        tree("multipart/form-data", b"x"),
        Err(BodyError::Multipart(_))
    ));
    let latin = b"--X\r\nContent-Disposition: form-data; name=\"n\"\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nJos\xE9\r\n--X--\r\n";
    assert_eq!(tree(content_type, latin), Ok(json!({"n": "José"})));
    let part = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    let many = format!("{}--X--\r\n", part.repeat(1_001));
    assert_eq!(
        tree(content_type, many.as_bytes()),
        Err(BodyError::TooManyParts)
    );
}

/// Decodes a multipart form of these parts, with CR LF line ends.
fn multipart(content_type: &str, boundary: &str, parts: &[&str]) -> Result<Value, BodyError> {
    let mut body = String::new();
    for part in parts {
        body.push_str(&format!("--{boundary}\r\n{part}\r\n"));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    tree(content_type, body.as_bytes())
}

#[test]
fn boundary_is_read_as_senders_write_it() {
    let part = "Content-Disposition: form-data; name=\"a\"\r\n\r\n1";
    for (content_type, boundary) in [
        // React Native on iOS.
        (
            "multipart/form-data; boundary=Qs/3=a:b?c'd(e)f+g,h.i_j-k",
            "Qs/3=a:b?c'd(e)f+g,h.i_j-k",
        ),
        // .NET quotes, and may send a charset.
        (
            "multipart/form-data; boundary=\"7d1f:a b\"; charset=utf-8",
            "7d1f:a b",
        ),
        ("multipart/form-data;charset=utf-8;boundary=X", "X"),
        ("Multipart/Form-Data; BOUNDARY = X ; x=y", "X"),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk",
            "----WebKitFormBoundary7MA4YWxk",
        ),
        // A sender that sets the header itself forgets it.
        ("multipart/form-data", "----x"),
        ("multipart/form-data; boundary=", "X"),
    ] {
        let found = multipart(content_type, boundary, &[part]);
        assert_eq!(found, Ok(json!({"a": "1"})), "{content_type}");
    }
    for (content_type, body) in [
        ("multipart/form-data; boundary=Y", "--X\r\n\r\n--X--"),
        ("multipart/form-data", "a=1"),
    ] {
        let found = tree(content_type, body.as_bytes());
        assert!(matches!(found, Err(BodyError::Multipart(_))), "{body}");
    }
}

#[test]
fn lines_around_parts_may_vary() {
    let content_type = "multipart/form-data; boundary=X";
    let expected = Ok(json!({"a": "1\n2", "b": ""}));
    let head = |name: &str| format!("content-disposition:form-data;name={name}");
    let (a, b) = (head("a"), head("b"));
    for body in [
        format!("--X\n{a}\n\n1\n2\n--X\n{b}\n\n\n--X--"),
        format!(
            "preamble\r\n--X \r\n{a}\r\n\r\n1\n2\r\n--X\t\r\n{b}\r\n\r\n\r\n--X--\r\nepilogue\r\n--X\r\n"
        ),
        // The last boundary lacks its hyphens.
        format!("--X\r\n{a}\r\n\r\n1\n2\r\n--X\r\n{b}\r\n\r\n\r\n--X\r\n"),
    ] {
        assert_eq!(tree(content_type, body.as_bytes()), expected, "{body:?}");
    }
    assert_eq!(tree(content_type, b"--X--\r\n"), Ok(json!({})));
    // A longer line that begins with the boundary is content.
    let inside = format!("--X\r\n{a}\r\n\r\n--XY\r\n --X\r\n--X--\r\n");
    assert_eq!(
        tree(content_type, inside.as_bytes()),
        Ok(json!({"a": "--XY\r\n --X"}))
    );
}

#[test]
fn unreadable_part_does_not_affect_others() {
    let content_type = "multipart/form-data; boundary=X";
    let good = "Content-Disposition: form-data; name=\"good\"\r\n\r\nyes";
    let files = |part: &str| {
        let found = multipart(content_type, "X", &[part, good]).expect(part);
        assert_eq!(found["good"], "yes", "{part}");
        found["$files"].clone()
    };
    assert_eq!(
        files(
            "Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%C3%A4.png\r\nContent-Type: image/png\r\n\r\nPNG"
        ),
        json!([{"name": "f", "filename": "ä.png", "content_type": "image/png", "bytes": 3}])
    );
    assert_eq!(
        files(
            "Content-Disposition: form-data; name=\"f\"; filename=\"a.png\"; filename*=UTF-8''%FF\r\n\r\nPNG"
        ),
        json!([{"name": "f", "filename": "a.png", "content_type": null, "bytes": 3}])
    );
    assert_eq!(
        files("Content-Disposition: form-data\r\n\r\nx"),
        json!([{"name": null, "filename": null, "content_type": null, "bytes": 1, "problem": "it has no name"}])
    );
    assert_eq!(
        files(
            "Content-Disposition: form-data; name=\"c\"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nx"
        ),
        json!([{"name": "c", "filename": null, "content_type": "text/plain; charset=utf-7", "bytes": 1, "problem": "charset `utf-7` is not supported; send UTF-8"}])
    );
    assert_eq!(
        files(
            "Content-Disposition: form-data; name=\"e\"\r\nContent-Transfer-Encoding: base64\r\n\r\n!"
        ),
        json!([{"name": "e", "filename": null, "content_type": null, "bytes": 1, "problem": "it is not base64"}])
    );
    assert_eq!(
        files("no headers"),
        json!([{"name": null, "filename": null, "content_type": null, "bytes": 10, "problem": "it has no empty line after its headers, or too long headers"}])
    );
    // A binary part without a file name.
    let mut body = b"--X\r\nContent-Disposition: form-data; name=\"blob\"\r\nContent-Type: application/octet-stream\r\n\r\n\xFF\xFE\x00\r\n".to_vec();
    body.extend_from_slice(format!("--X\r\n{good}\r\n--X--").as_bytes());
    let found = tree(content_type, &body).expect("a tree");
    assert_eq!(found["good"], "yes");
    assert_eq!(
        part_problems(&found),
        [
            "part `blob` is not a field: it is not UTF-8 text; text in Windows-1252 needs that charset in its content type"
        ]
    );
}

#[test]
fn part_text_is_decoded_by_its_own_headers() {
    let content_type = "multipart/form-data; boundary=X";
    let part = |head: &str, text: &[u8]| {
        let mut part =
            format!("--X\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes();
        part.extend_from_slice(text);
        part.extend_from_slice(b"\r\n");
        part
    };
    let body = |parts: &[Vec<u8>]| [parts.concat(), b"--X--\r\n".to_vec()].concat();
    // SendGrid's inbound parse names the charsets in a field.
    let sendgrid = body(&[
        part("name=\"text\"", b"Jos\xE9"),
        part("name=\"subject\"", "Ä".as_bytes()),
        part("name=\"html\"", b"\x1b$B$\"\x1b(B"),
        part(
            "name=\"charsets\"",
            br#"{"text":"iso-8859-1","subject":"UTF-8","html":"iso-2022-jp"}"#,
        ),
    ]);
    let found = tree(content_type, &sendgrid).expect("a tree");
    assert_eq!(
        (&found["text"], &found["subject"], &found["html"]),
        (&json!("José"), &json!("Ä"), &json!("あ"))
    );
    let named = body(&[
        part("name=_charset_", b"windows-1252"),
        part("name=a", b"\x80"),
    ]);
    assert_eq!(tree(content_type, &named).expect("a tree")["a"], "€");
    let encoded = body(&[
        part(
            "name=a\r\nContent-Transfer-Encoding: BASE64",
            b"SGVs\r\nbG8",
        ),
        part(
            "name=b\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=latin1",
            b"Jos=E9=\r\n =3D=zz",
        ),
        part(
            "name=c\r\nContent-Transfer-Encoding: 8bit\r\nContent-Type: application/json",
            b"{}",
        ),
        part("name*=UTF-8''d%20e", b"1"),
        part("name=f;\r\n filename=\"\"", b""),
        part("name=\"g\"", b"1"),
        part("name=\"g\"", b"2"),
    ]);
    assert_eq!(
        tree(content_type, &encoded),
        Ok(json!({
            "a": "Hello", "b": "José ==zz", "c": "{}", "d e": "1", "g": ["1", "2"],
            "$files": [{"name": "f", "filename": "", "content_type": null, "bytes": 0}],
        }))
    );
}

#[test]
fn xml_becomes_a_tree() {
    assert_eq!(
        tree("text/xml; charset=utf-8", b"<?xml version=\"1.0\"?><!-- x --><a x=\"1 &lt;\"> <b>1</b><b y='2'>t&amp;&#65;<![CDATA[<z>]]></b><c/> tail </a>"),
        Ok(json!({"a": {"@x": "1 <", "b": ["1", {"@y": "2", "#text": "t&A<z>"}], "c": "", "#text": "tail"}}))
    );
    let soap = tree("text/xml", &vector("salesforce-outbound/body.txt")).expect("a tree");
    assert!(
        soap.as_object()
            .is_some_and(|root| root.keys().any(|key| key.ends_with(":Envelope")))
    );
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><n>Jos\xE9</n>";
    assert_eq!(
        tree("application/soap+xml", latin),
        Ok(json!({"n": "José"}))
    );
    let error = |text: &str| {
        tree("text/xml", text.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    insta::assert_snapshot!(error("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), @"the XML has a document type declaration; send it without");
    insta::assert_snapshot!(error("<a>&b;</a>"), @"the body is not XML: entity `b` is not known");
    insta::assert_snapshot!(error("<a/><b/>"), @"the body is not XML: it has more than one root element");
    insta::assert_snapshot!(error("<a><b></b>"), @"the body is not XML: it ends in the middle");
    insta::assert_snapshot!(error(" "), @"the body is not XML: it has no element");
    for text in ["<a></b>", "<a", "<a>&</a>", "x", "<a b=1/>", "</a>"] {
        assert!(
            matches!(tree("text/xml", text.as_bytes()), Err(BodyError::Xml(_))),
            "{text}"
        );
    }
    assert_eq!(
        tree("text/xml", "<a>".repeat(100_000).as_bytes()),
        Err(BodyError::ElementsTooDeep)
    );
    let wide_element = |attributes: usize| {
        let names: String = (0..attributes)
            .map(|index| format!(" a{index}=''"))
            .collect();
        tree("text/xml", format!("<a{names}/>").as_bytes())
    };
    assert!(wide_element(MAX_XML_NODES - 1).is_ok());
    assert_eq!(wide_element(MAX_XML_NODES), Err(BodyError::TooManyNodes));
    assert_eq!(
        tree("text/xml", b"<a b='1' c='2' b='3'/>"),
        Err(BodyError::Xml("attribute `b` is repeated".to_owned()))
    );
    // Some .NET programs declare UTF-16 and send UTF-8.
    let declared = "<?xml version=\"1.0\" encoding=\"utf-16\"?><n>José</n>";
    assert_eq!(
        tree("text/xml", declared.as_bytes()),
        Ok(json!({"n": "José"}))
    );
    let wide = format!("<a>{}</a>", "<b/>".repeat(50_000));
    assert_eq!(
        tree("text/xml", wide.as_bytes()),
        Err(BodyError::TooManyNodes)
    );
}

#[test]
fn charset_is_converted_to_utf8() {
    let json = b"{\"n\":\"Jos\xE9\"}";
    for charset in ["iso-8859-1", "Windows-1252", "latin1"] {
        let content_type = format!("application/json; charset={charset}");
        let unpacked = unpack(Some(&content_type), None, json, 1_000).expect("unpacked");
        assert_eq!(
            unpacked.decode(),
            Ok(Body::Json("{\"n\":\"José\"}".as_bytes()))
        );
    }
    assert_eq!(
        tree(
            "application/x-www-form-urlencoded; charset=ISO-8859-1",
            b"n=Jos%E9+\xE9"
        ),
        Ok(json!({"n": "José é"}))
    );
    assert_eq!(
        unpack(Some("application/json; charset=utf-7"), None, json, 1_000),
        Err(BodyError::Charset("utf-7".to_owned()))
    );
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).expect("written");
    encoder.finish().expect("compressed")
}

#[test]
fn content_encoding_is_decoded_up_to_the_limit() {
    let body = b"{\"a\":1}";
    let packed = gzipped(body);
    for coding in ["gzip", "X-GZIP", "identity, gzip"] {
        let unpacked =
            unpack(Some("application/json"), Some(coding), &packed, 100).expect("unpacked");
        assert_eq!(unpacked.decode(), Ok(Body::Json(body)));
    }
    use std::io::Write;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(body).expect("written");
    let zlib = zlib.finish().expect("compressed");
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw.write_all(body).expect("written");
    let raw = raw.finish().expect("compressed");
    for packed in [&zlib, &raw] {
        let unpacked = unpack(None, Some("deflate"), packed, 100).expect("unpacked");
        assert_eq!(&unpacked.bytes[..], body);
    }
    let bomb = gzipped(&vec![b' '; 50_000_000]);
    assert_eq!(
        unpack(None, Some("gzip"), &bomb, 1_000_000),
        Err(BodyError::TooLarge { limit: 1_000_000 })
    );
    assert_eq!(
        unpack(None, Some("gzip"), &packed[..10], 100),
        Err(BodyError::Corrupt)
    );
    assert_eq!(
        unpack(None, Some("br"), body, 100),
        Err(BodyError::ContentEncoding("br".to_owned()))
    );
    assert!(matches!(
        unpack(None, Some("gzip, gzip"), body, 100),
        Err(BodyError::ContentEncoding(_))
    ));
    assert_eq!(
        unpack(None, None, body, 6),
        Err(BodyError::TooLarge { limit: 6 })
    );
    assert_eq!(
        unpack(None, Some("gzip"), b"", 6)
            .expect("unpacked")
            .decode(),
        Ok(Body::Tree(json!({})))
    );
}

/// A content type for each format.
const CONTENT_TYPES: [&str; 6] = [
    "application/json; charset=latin1",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=windows-1252",
    "multipart/form-data; boundary=X",
    "text/xml",
    "text/plain",
];

proptest! {
    #[test]
    fn arbitrary_xml_does_not_panic(text in "(<a>|</a>|<b c='1'|/>|>|&lt;|&#x41;|&|<!\\[CDATA\\[|\\]\\]>|<!--|-->|<!DOCTYPE a>|<\\?xml encoding='latin1'\\?>|x| ){0,40}") {
        let _ = tree("text/xml", text.as_bytes());
    }

    #[test]
    fn arbitrary_multipart_form_does_not_panic(text in "(--X|--X--|\r\n|Content-Disposition: form-data; |name=\"a\"|name=\"b\\[\\]\"|filename=\"f\"|filename\\*=UTF-8''%41|Content-Type: text/plain; charset=latin1|Content-Transfer-Encoding: base64|charsets|x|;|\n){0,40}") {
        let _ = tree("multipart/form-data; boundary=X", text.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(body: Vec<u8>, content_type: Option<String>) {
        let _ = decode(content_type.as_deref(), &body);
        for kind in CONTENT_TYPES {
            let _ = decode(Some(kind), &body);
            let _ = fields(Some(kind), &body);
            for coding in [None, Some("gzip"), Some("deflate")] {
                let _ = unpack(Some(kind), coding, &body, 100_000).map(|body| body.decode().is_ok());
            }
        }
    }

    #[test]
    fn arbitrary_form_does_not_panic(text in "([ab]|\\[|\\]|=|&|%|\\+|4|1){0,60}") {
        let _ = form(&text);
    }

    #[test]
    fn form_fields_round_trip(fields in prop::collection::btree_map("[^\\[\\]]{1,20}", ".{0,40}", 1..10)) {
        let text: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let expected: Map<String, Value> = fields.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
        prop_assert_eq!(form(&text), Ok(Value::Object(expected)));
    }
}

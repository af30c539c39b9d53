//! The path of a hook and the URL that its sender signs, in the server and in the Lambda program.

use hmac::{Hmac, KeyInit, Mac};

use crate::harness::{Request, ServerAndLambda};

const KEY: &str = "key-of-the-public-urls";

/// A route for each way to write a URL. `KEY` is the location of the key.
const ROUTES: &str = r#"
  plain: { public_url: "https://hooks.example.com/hooks/plain", verify: $VERIFY, map: empty }
  slash: { public_url: "https://hooks.example.com/hooks/slash/", verify: $VERIFY, map: empty }
  port: { public_url: "HTTPS://Hooks.Example.COM:443/hooks/port", verify: $VERIFY, map: empty }
  query: { public_url: "https://hooks.example.com/hooks/query?tenant=a%20b", verify: $VERIFY, map: empty }
  open: { verify: { scheme: none }, map: empty }
"#;

const VERIFY: &str = r#"{ scheme: custom, secret: KEY, type: hmac, algorithm: sha256, signature: { header: X-Sig, encoding: hex }, signed: "{url}{body}" }"#;

async fn start_both() -> (ServerAndLambda, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, KEY).expect("written");
    let verify = VERIFY.replace("KEY", &format!("'file:{}'", path.display()));
    let routes = ROUTES.replace("$VERIFY", &verify);
    let both = ServerAndLambda::start(routes.trim_start_matches('\n')).await;
    (both, folder)
}

/// A delivery whose sender signs this URL.
fn signed(target: &str, url: &str) -> Request {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.update(url.as_bytes());
    mac.update(b"{}");
    let signature = hex::encode(mac.finalize().into_bytes());
    Request::json(target, "{}").with("x-sig", signature)
}

#[tokio::test]
async fn url_is_signed_as_it_is_registered() {
    let (both, _folder) = start_both().await;
    let host = "https://hooks.example.com";
    let own = format!("{host}/hooks/query?tenant=a%20b");
    for (target, url, status) in [
        ("/hooks/plain", format!("{host}/hooks/plain"), 200),
        ("/hooks/plain?a=1", format!("{host}/hooks/plain?a=1"), 200),
        ("/hooks/plain?a=1", format!("{host}/hooks/plain"), 401),
        (
            "/hooks/plain/b%2Fc",
            format!("{host}/hooks/plain/b%2Fc"),
            200,
        ),
        ("/hooks/plain", format!("{host}/hooks/plain/"), 401),
        ("/hooks/slash/", format!("{host}/hooks/slash/"), 200),
        ("/hooks/slash", format!("{host}/hooks/slash/"), 200),
        ("/hooks/slash/", format!("{host}/hooks/slash"), 401),
        (
            "/hooks/port",
            "HTTPS://Hooks.Example.COM:443/hooks/port".to_owned(),
            200,
        ),
        ("/hooks/port", format!("{host}/hooks/port"), 401),
        ("/hooks/query?tenant=a%20b", own.clone(), 200),
        ("/hooks/query?tenant=a+b", own.clone(), 200),
        ("/hooks/query", own.clone(), 200),
        ("/hooks/query?tenant=a%20b&x=1", format!("{own}&x=1"), 200),
        ("/hooks/query?tenant=a%20b&x=1", own.clone(), 401),
        (
            "/hooks/query?tenant=a%20b",
            format!("{own}&tenant=a%20b"),
            401,
        ),
    ] {
        for answer in both.send(&signed(target, &url)).await {
            let accepted = if status == 200 {
                answer.status / 100 == 2
            } else {
                answer.status == status
            };
            assert!(accepted, "{target} signed as {url}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn almost_right_path_is_accepted_or_explained() {
    let (both, _folder) = start_both().await;
    for (target, status, text) in [
        ("/hooks/open/", 200, "jobs"),
        ("/hooks/open//", 200, "jobs"),
        ("/hooks/%6Fpen", 200, "jobs"),
        ("/hooks//open", 404, "two slashes in a row"),
        ("/Hooks/open", 404, "paths are case-sensitive"),
        ("/hooks/open%20", 404, "does the URL end in a space"),
        ("/hooks/", 404, "hooks are at /hooks/{route}"),
        (
            "/hooks/open1",
            404,
            "there is no route `open1` in the config\"",
        ),
        ("/hooks/%FF", 400, "path_invalid"),
    ] {
        for answer in both.send(&Request::json(target, "{}")).await {
            let accepted = if status == 200 {
                answer.status / 100 == 2
            } else {
                answer.status == status
            };
            assert!(
                accepted && answer.text.contains(text),
                "{target}: {answer:?}"
            );
        }
    }
    // Similar names are for the operator, not for strangers.
    assert!(
        both.served
            .log()
            .contains("the most similar route is `open`")
    );
}

use super::*;
use http::{HeaderValue, Method};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Instant;

/// Starts a local server that answers every connection with `answer` after `delay` and closes it. Returns its port and the
/// requests that it receives.
fn server(answer: impl Into<Vec<u8>>, delay: Duration) -> (u16, mpsc::Receiver<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or_default();
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if sender.send(request).is_err() {
                return;
            }
            std::thread::sleep(delay);
            let _ = stream.write_all(&answer);
        }
    });
    (port, requests)
}

fn local() -> Http {
    Http::new(HttpSettings {
        allow_loopback: true,
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_millis(500),
        ..HttpSettings::default()
    })
}

fn get(url: &str) -> HttpRequest {
    HttpRequest::get(url.parse().expect("a URL"))
}

fn get_directly(url: &str) -> http::Request<Bytes> {
    let request = http::Request::get(url).body(Bytes::new());
    request.expect("a request")
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn request_is_sent_unchanged() {
    let (port, requests) = server(ok("hello"), Duration::ZERO);
    let url = format!("http://127.0.0.1:{port}/a%20b?c=d");
    let url = url.parse().expect("a URL");
    let mut request = HttpRequest::new(Method::POST, url, Bytes::from_static(b"body"));
    let value = HeaderValue::from_static("1");
    request.headers.insert("x-test", value);
    let answer = local()
        .send(request, BodyLimit::Refuse(5))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(&answer.body()[..], b"hello");
    let received = requests.recv().expect("a request");
    assert!(
        received.starts_with("POST /a%20b?c=d HTTP/1.1\r\n"),
        "{received}"
    );
    assert!(
        received.contains("x-test: 1\r\n") && received.ends_with("\r\n\r\nbody"),
        "{received}"
    );
    assert!(
        received.contains(&format!("user-agent: {USER_AGENT}\r\n")),
        "{received}"
    );
}

#[tokio::test]
async fn gzip_is_decoded_only_if_requested() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&[b'x'; 5000]).expect("encoded");
    let body = encoder.finish().expect("encoded");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let (port, requests) = server([head.into_bytes(), body.clone()].concat(), Duration::ZERO);
    let url = format!("http://127.0.0.1:{port}/");
    let gzip = || get(&url).accept_gzip();
    let decoded = local().send(gzip(), BodyLimit::Refuse(5000)).await;
    assert_eq!(decoded.expect("an answer").body().len(), 5000);
    let too_large = local().send(gzip(), BodyLimit::Refuse(4999)).await;
    assert!(matches!(too_large, Err(SendError::TooLarge { .. })));
    let plain = local().send(get(&url), BodyLimit::Refuse(5000)).await;
    assert_eq!(plain.expect("an answer").body(), &body);
    let received: Vec<String> = requests.try_iter().collect();
    let asks = |request: &&String| request.contains("accept-encoding: gzip");
    assert_eq!(received.iter().filter(asks).count(), 2, "{received:?}");
}

#[tokio::test]
async fn redirect_is_returned_not_followed() {
    let (port, requests) = server(
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Duration::ZERO,
    );
    let url = format!("http://127.0.0.1:{port}/");
    let answer = local()
        .send(get(&url), BodyLimit::Refuse(0))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 302);
    assert_eq!(requests.try_iter().count(), 1);
}

#[tokio::test]
async fn body_over_limit_is_refused_or_truncated() {
    let (port, _requests) = server(ok(&"x".repeat(100_000)), Duration::ZERO);
    let url = format!("http://127.0.0.1:{port}/");
    let error = local()
        .send(get(&url), BodyLimit::Refuse(99_999))
        .await
        .expect_err("too large");
    assert!(
        matches!(error, SendError::TooLarge { limit: 99_999, .. }),
        "{error:?}"
    );
    let cut = local()
        .send(get(&url), BodyLimit::Truncate(10))
        .await
        .expect("an answer");
    assert_eq!(
        (cut.body().len(), cut.extensions().get()),
        (10, Some(&Truncated))
    );
    let whole = local()
        .send(get(&url), BodyLimit::Truncate(100_000))
        .await
        .expect("an answer");
    assert_eq!(
        (whole.body().len(), whole.extensions().get::<Truncated>()),
        (100_000, None)
    );
}

#[tokio::test]
async fn slow_response_times_out() {
    let (port, _requests) = server(ok(""), Duration::from_secs(5));
    let started = Instant::now();
    let url = format!("http://127.0.0.1:{port}/?secret=1");
    let error = local()
        .send(get(&url), BodyLimit::Refuse(9))
        .await
        .expect_err("a timeout");
    assert!(matches!(error, SendError::Timeout { .. }), "{error:?}");
    assert!(!error.nothing_was_sent());
    assert_eq!(error.to_string(), "127.0.0.1 did not answer within 0.5 s");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn too_long_url_is_refused_for_good() {
    let url = format!("https://example.com/{}", "long".repeat(20_000));
    let error = local().send(get(&url), BodyLimit::Refuse(9)).await;
    let error = error.expect_err("refused");
    insta::assert_snapshot!(error, @"example.com was not called: it is too long, or has a character that HTTP does not allow");
    assert!(matches!(error, SendError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn this_machine_is_refused_unless_allowed() {
    let (port, requests) = server(ok(""), Duration::ZERO);
    let client = |trusted: &[&str]| {
        Http::new(HttpSettings {
            trusted_hosts: trusted.iter().map(ToString::to_string).collect(),
            ..HttpSettings::default()
        })
    };
    for url in [
        format!("http://localhost:{port}/"),
        format!("https://localhost:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        "https://10.0.0.1/".to_owned(),
        "https://user:pw@example.com/".to_owned(),
    ] {
        let error = client(&[])
            .send(get(&url), BodyLimit::Refuse(9))
            .await
            .expect_err("refused");
        assert!(
            matches!(error, SendError::Refused { .. }),
            "{url} {error:?}"
        );
        assert!(
            error.nothing_was_sent() && !error.to_string().contains("pw"),
            "{error}"
        );
    }
    assert_eq!(requests.try_iter().count(), 0);
    for url in [
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1:{port}/"),
    ] {
        let trusting = client(&["localhost", "127.0.0.1"]);
        assert!(
            trusting.send(get(&url), BodyLimit::Refuse(9)).await.is_ok(),
            "{url}"
        );
        assert!(
            local().send(get(&url), BodyLimit::Refuse(9)).await.is_ok(),
            "{url}"
        );
    }
    let other = client(&["localhost"])
        .send(
            get(&format!("http://127.0.0.1:{port}/")),
            BodyLimit::Refuse(9),
        )
        .await;
    assert!(matches!(other, Err(SendError::Refused { .. })), "{other:?}");
}

#[test]
fn private_address_is_admitted_for_container_host_only() {
    let settings = |allow_loopback, trusted: &[&str]| HttpSettings {
        allow_loopback,
        trusted_hosts: trusted.iter().map(ToString::to_string).collect(),
        ..HttpSettings::default()
    };
    let is_admitted = |settings: &HttpSettings, host: &str, address: &str| {
        let address = address.parse().expect("an address");
        settings.policy(host).check_address(address).is_ok()
    };
    for container in [
        settings(true, &[]),
        settings(false, &["host.docker.internal"]),
    ] {
        for address in ["172.17.0.1", "fdc4:f303:9324::254"] {
            assert!(is_admitted(&container, "host.docker.internal", address));
            assert!(
                !is_admitted(&container, "crm.example.com", address),
                "{address}"
            );
        }
        for address in ["169.254.169.254", "169.254.1.2", "fd00:ec2::254"] {
            assert!(!is_admitted(&container, "host.docker.internal", address));
        }
    }
    let elsewhere = settings(false, &["crm.example.com"]);
    for host in ["host.docker.internal", "crm.example.com"] {
        assert!(!is_admitted(&elsewhere, host, "172.17.0.1"), "{host}");
    }
}

#[tokio::test]
async fn runtime_api_is_refused() {
    let (port, requests) = server(ok(""), Duration::ZERO);
    let client = Http::new(HttpSettings {
        allow_loopback: true,
        runtime_api: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        ..HttpSettings::default()
    });
    for host in ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"] {
        let url = format!("http://{host}:{port}/2018-06-01/runtime/invocation/next");
        let error = client
            .send(get(&url), BodyLimit::Refuse(9))
            .await
            .expect_err("refused");
        assert!(
            matches!(
                error,
                SendError::Refused {
                    denied: UrlDenied::RuntimeApi,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    assert_eq!(requests.try_iter().count(), 0);
}

#[tokio::test]
async fn error_reports_whether_request_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let url = format!("http://127.0.0.1:{port}/?secret=1");
    let error = local()
        .send(get(&url), BodyLimit::Refuse(9))
        .await
        .expect_err("no connection");
    assert!(
        matches!(error, SendError::Connect { .. }) && error.nothing_was_sent(),
        "{error:?}"
    );
    assert!(
        !format!("{error} {error:?}").contains("secret"),
        "{error:?}"
    );

    // The server does not speak TLS, so no connection is established.
    let (port, _requests) = server(ok(""), Duration::ZERO);
    let url = format!("https://127.0.0.1:{port}/");
    let error = local()
        .send(get(&url), BodyLimit::Refuse(9))
        .await
        .expect_err("no connection");
    assert!(matches!(error, SendError::Connect { .. }), "{error:?}");

    for answer in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
    ] {
        let (port, _requests) = server(answer, Duration::ZERO);
        let url = format!("http://127.0.0.1:{port}/?secret=1");
        let error = local()
            .send(get(&url), BodyLimit::Refuse(999))
            .await
            .expect_err("broken");
        assert!(
            matches!(error, SendError::Broken { .. }) && !error.nothing_was_sent(),
            "{error:?}"
        );
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn unresolvable_host_is_connect_error() {
    // With the default time limits, so that a slow name server does not cause a timeout.
    let client = Http::new(HttpSettings::default());
    let error = client
        .send(get("https://nowhere.invalid/"), BodyLimit::Refuse(9))
        .await
        .expect_err("no host");
    assert!(matches!(error, SendError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn direct_client_has_no_address_policy() {
    let (port, requests) = server(ok("hello"), Duration::ZERO);
    let url = format!("http://127.0.0.1:{port}/path");
    let client = DirectHttp::default();
    let time = Duration::from_secs(20);
    let answer = client
        .send(get_directly(&url), BodyLimit::Refuse(5), time)
        .await;
    assert_eq!(&answer.expect("an answer").body()[..], b"hello");
    let received = requests.recv().expect("a request");
    assert!(received.starts_with("GET /path HTTP/1.1\r\n"), "{received}");
    let too_large = client
        .send(get_directly(&url), BodyLimit::Refuse(4), time)
        .await;
    assert!(matches!(too_large, Err(SendError::TooLarge { .. })));
}

#[tokio::test]
async fn direct_client_distinguishes_failures() {
    let client = DirectHttp::default();
    let limit = BodyLimit::Refuse(5);
    let (port, _requests) = server(ok("hello"), Duration::from_secs(60));
    let slow = format!("http://127.0.0.1:{port}/");
    let time = Duration::from_millis(100);
    let answer = client.send(get_directly(&slow), limit, time).await;
    assert!(
        matches!(answer, Err(SendError::Timeout { .. })),
        "{answer:?}"
    );
    let closed = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let closed = format!("http://127.0.0.1:{port}/");
    let answer = client
        .send(get_directly(&closed), limit, Duration::from_secs(20))
        .await;
    assert!(answer.is_err_and(|error| error.nothing_was_sent()));
}

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Instant;

/// A server on this machine that answers every connection with `answer` and closes it; its port, and the requests
/// that it saw.
fn server(answer: impl Into<Vec<u8>>, hold: Duration) -> (u16, mpsc::Receiver<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let (seen, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or_default();
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if seen.send(request).is_err() {
                return;
            }
            std::thread::sleep(hold);
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

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url)
        .body(Bytes::new())
        .expect("a request")
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_arrives_as_it_was_given() {
    let (port, requests) = server(ok("hello"), Duration::ZERO);
    let request = http::Request::post(format!("http://127.0.0.1:{port}/a%20b?c=d"))
        .header("x-test", "1")
        .body(Bytes::from_static(b"body"))
        .expect("a request");
    let answer = local()
        .send(request, BodyLimit::Refuse(5))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(&answer.body()[..], b"hello");
    let seen = requests.recv().expect("a request");
    assert!(seen.starts_with("POST /a%20b?c=d HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains("x-test: 1\r\n") && seen.ends_with("\r\n\r\nbody"),
        "{seen}"
    );
    assert!(
        seen.contains(&format!("user-agent: {USER_AGENT}\r\n")),
        "{seen}"
    );
}

#[tokio::test]
async fn redirects_are_answers() {
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
async fn bodies_are_capped() {
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
async fn slow_answers_time_out() {
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
async fn this_machine_is_called_only_where_that_is_allowed() {
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
        "/relative".to_owned(),
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
fn a_private_address_is_called_only_as_the_machine_around_the_container() {
    let settings = |allow_loopback, trusted: &[&str]| HttpSettings {
        allow_loopback,
        trusted_hosts: trusted.iter().map(ToString::to_string).collect(),
        ..HttpSettings::default()
    };
    let admits = |settings: &HttpSettings, host: &str, address: &str| {
        let address = address.parse().expect("an address");
        settings.policy(host).admits(address).is_ok()
    };
    for around in [
        settings(true, &[]),
        settings(false, &["host.docker.internal"]),
    ] {
        for address in ["172.17.0.1", "fdc4:f303:9324::254"] {
            assert!(admits(&around, "host.docker.internal", address));
            assert!(!admits(&around, "crm.example.com", address), "{address}");
        }
        for address in ["169.254.169.254", "169.254.1.2", "fd00:ec2::254"] {
            assert!(!admits(&around, "host.docker.internal", address));
        }
    }
    let elsewhere = settings(false, &["crm.example.com"]);
    for host in ["host.docker.internal", "crm.example.com"] {
        assert!(!admits(&elsewhere, host, "172.17.0.1"), "{host}");
    }
}

#[tokio::test]
async fn the_lambda_runtime_is_never_called() {
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
async fn failures_say_whether_anything_was_sent() {
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

    // No TLS on the other side: the connection never stood.
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
async fn names_that_lead_nowhere_are_no_connection() {
    // The default patience: a slow name server must not turn this into a timeout.
    let client = Http::new(HttpSettings::default());
    let error = client
        .send(get("https://nowhere.invalid/"), BodyLimit::Refuse(9))
        .await
        .expect_err("no host");
    assert!(matches!(error, SendError::Connect { .. }), "{error:?}");
}

//! What protects the console from other sites and from strangers.

use super::*;

#[tokio::test]
async fn request_of_another_site_is_refused() {
    let (_served, console) = start(&[]).await;
    let port = console.address.rsplit(':').next().expect("a port");
    let status = |headers: &str| {
        let request = format!("GET /api/status HTTP/1.1\n{headers}\n{{token}}");
        console.send(&request.replace("PORT", port))
    };
    for own in [
        "host: {host}",
        "host: localhost:PORT",
        "host: LOCALHOST:PORT",
        "host: localhost:9000",
        "host: [::1]:PORT",
        "host: {host}\norigin: http://{host}",
        "host: localhost:9000\norigin: http://localhost:9000",
        "host: {host}\nsec-fetch-site: same-origin",
        "host: {host}\nsec-fetch-site: none",
    ] {
        let answer = status(own);
        assert_eq!(answer.status, 200, "{own}: {answer:?}");
    }
    for (foreign, code) in [
        ("accept: */*", "console_host_refused"),
        ("host:", "console_host_refused"),
        ("host: evil.example", "console_host_refused"),
        ("host: evil.example:PORT", "console_host_refused"),
        ("host: localhost.:PORT", "console_host_refused"),
        ("host: localhost.evil.example", "console_host_refused"),
        ("host: 127.0.0.1.evil.example", "console_host_refused"),
        ("host: [::ffff:10.0.0.1]:PORT", "console_host_refused"),
        ("host: 0.0.0.0:PORT", "console_host_refused"),
        ("host: {host}\nhost: evil.example", "console_host_refused"),
        ("host: {host}\norigin: null", "console_origin_refused"),
        (
            "host: {host}\norigin: http://evil.example",
            "console_origin_refused",
        ),
        (
            "host: {host}\norigin: http://localhost:PORT",
            "console_origin_refused",
        ),
        (
            "host: {host}\norigin: http://{host}.evil.example",
            "console_origin_refused",
        ),
        (
            "host: {host}\norigin: http://{host}\norigin: http://evil.example",
            "console_origin_refused",
        ),
        (
            "host: {host}\nsec-fetch-site: cross-site",
            "console_origin_refused",
        ),
        (
            "host: {host}\nsec-fetch-site: same-site",
            "console_origin_refused",
        ),
        (
            "host: {host}\nsec-fetch-site: Cross-Site",
            "console_origin_refused",
        ),
    ] {
        let answer = status(foreign);
        assert_eq!(answer.code(), code, "{foreign}: {answer:?}");
        assert!(matches!(answer.status, 403 | 421), "{foreign}: {answer:?}");
    }
    // The page has no data, but it is no part of another site either.
    for (headers, expected) in [
        ("host: {host}\nsec-fetch-site: cross-site", 403),
        ("host: evil.example", 421),
        ("host: {host}\nsec-fetch-site: same-site", 200),
    ] {
        let answer = console.send(&format!("GET / HTTP/1.1\n{headers}"));
        assert_eq!(answer.status, expected, "{headers}");
    }
}

#[tokio::test]
async fn other_spellings_of_paths_pass_no_check() {
    let (_served, console) = start(&[]).await;
    let (address, port) = (
        &console.address,
        console.address.rsplit(':').next().expect("a port"),
    );
    let targets = [
        "/%61pi/status".to_owned(),
        "/api%2fstatus".to_owned(),
        "/api/%73tatus".to_owned(),
        "//api/status".to_owned(),
        "/api//status".to_owned(),
        "/api/status/".to_owned(),
        "/./api/status".to_owned(),
        "/x/../api/status".to_owned(),
        "/%2e%2e/api/status".to_owned(),
        "/app.js/../api/status".to_owned(),
        "/app.js/%2e%2e/api/status".to_owned(),
        "/app.js%2f..%2fapi/status".to_owned(),
        "/app.js;/api/status".to_owned(),
        "/api\\status".to_owned(),
        "/api/status%00".to_owned(),
        format!("http://{address}/api/status"),
        "http://evil.example/api/status".to_owned(),
        format!("http://localhost:{port}/%61pi/status"),
    ];
    for target in &targets {
        // With and without the token: neither is answered with data.
        for token in ["{token}", "accept: */*"] {
            let answer = console.send(&format!("GET {target} HTTP/1.1\nhost: {{host}}\n{token}"));
            assert_eq!(answer.status, 400, "{target}: {answer:?}");
            assert!(!answer.body.contains("\"version\""), "{target}: {answer:?}");
        }
    }
    for target in [
        "/API/status",
        "/api/Status",
        "/api/statusx",
        "/api",
        "/metrics2",
        "/app.js/api",
    ] {
        let refused = console.send(&format!("GET {target} HTTP/1.1\nhost: {{host}}"));
        assert_eq!(refused.status, 401, "{target}: {refused:?}");
        let absent = console.call("GET", target);
        assert_eq!(absent.status, 404, "{target}: {absent:?}");
    }
}

#[tokio::test]
async fn only_the_page_is_open_without_a_token() {
    let (_served, console) = start(&[]).await;
    for path in [
        "/",
        "/app.js",
        "/style.css",
        "/icon.svg",
        "/lib/api.js",
        "/screens/job.js",
    ] {
        let answer = console.send(&format!("GET {path} HTTP/1.1\nhost: {{host}}"));
        assert_eq!(answer.status, 200, "{path}");
        let head = console.send(&format!("HEAD {path} HTTP/1.1\nhost: {{host}}"));
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let post = console.send(&format!(
            "POST {path} HTTP/1.1\nhost: {{host}}\ncontent-length: 0"
        ));
        assert_eq!(post.status, 405, "{path}");
    }
    for path in [
        "/api/status",
        "/api/jobs",
        "/api/deliveries",
        "/metrics",
        "/health",
        "/jobs",
    ] {
        for token in [
            "accept: */*",
            "authorization: Bearer",
            "authorization: Bearer x",
            "authorization: Basic Og==",
            "cookie: token={token}",
            "{token}x",
            "{token}\nauthorization: Bearer x",
        ] {
            let answer = console.send(&format!("GET {path} HTTP/1.1\nhost: {{host}}\n{token}"));
            assert!(
                matches!(answer.status, 401 | 429),
                "{path}, {token}: {answer:?}"
            );
            assert_eq!(answer.code(), "console_token_wrong", "{path}, {token}");
        }
        // Not in the address either: it would be in logs and histories.
        let query = format!("{path}?token={}", console.token);
        let answer = console.send(&format!("GET {query} HTTP/1.1\nhost: {{host}}"));
        assert_eq!(answer.status, 401, "{path}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"] {
        let answer = console.call(method, "/api/status");
        assert!(matches!(answer.status, 400 | 405), "{method}: {answer:?}");
        assert!(!answer.head.contains("access-control-"), "{answer:?}");
    }
}

#[tokio::test]
async fn every_response_has_protective_headers() {
    let (_served, console) = start(&[]).await;
    let answers = [
        console.send("GET / HTTP/1.1\nhost: {host}"),
        console.send("GET /app.js HTTP/1.1\nhost: {host}"),
        console.call("GET", "/api/status"),
        console.call("GET", "/api/nothing"),
        console.send("GET /api/status HTTP/1.1\nhost: {host}"),
        console.send("GET / HTTP/1.1\nhost: evil.example"),
        console.send("GET /%61 HTTP/1.1\nhost: {host}"),
        console.call("PUT", "/api/status"),
    ];
    for answer in answers {
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            let lines = answer.head.lines().filter(|line| *line == header);
            assert_eq!(lines.count(), 1, "{header}: {answer:?}");
        }
        assert!(!answer.head.contains("set-cookie"), "{answer:?}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_limited_and_lock_nobody_out() {
    let (_served, console) = start(&[]).await;
    let guess = || {
        console
            .send("GET /api/status HTTP/1.1\nhost: {host}\nauthorization: Bearer guess")
            .status
    };
    let statuses: Vec<u16> = (0..60).map(|_| guess()).collect();
    assert!(statuses.starts_with(&[401; 20]), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(console.call("GET", "/api/status").status, 200);
}

#[tokio::test]
async fn read_only_console_refuses_every_write() {
    let (_served, console) = start(&["--console-read-only"]).await;
    for path in [
        "/api/jobs",
        "/api/jobs/replay",
        "/api/jobs/job_1/redeliver",
        "/api/deliveries/discard",
        "/api/routes/form/sample",
        "/api/anything",
    ] {
        let answer = console.call("POST", path);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "console_read_only"),
            "{path}"
        );
    }
    assert_eq!(console.get("/api/status")["read_only"], true);
}

#[tokio::test]
async fn get_and_head_change_nothing() {
    let (served, console) = start(&[]).await;
    let lead = served.lead(0);
    let delivery = json!({"event": "e1", "ids": [lead], "fields": {"No_Such_Field": "x"}});
    let job = served.submit(&delivery).await.remove(0);
    served.wait_for_job(&job).await;
    let delivery = served.cli(&["deliveries", "list"]).1["deliveries"][0]["id"].clone();
    let delivery = delivery.as_str().expect("a dead letter");
    let before = served.list_jobs();
    for path in [
        format!("/api/jobs/{job}/replay"),
        format!("/api/jobs/{job}/redeliver"),
        "/api/jobs/replay".to_owned(),
        "/api/jobs/redeliver".to_owned(),
        format!("/api/deliveries/{delivery}/replay"),
        format!("/api/deliveries/{delivery}/discard"),
        "/api/deliveries/replay".to_owned(),
        "/api/deliveries/discard".to_owned(),
        "/api/routes/form/sample".to_owned(),
        "/api/playground".to_owned(),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = console.call(method, &path);
            assert!(
                matches!(answer.status, 404 | 405),
                "{method} {path}: {answer:?}"
            );
        }
    }
    assert_eq!(served.list_jobs(), before);
    let (_, list) = served.cli(&["deliveries", "list"]);
    assert_eq!(list["deliveries"][0]["id"], delivery);
}

#[tokio::test]
async fn console_beyond_loopback_needs_configured_key() {
    let mut served = Harness::new().served().prepare().await;
    let everywhere = ["--console", "0.0.0.0:0"];
    served.start(&everywhere).await;
    assert_eq!(served.wait_for_exit().await.code(), Some(2));
    assert!(served.log().contains("console.key"), "{}", served.log());

    let key = served.data().with_file_name("console-key");
    let config = std::fs::read_to_string(served.config()).expect("a config");
    let console = format!(
        "console: {{ key: \"file:{}\", hosts: [\"Console.Example.com\"] }}\n",
        key.display()
    );
    std::fs::write(served.config(), config + &console).expect("written");
    std::fs::write(&key, "short").expect("written");
    served.start(&everywhere).await;
    assert_eq!(served.wait_for_exit().await.code(), Some(2));
    assert!(served.log().contains("too short"), "{}", served.log());

    std::fs::write(&key, KEY).expect("written");
    served.start(&everywhere).await;
    let console = console_of(&served);
    assert!(!served.log().contains(KEY) && !console.url.contains('#'));
    let local = console.address.replace("0.0.0.0", "127.0.0.1");
    let console = Console {
        address: local,
        ..console
    };
    assert_eq!(console.call("GET", "/api/status").status, 200);
    for (host, status) in [
        ("console.example.com", 200),
        ("10.1.2.3:8081", 200),
        ("evil.example", 421),
    ] {
        let request = format!("GET /api/status HTTP/1.1\nhost: {host}\n{{token}}");
        assert_eq!(console.send(&request).status, status, "{host}");
    }
    let wrong = "GET /api/status HTTP/1.1\nhost: {host}\nauthorization: Bearer other";
    assert_eq!(console.send(wrong).status, 401);
}

/// Anybody on this machine can begin a request; only a whole one has a token.
#[tokio::test]
async fn half_requests_do_not_block_the_console() {
    let (_served, console) = start(&[]).await;
    let half = || {
        let mut stream = TcpStream::connect(&console.address).expect("a connection");
        stream
            .write_all(b"GET /api/status HTTP/1.1\r\nx: ")
            .expect("sent");
        stream
    };
    let mut halves: Vec<TcpStream> = (0..64).map(|_| half()).collect();
    for _ in 0..3 {
        assert_eq!(console.get("/api/status")["read_only"], false);
        halves.push(half());
    }
}

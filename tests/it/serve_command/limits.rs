//! Stuck clients, signals, and a log without a reader.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Harness, Served, form, text};

const SLOW_POST: &str = "POST /hooks/form HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n";

async fn open(world: &Served) -> std::io::Result<TcpStream> {
    TcpStream::connect(world.url("").trim_start_matches("http://")).await
}

/// Sends bytes on a connection of their own.
async fn connect(world: &Served, bytes: &str) -> TcpStream {
    let mut stream = open(world).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    stream
}

/// A request whose body does not go on, once the server waits for it.
async fn connect_with_half_body(world: &Served) -> TcpStream {
    let mut stream = connect(world, SLOW_POST).await;
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{\"ids\"").await.expect("sent");
    stream
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is no concern here.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn stuck_clients_do_not_delay_the_end() {
    let mut world = Harness::new().served().start().await;
    let mut stuck = Vec::new();
    for bytes in ["", "POST /hooks", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"] {
        stuck.push(connect(&world, bytes).await);
    }
    stuck.push(connect_with_half_body(&world).await);
    let start = Instant::now();
    world.signal("TERM");
    assert_eq!(
        world.wait_for_exit().await.code(),
        Some(0),
        "{}",
        world.log()
    );
    assert!(start.elapsed() < Duration::from_secs(30));

    world.start(&[]).await;
    let _half = connect_with_half_body(&world).await;
    world.signal("INT");
    let over = Instant::now() + Duration::from_secs(60);
    while open(&world).await.is_ok() {
        assert!(Instant::now() < over, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.signal("INT");
    assert_eq!(
        world.wait_for_exit().await.code(),
        Some(1),
        "{}",
        world.log()
    );
}

/// Clients that wait make way; busy ones do not.
#[tokio::test]
async fn connection_limit_is_answered_with_503() {
    let mut world = Harness::new().served().prepare().await;
    world.start(&["--max-connections", "3"]).await;
    let mut open = Vec::new();
    for _ in 0..9 {
        open.push(connect(&world, "").await);
    }
    let health = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let served = read_all(connect(&world, health).await).await;
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    // A client counts as busy once the server has read from it; until then it makes way, and another takes its place.
    let over = Instant::now() + Duration::from_secs(60);
    let refused = loop {
        open.push(connect(&world, "POST /hooks").await);
        let answer = read_all(connect(&world, health).await).await;
        if answer.starts_with("HTTP/1.1 503 ") {
            break answer;
        }
        assert!(Instant::now() < over, "{answer}");
    };
    for part in [
        "retry-after: ",
        "application/problem+json",
        "\"overloaded\"",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[tokio::test]
async fn hangup_reloads_the_config_unless_it_is_broken() {
    let world = Harness::new().served().start().await;
    let config = std::fs::read_to_string(world.config()).expect("the config");
    let delivery = form("e1", &[world.lead(1)]);
    let status = async |path: &str| {
        let answer = world.request("POST", path, Some(&delivery)).await;
        answer.expect("an answer").status
    };
    let wait_for = async |line: &str| {
        let over = Instant::now() + Duration::from_secs(60);
        while !world.log().contains(line) {
            assert!(Instant::now() < over, "{}", world.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(status("/hooks/form").await, 202);
    std::fs::write(world.config(), "routes: [").expect("written");
    world.signal("HUP");
    wait_for("config not reloaded").await;
    assert_eq!(status("/hooks/form").await, 202);
    let renamed = config.replace("\n  form:", "\n  renamed:");
    std::fs::write(world.config(), renamed).expect("written");
    world.signal("HUP");
    wait_for("config reloaded").await;
    assert_eq!(status("/hooks/form").await, 404);
    assert_eq!(status("/hooks/renamed").await, 202);
}

/// Neither a log whose reader is gone nor one that is never read keeps jobs from their end.
#[tokio::test]
async fn log_without_reader_stops_no_job() {
    for is_gone in [true, false] {
        let world = Harness::new().served();
        let mut world = world
            .environment(vec![("RUST_LOG".to_owned(), "trace".to_owned())])
            .prepare()
            .await;
        let mut command = world.command(&[]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let reader = child.stderr.take();
        let _unread = if is_gone { None } else { reader };
        world.attach(child).await;
        for number in 0..20 {
            let id = world.id("Leads", number);
            let jobs = world.submit(&form(&format!("e{number}"), &[id])).await;
            let job = world.wait_for_job(&jobs[0]).await;
            assert_eq!(job["status"], json!("succeeded"), "{job:#}");
        }
        let health = world.request("GET", "/health", None).await;
        assert_eq!(text(&health.expect("an answer").body["status"]), "ok");
        world.signal("TERM");
        assert_eq!(world.wait_for_exit().await.code(), Some(0));
    }
}

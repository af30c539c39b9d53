//! Receivers of callbacks that hang, stall or break: they delay no call to Zoho and no other receiver.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use masshook::job::JobId;
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::{Harness, Served, enqueue};

/// What a slow receiver does with a connection, after it has read the request's head.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Answers nothing.
    Hang,
    /// Sends this, and then nothing more.
    Stall(&'static str),
    /// Sends this, and closes the connection.
    Break(&'static str),
    /// Sends one byte of a head a second.
    Drip,
    /// Hangs on the first connections, and answers 200 to all later ones.
    HangAtFirst(usize),
}

/// A receiver of callbacks that is slow, on a free loopback port.
struct SlowReceiver {
    port: u16,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl SlowReceiver {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (accepted, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (accepted.clone(), open.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counts.0.fetch_add(1, Ordering::SeqCst);
                counts.1.fetch_add(1, Ordering::SeqCst);
                let open = counts.1.clone();
                tokio::spawn(async move {
                    answer(stream, manner, number).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            port,
            accepted,
            open,
            server,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for SlowReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves one connection, until the client closes it unless the manner says otherwise.
async fn answer(mut stream: TcpStream, manner: Manner, number: usize) {
    // The permission matters to those who ask for it.
    const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\nwebhook-allowed-origin: *\r\ncontent-length: 0\r\n\r\n";
    let mut buffer = [0; 16 << 10];
    let _ = stream.read(&mut buffer).await;
    let text = match manner {
        Manner::Hang => "",
        Manner::HangAtFirst(hanging) if number < hanging => "",
        Manner::HangAtFirst(_) => OK,
        Manner::Stall(text) | Manner::Break(text) => text,
        Manner::Drip => {
            for byte in OK.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            ""
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    if !matches!(manner, Manner::Break(_)) {
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }
}

/// Submits a job whose callback goes to `url`; returns its id.
async fn submit(world: &Served, place: u64, url: &str) -> String {
    let job = json!({
        "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)],
        "callback_url": url,
    });
    let answer = world.request("POST", "/jobs", Some(&job)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.job_ids().remove(0)
}

async fn wait_for(what: &str, done: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}");
}

/// While every hanging receiver still holds its callback, another job is performed and reported.
async fn healthy_receiver_overtakes(receivers: usize, jobs: usize, manner: Manner) {
    let world = Harness::new().served().start().await;
    let mut slow = Vec::new();
    for _ in 0..receivers {
        slow.push(SlowReceiver::start(manner).await);
    }
    let mut hanging = Vec::new();
    for number in 0..jobs {
        let receiver = &slow[number % receivers];
        hanging.push(submit(&world, number as u64 % 100, &receiver.url()).await);
    }
    wait_for("each receiver has a callback", || {
        slow.iter().all(|slow| slow.open() > 0)
    })
    .await;

    let plain = submit(&world, 100, &world.receiver.url("/plain")).await;
    let callbacks = world.receiver.wait_for(1).await;

    let id = callbacks[0].verified()["data"]["id"].clone();
    assert_eq!(id, json!(plain));
    let open: usize = slow.iter().map(SlowReceiver::open).sum();
    assert!(open >= receivers, "{open} still hang");
    for id in [&hanging[0], &hanging[jobs - 1]] {
        let job = world.job(id).await.body;
        let state = (&job["callback"]["status"], &job["callback"]["attempts"]);
        assert_eq!(state, (&json!("pending"), &json!(0)), "{job:#}");
    }
}

#[tokio::test]
async fn twelve_hanging_receivers_delay_no_other() {
    healthy_receiver_overtakes(12, 12, Manner::Hang).await;
}

#[tokio::test]
async fn backlog_of_hanging_receivers_delays_no_other() {
    healthy_receiver_overtakes(4, 300, Manner::Hang).await;
}

#[tokio::test]
async fn dripping_receivers_delay_no_other() {
    healthy_receiver_overtakes(12, 24, Manner::Drip).await;
}

/// Jobs whose callbacks wait for one receiver are in memory up to a number, so that they cannot fill it. The others wait in
/// the store.
#[tokio::test]
async fn callbacks_of_hanging_receiver_wait_in_store() {
    let slow = SlowReceiver::start(Manner::Hang).await;
    let world = Harness::new().served().start().await;
    let update = |place: u64| {
        json!({
            "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)],
            "callback_url": slow.url(),
        })
    };
    let updates: Vec<Value> = (0..100).map(update).collect();
    for event in 0..24 {
        let delivery = json!({"event": event.to_string(), "updates": updates});
        assert_eq!(world.submit(&delivery).await.len(), 100);
    }
    let store = Connection::open(world.data().join("masshook.db")).expect("opened");
    let count = |condition: &str| {
        let query = format!("SELECT count(*) FROM jobs WHERE callback = 'pending' AND {condition}");
        store
            .query_row(&query, [], |row| row.get::<_, u32>(0))
            .expect("a number")
    };
    wait_for("every job has finished", || {
        count("finished_at IS NOT NULL") == 2_400
    })
    .await;
    wait_for("jobs wait in the store", || {
        count("leased_until = 0") >= 350
    })
    .await;
    assert!(
        count("leased_until > 0") <= 2_050,
        "2,000 wait, and 16 are sent"
    );
    let id = submit(&world, 100, &world.receiver.url("/plain")).await;
    assert_eq!(
        world.wait_for_job(&id).await["callback"]["status"],
        "delivered"
    );
}

/// A progress callback that hangs delays neither the calls of its own job nor the final callback.
#[tokio::test]
async fn hanging_progress_callback_delays_nothing() {
    let slow = SlowReceiver::start(Manner::HangAtFirst(1)).await;
    let world = Harness::new()
        .config(|config| config + "callback_on: accepted\n")
        .served()
        .start()
        .await;
    let id = submit(&world, 0, &slow.url()).await;
    let job = world.wait_for_job(&id).await;
    assert_eq!(job["status"], "succeeded");
    assert_eq!(job["callback"]["status"], "delivered", "{job:#}");
    assert_eq!(job["callback"]["attempts"], 1, "{job:#}");
    assert!(slow.open() >= 1, "the progress callback still hangs");
    // Its result is recorded although the job has finished.
    let attempts = |job: &Value| {
        let history = job["history"].as_array().cloned().unwrap_or_default();
        let callbacks = history
            .into_iter()
            .filter(|entry| entry["event"] == "callback");
        callbacks.collect::<Vec<_>>()
    };
    let job = world.wait_until(&id, |job| attempts(job).len() == 2).await;
    let statuses: Vec<Value> = attempts(&job)
        .iter()
        .map(|entry| entry["status"].clone())
        .collect();
    assert!(statuses.contains(&json!(200)) && statuses.contains(&Value::Null));
    assert_eq!(job["callback"]["status"], "delivered", "{job:#}");
    let failed = format!("callback of {id} not delivered");
    assert_eq!(world.log().matches(&failed).count(), 1, "{}", world.log());
}

/// The callbacks that wait when the config is reloaded are sent, and those in progress are sent again.
#[tokio::test]
async fn reload_loses_no_waiting_callback() {
    let world = Harness::new().served().start().await;
    let slow = SlowReceiver::start(Manner::HangAtFirst(16)).await;
    let mut ids = Vec::new();
    for number in 0..24 {
        ids.push(submit(&world, number, &slow.url()).await);
    }
    wait_for("the share of the receiver is in use", || slow.open() == 16).await;
    world.signal("HUP");
    wait_for("the config is reloaded", || {
        world.log().contains("config reloaded")
    })
    .await;
    let plain = submit(&world, 100, &world.receiver.url("/plain")).await;
    ids.push(plain);
    for id in &ids {
        let job = world.wait_for_job(id).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!(job["callback"]["status"], "delivered", "{job:#}");
    }
    assert_eq!(slow.accepted(), 16 + 24);
}

/// Hanging receivers leave descriptors to the store, to Zoho and to clients.
#[tokio::test]
async fn hanging_receivers_leave_descriptors_free() {
    let mut world = Harness::new().served().prepare().await;
    let command = world.command(&[]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 128; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(world.log_file());
    for (name, value) in command.get_envs() {
        limited.env(name, value.expect("a value"));
    }
    world.attach(limited.spawn().expect("started")).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(SlowReceiver::start(Manner::Hang).await);
    }
    let open = || slow.iter().map(SlowReceiver::open).sum::<usize>();
    for number in 0..200 {
        let receiver = &slow[number % slow.len()];
        submit(&world, number as u64 % 100, &receiver.url()).await;
    }
    wait_for("all sockets for callbacks are in use", || open() >= 16).await;

    let plain = submit(&world, 100, &world.receiver.url("/plain")).await;
    let callbacks = world.receiver.wait_for(1).await;

    assert_eq!(callbacks[0].verified()["data"]["id"], json!(plain));
    assert!(open() <= 16, "{} are open", open());
    let log = world.log();
    assert!(!log.contains("Too many open files"), "{log}");
}

#[tokio::test]
async fn status_decides_whatever_the_body_does() {
    const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome";
    const CHUNKED: &str =
        "HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n";
    const BAD_CHUNK: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n";
    const ENCODED: &str =
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nsome";
    let world = Harness::new().served().start().await;
    for manner in [
        Manner::Stall(LENGTH),
        Manner::Break(LENGTH),
        Manner::Stall(CHUNKED),
        Manner::Break(CHUNKED),
        Manner::Break(BAD_CHUNK),
        Manner::Stall(ENCODED),
    ] {
        let slow = SlowReceiver::start(manner).await;
        let id = submit(&world, 0, &slow.url()).await;
        let job = world.wait_for_job(&id).await;
        let expected = json!({"status": "delivered", "attempts": 1, "error": null});
        assert_eq!(job["callback"], expected, "{manner:?}");
        assert_eq!(slow.accepted(), 1, "{manner:?}");
    }
}

/// A worker waits only briefly, and leaves the callback to the sweep.
#[tokio::test]
async fn worker_leaves_slow_receiver_to_sweep() {
    let world = Harness::new().start().await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let app = world.worker(&store);
    let slow = SlowReceiver::start(Manner::HangAtFirst(1)).await;
    let id = enqueue(
        &app,
        &json!({
            "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", 0)],
            "callback_url": slow.url(),
        }),
    )
    .await;
    let callback = async || -> Value {
        let job = store.get(&id).await.expect("read").expect("a job");
        serde_json::to_value(job.callback).expect("JSON")
    };
    app.run_turn(std::slice::from_ref(&id), None)
        .await
        .expect("a turn");
    assert_eq!(slow.accepted(), 1);
    let waiting = callback().await;
    let error = waiting["error"].as_str().expect("an error");
    assert!(error.ends_with("did not answer within 3 s"), "{error}");
    assert_eq!(waiting["attempts"], 1, "{waiting}");

    world.clock.advance(Duration::from_secs(60));
    app.run_turn(std::slice::from_ref(&id), None)
        .await
        .expect("a turn");
    assert_eq!(slow.accepted(), 1, "no worker waits for it again");
    app.sweep(None).await.expect("a sweep");
    assert_eq!(slow.accepted(), 2);
    assert_eq!(callback().await["status"], "delivered");
}

/// A receiver that hangs when it is asked for permission counts as hanging, and half of the time is left to the callback.
#[tokio::test]
async fn receiver_hanging_in_options_is_left_to_sweep() {
    let world = Harness::new()
        .request_origin("masshook.example.com")
        .start()
        .await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let app = world.worker(&store);
    let slow = SlowReceiver::start(Manner::HangAtFirst(3)).await;
    let request = |place| {
        json!({
            "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)],
            "callback_url": slow.url(),
        })
    };
    let mut ids = Vec::new();
    for place in 0..3 {
        ids.push(enqueue(&app, &request(place)).await);
    }
    let callback = async |id: &JobId| -> Value {
        let job = store.get(id).await.expect("read").expect("a job");
        serde_json::to_value(job.callback).expect("JSON")
    };
    app.run_turn(&ids, None).await.expect("a turn");
    assert_eq!(slow.accepted(), 3, "OPTIONS alone");
    let waiting = callback(&ids[0]).await;
    let error = waiting["error"].as_str().expect("an error");
    assert!(
        error.starts_with("asking for permission failed")
            && error.ends_with("did not answer within 1.5 s"),
        "{error}"
    );
    ids.push(enqueue(&app, &request(3)).await);
    app.run_turn(&ids, None).await.expect("a turn");
    assert_eq!(slow.accepted(), 3, "its host hangs, so no worker asks it");

    world.clock.advance(Duration::from_secs(60));
    app.run_turn(&ids, None).await.expect("a turn");
    assert_eq!(slow.accepted(), 3, "no worker asks it again");
    app.sweep(None).await.expect("a sweep");
    for id in &ids {
        assert_eq!(callback(id).await["status"], "delivered");
    }
}

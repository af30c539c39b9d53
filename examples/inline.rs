//! Measures what one delivery costs the Lambda function in inline mode, beside a bare function that sends the same mass update
//! and the same callback ([`bare_function`](../bare_function.rs)).
//!
//! ```text
//! cargo run --release --example inline [EVENTS] [RUNS] [BOOTSTRAP]
//! ```
//!
//! `BOOTSTRAP` is the program to measure, instead of this build; then nothing is built.
//!
//! This program stands in for the Lambda runtime API, Secrets Manager, Zoho and the receiver of callbacks. The functions
//! run as processes of their own. Each result is the median of the runs, in which the functions take turns.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/inline_services.rs"]
mod inline_services;
#[path = "support/report.rs"]
mod report;
#[path = "support/stand_in.rs"]
mod stand_in;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use inline_services::{answer_as_secrets_manager, answer_as_zoho, config_text, event};
use report::{BenchmarkReport, memory_mib, profile};
use stand_in::{StandInAnswer, StandInRequest, serve};

/// Events before the measurement of processor time and latency.
const WARM_UP: usize = 200;

/// How long a function may take before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    // A stand-in that cannot answer ends the benchmark.
    let report_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report_panic(panic);
        std::process::exit(1);
    }));
    let number = |place, default| {
        let given = std::env::args().nth(place);
        given.map_or(default, |given| given.parse().expect("a number"))
    };
    let (events, runs): (usize, usize) = (number(1, 3_000), number(2, 3));
    let programs = programs(std::env::args().nth(3));
    let title = format!("inline: {events} events, medians of {runs} runs");
    let mut report = BenchmarkReport::new(&title);
    let mut results: [Vec<Measurement>; 3] = Default::default();
    for _ in 0..runs {
        for (kind, results) in [
            FunctionKind::Noop,
            FunctionKind::Bare,
            FunctionKind::Masshook,
        ]
        .into_iter()
        .zip(&mut results)
        {
            results.push(measure(kind, &programs, WARM_UP + events));
        }
    }
    let [noop, bare, masshook] = results;
    let rows: [(&str, Figure, Limit); 5] = [
        ("CPU per event", |one| one.cpu_us, Limit::Ratio(2.0)),
        ("p50", |one| one.p50_us, Limit::Ratio(1.7)),
        ("first event", |one| one.first_us, Limit::Value(8_000.0)),
        ("start", |one| one.start_us, Limit::RatioToNoop(3.0)),
        ("peak memory", |one| one.peak_kib, Limit::Value(12_288.0)),
    ];
    for (name, figure, limit) in rows {
        let [noop, bare, value] =
            [&noop, &bare, &masshook].map(|runs| report::median(runs.iter().map(figure)));
        let unit = match name {
            "peak memory" => "KiB",
            _ => "us",
        };
        let shown = format!(
            "{value:.0} {unit}; bare {bare:.0}, noop {noop:.0}; {:.2}x bare",
            value / bare
        );
        let (is_met, required) = match limit {
            Limit::Ratio(most) => (value <= most * bare, format!("at most {most}x bare")),
            Limit::RatioToNoop(most) => (value <= most * noop, format!("at most {most}x noop")),
            Limit::Value(most) => (value <= most, format!("at most {most} {unit}")),
        };
        report.requirement(name, shown, &required, is_met);
    }
    let size = std::fs::metadata(&programs.bootstrap).expect("a program");
    report.result("size of bootstrap", format!("{} KiB", size.len() / 1_024));
    report.exit_code()
}

type Figure = fn(&Measurement) -> f64;

/// What a result must not exceed.
#[derive(Clone, Copy)]
enum Limit {
    Ratio(f64),
    RatioToNoop(f64),
    Value(f64),
}

/// The measured function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FunctionKind {
    /// Answers events and does nothing else.
    Noop,
    /// Sends the two requests.
    Bare,
    Masshook,
}

/// The results of one run.
struct Measurement {
    cpu_us: f64,
    p50_us: f64,
    first_us: f64,
    start_us: f64,
    peak_kib: f64,
}

/// The programs of the functions.
struct Programs {
    bootstrap: PathBuf,
    bare: PathBuf,
}

/// The programs of the functions. They are built in this program's profile, unless `bootstrap` is given.
fn programs(bootstrap: Option<String>) -> Programs {
    let examples = std::env::current_exe().expect("this program's path");
    let examples = examples.parent().expect("a folder");
    let bare = examples.join("bare_function");
    if let Some(bootstrap) = bootstrap {
        let bootstrap = bootstrap.into();
        return Programs { bootstrap, bare };
    }
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--bin=bootstrap",
        "--example=bare_function",
    ]);
    if profile() == "release" {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo").success());
    let bootstrap = examples.with_file_name("bootstrap");
    Programs { bootstrap, bare }
}

/// Runs one function over `events` events.
fn measure(kind: FunctionKind, programs: &Programs, events: usize) -> Measurement {
    let zoho = serve(answer_as_zoho);
    let receiver = serve(|_: &StandInRequest<'_>| StandInAnswer::json("{}"));
    let secrets = serve(answer_as_secrets_manager);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("masshook.yaml");
    std::fs::write(&config, config_text(zoho, receiver)).expect("written");

    let (ended, at_end) = channel();
    let runtime = Arc::new(Runtime::new(events, ended));
    let handler = Arc::clone(&runtime);
    let runtime_api = serve(move |request: &StandInRequest<'_>| handler.handle(request));
    let mut command = match kind {
        FunctionKind::Noop | FunctionKind::Bare => Command::new(&programs.bare),
        FunctionKind::Masshook => Command::new(&programs.bootstrap),
    };
    if kind == FunctionKind::Noop {
        command.arg("noop");
    }
    command
        .env_clear()
        .envs(lambda_environment(runtime_api))
        .env(
            "UPDATE_URL",
            format!("http://{zoho}/crm/v7/Leads/actions/mass_update"),
        )
        .env("CALLBACK_URL", format!("http://{receiver}/zoho"))
        .env("MASSHOOK_CONFIG", &config)
        .env(
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            format!("http://{secrets}"),
        )
        .stdout(Stdio::null());
    let started = Instant::now();
    let process = FunctionProcess(command.spawn().expect("a function"));
    runtime.set_process(process.0.id(), started);
    wait_for_end(&at_end, kind);
    let results = runtime.results();
    let peak = memory_mib(process.0.id(), "VmHWM") * 1_024.0;
    results.into_measurement(peak)
}

/// Waits until all events are answered.
fn wait_for_end(at_end: &Receiver<()>, kind: FunctionKind) {
    let waited = at_end.recv_timeout(PATIENCE);
    let name = match kind {
        FunctionKind::Noop => "noop",
        FunctionKind::Bare => "the bare function",
        FunctionKind::Masshook => "masshook",
    };
    assert!(waited.is_ok(), "{name} has not answered all events");
}

/// A function's process, ended when this value is dropped.
struct FunctionProcess(Child);

impl Drop for FunctionProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The environment that Lambda sets.
fn lambda_environment(runtime_api: SocketAddr) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    vec![
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", text("inline")),
        ("AWS_LAMBDA_FUNCTION_VERSION", text("$LATEST")),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", text("256")),
        ("AWS_LAMBDA_LOG_GROUP_NAME", text("inline")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", text("inline")),
        ("AWS_REGION", text("eu-central-1")),
        ("AWS_ACCESS_KEY_ID", text("AKIDBENCHMARK")),
        ("AWS_SECRET_ACCESS_KEY", text("secret")),
        ("AWS_SESSION_TOKEN", text("token")),
    ]
}

/// The runtime API: hands out the events one after another.
struct Runtime {
    events: Vec<String>,
    state: Mutex<RuntimeState>,
    ended: Sender<()>,
}

#[derive(Default)]
struct RuntimeState {
    pid: u32,
    started: Option<Instant>,
    /// When the function asked for its first event.
    ready: Option<Instant>,
    /// The next event.
    next: usize,
    sent: Option<Instant>,
    latencies: Vec<Duration>,
    /// Processor time at the end of the warm-up and at the end.
    cpu: Vec<Duration>,
}

impl Runtime {
    fn new(events: usize, ended: Sender<()>) -> Self {
        Self {
            events: (0..events).map(event).collect(),
            state: Mutex::default(),
            ended,
        }
    }

    fn set_process(&self, pid: u32, started: Instant) {
        let mut state = self.state.lock().expect("no panic");
        (state.pid, state.started) = (pid, Some(started));
    }

    fn handle(&self, request: &StandInRequest<'_>) -> StandInAnswer {
        let arrived = Instant::now();
        if request.method == "GET" {
            return self.next(arrived);
        }
        let mut state = self.state.lock().expect("no panic");
        let body = String::from_utf8_lossy(request.body);
        assert!(
            request.path.ends_with("/response"),
            "{}: {body}",
            request.path
        );
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert!(
            matches!(answer["statusCode"].as_u64(), Some(200) | None),
            "{body}"
        );
        let sent = state.sent.take().expect("an event");
        state.latencies.push(arrived - sent);
        StandInAnswer {
            status: "202 Accepted",
            ..StandInAnswer::json("{}")
        }
    }

    fn next(&self, arrived: Instant) -> StandInAnswer {
        let mut state = self.state.lock().expect("no panic");
        state.ready.get_or_insert(arrived);
        if [WARM_UP, self.events.len()].contains(&state.next) {
            let cpu = processor_time(state.pid);
            state.cpu.push(cpu);
        }
        let Some(event) = self.events.get(state.next) else {
            drop(state);
            let _ = self.ended.send(());
            // The function is ended while it waits.
            loop {
                std::thread::park();
            }
        };
        let headers = format!(
            "content-type: application/json\r\nlambda-runtime-aws-request-id: {:08}-0000-4000-8000-000000000000\r\nlambda-runtime-deadline-ms: 4102444800000\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:inline\r\nlambda-runtime-trace-id: Root=1-6266b547-02df53cb2f1be55407e2f325\r\n",
            state.next
        );
        state.next += 1;
        let answer = StandInAnswer {
            headers,
            ..StandInAnswer::json(event)
        };
        state.sent = Some(Instant::now());
        answer
    }

    fn results(&self) -> RuntimeState {
        std::mem::take(&mut *self.state.lock().expect("no panic"))
    }
}

impl RuntimeState {
    fn into_measurement(self, peak_kib: f64) -> Measurement {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let mut warm = self.latencies[WARM_UP..].to_vec();
        warm.sort_unstable();
        let start = self.ready.zip(self.started);
        let start = start.map(|(ready, started)| ready - started);
        Measurement {
            cpu_us: us(self.cpu[1] - self.cpu[0]) / warm.len() as f64,
            p50_us: us(warm[warm.len() / 2]),
            first_us: us(self.latencies[0]),
            start_us: us(start.expect("a started function")),
            peak_kib,
        }
    }
}

/// The processor time of all threads of a process.
fn processor_time(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let threads = threads.filter_map(|thread| {
        let file = thread.ok()?.path().join("schedstat");
        let text = std::fs::read_to_string(file).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(threads.sum())
}

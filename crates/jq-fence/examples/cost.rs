//! Prints the processor time that mapping a small webhook costs, on a pool's threads and on a thread for each program.
//!
//! `cargo run --release -p jq-fence --example cost`

#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::time::{Duration, Instant};

use jq_fence::{Document, EvalError, Host, Input, Limits, Pool, PoolSettings, Program, Worker};
use serde_json::{Value, json};

const VISITS: u32 = 20_000;

static HOST: Host = Host {
    variables: &["$headers", "$route"],
    ..Host::PLAIN
};

const BODY: &str = r#"{"event": "evt_1", "type": "deal.won", "deal": {"id": "554023000000497007", "stage": "won",
    "owner": {"name": "Jane", "email": "jane@example.com"}, "amount": 1200.50, "tags": ["a", "b"]}}"#;

fn programs() -> Vec<Program> {
    let sources = [
        r#"$headers["x-kind"] == "deal""#,
        r#".type | startswith("deal.")"#,
        ".event",
        r#"{module: "Deals", fields: {Stage: "Closed Won", Amount: .deal.amount}, ids: [.deal.id]}"#,
    ];
    let programs: Vec<Program> = sources.map(|source| Program::new(source, &HOST)).into();
    for program in &programs {
        program.check().expect("a valid program");
    }
    programs
}

fn variables() -> [Value; 2] {
    [
        json!({"x-kind": "deal", "content-type": "application/json", "user-agent": "sender"}),
        json!("deals"),
    ]
}

fn visit(worker: &Worker, programs: &[Program]) -> Result<usize, EvalError> {
    let document = Document::from_json(BODY.as_bytes()).expect("JSON");
    let input = Input {
        document: &document,
        variables: &variables(),
    };
    let session = worker.open(&input, &Limits::default())?;
    let mut outputs = 0;
    for program in programs {
        outputs += session.run(program)?.len();
    }
    Ok(outputs)
}

fn threads(programs: &[Program]) -> Result<usize, EvalError> {
    let document = Document::from_json(BODY.as_bytes()).expect("JSON");
    let mut outputs = 0;
    for program in programs {
        let input = Input {
            document: &document,
            variables: &variables(),
        };
        outputs += program.run_blocking(&input, &Limits::default())?.len();
    }
    Ok(outputs)
}

/// The processor time of all threads of this process.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or_default())
}

fn report(name: &str, used: Duration, passed: Duration) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(VISITS);
    let (used, passed) = (each(used), each(passed));
    println!("{name:<28} {used:>7.1} us of processor time, {passed:>7.1} us in all");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let programs = programs();
    println!(
        "{VISITS} deliveries of {} bytes, 4 programs each",
        BODY.len()
    );

    let (used, begun) = (processor_time(), Instant::now());
    for _ in 0..VISITS {
        assert_eq!(threads(&programs), Ok(4));
    }
    let separate = processor_time() - used;
    report("a thread for each program", separate, begun.elapsed());

    let pool = Pool::new(PoolSettings::default());
    let (used, begun) = (processor_time(), Instant::now());
    for _ in 0..VISITS {
        let programs = programs.clone();
        let outputs = pool.run(BODY.len(), move |worker| visit(worker, &programs));
        assert_eq!(outputs.await, Ok(Ok(4)));
    }
    let pooled = processor_time() - used;
    report("one visit to a pool", pooled, begun.elapsed());
    println!("ratio {:.2}", pooled.as_secs_f64() / separate.as_secs_f64());
}

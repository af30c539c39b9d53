//! Routes' programs behind the fence: the program, a line `---`, the body.

use std::time::Duration;

use masshook::mapping::{self, CompileError, Document, EvalError, Input, Limits, Program};
use masshook::plan::{self, Plan};
use serde_json::Value;

/// Bounds that a program meets soon. The time is beyond what the steps take, so that a run says the same each time.
const LIMITS: Limits = Limits {
    input_bytes: 64 << 10,
    outputs: 10,
    output_bytes: 64 << 10,
    time: Duration::from_secs(20),
    steps: 50_000,
    memory_bytes: 8 << 20,
    stack_bytes: 16 << 20,
};

/// Runs the program twice, and asserts that it keeps its bounds, says the same both times, and that what it yields is
/// planned within Zoho's limits.
pub fn run(data: &[u8]) {
    let Some((source, body)) = super::two_parts(data) else {
        return;
    };
    let Ok(body) = Document::from_json(body) else {
        return;
    };
    let program = Program::new(source);
    if let Err(error) = program.check() {
        return stands_in(source, &error);
    }
    let (headers, query) = Default::default();
    let input = Input {
        body: &body,
        headers: &headers,
        query: &query,
        route: "fuzz",
        received_at: jiff::Timestamp::UNIX_EPOCH,
        raw: Some(body.text()),
        trigger: &query,
    };
    let first = program.run_blocking(&input, &LIMITS);
    assert_eq!(first, program.run_blocking(&input, &LIMITS));
    match first {
        Ok(outputs) => kept(&outputs),
        Err(EvalError::TimedOut { .. } | EvalError::Unavailable { .. } | EvalError::Compile(_)) => {
            panic!("{first:?}")
        }
        Err(EvalError::Failed(failure)) => {
            let message = failure.told();
            // What jaq says of a defect of its own, unless the event says it.
            let echoed = [source, body.text()]
                .iter()
                .any(|text| text.contains("please report"));
            assert!(echoed || !message.contains("please report"), "{message}");
            assert!(message.len() <= 4 * 600, "{} bytes", message.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A compile error names a place that is in the program.
fn stands_in(source: &str, error: &CompileError) {
    let lines = source.matches('\n').count() + 1;
    assert!((1..=lines).contains(&error.place.line), "{error}");
    let line = source
        .split('\n')
        .nth(error.place.line - 1)
        .unwrap_or_default();
    assert!(
        error.place.column >= 1 && error.place.column <= line.chars().count() + 1,
        "{error}"
    );
    assert!(
        !error.message.is_empty() && error.message.len() < 2_000,
        "{error}"
    );
}

fn kept(outputs: &[Value]) {
    assert!(outputs.len() <= LIMITS.outputs);
    let bytes: usize = outputs.iter().map(|output| output.to_string().len()).sum();
    assert!(bytes <= 8 * LIMITS.output_bytes, "{bytes}");
    let Ok(updates) = mapping::updates(outputs) else {
        return;
    };
    for update in updates {
        if let Some(resolved) = update.resolved() {
            let plan = Plan::new(resolved, &plan::Limits::ZOHO);
            assert!(!plan.calls().is_empty());
            for call in plan.calls() {
                assert!(call.ids(resolved).len() <= 500);
                assert!((1..=3).contains(&call.data(&update).len()));
            }
        }
        let again = masshook::update::UpdateRequest::parse(&update.to_json());
        assert_eq!(again, Ok(update));
    }
}

//! Target of the jq evaluation within limits. The input is a jq program, a line `---`, and a body.

use std::time::Duration;

use masshook::mapping::{self, CompileError, Document, EvalError, Limits, MappingInput};
use masshook::plan::{self, CallKind, Plan};
use masshook::update::UpdateMethod;
use serde_json::Value;

/// Low limits, so that programs reach them. The time limit is longer than the permitted steps take, so that results are
/// deterministic.
const LIMITS: Limits = Limits {
    input_bytes: 64 << 10,
    outputs: 10,
    output_bytes: 64 << 10,
    time: Duration::from_secs(20),
    steps: 50_000,
    memory_bytes: 8 << 20,
    stack_bytes: 16 << 20,
};

/// Runs the program twice, and asserts that it stays within its limits, that both results are equal, and that its outputs
/// are planned within Zoho's limits.
pub fn run(data: &[u8]) {
    let Some((source, body)) = super::two_parts(data) else {
        return;
    };
    let Ok(body) = Document::from_json(body) else {
        return;
    };
    let program = mapping::program(source);
    if let Err(error) = program.check() {
        return assert_located(source, &error);
    }
    for path in program.paths() {
        let compiled = mapping::program(path.as_str()).check();
        assert_eq!(compiled, Ok(()), "{path}");
    }
    let (headers, query) = Default::default();
    let input = MappingInput {
        body: &body,
        headers: &headers,
        query: &query,
        route: "fuzz",
        received_at: jiff::Timestamp::UNIX_EPOCH,
        raw: Some(body.text()),
        trigger: &query,
        cloud_event: None,
    };
    let first = input.run_blocking(&program, &LIMITS);
    assert_eq!(first, input.run_blocking(&program, &LIMITS));
    match first {
        Ok(outputs) => assert_within_limits(&outputs),
        Err(EvalError::TimedOut { .. } | EvalError::Unavailable { .. } | EvalError::Compile(_)) => {
            panic!("{first:?}")
        }
        Err(EvalError::Failed(failure)) => {
            let message = failure.full_message();
            // jaq reports its own defects with this text, unless the text comes from the input.
            let echoed = [source, body.text()]
                .iter()
                .any(|text| text.contains("please report"));
            assert!(echoed || !message.contains("please report"), "{message}");
            assert!(message.len() <= 4 * 600, "{} bytes", message.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Asserts that a compile error names a location within the program.
fn assert_located(source: &str, error: &CompileError) {
    let lines = source.matches('\n').count() + 1;
    assert!((1..=lines).contains(&error.location.line), "{error}");
    let line = source
        .split('\n')
        .nth(error.location.line - 1)
        .unwrap_or_default();
    assert!(
        error.location.column >= 1 && error.location.column <= line.chars().count() + 1,
        "{error}"
    );
    assert!(
        !error.message.is_empty() && error.message.len() < 2_000,
        "{error}"
    );
}

/// Asserts that outputs are within the limits and that their plans are within Zoho's limits.
fn assert_within_limits(outputs: &[Value]) {
    assert!(outputs.len() <= LIMITS.outputs);
    let bytes: usize = outputs.iter().map(|output| output.to_string().len()).sum();
    assert!(bytes <= 8 * LIMITS.output_bytes, "{bytes}");
    let Ok(updates) = mapping::update_requests(outputs, UpdateMethod::Auto) else {
        return;
    };
    for update in updates {
        if let Some(resolved) = update.resolved() {
            let plan = Plan::new(resolved, &plan::PlanLimits::ZOHO);
            assert!(!plan.calls().is_empty());
            for call in plan.calls() {
                let (ids, fields) = match call.target.kind() {
                    CallKind::Immediate | CallKind::Scheduled => (500, 1..=3),
                    CallKind::Records | CallKind::Upsert => (100, 1..=30),
                    CallKind::AddTags
                    | CallKind::RemoveTags
                    | CallKind::ChangeOwner
                    | CallKind::MassChangeOwner => (500, 0..=0),
                };
                assert!(call.ids(resolved).len() <= ids);
                assert!(fields.contains(&call.data(&update).len()));
            }
        }
        let again = masshook::update::UpdateRequest::parse(&update.to_json());
        assert_eq!(again, Ok(update));
    }
}

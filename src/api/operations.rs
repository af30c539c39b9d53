//! The table of all operations of the HTTP API. The router and the OpenAPI document are made of it.

use std::sync::Arc;

use ::http::Method;
use axum::Router;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::operator::{actions, deliveries, lists, view};
use super::response::AcceptedBody;
use super::{not_allowed, submit_update_request};
use crate::app::App;
use crate::app::operations::{
    BulkResult, DELIVERY_PARAMETERS, DeadLetterGroupsView, JOB_PARAMETERS, JobReplayView, QueuedJob,
};
use crate::job::view::JobView;
use crate::update::UpdateRequestSchema;

/// The HTTP method of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

impl Verb {
    /// The methods that such an operation takes.
    fn methods(self) -> &'static [Method] {
        match self {
            Self::Get => &[Method::GET, Method::HEAD],
            Self::Post => &[Method::POST],
        }
    }

    /// The name in an OpenAPI document.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Sending update requests.
    UpdateRequests,
    /// Jobs, for operators.
    Jobs,
    /// Deliveries, for operators.
    Deliveries,
}

impl Subject {
    /// Whether the console has the operation too.
    fn is_for_operators(self) -> bool {
        match self {
            Self::Jobs | Self::Deliveries => true,
            Self::UpdateRequests => false,
        }
    }

    /// The tag in an OpenAPI document.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::UpdateRequests | Self::Jobs => "jobs",
            Self::Deliveries => "deliveries",
        }
    }
}

/// The schema of a JSON body.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The query parameters of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Query {
    /// None. Those of a request are ignored.
    None,
    /// Those of [`super::submit_update_request`].
    DryRun,
    /// Pages, and these filters.
    List(&'static [&'static str]),
}

/// The JSON body of a request.
#[derive(Clone, Copy)]
pub(super) enum RequestBody {
    /// No body is read.
    None,
    /// A body of a type.
    Json(SchemaOf),
    /// A filter with these names, and the number of entries that the caller expects.
    Bulk(&'static [&'static str]),
}

/// The body of a response.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// JSON of a type.
    Json(SchemaOf),
    /// The plan of an update request, or its finished jobs.
    PlanOrJobs,
    /// The body of a delivery.
    DeliveryBody,
}

/// A response that is no problem.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) content: Content,
}

/// The HTTP status and the code of a problem.
pub(super) type ErrorCode = (u16, &'static str);

/// One operation.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) subject: Subject,
    handler: fn() -> MethodRouter<Arc<App>>,
    pub(super) query: Query,
    pub(super) body: RequestBody,
    pub(super) answers: &'static [Answer],
    pub(super) errors: &'static [&'static [ErrorCode]],
}

impl Operation {
    const fn new(
        (verb, path): (Verb, &'static str),
        id: &'static str,
        summary: &'static str,
        subject: Subject,
        handler: fn() -> MethodRouter<Arc<App>>,
    ) -> Self {
        Self {
            verb,
            path,
            id,
            summary,
            subject,
            handler,
            query: Query::None,
            body: RequestBody::None,
            answers: &[],
            errors: &[],
        }
    }

    const fn query(self, query: Query) -> Self {
        Self { query, ..self }
    }

    const fn body(self, body: RequestBody) -> Self {
        Self { body, ..self }
    }

    const fn answers(self, answers: &'static [Answer]) -> Self {
        Self { answers, ..self }
    }

    const fn errors(self, errors: &'static [&'static [ErrorCode]]) -> Self {
        Self { errors, ..self }
    }
}

const fn ok(description: &'static str, content: Content) -> Answer {
    Answer {
        status: 200,
        description,
        content,
    }
}

const fn accepted(description: &'static str, content: Content) -> Answer {
    Answer {
        status: 202,
        ..ok(description, content)
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const ACCEPTED_JOBS: Content = Content::Json(schema_of::<AcceptedBody>);
const BULK_RESULT: Content = Content::Json(schema_of::<BulkResult>);
const JOB_BULK: RequestBody = RequestBody::Bulk(&JOB_PARAMETERS);
const DELIVERY_BULK: RequestBody = RequestBody::Bulk(&DELIVERY_PARAMETERS);

const INVALID_PARAMETER: ErrorCode = (400, "invalid_parameter");
const AMBIGUOUS_ID: ErrorCode = (409, "ambiguous_id");
const COUNT_DIFFERS: ErrorCode = (409, "count_differs");
const JOB_UNREADABLE: ErrorCode = (500, "job_unreadable");
const NOT_POSSIBLE: ErrorCode = (409, "not_possible");
const NO_SUCH_DELIVERY: ErrorCode = (404, "no_such_delivery");
const NO_SUCH_JOB: ErrorCode = (404, "no_such_job");
const TOO_LARGE: ErrorCode = (413, "body_too_large");

const ONE_JOB: &[ErrorCode] = &[NO_SUCH_JOB, AMBIGUOUS_ID, JOB_UNREADABLE];
const JOB_ACTION: &[ErrorCode] = &[NO_SUCH_JOB, AMBIGUOUS_ID, NOT_POSSIBLE, JOB_UNREADABLE];
const ONE_DELIVERY: &[ErrorCode] = &[NO_SUCH_DELIVERY, AMBIGUOUS_ID];
const DELIVERY_ACTION: &[ErrorCode] = &[NO_SUCH_DELIVERY, AMBIGUOUS_ID, NOT_POSSIBLE];
const BULK: &[ErrorCode] = &[INVALID_PARAMETER, COUNT_DIFFERS, NOT_POSSIBLE, TOO_LARGE];

/// What mapping a delivery can end with, and storing its jobs.
pub(super) const MAPPING: &[ErrorCode] = &[
    (422, "body_not_readable"),
    (422, "mapping_failed"),
    (422, "not_mappable"),
    (422, "callback_refused"),
    (500, "config_broken"),
    JOB_UNREADABLE,
    (500, "not_driven"),
];

/// All operations but those under `/hooks`, `/health` and `/openapi.json`.
pub(super) static OPERATIONS: [Operation; 15] = [
    Operation::new(
        (Verb::Post, "/jobs"),
        "submitUpdateRequest",
        "Store a job for an update request, or show its plan",
        Subject::UpdateRequests,
        || post(submit_update_request),
    )
    .query(Query::DryRun)
    .body(RequestBody::Json(schema_of::<UpdateRequestSchema>))
    .answers(&[
        ok(
            "The plan (`dry_run=true`), or the finished jobs (inline mode)",
            Content::PlanOrJobs,
        ),
        accepted("The job is stored", ACCEPTED_JOBS),
    ])
    .errors(&[&[
        INVALID_PARAMETER,
        (400, "idempotency_key_invalid"),
        TOO_LARGE,
        (422, "invalid_update_request"),
        (422, "callback_refused"),
        (422, "idempotency_key_reused"),
        (500, "config_broken"),
        JOB_UNREADABLE,
        (500, "not_driven"),
    ]]),
    Operation::new(
        (Verb::Get, "/jobs"),
        "listJobs",
        "List jobs, the latest first",
        Subject::Jobs,
        || get(lists::list_jobs),
    )
    .query(Query::List(&JOB_PARAMETERS))
    .answers(&[ok(
        "A page",
        Content::Json(schema_of::<view::JobListView<'_>>),
    )])
    .errors(&[&[INVALID_PARAMETER]]),
    Operation::new(
        (Verb::Get, "/jobs/{id}"),
        "showJob",
        "Show a job in full",
        Subject::Jobs,
        || get(lists::show_job),
    )
    .answers(&[ok("The job", Content::Json(schema_of::<JobView>))])
    .errors(&[ONE_JOB]),
    Operation::new(
        (Verb::Post, "/jobs/{id}/replay"),
        "replayJob",
        "Run a failed job again as a new job, or resume a parked job",
        Subject::Jobs,
        || post(actions::replay_job),
    )
    .answers(&[accepted(
        "The job that runs",
        Content::Json(schema_of::<JobReplayView>),
    )])
    .errors(&[JOB_ACTION]),
    Operation::new(
        (Verb::Post, "/jobs/{id}/redeliver"),
        "redeliverJob",
        "Send the callback of a job again",
        Subject::Jobs,
        || post(actions::redeliver_job),
    )
    .answers(&[accepted(
        "The callback will be sent",
        Content::Json(schema_of::<QueuedJob>),
    )])
    .errors(&[JOB_ACTION]),
    Operation::new(
        (Verb::Post, "/jobs/replay"),
        "replayJobs",
        "Replay all jobs that match a filter",
        Subject::Jobs,
        || post(actions::replay_jobs),
    )
    .body(JOB_BULK)
    .answers(&[ok("The outcome of each job", BULK_RESULT)])
    .errors(&[BULK]),
    Operation::new(
        (Verb::Post, "/jobs/redeliver"),
        "redeliverJobs",
        "Send the callbacks of all jobs that match a filter again",
        Subject::Jobs,
        || post(actions::redeliver_jobs),
    )
    .body(JOB_BULK)
    .answers(&[ok("The outcome of each job", BULK_RESULT)])
    .errors(&[BULK]),
    Operation::new(
        (Verb::Get, "/deliveries"),
        "listDeliveries",
        "List deliveries, the latest first",
        Subject::Deliveries,
        || get(lists::list_deliveries),
    )
    .query(Query::List(&DELIVERY_PARAMETERS))
    .answers(&[ok(
        "A page",
        Content::Json(schema_of::<view::DeliveryListView<'_>>),
    )])
    .errors(&[&[INVALID_PARAMETER]]),
    Operation::new(
        (Verb::Get, "/deliveries/{id}"),
        "showDelivery",
        "Show a delivery",
        Subject::Deliveries,
        || get(deliveries::show_delivery),
    )
    .answers(&[ok(
        "The delivery",
        Content::Json(schema_of::<view::DeliveryView<'_>>),
    )])
    .errors(&[ONE_DELIVERY]),
    Operation::new(
        (Verb::Get, "/deliveries/{id}/body"),
        "showDeliveryBody",
        "Show the body of a delivery while it is stored",
        Subject::Deliveries,
        || get(deliveries::show_body),
    )
    .answers(&[ok(
        "The body as text, or as base64 if it is not text",
        Content::DeliveryBody,
    )])
    .errors(&[DELIVERY_ACTION]),
    Operation::new(
        (Verb::Post, "/deliveries/{id}/replay"),
        "replayDelivery",
        "Map a dead letter again with the config in use",
        Subject::Deliveries,
        || post(actions::replay_delivery),
    )
    .answers(&[accepted("The jobs of the delivery", ACCEPTED_JOBS)])
    .errors(&[&[(404, "no_such_route")], DELIVERY_ACTION, MAPPING]),
    Operation::new(
        (Verb::Post, "/deliveries/{id}/discard"),
        "discardDelivery",
        "Delete a dead letter",
        Subject::Deliveries,
        || post(actions::discard),
    )
    .answers(&[ok(
        "It is deleted",
        Content::Json(schema_of::<view::DiscardedView>),
    )])
    .errors(&[DELIVERY_ACTION]),
    Operation::new(
        (Verb::Post, "/deliveries/replay"),
        "replayDeliveries",
        "Replay all dead letters that match a filter",
        Subject::Deliveries,
        || post(actions::replay_deliveries),
    )
    .body(DELIVERY_BULK)
    .answers(&[ok("The outcome of each delivery", BULK_RESULT)])
    .errors(&[BULK]),
    Operation::new(
        (Verb::Post, "/deliveries/discard"),
        "discardDeliveries",
        "Delete all dead letters that match a filter",
        Subject::Deliveries,
        || post(actions::discard_all),
    )
    .body(DELIVERY_BULK)
    .answers(&[ok("The outcome of each delivery", BULK_RESULT)])
    .errors(&[BULK]),
    Operation::new(
        (Verb::Get, "/dead-letters"),
        "listDeadLetters",
        "Group the latest 5,000 dead letters by their code",
        Subject::Deliveries,
        || get(deliveries::dead_letters),
    )
    .answers(&[ok(
        "The groups",
        Content::Json(schema_of::<DeadLetterGroupsView<'_>>),
    )]),
];

/// The router of all operations of the table.
pub(super) fn router() -> Router<Arc<App>> {
    router_of(|_| true)
}

/// The router of what operators do, which the console has too.
pub(super) fn operator_router() -> Router<Arc<App>> {
    router_of(|operation| operation.subject.is_for_operators())
}

fn router_of(is_wanted: fn(&Operation) -> bool) -> Router<Arc<App>> {
    let wanted = || OPERATIONS.iter().filter(|operation| is_wanted(operation));
    let mut paths: Vec<&str> = wanted().map(|operation| operation.path).collect();
    paths.dedup();
    paths.into_iter().fold(Router::new(), |router, path| {
        let of_path = wanted().filter(|operation| operation.path == path);
        let (mut methods, mut allowed) = (MethodRouter::new(), Vec::new());
        for operation in of_path {
            methods = methods.merge((operation.handler)());
            allowed.extend_from_slice(operation.verb.methods());
        }
        router.route(path, methods.fallback(move || not_allowed(allowed.clone())))
    })
}

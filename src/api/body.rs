//! Reading of request bodies within limits of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::inbound::rejection::Rejection;

/// Memory of each body that needs no budget, so that large bodies never keep out small ones. It is also the first size of the
/// buffer of a body.
const FREE_BYTES: usize = 16 << 10;

/// Memory for all bodies that are received or processed at the same time. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    bytes: Arc<Semaphore>,
    timeout: Duration,
}

impl BodyBudget {
    /// A budget of so many bytes, for which a body waits at most `timeout`.
    pub fn new(bytes: usize, timeout: Duration) -> Self {
        let bytes = Arc::new(Semaphore::new(bytes));
        Self { bytes, timeout }
    }
}

/// Limits for the body of one request. An extension of requests to the local server; on Lambda the platform has them.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// When the whole body must be there.
    pub deadline: Instant,
    /// The memory that all bodies share.
    pub budget: BodyBudget,
}

/// A body with its part of the budget, which is free again when this value is dropped.
pub(super) struct ReceivedBody {
    pub(super) bytes: Bytes,
    reserved: Reservation,
}

impl ReceivedBody {
    /// Splits off the bytes. The budget stays reserved until the second value is dropped.
    pub(super) fn into_parts(self) -> (Bytes, Reservation) {
        (self.bytes, self.reserved)
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// [`Rejection::TooLarge`], [`Rejection::RequestTimeout`], [`Rejection::ServerFull`], [`Rejection::BodyNotReceived`].
pub(super) async fn read_body(
    body: Body,
    limit: usize,
    limits: Option<&BodyLimits>,
) -> Result<ReceivedBody, Rejection> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limit {
        return Err(Rejection::TooLarge { limit });
    }
    let reserved = Reservation::of(limits.map(|limits| &limits.budget));
    let reading = collect(body, declared, limit, reserved);
    match limits {
        None => reading.await,
        Some(limits) => timeout_at(limits.deadline, reading)
            .await
            .unwrap_or(Err(Rejection::RequestTimeout)),
    }
}

/// Copies the frames into one buffer. A frame itself would hold the whole read buffer that it came in.
async fn collect(
    mut body: Body,
    declared: usize,
    limit: usize,
    mut reserved: Reservation,
) -> Result<ReceivedBody, Rejection> {
    let mut buffer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Rejection::BodyNotReceived(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = buffer.len() + data.len();
        if length > limit {
            return Err(Rejection::TooLarge { limit });
        }
        if length > buffer.capacity() {
            let capacity = next_capacity(buffer.capacity(), length, declared, limit);
            reserved.grow_to(capacity).await?;
            buffer.reserve(capacity - buffer.len());
        }
        buffer.extend_from_slice(&data);
    }
    let bytes = buffer.freeze();
    Ok(ReceivedBody { bytes, reserved })
}

/// The next capacity of the buffer: twice as much as received, but not more than the body can have.
fn next_capacity(capacity: usize, length: usize, declared: usize, limit: usize) -> usize {
    let most = if declared == 0 { limit } else { declared };
    let doubled = capacity.saturating_mul(2).max(FREE_BYTES);
    doubled.min(most).max(length)
}

/// The memory that one body holds.
pub(super) struct Reservation {
    budget: Option<BodyBudget>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    fn of(budget: Option<&BodyBudget>) -> Self {
        Self {
            budget: budget.cloned(),
            permit: None,
        }
    }

    /// Reserves so many bytes in total.
    async fn grow_to(&mut self, bytes: usize) -> Result<(), Rejection> {
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        let held = self
            .permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.saturating_sub(FREE_BYTES).saturating_sub(held);
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        if missing == 0 {
            return Ok(());
        }
        let waiting = Arc::clone(&budget.bytes).acquire_many_owned(missing);
        let Ok(Ok(more)) = timeout(budget.timeout, waiting).await else {
            return Err(Rejection::ServerFull(
                "it has too many large bodies in memory",
            ));
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn limits(budget: usize) -> BodyLimits {
        BodyLimits {
            deadline: Instant::now() + Duration::from_secs(60),
            budget: BodyBudget::new(budget, Duration::from_millis(50)),
        }
    }

    /// A body in frames of `size` bytes, which is never complete unless it `ends`.
    fn frames(length: usize, size: usize, ends: bool) -> Body {
        let frame = Bytes::from(vec![7; size]);
        let frames = stream::repeat(Ok::<_, Infallible>(frame)).take(length / size);
        match ends {
            true => Body::from_stream(frames),
            false => Body::from_stream(frames.chain(stream::pending())),
        }
    }

    #[tokio::test]
    async fn body_without_end_is_refused_at_its_deadline() {
        let mut limits = limits(LIMIT);
        limits.deadline = Instant::now() + Duration::from_millis(50);
        let read = read_body(frames(100, 10, false), LIMIT, Some(&limits)).await;
        assert!(matches!(read.err(), Some(Rejection::RequestTimeout)));
    }

    #[tokio::test]
    async fn declared_size_is_refused_unread() {
        let body = Body::from(vec![0; 11]);
        let read = read_body(body, 10, None).await;
        assert!(matches!(
            read.err(),
            Some(Rejection::TooLarge { limit: 10 })
        ));
        let read = read_body(frames(LIMIT, 1_000, false), 10, None).await;
        assert!(matches!(
            read.err(),
            Some(Rejection::TooLarge { limit: 10 })
        ));
    }

    /// Stalled large bodies use up the budget, but a small one is always read.
    #[tokio::test]
    async fn stalled_bodies_share_the_budget() {
        let limits = limits(LIMIT);
        let stalled: Vec<_> = (0..8)
            .map(|_| {
                let limits = limits.clone();
                tokio::spawn(async move {
                    read_body(frames(LIMIT / 2, 512, false), LIMIT, Some(&limits)).await
                })
            })
            .collect();
        // Those that get memory wait for the rest of their body, up to its deadline.
        let mut refused = 0;
        for body in stalled {
            if let Ok(read) = timeout(Duration::from_secs(1), body).await {
                let rejection = read.expect("no panic").err();
                assert!(
                    matches!(rejection, Some(Rejection::ServerFull(_))),
                    "{rejection:?}"
                );
                refused += 1;
            }
        }
        assert!(refused >= 4, "{refused}");
        let small = read_body(frames(10_000, 10, true), LIMIT, Some(&limits)).await;
        assert_eq!(small.ok().map(|body| body.bytes.len()), Some(10_000));
    }

    #[tokio::test]
    async fn budget_is_free_after_the_request() {
        let limits = limits(LIMIT);
        for _ in 0..4 {
            let read = read_body(frames(LIMIT, 1 << 10, true), LIMIT, Some(&limits)).await;
            let Ok(body) = read else {
                panic!("the body was refused");
            };
            let (bytes, reservation) = body.into_parts();
            assert_eq!(bytes.len(), LIMIT);
            let left = limits.budget.bytes.available_permits();
            assert!(left <= FREE_BYTES, "{left}");
            drop(reservation);
        }
        assert_eq!(limits.budget.bytes.available_permits(), LIMIT);
    }

    proptest! {
        #[test]
        fn capacity_suffices_and_stays_below_the_limit(
            capacity in 0..LIMIT, more in 1..LIMIT, declared in 0..=LIMIT
        ) {
            let length = (capacity + more).min(LIMIT);
            let next = next_capacity(capacity, length, declared, LIMIT);
            prop_assert!(next >= length && next <= LIMIT);
        }
    }
}

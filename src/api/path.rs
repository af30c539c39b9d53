//! The variable parts of a path.

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path};
use serde::de::DeserializeOwned;

use crate::inbound::rejection::Rejection;

/// The percent-decoded parts of a path. A path that is not UTF-8 is a [`Rejection`] like every other.
pub(super) struct PathText<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathText<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let Path(text) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Rejection::PathInvalid)?;
        Ok(Self(text))
    }
}

//! The versions of the API that the simulator serves.

/// A version of the API that the simulator serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    V7,
    V8,
}

impl ApiVersion {
    const ALL: [Self; 2] = [Self::V7, Self::V8];

    /// The version that a path names; v7 for paths outside of the CRM.
    pub(crate) fn of_path(path: &str) -> Self {
        let segment = path.trim_start_matches('/').split('/').nth(1);
        let named = |version: &Self| segment == Some(version.segment());
        Self::ALL.into_iter().find(named).unwrap_or(Self::V7)
    }

    /// Its segment in paths.
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::V7 => "v7",
            Self::V8 => "v8",
        }
    }
}

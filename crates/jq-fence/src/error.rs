//! Why a program has no result.

use std::time::Duration;

use crate::compile_error::CompileError;
use crate::failure::Failure;
use crate::fence::FenceLimit;
use crate::limits::Limits;
use crate::location::ErrorLocation;
use crate::pool::Overload;

/// Why a run of a program has no result. `Display` contains no value of the input, unless the program's own `error(…)`
/// puts one into its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The program is not valid.
    #[error("the program does not compile: {0}")]
    Compile(#[from] CompileError),
    /// The program raised an error that it does not catch.
    #[error("the program failed: {0}")]
    Failed(Box<Failure>),
    /// The input is larger than allowed.
    #[error("the input has more than {limit} bytes; raise the limit or send less")]
    InputTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The programs of a session used too much processor time.
    #[error("the program took longer than {} ms of processor time; look for a loop without an end, or raise the time limit", limit.as_millis())]
    TimedOut {
        /// Time allowed.
        limit: Duration,
    },
    /// The program took too many steps.
    #[error("the program took more than {limit} steps; look for a loop without an end")]
    TooManySteps {
        /// Steps allowed.
        limit: u64,
    },
    /// The program allocated too much.
    #[error(
        "the program needs more than {limit} bytes of memory; look for something that grows in a loop, or raise the memory limit"
    )]
    TooMuchMemory {
        /// Bytes allowed.
        limit: usize,
    },
    /// Calls of definitions are nested too deeply.
    #[error(
        "the program's definitions call each other too deeply; look for a recursion without an end"
    )]
    TooMuchRecursion,
    /// A value is nested too deeply.
    #[error(
        "a value is nested or indexed too deeply; look for something that wraps a value in a loop"
    )]
    TooDeep,
    /// The program yields too many outputs.
    #[error("the program yields more than {limit} outputs")]
    TooManyOutputs {
        /// Outputs allowed.
        limit: usize,
    },
    /// The outputs are too large.
    #[error("the outputs have more than {limit} bytes; yield only what is needed")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// An output contains nan or infinity.
    #[error(
        "output {output} contains a number that is nan or infinite; look for a division by zero"
    )]
    NotANumber {
        /// Which output, from 1.
        output: usize,
    },
    /// An output contains a number that JSON readers would round.
    #[error(
        "output {output} contains {number}, which cannot be passed on exactly as a number; use `tostring`"
    )]
    InexactNumber {
        /// Which output, from 1.
        output: usize,
        /// The number.
        number: String,
    },
    /// An output contains a string that is not UTF-8.
    #[error(
        "output {output} contains a string that is not UTF-8; look for a wrong @base64d or @urid"
    )]
    NotText {
        /// Which output, from 1.
        output: usize,
    },
    /// The program is not at fault: resources are short, and it can be run again later.
    #[error("the program cannot be run now: {0}")]
    Unavailable(#[from] Overload),
}

impl EvalError {
    pub(crate) fn failed(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }

    /// The error for a limit of the fence.
    pub(crate) fn at_limit(limit: FenceLimit, limits: &Limits) -> Self {
        match limit {
            FenceLimit::Time => Self::TimedOut { limit: limits.time },
            FenceLimit::WallClock => Self::Unavailable(Overload::TookTooLong),
            FenceLimit::Steps => Self::TooManySteps {
                limit: limits.steps,
            },
            FenceLimit::Memory => Self::TooMuchMemory {
                limit: limits.memory_bytes,
            },
            FenceLimit::Stack => Self::TooMuchRecursion,
            FenceLimit::Depth => Self::TooDeep,
        }
    }

    /// Where the program is invalid or failed, if that is known.
    pub fn location(&self) -> Option<&ErrorLocation> {
        if let Self::Compile(error) = self {
            Some(&error.location)
        } else if let Self::Failed(failure) = self {
            failure.part().map(|part| &part.location)
        } else {
            None
        }
    }

    /// All details, over several lines: the message with its values, the line with a caret, the input of the part that
    /// failed. They may contain personal data, so they are for the terminal of a program's author, not for logs.
    pub fn details(&self) -> String {
        let mut lines = Vec::new();
        if let Self::Failed(failure) = self {
            lines.push(failure.full_message().to_owned());
        }
        lines.extend(self.location().map(ErrorLocation::excerpt));
        if let Self::Failed(failure) = self
            && let Some(part) = failure.part()
        {
            lines.push(format!("on the input {}", part.input));
        }
        lines.join("\n")
    }
}

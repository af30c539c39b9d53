//! What a program's host provides: global variables, and advice for error messages.

/// The environment that the host application provides to its programs.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The global variables, each with its `$`, in the order in which [`Input`](crate::Input) lists their values.
    pub variables: &'static [&'static str],
    /// Returns what to do instead of using a capability that the fence removes. The error message ends with it.
    pub advice: fn(Capability) -> Option<&'static str>,
}

impl Host {
    /// A host without global variables and without advice.
    pub const PLAIN: Self = Self {
        variables: &[],
        advice: |_| None,
    };
}

/// Something that jq can do and a fenced program cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Read the environment: `env`, `$ENV`.
    Environment,
    /// Read more than one input: `input`, `inputs`.
    MoreInputs,
    /// End the process: `halt`.
    Exit,
    /// Read the clock or the time zone: `now`, `localtime`.
    Clock,
    /// Write to standard error: `debug`, `stderr`.
    Write,
    /// Read modules: `import`, `include`.
    Modules,
}

/// The names of jq that a fenced program cannot use.
const UNAVAILABLE: &[(Capability, &[&str])] = &[
    (
        Capability::Environment,
        &["env", "$ENV", "$__prog_args", "getenv"],
    ),
    (
        Capability::MoreInputs,
        &[
            "input",
            "inputs",
            "input_filename",
            "input_line_number",
            "get_search_list",
        ],
    ),
    (Capability::Exit, &["halt", "halt_error"]),
    (
        Capability::Clock,
        &["now", "localtime", "strflocaltime", "mktime_local"],
    ),
    (Capability::Write, &["debug", "stderr"]),
    (
        Capability::Modules,
        &["import", "include", "module", "modulemeta"],
    ),
];

impl Capability {
    fn of(name: &str) -> Option<Self> {
        let mut rows = UNAVAILABLE.iter();
        rows.find_map(|(capability, names)| names.contains(&name).then_some(*capability))
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Environment => "a program cannot read the environment, where credentials are",
            Self::MoreInputs => "a program has one input, which is `.`",
            Self::Exit => "a program cannot end the process",
            Self::Clock => "a program must give the same answer when it is run again",
            Self::Write => "a program cannot write",
            Self::Modules => {
                "a program cannot read files; write the definitions into the program itself"
            }
        }
    }
}

/// Names of jq that are not supported, each with the reason.
const UNSUPPORTED: &[(&[&str], &str)] = &[
    (&["$__loc__"], "write a text of your own into the message"),
    (
        &[
            "acosh",
            "asinh",
            "atanh",
            "cbrt",
            "drem",
            "erf",
            "erfc",
            "exp10",
            "gamma",
            "j0",
            "j1",
            "jn",
            "lgamma",
            "lgamma_r",
            "nextafter",
            "nexttoward",
            "pow10",
            "remainder",
            "tgamma",
            "y0",
            "y1",
            "yn",
        ],
        "its last digit could differ from jq's",
    ),
    (
        &[
            "builtins",
            "format",
            "get_jq_origin",
            "get_prog_origin",
            "@base32",
            "@base32d",
        ],
        "no program of masshook has it",
    ),
];

/// Why `name` cannot be used, if the fence removes it.
pub(crate) fn unavailable(name: &str, host: &Host) -> Option<String> {
    let mut unsupported = UNSUPPORTED.iter();
    if let Some((_, reason)) = unsupported.find(|(names, _)| names.contains(&name)) {
        return Some(format!("`{name}` is not available: {reason}"));
    }
    let capability = Capability::of(name)?;
    let mut message = format!("`{name}` is not available: {}", capability.reason());
    if let Some(advice) = (host.advice)(capability) {
        message.push_str("; ");
        message.push_str(advice);
    }
    Some(message)
}

